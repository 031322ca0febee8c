/*
 * pumpctl.c: control's end of the pump: its commands, and the connections that it
 * is given.
 *
 * All of it runs on the control thread, which alone allocates and frees: what the
 * pump has done with comes back on a second queue.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "conn.h"

static void
conn_destroy(struct conn *k)
{
	if (k->fd >= 0)
		close(k->fd);
	mem_free(k->in, IN_SIZE);
	mem_free(k->out, OUT_SIZE);
	mem_free(k->slots, CONN_NSTREAMS * sizeof(*k->slots));
	free(k);
}

static void
cmd_free(struct cmd *c)
{
	if (c->op == CMD_FREE)
		conn_destroy(c->conn);
	free(c);
}

static void
reap(struct pump *p)	/* free what the pump has done with */
{
	struct cmd *old;

	while (cmdq_get(&p->back, &old) != NULL)
		cmd_free(old);
}

static int
pump_command(struct pump *p, int op, struct conn *k, struct stream *s, uint32_t number, int arg,
    int64_t cookie, const void *data, uint32_t n)
{
	struct cmd *c;

	reap(p);
	c = malloc(sizeof(*c) + n);
	if (c == NULL)
		return -ENOMEM;
	*c = (struct cmd){ .op = op, .conn = k, .stream = s, .number = number, .arg = arg,
	    .cookie = cookie, .len = n };
	if (n > 0)
		memcpy(c->data, data, n);
	cmdq_put(&p->cmds, c);
	pump_wake(p);
	return 0;
}

int
pump_new(engine *e)
{
	struct pump *p = mem_reserve(sizeof(*p));	/* of cache lines of its own */
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	struct cmd *a, *b;
	int rc = -ENOMEM;

	if (p == NULL)
		return -ENOMEM;
	p->engine = e;
	a = calloc(1, sizeof(*a));
	b = calloc(1, sizeof(*b));
	p->ring.data = mem_new(e, MSGRING_SIZE);
	p->later = mem_reserve(NLATER * sizeof(*p->later));
	p->epfd = epoll_create1(EPOLL_CLOEXEC);
	p->wakefd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (a && b && p->ring.data && p->later && p->epfd >= 0 && p->wakefd >= 0) {
		cmdq_init(&p->cmds, a);
		cmdq_init(&p->back, b);
		rc = epoll_ctl(p->epfd, EPOLL_CTL_ADD, p->wakefd, &ev) < 0 ? -errno : 0;
	}
	e->pump = p;
	if (rc == 0)
		rc = thread_start(&p->thread, e->rt_prio > 1 ? e->rt_prio - 1 : e->rt_prio, pump_run, p);
	if (rc < 0) {
		if (p->epfd >= 0)
			close(p->epfd);
		if (p->wakefd >= 0)
			close(p->wakefd);
		mem_free(p->ring.data, MSGRING_SIZE);
		mem_free(p->later, NLATER * sizeof(*p->later));
		free(a);
		free(b);
		mem_free(p, sizeof(*p));
	}
	return rc;
}

void
pump_free(engine *e)
{
	struct pump *p = e->pump;
	struct cmd *c, *old;

	(void)pump_command(p, CMD_QUIT, NULL, NULL, 0, 0, 0, NULL, 0);
	pthread_join(p->thread.pt, NULL);
	while ((c = cmdq_get(&p->cmds, &old)) != NULL)
		cmdq_put(&p->back, old);
	reap(p);
	cmd_free(p->cmds.head);
	cmd_free(p->back.head);
	close(p->epfd);
	close(p->wakefd);
	mem_free(p->ring.data, MSGRING_SIZE);
	mem_free(p->later, NLATER * sizeof(*p->later));
	mem_free(p, sizeof(*p));
}

int
engine_sync(engine *e, int64_t cookie)
{
	return pump_command(e->pump, CMD_SYNC, NULL, NULL, 0, 0, cookie, NULL, 0);
}

