/*
 * fade_t.h: frames times the gains of a fade, in place, for one sample type T;
 * included by fade.c for each with NAME defined, undefines both at the end.
 */

static void
NAME(steady)(const struct fade *f, T *x, size_t n)
{
	const size_t nch = f->nch;

	if (f->flat) {
		const T g = (T)f->to[0];

		for (size_t i = 0; i < n * nch; i++)
			x[i] *= g;
		return;
	}
	for (size_t i = 0; i < n; i++)
		for (size_t ch = 0; ch < nch; ch++)
			x[i * nch + ch] *= (T)f->to[ch];
}

static void
NAME(ramp)(const struct fade *f, const double *c, T *x, size_t n)	/* c: where on the way, frame by frame */
{
	const size_t nch = f->nch;

	if (f->flat) {
		const double from = (double)f->from[0], by = (double)f->to[0] - from;

		for (size_t i = 0; i < n; i++) {
			const T g = (T)(from + by * c[i]);

			for (size_t ch = 0; ch < nch; ch++)
				x[i * nch + ch] *= g;
		}
		return;
	}
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
		NAME(ramp)(f, c, x, n);
		f->pos += (unsigned)n;
		if (f->pos == f->len)
			arrive(f);
		x += n * f->nch;
		nframes -= n;
	}
	if (nframes > 0 && !f->one)
		NAME(steady)(f, x, nframes);
}

#undef T
#undef NAME
