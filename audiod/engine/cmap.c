/*
 * cmap.c: which channel goes where, and the addition of a stream to the mix.
 *
 * Owns the geometry of struct cmap and the loops that multiply by the gain and
 * add.  Invariant: channels outside the map are neither read nor written, and
 * the gain of a frame is the same for all its channels.  Device thread;
 * cmap_init anywhere.
 */
#include "dsp.h"

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

#define T	float
#define NAME(f)	f##32
#include "cmap_t.h"

#define T	double
#define NAME(f)	f##64
#include "cmap_t.h"
