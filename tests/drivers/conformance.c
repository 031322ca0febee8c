/*
 * conformance.c: one suite that every driver of the table passes, in several
 * set-ups each.  It plays the engine's part of driver.h: poll, ready, then read
 * and write once a block.  Links with --wrap of the allocator, so that what
 * belongs to the device thread is caught allocating.  Counts and order are
 * checked, never durations; a real clock that ran dry on a busy machine is
 * restarted, as the engine does.  The driver of sound cards has virtcard
 * (tests/lab) for a card; where that cannot be built, its set-ups are counted.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../audiod/engine/driver.h"
#include "../../audiod/engine/standin.h"
#include "../engine/check.h"
#include "fds.h"

#define NTRIES	200		/* restarts after running dry before we call the machine broken */

static const struct enc s16le = { .bits = 16, .bps = 2, .sig = 1, .le = 1 };
static const struct enc u8 = { .bits = 8, .bps = 1, .le = 1 };
static const struct enc s24le3 = { .bits = 24, .bps = 3, .sig = 1, .le = 1 };
static const struct enc s24be4msb = { .bits = 24, .bps = 4, .sig = 1, .msb = 1 };
static const struct enc f32le = { .bits = 32, .bps = 4, .sig = 1, .le = 1, .flt = 1 };
static const struct enc f64be = { .bits = 64, .bps = 8, .sig = 1, .flt = 1 };

static char dir[] = "/tmp/audiod-conformance-XXXXXX";

/* ---- the allocator, watched ------------------------------------------------ */

static volatile int armed;	/* 1 while the code under test must not allocate; volatile: malloc is built in */
static volatile unsigned long allocations;

void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);
void *__real_realloc(void *, size_t);
void __real_free(void *);
void *__wrap_malloc(size_t);
void *__wrap_calloc(size_t, size_t);
void *__wrap_realloc(void *, size_t);
void __wrap_free(void *);

void *
__wrap_malloc(size_t n)
{
	allocations += (unsigned long)armed;
	return __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	allocations += (unsigned long)armed;
	return __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t n)
{
	allocations += (unsigned long)armed;
	return __real_realloc(p, n);
}

void
__wrap_free(void *p)
{
	allocations += (unsigned long)armed;
	__real_free(p);
}

/* the watch itself works: an allocation while armed is seen */
static void
test_watch(void)
{
	void *volatile p;

	armed = 1;
	p = malloc(1);
	p = realloc(p, 2);
	free(p);
	p = calloc(1, 1);
	armed = 0;
	free(p);
	CHECK_EQ(allocations, 4);
	allocations = 0;
}

/* ---- what is tested --------------------------------------------------------- */

struct setup {			/* one way of opening one driver */
	const char *driver;
	const char *file;	/* arg: a file in our directory, or NULL */
	const char *rec;	/* file in our directory to record from, or NULL */
	int free_clock;
	unsigned pchan, rchan;	/* asked for */
	int echo;		/* 1: records what it plays */
	int ppm;		/* simulated: the clock's error */
	int64_t jitter_ns;	/* simulated */
	unsigned xrun;		/* simulated: blocks between xruns */
	const char *card;	/* a sound card, which has its own idea of sizes and encodings: its PCM's name */
	int access;		/* 1 + the way to its samples */
	int standin;		/* behind the stand-in clock, as the engine has it */
};

