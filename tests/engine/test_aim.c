/*
 * test_aim.c: streams are ducked, held and let go while their clients write,
 * stop and vanish, while they move and while devices close: with the real
 * threads, under ASan and TSan.  What happens to the samples is
 * tests/engine/test_aim.py and test_hold.py.
 */
#include "stage.h"

static const struct curve qnx = { 2, { 0.2f, 0.8f }, { 0.1f, 0.9f } };

static struct stream_par
roomy(uint32_t flags)
{
	struct stream_par p = s16;

	p.flags = flags;
	p.appbufsz = 960;
	p.round = 48;
	return p;
}

static uint32_t
dice(uint32_t n)
{
	static uint32_t x = 1;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x % n;
}

static int
hold(stream *s, uint32_t nframes)
{
	int number = stream_aim(s, NULL, 0, NULL, nframes, 1);

	CHECK(number > 0);
	return number;
}

static int
let_go(stream *s)
{
	int number = stream_aim(s, NULL, 0, &qnx, 48, 0);

	CHECK(number > 0);
	return number;
}

static void
any(stream *s)				/* whatever control may want */
{
	float gains[3];

	for (int i = 0; i < 3; i++)
		gains[i] = (float)dice(101) / 100;
	CHECK(stream_aim(s, gains, dice(4), dice(2) ? &qnx : NULL, dice(300), dice(3) == 0) > 0);
}

/* all of it at once, on two devices, for as long as it takes the clients to play what they have */
static void
test_storm(const char *driver)
{
	enum { NPEERS = 8, NTURNS = 600 };
	struct client *c[NPEERS];
	struct seat *t[NPEERS];
	struct stream_par par;
	struct world w;
	device *d[2];
	int left = NPEERS;

	world_open(&w);
	d[0] = open_device(&w, driver, "", 0, 48, 2);
	d[1] = open_device(&w, driver, "", 0, 96, 2);
	for (int i = 0; i < NPEERS; i++) {
		par = roomy(i % 4 == 3 ? STREAM_PLAY | STREAM_REC : STREAM_PLAY);
		par.start = i % 4 == 1 ? START_DATA : i % 4 == 2 ? START_GO : START_FULL;
		c[i] = client_speaks(&w, i % 2 ? &sndio : &native);
		t[i] = start(&w, c[i], 0, d[i % 2], &par, 48 * 200, 's');
		if (par.start == START_GO)
			CHECK_EQ(stream_go(w.streams[t[i]->id].s), 0);
	}
	for (int n = 0; left > 0; n++) {
		struct live_stream *ls = &w.streams[t[dice(NPEERS)]->id];

		if (n % 16 < 2)
			engine_gather(w.e, n % 16 == 0 && n < NTURNS);
		if (n < NTURNS && ls->s) {
			any(ls->s);
			if (dice(4) == 0) {
				par = roomy(STREAM_PLAY);
				(void)stream_move(ls->s, d[dice(2)], &par);
			}
			if (dice(8) == 0)
				CHECK_EQ(device_setcurve(d[dice(2)], dice(2) ? &qnx : NULL, dice(500)), 0);
			stream_setvol(ls->s, dice(128));
		} else if (n >= NTURNS && ls->s)
			let_go(ls->s);
		left = 0;
		for (int i = 0; i < NPEERS; i++)
			left += !w.streams[t[i]->id].nreleased || !t[i]->answered;
		turn(&w);
	}
	for (int i = 0; i < NPEERS; i++) {
		CHECK_EQ(w.streams[t[i]->id].nstopped, 1);
		CHECK_EQ(w.streams[t[i]->id].njoined, 1);
		CHECK_EQ(t[i]->written, 48 * 200);
	}
	world_clear(&w);
	device_close(d[0]);
	device_close(d[1]);
	world_close(&w);
}

struct lone {				/* one client whose stream is held, so that its device rests */
	struct world w;
	device *d;
	struct client *c;
	struct seat *t;
	stream *s;
};

