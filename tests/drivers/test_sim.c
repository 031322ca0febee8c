/*
 * test_sim.c: devices that are bad on purpose: clocks of another rate, blocks
 * told of late, xruns and an end after so much running.  The arithmetic first,
 * then the keys on every driver of the table.  One thread; no check depends on
 * how long anything takes: a real clock that also runs dry by itself on a busy
 * machine is started again, and its blocks are counted on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "../../audiod/engine/sim.h"
#include "../../audiod/engine/tick.h"
#include "../engine/check.h"

#define NSEC	1000000000LL
#define DAY	(86400 * NSEC)

static const struct enc s16le = { .bits = 16, .bps = 2, .sig = 1, .le = 1 };

static char dir[] = "/tmp/audiod-sim-XXXXXX";

/* ---- counting blocks ------------------------------------------------------------ */

static const struct {
	unsigned rate, round;
	int64_t every, until;	/* ns */
} runs[] = {
	{ 48000, 480, 2 * NSEC, 10 * NSEC },		/* whole blocks, and the last xrun where it is unplugged */
	{ 48000, 480, 10000000, 100000000 },		/* a block each */
	{ 44100, 441, 333333333, 5000000000 },
	{ 44100, 480, 250000000, 0 },
	{ 11025, 64, 7777777, 100 * NSEC },
	{ 192000, 1, 5209, 1000000000 },		/* hardly more than a block */
	{ 8000, 65536, 8192000000, 40 * NSEC },
	{ 192000, 65536, DAY, DAY },
	{ 48000, 480, 0, 1 * NSEC },
};

#define NRUNS	(sizeof(runs) / sizeof(runs[0]))

static uint64_t
blocks_in(unsigned rate, unsigned round, uint64_t k, int64_t ns)
{
	return (uint64_t)((unsigned __int128)(uint64_t)ns * k * rate / round / (uint64_t)NSEC);
}

static void
open_sim(struct sim *s, const struct drv_conf *conf, unsigned rate, unsigned round)
{
	struct drv_par par = { .enc = s16le, .rate = rate, .round = round, .bufsz = 4 * round };
	char err[200] = "";
	int rc;

	rc = sim_open(s, "test", conf, &par, err, sizeof(err));
	if (rc < 0)
		fprintf(stderr, "%s\n", err);
	CHECK_EQ(rc, 0);
}

/* the k-th xrun comes after the blocks that fit into k times its period, whatever the portions */
static void
test_counting(void)
{
	struct drv_conf conf = { .arg = "" };
	struct sim s;
	uint64_t passed, xruns, end, next, most;
	unsigned portion = 1;
	size_t i;
	int n;

	for (i = 0; i < NRUNS; i++) {
		conf.xrun_every_ns = runs[i].every;
		conf.unplug_after_ns = runs[i].until;
		open_sim(&s, &conf, runs[i].rate, runs[i].round);
		end = blocks_in(runs[i].rate, runs[i].round, 1, runs[i].until);
		passed = xruns = 0;
		CHECK_EQ(sim_start(&s), 0);
		for (;;) {
			next = UINT64_MAX;
			if (runs[i].every > 0)
				next = blocks_in(runs[i].rate, runs[i].round, xruns + 1, runs[i].every);
			if (end > 0 && end < next)
				next = end;
			CHECK_EQ(sim_pass(&s, 0), 0);
			portion = portion * 1103515245 + 12345;
			most = portion >> 16 & 1023;
			if (most == 0)
				continue;
			n = sim_pass(&s, (int)most);
			if (passed == next)
				break;
			CHECK(n > 0);
			CHECK_EQ((uint64_t)n, most < next - passed ? most : next - passed);
			passed += (uint64_t)n;
			if (passed < next)
				continue;
			/* what it says next it says until it is started again, or for good */
			if (passed == end)
				break;
			CHECK_EQ(sim_pass(&s, 1), -EPIPE);
			CHECK_EQ(sim_pass(&s, 1), -EPIPE);
			CHECK_EQ(sim_pass(&s, 0), -EPIPE);
			CHECK_EQ(sim_start(&s), 0);
			CHECK_EQ(s.passed, passed);
			if (++xruns == 5000)
				break;
		}
		if (xruns == 5000)
			continue;
		CHECK(end > 0);
		CHECK_EQ(passed, end);
		CHECK_EQ(sim_pass(&s, 1), -ENODEV);
		CHECK_EQ(sim_pass(&s, 0), -ENODEV);
		CHECK_EQ(sim_start(&s), -ENODEV);
		CHECK_EQ(sim_pass(&s, 1), -ENODEV);
		CHECK_EQ(s.passed, end);
	}
	/* 2, 4, 6 and 8 seconds; at 10 it is gone, once */
	conf.xrun_every_ns = 2 * NSEC;
	conf.unplug_after_ns = 10 * NSEC;
	open_sim(&s, &conf, 48000, 480);
	for (xruns = 0; (n = sim_pass(&s, 1)) != -ENODEV; ) {
		if (n == -EPIPE) {
			xruns++;
			CHECK_EQ(s.passed, xruns * 200);
			CHECK_EQ(sim_start(&s), 0);
		}
	}
	CHECK_EQ(xruns, 4);
	CHECK_EQ(s.passed, 1000);
}