static const struct setup setups[] = {
	{ .driver = "null", .pchan = 2, .rchan = 2 },
	{ .driver = "null", .pchan = 1 },
	{ .driver = "null", .rchan = 64 },
	{ .driver = "loopback", .pchan = 2, .rchan = 2, .echo = 1 },
	{ .driver = "loopback", .pchan = 1, .rchan = 4, .echo = 1 },
	{ .driver = "loopback", .pchan = 6, .rchan = 2, .echo = 1 },
	{ .driver = "loopback", .pchan = 2 },
	{ .driver = "loopback", .rchan = 2 },
	{ .driver = "manual", .pchan = 2, .rchan = 2, .echo = 1 },
	{ .driver = "manual", .pchan = 3, .rchan = 1, .echo = 1 },
	{ .driver = "manual", .pchan = 2, .file = "capture" },
	{ .driver = "manual", .rchan = 1 },
	{ .driver = "file", .pchan = 2, .file = "p.wav" },
	{ .driver = "file", .pchan = 5, .file = "p.au", .free_clock = 1 },
	{ .driver = "file", .pchan = 1, .file = "p.raw", .free_clock = 1 },
	{ .driver = "file", .pchan = 2, .file = "q.raw", .rec = "in.raw", .rchan = 2 },
	{ .driver = "file", .rchan = 3, .rec = "in.raw", .free_clock = 1 },
	{ .driver = "null", .pchan = 2, .rchan = 2, .ppm = 10000, .jitter_ns = 300000, .xrun = 100 },
	{ .driver = "loopback", .pchan = 2, .rchan = 2, .echo = 1, .ppm = -10000, .jitter_ns = 2000000, .xrun = 100 },
	{ .driver = "manual", .pchan = 2, .rchan = 2, .echo = 1, .ppm = 500, .jitter_ns = 1000000, .xrun = 100 },
	{ .driver = "file", .pchan = 2, .file = "p.wav", .ppm = 77, .jitter_ns = 100000, .xrun = 100 },
	{ .driver = "file", .pchan = 5, .file = "p.au", .free_clock = 1, .ppm = 77, .jitter_ns = 100000, .xrun = 100 },
	{ .driver = "alsa", .card = "hw:wire", .pchan = 2, .rchan = 2, .echo = 1 },
	{ .driver = "alsa", .card = "hw:wire", .pchan = 2, .rchan = 2, .echo = 1, .xrun = 100 },
	{ .driver = "alsa", .card = "hw:wire", .pchan = 2, .rchan = 2, .echo = 1, .standin = 1 },
	{ .driver = "alsa", .card = "hw:wire", .pchan = 2, .rchan = 2, .echo = 1, .standin = 1, .xrun = 100 },
	{ .driver = "alsa", .card = "hw:wire", .pchan = 2, .rchan = 2, .echo = 1, .access = 1 },
	{ .driver = "alsa", .card = "hw:wire", .pchan = 2, .rchan = 2, .echo = 1, .access = 4 },
	{ .driver = "alsa", .card = "hw:out", .pchan = 1 },
	{ .driver = "alsa", .card = "hw:in", .rchan = 6 },
	{ .driver = "alsa", .card = "fine", .pchan = 2, .rchan = 2, .echo = 1 },
};

static unsigned ntold, nexact;	/* of a card: times that due was told, and was right */

#define NSETUPS	(sizeof(setups) / sizeof(setups[0]))

struct dut {			/* an open driver under test */
	const struct setup *setup;
	const struct drv_ops *ops;
	void *drv;
	struct drv_par par;
	size_t pblock, rblock;	/* bytes */
	uint8_t *out, *in;	/* one block each, of exactly that size: the sanitizer is the guard */
};

static const struct drv_ops *
ops_of(const struct setup *s)
{
	return s->standin ? &drv_standin : drv_find(s->driver);
}

static int
try_open(const struct setup *s, struct drv_par *par, void **drv, char *err, size_t errsz)
{
	struct drv_conf conf = { .arg = s->card != NULL ? s->card : "" };
	struct standin *standin;
	char arg[256], rec[256];
	int rc;

	if (s->file != NULL) {
		snprintf(arg, sizeof(arg), "%s/%s", dir, s->file);
		conf.arg = arg;
	}
	if (s->rec != NULL) {
		snprintf(rec, sizeof(rec), "%s/%s", dir, s->rec);
		conf.rec = rec;
	}
	conf.free_clock = s->free_clock;
	conf.ppm = s->ppm;
	conf.jitter_ns = s->jitter_ns;
	if (par->rate >= 4000 && par->round <= 65536)
		conf.xrun_every_ns = ((int64_t)s->xrun * par->round * 1000000000 + par->rate - 1) / par->rate;
	conf.access = s->access;
	rc = drv_find(s->driver)->open(drv, &conf, par, err, errsz);
	if (rc == 0 && s->standin) {
		CHECK_EQ(standin_new(&standin, drv_find(s->driver), *drv, par), 0);
		*drv = standin;
	}
	return rc;
}

