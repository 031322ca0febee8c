/*
 * resamp_t.h: the loops of the resampler for one bus type T and level of the
 * CPU, included by resamp.c for each with NAME; VECTOR, the bytes of a vector;
 * KEEP(v), which keeps v in a register; SPREAD(p), the LANE bytes at p in every
 * lane of a vector; and EVEN, ODD(a, b), which put the even and the odd halves
 * of each lane of a and b side by side, defined.  Undefines all but VECTOR and
 * KEEP at the end.
 *
 * Partial sums are always as many and always added in the same order, wherever
 * in its row an output's taps begin: the samples depend neither on the width of
 * the vectors nor on how runs are cut.
 */

typedef T NAME(vec) __attribute__((vector_size(VECTOR), may_alias));
typedef T NAME(vec_una) __attribute__((vector_size(VECTOR), aligned(sizeof(T)), may_alias));
typedef T NAME(vec16) __attribute__((vector_size(16), may_alias));

/* ---- phases that the table has ---------------------------------------------- */

#define SIZE	((ptrdiff_t)sizeof(T))
#define STEP	(LANE / SIZE)		/* taps of a lane */
#define LANES	(VECTOR / LANE)		/* outputs of a vector */

/*
 * GROUP outputs of two channels, whose windows are at x and y: out[GROUP][2].
 * A lane of a vector is one output: every load of samples serves as many
 * outputs as a vector has lanes, and every load of taps two channels.
 */
static inline __attribute__((always_inline)) void
NAME(group)(const T *taps, const T *x, const T *y, ptrdiff_t n, T *out)
{
	const ptrdiff_t half = GROUP / 2 * STEP;
	ptrdiff_t o, i, j;

	for (o = 0; o < GROUP / 2; o += LANES) {
		NAME(vec) a[8] = { 0 };		/* {x, y} by outputs {o, o + GROUP / 2} by {even, odd} lanes of taps */

		for (i = 0; i < n; i += 2 * STEP) {
#pragma GCC unroll 2
			for (j = 0; j < 2; j++) {
				const T *k = taps + (i + j * STEP) * GROUP + o * STEP;
				NAME(vec) k0 = *(const NAME(vec) *)k, k1 = *(const NAME(vec) *)(k + half);
				const NAME(vec) xs = SPREAD(x + i + j * STEP), ys = SPREAD(y + i + j * STEP);

				KEEP(k0);
				KEEP(k1);
				a[4 * j] += xs * k0;
				a[4 * j + 1] += ys * k0;
				a[4 * j + 2] += xs * k1;
				a[4 * j + 3] += ys * k1;
			}
		}
		for (j = 0; j < 4; j++)
			a[j] += a[j + 4];
		a[0] = EVEN(a[0], a[1]) + ODD(a[0], a[1]);
		a[1] = EVEN(a[2], a[3]) + ODD(a[2], a[3]);
#if PAIRS
		*(NAME(vec_una) *)(out + 4 * o) = EVEN2(a[0], a[1]) + ODD2(a[0], a[1]);
#else
		*(NAME(vec_una) *)(out + 2 * o) = a[0];
		*(NAME(vec_una) *)(out + 2 * o + GROUP) = a[1];
#endif
	}
}

/* outputs [from, to) of a group whose first is out[0], from the windows at x of all channels, cap frames apart */
static __attribute__((noinline)) void
NAME(part)(const struct resamp *r, const T *taps, const T *x, T *out, ptrdiff_t from, ptrdiff_t to)
{
	const ptrdiff_t nch = (ptrdiff_t)r->nch;
	T both[GROUP * 2];
	ptrdiff_t c, i;

	for (c = 0; c + 1 < nch; c += 2, x += 2 * r->cap) {
		NAME(group)(taps, x, x + r->cap, (ptrdiff_t)r->design->row, both);
		for (i = from; i < to; i++) {
			out[i * nch + c] = both[2 * i];
			out[i * nch + c + 1] = both[2 * i + 1];
		}
	}
	if (c < nch) {
		NAME(group)(taps, x, x, (ptrdiff_t)r->design->row, both);
		for (i = from; i < to; i++)
			out[i * nch + c] = both[2 * i];
	}
}

/*
 * The taps of a group are used for all periods of the run before those of the
 * next: a table is larger than the first cache.
 */