/* ---- clocks that are wrong --------------------------------------------------------- */

static const struct {
	unsigned rate, round;
	int ppm;
} clocks[] = {
	{ 48000, 480, 0 }, { 48000, 480, 1 }, { 48000, 480, -1 }, { 44100, 441, 100 }, { 44100, 480, -300 },
	{ 4000, 1, 10000 }, { 8000, 65536, -10000 }, { 192000, 1, 9999 }, { 191999, 65521, -9999 },
};

#define NCLOCKS	(sizeof(clocks) / sizeof(clocks[0]))

static struct tick
clock_of(size_t i, int64_t jitter_ns)
{
	struct tick t;

	memset(&t, 0, sizeof(t));
	t.rate = clocks[i].rate;
	t.round = clocks[i].round;
	t.bufsz = 4 * t.round;
	t.start = 123456789012345;
	t.sim.ppm = clocks[i].ppm;
	t.sim.jitter_ns = jitter_ns;
	return t;
}

static void
test_ppm(void)
{
	unsigned __int128 x;
	struct tick t;
	uint64_t k, hz;
	size_t i;

	for (i = 0; i < NCLOCKS; i++) {
		t = clock_of(i, 0);
		hz = (uint64_t)t.rate * (uint64_t)(1000000 + t.sim.ppm);	/* millionths */
		/* exact, to the nanosecond and the frame, from the first block to those of ten years */
		for (k = 1; k * t.round / t.rate < 315360000; k += 1 + k / 97) {
			x = (unsigned __int128)k * t.round * 1000000000000000u;
			CHECK_EQ(tick_due(&t, k) - t.start, (int64_t)(x / hz) + (x % hz != 0));
			CHECK_EQ(tick_frames(&t, tick_due(&t, k)), k * t.round);
			CHECK_EQ(tick_frames(&t, tick_due(&t, k) - 1), k * t.round - 1);
		}
		/* of a million seconds, so many frames too many as the key says */
		CHECK_EQ(tick_frames(&t, t.start + 1000000 * NSEC),
		    1000000ull * t.rate + (uint64_t)((int64_t)t.sim.ppm * t.rate));
	}
}

