/*
 * conv_t.h: the loops of one integer encoding, included by conv.c once for
 * each with NAME, BITS, BPS, GET and PUT defined; undefines them at the end.
 * `c` is the struct conv; all is constant but in the `any` encoding.
 */

static void
NAME(dec32)(const struct conv *c, const void *restrict src, float *restrict dst, size_t n)
{
	const uint8_t *restrict p = src;
	const float step = (float)(1 / scale_of(BITS));
	ptrdiff_t i;

	(void)c;
	for (i = 0; i < (ptrdiff_t)n; i++)
		dst[i] = (float)GET(p + i * BPS) * step;
}

static void
NAME(dec64)(const struct conv *c, const void *restrict src, double *restrict dst, size_t n)
{
	const uint8_t *restrict p = src;
	const double step = 1 / scale_of(BITS);
	ptrdiff_t i;

	(void)c;
	for (i = 0; i < (ptrdiff_t)n; i++)
		dst[i] = (double)GET(p + i * BPS) * step;
}

static void
NAME(enc64)(const struct conv *c, const double *restrict src, void *restrict dst, size_t n)
{
	uint8_t *restrict p = dst;
	const double scale = scale_of(BITS);
	const double hi = scale - 1;
	ptrdiff_t i;

	(void)c;
	for (i = 0; i < (ptrdiff_t)n; i++) {
		const int32_t s = quant64(src[i] * scale, -scale, hi);

		PUT(p + i * BPS, s);
	}
}

/* wider than 24 bits f32 cannot hold hi, nor a half step: f64 does the rounding */
static void
NAME(enc32)(const struct conv *c, const float *restrict src, void *restrict dst, size_t n)
{
	uint8_t *restrict p = dst;
	const double scale = scale_of(BITS);
	const double hi = scale - 1;
	ptrdiff_t i;

	(void)c;
	if (BITS <= 24) {
		for (i = 0; i < (ptrdiff_t)n; i++) {
			const int32_t s = quant32(BITS, src[i] * (float)scale, (float)-scale, (float)hi);

			PUT(p + i * BPS, s);
		}
		return;
	}
	for (i = 0; i < (ptrdiff_t)n; i++) {
		const int32_t s = quant64((double)src[i] * scale, -scale, hi);

		PUT(p + i * BPS, s);
	}
}

static void
NAME(dit64)(const struct conv *c, uint32_t *seed, const double *restrict src, void *restrict dst, size_t n)
{
	uint8_t *restrict p = dst;
	const double scale = scale_of(BITS);
	const double hi = scale - 1;
	const uint32_t n0 = *seed;
	ptrdiff_t i;

	if (BITS > DITHER_BITS) {
		NAME(enc64)(c, src, dst, n);
		return;
	}
	for (i = 0; i < (ptrdiff_t)n; i++) {
		const double d = (double)tpdf(n0 + (uint32_t)i * DITHER_WEYL) * (1.0 / 65536);
		const int32_t s = quant64(src[i] * scale + d, -scale, hi);

		PUT(p + i * BPS, s);
	}
	*seed = n0 + (uint32_t)n * DITHER_WEYL;
}

/* f32 leaves a full-scale sample of 16 bits 8 bits of dither; wider ones need f64 */
static void
NAME(dit32)(const struct conv *c, uint32_t *seed, const float *restrict src, void *restrict dst, size_t n)
{
	uint8_t *restrict p = dst;
	const double scale = scale_of(BITS);
	const double hi = scale - 1;
	const uint32_t n0 = *seed;
	ptrdiff_t i;

	if (BITS > DITHER_BITS) {
		NAME(enc32)(c, src, dst, n);
		return;
	}
	if (BITS <= 16) {
		for (i = 0; i < (ptrdiff_t)n; i++) {
			const float d = (float)tpdf(n0 + (uint32_t)i * DITHER_WEYL) * (1.0f / 65536);
			const int32_t s = quant32(BITS, src[i] * (float)scale + d, (float)-scale, (float)hi);

			PUT(p + i * BPS, s);
		}
	} else {
		for (i = 0; i < (ptrdiff_t)n; i++) {
			const double d = (double)tpdf(n0 + (uint32_t)i * DITHER_WEYL) * (1.0 / 65536);
			const int32_t s = quant64((double)src[i] * scale + d, -scale, hi);

			PUT(p + i * BPS, s);
		}
	}
	*seed = n0 + (uint32_t)n * DITHER_WEYL;
}

#undef NAME
#undef BITS
#undef BPS
#undef GET
#undef PUT
