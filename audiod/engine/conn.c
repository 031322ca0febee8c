/*
 * conn.c: one client's socket: bytes in to streams and to control, bytes out.
 *
 * Runs on the pump.  It acts only on what the order of a started stream's data
 * depends on (write, stop, flush, close, setvol) and forwards every message
 * but write and the stops it has answered whole.  It decides nothing.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
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
		ssize_t n = send(c->fd, c->out + c->out_off, c->out_len, MSG_DONTWAIT | MSG_NOSIGNAL);

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

void
sweep_unlink(struct conn *c)
{
	if (!c->swept)
		return;
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
}

void
conn_mode(struct pump *p, struct conn *c)
{
	int sweep = c->nrun > 0 && c->nbegun == c->nrun && !c->several;
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
	close(c->fd);
	c->fd = -1;
	c->out_len = 0;
	pump_post(p, EV_CONN_CLOSED, c->id, reason, err);
}

/* the peer broke the protocol: its sound ends, control answers and closes */
static void
conn_break(struct pump *p, struct conn *c, int why, int64_t number)
{
	c->broken = 1;
	cut_streams(p, c);
	c->in_len = 0;
	pump_post(p, EV_PROTOCOL, c->id, why, number);
}

/* ---- input --------------------------------------------------------------------- */

static void
take_write(struct pump *p, struct conn *c, struct rd r)	/* at its parameters */
{
	const uint8_t *data;
	struct stream *s;
	struct slot *sl;
	uint64_t number;
	uint32_t n, len;

	if (!rd_array(&r, &n) || n != 2 || !rd_uint(&r, &number) || !rd_bytes(&r, &data, &len)) {
		conn_break(p, c, PROTO_WRITE, -1);
		return;
	}
	if (number >= CONN_NSTREAMS) {
		conn_break(p, c, PROTO_STREAM, (int64_t)(number & INT64_MAX));
		return;
	}
	sl = &c->slots[number];
	s = sl->stream;
	if (sl->state == SLOT_ENDED || (sl->state == SLOT_DRAIN && sl->left == SLOT_ENDED))
		return;				/* it could not know yet */
	if (sl->state != SLOT_RUN)
		conn_break(p, c, PROTO_STREAM, (int64_t)number);
	else if (s->play == NULL)
		conn_break(p, c, PROTO_MODE, (int64_t)number);
	else if (len > WRITE_MAX)
		conn_break(p, c, PROTO_SIZE, (int64_t)number);
	else if (len == 0 || len % s->play->frame != 0)
		conn_break(p, c, PROTO_FRAME, (int64_t)number);
	else if (s->received + len / s->play->frame > s->granted)
		conn_break(p, c, PROTO_CREDIT, (int64_t)number);
	else {
		n = len / s->play->frame;
		s->received += n;
		stream_arrived(s, data, n, p->now);
		stream_poke(s);
	}
}

/* the stream number in [{"stream": n, ...}]; only: refuse if there is more than that */
static int
rd_stream(struct rd *r, int only, uint64_t *number, uint64_t *vol)
{
	uint32_t n, i;
	uint64_t v;
	int have = 0;

	if (!rd_array(r, &n) || n != 1 || !rd_map(r, &n) || (only && n != 1))
		return 0;
	for (i = 0; i < n; i++) {
		if (rd_name(r, "stream")) {
			if (!rd_uint(r, number))
				return 0;
			have |= 1;
		} else if (vol && rd_name(r, "vol")) {
			if (!rd_uint(r, &v))
				return 0;
			*vol = v;
			have |= 2;
		} else
			return 0;
	}
	return have == (vol ? 3 : 1) && *number < CONN_NSTREAMS;
}

static uint32_t
stop_answer(uint8_t *buf, uint64_t id, uint64_t number)
{
	uint8_t *o = wr_array(buf, 4);

	o = wr_int(o, 1);
	o = wr_int(o, (int64_t)id);
	o = wr_nil(o);
	o = wr_map(o, 1);
	o = wr_str(o, "stream");
	o = wr_int(o, (int64_t)number);
	return (uint32_t)(o - buf);
}

/* act on a request; 1: it is done with, do not forward */
static int
take_request(struct pump *p, struct conn *c, uint64_t id, struct rd r)	/* at its method */
{
	uint8_t answer[ANSWER_MAX];
	uint64_t number, vol;
	int flush;

	if (rd_name(&r, "setvol")) {
		if (rd_stream(&r, 0, &number, &vol) && vol <= 127 && c->slots[number].stream)
			stream_setvol(c->slots[number].stream, (uint32_t)vol);
		return 0;
	}
	flush = rd_name(&r, "flush");
	if (flush || rd_name(&r, "stop")) {
		if (id >> 32 || !rd_stream(&r, 1, &number, NULL) || c->slots[number].state != SLOT_RUN)
			return 0;
		slot_stop(p, c, (uint32_t)number, !flush, SLOT_NONE, answer, stop_answer(answer, id, number));
		c->slots[number].request = (int64_t)id;
		return 1;
	}
	if (rd_name(&r, "close")) {
		if (rd_stream(&r, 1, &number, NULL) && c->slots[number].state == SLOT_RUN)
			slot_stop(p, c, (uint32_t)number, 1, SLOT_NONE, NULL, 0);
		return 0;
	}
	return 0;
}

/* one whole message; 0: control has no room for it, later again */
static int
take(struct pump *p, struct conn *c, const uint8_t *msg, uint32_t len)
{
	struct rd r = { msg, msg + len };
	uint64_t type, id;
	uint32_t n;

	if (!rd_array(&r, &n) || !rd_uint(&r, &type) || !((type == 0 && n == 4) || (type == 2 && n == 3))) {
		conn_break(p, c, PROTO_FORMAT, -1);
		return 1;
	}
	if (type == 2 && rd_name(&r, "write")) {
		take_write(p, c, r);
		return 1;
	}
	/* room first: a message must be acted on and forwarded once */
	if (!pump_room(p, len))
		return 0;
	if (type == 0 && rd_uint(&r, &id) && take_request(p, c, id, r))
		return 1;
	pump_forward(p, c, msg, len);
	return 1;
}

void
conn_parse(struct pump *p, struct conn *c)
{
	c->blocked = 0;
	while (c->in_len > 0 && !c->broken && !c->dead) {
		long n = scan_next(&c->scan, c->in + c->in_off, c->in_len);

		if (n == 0)
			break;
		if (n < 0) {
			conn_break(p, c, (int)-n, -1);
			break;
		}
		if (!take(p, c, c->in + c->in_off, (uint32_t)n)) {
			c->blocked = 1;
			p->nblocked++;
			atomic_store(&p->starving, 1);
			p->told = 1;		/* control may have made room before it could see that we starve */
			memset(&c->scan, 0, sizeof(c->scan));
			break;
		}
		memset(&c->scan, 0, sizeof(c->scan));
		if (c->in_len == 0)
			break;			/* it broke the protocol */
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
	n = recv(c->fd, c->in + c->in_len, room, MSG_DONTWAIT);
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