/* each block is told of between its time and `jitter` later, in order; when it was due does not change */
static void
test_jitter(void)
{
	const int64_t jitter = 7000000, step = 20000;
	struct tick t, exact;
	int64_t now, due, late, least = jitter, sum = 0, largest = 0;
	unsigned n, k, nlate = 0;
	int got;

	t = clock_of(0, jitter);
	exact = clock_of(0, 0);
	for (now = t.start, k = 0; k < 5000; now += step) {
		got = tick_passed(&t, now);
		CHECK(got >= 0);
		for (n = 0; n < (unsigned)got; n++, k++) {
			due = tick_due(&t, k + 1);
			CHECK_EQ(due, tick_due(&exact, k + 1));
			late = now - due;
			CHECK(late >= 0 && late < jitter + step);
			sum += late;
			nlate += late > step;
			if (late > largest)
				largest = late;
			if (late < least)
				least = late;
		}
		t.served += (uint64_t)got;
		CHECK_EQ(sim_pass(&t.sim, got), got);
	}
	/* spread over all of the range: the numbers are always the same, so this is no matter of luck */
	CHECK(nlate > 4900);
	CHECK(least < jitter / 100 && largest > jitter * 99 / 100);
	CHECK(sum / 5000 > jitter * 48 / 100 && sum / 5000 < jitter * 52 / 100);
	/* later than the next block is due: they are told of together, never the later one first */
	t = clock_of(0, 29000000);
	for (now = t.start, k = 0, n = 0; k < 5000; now += step) {
		got = tick_passed(&t, now);
		CHECK(got >= 0 && got <= 4);
		n += got > 1;
		k += (unsigned)got;
		t.served += (uint64_t)got;
		CHECK_EQ(sim_pass(&t.sim, got), got);
	}
	CHECK(n > 500);
	/* later than all that is queued: it runs dry */
	t = clock_of(0, NSEC);
	for (now = t.start, got = 0; got >= 0; now += step) {
		got = tick_passed(&t, now);
		t.served += (uint64_t)(got > 0 ? got : 0);
		CHECK_EQ(sim_pass(&t.sim, got > 0 ? got : 0), got > 0 ? got : 0);
	}
	CHECK_EQ(got, -EPIPE);
	/* without the key nothing is late */
	CHECK_EQ(sim_delay(&exact.sim, 1), 0);
}

/* ---- the keys on every driver --------------------------------------------------------- */

struct setup {
	const char *driver;
	int free_clock;
	int echo;
};

static const struct setup setups[] = {
	{ .driver = "null" },
	{ .driver = "loopback", .echo = 1 },
	{ .driver = "manual", .echo = 1 },
	{ .driver = "file" },
	{ .driver = "file", .free_clock = 1 },
};

#define NSETUPS	(sizeof(setups) / sizeof(setups[0]))
#define ROUND	64u
#define NBLOCKS	8u	/* of bufsz */

struct dut {			/* an open driver under test */
	const struct setup *setup;
	const struct drv_ops *ops;
	void *drv;
	struct drv_par par;
	uint64_t passed;	/* blocks since open */
	unsigned epipes;
};

static int
dut_open(struct dut *t, const struct setup *s, struct drv_conf conf, char *err, size_t errsz)
{
	char path[64];

	memset(t, 0, sizeof(*t));
	snprintf(path, sizeof(path), "%s/out.wav", dir);
	t->setup = s;
	t->ops = drv_find(s->driver);
	t->par = (struct drv_par){ .enc = s16le, .rate = 192000, .round = ROUND, .bufsz = NBLOCKS * ROUND,
	    .pchan = 1, .rchan = s->echo ? 1 : 0 };
	conf.arg = strcmp(s->driver, "file") == 0 ? path : "";
	conf.free_clock = s->free_clock;
	return t->ops->open(&t->drv, &conf, &t->par, err, errsz);
}

/* ns in which exactly n blocks pass, rounded up */
static int64_t
running(unsigned n)
{
	return ((int64_t)n * ROUND * NSEC + 191999) / 192000;
}

/* one wait, and the blocks that it gave played: their number, or -errno */
static int
dut_turn(struct dut *t)
{
	struct pollfd pfds[DRV_NFDS];
	int16_t block[ROUND];
	int64_t due = 0;
	int i, n;

	if (t->ops->step != NULL)
		CHECK_EQ(t->ops->step(t->drv, 3), 3);
	n = t->ops->poll(t->drv, pfds);
	CHECK_EQ(n == 0, t->par.clock == DRV_CLOCK_FREE);
	if (n > 0)
		CHECK(poll(pfds, (nfds_t)n, 60000) > 0);
	n = t->ops->ready(t->drv, pfds, &due);
	CHECK(due > 0);
	for (i = 0; i < n; i++) {
		if (t->par.rchan > 0)
			CHECK_EQ(t->ops->read(t->drv, block), 0);
		memset(block, 1, sizeof(block));
		CHECK_EQ(t->ops->write(t->drv, block), 0);
	}
	t->passed += n > 0 ? (uint64_t)n : 0;
	return n;
}

