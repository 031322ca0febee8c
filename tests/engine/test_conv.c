/*
 * test_conv.c: bytes of known samples in known encodings, exact round trips,
 * padding, rounding, clipping, NaN and infinity, silence and dither.
 */
#include <errno.h>
#include <math.h>
#include <string.h>
#include "../../audiod/engine/dsp.h"
#include "check.h"

#define N	257			/* odd, so that kernels have a tail */

static void
init(struct conv *c, unsigned bits, unsigned bps, unsigned sig, unsigned le, unsigned msb, unsigned flt)
{
	const struct enc e = { (uint8_t)bits, (uint8_t)bps, (uint8_t)sig, (uint8_t)le, (uint8_t)msb, (uint8_t)flt };

	CHECK_EQ(conv_init(c, &e), 0);
}

static void
test_valid(void)
{
	struct conv c;
	struct enc e, f;

	e = (struct enc){ 16, 2, 1, 1, 0, 0 };
	CHECK(enc_ok(&e) && enc_packed(&e));
	f = e;
	f.msb = 1;
	CHECK(enc_same(&e, &f));			/* no padding: msb says nothing */
	f.le = 0;
	CHECK(!enc_same(&e, &f));
	e = (struct enc){ 8, 1, 0, 1, 0, 0 };
	f = (struct enc){ 8, 1, 0, 0, 1, 0 };
	CHECK(enc_same(&e, &f));			/* one byte: nor le */
	e = (struct enc){ 24, 4, 1, 1, 0, 0 };
	f = (struct enc){ 24, 4, 1, 1, 1, 0 };
	CHECK(!enc_same(&e, &f) && !enc_packed(&e));
	f = (struct enc){ 24, 4, 0, 1, 0, 0 };
	CHECK(!enc_same(&e, &f));
	e = (struct enc){ 32, 4, 1, 1, 0, 0 };
	f = (struct enc){ 32, 4, 1, 1, 0, 1 };
	CHECK(enc_ok(&e) && enc_ok(&f) && !enc_same(&e, &f));

	static const struct enc bad[] = {
		{ 0, 1, 1, 1, 0, 0 }, { 33, 4, 1, 1, 0, 0 }, { 33, 5, 1, 1, 0, 0 }, { 24, 2, 1, 1, 0, 0 },
		{ 8, 0, 1, 1, 0, 0 }, { 16, 5, 1, 1, 0, 0 }, { 16, 2, 2, 1, 0, 0 }, { 16, 2, 1, 2, 0, 0 },
		{ 16, 2, 1, 1, 2, 0 }, { 32, 4, 1, 1, 0, 2 }, { 32, 4, 0, 1, 0, 1 }, { 32, 4, 1, 1, 1, 1 },
		{ 64, 4, 1, 1, 0, 1 }, { 32, 8, 1, 1, 0, 1 }, { 64, 8, 1, 1, 0, 0 }, { 16, 2, 1, 1, 0, 1 },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(!enc_ok(&bad[i]));
		CHECK_EQ(conv_init(&c, &bad[i]), -EINVAL);
	}
}

