/*
 * peer_native.h: a client that speaks the native protocol, MessagePack-RPC.
 *
 * Nothing of a stream precedes the answer to its start or follows the answer to
 * its stop, onmove begins at 0 and adds up, recorded data never runs ahead of it.
 */
#ifndef PEER_NATIVE_H
#define PEER_NATIVE_H

#include "msg.h"
#include "peer.h"

#define STOP_ID		2		/* id of a request: 16 * number + one of these */
#define FLUSH_ID	3
#define CLOSE_ID	4

static void
ask(struct client *c, const char *method, uint32_t number, uint32_t id)
{
	uint8_t b[64], *o = wr_array(b, 4);

	o = wr_str(wr_int(wr_int(o, 0), 16 * number + id), method);
	o = wr_map(wr_array(o, 1), 1);
	o = wr_int(wr_str(o, "stream"), number);
	say(c, b, (size_t)(o - b));
}

static void
write_frames(struct client *c, uint32_t number, uint32_t n)
{
	struct seat *t = &c->seats[number];
	uint32_t len = n * t->pframe;
	uint8_t *o = room(&c->out, &c->out_size, c->nout, len + 32), *b = o;

	o = wr_str(wr_int(wr_array(o, 3), 2), "write");
	o = wr_bin(wr_int(wr_array(o, 2), number), len);
	samples(o, t->seed, t->written, n, t->pframe / 2);
	c->nout += (size_t)(o - b) + len;
	t->written += n;
}

static void
native_play(struct client *c, uint32_t most)
{
	for (uint32_t i = 0; i < NSEATS; i++) {
		struct seat *t = &c->seats[i];
		int64_t n;

		if (!t->started || t->asked || t->gone || t->hold)
			continue;
		while (t->pframe && (n = t->granted - t->written) > 0 && t->written < t->total) {
			if (n > t->total - t->written)
				n = t->total - t->written;
			if (n > WRITE_MAX / t->pframe)
				n = WRITE_MAX / t->pframe;
			if (most && n > most)
				n = most;
			write_frames(c, i, (uint32_t)n);
		}
		if (t->last && (t->pframe ? t->written : t->pos) >= t->total) {
			t->asked = 1;
			if (t->last == 'c')
				ask(c, "close", i, CLOSE_ID);
			else
				ask(c, t->last == 'f' ? "flush" : "stop", i, t->last == 'f' ? FLUSH_ID : STOP_ID);
		}
	}
}

static struct seat *
seat_of(struct client *c, struct rd *r)
{
	uint64_t number;
	struct seat *t;

	CHECK(rd_uint(r, &number) && number < NSEATS);
	t = &c->seats[number];
	CHECK(t->started);		/* nothing before the answer to start */
	CHECK(!t->answered && !t->gone);	/* nothing after the answer to its stop */
	return t;
}

static void
notification(struct client *c, struct rd r)
{
	const uint8_t *p;
	uint64_t a, b, ns;
	struct seat *t;
	uint32_t n;

	if (rd_name(&r, "credit")) {
		CHECK(rd_array(&r, &n) && n == 2);
		t = seat_of(c, &r);
		CHECK(rd_uint(&r, &a) && a > 0);
		t->granted += (int64_t)a;
	} else if (rd_name(&r, "onmove")) {
		CHECK(rd_array(&r, &n) && n == 4);
		t = seat_of(c, &r);
		CHECK(rd_uint(&r, &a) && rd_uint(&r, &b) && rd_uint(&r, &ns) && ns > 0);
		CHECK_EQ(b, t->pos + (int64_t)a);
		CHECK(t->nmoves > 0 || (a == 0 && b == 0));
		t->pos = (int64_t)b;
		t->nmoves++;
	} else if (rd_name(&r, "onxrun")) {
		CHECK(rd_array(&r, &n) && n == 2);
		t = seat_of(c, &r);
		CHECK(rd_bytes(&r, &p, &n) && n > 0);
		t->nxruns++;
	} else if (rd_name(&r, "data")) {
		CHECK(rd_array(&r, &n) && n == 2);
		t = seat_of(c, &r);
		CHECK(rd_bytes(&r, &p, &n) && n > 0 && t->rframe && n % t->rframe == 0);
		memcpy(room(&t->heard, &t->heard_size, t->nheard, n), p, n);
		t->nheard += n;
		if ((int64_t)(t->nheard / t->rframe) > t->pos) {	/* onmove precedes the data it covers */
			fprintf(stderr, "%s: stream %u: %zu frames heard at position %lld\n", running, t->id,
			    t->nheard / t->rframe, (long long)t->pos);
			abort();
		}
	} else if (rd_name(&r, "onstate")) {
		CHECK(rd_array(&r, &n) && n == 3);
		t = seat_of(c, &r);
		t->gone = 1;
	} else
		c->nothers++;
}

static void
credit_only(struct client *c, struct rd r)
{
	uint64_t number, n;
	uint32_t len;

	if (rd_name(&r, "credit") && rd_array(&r, &len) && rd_uint(&r, &number) && rd_uint(&r, &n))
		c->seats[number % NSEATS].granted += (int64_t)n;
}

static void
response(struct client *c, struct rd r)
{
	uint64_t id, number;
	uint32_t n;

	CHECK(rd_uint(&r, &id));
	number = id / 16;
	if (number >= NSEATS || id % 16 == 0) {
		c->nothers++;
		return;
	}
	CHECK(r.end - r.p > 1 && *r.p == 0xc0);		/* no error */
	r.p++;
	CHECK(rd_map(&r, &n) && n == 1 && rd_name(&r, "stream") && rd_uint(&r, &id));
	CHECK_EQ(id, number);
	if (!c->seats[number].started)
		c->seats[number].started = 1;
	else {
		CHECK(!c->seats[number].answered);	/* one answer */
		c->seats[number].answered = 1;
	}
}

static size_t
native_hear(struct client *c)
{
	struct scan s = { 0 };
	size_t off = 0;
	uint64_t type;
	uint32_t len;
	long k;

	while ((k = scan_next(&s, c->in + off, c->nin - off)) > 0) {
		struct rd r = { c->in + off, c->in + off + k };

		CHECK(rd_array(&r, &len) && rd_uint(&r, &type));
		if (c->raw)
			credit_only(c, r);
		else if (type == 1)
			response(c, r);
		else
			notification(c, r);
		off += (size_t)k;
		memset(&s, 0, sizeof(s));
	}
	CHECK(k == 0);
	return off;
}

static uint32_t
answer(uint8_t *b, uint32_t number, uint32_t id)
{
	uint8_t *o = wr_nil(wr_int(wr_int(wr_array(b, 4), 1), 16 * number + id));

	o = wr_int(wr_str(wr_map(o, 1), "stream"), number);
	return (uint32_t)(o - b);
}

static uint32_t
native_started(uint8_t *b, struct seat *t, uint32_t number)
{
	(void)t;
	return answer(b, number, 1);
}

static const struct tongue native = {
	.wire = WIRE_NATIVE,
	.play = native_play,
	.hear = native_hear,
	.started = native_started,
};

#endif
