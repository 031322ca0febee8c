/*
 * kern.h: the levels of the CPU that DSP kernels are compiled for.
 *
 * The same plain C is compiled once a level, by including its template again
 * under another target, and chosen here, at the one place.  Invariant: all
 * levels give the same bits (built without contraction of a * b + c), so a
 * level is never a matter of sound.  Faster kernels of another kind, or for
 * another CPU, would be one more level.
 */
#ifndef KERN_H
#define KERN_H

#define KERN_BASE	0		/* what the compiler was told to build for */
#define KERN_V3		1		/* x86-64-v3: AVX2 */
#define KERN_V4		2		/* x86-64-v4: AVX-512 */

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define KERN_X86	1		/* clang has no target pragma for included templates */
#define KERN_NLEVELS	3
#else
#define KERN_X86	0
#define KERN_NLEVELS	1
#endif

static inline int
kern_level(void)
{
#if defined(KERN_LEVEL)			/* for tests: one level, which the CPU must have */
	return KERN_LEVEL;
#elif KERN_X86
	if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2"))
		return KERN_BASE;
	if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
	    !__builtin_cpu_supports("avx512cd") || !__builtin_cpu_supports("avx512dq") ||
	    !__builtin_cpu_supports("avx512vl"))
		return KERN_V3;
	return KERN_V4;
#else
	return KERN_BASE;
#endif
}

#endif
