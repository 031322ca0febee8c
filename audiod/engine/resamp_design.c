/*
 * resamp_design.c: the filters of the resampler, and their tables.
 *
 * Owns the designs, shared by all streams of equal rates.  Control thread only,
 * hence no lock.  A design is read-only once made.
 *
 * The pass band reaches to 20 kHz at 44.1 and 48 kHz, and to the same share of
 * other rates; the stop band begins as far above half the lower rate as the
 * pass band ends below.  Images between are only partly removed, which halves
 * the length (and delay) for signals above 20 kHz that nobody hears.  Ripple is
 * below 0.001 dB, 0.01 dB in the last bin of the pass band, and the stop band lies
 * below -153 dB: a Kaiser window alone, whose ripple is as small as its stop
 * band, would need half as many taps more.  docs/adr/0010 says how this was found.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "resamp.h"

#define PI		3.14159265358979323846
#define EXACT_FEW	128		/* up to so many phases a table of all is smaller than one to interpolate */
#define EXACT_PHASES	1024		/* beyond, phases are interpolated ... */
#define EXACT_TAPS	(320 * 1024)	/* ... and if the table had more taps than this: it should fit the cache */
#define WHOLE_TAPS	(16 * 1024)	/* in a table no larger than this all groups are whole */
#define INTERP32	32		/* phases of the interpolated table: its error is below the stop band */
#define INTERP64	64
#define BESSEL_TERMS	64		/* of I0's series: far beyond need for BETA */

/*
 * The impulse response is a Kaiser window, less its step at the ends, over a
 * sinc cut off a little below the edge of the pass band, and cosines around the
 * edge.  One bin is the inverse of the window's length.
 */
#define BETA		16.5		/* of the window */
#define WIDTH		7.5		/* bins from the pass band to the stop band */
#define EDGE_FIRST	-4.5		/* bins from the edge of the pass band to the first cosine */
#define EDGE_STEP	(7.5 / 13)	/* bins from one to the next; the sinc ends half a step before the first */
static const double edge[] = {		/* their weights */
	1.334465833, 0.810736397, 0.921697755, 2.909253856, -2.178148966, 5.000000000, -2.355416583,
	4.289575036, -1.176804801, 1.806468003, 1.313556376, 2.182790655, 0.127221686, -0.002867018,
};
#define NEDGE		((int)(sizeof(edge) / sizeof(edge[0])))

static unsigned
gcd(unsigned a, unsigned b)
{
	while (b != 0) {
		const unsigned t = a % b;

		a = b;
		b = t;
	}
	return a;
}

void *
alloc_zero(size_t n, size_t size)
{
	const size_t bytes = (n * size + 63) & ~(size_t)63;
	void *p;

	if ((p = aligned_alloc(64, bytes)) != NULL)
		memset(p, 0, bytes);
	return p;
}

static double
bessel_i0(double x)			/* 0 <= x < 20 */
{
	const double q = x * x / 4;
	double sum = 1, term = 1;
	int k;

	for (k = 1; k < BESSEL_TERMS && term > sum * 1e-17; k++) {
		term *= q / (double)(k * k);
		sum += term;
	}
	return sum;
}

/* ---- the impulse response ----------------------------------------------------- */

struct impulse {
	double *h;			/* half of it, from the centre, res points a frame */
	unsigned res;
	int odd;			/* its first point lies half a step from the centre */
};

static double
pass_edge(double irate, double orate)	/* Hz */
{
	const double low = irate < orate ? irate : orate;

	return low <= 44100 ? low * 20000 / 44100 : low <= 48000 ? 20000 : low * 20000 / 48000;
}

static double
window_length(const struct design *d)	/* input frames */
{
	const double low = d->irate < d->orate ? d->irate : d->orate;

	return WIDTH * d->irate / (low - 2 * pass_edge(d->irate, d->orate));
}

