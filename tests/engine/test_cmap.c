/*
 * test_cmap.c: geometry of the channel map against a plain model, exactness at
 * unity gain, and ramps that do not depend on how blocks cut them.
 */
#include <math.h>
#include <string.h>
#include "../../audiod/engine/dsp.h"
#include "check.h"

#define FRAMES	700

static void
mix1(unsigned inch, int is, int ie, unsigned onch, int os, int oe, int join, const float *in, float *out)
{
	struct cmap m;
	struct gain g;

	cmap_init(&m, inch, is, ie, onch, os, oe, join);
	gain_set(&g, 1);
	memset(out, 0, onch * sizeof(*out));
	cmap_mix32(&m, &g, in, out, 1);
}

static void
test_examples(void)
{
	const float in[8] = { 12000, 6000, 3000, 1500, 900, 300, 70, 7 };
	float out[16];

	mix1(1, 0, 0, 2, 0, 1, 1, in, out);		/* mono to both */
	CHECK_NEAR(out[0], 12000, 0);
	CHECK_NEAR(out[1], 12000, 0);
	mix1(1, 0, 0, 2, 0, 1, 0, in, out);		/* -j off */
	CHECK_NEAR(out[0], 12000, 0);
	CHECK_NEAR(out[1], 0, 0);
	mix1(4, 0, 3, 2, 0, 1, 1, in, out);
	CHECK_NEAR(out[0], 7500, 0);
	CHECK_NEAR(out[1], 3750, 0);
	mix1(4, 0, 3, 2, 0, 1, 0, in, out);
	CHECK_NEAR(out[0], 12000, 0);
	CHECK_NEAR(out[1], 6000, 0);
	mix1(6, 0, 5, 2, 0, 1, 1, in, out);
	CHECK_NEAR(out[0], 5300, 0.001);
	CHECK_NEAR(out[1], 2600, 0.001);
	mix1(3, 0, 2, 2, 0, 1, 1, in, out);		/* the third is dropped */
	CHECK_NEAR(out[0], 12000, 0);
	CHECK_NEAR(out[1], 6000, 0);
	mix1(2, 0, 1, 8, 0, 7, 1, in, out);		/* all four pairs */
	CHECK_NEAR(out[6], 12000, 0);
	CHECK_NEAR(out[7], 6000, 0);
	mix1(2, 0, 1, 7, 0, 6, 1, in, out);		/* the seventh is silent */
	CHECK_NEAR(out[5], 6000, 0);
	CHECK_NEAR(out[6], 0, 0);
	mix1(2, 0, 1, 6, 2, 3, 1, in, out);		/* -c 2:3 */
	CHECK_NEAR(out[1], 0, 0);
	CHECK_NEAR(out[2], 12000, 0);
	CHECK_NEAR(out[3], 6000, 0);
	CHECK_NEAR(out[4], 0, 0);
}

/* what the manual says, channel by channel */
static void
model(unsigned inch, int is, int ie, unsigned onch, int os, int oe, int join, const double *in, double *out)
{
	int nin, nout, k, c, i;

	ie = ie < (int)inch ? ie : (int)inch - 1;
	oe = oe < (int)onch ? oe : (int)onch - 1;
	nin = ie - is + 1;
	nout = oe - os + 1;
	for (c = 0; c < (int)onch; c++)
		out[c] = 0;
	if (nin <= 0 || nout <= 0)
		return;
	k = nin < nout ? nin : nout;
	for (c = 0; c < k; c++) {
		if (join && nin > nout) {
			const int groups = nin / k;

			for (i = 0; i < groups; i++)
				out[os + c] += in[is + i * k + c] / groups;
		} else if (join) {
			for (i = 0; i < nout / k; i++)
				out[os + i * k + c] = in[is + c];
		} else
			out[os + c] = in[is + c];
	}
}

static void
test_model(void)
{
	static const struct { unsigned n; int s, e; } side[] = {
		{ 1, 0, 0 }, { 2, 0, 1 }, { 2, 1, 1 }, { 3, 0, 2 }, { 4, 1, 3 }, { 6, 0, 5 },
		{ 8, 0, 7 }, { 8, 2, 3 }, { 5, 3, 9 }, { 4, 4, 6 }, { 64, 0, 63 }, { 64, 60, 70 },
	};
	const unsigned nsides = sizeof(side) / sizeof(side[0]);
	double in[64 * 3], want[64], got[64 * 3];
	struct cmap m;
	struct gain g;
	unsigned a, b, c, f;
	int join;

	for (c = 0; c < 64 * 3; c++)
		in[c] = sin(c + 1.0);
	for (a = 0; a < nsides; a++)
	for (b = 0; b < nsides; b++)
	for (join = 0; join < 2; join++) {
		cmap_init(&m, side[a].n, side[a].s, side[a].e, side[b].n, side[b].s, side[b].e, join);
		CHECK(m.join == 1 || m.expand == 1);
		gain_set(&g, 0.5);
		for (c = 0; c < 64 * 3; c++)
			got[c] = 1;
		cmap_mix64(&m, &g, in, got, 3);
		for (f = 0; f < 3; f++) {
			model(side[a].n, side[a].s, side[a].e, side[b].n, side[b].s, side[b].e, join,
			    in + f * side[a].n, want);
			for (c = 0; c < side[b].n; c++)
				CHECK_NEAR(got[f * side[b].n + c], 1 + want[c] * 0.5, 1e-15);
		}
	}
}

