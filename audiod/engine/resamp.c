/*
 * resamp.c: rates converted by a polyphase windowed sinc at an exact ratio.
 *
 * Owns the filter designs, shared by all streams of equal rates (control
 * thread only, hence no lock), and the position of each stream, which is one
 * integer.  resamp_run, resamp_need and resamp_yield run on the device thread.
 *
 * With irate / orate = M / L in lowest terms, output n lies at input time
 * n * M / L.  After I inputs and O outputs
 *
 *	slack = I * L - O * M
 *
 * is how far, in 1/L of an input frame, the inputs are ahead.  An output can
 * be made if slack >= M, and invariantly 0 <= slack < max(L, M).  Then
 *
 *	need(n)  = ceil((n * M - slack) / L), at least 0
 *	yield(n) = floor((slack + n * L) / M)
 *
 * Driven by outputs alone, I is always ceil(O * M / L); driven by inputs
 * alone, O is always floor(I * L / M): whatever the split into runs, and with
 * both kinds of runs mixed the invariant holds as well.  Nothing accumulates,
 * so nothing drifts, and the samples do not depend on the split either.
 *
 * The taps of an output at input time t cover the ntaps inputs up to floor(t),
 * and the filter's centre lies ntaps / 2 before t: that is the delay.
 */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "dsp.h"
#include "kern.h"

#define PI		3.14159265358979323846
#define ATTEN		150.0		/* dB, of the Kaiser window: beyond what f32 sums can show (142) */
#define TAPS_ALIGN	16		/* taps are a multiple of this, for kernels of any vector width */
#define EXACT_FEW	128		/* up to so many phases a table of all is smaller than one to interpolate */
#define EXACT_PHASES	1024		/* beyond, phases are interpolated ... */
#define EXACT_TAPS	(320 * 1024)	/* ... and if the table had more taps than this: it should fit the cache */
#define INTERP32	32		/* phases of the interpolated table: cubic error below ATTEN */
#define INTERP64	64
#define CUBIC		4		/* coefficients of a tap in the interpolated table */
#define RUN_IN		4096		/* most input frames taken at a time */
#define BESSEL_TERMS	64		/* of I0's series: far beyond need for beta = 15.6 */

struct design {				/* read-only once made, shared */
	struct design *next;
	unsigned refs;			/* streams */
	unsigned irate, orate;		/* Hz */
	int f64;			/* type of the table */
	unsigned L, M;			/* orate and irate without their common factor */
	unsigned ntaps;			/* of an output, a multiple of TAPS_ALIGN */
	unsigned nphases;		/* rows of the table: L, or fewer that are interpolated */
	int interp;			/* 0: table[phase][tap]; 1: table[phase][power][tap] */
	void *table;			/* float or double */
};

struct step {				/* where an output takes its inputs */
	size_t pos;			/* first frame of the window in hist */
	unsigned phase;			/* 0..L-1: fraction of an input frame in 1/L */
};

struct kernel {				/* of one bus type and kind of table */
	/* nin interleaved frames to the end of each channel's history */
	void (*push)(struct resamp *, const void *in, size_t nin);
	void (*run)(struct resamp *, struct step, void *out, size_t nout);
};

struct resamp {
	const struct kernel *kernel;
	struct design *design;
	uint64_t slack;			/* see above */
	unsigned nch;
	size_t len;			/* frames in hist */
	size_t cap;			/* frames that fit, a multiple of TAPS_ALIGN */
	size_t size;			/* bytes of a sample */
	void *hist;			/* [nch][cap], oldest frame first */
	void *row;			/* [ntaps]: the interpolated taps of one output */
};

/* ---- kernels -------------------------------------------------------------- */

#define VECTOR	16			/* bytes */
#define T	float
#define NAME(f)	base_##f##32
#include "resamp_t.h"
#define T	double
#define NAME(f)	base_##f##64
#include "resamp_t.h"
#undef VECTOR

#if KERN_X86
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define VECTOR	32
#define T	float
#define NAME(f)	v3_##f##32
#include "resamp_t.h"
#define T	double
#define NAME(f)	v3_##f##64
#include "resamp_t.h"
#undef VECTOR
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
#define VECTOR	64
#define T	float
#define NAME(f)	v4_##f##32
#include "resamp_t.h"
#define T	double
#define NAME(f)	v4_##f##64
#include "resamp_t.h"
#undef VECTOR
#pragma GCC pop_options
#endif