/* t input frames from the centre, up to a factor */
static double
impulse_at(const struct design *d, double length, double t)
{
	const double pass = pass_edge(d->irate, d->orate) / d->irate, u = 2 * t / length;	/* cycles a frame */
	const double cut = pass + (EDGE_FIRST - EDGE_STEP / 2) / length;
	const double by = 2 * cos(2 * PI * EDGE_STEP / length * t);
	double sum, c, before;
	int i;

	if (u >= 1)
		return 0;
	sum = t > 0 ? sin(2 * PI * cut * t) / (PI * t) : 2 * cut;
	c = cos(2 * PI * (pass + EDGE_FIRST / length) * t);
	before = cos(2 * PI * (pass + (EDGE_FIRST - EDGE_STEP) / length) * t);
	for (i = 0; i < NEDGE; i++) {
		const double after = by * c - before;

		sum += edge[i] / length * c;
		before = c;
		c = after;
	}
	return sum * (bessel_i0(BETA * sqrt(1 - u * u)) - 1);
}

static int
impulse_new(struct impulse *m, const struct design *d, unsigned res)
{
	const size_t n = (size_t)d->ntaps * res / 2 + 1;
	const double length = window_length(d);
	size_t i;

	m->res = res;
	m->odd = d->ntaps & res & 1;
	if ((m->h = calloc(n + 1, sizeof(*m->h))) == NULL)
		return -1;
	for (i = 0; i <= n; i++)
		m->h[i] = impulse_at(d, length, ((double)i + (m->odd ? 0.5 : 0)) / res);
	return 0;
}

/*
 * Tap i (0: the oldest) of phase p / res lies i + 1 - ntaps / 2 - p / res
 * frames from the centre.
 */
static double
impulse_tap(const struct impulse *m, const struct design *d, unsigned p, unsigned i)
{
	const long k = 2 * ((long)i + 1) * (long)m->res - (long)d->ntaps * (long)m->res - 2 * (long)p;

	return m->h[(k < 0 ? -k : k) / 2];
}

/* the sum of a phase's taps, which is made 1 so that all phases pass DC alike */
static double
impulse_sum(const struct impulse *m, const struct design *d, unsigned p)
{
	double sum = 0;
	unsigned i;

	for (i = 0; i < d->ntaps; i++)
		sum += impulse_tap(m, d, p, i);
	return sum;
}

/* ---- tables ------------------------------------------------------------------- */

static void
table_put(struct design *d, size_t i, double v)
{
	if (d->f64)
		((double *)d->table)[i] = v;
	else
		((float *)d->table)[i] = (float)v;
}

unsigned
design_shift(const struct design *d, unsigned q)
{
	return d->interp ? 0 : (unsigned)((uint64_t)q * d->M / d->L) - d->start[q / GROUP];
}

/*
 * Slots of f32 come even ones first: summing pairs of lanes then leaves the
 * outputs in order (resamp_t.h).
 */
static void
table_groups(struct design *d, const struct impulse *m)
{
	const unsigned lane = d->f64 ? LANE / sizeof(double) : LANE / sizeof(float);
	unsigned q, i;

	for (q = 0; q <= d->ngroups; q++) {
		const uint64_t first = q < d->ngroups ? q * GROUP : d->period;

		d->start[q] = (uint32_t)(first * d->M / d->L);
	}
	for (q = 0; q < d->period; q++) {
		const unsigned slot = q % GROUP, phase = (unsigned)((uint64_t)q * d->M % d->L);
		const unsigned place = d->f64 ? slot : slot / 2 + slot % 2 * (GROUP / 2);
		const unsigned shift = design_shift(d, q);
		const double sum = impulse_sum(m, d, phase);

		for (i = 0; i < d->ntaps; i++) {
			const size_t at = i + shift;

			table_put(d, (size_t)(q / GROUP) * GROUP * d->row + (at / lane * GROUP + place) * lane + at % lane,
			    impulse_tap(m, d, phase, i) / sum);
		}
	}
}

