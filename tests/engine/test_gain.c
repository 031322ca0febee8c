/*
 * test_gain.c: volume table, and that ramps are continuous, exact at both ends
 * and the same however they are cut.
 */
#include <math.h>
#include "../../audiod/engine/dsp.h"
#include "check.h"

static void
test_volume(void)
{
	unsigned v;

	/* entries of sndio's table, in steps of 2^-23 */
	CHECK_NEAR(volume_gain(0), 0, 0);
	CHECK_NEAR(volume_gain(1) * 8388608, 65536, 0);
	CHECK_NEAR(volume_gain(2) * 8388608, 68109, 0);
	CHECK_NEAR(volume_gain(109), 0.5, 0);
	CHECK_NEAR(volume_gain(127), 1, 0);
	CHECK_NEAR(volume_gain(1000), 1, 0);
	for (v = 1; v < 128; v++) {
		CHECK(volume_gain(v) > volume_gain(v - 1));
		CHECK_NEAR(fmod(volume_gain(v) * 8388608, 1), 0, 0);
		CHECK_NEAR(volume_gain(v) * 8388608, pow(2, 23 + ((double)v - 127) / 18), 0.5 + 1e-6);
	}
}

static void
test_ramp(void)
{
	struct gain g, h;
	unsigned i, n;
	double v, last, s;

	gain_set(&g, 0.25);
	CHECK(gain_steady(&g));
	CHECK_NEAR(gain_now(&g), 0.25, 0);

	gain_ramp(&g, 1, 480);
	CHECK(!gain_steady(&g));
	CHECK_NEAR(gain_now(&g), 0.25, 0);		/* no step at the start */
	last = gain_now(&g);
	for (i = 1; i <= 480; i++) {
		gain_advance(&g, 1);
		v = gain_now(&g);
		s = i / 480.0;
		CHECK_NEAR(v, 0.25 + 0.75 * (3 * s * s - 2 * s * s * s), 1e-15);
		CHECK(v >= last && v - last <= 0.75 * 1.5 / 480 + 1e-12);
		last = v;
	}
	CHECK(gain_steady(&g));
	CHECK_NEAR(gain_now(&g), 1, 0);

	/* any cut */
	for (n = 1; n < 600; n += 37) {
		gain_set(&g, 0.9);
		gain_ramp(&g, 0.1, 480);
		h = g;
		for (i = 0; i < n; i++)
			gain_advance(&g, 1);
		gain_advance(&h, n);
		CHECK_NEAR(gain_now(&g), gain_now(&h), 0);
	}

	/* a new ramp starts where the old one is */
	gain_set(&g, 0);
	gain_ramp(&g, 1, 100);
	gain_advance(&g, 37);
	v = gain_now(&g);
	CHECK(v > 0.1 && v < 0.9);
	gain_ramp(&g, 0, 10);
	CHECK_NEAR(gain_now(&g), v, 0);
	gain_advance(&g, 9);
	CHECK(!gain_steady(&g) && gain_now(&g) > 0);
	gain_advance(&g, 1);
	CHECK(gain_steady(&g));
	CHECK_NEAR(gain_now(&g), 0, 0);

	/* to where it is, or in no time: no ramp */
	gain_ramp(&g, 0, 100);
	CHECK(gain_steady(&g));
	gain_ramp(&g, 0.7, 0);
	CHECK(gain_steady(&g));
	CHECK_NEAR(gain_now(&g), 0.7, 0);

	/* beyond the end, and without a ramp */
	gain_ramp(&g, 0.3, 10);
	gain_advance(&g, (size_t)1 << 40);
	CHECK(gain_steady(&g));
	CHECK_NEAR(gain_now(&g), 0.3, 0);
	gain_advance(&g, 5);
	CHECK_NEAR(gain_now(&g), 0.3, 0);
}

int
main(void)
{
	test_volume();
	test_ramp();
	CHECK_DONE();
}
