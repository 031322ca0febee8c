/*
 * cmap_t.h: out += map(in) * gain for one bus type T and level of the CPU,
 * included by cmap.c for each with NAME defined; undefines both at the end.
 *
 * `mix` is inlined with and without a ramp: gain[] holds the gain of each
 * frame, or is NULL and the gain is `steady`.
 */

#define G(i)	(ramp ? gain[i] : steady)

static inline __attribute__((always_inline)) void
NAME(mix)(const struct cmap *m, int ramp, const T *restrict gain, T steady,
    const T *restrict in, T *restrict out, ptrdiff_t n)
{
	const ptrdiff_t inch = (ptrdiff_t)m->inch, onch = (ptrdiff_t)m->onch;
	const ptrdiff_t width = (ptrdiff_t)m->width, expand = (ptrdiff_t)m->expand;
	ptrdiff_t i, j, k, o;

	if (cmap_identity(m) && !ramp) {
		for (i = 0; i < n * onch; i++)
			out[i] += in[i] * steady;
		return;
	}
	if (cmap_identity(m) && onch == 2) {
		for (i = 0; i < n; i++) {
			out[2 * i] += in[2 * i] * G(i);
			out[2 * i + 1] += in[2 * i + 1] * G(i);
		}
		return;
	}
	if (inch == 1 && onch == 2 && width == 1 && expand == 2) {
		for (i = 0; i < n; i++) {
			const T v = in[i] * G(i);

			out[2 * i] += v;
			out[2 * i + 1] += v;
		}
		return;
	}
	in += m->istart;
	out += m->ostart;
	if (m->join > 1) {
		const T share = (T)(1.0 / m->join);

		for (i = 0; i < n; i++) {
			for (o = 0; o < width; o++) {
				T sum = 0;

				for (j = 0; j < (ptrdiff_t)m->join; j++)
					sum += in[i * inch + j * width + o];
				out[i * onch + o] += sum * (G(i) * share);
			}
		}
		return;
	}
	for (i = 0; i < n; i++) {
		for (k = 0; k < expand; k++) {
			for (o = 0; o < width; o++)
				out[i * onch + k * width + o] += in[i * inch + o] * G(i);
		}
	}
}

static void
NAME(steady)(const struct cmap *m, T gain, const T *in, T *out, ptrdiff_t n)
{
	NAME(mix)(m, 0, NULL, gain, in, out, n);
}

/* at most RAMP_BLOCK frames, none beyond the ramp */
static void
NAME(ramp)(const struct cmap *m, const struct gain *g, const T *in, T *out, ptrdiff_t n)
{
	const T from = (T)g->from, by = (T)(g->to - g->from), step = (T)(1.0 / g->len);
	const int32_t pos = (int32_t)g->pos;
	T gain[RAMP_BLOCK];
	ptrdiff_t i;

	if (g->shape != NULL) {
		double way[RAMP_BLOCK];

		shape_fill(g->shape, g->pos, g->len, way, (size_t)n);
		for (i = 0; i < n; i++)
			gain[i] = from + by * (T)way[i];
	} else
		for (i = 0; i < n; i++) {
			const T s = (T)(pos + (int32_t)i) * step;

			gain[i] = from + by * (s * s * (3 - 2 * s));
		}
	NAME(mix)(m, 1, gain, 0, in, out, n);
}

#undef G
#undef T
#undef NAME
