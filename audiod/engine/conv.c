/*
 * conv.c: samples of any encoding to and from the bus types f32 and f64.
 *
 * The plain truth is the `any` encoding, which reads enc at run time; common
 * encodings have the same loops with constants so that gcc vectorises them, for
 * each level of the CPU.
 * Invariant: decode then encode gives the same bits (up to 24 in f32, 32 in
 * f64) and every encoder writes defined padding.  Rounding is to nearest,
 * halves to even.  Runs on the device thread; conv_init anywhere.
 */
#include <errno.h>
#include <float.h>
#include <string.h>
#include "dsp.h"
#include "kern.h"

#define HOST_LE		(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
#define DITHER_BITS	24		/* widest integer that is dithered */
#define WORDS		512		/* samples of three bytes that are done at a time */
#define DITHER_WEYL	0x9e3779b9u	/* step of the dither's counter: odd, so that it visits all 2^32 values */

/* samples in client memory have any alignment */
typedef int16_t s16_una __attribute__((aligned(1), may_alias));
typedef int32_t s32_una __attribute__((aligned(1), may_alias));
typedef uint32_t u32_una __attribute__((aligned(1), may_alias));

/* ---- encodings ----------------------------------------------------------- */

int
enc_ok(const struct enc *e)
{
	if (e->le > 1 || e->sig > 1 || e->msb > 1 || e->flt > 1)
		return 0;
	if (e->flt) {
		return e->sig == 1 && e->msb == 0 &&
		    ((e->bits == 32 && e->bps == 4) || (e->bits == 64 && e->bps == 8));
	}
	return e->bits >= 1 && e->bits <= 32 && e->bps >= (e->bits + 7) / 8 && e->bps <= 4;
}

int
enc_packed(const struct enc *e)
{
	return e->bits == 8 * e->bps;
}

int
enc_same(const struct enc *a, const struct enc *b)
{
	if (a->bits != b->bits || a->bps != b->bps || a->sig != b->sig || a->flt != b->flt)
		return 0;
	if (a->bps > 1 && a->le != b->le)
		return 0;
	return enc_packed(a) || a->msb == b->msb;
}

/* ---- arithmetic of one sample --------------------------------------------- */

static inline double
scale_of(unsigned bits)			/* steps of full scale */
{
	return (double)(UINT64_C(1) << (bits - 1));
}

/*
 * Clip, then round v steps; NaN is silence.  Adding 2^23 (2^52) leaves no bits
 * for a fraction, so the addition itself rounds, and exactly, since the range
 * is not wider than that.  With half of it on top, both signs of a narrower
 * range stay between two powers of 2, where the bits of a float count steps.
 */
static inline int32_t
quant32(unsigned bits, float v, float lo, float hi)	/* at most 24 bits */
{
	float m;
	int32_t s;

	v = v == v ? v : 0;
	v = v < hi ? v : hi;
	v = v > lo ? v : lo;
	if (bits <= 22) {
		v += 0x1.8p23f;
		memcpy(&s, &v, sizeof(s));
		return s - 0x4b400000;
	}
	m = __builtin_copysignf(0x1p23f, v);
	return (int32_t)((v + m) - m);
}

static inline int32_t
quant64(double v, double lo, double hi)
{
	double m;

	v = v == v ? v : 0;
	v = v < hi ? v : hi;
	v = v > lo ? v : lo;
	m = __builtin_copysign(0x1p52, v);
	return (int32_t)((v + m) - m);
}

/*
 * Triangular noise in (-65536, 65536), 2^-16 steps, from the nth value of a
 * counter: hashing a counter instead of iterating a generator leaves the
 * samples independent of each other, so the loop vectorises.
 */
static inline int32_t
tpdf(uint32_t n)
{
	n ^= n >> 16;
	n *= 0x7feb352du;
	n ^= n >> 15;
	n *= 0x846ca68bu;
	n ^= n >> 16;
	return (int32_t)(n >> 16) - (int32_t)(n & 0xffff);
}

