/*
 * conn.c: one client's socket: bytes in, bytes out, and how it is waited for.
 *
 * Runs on the pump.  What the bytes mean is its wire's (wire_native.c,
 * wire_sndio.c).  It decides nothing.  Bytes move by bare system calls: libc makes
 * each a point at which a thread may be cancelled, which costs more than the rest of it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "conn.h"

/* ---- output ----------------------------------------------------------------- */

uint8_t *
conn_room(struct conn *c, size_t n)
{
	if (c->out_off + c->out_len + n > OUT_SIZE) {
		memmove(c->out, c->out + c->out_off, c->out_len);
		c->out_off = 0;
	}
	return c->out_len + n > OUT_SIZE ? NULL : c->out + c->out_off + c->out_len;
}

void
conn_out(struct pump *p, struct conn *c, const uint8_t *end)
{
	c->out_len = (size_t)(end - (c->out + c->out_off));
	pump_dirty(p, c);
}

void
conn_queue(struct pump *p, struct conn *c, const void *data, uint32_t n)
{
	uint8_t *o;

	if (c->dead || n == 0)
		return;
	if (c->out_len + n > CONN_OUT_MAX)
		conn_flush(p, c);		/* it may have read meanwhile */
	if (c->dead)
		return;
	o = c->out_len + n > CONN_OUT_MAX ? NULL : conn_room(c, n);
	if (o == NULL) {
		conn_die(p, c, CLOSE_SLOW, 0);
		return;
	}
	memcpy(o, data, n);
	conn_out(p, c, o + n);
}

void
conn_flush(struct pump *p, struct conn *c)
{
	if (c->dead)
		return;
	while (c->out_len > 0) {
		ssize_t n = syscall(SYS_sendto, c->fd, c->out + c->out_off, c->out_len, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			conn_die(p, c, errno == EPIPE || errno == ECONNRESET ? CLOSE_EOF : CLOSE_ERROR, errno);
			return;
		}
		c->out_off += (size_t)n;
		c->out_len -= (size_t)n;
	}
	if (c->out_len == 0) {
		c->out_off = 0;
		if (c->closing) {
			conn_die(p, c, CLOSE_SELF, 0);
			return;
		}
		if (c->awaited) {
			c->awaited = 0;
			pump_post(p, EV_CONN_SENT, c->id, 0, 0);
		}
		if (c->starved) {		/* what was held back goes now */
			c->starved = 0;
			for (uint32_t i = 0; i < c->nslots; i++)
				if (c->slots[i].stream)
					slot_emit(p, c->slots[i].stream);
		}
	}
	conn_mode(p, c);
}

/* ---- state ------------------------------------------------------------------- */

/* whether what a swept one has sent after this cycle is needed in the next */
void
conn_late(struct conn *c, int late)
{
	if (!c->swept || c->late == late)
		return;
	c->late = late;
	c->pdev->nlate += late ? 1 : -1;
}

void
sweep_unlink(struct conn *c)
{
	if (!c->swept)
		return;
	conn_late(c, 0);
	*c->sprev = c->snext;
	if (c->snext)
		c->snext->sprev = c->sprev;
	c->swept = 0;
}

static void
sweep_link(struct conn *c)
{
	c->snext = c->pdev->swept;
	c->sprev = &c->pdev->swept;
	if (c->snext)
		c->snext->sprev = &c->snext;
	c->pdev->swept = c;
	c->swept = 1;
	conn_late(c, 1);
}

void
conn_mode(struct pump *p, struct conn *c)
{
	int sweep = c->nrun > 0 && c->nbegun == c->nrun && !c->several && !c->hungry;
	struct epoll_event ev = { .data.ptr = c };

	if (c->dead)
		return;
	if (sweep != c->swept) {
		if (sweep)
			sweep_link(c);
		else
			sweep_unlink(c);
		for (uint32_t i = 0; i < c->nslots; i++)
			if (c->slots[i].stream)
				atomic_store_explicit(&c->slots[i].stream->polled, !sweep, memory_order_relaxed);
	}
	if (!c->swept && !c->broken && !c->blocked)
		ev.events |= EPOLLIN;
	if (c->out_len > 0)
		ev.events |= EPOLLOUT;
	if (c->adding || ev.events != c->events) {
		c->events = ev.events;
		if (epoll_ctl(p->epfd, c->adding ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->fd, &ev) < 0)
			conn_die(p, c, CLOSE_ERROR, errno);
		c->adding = 0;
	}
}

