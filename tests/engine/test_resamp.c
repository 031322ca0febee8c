/*
 * test_resamp.c: the exact ratio under any split into runs, sample values that
 * do not depend on the split, channels kept apart, delay, and that designs are
 * shared and freed.
 */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include "../../audiod/engine/dsp.h"
#include "check.h"

static const unsigned pairs[][2] = {
	{ 44100, 48000 }, { 48000, 44100 }, { 8000, 48000 }, { 48000, 8000 }, { 96000, 48000 }, { 44101, 48000 },
	{ 48000, 44101 }, { 4000, 192000 }, { 192000, 4000 }, { 191999, 4001 }, { 48000, 48000 }, { 11025, 192000 },
};
#define NPAIRS	(sizeof(pairs) / sizeof(pairs[0]))

static uint32_t
rnd(uint32_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 17;
	*s ^= *s << 5;
	return *s;
}

static struct resamp *
new(unsigned irate, unsigned orate, unsigned nch, int f64, unsigned max_nout)
{
	struct resamp *r;

	CHECK_EQ(resamp_new(&r, irate, orate, nch, f64, max_nout), 0);
	return r;
}

static void
test_args(void)
{
	struct resamp *r;

	CHECK_EQ(resamp_new(&r, 3999, 48000, 2, 0, 480), -EINVAL);
	CHECK_EQ(resamp_new(&r, 48000, 192001, 2, 0, 480), -EINVAL);
	CHECK_EQ(resamp_new(&r, 48000, 44100, 0, 0, 480), -EINVAL);
	CHECK_EQ(resamp_new(&r, 48000, 44100, 65, 0, 480), -EINVAL);
	resamp_free(NULL);
}

/* counts only: driven by outputs, by inputs, and by both at random */
static void
test_counts(unsigned irate, unsigned orate)
{
	static float in[16384 * 4], out[16384 * 4];
	struct resamp *r = new(irate, orate, 1, 0, 64);
	uint64_t ni = 0, no = 0;
	uint32_t s = 1;
	unsigned i, n, m;
	const unsigned most_in = orate >= irate ? 16384 * 4 / (orate / irate + 1) - 1 : 300;
	const unsigned most_out = irate >= orate ? 300 : 16384;

	for (i = 0; i < 60; i++) {			/* play */
		n = rnd(&s) % (i % 4 ? 40 : most_out);
		if ((uint64_t)n * irate / orate >= 16384 * 4)
			n = 200;
		m = resamp_need(r, n);
		resamp_run(r, in, m, out, n);
		ni += m;
		no += n;
		CHECK_EQ(ni, (no * irate + orate - 1) / orate);
	}
	resamp_free(r);

	r = new(irate, orate, 1, 0, 64);
	ni = no = 0;
	for (i = 0; i < 60; i++) {			/* record */
		n = rnd(&s) % (i % 4 ? 40 : most_in);
		m = resamp_yield(r, n);
		CHECK(m < 16384 * 4);
		resamp_run(r, in, n, out, m);
		ni += n;
		no += m;
		CHECK_EQ(no, ni * orate / irate);
	}
	for (i = 0; i < 60; i++) {			/* both */
		n = rnd(&s) % 30;
		if (rnd(&s) & 1) {
			m = resamp_yield(r, n);
			resamp_run(r, in, n, out, m);
			ni += n;
			no += m;
			CHECK_EQ(no, ni * orate / irate);
		} else {
			m = resamp_need(r, n);
			resamp_run(r, in, m, out, n);
			ni += m;
			no += n;
			CHECK(no * irate <= ni * orate);
			CHECK(m == 0 || ni == (no * irate + orate - 1) / orate);
		}
	}
	resamp_free(r);
}

/* a run into memory of its own, of which it writes nout frames and not a byte more */
static void
run_apart(struct resamp *r, const char *in, unsigned nin, char *out, unsigned nout, size_t frame)
{
	enum { MARGIN = 4096 };
	const size_t size = nout * frame;
	unsigned char *p = malloc(size + 2 * MARGIN);
	size_t i;

	CHECK(p != NULL);
	memset(p, 0x55, size + 2 * MARGIN);
	resamp_run(r, in, nin, p + MARGIN, nout);
	memcpy(out, p + MARGIN, size);
	for (i = 0; i < MARGIN && p[i] == 0x55 && p[MARGIN + size + i] == 0x55; i++)
		;
	CHECK_EQ(i, MARGIN);
	free(p);
}