/* runs until so many blocks have passed or it is gone; xruns are mended as the engine does */
static int
dut_run(struct dut *t, uint64_t until)
{
	struct pollfd pfds[DRV_NFDS];
	int64_t due;
	int n = 0;

	CHECK_EQ(t->ops->start(t->drv), 0);
	while (t->passed < until && n != -ENODEV) {
		n = dut_turn(t);
		if (n == -EPIPE) {
			t->epipes++;
			CHECK_EQ(t->ops->ready(t->drv, pfds, &due), -EPIPE);
			CHECK_EQ(t->ops->stop(t->drv), 0);
			CHECK_EQ(t->ops->start(t->drv), 0);
		} else
			CHECK(n >= 0 || n == -ENODEV);
	}
	return n;
}

/* over stops, starts and xruns it is unplugged after so many blocks, and again after as many when opened again */
static void
test_unplug(const struct setup *s)
{
	struct drv_conf conf = { .unplug_after_ns = running(100), .xrun_every_ns = running(30) };
	struct pollfd pfds[DRV_NFDS];
	char err[200];
	struct dut t;
	int64_t due;
	int again;

	for (again = 0; again < 3; again++) {
		CHECK_EQ(dut_open(&t, s, conf, err, sizeof(err)), 0);
		CHECK(dut_run(&t, 20) > 0);
		CHECK(t.passed < 20 + NBLOCKS);
		CHECK_EQ(t.ops->stop(t.drv), 0);
		CHECK_EQ(dut_run(&t, UINT64_MAX), -ENODEV);
		CHECK_EQ(t.passed, 100);
		/* those that were asked for, and on a real clock what a busy machine adds */
		CHECK(t.epipes == 3 || (t.epipes > 3 && t.par.clock == DRV_CLOCK_REAL));
		CHECK_EQ(t.ops->ready(t.drv, pfds, &due), -ENODEV);
		if (t.par.clock == DRV_CLOCK_REAL) {	/* it wakes nobody any more */
			CHECK_EQ(t.ops->poll(t.drv, pfds), 1);
			CHECK_EQ(poll(pfds, 1, 0), 0);
		}
		CHECK_EQ(t.ops->stop(t.drv), 0);
		CHECK_EQ(t.ops->start(t.drv), -ENODEV);
		CHECK_EQ(t.ops->poll(t.drv, pfds), 0);
		CHECK_EQ(t.ops->ready(t.drv, pfds, &due), 0);
		t.ops->close(t.drv);
	}
}

/* a clock of another rate with jitter, on the drivers that have one: nothing is lost, due times are exact */
static void
test_clock(const struct setup *s)
{
	struct drv_conf conf = { .ppm = -10000, .jitter_ns = running(3) };
	struct pollfd pfds[DRV_NFDS];
	char err[200];
	struct dut t;
	int64_t due, first = 0, period = 64 * NSEC * 100 / 192000;	/* times 99 / 100 */
	unsigned k = 0;
	int i, n;

	CHECK_EQ(dut_open(&t, s, conf, err, sizeof(err)), 0);
	CHECK_EQ(t.ops->start(t.drv), 0);
	while (k < 200) {
		if (t.ops->step != NULL)
			CHECK_EQ(t.ops->step(t.drv, 1), 1);
		n = t.ops->poll(t.drv, pfds);
		if (n > 0)
			CHECK(poll(pfds, (nfds_t)n, 60000) > 0);
		n = t.ops->ready(t.drv, pfds, &due);
		if (n == -EPIPE && t.par.clock == DRV_CLOCK_REAL) {
			CHECK_EQ(t.ops->stop(t.drv), 0);
			CHECK_EQ(t.ops->start(t.drv), 0);
			k = 0;
			continue;
		}
		CHECK(n >= 0);
		if (n > 0 && k == 0)
			first = due;
		if (n > 0 && t.par.clock == DRV_CLOCK_REAL)
			CHECK(due - first >= k * period / 99 - 1 && due - first <= k * period / 99 + 1);
		for (i = 0; i < n; i++)
			CHECK_EQ(t.ops->write(t.drv, NULL), 0);
		k += (unsigned)n;
	}
	CHECK_EQ(t.ops->stop(t.drv), 0);
	t.ops->close(t.drv);
}

