/*
 * fuzz_pump.c: sessions that go wrong in every way, against a live engine, while
 * a neighbour plays whose every sample is compared afterwards.
 *
 *	fuzz_pump [messages [seed]]
 *
 * Input is a function of the seed alone.  A session is a connection with a few
 * started streams whose client speaks mostly sense: writes within its credit,
 * stops, volumes, in any spelling; now and then a message is cut, changed,
 * doubled, oversized, nested too deep, or the rest is noise; the peer may not
 * read, and may be gone at any byte.  Control answers, stops, ends, starts and
 * closes at random.  live.h checks that everything comes back exactly once.
 */
#include "neighbour.h"

#define NSESSIONS	8		/* at once */

static uint32_t seed;

static uint32_t
rnd(uint32_t n)				/* 0 .. n - 1 */
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % n;
}

static uint8_t *
any_uint(uint8_t *o, uint64_t v)	/* in any spelling that holds it */
{
	static const uint8_t tags[] = { 0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd1, 0xd2, 0xd3 };
	uint32_t k = rnd(16);
	int n;

	if (k >= 8)
		return wr_int(o, (int64_t)v);
	n = 1 << (k % 4);
	if (n < 8 && v >> (8 * n - (k >= 4)))
		return wr_int(o, (int64_t)v);
	*o++ = tags[k];
	while (n-- > 0)
		*o++ = (uint8_t)(v >> (8 * n));
	return o;
}

static uint8_t *
any_name(uint8_t *o, const char *name)	/* str or bin */
{
	uint32_t n = (uint32_t)strlen(name);

	if (rnd(4) > 0)
		return wr_str(o, name);
	o = wr_bin(o, n);
	memcpy(o, name, n);
	return o + n;
}

static uint8_t *
any_number(uint8_t *o)			/* mostly a stream that is there */
{
	return any_uint(o, rnd(60) ? rnd(3) : rnd(2) ? rnd(2000) : (uint64_t)seed << rnd(33));
}

static uint8_t *
a_write(struct client *c, uint8_t *o)
{
	uint32_t number = rnd(3), n;
	struct seat *t = &c->seats[number];
	int64_t credit = t->granted - t->written;

	if (t->pframe == 0 || credit <= 0) {
		if (rnd(50))
			return o;		/* it waits */
		credit = 1 + rnd(3);
	}
	n = (uint32_t)(rnd(100) == 0 ? credit + 1 : 1 + rnd((uint32_t)(credit < 200 ? credit : 200)));
	t->written += n;
	n *= t->pframe ? t->pframe : 1;
	if (rnd(200) == 0)
		n += 1 + rnd(3);
	o = any_name(wr_int(wr_array(o, 3), 2), "write");
	o = wr_bin(any_uint(wr_array(o, 2), number), n);
	memset(o, (int)rnd(256), n);
	return o + n;
}

static uint8_t *
a_request(uint8_t *o)
{
	static const char *const names[] = { "stop", "flush", "close", "setvol", "getpar", "start", "hello", "stops", "" };
	uint32_t k = rnd(200) < 190 ? 3 + rnd(6) : rnd(3);

	o = any_name(any_uint(any_uint(wr_array(o, 4), 0), rnd(9) ? rnd(1000) : (uint64_t)seed << rnd(33)), names[k]);
	if (rnd(20) == 0)
		return wr_nil(o);
	o = wr_map(wr_array(o, 1), k == 3 ? 2 : rnd(20) ? 1 : 2);
	if (k == 3)
		o = any_uint(any_name(o, "vol"), rnd(140));
	o = any_number(any_name(o, rnd(30) ? "stream" : "flow"));
	return k != 3 && (o[-1] & 1) && rnd(20) == 0 ? wr_nil(wr_str(o, "x")) : o;
}

static size_t
mutated(uint8_t *b, size_t n, size_t size)
{
	size_t at = n ? rnd((uint32_t)n) : 0, k;

	switch (rnd(8)) {
	case 0:					/* cut short */
		return at;
	case 1:					/* a byte changed */
		b[at] = (uint8_t)rnd(256);
		return n;
	case 2:					/* noise in the middle */
		for (k = rnd(40); k > 0 && n < size; k--)
			b[n++] = (uint8_t)rnd(256);
		return n;
	case 3:					/* something huge is announced */
		b[0] = 0x93;
		b[1] = 2;
		b[2] = (uint8_t)"\xc6\xc9\xdb\xdd\xdf"[rnd(5)];
		for (k = 3; k < 7; k++)
			b[k] = (uint8_t)rnd(256);
		return 7;
	case 4:					/* a bomb */
		memset(b, (int)(rnd(2) ? 0x91 : 0x81), n = 1 + rnd(100));
		b[0] = 0x93;
		return n;
	case 5:					/* as large as may be, or a little more */
		k = MSG_MAX - 8 + (rnd(4) == 0);
		memcpy(b, "\x93\x02\x00\xc6", 4);
		b[4] = 0;
		b[5] = (uint8_t)(k >> 16);
		b[6] = (uint8_t)(k >> 8);
		b[7] = (uint8_t)k;
		memset(b + 8, 0x7f, k);
		return k + 8;
	case 6:					/* twice */
		if (2 * n <= size)
			memcpy(b + n, b, n);
		return 2 * n <= size ? 2 * n : n;
	default:				/* nothing but noise */
		for (k = 0; k < n; k++)
			b[k] = (uint8_t)rnd(256);
		return n;
	}
}