#define KERNELS(level)	{ { { level##_push32, level##_exact32 }, { level##_push32, level##_interp32 } }, \
			  { { level##_push64, level##_exact64 }, { level##_push64, level##_interp64 } } }

static const struct kernel kernels[KERN_NLEVELS][2][2] = {	/* [level][f64][interp] */
	KERNELS(base),
#if KERN_X86
	KERNELS(v3),
	KERNELS(v4),
#endif
};

/* ---- filter design ---------------------------------------------------------- */

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

static void *
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

/*
 * Cut-off at half the lower rate, so that the transition band ends as far above
 * it as the pass band ends below: images between there and the edge of the
 * stop band are only partly removed, which halves the length (and delay) for
 * signals above 20 kHz that nobody hears.  The pass band is flat to 20 kHz at
 * 44.1 and 48 kHz, and to the same share of other rates.
 */
static unsigned
design_ntaps(unsigned irate, unsigned orate)
{
	const double low = irate < orate ? irate : orate;
	const double pass = low <= 44100 ? low * 20000 / 44100 :
	    low <= 48000 ? 20000 : low * 20000 / 48000;
	const double width = (low - 2 * pass) / irate;
	const double n = (ATTEN - 8) / (2.285 * 2 * PI * width);

	return ((unsigned)n / TAPS_ALIGN + 1) * TAPS_ALIGN;
}

/*
 * Half of the (symmetric) impulse response, res points an input frame, from its
 * centre to ntaps / 2 frames, where it is zero.
 */
static double *
design_impulse(const struct design *d, unsigned res)
{
	const size_t n = (size_t)d->ntaps / 2 * res;
	const double cut = d->irate > d->orate ? 0.5 * d->orate / d->irate : 0.5;	/* cycles a frame */
	const double beta = 0.1102 * (ATTEN - 8.7);
	double *h;
	size_t i;

	if ((h = calloc(n + 1, sizeof(*h))) == NULL)
		return NULL;
	h[0] = 2 * cut * bessel_i0(beta);
	for (i = 1; i < n; i++) {
		const double t = (double)i / res, u = (double)i / (double)n;

		h[i] = sin(2 * PI * cut * t) / (PI * t) * bessel_i0(beta * sqrt(1 - u * u));
	}
	return h;
}

/*
 * Tap i (0: the oldest) of phase p / res lies i + 1 - ntaps / 2 - p / res
 * frames from the centre.
 */
static double
impulse_tap(const struct design *d, const double *h, unsigned res, unsigned p, unsigned i)
{
	const long k = ((long)i + 1 - (long)d->ntaps / 2) * (long)res - (long)p;

	return h[k < 0 ? -k : k];
}

/* the sum of a phase's taps, which is made 1 so that all phases pass DC alike */
static double
impulse_sum(const struct design *d, const double *h, unsigned res, unsigned p)
{
	double sum = 0;
	unsigned i;

	for (i = 0; i < d->ntaps; i++)
		sum += impulse_tap(d, h, res, p, i);
	return sum;
}

static void
table_put(struct design *d, size_t i, double v)
{
	if (d->f64)
		((double *)d->table)[i] = v;
	else
		((float *)d->table)[i] = (float)v;
}

static void
table_exact(struct design *d, const double *h)
{
	unsigned p, i;

	for (p = 0; p < d->nphases; p++) {
		const double sum = impulse_sum(d, h, d->nphases, p);

		for (i = 0; i < d->ntaps; i++)
			table_put(d, (size_t)p * d->ntaps + i, impulse_tap(d, h, d->nphases, p, i) / sum);
	}
}

/* each tap is a cubic through its values at 0, 1/3, 2/3 and 1 of a phase */
static void
table_cubic(struct design *d, const double *h)
{
	const unsigned res = d->nphases * 3;
	unsigned p, i, j;

	for (p = 0; p < d->nphases; p++) {
		double sum[4];

		for (j = 0; j < 4; j++)
			sum[j] = impulse_sum(d, h, res, 3 * p + j);
		for (i = 0; i < d->ntaps; i++) {
			const size_t at = (size_t)p * CUBIC * d->ntaps + i;
			double y[4], d1, d2, d3;

			for (j = 0; j < 4; j++)
				y[j] = impulse_tap(d, h, res, 3 * p + j, i) / sum[j];
			d1 = y[1] - y[0];		/* Newton's forward differences */
			d2 = y[2] - 2 * y[1] + y[0];
			d3 = y[3] - 3 * y[2] + 3 * y[1] - y[0];
			table_put(d, at, y[0]);
			table_put(d, at + d->ntaps, 3 * d1 - 1.5 * d2 + d3);
			table_put(d, at + 2 * (size_t)d->ntaps, 4.5 * d2 - 4.5 * d3);
			table_put(d, at + 3 * (size_t)d->ntaps, 4.5 * d3);
		}
	}
}

static struct design *designs;		/* the control thread's */

static void
design_unref(struct design *d)
{
	struct design **i;

	if (--d->refs > 0)
		return;
	for (i = &designs; *i != d; i = &(*i)->next)
		;
	*i = d->next;
	free(d->table);
	free(d);
}

static struct design *
design_ref(unsigned irate, unsigned orate, int f64)
{
	const unsigned g = gcd(irate, orate);
	struct design *d;
	double *h;
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
	d->ntaps = design_ntaps(irate, orate);
	d->interp = d->L > EXACT_FEW &&
	    (d->L > EXACT_PHASES || (size_t)d->L * d->ntaps > EXACT_TAPS);
	d->nphases = !d->interp ? d->L : f64 ? INTERP64 : INTERP32;
	n = (size_t)d->nphases * d->ntaps * (d->interp ? CUBIC : 1);
	d->table = alloc_zero(n, f64 ? sizeof(double) : sizeof(float));
	h = design_impulse(d, d->interp ? 3 * d->nphases : d->nphases);
	if (d->table == NULL || h == NULL) {
		free(h);
		free(d->table);
		free(d);
		return NULL;
	}
	if (d->interp)
		table_cubic(d, h);
	else
		table_exact(d, h);
	free(h);
	d->refs = 1;
	d->next = designs;
	designs = d;
	return d;
}

/* ---- streams ------------------------------------------------------------------ */

int
resamp_new(struct resamp **rp, unsigned irate, unsigned orate, unsigned nch, int f64, unsigned max_nout)
{
	const struct design *d;
	struct resamp *r;
	uint64_t nin;

	if (irate < DSP_RATE_MIN || irate > DSP_RATE_MAX || orate < DSP_RATE_MIN || orate > DSP_RATE_MAX ||
	    nch < 1 || nch > DSP_NCHAN)
		return -EINVAL;
	if ((r = calloc(1, sizeof(*r))) == NULL)
		return -ENOMEM;
	if ((r->design = design_ref(irate, orate, f64 != 0)) == NULL) {
		free(r);
		return -ENOMEM;
	}
	d = r->design;
	r->kernel = &kernels[kern_level()][d->f64][d->interp];
	r->nch = nch;
	r->size = d->f64 ? sizeof(double) : sizeof(float);

	/*
	 * Room for a window, the inputs that slack may hold back, those of a run
	 * (a longer one is done in parts), and as much again as a window, or with
	 * long filters and short runs most time would go into moving the window.
	 */
	nin = ((uint64_t)max_nout + 1) * d->M / d->L + 1;
	if (nin > RUN_IN)
		nin = RUN_IN;
	r->cap = 2 * (size_t)d->ntaps + d->M / d->L + 2 + (size_t)nin;
	r->cap = (r->cap + TAPS_ALIGN - 1) / TAPS_ALIGN * TAPS_ALIGN;
	r->len = d->ntaps - 1;
	r->hist = alloc_zero(r->cap * nch, r->size);
	r->row = alloc_zero(d->ntaps, r->size);
	if (r->hist == NULL || r->row == NULL) {
		resamp_free(r);
		return -ENOMEM;
	}
	*rp = r;
	return 0;
}

void
resamp_free(struct resamp *r)
{
	if (r == NULL)
		return;
	design_unref(r->design);
	free(r->hist);
	free(r->row);
	free(r);
}

unsigned
resamp_need(const struct resamp *r, unsigned nout)
{
	const uint64_t want = (uint64_t)nout * r->design->M;

	if (want <= r->slack)
		return 0;
	return (unsigned)((want - r->slack + r->design->L - 1) / r->design->L);
}

unsigned
resamp_yield(const struct resamp *r, unsigned nin)
{
	return (unsigned)((r->slack + (uint64_t)nin * r->design->L) / r->design->M);
}

double
resamp_delay(const struct resamp *r)
{
	return r->design->ntaps / 2.0;
}

/* drop the frames before the next output's window */
static void
hist_trim(struct resamp *r)
{
	const struct design *d = r->design;
	const size_t keep = d->ntaps - 1 + (size_t)((r->slack + d->L - 1) / d->L);
	char *p = r->hist;
	unsigned c;

	for (c = 0; c < r->nch; c++, p += r->cap * r->size)
		memmove(p, p + (r->len - keep) * r->size, keep * r->size);
	r->len = keep;
}

void
resamp_run(struct resamp *r, const void *in, unsigned nin, void *out, unsigned nout)
{
	const struct design *d = r->design;
	const size_t frame = r->nch * r->size;
	const char *src = in;
	char *dst = out;

	assert(nin == resamp_need(r, nout) || nout == resamp_yield(r, nin));
	for (;;) {
		const uint64_t ready = r->slack / d->M;
		const size_t made = ready < nout ? (size_t)ready : nout;
		size_t taken = nin;

		if (made > 0) {
			const uint64_t ahead = (r->slack + d->L - 1) / d->L;
			struct step s;

			s.pos = r->len - (size_t)ahead - (d->ntaps - 1);
			s.phase = (unsigned)(ahead * d->L - r->slack);
			r->kernel->run(r, s, dst, made);
			r->slack -= (uint64_t)made * d->M;
			dst += made * frame;
			nout -= (unsigned)made;
		}
		if (nin == 0)
			break;
		if (r->len + taken > r->cap)
			hist_trim(r);
		if (taken > r->cap - r->len)
			taken = r->cap - r->len;
		if (taken == 0)
			break;			/* outputs were not asked for: the caller broke the rule */
		r->kernel->push(r, src, taken);
		r->len += taken;
		r->slack += (uint64_t)taken * d->L;
		src += taken * frame;
		nin -= (unsigned)taken;
	}
	if (nout > 0)
		memset(dst, 0, nout * frame);	/* nor inputs given: rather silence than old memory */
}