static struct drv_par
par_of(const struct setup *s, const struct enc *enc, unsigned rate, unsigned round, unsigned bufsz)
{
	struct drv_par par = { .enc = *enc, .rate = rate, .round = round, .bufsz = bufsz };

	par.pchan = s->pchan;
	par.rchan = s->rchan;
	return par;
}

static void
dut_open(struct dut *t, const struct setup *s, const struct enc *enc, unsigned rate, unsigned round, unsigned bufsz)
{
	char err[256] = "";
	int rc;

	t->setup = s;
	t->ops = ops_of(s);
	t->par = par_of(s, enc, rate, round, bufsz);
	t->drv = NULL;
	rc = try_open(s, &t->par, &t->drv, err, sizeof(err));
	if (rc < 0)
		fprintf(stderr, "%s\n", err);
	CHECK_EQ(rc, 0);
	CHECK(t->drv != NULL);
	t->pblock = (size_t)t->par.round * t->par.pchan * t->par.enc.bps;
	t->rblock = (size_t)t->par.round * t->par.rchan * t->par.enc.bps;
	t->out = malloc(t->pblock > 0 ? t->pblock : 1);
	t->in = malloc(t->rblock > 0 ? t->rblock : 1);
	CHECK(t->out != NULL && t->in != NULL);
}

static void
dut_close(struct dut *t)
{
	t->ops->close(t->drv);
	free(t->out);
	free(t->in);
}

/* waits until blocks have passed: how many, or -errno; steps a manual clock */
static int
dut_wait(struct dut *t, int64_t *due)
{
	struct pollfd pfds[DRV_NFDS];
	int n, rc;

	for (;;) {
		if (t->ops->step != NULL)
			CHECK_EQ(t->ops->step(t->drv, 1), 1);
		n = t->ops->poll(t->drv, pfds);
		CHECK(n >= 0 && n <= DRV_NFDS);
		CHECK_EQ(n == 0, t->par.clock == DRV_CLOCK_FREE);
		if (n > 0)
			CHECK(poll(pfds, (nfds_t)n, 60000) > 0);
		rc = t->ops->ready(t->drv, pfds, due);
		if (t->ops->news != NULL && (n = t->ops->news(t->drv, due)) < 0)
			return n;
		if (rc != 0)
			return rc;
	}
}

/* block k (from 0) of a play timeline: bytes that tell block, place and run apart; always finite as floats */
static void
pattern(const struct dut *t, unsigned run, unsigned k, uint8_t *block)
{
	size_t i;

	for (i = 0; i < t->pblock; i++)
		block[i] = (uint8_t)((i * 31 + k * 7 + run * 101) & 0x3f);
}

/* what an echo records of a played block, or of silence if NULL */
static void
echoed(const struct dut *t, const uint8_t *played, uint8_t *block)
{
	size_t bps = t->par.enc.bps;
	unsigned f, c;

	for (f = 0; f < t->par.round; f++) {
		for (c = 0; c < t->par.rchan; c++, block += bps) {
			if (played != NULL && c < t->par.pchan)
				memcpy(block, played + (f * t->par.pchan + c) * bps, bps);
			else
				enc_silence(&t->par.enc, block, 1);
		}
	}
}

static int64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/*
 * One run of nblocks from start, without stop: every block is read and written,
 * every fifth as NULL.  0, or -EPIPE if the clock ran dry on the way, by itself or as it was told to.
 */
