/*
 * fade_t.h: frames times the gains of a fade, in place, for one sample type T;
 * included by fade.c for each with NAME defined, undefines both at the end.
 *
 * Mono and stereo get loops of their own: `nch` is a constant there.
 */

static inline __attribute__((always_inline)) void
NAME(steady)(const float *to, T *restrict x, size_t n, size_t nch)
{
	for (size_t i = 0; i < n; i++)
		for (size_t ch = 0; ch < nch; ch++)
			x[i * nch + ch] *= (T)to[ch];
}

/* c: part of the way, frame by frame */
static inline __attribute__((always_inline)) void
NAME(ramp)(const struct fade *f, const double *restrict c, T *restrict x, size_t n, size_t nch)
{
	for (size_t i = 0; i < n; i++)
		for (size_t ch = 0; ch < nch; ch++) {
			const double from = (double)f->from[ch];

			x[i * nch + ch] *= (T)(from + ((double)f->to[ch] - from) * c[i]);
		}
}

void
NAME(fade_run)(struct fade *f, T *x, size_t nframes)
{
	double c[FADE_BLOCK];

	while (nframes > 0 && !fade_steady(f)) {
		size_t n = f->len - f->pos;

		if (n > FADE_BLOCK)
			n = FADE_BLOCK;
		if (n > nframes)
			n = nframes;
		shape_fill(&f->shape, f->pos, f->len, c, n);
		if (f->nch == 1)
			NAME(ramp)(f, c, x, n, 1);
		else if (f->nch == 2)
			NAME(ramp)(f, c, x, n, 2);
		else
			NAME(ramp)(f, c, x, n, f->nch);
		f->pos += (unsigned)n;
		if (f->pos == f->len)
			arrive(f);
		x += n * f->nch;
		nframes -= n;
	}
	if (nframes == 0 || f->one)
		return;
	if (f->flat)			/* one channel of so many frames */
		NAME(steady)(f->to, x, nframes * f->nch, 1);
	else if (f->nch == 2)
		NAME(steady)(f->to, x, nframes, 2);
	else
		NAME(steady)(f->to, x, nframes, f->nch);
}

#undef T
#undef NAME
