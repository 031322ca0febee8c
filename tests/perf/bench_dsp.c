/*
 * bench_dsp.c: what the mixing path and the resampler cost, as multiples of
 * memcpy in the same run.
 *
 *	cc -O3 -fno-wrapv -fno-math-errno -fno-trapping-math -ffp-contract=off \
 *	    tests/perf/bench_dsp.c audiod/engine/{conv,gain,cmap,resamp,resamp_design}.c -lm -o bench_dsp
 *	./bench_dsp [streams]
 *
 * Each repetition runs every row once, so that a busy neighbour hits all alike;
 * a row's time is the lower quartile of its thread CPU times.  Prints ns a
 * stereo frame and stream, and the ratio to the row's memcpy.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "../../audiod/engine/dsp.h"

#define ROUND	480			/* frames a block */
#define NREPS	101
#define STREAMS	16

static int16_t *pcm;			/* [nstreams][ROUND * 2] */
static int16_t *copy;			/* one block */
static float *scratch, *bus;
static double *scratch64, *bus64;
static struct gain *gains;
static struct resamp **up, **down, **odd, **up64;
static struct conv s16, s24, s32;
static struct cmap stereo;
static uint32_t seed = 1;
static float sink;

static void
copy_s16(unsigned s)
{
	memcpy(copy, pcm + (size_t)s * ROUND * 2, ROUND * 2 * sizeof(*pcm));
	__asm__ volatile("" ::: "memory");
}

static void
mix_steady(unsigned s)
{
	gain_set(&gains[s], 0.3);
	s16.dec32(&s16, pcm + (size_t)s * ROUND * 2, scratch, ROUND * 2);
	cmap_mix32(&stereo, &gains[s], scratch, bus, ROUND);
}

static void
mix_ramp(unsigned s)
{
	gain_set(&gains[s], 0.3);
	gain_ramp(&gains[s], 0.2, ROUND);
	s16.dec32(&s16, pcm + (size_t)s * ROUND * 2, scratch, ROUND * 2);
	cmap_mix32(&stereo, &gains[s], scratch, bus, ROUND);
}

static void
mix_steady64(unsigned s)
{
	gain_set(&gains[s], 0.3);
	s16.dec64(&s16, pcm + (size_t)s * ROUND * 2, scratch64, ROUND * 2);
	cmap_mix64(&stereo, &gains[s], scratch64, bus64, ROUND);
}

static void
encode_s16(unsigned s)
{
	(void)s;
	s16.enc32(&s16, scratch, copy, ROUND * 2);
}

static void
encode_dither(unsigned s)
{
	(void)s;
	s16.dit32(&s16, &seed, scratch, copy, ROUND * 2);
}

static void
encode_s24(unsigned s)
{
	(void)s;
	s24.enc32(&s24, scratch, bus64, ROUND * 2);
}

static void
encode_s32(unsigned s)
{
	(void)s;
	s32.enc32(&s32, scratch, bus64, ROUND * 2);
}

static void
decode_s24(unsigned s)
{
	s24.dec32(&s24, pcm + (size_t)s * ROUND * 2, scratch, ROUND * 2);
}

static void
count_clips(unsigned s)
{
	(void)s;
	sink += (float)clip_count32(&s16, scratch, ROUND * 2);
}

static void
resample(struct resamp *r, const void *in)
{
	resamp_run(r, in, resamp_need(r, ROUND), bus64, ROUND);
}

static void resample_up(unsigned s) { resample(up[s], scratch); }
static void resample_down(unsigned s) { resample(down[s], scratch); }
static void resample_odd(unsigned s) { resample(odd[s], scratch); }
static void resample_up64(unsigned s) { resample(up64[s], scratch64); }