static void
test_bytes(void)
{
	static const struct {
		uint8_t bits, bps, sig, le, msb;
		double value;
		uint8_t bytes[4];
	} row[] = {
		{ 16, 2, 1, 1, 0, -1, { 0x00, 0x80 } },
		{ 16, 2, 1, 0, 0, 0.5, { 0x40, 0x00 } },
		{ 16, 2, 0, 1, 0, -1, { 0x00, 0x00 } },
		{ 16, 2, 0, 1, 0, 0, { 0x00, 0x80 } },
		{ 8, 1, 0, 1, 0, 0.5, { 0xc0 } },
		{ 8, 1, 1, 1, 0, -0.5, { 0xc0 } },
		{ 24, 3, 1, 1, 0, -1.0 / 8388608, { 0xff, 0xff, 0xff } },
		{ 24, 3, 1, 0, 0, 0x123456 / 8388608.0, { 0x12, 0x34, 0x56 } },
		{ 24, 4, 1, 1, 0, -2.0 / 8388608, { 0xfe, 0xff, 0xff, 0xff } },	/* sign goes on upwards */
		{ 24, 4, 1, 0, 1, -2.0 / 8388608, { 0xff, 0xff, 0xfe, 0x00 } },	/* zeros below */
		{ 24, 4, 0, 1, 0, -1, { 0, 0, 0, 0 } },
		{ 24, 4, 0, 1, 0, 8388607 / 8388608.0, { 0xff, 0xff, 0xff, 0x00 } },	/* zeros above */
		{ 20, 3, 1, 1, 0, -1, { 0x00, 0x00, 0xf8 } },
		{ 20, 3, 1, 1, 1, -1, { 0x00, 0x00, 0x80 } },
		{ 20, 4, 0, 0, 1, 0, { 0x80, 0, 0, 0 } },
		{ 32, 4, 1, 1, 0, -0.5, { 0, 0, 0, 0xc0 } },
		{ 32, 4, 0, 0, 0, 0.5, { 0xc0, 0, 0, 0 } },
		{ 12, 2, 1, 1, 0, 2047 / 2048.0, { 0xff, 0x07 } },
		{ 12, 2, 1, 1, 1, 2047 / 2048.0, { 0xf0, 0x7f } },
		{ 1, 1, 1, 1, 0, -1, { 0xff } },
		{ 1, 1, 0, 1, 1, 0, { 0x80 } },
	};
	size_t i;

	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		const float v32 = (float)row[i].value;
		struct conv c;
		uint8_t b[4] = { 0x55, 0x55, 0x55, 0x55 };
		float f = 99;
		double d = 99;

		init(&c, row[i].bits, row[i].bps, row[i].sig, row[i].le, row[i].msb, 0);
		c.enc64(&c, &row[i].value, b, 1);
		CHECK_EQ(memcmp(b, row[i].bytes, row[i].bps), 0);
		memset(b, 0x55, sizeof(b));
		c.enc32(&c, &v32, b, 1);
		CHECK_EQ(memcmp(b, row[i].bytes, row[i].bps), 0);
		c.dec32(&c, b, &f, 1);
		CHECK_NEAR(f, v32, 0);
		c.dec64(&c, b, &d, 1);
		CHECK_NEAR(d, row[i].value, 0);
	}
}

/* every value of up to 16 bits, and a walk through wider ones, with rubbish in the padding */
static void
test_trip(unsigned bits, unsigned bps, unsigned sig, unsigned le, unsigned msb)
{
	struct conv c;
	uint8_t b[N * 4 + 1], again[N * 4 + 1];
	float f[N];
	double d[N];
	int64_t lo, hi, v, step;
	unsigned i, n, k;

	init(&c, bits, bps, sig, le, msb, 0);
	lo = -(INT64_C(1) << (bits - 1));
	hi = -lo - 1;
	step = bits <= 12 ? 1 : (hi - lo) / 4001 | 1;
	for (v = lo; v <= hi; v += step * n) {
		for (n = 0; n < N && v + n * step <= hi; n++) {
			uint64_t u = (uint64_t)(v + n * step);

			if (!sig)
				u += UINT64_C(1) << (bits - 1);
			u &= (UINT64_C(1) << bits) - 1;
			if (msb)	/* rubbish below, or above */
				u = u << (8 * bps - bits) | (0xa5a5a5a5u & ((UINT64_C(1) << (8 * bps - bits)) - 1));
			else
				u |= UINT64_C(0x5a5a5a5a5a5a) << bits;
			for (k = 0; k < bps; k++)
				b[n * bps + k] = (uint8_t)(u >> 8 * (le ? k : bps - 1 - k));
		}
		b[n * bps] = again[n * bps] = 0x77;	/* the byte behind stays */
		c.dec64(&c, b, d, n);
		c.dec32(&c, b, f, n);
		for (i = 0; i < n; i++) {
			const double want = (double)(v + i * step) / (double)-lo;

			CHECK_NEAR(d[i], want, 0);
			CHECK_NEAR(f[i], (float)want, 0);
		}
		c.enc64(&c, d, again, n);
		CHECK_EQ(again[n * bps], 0x77);
		c.dec64(&c, again, d, n);
		for (i = 0; i < n; i++)
			CHECK_NEAR(d[i], (double)(v + i * step) / (double)-lo, 0);
		if (bits <= 24) {
			c.enc32(&c, f, b, n);
			CHECK_EQ(memcmp(b, again, n * bps + 1), 0);
		}
	}
}