static int
run(struct dut *t, unsigned run, unsigned nblocks)
{
	unsigned ahead = t->par.bufsz / t->par.round, k = 0;
	uint64_t hz = (uint64_t)t->par.rate * (uint64_t)(1000000 + t->setup->ppm);	/* millionths */
	int64_t due = 0, first = 0, last = 0, expect, before, after;
	uint8_t *played = malloc(t->pblock + 1), *want = malloc(t->rblock + 1);
	int i, n;

	CHECK(played != NULL && want != NULL);
	armed = 1;
	before = now_ns();
	CHECK_EQ(t->ops->start(t->drv), 0);
	after = now_ns();
	while (k < nblocks) {
		n = dut_wait(t, &due);
		if (n == -EPIPE && (t->par.clock == DRV_CLOCK_REAL || t->setup->xrun > 0))
			break;
		CHECK(n > 0);
		CHECK(t->par.clock == DRV_CLOCK_FREE || n <= (int)ahead);
		CHECK(due >= last);
		last = due;
		if (t->setup->card != NULL) {
			/* it is asked when, and the asking may be interrupted: right most of the time */
			expect = (int64_t)(1000000000000000ull * t->par.round * (k + 1) / hz);
			first = (int64_t)(125000000000000ull * t->par.round / hz);	/* an eighth of a block */
			nexact += due <= now_ns() && due > before + expect - first && due < after + expect + first;
			ntold++;
		} else if (t->par.clock == DRV_CLOCK_REAL) {
			if (k == 0) {	/* due one duration after the start */
				first = due;
				expect = (int64_t)(1000000000000000ull * t->par.round / hz);
				CHECK(due >= before + expect && due <= after + expect + 1);
			}
			/* block k is due k durations after the first, to the nanosecond */
			expect = first + (int64_t)(1000000000000000ull * t->par.round * k / hz);
			CHECK(due >= expect - 1 && due <= expect + 1);
		}
		for (i = 0; i < n; i++, k++) {
			if (t->par.rchan > 0) {
				memset(t->in, 0xa5, t->rblock);
				CHECK_EQ(t->ops->read(t->drv, t->in), 0);
				if (t->setup->echo) {
					/* the k-th block of the play timeline, `ahead` blocks of silence first */
					if (k >= ahead)
						pattern(t, run, k - ahead, played);
					echoed(t, k >= ahead && (k - ahead) % 5 != 4 ? played : NULL, want);
					CHECK(memcmp(t->in, want, t->rblock) == 0);
				} else if (t->setup->rec == NULL) {
					echoed(t, NULL, want);
					CHECK(memcmp(t->in, want, t->rblock) == 0);
				}
			}
			if (t->par.pchan > 0) {
				pattern(t, run, k, t->out);
				CHECK_EQ(t->ops->write(t->drv, k % 5 == 4 ? NULL : t->out), 0);
			}
		}
	}
	armed = 0;
	CHECK_EQ(allocations, 0);
	free(played);
	free(want);
	return k < nblocks ? -EPIPE : 0;
}

static void
dut_stop(struct dut *t)
{
	struct pollfd pfds[DRV_NFDS];
	int64_t due;

	armed = 1;
	CHECK_EQ(t->ops->stop(t->drv), 0);
	CHECK_EQ(t->ops->poll(t->drv, pfds), 0);
	CHECK_EQ(t->ops->ready(t->drv, pfds, &due), 0);
	armed = 0;
	CHECK_EQ(allocations, 0);
}

/* stopped between the read of a block and its write */
static void
break_off(struct dut *t)
{
	int64_t due;

	CHECK_EQ(t->ops->start(t->drv), 0);
	if (dut_wait(t, &due) > 0 && t->par.rchan > 0)
		CHECK_EQ(t->ops->read(t->drv, t->in), 0);
	dut_stop(t);
}

/* runs until the clock has not run dry once, as often as that takes */
static void
run_through(struct dut *t, unsigned r, unsigned nblocks)
{
	int tries;

	for (tries = 0; run(t, r, nblocks) < 0; tries++) {
		CHECK(tries < NTRIES);
		dut_stop(t);
	}
}