/* one run, many small ones and input-driven ones give the same bits */
static void
test_split(unsigned irate, unsigned orate, int f64, unsigned nch)
{
	enum { NOUT = 1500 };
	const size_t size = f64 ? sizeof(double) : sizeof(float), frame = nch * size;
	struct resamp *r = new(irate, orate, nch, f64, NOUT);
	const unsigned nin = resamp_need(r, NOUT);
	char *in = malloc((nin + 1) * frame), *a = malloc(NOUT * frame), *b = malloc(NOUT * frame);
	unsigned i, n, m, at, done;
	uint32_t s = 99;

	CHECK(in != NULL && a != NULL && b != NULL);
	for (i = 0; i < nin * nch; i++) {
		const double v = (double)(int32_t)rnd(&s) / 2147483648.0;

		if (f64)
			((double *)in)[i] = v;
		else
			((float *)in)[i] = (float)v;
	}
	resamp_run(r, in, nin, a, NOUT);
	resamp_free(r);

	r = new(irate, orate, nch, f64, 16);		/* less than some of the runs: they are done in parts */
	for (at = done = 0; done < NOUT; at += m, done += n) {
		n = rnd(&s) % 33;
		if (n > NOUT - done)
			n = NOUT - done;
		m = resamp_need(r, n);
		run_apart(r, in + at * frame, m, b + done * frame, n, frame);
	}
	CHECK_EQ(at, nin);
	CHECK_EQ(memcmp(a, b, NOUT * frame), 0);
	resamp_free(r);

	r = new(irate, orate, nch, f64, 16);
	memset(b, 0x55, NOUT * frame);
	for (at = done = 0; at < nin; at += n, done += m) {
		n = rnd(&s) % 33;
		if (n > nin - at)
			n = nin - at;
		m = resamp_yield(r, n);
		if (m > NOUT - done)
			break;
		run_apart(r, in + at * frame, n, b + done * frame, m, frame);
	}
	CHECK(done > 0 && done <= NOUT);
	CHECK_EQ(memcmp(a, b, done * frame), 0);
	resamp_free(r);
	free(in);
	free(a);
	free(b);
}

/* an impulse in one channel sounds in that channel, at the delay, with the sum of a step */
static void
test_channels(unsigned nch, int f64)
{
	enum { NIN = 441, NOUT = 480 };
	double *in = calloc(NIN * nch, sizeof(*in)), *out = calloc(NOUT * nch, sizeof(*out));
	struct resamp *r;
	unsigned c, i, k;

	CHECK(in != NULL && out != NULL);
	for (c = 0; c < nch; c += nch > 8 ? 7 : 1) {
		double sum = 0, centre = 0, v;

		r = new(44100, 48000, nch, f64, NOUT);
		for (i = 0; i < NIN * nch; i++) {
			v = i == 100 * nch + c ? 0.5 : 0;
			if (f64)
				in[i] = v;
			else
				((float *)in)[i] = (float)v;
		}
		CHECK_EQ(resamp_need(r, NOUT), NIN);
		resamp_run(r, in, NIN, out, NOUT);
		for (i = 0; i < NOUT; i++) {
			for (k = 0; k < nch; k++) {
				v = f64 ? out[i * nch + k] : (double)((float *)out)[i * nch + k];
				if (k == c) {
					sum += v;
					centre += v * i;
				} else
					CHECK_NEAR(v, 0, 0);
			}
		}
		CHECK_NEAR(sum, 0.5 * 48000 / 44100, 1e-6);
		CHECK_NEAR(centre / sum * 44100 / 48000, 100 + resamp_delay(r), 1e-3);
		CHECK(resamp_delay(r) / 44100 <= 0.001);
		resamp_free(r);
	}
	free(in);
	free(out);
}

/* all phases pass a constant alike; zeros before it */
static void
test_constant(unsigned irate, unsigned orate, int f64)
{
	enum { NOUT = 6000 };
	struct resamp *r = new(irate, orate, 1, f64, NOUT);
	const unsigned nin = resamp_need(r, NOUT);
	double *in = calloc(nin, sizeof(*in)), *out = calloc(NOUT, sizeof(*out));
	const unsigned settled = (unsigned)(2 * resamp_delay(r) * orate / irate) + 2;
	unsigned i;

	CHECK(in != NULL && out != NULL);
	CHECK(settled < NOUT);
	for (i = 0; i < nin; i++) {
		if (f64)
			in[i] = 0.75;
		else
			((float *)in)[i] = 0.75f;
	}
	resamp_run(r, in, nin, out, NOUT);
	CHECK_NEAR(f64 ? out[0] : (double)((float *)out)[0], 0, 1e-4);
	for (i = settled; i < NOUT; i++)
		CHECK_NEAR(f64 ? out[i] : (double)((float *)out)[i], 0.75, f64 ? 2e-8 : 2e-6);
	resamp_free(r);
	free(in);
	free(out);
}

/* equal rates share their table, also after one of them is gone */
static void
test_shared(void)
{
	float in[64] = { 0 }, a[64], b[64];
	struct resamp *r = new(44100, 48000, 1, 0, 64), *q = new(44100, 48000, 1, 0, 64), *p;
	unsigned n, i;

	for (i = 0; i < 64; i++)
		in[i] = (float)(i % 5) - 2;
	n = resamp_need(r, 64);
	resamp_run(r, in, n, a, 64);
	resamp_free(r);
	p = new(48000, 44100, 1, 0, 64);
	resamp_run(q, in, n, b, 64);
	CHECK_EQ(memcmp(a, b, sizeof(a)), 0);
	resamp_free(q);
	resamp_free(p);
	r = new(44100, 48000, 1, 0, 64);
	resamp_run(r, in, n, b, 64);
	CHECK_EQ(memcmp(a, b, sizeof(a)), 0);
	resamp_free(r);
}

int
main(void)
{
	unsigned i;

	test_args();
	for (i = 0; i < NPAIRS; i++) {
		test_counts(pairs[i][0], pairs[i][1]);
		test_split(pairs[i][0], pairs[i][1], 0, 1 + i % 3);
		test_split(pairs[i][0], pairs[i][1], 1, 1 + (i + 1) % 3);
		test_constant(pairs[i][0], pairs[i][1], 0);
		test_constant(pairs[i][0], pairs[i][1], 1);
	}
	for (i = 1; i <= 3; i++) {
		test_channels(i, 0);
		test_channels(i, 1);
	}
	test_channels(64, 0);
	test_channels(63, 1);
	test_shared();
	CHECK_DONE();
}