/* ---- bytes of one sample ---------------------------------------------------- */

static inline int32_t
get_any(const struct enc *e, const uint8_t *p)
{
	uint32_t v = 0;
	unsigned i;

	for (i = 0; i < e->bps; i++)
		v = v << 8 | p[e->le ? e->bps - 1 - i : i];
	v <<= 32 - (e->msb ? 8u * e->bps : e->bits);
	if (!e->sig)
		v ^= 0x80000000u;
	return (int32_t)v >> (32 - e->bits);
}

static inline void
put_any(const struct enc *e, uint8_t *p, int32_t s)
{
	uint32_t v = (uint32_t)s;
	unsigned i;

	if (!e->sig)
		v += UINT32_C(1) << (e->bits - 1);
	if (e->msb)
		v <<= 8 * e->bps - e->bits;
	for (i = 0; i < e->bps; i++) {
		p[e->le ? i : e->bps - 1u - i] = (uint8_t)v;
		v >>= 8;
	}
}

/* ---- integers: six loops each ------------------------------------------------ */

#define NAME(f)		any_##f
#define BITS		((unsigned)c->enc.bits)
#define BPS		((ptrdiff_t)c->enc.bps)
#define GET(p)		get_any(&c->enc, (p))
#define PUT(p, s)	put_any(&c->enc, (p), (s))
#include "conv_t.h"

#if HOST_LE
#define LEVEL(f)	base_##f
#include "conv_le.h"
#endif
#if KERN_X86
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define LEVEL(f)	v3_##f
#include "conv_le.h"
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
#define LEVEL(f)	v4_##f
#include "conv_le.h"
#pragma GCC pop_options
#endif

/* ---- floats -------------------------------------------------------------------- */

static inline float
clamp32(float v)
{
	v = v == v ? v : 0;
	v = v < (float)DSP_FLOAT_MAX ? v : (float)DSP_FLOAT_MAX;
	return v > -(float)DSP_FLOAT_MAX ? v : -(float)DSP_FLOAT_MAX;
}

static inline double
clamp64(double v)
{
	v = v == v ? v : 0;
	v = v < DSP_FLOAT_MAX ? v : DSP_FLOAT_MAX;
	return v > -DSP_FLOAT_MAX ? v : -DSP_FLOAT_MAX;
}

/* a finite double beyond f32 has no defined conversion */
static inline float
narrow(double v)
{
	v = v > (double)FLT_MAX ? (double)FLT_MAX : v;
	return (float)(v < -(double)FLT_MAX ? -(double)FLT_MAX : v);
}

static inline float
get_f32(const uint8_t *p, int swap)
{
	uint32_t u;
	float v;

	memcpy(&u, p, sizeof(u));
	if (swap)
		u = __builtin_bswap32(u);
	memcpy(&v, &u, sizeof(v));
	return v;
}

static inline double
get_f64(const uint8_t *p, int swap)
{
	uint64_t u;
	double v;

	memcpy(&u, p, sizeof(u));
	if (swap)
		u = __builtin_bswap64(u);
	memcpy(&v, &u, sizeof(v));
	return v;
}

static inline void
put_f32(uint8_t *p, int swap, float v)
{
	uint32_t u;

	memcpy(&u, &v, sizeof(u));
	if (swap)
		u = __builtin_bswap32(u);
	memcpy(p, &u, sizeof(u));
}

static inline void
put_f64(uint8_t *p, int swap, double v)
{
	uint64_t u;

	memcpy(&u, &v, sizeof(u));
	if (swap)
		u = __builtin_bswap64(u);
	memcpy(p, &u, sizeof(u));
}