/* ---- the suite ---------------------------------------------------------------- */

static void
test_table(void)
{
	const struct drv_ops *ops;
	unsigned i, j;

	for (i = 0; (ops = drv_table(i)) != NULL; i++) {
		CHECK(ops->name != NULL && ops->open != NULL && ops->close != NULL);
		CHECK(ops->start != NULL && ops->stop != NULL && ops->poll != NULL);
		CHECK(ops->ready != NULL && ops->read != NULL && ops->write != NULL);
		CHECK_EQ(ops->step != NULL, strcmp(ops->name, "manual") == 0);
		CHECK(drv_find(ops->name) == ops);
		/* no driver without a set-up in this suite */
		for (j = 0; j < NSETUPS && strcmp(setups[j].driver, ops->name) != 0; j++)
			;
		CHECK(j < NSETUPS);
	}
	CHECK(i >= 4);
	CHECK(drv_table(i + 1000) == NULL);
	CHECK(drv_find("") == NULL);
	CHECK(drv_find("nul") == NULL);
	CHECK(drv_find("nulls") == NULL);
}

/* what open answers is sane, and is accepted and unchanged when asked for again */
static void
test_par(const struct setup *s)
{
	static const struct enc *encs[] = { &s16le, &u8, &s24le3, &s24be4msb, &f32le, &f64be };
	static const unsigned sizes[][3] = {	/* rate, round, bufsz */
		{ 48000, 480, 7680 }, { 44100, 441, 441 }, { 4000, 1, 0 }, { 192000, 64, 200 }, { 48000, 480, 1300 }, { 11025, 65536, 262144 },
	};
	struct drv_par par, again;
	char err[256];
	void *drv;
	size_t e, z;
	int fds = open_fds();

	for (e = 0; e < sizeof(encs) / sizeof(encs[0]); e++) {
		for (z = 0; z < sizeof(sizes) / sizeof(sizes[0]); z++) {
			par = par_of(s, encs[e], sizes[z][0], sizes[z][1], sizes[z][2]);
			CHECK_EQ(try_open(s, &par, &drv, err, sizeof(err)), 0);
			ops_of(s)->close(drv);
			CHECK(enc_ok(&par.enc));
			CHECK_EQ(par.bufsz % par.round, 0);
			CHECK(par.bufsz >= 2 * par.round);
			if (s->card == NULL) {
				CHECK_EQ(par.enc.flt, encs[e]->flt);
				CHECK(par.enc.bits >= encs[e]->bits);
				CHECK_EQ(par.rate, sizes[z][0]);
				CHECK_EQ(par.round, sizes[z][1]);
				CHECK(par.bufsz + par.round / 2 >= sizes[z][2]);
				CHECK(par.bufsz <= sizes[z][2] + par.round / 2 || par.bufsz == 2 * par.round);
			}
			CHECK_EQ(par.pchan, s->pchan);
			CHECK_EQ(par.rchan, s->rchan);
			CHECK_EQ(par.clock, s->free_clock ? DRV_CLOCK_FREE :
			    strcmp(s->driver, "manual") == 0 ? DRV_CLOCK_MANUAL : DRV_CLOCK_REAL);
			again = par;
			CHECK_EQ(try_open(s, &again, &drv, err, sizeof(err)), 0);
			ops_of(s)->close(drv);
			CHECK(memcmp(&again, &par, sizeof(par)) == 0);
		}
	}
	CHECK_EQ(open_fds(), fds);
}

static void
refused(const struct setup *s, struct drv_par par)
{
	char err[256] = "", tiny[8];
	void *drv = dir;
	struct drv_par again = par;

	CHECK_EQ(try_open(s, &par, &drv, err, sizeof(err)), -EINVAL);
	CHECK(drv == dir);
	/* the reason names the driver */
	CHECK(strncmp(err, s->driver, strlen(s->driver)) == 0);
	CHECK(err[strlen(s->driver)] == ':');
	/* and is cut to the room there is */
	memset(tiny, 'x', sizeof(tiny));
	CHECK_EQ(try_open(s, &again, &drv, tiny, sizeof(tiny) - 1), -EINVAL);
	CHECK(tiny[sizeof(tiny) - 2] == '\0' && tiny[sizeof(tiny) - 1] == 'x');
}

