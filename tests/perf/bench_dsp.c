/*
 * bench_dsp.c: what the mixing path and the resampler cost: ns a stereo frame
 * and stream, as multiples of memcpy, and of the same by another build.
 *
 *	F="-O3 -fno-wrapv -fno-math-errno -fno-trapping-math -ffp-contract=off"
 *	E=$(echo audiod/engine/{conv,gain,fade,cmap,resamp,resamp_design}.c)
 *	cc $F -shared -fPIC $E -lm -o new.so
 *	cc $F -DKERN_LEVEL=0 -shared -fPIC $E -lm -o plain.so	# or an older tree's
 *	cc $F tests/perf/bench_dsp.c -o bench_dsp
 *	./bench_dsp STREAMS BLOCK ./new.so [./plain.so]
 *
 * Each repetition runs every row of every build once, so that a busy neighbour
 * hits all alike; a row's time is the lower quartile of its thread CPU times.
 */
#define _POSIX_C_SOURCE 200809L
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "../../audiod/engine/dsp.h"

#define NREPS	101
#define NBUILDS	2

/* one build of the kernels and what it works on; samples are stereo */
struct build {
	int (*conv_init)(struct conv *, const struct enc *);
	size_t (*clip_count32)(const struct conv *, const float *, size_t);
	void (*gain_set)(struct gain *, double);
	void (*gain_ramp)(struct gain *, double, unsigned);
	void (*cmap_init)(struct cmap *, unsigned, int, int, unsigned, int, int, int);
	void (*cmap_mix32)(const struct cmap *, struct gain *, const float *, float *, size_t);
	void (*cmap_mix64)(const struct cmap *, struct gain *, const double *, double *, size_t);
	int (*resamp_new)(struct resamp **, unsigned, unsigned, unsigned, int, unsigned);
	unsigned (*resamp_need)(const struct resamp *, unsigned);
	void (*resamp_run)(struct resamp *, const void *, unsigned, void *, unsigned);
	struct conv s16, s24, s32;
	struct cmap stereo;
	struct resamp **up, **down, **odd, **up64;
	struct gain *gains;
} builds[NBUILDS], *b;

static unsigned nbuilds, block;
static int16_t *pcm;			/* [nstreams][block * 2] */
static int16_t *copy;			/* one block */
static float *scratch, *out, *bus;
static double *scratch64, *bus64;
static uint32_t seed = 1;
static float sink;

static const int16_t *
stream(unsigned s)
{
	return pcm + (size_t)s * block * 2;
}

static void
copy_s16(unsigned s)
{
	memcpy(copy, stream(s), block * 2 * sizeof(*pcm));
	__asm__ volatile("" ::: "memory");
}

static void
mix_steady(unsigned s)
{
	b->gain_set(&b->gains[s], 0.3);
	b->s16.dec32(&b->s16, stream(s), scratch, block * 2);
	b->cmap_mix32(&b->stereo, &b->gains[s], scratch, bus, block);
}

static void
mix_ramp(unsigned s)
{
	b->gain_set(&b->gains[s], 0.3);
	b->gain_ramp(&b->gains[s], 0.2, block);
	b->s16.dec32(&b->s16, stream(s), scratch, block * 2);
	b->cmap_mix32(&b->stereo, &b->gains[s], scratch, bus, block);
}

static void
mix_resampled(unsigned s)
{
	const unsigned n = b->resamp_need(b->up[s], block);

	b->gain_set(&b->gains[s], 0.3);
	b->s16.dec32(&b->s16, stream(s), scratch, n * 2);
	b->resamp_run(b->up[s], scratch, n, out, block);
	b->cmap_mix32(&b->stereo, &b->gains[s], out, bus, block);
}

static void
mix_steady64(unsigned s)
{
	b->gain_set(&b->gains[s], 0.3);
	b->s16.dec64(&b->s16, stream(s), scratch64, block * 2);
	b->cmap_mix64(&b->stereo, &b->gains[s], scratch64, bus64, block);
}

static void
encode_s16(unsigned s)
{
	(void)s;
	b->s16.enc32(&b->s16, scratch, copy, block * 2);
}

