/*
 * peer_sndio.h: a client that speaks sndio's protocol, one stream, seat 0.
 *
 * Whatever it sends, what it is told is right: outside of a start and the answer
 * to its stop only answers come; MOVE begins at 0 and is never negative; DATA has
 * whole frames, at most 4096 bytes, of one block, never ahead of MOVE; credit in
 * hand never exceeds the client's buffer; XRUN comes to those that asked.
 * c->trace has it all in short: `F96 M0 M48 X D192 V127 S A`.
 */
#ifndef PEER_SNDIO_H
#define PEER_SNDIO_H

#include "peer.h"

#define SNDIO_SIZE	40		/* bytes of a message */
#define SNDIO_DATAMAX	4096

enum sndio_cmd {
	SNDIO_ACK,
	SNDIO_GETPAR,
	SNDIO_SETPAR,
	SNDIO_START,
	SNDIO_STOP,
	SNDIO_DATA,
	SNDIO_FLOWCTL,
	SNDIO_MOVE,
	SNDIO_SETVOL = 9,
	SNDIO_HELLO,
	SNDIO_BYE,
	SNDIO_AUTH,
	SNDIO_XRUN = 17,
	SNDIO_MARK = 200,		/* of the tests: a stream begins, what it is follows */
	SNDIO_END,			/* of the tests: control has ended it */
};

static uint32_t
be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void
put_be32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static uint32_t
sndio_msg(uint8_t *b, uint32_t cmd, uint32_t v)	/* its number at 8 */
{
	memset(b, 0xff, SNDIO_SIZE);
	put_be32(b, cmd);
	put_be32(b + 8, v);
	return SNDIO_SIZE;
}

static uint32_t
sndio_stop_msg(uint8_t *b, int drain)	/* 0, 1; -1: an old client's, which is a drain */
{
	(void)sndio_msg(b, SNDIO_STOP, UINT32_MAX);
	b[8] = (uint8_t)drain;
	return SNDIO_SIZE;
}

static void
sndio_say(struct client *c, uint32_t cmd, uint32_t v)
{
	uint8_t b[SNDIO_SIZE];

	say(c, b, sndio_msg(b, cmd, v));
}

static void
sndio_say_stop(struct client *c, int drain)
{
	uint8_t b[SNDIO_SIZE];

	say(c, b, sndio_stop_msg(b, drain));
}

/* n frames in one DATA, whatever the rules are */
static void
sndio_write(struct client *c, uint32_t n)
{
	struct seat *t = &c->seats[0];
	uint32_t len = n * t->pframe;
	uint8_t *o;

	sndio_say(c, SNDIO_DATA, len);
	o = room(&c->out, &c->out_size, c->nout, len + 1);
	memset(o, 0x55, len);
	if (t->pframe % 2 == 0)
		samples(o, t->seed, t->written, n, t->pframe / 2);
	c->nout += len;
	t->written += n;
	t->wblock = t->round ? (t->wblock + n) % t->round : 0;
}

static void
sndio_play(struct client *c, uint32_t most)
{
	struct seat *t = &c->seats[0];
	int64_t n;

	if (!t->started || t->asked || t->hold)
		return;
	while (t->pframe && (n = t->granted - t->written) > 0 && t->written < t->total) {
		if (n > t->total - t->written)
			n = t->total - t->written;
		if (n > t->round - t->wblock)
			n = t->round - t->wblock;
		if (n > SNDIO_DATAMAX / t->pframe)
			n = SNDIO_DATAMAX / t->pframe;
		if (most && n > most)
			n = most;
		sndio_write(c, (uint32_t)n);
	}
	if (t->last && (t->pframe ? t->written : t->pos) >= t->total) {
		t->asked = 1;
		sndio_say_stop(c, t->last == 's');
	}
}

static void
sndio_begin(struct seat *t)		/* what comes from here on is of this stream */
{
	t->started = 1;
	t->answered = 0;
	t->granted = t->written = t->pos = t->nmoves = t->nxruns = t->received = 0;
	t->wblock = t->rblock = 0;
}

static void
trace(struct client *c, char what, int64_t n)
{
	if (c->trace == NULL)
		return;
	if (c->ntrace + 32 > c->trace_size)
		c->trace = realloc(c->trace, c->trace_size *= 2);
	CHECK(c->trace != NULL);
	c->ntrace += (size_t)snprintf(c->trace + c->ntrace, 32, n < 0 ? "%s%c" : "%s%c%lld", c->ntrace ? " " : "", what,
	    (long long)n);
}

