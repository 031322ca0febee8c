/*
 * pump.c: the one thread between clients' sockets and the rings of their streams.
 *
 * It wakes when a cycle has passed (the sockets of streams that play are read, all
 * of them in one go; positions, credit and recorded data leave), a guard time before
 * the next one is due (those that hold less than two blocks are read again), when
 * another socket has something, and when control has.  Sockets of playing streams
 * are thus not waited for one by one.
 * It makes no decision, and never allocates, locks or frees.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "conn.h"

#define NEVENTS		64		/* sockets served in one pass */
#define GUARD_DIV	4		/* the guard time is a quarter of a block */
#define SYNC_READS	64		/* reads of one socket for engine_sync */

/* ---- to control ----------------------------------------------------------------- */

static void
later_flush(struct pump *p)
{
	while (p->later_r != p->later_w &&
	    msgring_put(&p->ring, &p->later[p->later_r % NLATER], NULL))
		p->later_r++;
}

void
pump_post(struct pump *p, uint32_t type, uint32_t id, int err, int64_t a)
{
	struct event ev = { .type = type, .id = id, .err = err, .a = a };

	later_flush(p);
	p->told = 1;
	if (p->later_r == p->later_w && msgring_put(&p->ring, &ev, NULL))
		return;
	if (p->later_w - p->later_r < NLATER)
		p->later[p->later_w++ % NLATER] = ev;
	atomic_store(&p->starving, 1);
}

int
pump_room(const struct pump *p, uint32_t n)
{
	uint64_t used = atomic_load_explicit(&p->ring.w, memory_order_relaxed) -
	    atomic_load_explicit(&p->ring.r, memory_order_acquire);

	return p->later_r == p->later_w &&
	    used + n + sizeof(struct event) <= MSGRING_SIZE - MSGRING_KEEP;
}

void
pump_forward(struct pump *p, struct conn *c, const uint8_t *data, uint32_t n)
{
	struct event ev = { .type = EV_MESSAGE, .id = c->id, .len = n };

	(void)msgring_put(&p->ring, &ev, data);
	p->told = 1;
}

int
pump_next(engine *e, struct event *ev, void *buf, uint32_t size)	/* control */
{
	struct pump *p = e->pump;

	if (msgring_get(&p->ring, ev, buf, size))
		return 1;
	if (atomic_exchange(&p->starving, 0))
		pump_wake(p);
	return 0;
}

/* ---- waking -------------------------------------------------------------------------- */