static void
test_rounding(unsigned bits, unsigned bps, unsigned le)
{
	const double steps = ldexp(1, (int)bits - 1);
	const double top = (steps - 1) / steps;
	/* in steps of the encoding, and what must come out */
	const double in[][2] = {
		{ 0.49, 0 }, { 0.5, 0 }, { 0.51, 1 }, { 1.5, 2 }, { 2.5, 2 }, { -0.49, 0 }, { -0.5, 0 }, { -0.51, -1 },
		{ -1.5, -2 }, { 2.25, 2 }, { -3.75, -4 }, { steps - 1, steps - 1 }, { steps, steps - 1 }, { -steps, -steps },
		{ 2 * steps, steps - 1 }, { -2 * steps, -steps }, { 1e30, steps - 1 }, { -1e30, -steps },
		{ INFINITY, steps - 1 }, { -INFINITY, -steps }, { NAN, 0 },
	};
	struct conv c;
	uint8_t b[4];
	double d, got;
	float f;
	size_t i;

	init(&c, bits, bps, 1, le, 0, 0);
	for (i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
		d = in[i][0] / steps;
		c.enc64(&c, &d, b, 1);
		c.dec64(&c, b, &got, 1);
		CHECK_NEAR(got * steps, in[i][1], 0);
		f = (float)d;
		c.enc32(&c, &f, b, 1);
		c.dec64(&c, b, &got, 1);
		if (f == 1)			/* f32 has no value between */
			CHECK_NEAR(got, top, 0);
		else
			CHECK_NEAR(got * steps, in[i][1], 0);
	}
}

static void
test_clip(void)
{
	const float f[] = { 0, 1, -1, 0.99999f, 1.1f, -1.1f, INFINITY, -INFINITY, NAN };
	const double d[] = { 0, 1, -1, 32767 / 32768.0, 32767.4 / 32768, 32767.5 / 32768, -32768.4 / 32768,
	    -32768.6 / 32768, INFINITY, -INFINITY, NAN };
	static float many[200001];
	struct conv c;
	size_t i;

	init(&c, 16, 2, 1, 1, 0, 0);
	CHECK_EQ(clip_count32(&c, f, 9), 6);		/* 0.99999 rounds to 32768 */
	CHECK_EQ(clip_count64(&c, d, 11), 5);
	for (i = 0; i < 200001; i++)
		many[i] = i % 3 ? 0 : 1.5f;
	CHECK_EQ(clip_count32(&c, many, 200001), 66667);
	CHECK_EQ(clip_count32(&c, many, 0), 0);
	init(&c, 24, 3, 1, 1, 0, 0);
	CHECK_EQ(clip_count32(&c, f, 9), 5);
	init(&c, 32, 4, 1, 1, 0, 0);
	CHECK_EQ(clip_count32(&c, f, 9), 5);
	CHECK_EQ(clip_count64(&c, d, 11), 5);
	init(&c, 32, 4, 1, 1, 0, 1);
	CHECK_EQ(clip_count32(&c, f, 9), 0);
	CHECK_EQ(clip_count64(&c, d, 11), 0);
}

/* every step of an encoding is on its grid, the half between two is not, wherever it lies */
static void
test_grid(unsigned bits, unsigned bps)
{
	const double steps = ldexp(1, (int)bits - 1);
	float f[1000];
	double d[1000];
	struct conv c;
	size_t i, k;

	init(&c, bits, bps, 1, 1, 0, 0);
	for (i = 0; i < 1000; i++) {
		d[i] = floor((double)i / 999 * 2 * (steps - 1) - (steps - 1)) / steps;
		f[i] = (float)d[i];
	}
	CHECK(on_grid64(&c, d, 1000));
	if (bits <= 24)
		CHECK(on_grid32(&c, f, 1000));
	for (k = 0; k < 1000; k += 37) {
		const double was = d[k];

		d[k] = was / 2 + 0.25 / steps;
		f[k] = (float)d[k];
		CHECK(!on_grid64(&c, d, 1000));
		if (bits <= 22)
			CHECK(!on_grid32(&c, f, 1000));
		d[k] = was;
		f[k] = (float)was;
	}
	CHECK(on_grid64(&c, d, 0) && on_grid32(&c, f, 0));
	d[999] = NAN;
	f[999] = NAN;
	CHECK(!on_grid64(&c, d, 1000) && !on_grid32(&c, f, 1000));
	init(&c, 32, 4, 1, 1, 0, 1);
	CHECK(!on_grid32(&c, f, 10) && !on_grid64(&c, d, 10));
}