static void
lone_open(struct lone *l, const struct tongue *tongue, uint32_t flags)
{
	struct stream_par par = roomy(flags);

	world_open(&l->w);
	l->d = open_device(&l->w, "loopback", "", 0, 48, 2);
	l->c = client_speaks(&l->w, tongue);
	l->t = start(&l->w, l->c, 0, l->d, &par, INT64_MAX, 0);
	l->s = l->w.streams[l->t->id].s;
	UNTIL(&l->w, l->t->pos >= 480);		/* its socket is swept by now, if it is one that is */
	hold(l->s, 96);
	UNTIL(&l->w, l->w.streams[l->t->id].nheld == 1 && l->w.nresting == 1);
	settle(&l->w);
}

static void
lone_close(struct lone *l)
{
	world_clear(&l->w);
	device_close(l->d);
	world_close(&l->w);
}

/* nothing comes of a stream that is held; its client is heard all the same, and plays on when let go */
static void
test_client_is_heard(const struct tongue *tongue, uint32_t flags)
{
	struct stream_stats a, b;
	struct device_stats st;
	struct lone l;
	int64_t pos, nmoves;
	uint8_t m[SNDIO_SIZE];
	long n;

	lone_open(&l, tongue, flags);
	stream_getstats(l.s, &a);
	CHECK_EQ(a.state, STREAM_HELD);
	pos = l.t->pos;
	nmoves = l.t->nmoves;
	n = l.w.conns[l.c->id].nmessages;
	if (tongue == &sndio)
		say(l.c, m, sndio_msg(m, SNDIO_GETPAR, UINT32_MAX));
	else
		ask(l.c, "status", 0, 9);
	UNTIL(&l.w, l.w.conns[l.c->id].nmessages == n + 1);
	device_getstats(l.d, &st);
	CHECK_EQ(st.running, 0);
	CHECK_EQ(st.streams, 1);
	stream_getstats(l.s, &b);
	CHECK(a.position == b.position && a.consumed == b.consumed && a.captured == b.captured);
	CHECK_EQ(l.t->nmoves, nmoves);
	let_go(l.s);
	UNTIL(&l.w, l.t->pos >= pos + 4800);
	stream_getstats(l.s, &b);
	CHECK_EQ(b.state, STREAM_RUNNING);
	lone_close(&l);
}

/* every way in which a held stream may end */
static void
test_end(const struct tongue *tongue, int how)
{
	struct lone l;
	uint32_t id;

	lone_open(&l, tongue, STREAM_PLAY | STREAM_REC);
	id = l.t->id;
	switch (how) {
	case 0:				/* its client drains: it plays on for that */
		l.t->total = l.t->written;
		l.t->last = 's';
		UNTIL(&l.w, l.t->answered && l.w.streams[id].nstopped);
		CHECK_EQ(l.w.streams[id].drained, 1);
		break;
	case 1:				/* ... flushes */
		l.t->total = l.t->written;
		l.t->last = 'f';
		UNTIL(&l.w, l.t->answered && l.w.streams[id].nstopped);
		CHECK_EQ(l.w.streams[id].drained, 0);
		break;
	case 2:				/* ... is gone */
		client_kill(l.c);
		break;
	case 3:				/* control ends it */
		CHECK_EQ(conn_end(l.c->c, 0, NULL, 0), 0);
		break;
	case 4:				/* ... stops it */
		CHECK_EQ(conn_stop(l.c->c, 0, 1, NULL, 0), 0);
		break;
	case 5:
		CHECK_EQ(conn_close(l.c->c, 0), 0);
		break;
	}
	UNTIL(&l.w, l.w.streams[id].nreleased);
	CHECK_EQ(l.w.streams[id].nheld, 1);
	lone_close(&l);
}

static void
test_device_closes(const struct tongue *tongue)
{
	struct lone l;
	uint32_t id;

	lone_open(&l, tongue, STREAM_PLAY);
	id = l.t->id;
	device_close(l.d);
	UNTIL(&l.w, l.w.streams[id].nreleased);
	CHECK_EQ(l.w.streams[id].nended, 1);
	CHECK_EQ(l.w.streams[id].reason, ENDED_DEVICE);
	world_clear(&l.w);
	world_close(&l.w);
}