#define FLOATS(name, W, swap)							\
static void									\
name##_dec32(const struct conv *c, const void *src, float *dst, size_t n)	\
{										\
	const uint8_t *p = src;							\
	ptrdiff_t i;								\
										\
	(void)c;								\
	for (i = 0; i < (ptrdiff_t)n; i++)					\
		dst[i] = (float)clamp##W(get_f##W(p + i * (W / 8), swap));	\
}										\
static void									\
name##_dec64(const struct conv *c, const void *src, double *dst, size_t n)	\
{										\
	const uint8_t *p = src;							\
	ptrdiff_t i;								\
										\
	(void)c;								\
	for (i = 0; i < (ptrdiff_t)n; i++)					\
		dst[i] = (double)clamp##W(get_f##W(p + i * (W / 8), swap));	\
}										\
static void									\
name##_enc32(const struct conv *c, const float *src, void *dst, size_t n)	\
{										\
	uint8_t *p = dst;							\
	ptrdiff_t i;								\
										\
	(void)c;								\
	for (i = 0; i < (ptrdiff_t)n; i++)					\
		put_f##W(p + i * (W / 8), swap, src[i]);			\
}										\
static void									\
name##_enc64(const struct conv *c, const double *src, void *dst, size_t n)	\
{										\
	uint8_t *p = dst;							\
	ptrdiff_t i;								\
										\
	(void)c;								\
	for (i = 0; i < (ptrdiff_t)n; i++)					\
		put_f##W(p + i * (W / 8), swap, NARROW##W(src[i]));		\
}										\
static void									\
name##_dit32(const struct conv *c, uint32_t *seed, const float *src, void *dst, size_t n) \
{										\
	(void)seed;								\
	name##_enc32(c, src, dst, n);						\
}										\
static void									\
name##_dit64(const struct conv *c, uint32_t *seed, const double *src, void *dst, size_t n) \
{										\
	(void)seed;								\
	name##_enc64(c, src, dst, n);						\
}
#define NARROW32(v)	narrow(v)
#define NARROW64(v)	(v)

FLOATS(f32, 32, 0)
FLOATS(f32swap, 32, 1)
FLOATS(f64, 64, 0)
FLOATS(f64swap, 64, 1)

/* ---- choice ----------------------------------------------------------------------- */

#define KERNELS(name)	{ .dec32 = name##_dec32, .dec64 = name##_dec64, .enc32 = name##_enc32, \
			  .enc64 = name##_enc64, .dit32 = name##_dit32, .dit64 = name##_dit64 }

#define LEVELS(name)	KERNELS(base_##name)
#if KERN_X86
#undef LEVELS
#define LEVELS(name)	KERNELS(base_##name), KERNELS(v3_##name), KERNELS(v4_##name)
#endif

#if HOST_LE
static const struct {
	struct enc enc;
	struct conv kernels[KERN_NLEVELS];
} common[] = {
	{ { 8, 1, 0, 1, 1, 0 }, { LEVELS(u8) } },
	{ { 16, 2, 1, 1, 1, 0 }, { LEVELS(s16le) } },
	{ { 24, 3, 1, 1, 1, 0 }, { LEVELS(s24le3) } },
	{ { 24, 4, 1, 1, 0, 0 }, { LEVELS(s24le4) } },
	{ { 32, 4, 1, 1, 1, 0 }, { LEVELS(s32le) } },
};
#endif

int
conv_init(struct conv *c, const struct enc *e)
{
	static const struct conv any = KERNELS(any);
	static const struct conv floats[2][2] = {		/* [64 bits][other byte order] */
		{ KERNELS(f32), KERNELS(f32swap) },
		{ KERNELS(f64), KERNELS(f64swap) },
	};

	if (!enc_ok(e))
		return -EINVAL;
	*c = e->flt ? floats[e->bits == 64][e->le != HOST_LE] : any;
#if HOST_LE
	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++) {
		if (enc_same(e, &common[i].enc))
			*c = common[i].kernels[kern_level()];
	}
#endif
	c->enc = *e;
	return 0;
}