void
pump_wake(struct pump *p)
{
	uint64_t one = 1;

	if (atomic_exchange(&p->signalled, 1) == 0)
		while (write(p->wakefd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
}

int
pump_asleep(struct pump *p)
{
	return atomic_load(&p->asleep);
}

struct thread *
pump_thread(struct pump *p)
{
	return &p->thread;
}

static int64_t
sweep_time(const struct pdev *pd, int64_t *due)	/* when it is next, or INT64_MAX */
{
	if (pd->dev == NULL || pd->nlate == 0)
		return INT64_MAX;
	*due = atomic_load_explicit(&pd->dev->next_due, memory_order_relaxed);
	if (*due == 0 || *due == pd->swept_due)
		return INT64_MAX;
	return *due - pd->dev->period_ns / GUARD_DIV;
}

static int
wait_ns(int epfd, struct epoll_event *evs, int64_t timeout)
{
#ifdef SYS_epoll_pwait2
	struct timespec ts = { timeout / NS, timeout % NS };
	long n = syscall(SYS_epoll_pwait2, epfd, evs, NEVENTS, timeout < 0 ? NULL : &ts, NULL, (size_t)0);

	if (n >= 0 || errno != ENOSYS)
		return (int)n;
#endif
	return epoll_wait(epfd, evs, NEVENTS, timeout < 0 ? -1 : (int)(timeout / 1000000));
}

static int
pump_wait(struct pump *p, struct epoll_event *evs)
{
	int64_t first = INT64_MAX, t, due, timeout = -1;
	int n;

	for (int i = 0; i < NDEV_MAX; i++)
		if ((t = sweep_time(&p->devs[i], &due)) < first)
			first = t;
	if (first != INT64_MAX) {
		timeout = first - now_ns();
		if (timeout < 0)
			timeout = 0;
	}
	atomic_store(&p->asleep, 1);
	n = wait_ns(p->epfd, evs, timeout);
	atomic_store(&p->asleep, 0);
	atomic_fetch_add_explicit(&p->wakeups, 1, memory_order_relaxed);
	p->now = now_ns();
	return n;
}

/* ---- commands of control ------------------------------------------------------------- */

static void
emit_all(struct pump *p, struct pdev *pd)
{
	struct stream *s, *next;

	for (s = pd->streams; s; s = next) {
		next = s->pnext;
		slot_emit(p, s);
	}
}

static void
flush_dirty(struct pump *p)
{
	struct conn *c;

	while ((c = p->dirty) != NULL) {
		p->dirty = c->dnext;
		c->dirty = 0;
		if (!c->dead)
			conn_flush(p, c);
	}
}

void
pump_dirty(struct pump *p, struct conn *c)
{
	if (c->dirty || c->dead)
		return;
	c->dirty = 1;
	c->dnext = p->dirty;
	p->dirty = c;
}

static void
sync_all(struct pump *p, int64_t cookie)
{
	for (struct conn *c = p->conns, *next; c; c = next) {
		next = c->next;
		for (int i = 0; i < SYNC_READS; i++) {
			p->now = now_ns();
			if (!conn_read(p, c))
				break;
		}
	}
	for (int i = 0; i < NDEV_MAX; i++)
		if (p->devs[i].dev)
			emit_all(p, &p->devs[i]);
	flush_dirty(p);
	pump_post(p, EV_SYNCED, 0, 0, cookie);
}

static void
cmd_start(struct pump *p, struct cmd *c)
{
	struct stream *s = c->stream;

	conn_queue(p, c->conn, c->data, c->len);
	if (c->conn->dead || c->conn->broken || c->conn->slots[c->number].stream) {
		stream_stop(s, 0);
		s->conn = NULL;
		if (atomic_fetch_sub(&s->refs, 1) == 1)
			pump_post(p, EV_RELEASED, s->id, 0, 0);
		return;
	}
	slot_start(p, c->conn, c->number, s);
}

static void
cmd_end(struct pump *p, struct cmd *c)
{
	struct stream *s = c->conn->slots[c->number].stream;

	if (!c->conn->dead && s) {
		stream_stop(s, 0);
		slot_end(p, c->conn, c->number);
	}
	conn_queue(p, c->conn, c->data, c->len);
}

static void
conn_add(struct pump *p, struct conn *c)
{
	c->next = p->conns;
	c->prev = &p->conns;
	if (c->next)
		c->next->prev = &c->next;
	p->conns = c;
	c->adding = 1;
	conn_mode(p, c);
}

static void
command(struct pump *p, struct cmd *c)
{
	struct conn *k = c->conn;

	switch (c->op) {
	case CMD_ADD:
		conn_add(p, k);
		break;
	case CMD_SEND:
		conn_queue(p, k, c->data, c->len);
		break;
	case CMD_RELAY:
		k->relay = 1;
		break;
	case CMD_AWAIT:
		k->awaited = 1;
		pump_dirty(p, k);
		break;
	case CMD_TELL:
		if (!k->dead && k->slots[c->number].state == SLOT_RUN)
			conn_queue(p, k, c->data, c->len);
		break;
	case CMD_START:
		cmd_start(p, c);
		break;
	case CMD_STOP:
		if (!k->dead && k->slots[c->number].state == SLOT_RUN)
			slot_stop(p, k, c->number, c->arg, SLOT_ENDED, c->data, c->len);
		break;
	case CMD_END:
		cmd_end(p, c);
		break;
	case CMD_CLOSE:
		if (k->dead)
			break;
		k->closing = 1;
		k->broken = 1;			/* nothing more is read */
		if (c->arg)
			pump_dirty(p, k);
		else
			conn_die(p, k, CLOSE_SELF, 0);
		break;
	case CMD_FREE:
		for (struct conn **kp = &p->dirty; k->dirty && *kp; kp = &(*kp)->dnext)
			if (*kp == k) {
				*kp = k->dnext;
				break;
			}
		break;
	case CMD_SYNC:
		sync_all(p, c->cookie);
		break;
	case CMD_FOLLOW:
		slot_follow(p, c->stream);
		pump_post(p, EV_MOVED, c->stream->id, 0, (int64_t)(intptr_t)c->stream);
		break;
	case CMD_QUIT:
		p->quit = 1;
		break;
	}
}

static void
commands(struct pump *p)
{
	struct cmd *c, *old;

	while ((c = cmdq_get(&p->cmds, &old)) != NULL) {
		cmdq_put(&p->back, old);
		command(p, c);
	}
}

/* ---- the thread ------------------------------------------------------------------------- */

static void
sockets(struct pump *p, struct epoll_event *evs, int n)
{
	for (int i = 0; i < n; i++) {
		struct conn *c = evs[i].data.ptr;

		if (c == NULL) {		/* edge triggered: need not be read */
			(void)atomic_exchange(&p->signalled, 0);	/* orders what is read after it */
			continue;
		}
		if (evs[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
			if (c->broken || c->blocked) {
				if (evs[i].events & (EPOLLHUP | EPOLLERR))
					conn_die(p, c, CLOSE_EOF, 0);
			} else
				conn_read(p, c);
		}
		if (evs[i].events & EPOLLOUT)
			conn_flush(p, c);
	}
}

static void
unblock(struct pump *p)
{
	if (!p->nblocked)
		return;
	p->nblocked = 0;
	for (struct conn *c = p->conns, *next; c; c = next) {
		next = c->next;
		if (c->blocked) {
			conn_parse(p, c);
			if (!c->dead)
				conn_mode(p, c);
		}
	}
}

/* right after a cycle: read all that are swept; who is late is found out anew */
static void
sweep_all(struct pump *p, struct pdev *pd)
{
	for (struct conn *c = pd->swept, *next; c; c = next) {
		next = c->snext;
		conn_late(c, 0);
		if (c->plenty && (pd->seq + c->id) % pd->every != 0)
			continue;
		c->plenty = 1;
		conn_read(p, c);
	}
}

static int
runs_short(const struct conn *c)	/* a stream of it has no block for the next cycle */
{
	for (uint32_t i = 0; i < c->nslots; i++) {
		const struct stream *s = c->slots[i].stream;

		if (c->slots[i].state == SLOT_RUN && s->play &&
		    s->play->cap - fring_room(s->play) < s->ahead / 2)
			return 1;
	}
	return 0;
}

/* a guard time before the next cycle: read those that hold too little for two more */
static void
sweep_late(struct pump *p, struct pdev *pd)
{
	for (struct conn *c = pd->swept, *next; c; c = next) {
		next = c->snext;
		if (!c->late)
			continue;
		conn_read(p, c);
		if (!c->dead && runs_short(c))
			conn_hungry(p, c, 1);
	}
}

static void
cycles(struct pump *p)
{
	const struct pdev *only = NULL;
	int nreal = 0, passed = 0;

	for (int i = 0; i < NDEV_MAX; i++) {
		struct pdev *pd = &p->devs[i];
		int64_t seq;

		if (pd->dev == NULL)
			continue;
		if (pd->dev->par.clock == DRV_CLOCK_REAL) {
			only = pd;
			nreal++;
		}
		seq = atomic_load_explicit(&pd->dev->seq, memory_order_acquire);
		if (seq != pd->seq) {
			pd->seq = seq;
			passed = 1;
			sweep_all(p, pd);
			emit_all(p, pd);
		}
	}
	if (passed || nreal == 0) {
		flush_dirty(p);
		near_follow(p, nreal == 1 && only->dev ? only : NULL);
	}
}

static void
sweeps(struct pump *p)
{
	int64_t due = 0;

	for (int i = 0; i < NDEV_MAX; i++) {
		struct pdev *pd = &p->devs[i];

		if (sweep_time(pd, &due) > p->now)
			continue;
		pd->swept_due = due;
		sweep_late(p, pd);
	}
}

void *
pump_run(void *arg)
{
	struct pump *p = arg;
	struct epoll_event evs[NEVENTS];
	int n;

	thread_enter(&p->thread);
	near_begin(p);
	p->now = now_ns();
	pump_post(p, EV_THREAD, (uint32_t)atomic_load(&p->thread.tid), atomic_load(&p->thread.err), 0);
	while (!p->quit) {
		if (p->told) {
			p->told = 0;
			engine_signal(p->engine);
		}
		n = pump_wait(p, evs);
		sockets(p, evs, n);
		if (p->later_r != p->later_w) {
			later_flush(p);
			p->told = 1;
			if (p->later_r != p->later_w)
				atomic_store(&p->starving, 1);
		}
		unblock(p);
		commands(p);
		cycles(p);
		sweeps(p);
		flush_dirty(p);
	}
	return NULL;
}
