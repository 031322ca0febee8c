/*
 * resamp_t.h: the loops of the resampler for one bus type T and level of the
 * CPU, included by resamp.c for each with NAME and VECTOR, the bytes of a
 * vector, defined; undefines T and NAME at the end.
 *
 * Channels go in pairs, so that a tap is loaded once for two.  The sum of a
 * channel is kept in 64 bytes' worth of partial sums, which are always added
 * in the same order: the samples depend neither on the width of the vectors
 * nor on how runs are cut.
 */

#define SUMS	64			/* bytes of partial sums of a channel */
#define NVEC	(SUMS / VECTOR)
#define LANES	((ptrdiff_t)(VECTOR / sizeof(T)))

typedef T NAME(vec) __attribute__((vector_size(VECTOR), may_alias));
typedef T NAME(vec_una) __attribute__((vector_size(VECTOR), aligned(sizeof(T)), may_alias));
typedef T NAME(vec16) __attribute__((vector_size(16), may_alias));

static inline __attribute__((always_inline)) T
NAME(total)(const NAME(vec) *a)
{
	NAME(vec16) q[4], s;
	T sum = 0;
	int i;

	memcpy(q, a, SUMS);
	s = (q[0] + q[2]) + (q[1] + q[3]);
	for (i = 0; i < (int)(16 / sizeof(T)); i++)
		sum += s[i];
	return sum;
}

static inline __attribute__((always_inline)) void
NAME(dot2)(const T *taps, const T *x, const T *y, T *out, ptrdiff_t n)
{
	NAME(vec) a[NVEC] = { 0 }, b[NVEC] = { 0 };
	ptrdiff_t i;
	int j;

	for (i = 0; i < n; i += NVEC * LANES) {
		for (j = 0; j < NVEC; j++) {
			const NAME(vec) k = *(const NAME(vec) *)(taps + i + j * LANES);

			a[j] += *(const NAME(vec_una) *)(x + i + j * LANES) * k;
			b[j] += *(const NAME(vec_una) *)(y + i + j * LANES) * k;
		}
	}
	out[0] = NAME(total)(a);
	out[1] = NAME(total)(b);
}

static inline __attribute__((always_inline)) void
NAME(dot1)(const T *taps, const T *x, T *out, ptrdiff_t n)
{
	NAME(vec) a[NVEC] = { 0 };
	ptrdiff_t i;
	int j;

	for (i = 0; i < n; i += NVEC * LANES) {
		for (j = 0; j < NVEC; j++) {
			const NAME(vec) k = *(const NAME(vec) *)(taps + i + j * LANES);

			a[j] += *(const NAME(vec_una) *)(x + i + j * LANES) * k;
		}
	}
	out[0] = NAME(total)(a);
}

/* one output frame: the window at x of all channels, cap frames apart */
static inline __attribute__((always_inline)) void
NAME(dots)(const T *taps, const T *x, size_t cap, unsigned nch, T *out, ptrdiff_t n)
{
	unsigned c;

	for (c = 0; c + 1 < nch; c += 2)
		NAME(dot2)(taps, x + c * cap, x + (c + 1) * cap, out + c, n);
	if (c < nch)
		NAME(dot1)(taps, x + c * cap, out + c, n);
}

static void
NAME(exact)(struct resamp *r, struct step s, void *dst, size_t nout)
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
NAME(interp)(struct resamp *r, struct step s, void *dst, size_t nout)
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

#undef SUMS
#undef NVEC
#undef LANES
#undef T
#undef NAME
