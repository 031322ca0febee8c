/*
 * drivers.h: what the built-in drivers share beside the contract in driver.h:
 * the rows of the table and the check of the parameters asked for.  Included
 * by drivers only; all of it runs on the control thread.
 */
#ifndef DRIVERS_H
#define DRIVERS_H

#include "driver.h"

#define DRV_NCHAN	DSP_NCHAN	/* most channels of one direction */
#define DRV_ROUND_MAX	(1u << 16)	/* frames: a third of a second at the highest rate, 32 MiB at the widest */
#define DRV_BUFSZ_MAX	(1u << 18)	/* frames: 128 MiB at the widest */

extern const struct drv_ops drv_null, drv_file, drv_loopback, drv_manual, drv_alsa;

/*
 * Checks what is asked of driver `name` and makes bufsz a multiple of round, at
 * least two of them.  0, or -EINVAL with the reason in err.
 */
int	drv_par_fit(const char *name, struct drv_par *, char *err, size_t errsz);

/* formats err and returns -errnum */
int	drv_fail(int errnum, char *err, size_t errsz, const char *fmt, ...)
	    __attribute__((format(printf, 4, 5)));

#endif