static void
NAME(exact)(struct resamp *r, struct step s, void *dst, size_t nout)
{
	const struct design *d = r->design;
	const ptrdiff_t n = (ptrdiff_t)nout, nch = (ptrdiff_t)r->nch, cap = (ptrdiff_t)r->cap, row = (ptrdiff_t)d->row;
	const ptrdiff_t outputs = (ptrdiff_t)d->period, inputs = (ptrdiff_t)d->start[d->ngroups];
	const T *x = (const T *)r->hist + s.pos - design_shift(d, s.place);
	unsigned g = s.place / GROUP, i;
	ptrdiff_t at = -(ptrdiff_t)(s.place % GROUP);		/* output of the run that is the group's first */

	for (i = 0; i < d->ngroups && at < n; i++) {
		const T *taps = (const T *)d->table + (ptrdiff_t)g * GROUP * row, *w = x;
		const ptrdiff_t left = outputs - (ptrdiff_t)g * GROUP, size = left < GROUP ? left : GROUP;
		ptrdiff_t o = at;

		if (o < 0 || size < GROUP || nch != 2) {
			for (; o < n; o += outputs, w += inputs)
				NAME(part)(r, taps, w, (T *)dst + o * nch, o < 0 ? -o : 0, size < n - o ? size : n - o);
		} else {
			for (; o <= n - GROUP; o += outputs, w += inputs)
				NAME(group)(taps, w, w + cap, row, (T *)dst + o * 2);
			if (o < n)
				NAME(part)(r, taps, w, (T *)dst + o * nch, 0, n - o);
		}
		at += size;
		x += d->start[g + 1] - d->start[g];
		if (++g == d->ngroups)
			g = 0;
	}
}

#undef SIZE
#undef STEP
#undef LANES

/* ---- phases between those of the table -------------------------------------- */

#define NVEC	(SUMS / VECTOR)
#define LANES	((ptrdiff_t)(VECTOR / sizeof(T)))

static inline __attribute__((always_inline)) T
NAME(total)(const NAME(vec) *a)
{
	NAME(vec16) q[4], s;

	memcpy(q, a, SUMS);
	s = (q[0] + q[2]) + (q[1] + q[3]);
	if (sizeof(T) == 8)
		return s[0] + s[1];
	return (s[0] + s[16 / sizeof(T) / 2]) + (s[1] + s[16 / sizeof(T) - 1]);
}

/* one output of two channels; k: the powers of its phase, u: how far it is into that */
static inline __attribute__((always_inline)) void
NAME(between)(const T *k, T u, const T *x, const T *y, T *out, ptrdiff_t n)
{
	NAME(vec) a[NVEC] = { 0 }, b[NVEC] = { 0 };
	ptrdiff_t i;
	int j;

	for (i = 0; i < n; i += NVEC * LANES) {
		for (j = 0; j < NVEC; j++) {
			const NAME(vec) *p = (const NAME(vec) *)(k + CUBIC * i) + j;
			const NAME(vec) tap = ((p[3 * NVEC] * u + p[2 * NVEC]) * u + p[NVEC]) * u + p[0];

			a[j] += *(const NAME(vec_una) *)(x + i + j * LANES) * tap;
			b[j] += *(const NAME(vec_una) *)(y + i + j * LANES) * tap;
		}
	}
	out[0] = NAME(total)(a);
	if (y != x)
		out[1] = NAME(total)(b);
}

/* the taps of an output are cubics in its place between two phases of the table */
static void
NAME(interp)(struct resamp *r, struct step s, void *dst, size_t nout)
{
	const struct design *d = r->design;
	const unsigned L = d->L, whole = d->M / L, part = d->M % L, nphases = d->nphases;
	const ptrdiff_t n = (ptrdiff_t)d->row, nch = (ptrdiff_t)r->nch, cap = (ptrdiff_t)r->cap;
	const T *table = d->table, *x = (const T *)r->hist + s.pos;
	const T scale = (T)1 / (T)L;
	T *out = dst;
	ptrdiff_t c;

	for (; nout > 0; nout--, out += nch) {
		const unsigned at = s.phase * nphases;
		const T *k = table + (ptrdiff_t)(at / L) * CUBIC * n;
		const T u = (T)(at % L) * scale;

		for (c = 0; c + 1 < nch; c += 2)
			NAME(between)(k, u, x + c * cap, x + (c + 1) * cap, out + c, n);
		if (c < nch)
			NAME(between)(k, u, x + c * cap, x + c * cap, out + c, n);
		x += whole;
		s.phase += part;
		if (s.phase >= L) {
			s.phase -= L;
			x++;
		}
	}
}

#undef NVEC
#undef LANES

/* ---- input --------------------------------------------------------------------- */

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

#undef T
#undef NAME
#undef SPREAD
#undef EVEN
#undef ODD
#undef PAIRS
#undef EVEN2
#undef ODD2
