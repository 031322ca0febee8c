/*
 * cmap.c: which channel goes where, and the addition of a stream to the mix.
 *
 * Owns the geometry of struct cmap and the loops that multiply by the gain and
 * add.  Invariant: channels outside the map are neither read nor written, and
 * the gain of a frame is the same for all its channels.  Device thread;
 * cmap_init anywhere.
 */
#include "dsp.h"
#include "kern.h"

#define RAMP_BLOCK	256		/* frames whose gains are computed at a time */

void
cmap_init(struct cmap *m, unsigned inch, int istart, int iend, unsigned onch, int ostart, int oend, int join)
{
	int nin, nout;

	if (istart < 0)
		istart = 0;
	if (ostart < 0)
		ostart = 0;
	if (iend >= (int)inch)
		iend = (int)inch - 1;
	if (oend >= (int)onch)
		oend = (int)onch - 1;
	nin = iend - istart + 1;
	nout = oend - ostart + 1;

	m->inch = inch;
	m->onch = onch;
	m->istart = (unsigned)istart;
	m->ostart = (unsigned)ostart;
	m->join = m->expand = 1;
	if (nin <= 0 || nout <= 0) {
		m->istart = m->ostart = m->width = 0;
		return;
	}
	m->width = (unsigned)(nin < nout ? nin : nout);
	if (join && nin > nout)
		m->join = (unsigned)(nin / nout);
	if (join && nout > nin)
		m->expand = (unsigned)(nout / nin);
}

int
cmap_identity(const struct cmap *m)
{
	return m->inch == m->onch && m->istart == 0 && m->ostart == 0 &&
	    m->width == m->inch && m->join == 1 && m->expand == 1;
}

/* ---- loops, for each bus type and level of the CPU -------------------------- */

struct mix32 {
	void (*steady)(const struct cmap *, float gain, const float *in, float *out, ptrdiff_t n);
	void (*ramp)(const struct cmap *, const struct gain *, const float *in, float *out, ptrdiff_t n);
};

struct mix64 {
	void (*steady)(const struct cmap *, double gain, const double *in, double *out, ptrdiff_t n);
	void (*ramp)(const struct cmap *, const struct gain *, const double *in, double *out, ptrdiff_t n);
};

#define T	float
#define NAME(f)	base_##f##32
#include "cmap_t.h"
#define T	double
#define NAME(f)	base_##f##64
#include "cmap_t.h"

#if KERN_X86
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define T	float
#define NAME(f)	v3_##f##32
#include "cmap_t.h"
#define T	double
#define NAME(f)	v3_##f##64
#include "cmap_t.h"
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
#define T	float
#define NAME(f)	v4_##f##32
#include "cmap_t.h"
#define T	double
#define NAME(f)	v4_##f##64
#include "cmap_t.h"
#pragma GCC pop_options
#endif

static const struct mix32 mix32[KERN_NLEVELS] = {
	{ base_steady32, base_ramp32 },
#if KERN_X86
	{ v3_steady32, v3_ramp32 },
	{ v4_steady32, v4_ramp32 },
#endif
};

static const struct mix64 mix64[KERN_NLEVELS] = {
	{ base_steady64, base_ramp64 },
#if KERN_X86
	{ v3_steady64, v3_ramp64 },
	{ v4_steady64, v4_ramp64 },
#endif
};

/* frames of the ramp that come next and fit a block; 0 if there is none */
static size_t
ramp_part(const struct gain *g, size_t nframes)
{
	size_t n = gain_steady(g) ? 0 : g->len - g->pos;

	if (n > RAMP_BLOCK)
		n = RAMP_BLOCK;
	return n < nframes ? n : nframes;
}

void
cmap_mix32(const struct cmap *m, struct gain *g, const float *in, float *out, size_t nframes)
{
	const struct mix32 *mix = &mix32[kern_level()];
	size_t n;

	for (; (n = ramp_part(g, nframes)) > 0; nframes -= n) {
		mix->ramp(m, g, in, out, (ptrdiff_t)n);
		gain_advance(g, n);
		in += n * m->inch;
		out += n * m->onch;
	}
	if (nframes > 0 && g->to != 0)
		mix->steady(m, (float)g->to, in, out, (ptrdiff_t)nframes);
}

void
cmap_mix64(const struct cmap *m, struct gain *g, const double *in, double *out, size_t nframes)
{
	const struct mix64 *mix = &mix64[kern_level()];
	size_t n;

	for (; (n = ramp_part(g, nframes)) > 0; nframes -= n) {
		mix->ramp(m, g, in, out, (ptrdiff_t)n);
		gain_advance(g, n);
		in += n * m->inch;
		out += n * m->onch;
	}
	if (nframes > 0 && g->to != 0)
		mix->steady(m, g->to, in, out, (ptrdiff_t)nframes);
}
