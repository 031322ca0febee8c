/*
 * fuzz_sndio.c: sessions of sndio's protocol that go wrong in every way, against
 * a live engine, while a neighbour of the same protocol plays whose every sample
 * is compared afterwards.
 *
 *	fuzz_sndio [messages [seed]]
 *
 * What is said comes from the seed; what it meets is the threads' affair.  A
 * client speaks mostly sense: it starts, writes within its credit and its block,
 * stops, starts again; now and then a message is cut, changed, doubled, of a wrong
 * or huge size, or the rest is noise; the peer may not read, and may be gone at any
 * byte.  Control, played by the test, answers by the book, and besides stops, ends,
 * moves and closes at random; a second device fails, runs dry and goes away, a
 * third has a clock of its own.  What any client is told is right nevertheless
 * (peer_sndio.h): a mark, sent as the answer to a start, says which stream begins.
 */
#include "neighbour.h"

#define NSESSIONS	8		/* at once */

struct session {
	struct client *c;
	uint32_t id;			/* control: its last stream, 0 none */
	int ended;			/* control: ... which it has ended itself */
	int refused;			/* control: closed for what it has said */
	struct stream_par par;		/* ... as it was made */
	int timed;			/* ... has been on the third device */
	int relayed;			/* control: taken for MIDI */
	int starting, stopping;		/* client: what it waits for */
};

static struct session sessions[NSESSIONS];
static device *shaky, *timed;		/* the second device, the third */
static device *steady;			/* the neighbour's */
static long nclosed;			/* by control, for what a client has said */
static long nrelayed;			/* bytes */
static uint32_t seed;

static uint32_t
rnd(uint32_t n)				/* 0 .. n - 1 */
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % n;
}

/* ---- the client ------------------------------------------------------------------------------- */

static uint32_t
bad_size(const struct seat *t)
{
	uint32_t frame = t->pframe ? t->pframe : 4;

	switch (rnd(6)) {
	case 0:
		return 0;
	case 1:
		return frame * (1 + rnd(9)) + 1 + rnd(frame);
	case 2:
		return frame * (t->round - t->wblock + 1 + rnd(3));
	case 3:
		return (uint32_t)(t->granted - t->written + 1 + rnd(3)) * frame;
	case 4:
		return seed;
	default:
		return seed / frame * frame;
	}
}

/* DATA within the rules, as far as the client knows; 0: it waits */
static uint32_t
a_data(struct seat *t, uint8_t *b)
{
	int64_t n = t->granted - t->written;

	if (t->pframe == 0 || n <= 0) {
		if (rnd(200))
			return 0;
		n = 1;
	}
	if (rnd(300) == 0) {
		uint32_t size = bad_size(t), len = size < 4096 ? size : rnd(4096);

		memset(b + SNDIO_SIZE, 0x33, len);
		return sndio_msg(b, SNDIO_DATA, size) + len;
	}
	if (n > t->round - t->wblock)
		n = t->round - t->wblock;
	if (rnd(3) == 0)
		n = 1 + rnd((uint32_t)n);
	t->written += n;
	t->wblock = (t->wblock + (uint32_t)n) % t->round;
	n *= t->pframe ? t->pframe : 1;
	memset(b + SNDIO_SIZE, (int)rnd(256), (size_t)n);
	return sndio_msg(b, SNDIO_DATA, (uint32_t)n) + (uint32_t)n;
}

static uint32_t
a_message(struct session *s, uint8_t *b)
{
	static const uint32_t calm[] = { SNDIO_SETPAR, SNDIO_GETPAR, SNDIO_AUTH, SNDIO_HELLO };
	struct seat *t = &s->c->seats[0];
	int on = t->started && !t->answered;

	if (on)
		s->starting = 0;
	else
		s->stopping = 0;
	switch (rnd(400)) {			/* at the wrong time, as a rule */
	case 0:
		return sndio_msg(b, rnd(20), rnd(200));
	case 1:
		return sndio_msg(b, seed, seed);
	case 2:
		return sndio_msg(b, SNDIO_START, rnd(2));
	case 3:
		return sndio_stop_msg(b, (int)rnd(3));
	case 4:
		return sndio_msg(b, SNDIO_BYE, 0);
	case 5:
		return sndio_msg(b, SNDIO_DATA, bad_size(t));
	}
	if (rnd(25) == 0)
		return sndio_msg(b, SNDIO_SETVOL, rnd(rnd(50) ? 128 : 256));
	if (on && s->stopping)
		return 0;
	if (on && rnd(60) == 0) {
		s->stopping = 1;
		return sndio_stop_msg(b, (int)rnd(3) - 1);
	}
	if (on)
		return a_data(t, b);
	if (s->starting)
		return 0;
	if (rnd(4) == 0)
		return sndio_msg(b, calm[rnd(4)], seed);
	s->starting = 1;
	return sndio_msg(b, SNDIO_START, rnd(2));
}