static void
test_moves(const struct tongue *tongue)
{
	struct stream_par par = roomy(STREAM_PLAY);
	struct stream_stats st;
	struct lone l;
	device *to;
	int64_t pos, nmoves;

	lone_open(&l, tongue, STREAM_PLAY);
	to = open_device(&l.w, "null", "", 0, 96, 2);
	pos = l.t->pos;
	nmoves = l.t->nmoves;
	CHECK_EQ(stream_move(l.s, to, &par), 0);
	do {
		turn(&l.w);
		stream_getstats(l.s, &st);
	} while (stream_move(l.s, to, &par) == -EBUSY);	/* until it is there; then it asks for the same again */
	settle(&l.w);
	CHECK_EQ(l.t->nmoves, nmoves);
	let_go(l.s);
	UNTIL(&l.w, l.t->pos >= pos + 4800);
	CHECK_EQ(l.w.streams[l.t->id].nheld, 1);
	clients_clear(&l.w);
	world_clear(&l.w);
	device_close(to);
	lone_close(&l);
}

/* ---- on the manual clock: what a client is told, block by block ------------------------------ */

static void
test_told(void)
{
	struct stream_par p = with(STREAM_PLAY | STREAM_REC, 0);
	uint8_t want[40 * ROUND * 4];
	struct stage s;
	stream *held;

	stage_open(&s);
	stage_start(&s, &p, INT64_MAX, 0);
	held = s.w.streams[s.t->id].s;
	for (int i = 0; i < 14; i++)
		told(&s);
	s.c->ntrace = 0;
	hold(held, ROUND);
	told(&s);
	CHECK_TRACE(s.c, "M48 F48 D192");	/* the block of its fade */
	CHECK_EQ(s.w.streams[s.t->id].nheld, 1);
	for (int i = 0; i < 20; i++) {
		told(&s);
		CHECK_TRACE(s.c, "");
	}
	CHECK(s.w.nresting == 1);
	CHECK_EQ(stats(&s.w, s.t).state, STREAM_HELD);
	let_go(held);
	for (int i = 0; i < 40; i++) {
		told(&s);
		CHECK_TRACE(s.c, "M48 F48 D192");	/* as if nothing had been */
	}
	/* frame n recorded is frame n played, but for what was heard while it stood still */
	samples(want, s.t->seed, 11 * ROUND + 6 * ROUND, 30 * ROUND, 2);
	CHECK(memcmp(want, s.t->heard + (11 + 6) * ROUND * 4, 30 * ROUND * 4) == 0);
	stage_close(&s);
}

/* a neighbour plays on to the bit while others are held, let go, and go */
static void
test_neighbour(void)
{
	struct stream_par par = beside(STREAM_PLAY | STREAM_REC, 0);
	struct neighbour nb;
	struct seat *t[3];
	struct client *c;
	struct world w;

	world_open(&w);
	neighbour_start(&w, &nb);
	c = client_new(&w);
	for (uint32_t i = 0; i < 3; i++) {
		par.start = i;
		par.group = i;
		par.group_n = 3;
		par.appbufsz = 480;
		t[i] = start(&w, c, i, nb.d, &par, INT64_MAX, 0);
	}
	par.group = 0;
	CHECK_EQ(stream_go(w.streams[t[1]->id].s), 0);
	CHECK_EQ(stream_go(w.streams[t[2]->id].s), 0);
	BEAT_UNTIL(&w, &nb, t[0]->pos > 480 && t[1]->pos > 480 && t[2]->pos > 480);
	for (int i = 0; i < 60; i++) {
		for (int k = 0; k < 3; k++)
			any(w.streams[t[k]->id].s);
		beat(&w, &nb);
	}
	neighbour_end(&w, &nb);
	world_close(&w);
}

int
main(void)
{
	static const struct tongue *tongues[] = { &native, &sndio };

	signal(SIGALRM, too_long);
	alarm(240);
	RUN(test_storm("null"));
	RUN(test_storm("loopback"));
	for (int i = 0; i < 2; i++) {
		RUN(test_client_is_heard(tongues[i], STREAM_PLAY));
		RUN(test_client_is_heard(tongues[i], STREAM_PLAY | STREAM_REC));
		RUN(test_client_is_heard(tongues[i], STREAM_REC));
		for (int how = 0; how < 6; how++)
			RUN(test_end(tongues[i], how));
		RUN(test_device_closes(tongues[i]));
		RUN(test_moves(tongues[i]));
	}
	RUN(test_told());
	RUN(test_neighbour());
	CHECK_DONE();
}
