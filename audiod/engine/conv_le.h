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

#define NAME(f)		LEVEL(s24le3_##f)
#define BITS		24u
#define BPS		3
#define GET(p)		get_s24le3(p)
#define PUT(p, s)	put_s24le3((p), (s))
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

#undef LEVEL