int
engine_pump_wakeups(engine *e, int64_t *wakeups, int64_t *cpu_ns)
{
	struct timespec ts = { 0, 0 };
	clockid_t clk;

	*wakeups = atomic_load(&e->pump->wakeups);
	if (pthread_getcpuclockid(e->pump->thread.pt, &clk) == 0)
		clock_gettime(clk, &ts);
	*cpu_ns = (int64_t)ts.tv_sec * NS + ts.tv_nsec;
	return 0;
}

int
conn_new(engine *e, uint32_t id, int fd, int wire, conn **out)
{
	struct conn *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL)
		return -ENOMEM;
	c->engine = e;
	c->id = id;
	c->fd = fd;
	c->wire = wire == WIRE_SNDIO ? &wire_sndio : &wire_native;
	c->in = mem_reserve(IN_SIZE);
	c->out = mem_reserve(OUT_SIZE);
	c->slots = mem_reserve(CONN_NSTREAMS * sizeof(*c->slots));
	rc = c->in && c->out && c->slots ?
	    pump_command(e->pump, CMD_ADD, c, NULL, 0, 0, 0, NULL, 0) : -ENOMEM;
	if (rc < 0) {
		c->fd = -1;			/* still the caller's */
		conn_destroy(c);
		return rc;
	}
	*out = c;
	return 0;
}

int
conn_send(conn *c, const void *data, uint32_t n)
{
	return pump_command(c->engine->pump, CMD_SEND, c, NULL, 0, 0, 0, data, n);
}

int
conn_tell(conn *c, uint32_t number, const void *data, uint32_t n)
{
	if (number >= CONN_NSTREAMS)
		return -EINVAL;
	return pump_command(c->engine->pump, CMD_TELL, c, NULL, number, 0, 0, data, n);
}

int
conn_relay(conn *c)
{
	return pump_command(c->engine->pump, CMD_RELAY, c, NULL, 0, 0, 0, NULL, 0);
}

int
conn_await(conn *c)
{
	return pump_command(c->engine->pump, CMD_AWAIT, c, NULL, 0, 0, 0, NULL, 0);
}

int
conn_start(conn *c, stream *s, uint32_t number, const void *data, uint32_t n)
{
	int rc;

	if (number >= CONN_NSTREAMS)
		return -EINVAL;
	s->conn = c;
	atomic_store(&s->refs, 2);
	rc = dev_command(s->dev, DEVCMD_ATTACH, s, 0, 0);
	if (rc < 0)
		return rc;
	return pump_command(c->engine->pump, CMD_START, c, s, number, 0, 0, data, n);
}

void
pump_follow(stream *s)
{
	(void)pump_command(s->engine->pump, CMD_FOLLOW, NULL, s, 0, 0, 0, NULL, 0);
}

int
conn_stop(conn *c, uint32_t number, int drain, const void *data, uint32_t n)
{
	if (number >= CONN_NSTREAMS || n > ANSWER_MAX)
		return -EINVAL;
	return pump_command(c->engine->pump, CMD_STOP, c, NULL, number, drain, 0, data, n);
}

int
conn_end(conn *c, uint32_t number, const void *data, uint32_t n)
{
	if (number >= CONN_NSTREAMS)
		return -EINVAL;
	return pump_command(c->engine->pump, CMD_END, c, NULL, number, 0, 0, data, n);
}

int64_t
conn_unread(conn *c)
{
	int n = 0, fd = atomic_load(&c->fd);

	/* one that the pump closes just now may be another's already: a number of no use, and no harm */
	return fd >= 0 && ioctl(fd, FIONREAD, &n) == 0 ? n : 0;
}

int
conn_close(conn *c, int flush)
{
	return pump_command(c->engine->pump, CMD_CLOSE, c, NULL, 0, flush, 0, NULL, 0);
}

void
conn_free(conn *c)
{
	(void)pump_command(c->engine->pump, CMD_FREE, c, NULL, 0, 0, 0, NULL, 0);
}
