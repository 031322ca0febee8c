/*
 * gain.c: volume to gain, and the ramp that every change of gain goes through.
 *
 * Invariant: the value of a frame depends on its place in the ramp alone, not
 * on how blocks cut the ramp; after the ramp it is exactly `to`.  Runs on the
 * device thread (volume_gain on any).
 */
#include <math.h>
#include "dsp.h"

#define VOLUME_MAX	127u		/* sndio's full volume */
#define VOLUME_UNIT	8388608.0	/* sndio's full scale, 2^23: gains are multiples of 1 / unit */

double
volume_gain(unsigned vol)
{
	if (vol == 0)
		return 0;
	if (vol >= VOLUME_MAX)
		return 1;
	return floor(exp2(23 + ((double)vol - VOLUME_MAX) / 18) + 0.5) / VOLUME_UNIT;
}

void
gain_set(struct gain *g, double to)
{
	g->from = g->to = to;
	g->pos = g->len = 0;
	g->shape = NULL;
}

double
gain_now(const struct gain *g)
{
	double s;

	if (g->pos >= g->len)
		return g->to;
	if (g->shape != NULL) {
		shape_fill(g->shape, g->pos, g->len, &s, 1);
		return g->from + (g->to - g->from) * s;
	}
	s = (double)g->pos / g->len;
	return g->from + (g->to - g->from) * (s * s * (3 - 2 * s));
}

void
gain_ramp(struct gain *g, double to, unsigned nframes)
{
	gain_ramp_on(g, to, nframes, NULL);
}

void
gain_ramp_on(struct gain *g, double to, unsigned nframes, const struct shape *shape)
{
	const double now = gain_now(g);

	if (nframes == 0 || now == to) {
		gain_set(g, to);
		return;
	}
	g->from = now;
	g->to = to;
	g->pos = 0;
	g->len = nframes;
	g->shape = shape != NULL && shape->n > 0 ? shape : NULL;
}

int
gain_steady(const struct gain *g)
{
	return g->pos >= g->len;
}

void
gain_advance(struct gain *g, size_t nframes)
{
	const unsigned left = g->pos < g->len ? g->len - g->pos : 0;

	if (nframes < left)
		g->pos += (unsigned)nframes;
	else
		gain_set(g, g->to);
}