static void
test_float(unsigned bits, unsigned le)
{
	const double in[] = { 0, 0.1, -0.3, 1, -1, 3.5, 255, 1e3, -1e3, INFINITY, -INFINITY, NAN };
	const double want[] = { 0, 0.1, -0.3, 1, -1, 3.5, 255, 256, -256, 256, -256, 0 };
	const size_t n = sizeof(in) / sizeof(in[0]);
	uint8_t b[1 + 12 * 8];			/* and unaligned */
	float f[12];
	double d[12];
	struct conv c;
	uint32_t seed = 1;
	size_t i;

	init(&c, bits, bits / 8, 1, le, 0, 1);
	c.enc64(&c, in, b + 1, n);
	c.dec64(&c, b + 1, d, n);
	c.dec32(&c, b + 1, f, n);
	for (i = 0; i < n; i++) {
		CHECK_NEAR(d[i], bits == 64 ? want[i] : (double)(float)want[i], 0);
		CHECK_NEAR(f[i], (float)want[i], 0);
	}
	c.enc32(&c, f, b + 1, n);		/* headroom is kept, dither does nothing */
	c.dec32(&c, b + 1, f, n);
	CHECK_NEAR(f[7], 256, 0);
	c.dit32(&c, &seed, f, b + 1, n);
	c.dec64(&c, b + 1, d, n);
	c.dit64(&c, &seed, d, b + 1, n);
	c.dec64(&c, b + 1, d, n);
	for (i = 0; i < n; i++)
		CHECK_NEAR(d[i], (float)want[i], 0);
	CHECK_EQ(seed, 1);
	d[0] = 1e300;				/* beyond f32: defined all the same */
	c.enc64(&c, d, b, 1);
	c.dec64(&c, b, d, 1);
	CHECK_NEAR(d[0], 256, 0);
	d[0] = 1;
	c.enc64(&c, d, b, 1);
	if (bits == 32)
		CHECK_EQ(b[le ? 3 : 0], 0x3f);
	else
		CHECK_EQ(b[le ? 7 : 0], 0x3f);
}

static void
test_silence(void)
{
	unsigned bits, bps, sig, le, msb, i;

	for (bits = 1; bits <= 32; bits++)
	for (bps = (bits + 7) / 8; bps <= 4; bps++)
	for (sig = 0; sig < 2; sig++)
	for (le = 0; le < 2; le++)
	for (msb = 0; msb < 2; msb++) {
		const double zero[3] = { 0, 0, 0 };
		uint8_t a[12], b[12];
		struct conv c;

		init(&c, bits, bps, sig, le, msb, 0);
		memset(a, 0x33, sizeof(a));
		enc_silence(&c.enc, a, 3);
		c.enc64(&c, zero, b, 3);
		CHECK_EQ(memcmp(a, b, (size_t)3 * bps), 0);
		for (i = 3 * bps; i < sizeof(a); i++)
			CHECK_EQ(a[i], 0x33);
	}
}

