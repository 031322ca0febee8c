/*
 * resamp.c: rates converted by a polyphase windowed sinc at an exact ratio.
 *
 * Owns the position of each stream, which is one integer; the filters are
 * resamp_design.c's.  resamp_run, resamp_need and resamp_yield run on the device thread.
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
#include <stdlib.h>
#include <string.h>
#include "dsp.h"
#include "kern.h"
#include "resamp.h"
#if KERN_X86
#include <immintrin.h>
#endif

#define HIST_ALIGN	16		/* a channel's history is a multiple of this */
#define RUN_IN		4096		/* most input frames taken at a time */

struct step {				/* where an output takes its inputs */
	size_t pos;			/* first frame of the window in hist */
	unsigned phase;			/* 0..L-1: fraction of an input frame in 1/L */
	unsigned place;			/* in the period */
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
	unsigned place;			/* of the next output in the period */
	size_t len;			/* frames in hist */
	size_t room;			/* frames that fit */
	size_t cap;			/* and those behind that windows reach, where taps are 0 */
	size_t size;			/* bytes of a sample */
	void *hist;			/* [nch][cap], oldest frame first */
};

/* ---- kernels -------------------------------------------------------------- */

#ifdef __clang__
#define PICK(mask, a, b, ...)	__builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define PICK(mask, a, b, ...)	__builtin_shuffle(a, b, (mask){ __VA_ARGS__ })
#endif
typedef int32_t mask32 __attribute__((vector_size(16)));
typedef int64_t mask64 __attribute__((vector_size(16)));

#define VECTOR		16		/* bytes */
#ifdef __SSE2__
#define KEEP(v)		__asm__("" : "+x"(v))	/* or gcc loads it again for every use */
#else
#define KEEP(v)		(void)0
#endif
#define T		float
#define NAME(f)		base_##f##32
#define SPREAD(p)	(*(const base_vec_una32 *)(p))
#define EVEN(a, b)	PICK(mask32, a, b, 0, 4, 1, 5)
#define ODD(a, b)	PICK(mask32, a, b, 2, 6, 3, 7)
#define PAIRS		1		/* a lane has two more halves to add */
#define EVEN2(a, b)	PICK(mask32, a, b, 0, 1, 4, 5)
#define ODD2(a, b)	PICK(mask32, a, b, 2, 3, 6, 7)
#include "resamp_t.h"
#define T		double
#define NAME(f)		base_##f##64
#define SPREAD(p)	(*(const base_vec_una64 *)(p))
#define EVEN(a, b)	PICK(mask64, a, b, 0, 2)
#define ODD(a, b)	PICK(mask64, a, b, 1, 3)
#include "resamp_t.h"
#undef VECTOR

#if KERN_X86
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define VECTOR		32
#define T		float
#define NAME(f)		v3_##f##32
#define SPREAD(p)	_mm256_broadcast_ps((const __m128 *)(const void *)(p))
#define EVEN(a, b)	_mm256_unpacklo_ps(a, b)
#define ODD(a, b)	_mm256_unpackhi_ps(a, b)
#define PAIRS		1
#define EVEN2(a, b)	(__m256)_mm256_unpacklo_pd((__m256d)(a), (__m256d)(b))
#define ODD2(a, b)	(__m256)_mm256_unpackhi_pd((__m256d)(a), (__m256d)(b))
#include "resamp_t.h"
#define T		double
#define NAME(f)		v3_##f##64
#define SPREAD(p)	_mm256_broadcast_pd((const __m128d *)(const void *)(p))
#define EVEN(a, b)	_mm256_unpacklo_pd(a, b)
#define ODD(a, b)	_mm256_unpackhi_pd(a, b)
#include "resamp_t.h"
#undef VECTOR
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
#undef KEEP
#define KEEP(v)		__asm__("" : "+v"(v))
#define VECTOR		64
#define T		float
#define NAME(f)		v4_##f##32
#define SPREAD(p)	_mm512_broadcast_f32x4(_mm_loadu_ps(p))
#define EVEN(a, b)	_mm512_unpacklo_ps(a, b)
#define ODD(a, b)	_mm512_unpackhi_ps(a, b)
#define PAIRS		1
#define EVEN2(a, b)	(__m512)_mm512_unpacklo_pd((__m512d)(a), (__m512d)(b))
#define ODD2(a, b)	(__m512)_mm512_unpackhi_pd((__m512d)(a), (__m512d)(b))
#include "resamp_t.h"
#define T		double
#define NAME(f)		v4_##f##64
#define SPREAD(p)	_mm512_broadcast_f64x2(_mm_loadu_pd(p))
#define EVEN(a, b)	_mm512_unpacklo_pd(a, b)
#define ODD(a, b)	_mm512_unpackhi_pd(a, b)
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
	r->room = 2 * (size_t)d->row + d->M / d->L + 2 + (size_t)nin;
	r->cap = (r->room + d->row - d->ntaps + HIST_ALIGN - 1) / HIST_ALIGN * HIST_ALIGN;
	r->len = d->ntaps - 1;
	r->hist = alloc_zero(r->cap * nch, r->size);
	if (r->hist == NULL) {
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

/* drop the frames before the window of the next output's group */
static void
hist_trim(struct resamp *r)
{
	const struct design *d = r->design;
	const size_t keep = d->ntaps - 1 + (size_t)((r->slack + d->L - 1) / d->L) + design_shift(d, r->place);
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
			s.place = r->place;
			r->kernel->run(r, s, dst, made);
			r->slack -= (uint64_t)made * d->M;
			r->place = (unsigned)((r->place + made) % d->period);
			dst += made * frame;
			nout -= (unsigned)made;
		}
		if (nin == 0)
			break;
		if (r->len + taken > r->room)
			hist_trim(r);
		if (taken > r->room - r->len)
			taken = r->room - r->len;
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
