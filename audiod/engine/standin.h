/*
 * standin.h: the stand-in clock of a driver whose calls may sleep.
 *
 * A driver of its own around such a driver, which the device has instead: its
 * start and stop only ask, a helper thread of ordinary class (its signals
 * blocked) prepares, starts, stops and closes the card.  While the card is not
 * ready, after an xrun or a suspend, or for good once it is lost, blocks pass on
 * a clock of ours (tick.h), into nothing; a lost card is closed at once, so that
 * it can leave, or be opened anew.  The first start alone is waited for:
 * no block passes until the card runs, for at most a second.
 *
 * Handing over is exact to the block.  What was last played into nothing, bufsz
 * frames, is what the card begins with; after an xrun that is silence, for all
 * that was queued has been heard.  Up to bufsz of restarting only stretches
 * time and loses no frame, what takes longer is played into nothing.
 *
 * The card belongs to one thread at a time, and `state` says to which.  The
 * device thread never waits, locks or allocates.  A resume is tried five times, a
 * second apart.  standin_new and close run on any one thread and may wait.
 */
#ifndef STANDIN_H
#define STANDIN_H

#include "driver.h"

struct standin;

extern const struct drv_ops drv_standin;	/* has no open */

/* takes over an open driver; 0, or -errno and the driver is still the caller's */
int	standin_new(struct standin **, const struct drv_ops *, void *drv, const struct drv_par *);

#endif