/* noise of variance 1/4 step, whatever the value between two steps, and no bias */
static void
test_dither(unsigned bits, unsigned bps, unsigned msb, int f64)
{
	enum { COUNT = 40000 };
	static float f[COUNT];
	static double d[COUNT], got[COUNT];
	static uint8_t b[COUNT * 4], b2[COUNT * 4];
	const double steps = ldexp(1, (int)bits - 1);
	uint32_t seed = 12345, seed2;
	struct conv c;
	double dc;
	int i;

	init(&c, bits, bps, 1, 1, msb, 0);
	for (dc = 0; dc < 1; dc += 0.25) {
		double sum = 0, sq = 0, lag = 0, last = 0, most = 0;

		for (i = 0; i < COUNT; i++) {
			d[i] = (3 + dc) / steps;
			f[i] = (float)d[i];
		}
		seed2 = seed;
		if (f64)
			c.dit64(&c, &seed, d, b, COUNT);
		else
			c.dit32(&c, &seed, f, b, COUNT);
		c.dec64(&c, b, got, COUNT);
		for (i = 0; i < COUNT; i++) {
			const double e = got[i] * steps - (3 + dc);

			sum += e;
			sq += e * e;
			lag += e * last;
			last = e;
			most = fabs(e) > most ? fabs(e) : most;
		}
		CHECK_NEAR(sum / COUNT, 0, 0.01);
		CHECK_NEAR(sq / COUNT, 0.25, 0.008);
		CHECK_NEAR(lag / COUNT, 0, 0.008);
		CHECK(most <= 1.5);
		CHECK(seed != seed2);

		/* the same noise however blocks are cut */
		if (f64) {
			c.dit64(&c, &seed2, d, b2, 1001);
			c.dit64(&c, &seed2, d + 1001, b2 + 1001 * bps, COUNT - 1001);
		} else {
			c.dit32(&c, &seed2, f, b2, 1001);
			c.dit32(&c, &seed2, f + 1001, b2 + 1001 * bps, COUNT - 1001);
		}
		CHECK_EQ(seed, seed2);
		CHECK_EQ(memcmp(b, b2, (size_t)COUNT * bps), 0);
	}

	/* clipped once, after the noise */
	for (i = 0; i < COUNT; i++) {
		d[i] = i & 1 ? 2 : -2;
		f[i] = i & 1 ? INFINITY : -INFINITY;
	}
	if (f64)
		c.dit64(&c, &seed, d, b, COUNT);
	else
		c.dit32(&c, &seed, f, b, COUNT);
	c.dec64(&c, b, got, COUNT);
	for (i = 0; i < COUNT; i++)
		CHECK_NEAR(got[i], i & 1 ? 1 - 1 / steps : -1, 0);
}

static void
test_dither_wide(void)
{
	const double d[3] = { 0.1, -0.7, 0.3 };
	const float f[3] = { 0.1f, -0.7f, 0.3f };
	uint8_t a[12], b[12];
	uint32_t seed = 7;
	struct conv c;

	init(&c, 32, 4, 1, 1, 0, 0);		/* too fine to need any */
	c.enc64(&c, d, a, 3);
	c.dit64(&c, &seed, d, b, 3);
	CHECK_EQ(memcmp(a, b, 12), 0);
	c.enc32(&c, f, a, 3);
	c.dit32(&c, &seed, f, b, 3);
	CHECK_EQ(memcmp(a, b, 12), 0);
	CHECK_EQ(seed, 7);
}

int
main(void)
{
	unsigned bits, bps, sig, le, msb;

	test_valid();
	test_bytes();
	for (bits = 1; bits <= 32; bits++)
	for (bps = (bits + 7) / 8; bps <= 4; bps++)
	for (sig = 0; sig < 2; sig++)
	for (le = 0; le < 2; le++)
	for (msb = 0; msb < 2; msb++)
		test_trip(bits, bps, sig, le, msb);
	test_rounding(8, 1, 1);
	test_rounding(16, 2, 1);		/* fast */
	test_rounding(16, 2, 0);		/* any */
	test_rounding(24, 3, 1);
	test_rounding(24, 3, 0);
	test_rounding(24, 4, 1);
	test_rounding(20, 4, 0);
	test_rounding(25, 4, 1);
	test_rounding(31, 4, 0);
	test_rounding(32, 4, 1);
	test_rounding(32, 4, 0);
	test_clip();
	test_grid(8, 1);
	test_grid(16, 2);
	test_grid(24, 3);
	test_grid(32, 4);
	for (le = 0; le < 2; le++) {
		test_float(32, le);
		test_float(64, le);
	}
	test_silence();
	test_dither(16, 2, 0, 0);
	test_dither(16, 2, 0, 1);
	test_dither(12, 2, 1, 0);
	test_dither(24, 3, 0, 0);
	test_dither(24, 4, 0, 1);
	test_dither(20, 3, 1, 0);
	test_dither_wide();
	CHECK_DONE();
}