static void
encode_dither(unsigned s)
{
	(void)s;
	b->s16.dit32(&b->s16, &seed, scratch, copy, block * 2);
}

static void
encode_s24(unsigned s)
{
	(void)s;
	b->s24.enc32(&b->s24, scratch, bus64, block * 2);
}

static void
encode_s32(unsigned s)
{
	(void)s;
	b->s32.enc32(&b->s32, scratch, bus64, block * 2);
}

static void
decode_s24(unsigned s)
{
	b->s24.dec32(&b->s24, stream(s), scratch, block * 2);
}

static void
count_clips(unsigned s)
{
	(void)s;
	sink += (float)b->clip_count32(&b->s16, scratch, block * 2);
}

static void
resample(struct resamp *r, const void *in)
{
	b->resamp_run(r, in, b->resamp_need(r, block), bus64, block);
}

static void resample_up(unsigned s) { resample(b->up[s], scratch); }
static void resample_down(unsigned s) { resample(b->down[s], scratch); }
static void resample_odd(unsigned s) { resample(b->odd[s], scratch); }
static void resample_up64(unsigned s) { resample(b->up64[s], scratch64); }

static struct row {
	const char *name;
	void (*run)(unsigned stream);
	unsigned frames;		/* about so many a repetition */
	double ns[NBUILDS][NREPS];
} rows[] = {
	{ .name = "memcpy s16 stereo", .run = copy_s16, .frames = 200000 },
	{ .name = "decode s16, mix", .run = mix_steady, .frames = 200000 },
	{ .name = "decode s16, mix, ramp", .run = mix_ramp, .frames = 200000 },
	{ .name = "decode s16, mix, f64", .run = mix_steady64, .frames = 200000 },
	{ .name = "decode s16 of 44100, to 48000, mix", .run = mix_resampled, .frames = 15000 },
	{ .name = "decode s24le3", .run = decode_s24, .frames = 100000 },
	{ .name = "encode s16", .run = encode_s16, .frames = 100000 },
	{ .name = "encode s16, dither", .run = encode_dither, .frames = 50000 },
	{ .name = "encode s24le3", .run = encode_s24, .frames = 50000 },
	{ .name = "encode s32", .run = encode_s32, .frames = 50000 },
	{ .name = "count clips", .run = count_clips, .frames = 100000 },
	{ .name = "resample 44100 -> 48000", .run = resample_up, .frames = 15000 },
	{ .name = "resample 48000 -> 44100", .run = resample_down, .frames = 15000 },
	{ .name = "resample 44101 -> 48000, interpolated", .run = resample_odd, .frames = 10000 },
	{ .name = "resample 44100 -> 48000, f64", .run = resample_up64, .frames = 10000 },
};
#define NROWS	(sizeof(rows) / sizeof(rows[0]))

