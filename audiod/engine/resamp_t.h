/*
 * resamp_t.h: the loops of the resampler for one bus type T, included by
 * resamp.c twice.
 *
 * Channels go in pairs, so that a tap is loaded once for two, with two sums a
 * channel, so that one addition need not wait for the one before.  The order
 * of the additions is the same for every output, wherever runs are cut.
 */

#define LANES	((ptrdiff_t)(16 / sizeof(T)))

typedef T NAME(vec) __attribute__((vector_size(16), aligned(sizeof(T)), may_alias));

static inline T
NAME(sum)(NAME(vec) a, NAME(vec) b)
{
	const NAME(vec) v = a + b;
	T s = v[0];
	int i;

	for (i = 1; i < LANES; i++)
		s += v[i];
	return s;
}

static inline void
NAME(dot2)(const T *restrict taps, const T *restrict x, const T *restrict y, T *restrict out, ptrdiff_t n)
{
	NAME(vec) a0 = { 0 }, a1 = { 0 }, b0 = { 0 }, b1 = { 0 };
	ptrdiff_t i;

	for (i = 0; i < n; i += 2 * LANES) {
		const NAME(vec) k0 = *(const NAME(vec) *)(taps + i);
		const NAME(vec) k1 = *(const NAME(vec) *)(taps + i + LANES);

		a0 += *(const NAME(vec) *)(x + i) * k0;
		b0 += *(const NAME(vec) *)(y + i) * k0;
		a1 += *(const NAME(vec) *)(x + i + LANES) * k1;
		b1 += *(const NAME(vec) *)(y + i + LANES) * k1;
	}
	out[0] = NAME(sum)(a0, a1);
	out[1] = NAME(sum)(b0, b1);
}

static inline void
NAME(dot1)(const T *restrict taps, const T *restrict x, T *restrict out, ptrdiff_t n)
{
	NAME(vec) a0 = { 0 }, a1 = { 0 };
	ptrdiff_t i;

	for (i = 0; i < n; i += 2 * LANES) {
		a0 += *(const NAME(vec) *)(x + i) * *(const NAME(vec) *)(taps + i);
		a1 += *(const NAME(vec) *)(x + i + LANES) * *(const NAME(vec) *)(taps + i + LANES);
	}
	out[0] = NAME(sum)(a0, a1);
}

/* one output frame: the window at x of all channels, cap frames apart */
static inline void
NAME(dots)(const T *taps, const T *x, size_t cap, unsigned nch, T *out, ptrdiff_t n)
{
	unsigned c;

	for (c = 0; c + 1 < nch; c += 2)
		NAME(dot2)(taps, x + c * cap, x + (c + 1) * cap, out + c, n);
	if (c < nch)
		NAME(dot1)(taps, x + c * cap, out + c, n);
}

static void
NAME(run_exact)(struct resamp *r, struct step s, void *dst, size_t nout)
{
	const struct design *d = r->design;
	const unsigned L = d->L, whole = d->M / L, part = d->M % L, nch = r->nch;
	const size_t ntaps = d->ntaps, cap = r->cap;
	const T *table = d->table, *hist = r->hist;
	T *out = dst;

	for (; nout > 0; nout--, out += nch) {
		NAME(dots)(table + s.phase * ntaps, hist + s.pos, cap, nch, out, (ptrdiff_t)ntaps);
		s.pos += whole;
		s.phase += part;
		if (s.phase >= L) {
			s.phase -= L;
			s.pos++;
		}
	}
}

/* the row of an output is a cubic in its place between two phases of the table */
static void
NAME(run_interp)(struct resamp *r, struct step s, void *dst, size_t nout)
{
	const struct design *d = r->design;
	const unsigned L = d->L, whole = d->M / L, part = d->M % L, nch = r->nch;
	const size_t ntaps = d->ntaps, cap = r->cap;
	const T *table = d->table, *hist = r->hist;
	const T scale = (T)1 / (T)L;
	T *restrict row = r->row;
	T *out = dst;
	ptrdiff_t i;

	for (; nout > 0; nout--, out += nch) {
		const unsigned at = s.phase * d->nphases;
		const T *restrict k0 = table + at / L * CUBIC * ntaps;
		const T *restrict k1 = k0 + ntaps, *restrict k2 = k1 + ntaps, *restrict k3 = k2 + ntaps;
		const T x = (T)(at % L) * scale;

		for (i = 0; i < (ptrdiff_t)ntaps; i++)
			row[i] = ((k3[i] * x + k2[i]) * x + k1[i]) * x + k0[i];
		NAME(dots)(row, hist + s.pos, cap, nch, out, (ptrdiff_t)ntaps);
		s.pos += whole;
		s.phase += part;
		if (s.phase >= L) {
			s.phase -= L;
			s.pos++;
		}
	}
}

static void
NAME(push)(struct resamp *r, const void *src, size_t nin)
{
	const ptrdiff_t n = (ptrdiff_t)nin, nch = (ptrdiff_t)r->nch;
	const T *restrict in = src;
	ptrdiff_t i, c;

	if (nch == 2) {
		T *restrict x = (T *)r->hist + r->len, *restrict y = x + r->cap;

		for (i = 0; i < n; i++) {
			x[i] = in[2 * i];
			y[i] = in[2 * i + 1];
		}
		return;
	}
	for (c = 0; c < nch; c++) {
		T *restrict x = (T *)r->hist + (size_t)c * r->cap + r->len;

		for (i = 0; i < n; i++)
			x[i] = in[i * nch + c];
	}
}

#undef LANES
#undef T
#undef NAME