static int
speak(struct client *c)			/* 1: it had something to say */
{
	static uint8_t b[1 << 18];
	uint8_t *o = b;

	switch (rnd(8)) {
	case 0:
	case 1:
		o = a_request(o);
		break;
	case 2:					/* a notification that nobody knows */
		o = wr_nil(any_name(any_uint(wr_array(o, 3), 2), rnd(2) ? "wrote" : ""));
		break;
	default:
		o = a_write(c, o);
	}
	if (o > b)
		say(c, b, rnd(60) ? (size_t)(o - b) : mutated(b, (size_t)(o - b), sizeof(b)));
	return o > b;
}

/* ---- control ------------------------------------------------------------------------------- */

static void
start_any(struct world *w, struct client *c, uint32_t number, device *d)
{
	static const struct encoding encs[] = { { 16, 2, 1, 1, 1, 0 }, { 24, 4, 1, 1, 0, 0 }, { 24, 3, 1, 0, 1, 0 },
	    { 8, 1, 0, 1, 1, 0 }, { 32, 4, 1, 1, 0, 1 }, { 64, 8, 1, 1, 0, 1 } };
	static const uint32_t rates[] = { 48000, 44100, 8000, 96000 };
	struct stream_par p = { .enc = encs[rnd(6)], .flags = 1 + rnd(7), .rate = rates[rnd(4)], .pchan = 1 + rnd(3),
	    .rchan = 1 + rnd(3), .appbufsz = 200 + rnd(3000), .xrun = rnd(3), .pmin = 2, .pmax = 3, .rmin = rnd(4),
	    .rmax = 3, .join = 1, .vol = rnd(128), .maxvol = 127 };
	uint32_t id = stream_make(w, d, &p);
	struct seat *t = &c->seats[number];
	uint8_t b[64];

	*t = (struct seat){ .pframe = p.flags & STREAM_PLAY ? p.pchan * p.enc.bps : 0 };
	CHECK_EQ(conn_start(c->c, w->streams[id].s, number, b, answer(b, number, 1)), 0);
}

static struct client *
session_new(struct world *w, device *d)
{
	struct client *c = client_new(w);

	c->raw = 1;
	c->deaf = rnd(8) == 0;
	c->chunk = rnd(3) ? 0 : 1 + rnd(300);
	for (uint32_t i = 0; i < 1 + rnd(3); i++)
		start_any(w, c, i, d);
	return c;
}

static void
meddle(struct world *w, struct client *c, device *d)
{
	static uint8_t blob[8192] = { 0x93, 2, 0xc5, 0x1f, 0xfa };	/* [2, bin, 0] */
	uint32_t number = rnd(3);
	uint8_t b[64];

	switch (rnd(9)) {
	case 0:
		conn_stop(c->c, number, (int)rnd(2), b, answer(b, number, STOP_ID));
		break;
	case 1:
		conn_end(c->c, number, b, answer(b, number, CLOSE_ID));
		break;
	case 2:
	case 3:
	case 4:
		start_any(w, c, number, d);	/* the number may be taken: then it is given back at once */
		break;
	case 5:
		conn_send(c->c, blob, sizeof(blob));
		break;
	case 6:
		engine_sync(w->e, 1);
		break;
	case 7:
		conn_close(c->c, (int)rnd(2));
		break;
	default:
		c->deaf = !c->deaf;
	}
}

static long
sessions(struct world *w, struct neighbour *nb, long nmessages)
{
	struct client *s[NSESSIONS] = { 0 };
	long nbroken = 0, n = 0;

	while (n < nmessages) {
		uint32_t k = rnd(NSESSIONS);
		struct client *c = s[k];

		if (c && (c->fd < 0 || c->eof || c->c == NULL || w->conns[c->id].nbroken)) {
			nbroken += w->conns[c->id].nbroken;
			if (c->c && w->conns[c->id].nbroken) {
				conn_send(c->c, "\x93\x02\xa5" "error\x90", 9);
				conn_close(c->c, c->deaf || c->fd < 0 ? 0 : 1);
			}
			BEAT_UNTIL(w, nb, c->c == NULL);
			client_free(w, c);
			s[k] = c = NULL;
		}
		if (c == NULL)
			s[k] = c = session_new(w, nb->d);
		if (c->nout < 300000)
			n += speak(c);
		if (rnd(60) == 0)
			meddle(w, c, nb->d);
		if (rnd(300) == 0)
			client_kill(c);
		if (rnd(8) == 0)
			turn_for(w, 0);
		if (rnd(40) == 0)
			beat(w, nb);
	}
	return nbroken;
}

int
main(int argc, char **argv)
{
	long nmessages = argc > 1 ? atol(argv[1]) : 20000, nbroken;
	struct neighbour nb;
	struct world w;

	seed = argc > 2 ? (uint32_t)atol(argv[2]) | 1 : 2463534242u;
	running = "fuzz_pump";
	signal(SIGALRM, too_long);
	alarm(60 + (unsigned)(nmessages / 1000));
	world_open(&w);
	neighbour_start(&w, &nb);
	nbroken = sessions(&w, &nb, nmessages);
	printf("%ld messages in %u sessions with %u streams, %ld ended by a breach; %lld blocks beside them\n", nmessages,
	    w.nconns - 1, w.nstreams - 1, nbroken, (long long)nb.nblocks);
	CHECK(nmessages < 1000 || nbroken > nmessages / 1000);	/* it did bite */
	neighbour_end(&w, &nb);
	world_close(&w);
	CHECK_DONE();
}
