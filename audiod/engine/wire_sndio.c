/*
 * wire_sndio.c: sndio's protocol as the pump speaks it: messages of 40 bytes, big
 * endian, DATA with samples behind it; one stream a connection, number 0.
 *
 * Runs on the pump.  While the stream is started it takes DATA and STOP, and
 * applies SETVOL; BYE closes at any time; all else goes whole to control, which
 * knows what is allowed when.  Of a connection that control has taken for MIDI
 * everything goes there as it comes.  Facts: docs of the wire in protocol/SNDIO.md.
 */
#include <string.h>
#include "conn.h"

#define MSG_SIZE	40
#define DATAMAX		4096		/* bytes of samples in one DATA of ours, as libsndio expects */

enum {					/* messages that the pump knows */
	M_STOP = 4,
	M_DATA = 5,
	M_FLOWCTL = 6,
	M_MOVE = 7,
	M_SETVOL = 9,
	M_BYE = 11,
	M_XRUN = 17,
};

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void
put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static uint8_t *
message(uint8_t *o, uint32_t cmd)	/* all fields unset */
{
	memset(o, 0xff, MSG_SIZE);
	put32(o, cmd);
	return o + MSG_SIZE;
}

static uint8_t *
message_number(uint8_t *o, uint32_t cmd, uint32_t v)
{
	uint8_t *end = message(o, cmd);

	put32(o + 8, v);
	return end;
}

/* ---- input ----------------------------------------------------------------------- */

/* the server has ended the stream and the client cannot know yet: what it sends is ignored */
static int
deaf(const struct slot *sl)
{
	return sl->state == SLOT_ENDED || (sl->state == SLOT_DRAIN && sl->left == SLOT_ENDED);
}

/* the head of a DATA: may so much come now? */
static int
check_data(const struct slot *sl, uint32_t size)
{
	struct stream *s = sl->stream;
	uint32_t n;

	if (sl->state != SLOT_RUN)
		return PROTO_STREAM;
	if (s->play == NULL)
		return PROTO_MODE;
	if (size == 0)
		return PROTO_SIZE;
	if (size % s->play->frame != 0)
		return PROTO_FRAME;
	n = size / s->play->frame;
	if (s->par.round && n > s->par.round - sl->wblock)
		return PROTO_BLOCK;
	if (s->received + n > s->granted)
		return PROTO_CREDIT;
	return 0;
}

static long
take_data(struct pump *p, struct conn *c, uint32_t size)
{
	struct slot *sl = &c->slots[0];
	uint32_t n;
	int why;

	if (!deaf(sl)) {
		if ((why = check_data(sl, size)) != 0) {
			conn_break(p, c, why, 0);
			return TAKE_MORE;
		}
		n = size / sl->stream->play->frame;
		sl->stream->received += n;
		sl->wblock += n;
		if (sl->wblock == sl->stream->par.round)
			sl->wblock = 0;
		sl->taking = 1;
	}
	c->todo = size;
	return MSG_SIZE;
}

/* samples of the DATA under way, whole frames of them */
static long
take_samples(struct pump *p, struct conn *c, const uint8_t *data, size_t len)
{
	struct slot *sl = &c->slots[0];
	struct stream *s = sl->stream;
	uint32_t n = len < c->todo ? (uint32_t)len : c->todo;

	if (sl->state == SLOT_RUN && sl->taking) {
		n -= n % s->play->frame;
		if (n == 0)
			return TAKE_MORE;
		slot_arrived(p, s, data, n / s->play->frame);
	}
	c->todo -= n;
	return (long)n;
}

static long
sndio_take(struct pump *p, struct conn *c, const uint8_t *m, size_t len)
{
	struct slot *sl = &c->slots[0];
	uint8_t answer[MSG_SIZE];

	if (c->todo > 0)
		return take_samples(p, c, m, len);
	if (c->relay) {
		uint32_t n = len < RELAY_MAX ? (uint32_t)len : RELAY_MAX;

		if (!pump_room(p, n))
			return TAKE_BLOCKED;
		pump_forward(p, c, m, n);
		return (long)n;
	}
	if (len < MSG_SIZE)
		return TAKE_MORE;
	switch (get32(m)) {
	case M_DATA:
		return take_data(p, c, get32(m + 8));
	case M_BYE:
		conn_die(p, c, CLOSE_BYE, 0);
		return TAKE_MORE;
	case M_STOP:
		if (sl->state == SLOT_DRAIN && sl->left == SLOT_NONE) {	/* a second one */
			conn_break(p, c, PROTO_STOP, 0);
			return TAKE_MORE;
		}
		if (sl->state != SLOT_RUN)
			break;
		(void)message(answer, M_STOP);
		slot_stop(p, c, 0, m[8] != 0, SLOT_NONE, answer, MSG_SIZE);
		return MSG_SIZE;
	}
	if (!pump_room(p, MSG_SIZE))
		return TAKE_BLOCKED;
	if (get32(m) == M_SETVOL && sl->stream && get32(m + 8) <= 127)
		stream_setvol(sl->stream, get32(m + 8));
	pump_forward(p, c, m, MSG_SIZE);
	return MSG_SIZE;
}

/* ---- output ---------------------------------------------------------------------- */

static uint8_t *
sndio_move(uint8_t *o, const struct stream *s, int64_t delta, int64_t pos, int64_t ns)
{
	(void)s, (void)pos, (void)ns;
	return message_number(o, M_MOVE, (uint32_t)delta);
}

static uint8_t *
sndio_credit(uint8_t *o, const struct stream *s, int64_t delta)
{
	(void)s;
	return message_number(o, M_FLOWCTL, (uint32_t)delta);
}

static uint8_t *
sndio_xrun(uint8_t *o, const struct stream *s, int kind)
{
	(void)kind;
	return s->tellxrun ? message(o, M_XRUN) : o;
}

static uint8_t *
sndio_data(uint8_t *o, const struct stream *s, uint32_t n)
{
	(void)s;
	return message_number(o, M_DATA, n);
}

static uint32_t
sndio_data_most(const struct stream *s, const struct slot *sl)
{
	uint32_t most = DATAMAX / s->rec->frame, left;

	if (s->par.round == 0)
		return most;
	left = s->par.round - sl->rblock;
	return left < most ? left : most;
}

const struct wire wire_sndio = {
	.take = sndio_take,
	.move = sndio_move,
	.credit = sndio_credit,
	.xrun = sndio_xrun,
	.data = sndio_data,
	.data_most = sndio_data_most,
	.ends = 1,
};
