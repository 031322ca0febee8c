/*
 * fade.c: shapes of ramps, and the gains of a stream's channels on their way
 * along one.
 *
 * Invariant: the value of a frame depends on its place in the ramp alone, not
 * on how blocks cut the ramp; a new ramp begins at the gains as they are.  Runs
 * on the device thread (shape_ok on any).
 */
#include <math.h>
#include <string.h>
#include "dsp.h"

#define FADE_BLOCK	256		/* frames whose gains are computed at a time */

int
shape_ok(const struct shape *s)
{
	float x = 0;

	if (s->n > SHAPE_N)
		return 0;
	for (unsigned i = 0; i < s->n; i++) {
		if (!(s->x[i] >= x && s->x[i] <= 1 && s->y[i] >= 0 && s->y[i] <= 1))
			return 0;	/* NaN too */
		x = s->x[i];
	}
	return 1;
}

static void
smoothstep(unsigned pos, unsigned len, double *c, size_t n)
{
	const double step = 1.0 / len;

	for (size_t i = 0; i < n; i++) {
		const double t = (double)(pos + (unsigned)i) * step;

		c[i] = t * t * (3 - 2 * t);
	}
}

void
shape_fill(const struct shape *s, unsigned pos, unsigned len, double *c, size_t n)
{
	const double step = 1.0 / len;
	double x0 = 0, y0 = 0, x1, y1, slope;
	size_t i = 0;

	if (s == NULL || s->n == 0) {
		smoothstep(pos, len, c, n);
		return;
	}
	for (unsigned k = 0; i < n; k++) {	/* piece k ends at point k, the last at (1, 1) */
		const int last = k == s->n;
		const unsigned end = last ? len : (unsigned)ceil((double)s->x[k] * len);
		size_t stop = end > pos ? end - pos : 0;

		if (last || stop > n)
			stop = n;
		x1 = last ? 1 : (double)s->x[k];
		y1 = last ? 1 : (double)s->y[k];
		slope = x1 > x0 ? (y1 - y0) / (x1 - x0) : 0;
		for (; i < stop; i++)
			c[i] = y0 + slope * ((double)(pos + (unsigned)i) * step - x0);
		x0 = x1;
		y0 = y1;
	}
}

/* ---- gains of channels ---------------------------------------------------- */

static int
same(const float *g, unsigned n)
{
	for (unsigned ch = 1; ch < n; ch++)
		if (g[ch] != g[0])
			return 0;
	return 1;
}

static void
arrive(struct fade *f)
{
	f->pos = f->len = 0;
	f->flat = same(f->to, f->nch);
	f->one = f->nch == 0 || (f->flat && f->to[0] == 1);
}

void
fade_init(struct fade *f, unsigned nch)
{
	f->nch = nch;
	f->shape.n = 0;
	for (unsigned ch = 0; ch < nch; ch++)
		f->from[ch] = f->to[ch] = 1;
	arrive(f);
}

double
fade_now(const struct fade *f, unsigned ch)
{
	double c;

	if (fade_steady(f))
		return (double)f->to[ch];
	shape_fill(&f->shape, f->pos, f->len, &c, 1);
	return (double)f->from[ch] + ((double)f->to[ch] - (double)f->from[ch]) * c;
}

void
fade_to(struct fade *f, const float *gains, unsigned n, const struct shape *s, unsigned nframes)
{
	int there = 1;

	for (unsigned ch = 0; ch < f->nch; ch++)
		f->from[ch] = (float)fade_now(f, ch);
	for (unsigned ch = 0; ch < f->nch; ch++) {
		f->to[ch] = n == 0 ? 1 : gains[ch < n ? ch : n - 1];
		there &= f->to[ch] == f->from[ch];
	}
	if (there || nframes == 0) {
		arrive(f);
		return;
	}
	f->shape = *s;
	f->pos = 0;
	f->len = nframes;
	f->flat = 0;
	f->one = 0;
}

void
fade_finish(struct fade *f)
{
	arrive(f);
}

int
fade_steady(const struct fade *f)
{
	return f->pos >= f->len;
}

int
fade_silent(const struct fade *f)
{
	return fade_steady(f) && f->flat && f->to[0] == 0;
}

/* ---- applied to samples ---------------------------------------------------- */

#define T	float
#define NAME(f)	f##32
#include "fade_t.h"
#define T	double
#define NAME(f)	f##64
#include "fade_t.h"
