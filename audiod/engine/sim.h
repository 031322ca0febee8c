/*
 * sim.h: what is wrong with a device that simulates a bad one.
 *
 * A layer between a driver's clock and the engine: the driver tells it how many
 * blocks its clock has passed, and it says how many of them the engine gets, or
 * that the device ran dry (-EPIPE) or is unplugged (-ENODEV).  Seconds are
 * those of running since sim_open, counted in frames of the device, so that
 * the same blocks end the same way on every clock; the k-th xrun is due at k
 * times xrun_every, never at a sum of rounded parts.  Zeroed, it changes
 * nothing.  sim_open runs on the control thread, the rest on the device thread.
 */
#ifndef SIM_H
#define SIM_H

#include "driver.h"

#define SIM_PPM_MAX	10000		/* one per cent */
#define SIM_JITTER_MAX	1000000000LL	/* ns */
#define SIM_TIME_MAX	86400000000000LL /* ns: a day */

struct sim {
	int ppm;			/* error of a real clock: how much too fast, parts per million */
	int64_t jitter_ns;		/* a real clock tells of a block up to this late */
	int64_t xrun_ns;		/* running between xruns, 0: none */
	unsigned rate, round;
	uint64_t passed;		/* blocks since sim_open */
	uint64_t xrun_at;		/* passed blocks before the next xrun, 0: never */
	uint64_t unplug_at;		/* passed blocks before it is unplugged, 0: never */
	uint64_t nxruns;
	int state;			/* 0, -EPIPE until sim_start, -ENODEV for good */
};

/* 0, or -EINVAL with the reason in err; par as the driver's open answers it */
int	sim_open(struct sim *, const char *name, const struct drv_conf *, const struct drv_par *,
	    char *err, size_t errsz);
int	sim_start(struct sim *);	/* 0 or -ENODEV */
int	sim_pass(struct sim *, int nblocks);	/* of the blocks passed: how many there are, or -errno until started */
int64_t	sim_delay(const struct sim *, unsigned nth);	/* ns that the nth block from now (1: the next) is told late */

#endif
