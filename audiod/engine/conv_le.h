/*
 * conv_le.h: the common encodings of a little endian host with all their
 * constants known, included by conv.c once for each level of the CPU with
 * LEVEL defined; undefines it at the end.
 */

#define NAME(f)		LEVEL(u8_##f)
#define BITS		8u
#define BPS		1
#define GET(p)		((int32_t)*(p) - 128)
#define PUT(p, s)	(*(p) = (uint8_t)((s) + 128))
#include "conv_t.h"

#define NAME(f)		LEVEL(s16le_##f)
#define BITS		16u
#define BPS		2
#define GET(p)		((int32_t)*(const s16_una *)(p))
#define PUT(p, s)	(*(s16_una *)(p) = (int16_t)(s))
#include "conv_t.h"

#define NAME(f)		LEVEL(s24le4_##f)	/* low bits */
#define BITS		24u
#define BPS		4
#define GET(p)		((int32_t)((uint32_t)*(const s32_una *)(p) << 8) >> 8)
#define PUT(p, s)	(*(s32_una *)(p) = (s))
#include "conv_t.h"

#define NAME(f)		LEVEL(s32le_##f)
#define BITS		32u
#define BPS		4
#define GET(p)		((int32_t)*(const s32_una *)(p))
#define PUT(p, s)	(*(s32_una *)(p) = (s))
#include "conv_t.h"

/*
 * Three bytes a sample: four samples are three words, and the rest is as with
 * four bytes.  Plain loops over bytes would not be vectorised.
 */

static void
LEVEL(s24_unpack)(const uint8_t *restrict p, int32_t *restrict dst, ptrdiff_t n)
{
	ptrdiff_t i;

	for (i = 0; i < n / 4; i++) {
		const u32_una *w = (const u32_una *)(p + 12 * i);
		const uint32_t a = w[0], b = w[1], c = w[2];

		dst[4 * i] = (int32_t)(a & 0xffffff);
		dst[4 * i + 1] = (int32_t)(a >> 24 | (b & 0xffff) << 8);
		dst[4 * i + 2] = (int32_t)(b >> 16 | (c & 0xff) << 16);
		dst[4 * i + 3] = (int32_t)(c >> 8);
	}
	for (i *= 4; i < n; i++)
		dst[i] = p[3 * i] | p[3 * i + 1] << 8 | p[3 * i + 2] << 16;
}

static void
LEVEL(s24_pack)(const int32_t *restrict src, uint8_t *restrict p, ptrdiff_t n)
{
	ptrdiff_t i;

	for (i = 0; i < n / 4; i++) {
		const uint32_t a = (uint32_t)src[4 * i], b = (uint32_t)src[4 * i + 1];
		const uint32_t c = (uint32_t)src[4 * i + 2], d = (uint32_t)src[4 * i + 3];
		u32_una *w = (u32_una *)(p + 12 * i);

		w[0] = (a & 0xffffff) | b << 24;
		w[1] = (b >> 8 & 0xffff) | c << 16;
		w[2] = (c >> 16 & 0xff) | d << 8;
	}
	for (i *= 4; i < n; i++) {
		const uint32_t v = (uint32_t)src[i];

		p[3 * i] = (uint8_t)v;
		p[3 * i + 1] = (uint8_t)(v >> 8);
		p[3 * i + 2] = (uint8_t)(v >> 16);
	}
}

#define DECODE(f, T)									\
static void										\
LEVEL(s24le3_##f)(const struct conv *c, const void *src, T *dst, size_t n)		\
{											\
	int32_t s[WORDS];								\
	size_t i, m;									\
											\
	for (i = 0; i < n; i += m) {							\
		m = n - i < WORDS ? n - i : WORDS;					\
		LEVEL(s24_unpack)((const uint8_t *)src + 3 * i, s, (ptrdiff_t)m);	\
		LEVEL(s24le4_##f)(c, s, dst + i, m);					\
	}										\
}
#define ENCODE(f, T)									\
static void										\
LEVEL(s24le3_##f)(const struct conv *c, const T *src, void *dst, size_t n)		\
{											\
	int32_t s[WORDS];								\
	size_t i, m;									\
											\
	for (i = 0; i < n; i += m) {							\
		m = n - i < WORDS ? n - i : WORDS;					\
		LEVEL(s24le4_##f)(c, src + i, s, m);					\
		LEVEL(s24_pack)(s, (uint8_t *)dst + 3 * i, (ptrdiff_t)m);		\
	}										\
}
#define DITHER(f, T)									\
static void										\
LEVEL(s24le3_##f)(const struct conv *c, uint32_t *seed, const T *src, void *dst, size_t n) \
{											\
	int32_t s[WORDS];								\
	size_t i, m;									\
											\
	for (i = 0; i < n; i += m) {							\
		m = n - i < WORDS ? n - i : WORDS;					\
		LEVEL(s24le4_##f)(c, seed, src + i, s, m);				\
		LEVEL(s24_pack)(s, (uint8_t *)dst + 3 * i, (ptrdiff_t)m);		\
	}										\
}
DECODE(dec32, float)
DECODE(dec64, double)
ENCODE(enc32, float)
ENCODE(enc64, double)
DITHER(dit32, float)
DITHER(dit64, double)
#undef DECODE
#undef ENCODE
#undef DITHER
#undef LEVEL