static void
test_refusals(const struct setup *s)
{
	const struct drv_par good = par_of(s, &s16le, 48000, 480, 960);
	struct drv_par par;
	int fds = open_fds();

	par = good, par.rate = 3999, refused(s, par);
	par = good, par.rate = 192001, refused(s, par);
	par = good, par.rate = 0, refused(s, par);
	par = good, par.round = 0, refused(s, par);
	par = good, par.round = 65537, refused(s, par);
	par = good, par.bufsz = 262145, refused(s, par);
	par = good, par.bufsz = UINT32_MAX, refused(s, par);
	par = good, par.enc.bits = 0, refused(s, par);
	par = good, par.enc.bits = 17, refused(s, par);
	par = good, par.enc.bps = 9, refused(s, par);
	par = good, par.pchan = par.rchan = 0, refused(s, par);
	if (s->pchan > 0) {
		par = good, par.pchan = 65, refused(s, par);
		par = good, par.pchan = UINT32_MAX, refused(s, par);
	}
	if (s->rchan > 0) {
		par = good, par.rchan = 65, refused(s, par);
		par = good, par.rchan = UINT32_MAX, refused(s, par);
	}
	CHECK_EQ(open_fds(), fds);
}

/* runs of several lengths, each begun anew behind silence, then opened again */
static void
test_runs(const struct setup *s, const struct enc *enc)
{
	struct dut t;
	int fds = open_fds(), open;
	unsigned r;

	for (open = 0; open < 2; open++) {
		dut_open(&t, s, enc, 192000, 64, 64 * 24);
		dut_stop(&t);			/* stopped already: nothing happens */
		for (r = 0; r < 2; r++) {
			break_off(&t);
			run_through(&t, r, 7 + r * 70);	/* the second goes round bufsz three times */
			dut_stop(&t);
		}
		run_through(&t, r, 3);
		if (open == 0)
			dut_stop(&t);
		dut_close(&t);			/* the second time while it runs */
	}
	CHECK_EQ(open_fds(), fds);
}

/* a real clock that nobody serves runs dry, says so until restarted, and is as new then */
static void
test_dry(const struct setup *s)
{
	struct pollfd pfds[DRV_NFDS];
	int64_t due, until;
	struct dut t;
	int n;

	if (s->standin)			/* goes on */
		return;
	dut_open(&t, s, &s16le, 192000, 1, 2);
	if (t.par.clock == DRV_CLOCK_REAL) {
		armed = 1;
		CHECK_EQ(t.ops->start(t.drv), 0);
		until = now_ns() + (int64_t)(t.par.bufsz + t.par.round) * 1000000000 / t.par.rate + 4000;
		while (now_ns() < until)
			;
		n = t.ops->poll(t.drv, pfds);
		CHECK(n >= 1 && poll(pfds, (nfds_t)n, 60000) >= 1);
		CHECK_EQ(t.ops->ready(t.drv, pfds, &due), -EPIPE);
		CHECK_EQ(t.ops->ready(t.drv, pfds, &due), -EPIPE);
		/* its clock has stopped: it wakes nobody */
		n = t.ops->poll(t.drv, pfds);
		CHECK_EQ(poll(pfds, (nfds_t)n, 0), 0);
		armed = 0;
		CHECK_EQ(allocations, 0);
		dut_stop(&t);
	}
	dut_close(&t);
	if (t.par.clock == DRV_CLOCK_REAL) {
		dut_open(&t, s, &s16le, 192000, 64, 64 * 24);
		run_through(&t, 0, 30);
		dut_stop(&t);
		dut_close(&t);
	}
}

/* ---- manual alone ---------------------------------------------------------------- */