void
enc_silence(const struct enc *e, void *dst, size_t n)
{
	uint8_t *p = dst;
	size_t i;

	if (e->sig) {
		memset(dst, 0, n * e->bps);
		return;
	}
	for (i = 0; i < n; i++)
		put_any(e, p + i * e->bps, 0);
}

/*
 * A sample is clipped when rounding alone would leave the range: at half a step
 * above the highest value (odd, so the half rounds away from it) and beyond
 * half a step below the lowest.  Where f32 has no half steps, whole ones.
 */
#define CLIP_BLOCK	65536		/* counted in 32 bits, so that the loop vectorises */

size_t
clip_count32(const struct conv *c, const float *src, size_t n)
{
	const unsigned b = c->enc.bits;
	size_t total = 0;
	float lo, hi;

	if (c->enc.flt)
		return 0;
	hi = b <= 24 ? 1 - (float)(0.5 / scale_of(b)) : 1;
	lo = -1 - (b <= 23 ? (float)(0.5 / scale_of(b)) : 0);
	while (n > 0) {
		const ptrdiff_t m = n < CLIP_BLOCK ? (ptrdiff_t)n : CLIP_BLOCK;
		int32_t k = 0;
		ptrdiff_t i;

		for (i = 0; i < m; i++)
			k += (src[i] >= hi) + (src[i] < lo);
		total += (size_t)k;
		src += m;
		n -= (size_t)m;
	}
	return total;
}

size_t
clip_count64(const struct conv *c, const double *src, size_t n)
{
	size_t total = 0;
	double lo, hi;

	if (c->enc.flt)
		return 0;
	hi = 1 - 0.5 / scale_of(c->enc.bits);
	lo = -1 - 0.5 / scale_of(c->enc.bits);
	while (n > 0) {
		const ptrdiff_t m = n < CLIP_BLOCK ? (ptrdiff_t)n : CLIP_BLOCK;
		int32_t k = 0;
		ptrdiff_t i;

		for (i = 0; i < m; i++)
			k += (src[i] >= hi) + (src[i] < lo);
		total += (size_t)k;
		src += m;
		n -= (size_t)m;
	}
	return total;
}

/* ---- is there anything to round? ----------------------------------------------- */

#define GRID_BLOCK	64		/* samples until it is asked: most mixes that round show it at once */
#define F32_WHOLE	0x1.8p23f	/* added and taken away, leaves a whole number; for up to 22 bits */
#define F64_WHOLE	0x1.8p52

int
on_grid32(const struct conv *c, const float *src, size_t n)
{
	const float scale = (float)scale_of(c->enc.bits);
	const double wide = scale_of(c->enc.bits);

	if (c->enc.flt)
		return 0;
	while (n > 0) {
		const ptrdiff_t m = n < GRID_BLOCK ? (ptrdiff_t)n : GRID_BLOCK;
		int32_t off = 0;
		ptrdiff_t i;

		if (c->enc.bits <= 22)
			for (i = 0; i < m; i++) {
				const float x = src[i] * scale;

				off |= x != (x + F32_WHOLE) - F32_WHOLE;
			}
		else
			for (i = 0; i < m; i++) {
				const double x = (double)src[i] * wide;

				off |= x != (x + F64_WHOLE) - F64_WHOLE;
			}
		if (off)
			return 0;
		src += m;
		n -= (size_t)m;
	}
	return 1;
}

int
on_grid64(const struct conv *c, const double *src, size_t n)
{
	const double scale = scale_of(c->enc.bits);

	if (c->enc.flt)
		return 0;
	while (n > 0) {
		const ptrdiff_t m = n < GRID_BLOCK ? (ptrdiff_t)n : GRID_BLOCK;
		int32_t off = 0;
		ptrdiff_t i;

		for (i = 0; i < m; i++) {
			const double x = src[i] * scale;

			off |= x != (x + F64_WHOLE) - F64_WHOLE;
		}
		if (off)
			return 0;
		src += m;
		n -= (size_t)m;
	}
	return 1;
}
