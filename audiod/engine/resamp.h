/*
 * resamp.h: what the resampler's two files share: a filter with its table of
 * taps, read-only once made.
 *
 * design_ref and design_unref belong to the control thread; the device thread
 * reads what they made.
 */
#ifndef RESAMP_H
#define RESAMP_H

#include <stddef.h>
#include <stdint.h>

#define GROUP		8		/* outputs that are computed at a time */
#define LANE		16		/* bytes of adjoining taps of one output in the table of groups */
#define GROUP_ALIGN	8		/* taps that a kernel takes at a time from a row of groups ... */
#define INTERP_ALIGN	16		/* ... and from one that is interpolated */
#define CUBIC		4		/* coefficients of a tap that is interpolated */
#define SUMS		64		/* bytes of partial sums of such an output */

/*
 * Output q of a period lies at input time q * M / L.  Where there are few
 * phases, GROUP outputs in a row read one window of the input, that of their
 * first, and each has its taps as far into its row as it is later; the rest of
 * the row is 0.  A period is a multiple of L, its last group may be short.
 *
 *	groups		table[group][tap / (LANE / size)][slot][tap % (LANE / size)]
 *	interpolated	table[phase][tap / (SUMS / size)][power][tap % (SUMS / size)]
 */
struct design {
	struct design *next;
	unsigned refs;			/* streams */
	unsigned irate, orate;		/* Hz */
	int f64;			/* type of the table */
	unsigned L, M;			/* orate and irate without their common factor */
	unsigned ntaps;			/* of an output */
	unsigned row;			/* of a row of the table, and frames that it covers */
	int interp;			/* phases are interpolated */
	unsigned nphases;		/* that the interpolated table has */
	unsigned period, ngroups;	/* outputs, groups; else 1, 0 */
	uint32_t *start;		/* [ngroups + 1]: input at which a group's window begins; inputs of a period */
	void *table;			/* float or double */
};

struct design *design_ref(unsigned irate, unsigned orate, int f64);	/* NULL: no memory */
void	design_unref(struct design *);
unsigned design_shift(const struct design *, unsigned q);	/* how far into its group's window output q of the period is */
void	*alloc_zero(size_t n, size_t size);			/* at an address that suits every vector */

#endif