/* each tap is a cubic through its values at 0, 1/3, 2/3 and 1 of a phase */
static void
table_cubic(struct design *d, const struct impulse *m)
{
	const unsigned width = d->f64 ? SUMS / sizeof(double) : SUMS / sizeof(float);
	unsigned p, i, j;

	for (p = 0; p < d->nphases; p++) {
		double sum[4];

		for (j = 0; j < 4; j++)
			sum[j] = impulse_sum(m, d, 3 * p + j);
		for (i = 0; i < d->ntaps; i++) {
			const size_t at = CUBIC * ((size_t)p * d->row + i / width * width) + i % width;
			double y[4], d1, d2, d3;

			for (j = 0; j < 4; j++)
				y[j] = impulse_tap(m, d, 3 * p + j, i) / sum[j];
			d1 = y[1] - y[0];		/* Newton's forward differences */
			d2 = y[2] - 2 * y[1] + y[0];
			d3 = y[3] - 3 * y[2] + 3 * y[1] - y[0];
			table_put(d, at, y[0]);
			table_put(d, at + width, 3 * d1 - 1.5 * d2 + d3);
			table_put(d, at + 2 * (size_t)width, 4.5 * d2 - 4.5 * d3);
			table_put(d, at + 3 * (size_t)width, 4.5 * d3);
		}
	}
}

/* sizes of the rows, the period and the table: returns the taps that it has */
static size_t
design_sizes(struct design *d)
{
	const unsigned spread = (unsigned)(((uint64_t)(GROUP - 1) * d->M + d->L - 1) / d->L);
	const unsigned whole = GROUP / gcd(d->L, GROUP);

	d->ntaps = (unsigned)ceil(window_length(d));
	d->row = (d->ntaps + spread + GROUP_ALIGN - 1) / GROUP_ALIGN * GROUP_ALIGN;
	d->interp = d->L > EXACT_FEW && (d->L > EXACT_PHASES || (size_t)d->L * d->row > EXACT_TAPS);
	if (d->interp) {
		d->row = (d->ntaps + INTERP_ALIGN - 1) / INTERP_ALIGN * INTERP_ALIGN;
		d->nphases = d->f64 ? INTERP64 : INTERP32;
		d->period = 1;
		return (size_t)d->nphases * CUBIC * d->row;
	}
	d->period = (size_t)d->L * whole * d->row <= WHOLE_TAPS ? d->L * whole : d->L;
	d->ngroups = (d->period + GROUP - 1) / GROUP;
	return (size_t)d->ngroups * GROUP * d->row;
}

/* ---- the shared designs ------------------------------------------------------- */

static struct design *designs;		/* the control thread's */

static void
design_free(struct design *d)
{
	free(d->start);
	free(d->table);
	free(d);
}

void
design_unref(struct design *d)
{
	struct design **i;

	if (--d->refs > 0)
		return;
	for (i = &designs; *i != d; i = &(*i)->next)
		;
	*i = d->next;
	design_free(d);
}

struct design *
design_ref(unsigned irate, unsigned orate, int f64)
{
	const unsigned g = gcd(irate, orate);
	struct impulse m = { 0 };
	struct design *d;
	size_t n;

	for (d = designs; d != NULL; d = d->next) {
		if (d->irate == irate && d->orate == orate && d->f64 == f64) {
			d->refs++;
			return d;
		}
	}
	if ((d = calloc(1, sizeof(*d))) == NULL)
		return NULL;
	d->irate = irate;
	d->orate = orate;
	d->f64 = f64;
	d->L = orate / g;
	d->M = irate / g;
	n = design_sizes(d);
	d->table = alloc_zero(n, f64 ? sizeof(double) : sizeof(float));
	d->start = calloc(d->ngroups + 1, sizeof(*d->start));
	if (d->table == NULL || d->start == NULL ||
	    impulse_new(&m, d, d->interp ? 3 * d->nphases : d->L) < 0) {
		design_free(d);
		return NULL;
	}
	if (d->interp)
		table_cubic(d, &m);
	else
		table_groups(d, &m);
	free(m.h);
	d->refs = 1;
	d->next = designs;
	designs = d;
	return d;
}