static void *
step_once(void *arg)
{
	struct dut *t = arg;

	return t->ops->step(t->drv, 1) == 1 ? t : NULL;
}

static void
test_manual(void)
{
	static const struct setup s = { .driver = "manual", .pchan = 1, .rchan = 1, .echo = 1 };
	struct pollfd pfds[DRV_NFDS];
	struct dut t;
	pthread_t thread;
	int64_t due;
	void *rc;

	dut_open(&t, &s, &s16le, 48000, 480, 480 * 4);
	/* a stopped clock does not advance */
	CHECK_EQ(t.ops->step(t.drv, 3), 0);
	CHECK_EQ(t.ops->start(t.drv), 0);
	CHECK_EQ(t.ops->poll(t.drv, pfds), 1);
	CHECK_EQ(poll(pfds, 1, 0), 0);
	CHECK_EQ(t.ops->ready(t.drv, pfds, &due), 0);
	/* steps add up and come in portions of at most bufsz; it never runs dry */
	CHECK_EQ(t.ops->step(t.drv, 0), 0);
	CHECK_EQ(t.ops->step(t.drv, 1), 1);
	CHECK_EQ(t.ops->step(t.drv, 9), 9);
	CHECK_EQ(poll(pfds, 1, 0), 1);
	CHECK_EQ(t.ops->ready(t.drv, pfds, &due), 4);
	CHECK_EQ(poll(pfds, 1, 0), 1);
	CHECK_EQ(t.ops->ready(t.drv, pfds, &due), 4);
	CHECK_EQ(t.ops->ready(t.drv, pfds, &due), 2);
	CHECK_EQ(poll(pfds, 1, 0), 0);
	CHECK_EQ(t.ops->ready(t.drv, pfds, &due), 0);
	CHECK_EQ(t.ops->step(t.drv, UINT32_MAX), -EINVAL);
	/* what was stepped and not passed ends with the clock */
	CHECK_EQ(t.ops->step(t.drv, 1000000000), 1000000000);
	CHECK_EQ(t.ops->stop(t.drv), 0);
	CHECK_EQ(t.ops->start(t.drv), 0);
	CHECK_EQ(t.ops->ready(t.drv, pfds, &due), 0);
	/* a step of another thread wakes the one that waits */
	CHECK_EQ(t.ops->poll(t.drv, pfds), 1);
	CHECK_EQ(pthread_create(&thread, NULL, step_once, &t), 0);
	CHECK_EQ(poll(pfds, 1, 60000), 1);
	CHECK_EQ(t.ops->ready(t.drv, pfds, &due), 1);
	CHECK_EQ(pthread_join(thread, &rc), 0);
	CHECK(rc == &t);
	CHECK_EQ(t.ops->stop(t.drv), 0);
	dut_close(&t);
}

/* the capture holds what was written and nothing else, and grows over opens */
static void
test_capture(void)
{
	static const struct setup s = { .driver = "manual", .pchan = 2, .file = "capture.raw" };
	const unsigned nblocks = 11;
	struct dut t;
	uint8_t *got, *want;
	char path[256];
	unsigned k, open;
	size_t n;
	FILE *f;

	for (open = 0; open < 2; open++) {
		dut_open(&t, &s, &u8, 48000, 48, 480);
		CHECK_EQ(run(&t, open, nblocks), 0);
		dut_stop(&t);
		if (open == 0)
			dut_close(&t);
	}
	snprintf(path, sizeof(path), "%s/%s", dir, s.file);
	f = fopen(path, "r");
	CHECK(f != NULL);
	got = malloc(2 * nblocks * t.pblock + 1);
	want = malloc(t.pblock);
	CHECK(got != NULL && want != NULL);
	n = fread(got, 1, 2 * nblocks * t.pblock + 1, f);
	fclose(f);
	CHECK_EQ(n, 2 * nblocks * t.pblock);
	for (k = 0; k < 2 * nblocks; k++) {
		if (k % nblocks % 5 == 4)
			memset(want, 0x80, t.pblock);
		else
			pattern(&t, k / nblocks, k % nblocks, want);
		CHECK(memcmp(got + k * t.pblock, want, t.pblock) == 0);
	}
	free(got);
	free(want);
	dut_close(&t);
}

