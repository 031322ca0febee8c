/*
 * test_mmc.c: streams wait for MMC's start while their clients fill, stop and
 * vanish, while they move and while devices close: with the real threads, under
 * ASan and TSan.  What becomes of the samples is tests/engine/test_mmc_group.py.
 */
#include "stage.h"

static struct stream_par
waiting(uint32_t flags)
{
	struct stream_par p = s16;

	p.flags = flags | STREAM_MMC;
	p.xrun = 1;
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

static const struct tongue *
any_tongue(int i)
{
	return i % 2 ? &sndio : &native;
}

/* none begins before it is told to, all do then, and the clock goes on until it is told otherwise */
static void
test_group(const char *driver)
{
	enum { NPEERS = 6 };
	struct client *c[NPEERS];
	struct seat *t[NPEERS];
	struct stream_par par;
	struct device_stats st;
	struct world w;
	int64_t clock;
	device *d;

	world_open(&w);
	d = open_device(&w, driver, "", 0, 48, 2);
	for (int i = 0; i < NPEERS; i++) {
		par = waiting(i == 5 ? STREAM_REC : i == 4 ? STREAM_PLAY | STREAM_REC : STREAM_PLAY);
		c[i] = client_speaks(&w, any_tongue(i));
		t[i] = start(&w, c[i], 0, d, &par, i == 5 ? 0 : 4800, i == 5 ? 0 : 's');
	}
	UNTIL(&w, t[0]->written >= 480 && t[4]->written >= 480);
	settle(&w);
	device_getstats(d, &st);
	CHECK_EQ(st.running, 0);
	for (int i = 0; i < NPEERS; i++)
		CHECK_EQ(t[i]->nmoves, 0);
	device_mmc(d, 7, 1);
	settle(&w);
	CHECK_EQ(w.run, 0);
	device_mmc(d, 7, 0);
	for (int i = 0; i < 5; i++) {
		UNTIL(&w, t[i]->answered && w.streams[t[i]->id].nreleased);
		CHECK_EQ(t[i]->written, 4800);
		CHECK_EQ(w.streams[t[i]->id].drained, 1);
	}
	CHECK_EQ(w.run, 7);
	client_kill(c[5]);
	released(&w, t[5]);
	clock = w.clock;
	UNTIL(&w, w.clock > clock + 4800);
	device_mmc(d, 0, 0);
	UNTIL(&w, w.nresting == 1);
	world_clear(&w);
	device_close(d);
	world_close(&w);
}

/* every way in which one that waits may end; the others then begin without it */
static void
test_end(const struct tongue *tongue, int how)
{
	struct stream_par par = waiting(STREAM_PLAY);
	struct client *gone, *stays;
	struct seat *a, *b;
	struct world w;
	device *d;

	world_open(&w);
	d = open_device(&w, "null", "", 0, 48, 2);
	gone = client_speaks(&w, tongue);
	stays = client_speaks(&w, tongue);
	a = start(&w, gone, 0, d, &par, how == 0 ? 100 : how == 1 ? 480 : INT64_MAX, how < 2 ? "sf"[how] : 0);
	b = start(&w, stays, 0, d, &par, 4800, 's');
	UNTIL(&w, b->written >= 480 && a->written >= (how == 0 ? 100 : 480));
	switch (how) {
	case 2:
		client_kill(gone);
		break;
	case 3:
		CHECK_EQ(conn_end(gone->c, 0, NULL, 0), 0);
		break;
	case 4:
		CHECK_EQ(conn_stop(gone->c, 0, 1, NULL, 0), 0);
		break;
	case 5:
		CHECK_EQ(conn_close(gone->c, 0), 0);
		break;
	}
	released(&w, a);		/* before anything has begun */
	CHECK_EQ(w.run, 0);
	device_mmc(d, 1, 0);
	released(&w, b);
	CHECK_EQ(b->written, 4800);
	device_mmc(d, 0, 0);
	world_clear(&w);
	device_close(d);
	world_close(&w);
}

static void
test_device_closes(void)
{
	struct stream_par par = waiting(STREAM_PLAY);
	struct client *c;
	struct seat *t;
	struct world w;
	device *d;

	world_open(&w);
	d = open_device(&w, "null", "", 0, 48, 2);
	c = client_speaks(&w, &native);
	t = start(&w, c, 0, d, &par, INT64_MAX, 0);
	UNTIL(&w, t->written >= 480);
	device_mmc(d, 1, 1);
	device_close(d);
	released(&w, t);
	CHECK_EQ(w.streams[t->id].reason, ENDED_DEVICE);
	world_clear(&w);
	world_close(&w);
}

/* starts and stops, moves and deaths in any order; in the end all that live have played */
static void
test_storm(const char *driver)
{
	enum { NPEERS = 8, NTURNS = 600 };
	struct client *c[NPEERS];
	struct seat *t[NPEERS];
	struct stream_par par;
	struct world w;
	device *d[2];
	uint32_t run = 0;
	int left = NPEERS;

	world_open(&w);
	d[0] = open_device(&w, driver, "", 0, 48, 2);
	d[1] = open_device(&w, driver, "", 0, 96, 2);
	for (int i = 0; i < NPEERS; i++) {
		par = waiting(i % 4 == 3 ? STREAM_PLAY | STREAM_REC : STREAM_PLAY);
		c[i] = client_speaks(&w, any_tongue(i));
		t[i] = start(&w, c[i], 0, d[0], &par, i == 0 ? 100 : 48 * 100, 's');
	}
	for (int n = 0; left > 0; n++) {
		struct live_stream *ls = &w.streams[t[dice(NPEERS)]->id];

		if (n < NTURNS && ls->s && dice(4) == 0) {
			par = waiting(STREAM_PLAY);
			(void)stream_move(ls->s, d[dice(2)], &par);
		}
		if (n == NTURNS / 2)
			client_kill(c[1]);
		if (n % 8 == 0) {
			device_mmc(d[0], dice(3) ? ++run : 0, n < NTURNS ? dice(2) : 0);
			device_mmc(d[1], ++run, n < NTURNS ? dice(2) : 0);
		}
		left = 0;
		for (int i = 0; i < NPEERS; i++)
			left += !w.streams[t[i]->id].nreleased;
		turn(&w);
	}
	for (int i = 2; i < NPEERS; i++)
		CHECK_EQ(t[i]->written, 48 * 100);
	device_mmc(d[0], 0, 0);
	device_mmc(d[1], 0, 0);
	world_clear(&w);
	device_close(d[0]);
	device_close(d[1]);
	world_close(&w);
}

int
main(void)
{
	signal(SIGALRM, too_long);
	alarm(240);
	RUN(test_group("null"));
	RUN(test_group("loopback"));
	for (int how = 0; how < 6; how++) {
		RUN(test_end(&native, how));
		RUN(test_end(&sndio, how));
	}
	RUN(test_device_closes());
	RUN(test_storm("null"));
	RUN(test_storm("loopback"));
	CHECK_DONE();
}