/*
 * A socket holds few messages if they are small: one whose streams run short
 * although it was read twice is read as it comes, until they are full again.
 */
void
conn_hungry(struct pump *p, struct conn *c, int hungry)
{
	if (c->hungry == hungry)
		return;
	c->hungry = hungry;
	conn_mode(p, c);
}

/* end all that it plays and records, at once */
static void
cut_streams(struct pump *p, struct conn *c)
{
	for (uint32_t i = 0; i < c->nslots; i++)
		if (c->slots[i].stream) {
			stream_stop(c->slots[i].stream, 0);
			slot_drop(p, c, i, SLOT_ENDED);
		}
}

void
conn_die(struct pump *p, struct conn *c, int reason, int err)
{
	if (c->dead)
		return;
	c->dead = 1;
	cut_streams(p, c);
	sweep_unlink(c);
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	(void)epoll_ctl(p->epfd, EPOLL_CTL_DEL, c->fd, NULL);	/* it may live on in a process that was forked */
	close(atomic_exchange(&c->fd, -1));
	c->out_len = 0;
	pump_post(p, EV_CONN_CLOSED, c->id, reason, err);
}

/* the peer broke the protocol: its sound ends, control answers and closes */
void
conn_break(struct pump *p, struct conn *c, int why, int64_t number)
{
	c->broken = 1;
	cut_streams(p, c);
	c->in_len = 0;
	pump_post(p, EV_PROTOCOL, c->id, why, number);
}

/* ---- input --------------------------------------------------------------------- */

void
conn_parse(struct pump *p, struct conn *c)
{
	c->blocked = 0;
	while (c->in_len > 0 && !c->broken && !c->dead) {
		long n = c->wire->take(p, c, c->in + c->in_off, c->in_len);

		if (n == TAKE_BLOCKED) {
			c->blocked = 1;
			p->nblocked++;
			atomic_store(&p->starving, 1);
			p->told = 1;		/* control may have made room before it could see that we starve */
		}
		if (n <= 0)
			break;
		c->in_off += (size_t)n;
		c->in_len -= (size_t)n;
	}
	if (c->in_len == 0)
		c->in_off = 0;
	if (c->blocked)
		conn_mode(p, c);
}

static void
conn_swept(struct pump *p, struct conn *c)	/* its socket is empty now */
{
	for (uint32_t i = 0; i < c->nslots; i++)
		if (c->slots[i].stream)
			atomic_store_explicit(&c->slots[i].stream->swept_ns, p->now, memory_order_relaxed);
}

int
conn_read(struct pump *p, struct conn *c)
{
	size_t room;
	ssize_t n;

	if (c->dead || c->broken || c->blocked)
		return 0;
	if (c->in_off > 0) {
		memmove(c->in, c->in + c->in_off, c->in_len);
		c->in_off = 0;
	}
	room = IN_SIZE - c->in_len;
	n = syscall(SYS_recvfrom, c->fd, c->in + c->in_len, room, MSG_DONTWAIT, NULL, NULL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		conn_swept(p, c);
		return 0;
	}
	if (n <= 0) {
		conn_die(p, c, n == 0 || errno == ECONNRESET ? CLOSE_EOF : CLOSE_ERROR, n == 0 ? 0 : errno);
		return 0;
	}
	c->in_len += (size_t)n;
	conn_parse(p, c);
	if ((size_t)n < room && !c->dead)
		conn_swept(p, c);
	if (c->broken && !c->dead)
		conn_mode(p, c);
	return 1;
}