/* ---- main --------------------------------------------------------------------------- */

static void
write_input(void)
{
	char path[256];
	FILE *f;
	int i;

	snprintf(path, sizeof(path), "%s/in.raw", dir);
	f = fopen(path, "w");
	CHECK(f != NULL);
	for (i = 0; i < 100000; i++)
		putc(i & 0x3f, f);
	CHECK_EQ(fclose(f), 0);
}

/*
 * Three cards and a PCM over one of them: `wire` records what it plays, `out`
 * and `in` have one direction, `fine` moves its pointer in steps of 8 frames.
 * 0, or -1 if this machine cannot have such cards.
 */
static int
make_cards(void)
{
#ifdef VIRTCARD
	static const char text[] =
	    "pcm_type.virtcard { lib \"%s\" }\n"
	    "pcm.hw {\n"
	    "	@args [ CARD ]\n"
	    "	@args.CARD { type string }\n"
	    "	type virtcard\n"
	    "	card { @func concat strings [ \"conf%ld-\" $CARD ] }\n"
	    "	rate [ 8000 48000 192000 ]\n"
	    "	channels [ 1 2 6 ]\n"
	    "	format [ U8 S16_LE S24_LE S32_BE FLOAT_LE ]\n"
	    "}\n"
	    "pcm.fine {\n"
	    "	type virtcard\n"
	    "	card \"conf%ld-fine\"\n"
	    "	rate [ 192000 ]\n"
	    "	format [ S16_BE S32_LE ]\n"
	    "	pointer_step 8\n"
	    "	period_min 64\n"
	    "	period_max 1024\n"
	    "	buffer_min 8192\n"
	    "}\n";
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/asoundrc", dir);
	f = fopen(path, "w");
	CHECK(f != NULL);
	fprintf(f, text, VIRTCARD, (long)getpid(), (long)getpid());
	CHECK_EQ(fclose(f), 0);
	CHECK_EQ(setenv("ALSA_CONFIG_PATH", path, 1), 0);
	return 0;
#else
	return -1;
#endif
}

static void
remove_cards(void)
{
	char prefix[64], path[300];
	struct dirent *e;
	DIR *d = opendir("/dev/shm");

	if (d == NULL)
		return;
	snprintf(prefix, sizeof(prefix), "virtcard-conf%ld-", (long)getpid());
	while ((e = readdir(d)) != NULL) {
		if (strncmp(e->d_name, prefix, strlen(prefix)) == 0) {
			snprintf(path, sizeof(path), "/dev/shm/%s", e->d_name);
			unlink(path);
		}
	}
	closedir(d);
}

static void
clean(void)
{
	char path[300];
	struct dirent *e;
	DIR *d = opendir(dir);

	CHECK(d != NULL);
	while ((e = readdir(d)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		unlink(path);
	}
	closedir(d);
	CHECK_EQ(rmdir(dir), 0);
}

int
main(void)
{
	int nleft = 0, cards;
	size_t i;

	CHECK(mkdtemp(dir) != NULL);
	write_input();
	test_watch();
	test_table();
	cards = make_cards();
	for (i = 0; i < NSETUPS; i++) {
		if (setups[i].card != NULL && cards < 0) {
			nleft++;
			continue;
		}
		test_par(&setups[i]);
		test_refusals(&setups[i]);
		test_runs(&setups[i], &u8);
		test_runs(&setups[i], &s24be4msb);
		test_dry(&setups[i]);
	}
	test_manual();
	test_capture();
	clean();
	remove_cards();
	CHECK(2 * nexact >= ntold);
	if (nleft > 0)
		printf("not tested: %d set-ups of driver alsa: no ALSA headers (Debian: libasound2-dev)\n", nleft);
	CHECK_DONE();
}
