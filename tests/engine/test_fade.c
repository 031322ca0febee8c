/*
 * test_fade.c: shapes of ramps, and that gains of channels are continuous,
 * exact at both ends, the same however they are cut and of whichever type.
 */
#include <math.h>
#include "../../audiod/engine/dsp.h"
#include "check.h"

#define LEN	480

static const struct shape qnx = { 2, { 0.2f, 0.8f }, { 0.1f, 0.9f } };
static const struct shape linear = { 1, { 1 }, { 1 } };
static const struct shape step = { 2, { 0.5f, 0.5f }, { 0, 1 } };
static const struct shape late = { 1, { 1 }, { 0 } };		/* all of it in no time at the end */
static const struct shape early = { 1, { 0 }, { 1 } };
static const struct shape smooth = { 0 };

static void
test_shape(void)
{
	double c[LEN], one;

	shape_fill(&qnx, 0, LEN, c, LEN);
	CHECK_NEAR(c[0], 0, 0);
	for (int i = 0; i < LEN; i++) {
		double t = i / (double)LEN, want = t < 0.2 ? t / 2 : t < 0.8 ? 0.1 + (t - 0.2) * 8 / 6 : 0.9 + (t - 0.8) / 2;

		CHECK_NEAR(c[i], want, 1e-7);
		CHECK(i == 0 || (c[i] > c[i - 1] && c[i] - c[i - 1] < 8.0 / 6 / LEN + 1e-7));
	}
	shape_fill(&linear, 7, LEN, c, 3);
	CHECK_NEAR(c[2], 9.0 / LEN, 1e-15);
	shape_fill(&step, 238, LEN, c, 4);
	CHECK_NEAR(c[1], 0, 0);
	CHECK_NEAR(c[2], 1, 0);
	shape_fill(&late, 0, LEN, c, LEN);
	CHECK_NEAR(c[LEN - 1], 0, 0);
	shape_fill(&early, 0, LEN, c, LEN);
	CHECK_NEAR(c[0], 1, 0);
	shape_fill(&smooth, 0, LEN, c, LEN);
	shape_fill(NULL, 120, LEN, &one, 1);
	CHECK_NEAR(c[120], 3 / 16.0 - 2 / 64.0, 1e-15);
	CHECK_NEAR(one, c[120], 0);
	for (unsigned len = 1; len < 40; len++)		/* shorter than its points are many */
		for (unsigned i = 0; i < len; i++) {
			shape_fill(&qnx, i, len, &one, 1);
			shape_fill(&qnx, 0, len, c, len);
			CHECK_NEAR(one, c[i], 0);
			CHECK(one >= 0 && one <= 1);
		}
}

static void
test_shape_ok(void)
{
	struct shape s = qnx;

	CHECK(shape_ok(&qnx) && shape_ok(&step) && shape_ok(&late) && shape_ok(&early) && shape_ok(&smooth));
	s.n = SHAPE_N + 1;
	CHECK(!shape_ok(&s));
	s.n = 2;
	s.x[1] = 0.1f;			/* back in time */
	CHECK(!shape_ok(&s));
	s.x[1] = 1.5f;
	CHECK(!shape_ok(&s));
	s.x[1] = NAN;
	CHECK(!shape_ok(&s));
	s = qnx;
	s.y[0] = -0.1f;
	CHECK(!shape_ok(&s));
	s.y[0] = NAN;
	CHECK(!shape_ok(&s));
}

/* a fade of three channels over n frames of ones, in pieces of `cut` */
static void
run(struct fade *f, double *out, unsigned n, unsigned cut, int wide)
{
	float x[3 * 600];

	CHECK(n <= 600);
	for (unsigned i = 0; i < 3 * n; i++) {
		out[i] = 1;
		x[i] = 1;
	}
	for (unsigned i = 0, k; i < n; i += k) {
		k = n - i < cut ? n - i : cut;
		if (wide)
			fade_run64(f, out + 3 * i, k);
		else
			fade_run32(f, x + 3 * i, k);
	}
	for (unsigned i = 0; i < 3 * n && !wide; i++)
		out[i] = (double)x[i];
}

static void
test_fade(const struct shape *shape, int wide)
{
	static const float goal[2] = { 0.25f, 0.75f };	/* the third as the second */
	double c[LEN], a[3 * 600], b[3 * 600];
	struct fade f;

	shape_fill(shape, 0, LEN, c, LEN);
	for (unsigned cut = 1; cut <= 600; cut = 3 * cut + 1) {
		fade_init(&f, 3);
		CHECK(f.one && fade_steady(&f));
		fade_to(&f, goal, 2, shape, LEN);
		CHECK(!f.one && !fade_steady(&f));
		run(&f, a, 600, cut, wide);
		CHECK(fade_steady(&f) && !f.one && !fade_silent(&f));
		for (unsigned i = 0; i < 600; i++)
			for (unsigned ch = 0; ch < 3; ch++) {
				double to = ch ? 0.75 : 0.25, v = i < LEN ? 1 + (to - 1) * c[i] : to;

				CHECK_NEAR(a[3 * i + ch], v, wide ? 1e-15 : 1e-7);
			}
		if (cut > 1) {
			fade_init(&f, 3);
			fade_to(&f, goal, 2, shape, LEN);
			run(&f, b, 600, 1, wide);
			for (unsigned i = 0; i < 1800; i++)
				CHECK_NEAR(a[i], b[i], 0);
		}
	}
}

static void
test_goals(void)
{
	static const float half = 0.5f, none = 0, unity = 1, two[2] = { 0.25f, 0.5f };
	double out[1800], v;
	struct fade f;

	fade_init(&f, 3);
	fade_to(&f, &unity, 1, &qnx, LEN);	/* where it is: no ramp */
	CHECK(f.one);
	fade_to(&f, &none, 1, &qnx, LEN);
	run(&f, out, 200, 600, 0);
	v = fade_now(&f, 1);
	fade_to(&f, two, 2, &smooth, 100);	/* halfway: from there */
	CHECK_NEAR(fade_now(&f, 0), v, 1e-7);
	run(&f, out, 101, 600, 1);
	CHECK_NEAR(out[0], v, 1e-7);
	CHECK_NEAR(out[300], 0.25, 0);
	CHECK_NEAR(out[302], 0.5, 0);
	fade_to(&f, &none, 1, &linear, LEN);
	CHECK(!fade_silent(&f));
	fade_finish(&f);
	CHECK(fade_silent(&f));
	run(&f, out, 10, 10, 1);
	CHECK_NEAR(out[29], 0, 0);
	fade_to(&f, NULL, 0, &linear, LEN);	/* none: all 1 */
	run(&f, out, LEN, LEN, 1);
	CHECK(f.one);
	run(&f, out, 1, 1, 1);
	CHECK_NEAR(out[0], 1, 0);
	fade_to(&f, &half, 1, &linear, 0);	/* in no time */
	CHECK(fade_steady(&f));
	CHECK_NEAR(fade_now(&f, 2), 0.5, 0);
	fade_init(&f, 0);			/* of no channels: what only records */
	fade_to(&f, &none, 1, &linear, LEN);
	CHECK(fade_steady(&f) && f.one);
}

int
main(void)
{
	test_shape();
	test_shape_ok();
	for (int wide = 0; wide < 2; wide++) {
		test_fade(&qnx, wide);
		test_fade(&linear, wide);
		test_fade(&step, wide);
		test_fade(&smooth, wide);
	}
	test_goals();
	CHECK_DONE();
}
