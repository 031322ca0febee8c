/*
 * tick.h: the clock of drivers that have no hardware to count for them.
 *
 * Block k (k >= 1) of a running tick has passed at start + k * round / rate,
 * rounded up to a nanosecond and computed anew from k each time, so that the
 * clock never drifts.  What is to be wrong with it is sim's: a rate that is off
 * by so many parts per million, blocks told of late, an end.  One absolute timer is armed for the next block only:
 * one wake-up a block, none while stopped.  tick_open and tick_close run on
 * the control thread, the rest on the device thread.
 */
#ifndef TICK_H
#define TICK_H

#include <poll.h>
#include <stdint.h>

#include "sim.h"

struct tick {
	int fd;				/* timerfd, CLOCK_MONOTONIC */
	unsigned rate;			/* Hz */
	unsigned round;			/* frames a block */
	unsigned bufsz;			/* frames queued ahead when all is served */
	int running;			/* 1 between start and stop */
	int dry;			/* 1 after an xrun, until stop */
	int64_t start;			/* CLOCK_MONOTONIC ns of frame 0 */
	uint64_t served;		/* blocks that tick_ready has returned */
	struct sim sim;			/* what is wrong with it */
};

int	tick_open(struct tick *, unsigned rate, unsigned round, unsigned bufsz, const struct sim *);	/* 0 or -errno */
void	tick_close(struct tick *);
int	tick_start(struct tick *);		/* 0 or -errno */
int	tick_start_at(struct tick *, int64_t start);	/* frame 0 at CLOCK_MONOTONIC ns, past or to come */
int	tick_stop(struct tick *);
int	tick_poll(struct tick *, struct pollfd *);
int	tick_ready(struct tick *, struct pollfd *, int64_t *due_ns);

/* the arithmetic alone: no system call, no change of state */
int64_t	tick_due(const struct tick *, uint64_t block);	/* ns at which `block` (from 1) has passed */
uint64_t tick_frames(const struct tick *, int64_t now);	/* whole frames passed at `now` ns */
/* blocks passed and told of at `now` and not served, or -EPIPE if more than bufsz frames are not */
int	tick_passed(const struct tick *, int64_t now);

#endif