static void
test_identity(void)
{
	struct cmap m;

	cmap_init(&m, 2, 0, 1, 2, 0, 1, 1);
	CHECK(cmap_identity(&m));
	cmap_init(&m, 2, 0, 7, 2, 0, 7, 1);		/* intervals end with the frame */
	CHECK(cmap_identity(&m));
	cmap_init(&m, 2, -3, 1, 2, 0, 1, 0);
	CHECK(cmap_identity(&m));
	cmap_init(&m, 1, 0, 0, 2, 0, 1, 1);
	CHECK(!cmap_identity(&m));
	cmap_init(&m, 2, 0, 1, 4, 0, 1, 1);
	CHECK(!cmap_identity(&m));
	cmap_init(&m, 2, 1, 1, 2, 1, 1, 1);
	CHECK(!cmap_identity(&m));
	cmap_init(&m, 4, 0, 3, 4, 0, 1, 1);
	CHECK(!cmap_identity(&m));
	cmap_init(&m, 2, 1, 0, 2, 0, 1, 1);
	CHECK_EQ(m.width, 0);
	CHECK(!cmap_identity(&m));
}

/* s16 and s24 steps add without any rounding at unity gain, on every path */
static void
test_exact(void)
{
	static const unsigned widths[][2] = { { 1, 1 }, { 2, 2 }, { 1, 2 }, { 2, 4 }, { 8, 8 }, { 3, 5 } };
	static float in[FRAMES * 8], out[FRAMES * 8], want[FRAMES * 8];
	unsigned w, i, c, e;

	for (w = 0; w < sizeof(widths) / sizeof(widths[0]); w++) {
		const unsigned inch = widths[w][0], onch = widths[w][1];
		struct cmap m;
		struct gain g;

		cmap_init(&m, inch, 0, (int)inch - 1, onch, 0, (int)onch - 1, 1);
		gain_set(&g, 1);
		for (i = 0; i < FRAMES * inch; i++)
			in[i] = (float)((int)(i * 2654435761u) >> 8) / 8388608;
		for (i = 0; i < FRAMES * onch; i++)
			want[i] = out[i] = (float)((int)(i * 2246822519u) >> 16) / 65536;
		for (i = 0; i < FRAMES; i++) {
			for (e = 0; e < m.expand; e++)
				for (c = 0; c < m.width; c++)
					want[i * onch + e * m.width + c] += in[i * inch + c];
		}
		cmap_mix32(&m, &g, in, out, FRAMES);
		CHECK_EQ(memcmp(out, want, sizeof(*out) * FRAMES * onch), 0);

		gain_set(&g, 0);		/* nothing is added */
		cmap_mix32(&m, &g, in, out, FRAMES);
		CHECK_EQ(memcmp(out, want, sizeof(*out) * FRAMES * onch), 0);
	}
}

static void
test_ramp(void)
{
	static const unsigned widths[][2] = { { 1, 1 }, { 2, 2 }, { 1, 2 }, { 2, 4 }, { 4, 2 }, { 3, 5 } };
	static float in[FRAMES * 4], out[FRAMES * 5], cut[FRAMES * 5];
	static double in64[FRAMES * 4], out64[FRAMES * 5];
	unsigned w, i, c, at, n;

	for (i = 0; i < FRAMES * 4; i++) {
		in[i] = 1;
		in64[i] = 1;
	}
	for (w = 0; w < sizeof(widths) / sizeof(widths[0]); w++) {
		const unsigned inch = widths[w][0], onch = widths[w][1];
		struct cmap m;
		struct gain g, h, k, ref;

		cmap_init(&m, inch, 0, (int)inch - 1, onch, 0, (int)onch - 1, 1);
		gain_set(&g, 0.1);
		gain_ramp(&g, 0.75, 480);
		h = k = ref = g;
		memset(out, 0, sizeof(out));
		memset(cut, 0, sizeof(cut));
		memset(out64, 0, sizeof(out64));
		cmap_mix32(&m, &g, in, out, FRAMES);
		cmap_mix64(&m, &k, in64, out64, FRAMES);
		for (at = 0, i = 0; at < FRAMES; at += n, i++) {
			n = 1 + i * 7 % 311;
			if (n > FRAMES - at)
				n = FRAMES - at;
			cmap_mix32(&m, &h, in, cut + at * onch, n);
		}
		CHECK_EQ(memcmp(out, cut, sizeof(out)), 0);
		CHECK(gain_steady(&g) && gain_steady(&h) && gain_steady(&k));
		for (i = 0; i < FRAMES; i++) {
			for (c = 0; c < m.width * m.expand; c++) {	/* all channels of a frame alike */
				CHECK_NEAR(out[i * onch + c], gain_now(&ref), 3e-7);
				CHECK_NEAR(out64[i * onch + c], gain_now(&ref), 1e-14);
			}
			for (; c < onch; c++)
				CHECK_NEAR(out[i * onch + c], 0, 0);
			gain_advance(&ref, 1);
		}
		CHECK_NEAR(out[480 * onch], 0.75, 0);
	}
}

int
main(void)
{
	test_examples();
	test_model();
	test_identity();
	test_exact();
	test_ramp();
	CHECK_DONE();
}
