/*
 * bench_cycle.c: what a stream costs the device thread in a block: untouched,
 * ducked, on a ramp, held; and untouched by another build, an older tree's.
 *
 *	F="-O3 -shared -fPIC -fno-wrapv -fno-math-errno -fno-trapping-math -ffp-contract=off"
 *	cc $F audiod/engine/[a-z]*.c -lm -ldl -pthread -o new.so
 *	cc -O2 -Iaudiod/engine tests/perf/bench_cycle.c -ldl -o bench_cycle
 *	./bench_cycle STREAMS BLOCK ./new.so [./old.so]
 *
 * s16 stereo on the manual clock.  Each repetition runs every row of every build
 * once; a row's time is the lower quartile of the CPU times of its device thread.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api.h"

#define NREPS	61
#define NBUILDS	2
#define NSTEPS	12			/* blocks measured at a time */
#define NROWS	5

static const char *const names[NROWS] = { "untouched", "ducked, all channels alike", "ducked, each channel its own",
    "on a ramp of three pieces", "held" };

struct build {
	int (*engine_new)(engine **, const struct engine_conf *);
	int (*device_open)(engine *, uint32_t, const struct device_conf *, device **, char *, uint32_t);
	int (*device_step)(device *, uint32_t);
	void (*device_getstats)(device *, struct device_stats *);
	int (*stream_new)(device *, uint32_t, const struct stream_par *, stream **);
	int (*stream_start)(stream *);
	int (*stream_write)(stream *, const void *, uint32_t);
	int (*stream_aim)(stream *, const float *, uint32_t, const struct curve *, uint32_t, int);	/* NULL: older */
	device *d[NROWS];
	stream **s[NROWS];
	double ns[NROWS][NREPS];
} builds[NBUILDS];

static unsigned nstreams, block;
static int16_t *pcm;

static void
need(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench_cycle: %s failed: %s\n", what, dlerror());
	exit(1);
}

static void
find(void *lib, const char *name, void *fn, int must)
{
	void *p = dlsym(lib, name);

	need(!must || p != NULL, name);
	memcpy(fn, &p, sizeof(p));
}

static void
feed(struct build *b, int row)
{
	for (unsigned i = 0; i < nstreams; i++)
		(void)b->stream_write(b->s[row][i], pcm, (NSTEPS + 4) * block);
}

static void
aim(struct build *b, int row, int rep)
{
	static const struct curve qnx = { 2, { 0.2f, 0.8f }, { 0.1f, 0.9f } };
	static const float alike[1] = { 0.5f }, own[2] = { 0.5f, 0.25f };
	const float goal[1] = { rep % 2 ? 0.9f : 0.1f };

	for (unsigned i = 0; row > 0 && i < nstreams; i++) {
		stream *s = b->s[row][i];

		if (row == 3)
			(void)b->stream_aim(s, goal, 1, &qnx, 2 * NSTEPS * block, 0);
		else if (rep == 0)
			(void)b->stream_aim(s, row == 2 ? own : alike, row == 2 ? 2 : 1, NULL, 0, row == 4);
	}
}

static void
row_open(struct build *b, engine *e, int row)
{
	const struct encoding s16 = { 16, 2, 1, 1, 0, 0 };
	const struct device_conf conf = { .driver = "manual", .arg = "",
	    .par = { .enc = s16, .rate = 48000, .round = block, .bufsz = 4 * block, .pchan = 2 } };
	const struct stream_par par = { .enc = s16, .flags = STREAM_PLAY, .rate = 48000, .pchan = 2,
	    .appbufsz = (NSTEPS + 4) * block, .pmax = 1, .vol = 127, .maxvol = 127 };
	char err[256] = "";

	need(b->device_open(e, (uint32_t)row, &conf, &b->d[row], err, sizeof(err)) == 0, err);
	b->s[row] = calloc(nstreams, sizeof(*b->s[row]));
	need(b->s[row] != NULL, "calloc");
	for (unsigned i = 0; i < nstreams; i++) {
		need(b->stream_new(b->d[row], i + 1, &par, &b->s[row][i]) == 0, "stream_new");
		need(b->stream_start(b->s[row][i]) == 0, "stream_start");
	}
	feed(b, row);
	b->device_step(b->d[row], 4);
}

static void
load(struct build *b, const char *path)
{
	const struct engine_conf conf = { 0, 0 };
	void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	engine *e;

	need(lib != NULL, path);
#define FIND(f, must)	find(lib, #f, &b->f, must)
	FIND(engine_new, 1);
	FIND(device_open, 1);
	FIND(device_step, 1);
	FIND(device_getstats, 1);
	FIND(stream_new, 1);
	FIND(stream_start, 1);
	FIND(stream_write, 1);
	FIND(stream_aim, 0);
	need(b->engine_new(&e, &conf) == 0, "engine_new");
	for (int row = 0; row < (b->stream_aim ? NROWS : 1); row++)
		row_open(b, e, row);
}

static double
measure(struct build *b, int row, int rep)
{
	struct device_stats from, to;

	aim(b, row, rep);
	feed(b, row);
	b->device_step(b->d[row], 1);
	b->device_getstats(b->d[row], &from);
	b->device_step(b->d[row], NSTEPS);
	b->device_getstats(b->d[row], &to);
	return (double)(to.cpu_ns - from.cpu_ns) / NSTEPS / nstreams / block;
}

static int
less(const void *x, const void *y)
{
	const double v = *(const double *)x, w = *(const double *)y;

	return (v > w) - (v < w);
}

int
main(int argc, char **argv)
{
	int nbuilds = argc - 3;

	if (nbuilds < 1 || nbuilds > NBUILDS || atoi(argv[1]) < 1 || atoi(argv[2]) < 16) {
		fprintf(stderr, "usage: bench_cycle STREAMS BLOCK BUILD.so [OTHER.so]\n");
		return 2;
	}
	nstreams = (unsigned)atoi(argv[1]);
	block = (unsigned)atoi(argv[2]);
	pcm = calloc((size_t)(NSTEPS + 4) * block * 2, sizeof(*pcm));
	need(pcm != NULL, "calloc");
	for (unsigned i = 0; i < (NSTEPS + 4) * block * 2; i++)
		pcm[i] = (int16_t)(i * 40503u >> 3) / 256;
	for (int k = 0; k < nbuilds; k++)
		load(&builds[k], argv[3 + k]);
	for (int rep = 0; rep < NREPS; rep++)
		for (int row = 0; row < NROWS; row++)
			for (int k = 0; k < nbuilds; k++)
				if (builds[k].d[row])
					builds[k].ns[row][rep] = measure(&builds[k], row, rep);
	printf("%u streams, blocks of %u frames: ns a frame and stream\n", nstreams, block);
	for (int row = 0; row < NROWS; row++) {
		printf("%-32s", names[row]);
		for (int k = 0; k < nbuilds && builds[k].d[row]; k++) {
			qsort(builds[k].ns[row], NREPS, sizeof(double), less);
			printf(" %9.3f", builds[k].ns[row][NREPS / 4]);
		}
		printf("\n");
	}
	return 0;
}