static void
sndio_mark(struct seat *t, const uint8_t *m)
{
	CHECK(!t->started || t->answered);
	t->id = be32(m + 8);
	t->pframe = be32(m + 12);
	t->rframe = be32(m + 16);
	t->appbufsz = be32(m + 20);
	t->round = be32(m + 24);
	t->flags = be32(m + 28);
	sndio_begin(t);
}

static void
sndio_heard(struct client *c, struct seat *t, const uint8_t *m, uint32_t cmd, uint32_t v)
{
	uint32_t n;

	switch (cmd) {
	case SNDIO_FLOWCTL:
		CHECK(t->pframe && v > 0);
		CHECK(t->granted > 0 || v == t->appbufsz);	/* all of it at first */
		t->granted += v;
		if (!c->raw)			/* its own count of what it has written */
			CHECK(t->granted - t->written <= t->appbufsz);
		trace(c, 'F', v);
		break;
	case SNDIO_MOVE:
		CHECK(v <= INT32_MAX);
		CHECK(t->nmoves++ > 0 || v == 0);
		t->pos += v;
		trace(c, 'M', v);
		break;
	case SNDIO_XRUN:
		CHECK(t->flags & STREAM_TELLXRUN);
		t->nxruns++;
		trace(c, 'X', -1);
		break;
	case SNDIO_SETVOL:
		CHECK(v <= 127);
		trace(c, 'V', v);
		break;
	case SNDIO_DATA:
		CHECK(t->rframe && v > 0 && v <= SNDIO_DATAMAX && v % t->rframe == 0);
		n = v / t->rframe;
		if (t->round) {
			CHECK(n <= t->round - t->rblock);
			t->rblock = (t->rblock + n) % t->round;
		}
		t->received += n;
		CHECK(t->received <= t->pos);	/* MOVE precedes the data it covers */
		if (!c->raw) {
			memcpy(room(&t->heard, &t->heard_size, t->nheard, v), m + SNDIO_SIZE, v);
			t->nheard += v;
		}
		trace(c, 'D', v);
		break;
	case SNDIO_STOP:
		t->answered = 1;
		trace(c, 'S', -1);
		break;
	default:
		CHECK(!"a message that no client is sent");
	}
}

static size_t
sndio_hear(struct client *c)
{
	struct seat *t = &c->seats[0];
	size_t off = 0;

	for (;;) {
		const uint8_t *m = c->in + off;
		uint32_t cmd, v;
		size_t len;

		if (c->nin - off < SNDIO_SIZE)
			return off;
		cmd = be32(m);
		v = be32(m + 8);
		len = SNDIO_SIZE + (cmd == SNDIO_DATA ? v : 0);
		if (cmd == SNDIO_DATA)
			CHECK(v <= SNDIO_DATAMAX);
		if (c->nin - off < len)
			return off;
		CHECK_EQ(be32(m + 4), UINT32_MAX);
		if (cmd != SNDIO_MARK)
			for (int i = cmd == SNDIO_STOP ? 8 : 12; i < SNDIO_SIZE; i++)
				CHECK(m[i] == 0xff);
		off += len;
		switch (cmd) {
		case SNDIO_ACK:
		case SNDIO_GETPAR:
			c->nothers++;
			trace(c, cmd == SNDIO_ACK ? 'A' : 'G', -1);
			break;
		case SNDIO_MARK:
			sndio_mark(t, m);
			break;
		case SNDIO_END:
			t->started = 0;
			trace(c, 'E', -1);
			break;
		default:
			if (!t->started || t->answered) {
				fprintf(stderr, "%s: message %u while no stream is started\n", running, cmd);
				abort();
			}
			sndio_heard(c, t, m, cmd, v);
		}
	}
}

static uint32_t
sndio_started(uint8_t *b, struct seat *t, uint32_t number)	/* a start is not answered */
{
	(void)b;
	CHECK_EQ(number, 0);
	sndio_begin(t);
	return 0;
}

static const struct tongue sndio = {
	.wire = WIRE_SNDIO,
	.play = sndio_play,
	.hear = sndio_hear,
	.started = sndio_started,
};

static void
keep_trace(struct client *c)
{
	c->trace_size = 1 << 12;
	c->trace = calloc(1, c->trace_size);
	CHECK(c->trace != NULL);
}

/* what it was told since the last time */
#define CHECK_TRACE(c, want) do {							\
	(c)->trace[(c)->ntrace] = '\0';							\
	if (strcmp((c)->trace, want) != 0) {						\
		fprintf(stderr, "%s: %s:%d: told `%s`, not `%s`\n", running, __FILE__,	\
		    __LINE__, (c)->trace, want);					\
		abort();								\
	}										\
	check_count++;									\
	(c)->ntrace = 0;								\
} while (0)

#endif