/* what was queued when it ran dry is gone: behind it comes the silence of a start, then what was written since */
static void
test_echo_after_xrun(void)
{
	static const struct setup s = { .driver = "manual", .echo = 1 };
	struct drv_conf conf = { .xrun_every_ns = running(20) };
	struct pollfd pfds[DRV_NFDS];
	int16_t block[ROUND], want;
	char err[200];
	struct dut t;
	int64_t due;
	unsigned k, i, after;

	CHECK_EQ(dut_open(&t, &s, conf, err, sizeof(err)), 0);
	CHECK_EQ(t.ops->start(t.drv), 0);
	for (k = after = 0; k < 60; k++, after++) {
		CHECK_EQ(t.ops->step(t.drv, 1), 1);
		CHECK_EQ(t.ops->poll(t.drv, pfds), 1);
		if (k > 0 && k % 20 == 0 && after > 0) {
			CHECK_EQ(t.ops->ready(t.drv, pfds, &due), -EPIPE);
			CHECK_EQ(t.ops->stop(t.drv), 0);
			CHECK_EQ(t.ops->start(t.drv), 0);
			CHECK_EQ(t.ops->ready(t.drv, pfds, &due), 0);	/* the step ended with it */
			CHECK_EQ(t.ops->step(t.drv, 1), 1);
			after = 0;
		}
		CHECK_EQ(t.ops->ready(t.drv, pfds, &due), 1);
		CHECK_EQ(t.ops->read(t.drv, block), 0);
		want = after < NBLOCKS ? 0 : (int16_t)(k - NBLOCKS + 1);
		for (i = 0; i < ROUND; i++)
			CHECK_EQ(block[i], want);
		for (i = 0; i < ROUND; i++)
			block[i] = (int16_t)(k + 1);
		CHECK_EQ(t.ops->write(t.drv, block), 0);
	}
	t.ops->close(t.drv);
}

static void
refused(const struct setup *s, struct drv_conf conf, const char *words)
{
	char err[200] = "";
	struct dut t;

	CHECK_EQ(dut_open(&t, s, conf, err, sizeof(err)), -EINVAL);
	CHECK(t.drv == NULL);
	CHECK(strncmp(err, s->driver, strlen(s->driver)) == 0);
	if (strstr(err, words) == NULL)
		fprintf(stderr, "\"%s\" is not in \"%s\"\n", words, err);
	CHECK(strstr(err, words) != NULL);
}

static void
test_refusals(const struct setup *s)
{
	const int64_t block = running(1);
	char err[200];
	struct dut t;

	refused(s, (struct drv_conf){ .ppm = 10001 }, "ppm=10001 is not in -10000..10000");
	refused(s, (struct drv_conf){ .ppm = -10001 }, "ppm=-10001");
	refused(s, (struct drv_conf){ .jitter_ns = -1 }, "0..1000 milliseconds");
	refused(s, (struct drv_conf){ .jitter_ns = NSEC + 1 }, "jitter=1000.000001");
	refused(s, (struct drv_conf){ .xrun_every_ns = -1 }, "xrun_every=-1e-09");
	refused(s, (struct drv_conf){ .xrun_every_ns = DAY + NSEC }, "xrun_every=86401 is not in 0..86400 seconds");
	refused(s, (struct drv_conf){ .xrun_every_ns = block - 1 }, "less than one block of 64 frames");
	refused(s, (struct drv_conf){ .unplug_after_ns = 1 }, "unplug_after=1e-09 seconds are less than");
	refused(s, (struct drv_conf){ .unplug_after_ns = INT64_MAX }, "unplug_after");
	/* the ends of what is accepted */
	CHECK_EQ(dut_open(&t, s, (struct drv_conf){ .ppm = 10000, .jitter_ns = NSEC, .xrun_every_ns = block,
	    .unplug_after_ns = DAY }, err, sizeof(err)), 0);
	t.ops->close(t.drv);
	CHECK_EQ(dut_open(&t, s, (struct drv_conf){ .ppm = -10000, .xrun_every_ns = DAY,
	    .unplug_after_ns = block }, err, sizeof(err)), 0);
	t.ops->close(t.drv);
}

int
main(void)
{
	char path[64];
	size_t i;

	CHECK(mkdtemp(dir) != NULL);
	test_counting();
	test_ppm();
	test_jitter();
	for (i = 0; i < NSETUPS; i++) {
		test_refusals(&setups[i]);
		test_unplug(&setups[i]);
		test_clock(&setups[i]);
	}
	test_echo_after_xrun();
	snprintf(path, sizeof(path), "%s/out.wav", dir);
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(rmdir(dir), 0);
	CHECK_DONE();
}
