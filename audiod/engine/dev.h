/*
 * dev.h: what the files of the device thread share: dev.c, cycle.c, lineup.c.
 */
#ifndef DEV_H
#define DEV_H

#include "ring.h"

void	dev_tell(device *, uint32_t type, int err);	/* an event of the device itself */
void	tell_pump(device *);		/* something about its streams has changed */

void	dev_commands(device *);		/* of control */
void	dev_admit(device *);		/* streams join and leave */
void	dev_remove(device *, stream **, int ended);
void	dev_count(device *);		/* after streams have come or gone */
void	dev_retry(device *);		/* give back those that control had no room for */
void	dev_end_all(device *, int ended);
int	group_ready(device *, const stream *);	/* its link group is complete, or MMC lets it join */
int	mmc_runs(const device *);	/* the clock is asked for, with streams or without */
void	mmc_tick(device *);		/* a cycle of it has passed */

void	dev_master(device *);		/* the software masters as they are now */
int	dev_cycle(device *, int64_t due, int64_t nblocks);
void	dev_record(device *, int64_t nblocks, int nstreams, int flags);	/* times of a cycle */

#endif