static size_t
mutated(uint8_t *b, size_t n, size_t size)
{
	size_t at = rnd((uint32_t)n), k;

	switch (rnd(7)) {
	case 0:					/* cut short */
		return at;
	case 1:					/* a byte changed */
		b[at] = (uint8_t)rnd(256);
		return n;
	case 2:					/* a byte of what matters changed */
		b[rnd(2) ? 3 : 8 + rnd(4)] = (uint8_t)rnd(256);
		return n;
	case 3:					/* noise behind it */
		for (k = rnd(90); k > 0 && n < size; k--)
			b[n++] = (uint8_t)rnd(256);
		return n;
	case 4:					/* samples that nobody announced, or that never come */
		return sndio_msg(b, SNDIO_DATA, 1 + rnd(5000)) + rnd((uint32_t)(size - SNDIO_SIZE));
	case 5:					/* twice */
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
speak(struct session *s)		/* 1: it had something to say */
{
	static uint8_t b[1 << 17];
	uint32_t n = a_message(s, b);

	if (n > 0)
		say(s->c, b, rnd(200) ? n : mutated(b, n, 1 << 14));
	return n > 0;
}

/* ---- control ------------------------------------------------------------------------------------ */

static int
live(struct world *w, const struct session *s)	/* as far as control knows */
{
	return s->id && !s->ended && !w->streams[s->id].nstopped && !w->streams[s->id].nended;
}

static void
begin(struct world *w, struct session *s)
{
	static const struct encoding encs[] = { { 16, 2, 1, 1, 1, 0 }, { 24, 4, 1, 1, 0, 0 }, { 24, 3, 1, 0, 1, 0 },
	    { 8, 1, 0, 1, 1, 0 }, { 20, 3, 0, 0, 0, 0 } };
	static const uint32_t rates[] = { 48000, 44100, 8000, 96000 };
	static const uint32_t rounds[] = { 48, 44, 8, 96 };
	uint32_t k = rnd(4);
	struct stream_par p = { .enc = encs[rnd(5)], .flags = 1 + rnd(7), .rate = rates[k], .pchan = 1 + rnd(3),
	    .rchan = 1 + rnd(3), .appbufsz = 100 + rnd(rnd(4) ? 300 : 6000), .xrun = rnd(8) ? rnd(2) : 2, .pmin = 2,
	    .pmax = 3, .rmin = (int32_t)rnd(4), .rmax = 3, .join = 1, .vol = rnd(128), .maxvol = 127,
	    .round = rounds[k] };
	uint32_t id;
	uint8_t b[SNDIO_SIZE];

	if (rnd(2))
		p.flags |= STREAM_TELLXRUN;
	s->timed = rnd(6) == 0;
	id = stream_make(w, s->timed ? timed : rnd(4) ? steady : shaky, &p);
	(void)sndio_msg(b, SNDIO_MARK, id);
	put_be32(b + 12, p.flags & STREAM_PLAY ? p.pchan * p.enc.bps : 0);
	put_be32(b + 16, p.flags & (STREAM_REC | STREAM_MON) ? p.rchan * p.enc.bps : 0);
	put_be32(b + 20, p.appbufsz);
	put_be32(b + 24, p.round);
	put_be32(b + 28, p.flags);
	s->id = id;
	s->ended = 0;
	s->par = p;
	CHECK_EQ(conn_start(s->c->c, w->streams[id].s, 0, b, sizeof(b)), 0);
}

static void
refuse(struct session *s)
{
	if (rnd(10) == 0)			/* or overlooks it */
		return;
	nclosed += !s->refused;
	s->refused = 1;
	CHECK_EQ(conn_close(s->c->c, (int)rnd(2)), 0);
}

static void
message(struct world *w, struct client *c, const uint8_t *m, uint32_t len)
{
	struct session *s = sessions;
	uint8_t b[SNDIO_SIZE];

	while (s->c != c)
		s++;
	if (s->relayed) {
		CHECK(len > 0 && len <= RELAY_MAX);
		nrelayed += len;
		return;
	}
	CHECK_EQ(len, SNDIO_SIZE);
	switch (be32(m)) {
	case SNDIO_AUTH:
	case SNDIO_SETPAR:
		break;
	case SNDIO_HELLO:
		if (rnd(16) == 0) {
			s->relayed = 1;		/* what the pump has sent already comes, and all of it once */
			CHECK_EQ(conn_relay(c->c), 0);
		}
		CHECK_EQ(conn_send(c->c, b, sndio_msg(b, SNDIO_ACK, UINT32_MAX)), 0);
		break;
	case SNDIO_GETPAR:
		if (live(w, s))
			refuse(s);
		CHECK_EQ(conn_send(c->c, b, sndio_msg(b, SNDIO_GETPAR, UINT32_MAX)), 0);
		break;
	case SNDIO_START:
		if (live(w, s))
			refuse(s);
		else
			begin(w, s);
		break;
	case SNDIO_STOP:
		if (!live(w, s))
			refuse(s);
		else
			CHECK_EQ(conn_stop(c->c, 0, m[8] != 0, b, sndio_msg(b, SNDIO_STOP, UINT32_MAX)), 0);
		break;
	case SNDIO_SETVOL:
		if (be32(m + 8) > 127)
			refuse(s);
		break;
	case SNDIO_DATA:			/* the pump's alone, and so is a BYE */
	case SNDIO_BYE:
		CHECK(!"a message that control is never given");
		break;
	default:
		refuse(s);
	}
}

static void
meddle(struct world *w, struct session *s)
{
	static uint8_t many[200 * SNDIO_SIZE];
	conn *c = s->c->c;
	uint8_t b[SNDIO_SIZE];
	stream *st = s->id ? w->streams[s->id].s : NULL;
	uint32_t number;

	switch (rnd(10)) {
	case 0:
		CHECK_EQ(conn_stop(c, 0, (int)rnd(2), b, sndio_msg(b, SNDIO_STOP, UINT32_MAX)), 0);
		break;
	case 1:
		if (!live(w, s))
			break;
		s->ended = 1;
		CHECK_EQ(conn_end(c, 0, b, sndio_msg(b, SNDIO_END, UINT32_MAX)), 0);
		break;
	case 2:
	case 3:
		CHECK_EQ(conn_tell(c, 0, b, sndio_msg(b, SNDIO_SETVOL, rnd(128))), 0);
		break;
	case 4:
		for (int i = 0; i < 200; i++)
			(void)sndio_msg(many + i * SNDIO_SIZE, SNDIO_GETPAR, UINT32_MAX);
		CHECK_EQ(conn_send(c, many, sizeof(many)), 0);
		break;
	case 5:
		CHECK_EQ(conn_await(c), 0);
		CHECK_EQ(engine_sync(w->e, 1), 0);
		break;
	case 6:
		if (rnd(4) == 0)
			CHECK_EQ(conn_close(c, (int)rnd(2)), 0);
		break;
	case 7:
		if (st == NULL || !live(w, s))
			break;
		number = rnd(5);
		s->timed |= number == 4;
		(void)stream_move(st, number == 4 ? timed : number & 1 ? steady : shaky, &s->par);
		break;
	default:
		s->c->deaf = !s->c->deaf;
	}
}

/* no clock runs now but the third's: whatever a client does, no more is queued for it than its buffer */
static void
check_queue(struct world *w, const struct session *s)
{
	stream *st = s->id ? w->streams[s->id].s : NULL;
	struct stream_stats stats;

	if (st == NULL || s->timed || !(s->par.flags & STREAM_PLAY))
		return;
	stream_getstats(st, &stats);
	CHECK(stats.written - stats.consumed <= s->par.appbufsz);
}

/* ---- the second device ---------------------------------------------------------------------------- */

static void
shaky_open(struct world *w)
{
	struct device_conf dc = { .driver = "manual", .arg = rnd(4) ? "" : "/dev/full", .stall_ms = 60000,
	    .par = { { 16, 2, 1, 1, 1, 0 }, 48000, 48, 192, 4, 4, 0 }, .xrun_every_ns = rnd(2) ? 20 * 1000000 : 0 };
	char err[256];

	CHECK_EQ(device_open(w->e, (uint32_t)w->ndevices++, &dc, &shaky, err, sizeof(err)), 0);
}

/* ---- all of it -------------------------------------------------------------------------------------- */

static void
session_new(struct world *w, struct session *s)
{
	*s = (struct session){ .c = client_speaks(w, &sndio) };
	s->c->raw = 1;
	s->c->seats[0].round = 48;		/* until it has a stream */
	s->c->deaf = rnd(8) == 0;
	s->c->chunk = rnd(3) ? 0 : 1 + rnd(300);
}

static long
run(struct world *w, struct neighbour *nb, long nmessages)
{
	long nbroken = 0, n = 0;

	for (long i = 0; n < nmessages; i++) {
		struct session *s = &sessions[rnd(NSESSIONS)];
		struct client *c = s->c;

		if (c && (c->fd < 0 || c->eof || c->c == NULL || w->conns[c->id].nbroken)) {
			if (c->c && w->conns[c->id].nbroken)
				CHECK_EQ(conn_close(c->c, c->deaf ? 0 : (int)rnd(2)), 0);	/* who does not read is not waited for */
			BEAT_UNTIL(w, nb, c->c == NULL);
			nbroken += w->conns[c->id].nbroken;
			client_free(w, c);
			s->c = c = NULL;
		}
		if (c == NULL) {
			session_new(w, s);
			c = s->c;
		}
		if (c->nout < 300000)
			n += speak(s);
		check_queue(w, s);
		if (rnd(100) == 0)
			meddle(w, s);
		if (rnd(1000) == 0)
			client_kill(c);
		if (rnd(8) == 0)
			turn_for(w, 0);
		if (rnd(40) == 0)
			beat(w, nb);
		if (rnd(60) == 0)
			device_step(shaky, 1 + rnd(3));
		if (rnd(3000) == 0) {
			device_close(shaky);
			shaky_open(w);
		}
		CHECK(i < 1000 * (nmessages + 100));	/* they do speak */
	}
	return nbroken;
}

int
main(int argc, char **argv)
{
	long nmessages = argc > 1 ? atol(argv[1]) : 20000, nbroken, nstarted = 0;
	struct neighbour nb;
	struct world w;

	seed = argc > 2 ? (uint32_t)atol(argv[2]) | 1 : 2463534242u;
	running = "fuzz_sndio";
	signal(SIGALRM, too_long);
	alarm(60 + (unsigned)(nmessages / 1000));
	world_open(&w);
	w.message = message;
	neighbour_speaks(&w, &nb, &sndio);
	steady = nb.d;
	shaky_open(&w);
	timed = open_device(&w, "loopback", "", 0, 48, 4);
	nbroken = run(&w, &nb, nmessages);
	printf("%ld messages in %u sessions with %u streams, %ld ended by a breach; %lld blocks beside them\n", nmessages,
	    w.nconns - 1, w.nstreams - 1, nbroken + nclosed, (long long)nb.nblocks);
	CHECK(nmessages < 1000 || nbroken > nmessages / 1000);	/* it did bite */
	for (uint32_t i = 1; i <= w.nstreams; i++)
		nstarted += w.streams[i].nstopped;
	CHECK(nmessages < 1000 || nstarted > nmessages / 1000);	/* and much went well */
	CHECK(nmessages < 20000 || nrelayed > nmessages / 10);	/* bytes: how many is chance */
	device_close(shaky);
	device_close(timed);
	w.message = NULL;
	neighbour_end(&w, &nb);
	world_close(&w);
	CHECK_DONE();
}
