/*
 * drivers.c: the table of drivers, the only place that knows them by name, and
 * the check of parameters that they share.  A driver is a row here, not a
 * loaded object: there is no ABI to freeze.  Control thread.
 */
#define _GNU_SOURCE
#include "drivers.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct drv_ops *const table[] = {
	&drv_null,
	&drv_file,
	&drv_loopback,
	&drv_manual,
	&drv_alsa,
};

#define NDRIVERS	(sizeof(table) / sizeof(table[0]))

const struct drv_ops *
drv_table(unsigned index)
{
	return index < NDRIVERS ? table[index] : NULL;
}

const struct drv_ops *
drv_find(const char *name)
{
	unsigned i;

	for (i = 0; i < NDRIVERS; i++) {
		if (strcmp(table[i]->name, name) == 0)
			return table[i];
	}
	return NULL;
}

int
drv_fail(int errnum, char *err, size_t errsz, const char *fmt, ...)
{
	va_list ap;

	if (errsz > 0) {
		va_start(ap, fmt);
		vsnprintf(err, errsz, fmt, ap);
		va_end(ap);
	}
	return -errnum;
}

int
drv_par_fit(const char *name, struct drv_par *par, char *err, size_t errsz)
{
	unsigned nblocks;

	if (!enc_ok(&par->enc))
		return drv_fail(EINVAL, err, errsz, "%s: no such encoding (%u bits in %u bytes)",
		    name, par->enc.bits, par->enc.bps);
	if (par->rate < DSP_RATE_MIN || par->rate > DSP_RATE_MAX)
		return drv_fail(EINVAL, err, errsz, "%s: rate %u Hz is not in %d..%d",
		    name, par->rate, DSP_RATE_MIN, DSP_RATE_MAX);
	if (par->pchan > DRV_NCHAN || par->rchan > DRV_NCHAN)
		return drv_fail(EINVAL, err, errsz, "%s: %u channels are more than %d",
		    name, par->pchan > par->rchan ? par->pchan : par->rchan, DRV_NCHAN);
	if (par->pchan == 0 && par->rchan == 0)
		return drv_fail(EINVAL, err, errsz,
		    "%s: neither plays nor records: ask for channels of one direction", name);
	if (par->round == 0 || par->round > DRV_ROUND_MAX)
		return drv_fail(EINVAL, err, errsz, "%s: a block of %u frames is not in 1..%u",
		    name, par->round, DRV_ROUND_MAX);
	if (par->bufsz > DRV_BUFSZ_MAX)
		return drv_fail(EINVAL, err, errsz, "%s: a buffer of %u frames is more than %u",
		    name, par->bufsz, DRV_BUFSZ_MAX);
	nblocks = (par->bufsz + par->round / 2) / par->round;
	par->bufsz = (nblocks < 2 ? 2 : nblocks) * par->round;
	return 0;
}