static struct row {
	const char *name;
	void (*run)(unsigned stream);
	double ns[NREPS];
} rows[] = {
	{ .name = "memcpy s16 stereo", .run = copy_s16 },
	{ .name = "decode s16 + mix, steady gain", .run = mix_steady },
	{ .name = "decode s16 + mix, ramp", .run = mix_ramp },
	{ .name = "decode s16 + mix, steady gain, f64", .run = mix_steady64 },
	{ .name = "decode s24le3", .run = decode_s24 },
	{ .name = "encode s16", .run = encode_s16 },
	{ .name = "encode s16, dither", .run = encode_dither },
	{ .name = "encode s24le3", .run = encode_s24 },
	{ .name = "encode s32", .run = encode_s32 },
	{ .name = "count clips", .run = count_clips },
	{ .name = "resample 44100 -> 48000", .run = resample_up },
	{ .name = "resample 48000 -> 44100", .run = resample_down },
	{ .name = "resample 44101 -> 48000 (interpolated)", .run = resample_odd },
	{ .name = "resample 44100 -> 48000, f64", .run = resample_up64 },
};
#define NROWS	(sizeof(rows) / sizeof(rows[0]))

static int
less(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
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
		if (resamp_new(&r[s], irate, orate, 2, f64, ROUND) < 0) {
			fprintf(stderr, "bench_dsp: no resampler from %u to %u Hz\n", irate, orate);
			exit(1);
		}
	}
	return r;
}

int
main(int argc, char **argv)
{
	const unsigned n = argc > 1 ? (unsigned)atoi(argv[1]) : STREAMS;
	const struct enc e16 = { 16, 2, 1, 1, 0, 0 }, e24 = { 24, 3, 1, 1, 0, 0 }, e32 = { 32, 4, 1, 1, 0, 0 };
	unsigned s, i, rep, again;

	if (n < 1) {
		fprintf(stderr, "usage: bench_dsp [streams]\n");
		return 2;
	}
	conv_init(&s16, &e16);
	conv_init(&s24, &e24);
	conv_init(&s32, &e32);
	cmap_init(&stereo, 2, 0, 1, 2, 0, 1, 1);
	pcm = need(calloc((size_t)n * ROUND * 2 + ROUND, sizeof(*pcm)));
	copy = need(calloc(ROUND * 2, sizeof(*copy)));
	scratch = need(calloc(ROUND * 4, sizeof(*scratch)));
	bus = need(calloc(ROUND * 2, sizeof(*bus)));
	scratch64 = need(calloc(ROUND * 4, sizeof(*scratch64)));
	bus64 = need(calloc(ROUND * 2, sizeof(*bus64)));
	gains = need(calloc(n, sizeof(*gains)));
	up = resamps(n, 44100, 48000, 0);
	down = resamps(n, 48000, 44100, 0);
	odd = resamps(n, 44101, 48000, 0);
	up64 = resamps(n, 44100, 48000, 1);
	for (i = 0; i < n * ROUND * 2; i++)
		pcm[i] = (int16_t)(i * 40503u >> 3);
	for (i = 0; i < ROUND * 4; i++)
		scratch64[i] = scratch[i] = (float)((int)(i * 40503u % 65536) - 32768) / 65536;

	for (rep = 0; rep < NREPS; rep++) {
		memset(bus, 0, ROUND * 2 * sizeof(*bus));
		memset(bus64, 0, ROUND * 2 * sizeof(*bus64));
		for (i = 0; i < NROWS; i++) {
			/* cheap rows often enough for the clock */
			const unsigned times = (i < 10 ? 512 : 32) / n + 1;
			const double t = now();

			for (again = 0; again < times; again++)
				for (s = 0; s < n; s++)
					rows[i].run(s);
			rows[i].ns[rep] = (now() - t) / times / n / ROUND;
		}
	}
	printf("%u streams, blocks of %d frames%23s ns/frame  x memcpy\n", n, ROUND, "");
	for (i = 0; i < NROWS; i++) {
		qsort(rows[i].ns, NREPS, sizeof(rows[i].ns[0]), less);
		printf("%-52s %10.3f %9.1f\n", rows[i].name, rows[i].ns[NREPS / 4],
		    rows[i].ns[NREPS / 4] / rows[0].ns[NREPS / 4]);
	}
	for (s = 0; s < n; s++) {
		resamp_free(up[s]);
		resamp_free(down[s]);
		resamp_free(odd[s]);
		resamp_free(up64[s]);
	}
	return sink < 0;
}