static int
less(const void *x, const void *y)
{
	const double v = *(const double *)x, w = *(const double *)y;

	return (v > w) - (v < w);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void *
need(void *p)
{
	if (p == NULL) {
		fprintf(stderr, "bench_dsp: out of memory\n");
		exit(1);
	}
	return p;
}

static struct resamp **
resamps(unsigned n, unsigned irate, unsigned orate, int f64)
{
	struct resamp **r = need(calloc(n, sizeof(*r)));
	unsigned s;

	for (s = 0; s < n; s++) {
		if (b->resamp_new(&r[s], irate, orate, 2, f64, block) < 0) {
			fprintf(stderr, "bench_dsp: no resampler from %u to %u Hz\n", irate, orate);
			exit(1);
		}
	}
	return r;
}

static void
find(void *lib, const char *name, void *fn)	/* fn: where the pointer to the function goes */
{
	void *p = dlsym(lib, name);

	if (p == NULL) {
		fprintf(stderr, "bench_dsp: %s\n", dlerror());
		exit(1);
	}
	memcpy(fn, &p, sizeof(p));
}

static void
load(const char *path, unsigned n)
{
	const struct enc e16 = { 16, 2, 1, 1, 0, 0 }, e24 = { 24, 3, 1, 1, 0, 0 }, e32 = { 32, 4, 1, 1, 0, 0 };
	void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (lib == NULL) {
		fprintf(stderr, "bench_dsp: %s\n", dlerror());
		exit(1);
	}
	b = &builds[nbuilds++];
#define FIND(f)	find(lib, #f, &b->f)
	FIND(conv_init);
	FIND(clip_count32);
	FIND(gain_set);
	FIND(gain_ramp);
	FIND(cmap_init);
	FIND(cmap_mix32);
	FIND(cmap_mix64);
	FIND(resamp_new);
	FIND(resamp_need);
	FIND(resamp_run);
	b->conv_init(&b->s16, &e16);
	b->conv_init(&b->s24, &e24);
	b->conv_init(&b->s32, &e32);
	b->cmap_init(&b->stereo, 2, 0, 1, 2, 0, 1, 1);
	b->gains = need(calloc(n, sizeof(*b->gains)));
	b->up = resamps(n, 44100, 48000, 0);
	b->down = resamps(n, 48000, 44100, 0);
	b->odd = resamps(n, 44101, 48000, 0);
	b->up64 = resamps(n, 44100, 48000, 1);
}

static void
measure(struct row *row, unsigned n, unsigned rep)
{
	const unsigned times = row->frames / (n * block) + 1;
	unsigned again, s;

	for (b = builds; b < builds + nbuilds; b++) {
		const double t = now();

		for (again = 0; again < times; again++)
			for (s = 0; s < n; s++)
				row->run(s);
		row->ns[b - builds][rep] = (now() - t) / times / n / block;
	}
}

int
main(int argc, char **argv)
{
	unsigned n, i, k, rep;
	double ns[NBUILDS];

	if (argc < 4 || argc > 3 + NBUILDS || atoi(argv[1]) < 1 || atoi(argv[2]) < 16) {
		fprintf(stderr, "usage: bench_dsp STREAMS BLOCK BUILD.so [OTHER.so]\n");
		return 2;
	}
	n = (unsigned)atoi(argv[1]);
	block = (unsigned)atoi(argv[2]);
	pcm = need(calloc((size_t)(n + 1) * block * 2, sizeof(*pcm)));
	copy = need(calloc(block * 2, sizeof(*copy)));
	scratch = need(calloc(block * 4, sizeof(*scratch)));
	out = need(calloc(block * 2, sizeof(*out)));
	bus = need(calloc(block * 2, sizeof(*bus)));
	scratch64 = need(calloc(block * 4, sizeof(*scratch64)));
	bus64 = need(calloc(block * 2, sizeof(*bus64)));
	for (i = 3; i < (unsigned)argc; i++)
		load(argv[i], n);
	for (i = 0; i < n * block * 2; i++)
		pcm[i] = (int16_t)(i * 40503u >> 3);
	for (i = 0; i < block * 4; i++)
		scratch64[i] = scratch[i] = (float)((int)(i * 40503u % 65536) - 32768) / 65536;

	for (rep = 0; rep < NREPS; rep++) {
		memset(bus, 0, block * 2 * sizeof(*bus));
		memset(bus64, 0, block * 2 * sizeof(*bus64));
		for (i = 0; i < NROWS; i++)
			measure(&rows[i], n, rep);
	}
	printf("%u streams, blocks of %u frames%16s ns/frame  x memcpy%s\n", n, block, "",
	    nbuilds > 1 ? "  other's ns   of it" : "");
	for (i = 0; i < NROWS; i++) {
		for (k = 0; k < nbuilds; k++) {
			qsort(rows[i].ns[k], NREPS, sizeof(double), less);
			ns[k] = rows[i].ns[k][NREPS / 4];
		}
		printf("%-44s %10.3f %9.1f", rows[i].name, ns[0], ns[0] / rows[0].ns[0][NREPS / 4]);
		if (nbuilds > 1)
			printf(" %11.3f %7.2f", ns[1], ns[0] / ns[1]);
		printf("\n");
	}
	return sink < 0;
}
