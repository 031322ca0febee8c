/*
 * wire_native.c: the native protocol as the pump speaks it: MessagePack-RPC.
 *
 * Runs on the pump.  It acts only on what the order of a started stream's data
 * depends on (write, stop, flush, close, setvol) and forwards every message
 * but write and the stops it has answered whole.
 */
#include <string.h>
#include "conn.h"

/* ---- input ----------------------------------------------------------------------- */

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
		slot_arrived(p, s, data, n);
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

static long
native_take(struct pump *p, struct conn *c, const uint8_t *msg, size_t size)
{
	long len = scan_next(&c->scan, msg, size);
	struct rd r = { msg, msg + len };
	uint64_t type, id;
	uint32_t n;

	if (len < 0)
		conn_break(p, c, (int)-len, -1);
	if (len <= 0)
		return TAKE_MORE;
	memset(&c->scan, 0, sizeof(c->scan));
	if (!rd_array(&r, &n) || !rd_uint(&r, &type) || !((type == 0 && n == 4) || (type == 2 && n == 3))) {
		conn_break(p, c, PROTO_FORMAT, -1);
		return TAKE_MORE;
	}
	if (type == 2 && rd_name(&r, "write")) {
		take_write(p, c, r);
		return c->broken ? TAKE_MORE : len;
	}
	/* room first: a message must be acted on and forwarded once */
	if (!pump_room(p, (uint32_t)len))
		return TAKE_BLOCKED;
	if (type == 0 && rd_uint(&r, &id) && take_request(p, c, id, r))
		return len;
	pump_forward(p, c, msg, (uint32_t)len);
	return len;
}

/* ---- output ---------------------------------------------------------------------- */

/* a notification about a stream, up to its number: nparams with it */
static uint8_t *
note_head(uint8_t *o, const struct stream *s, const char *method, unsigned nparams)
{
	o = wr_array(o, 3);
	o = wr_int(o, 2);
	o = wr_str(o, method);
	o = wr_array(o, nparams);
	return wr_int(o, s->number);
}

static uint8_t *
native_move(uint8_t *o, const struct stream *s, int64_t delta, int64_t pos, int64_t ns)
{
	o = note_head(o, s, "onmove", 4);
	o = wr_int(o, delta);
	o = wr_int(o, pos);
	return wr_int(o, ns);
}

static uint8_t *
native_credit(uint8_t *o, const struct stream *s, int64_t delta)
{
	return wr_int(note_head(o, s, "credit", 2), delta);
}

static uint8_t *
native_xrun(uint8_t *o, const struct stream *s, int kind)
{
	static const char *const kinds[] = { "play", "rec", "device" };

	return wr_str(note_head(o, s, "onxrun", 2), kinds[kind]);
}

static uint8_t *
native_data(uint8_t *o, const struct stream *s, uint32_t n)
{
	return wr_bin(note_head(o, s, "data", 2), n);
}

static uint32_t
native_data_most(const struct stream *s, const struct slot *sl)
{
	(void)sl;
	return DATA_MAX / s->rec->frame;
}

const struct wire wire_native = {
	.take = native_take,
	.move = native_move,
	.credit = native_credit,
	.xrun = native_xrun,
	.data = native_data,
	.data_most = native_data_most,
};
