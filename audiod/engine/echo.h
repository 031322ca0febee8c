/*
 * echo.h: what is played comes back as recorded, when it is played.
 *
 * A ring of bufsz frames at the recording side's width.  The k-th read gives
 * the k-th block of the play timeline, of which the first bufsz frames are the
 * silence queued by start.  Channels of equal number correspond, those without
 * a partner are silent.  echo_open and echo_close run on the control thread,
 * the rest on the device thread; an echo with one direction only keeps nothing.
 */
#ifndef ECHO_H
#define ECHO_H

#include "driver.h"

struct echo {
	struct enc enc;			/* of both sides */
	unsigned round;			/* frames a block */
	unsigned nblocks;		/* blocks in the ring: bufsz / round */
	unsigned pchan, rchan;		/* channels written / read */
	size_t block;			/* bytes of a recorded block */
	uint8_t *ring;			/* nblocks recorded blocks; NULL unless both directions exist */
	unsigned wpos, rpos;		/* next block of the ring to write / read */
};

int	echo_open(struct echo *, const struct drv_par *);	/* 0 or -ENOMEM */
void	echo_close(struct echo *);
void	echo_start(struct echo *);			/* bufsz frames of silence are queued */
void	echo_read(struct echo *, void *block);		/* round x rchan */
void	echo_write(struct echo *, const void *block);	/* round x pchan; NULL: silence */

#endif
