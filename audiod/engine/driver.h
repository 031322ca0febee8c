/*
 * driver.h: what a driver of sound devices must do.
 *
 * A driver owns one opened device in one or both directions.  It counts time
 * in blocks of `round` frames of its clock.  All calls come from one thread at
 * a time; open and close from the control thread, the rest from the device
 * thread, where they neither allocate, lock, log nor block.
 *
 *	open	opens the device, changes par to what the device does
 *	start	starts the clock at frame 0 with bufsz frames of silence queued
 *	poll	fills pollfds to wait for (at most DRV_NFDS), returns how many
 *	ready	after poll(2): how many whole blocks have passed since the last
 *		call (0 is fine), and when the first of them was due.
 *		-EPIPE: xrun, the device ran dry and has stopped; the engine
 *		will stop and start it.  Any other error: the device is gone.
 *	read	the recorded frames of the next passed block, exactly round
 *		(called once per passed block, before its write, if rchan > 0)
 *	write	queues the next block, exactly round frames, at bufsz - round
 *		frames ahead of the clock (once per passed block, if pchan > 0);
 *		NULL means silence that the program played nothing into: a driver
 *		that keeps what was played may drop it at the end
 *	stop	stops the clock, discards what is queued
 *	close	frees everything
 *
 * Those of a driver whose calls may sleep (standin.h) are parted, and these go
 * to a thread that may wait: prepare, go, stop, close.  Its start does the
 * same in one, for callers that can wait.
 *
 *	prepare	stops it if need be and gets it ready, nothing queued, also after
 *		an xrun or a suspend; -EAGAIN: not yet, ask again in a second,
 *		unless `again` is 0: then it does what can be done
 *	write	between prepare and go: queues a block of the first bufsz frames
 *	go	starts the clock at frame 0
 *
 * Optional, device thread:
 *
 *	area	where the next block to be written may be put, to spare a copy:
 *		given to write, it is there; NULL: there is no such place
 *	news	what the driver got over by itself since it was asked last:
 *		-EPIPE an xrun and when a block was due then (0: unknown),
 *		other -errno: the card is lost, blocks pass without it; 0 nothing
 *	abandon	the card is closed soon, as if it were lost by err, and blocks
 *		pass without it; fd, an eventfd that is the driver's from here
 *		on, becomes readable when it is closed
 *
 * Calls return >= 0 or -errno.
 */
#ifndef DRIVER_H
#define DRIVER_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include "dsp.h"

#define DRV_NFDS	4		/* most descriptors of one driver */

enum drv_clock {
	DRV_CLOCK_REAL,			/* blocks pass in real time */
	DRV_CLOCK_FREE,			/* a block passes whenever the engine has it: no pollfds, ready() always 1 */
	DRV_CLOCK_MANUAL,		/* blocks pass when told to (drv_manual_step) */
};

struct drv_par {
	struct enc enc;			/* encoding of both directions */
	unsigned rate;			/* Hz */
	unsigned round;			/* frames a block */
	unsigned bufsz;			/* frames queued ahead of the clock, a multiple of round */
	unsigned pchan, rchan;		/* channels played / recorded; 0: direction absent */
	uint8_t pmap[DSP_NCHAN], rmap[DSP_NCHAN];	/* their places, ALSA's numbers; all 0: unknown, or no wish */
	enum drv_clock clock;		/* out */
};

struct drv_conf {			/* all strings may be NULL but arg */
	const char *arg;		/* what follows the driver's name in SPEC */
	const char *rec;		/* file: path to record from */
	int free_clock;			/* file: clock=free */
	int access;			/* alsa: 1 + enum alsa_access, 0: the first that works */
	int append;			/* file: go on behind what an earlier open in this daemon wrote */
	int ppm;			/* simulated (sim.h), 0: not: error of a real clock, parts per million */
	int64_t jitter_ns;		/* a real clock tells of a block up to this late */
	int64_t xrun_every_ns;		/* runs dry after each so much running */
	int64_t unplug_after_ns;	/* is gone after so much running */
};

struct drv_ops {
	const char *name;
	int (*open)(void **drv, const struct drv_conf *, struct drv_par *, char *err, size_t errsz);
	void (*close)(void *drv);
	int (*start)(void *drv);
	int (*stop)(void *drv);
	int (*poll)(void *drv, struct pollfd *);
	int (*ready)(void *drv, struct pollfd *, int64_t *due_ns);	/* due: CLOCK_MONOTONIC ns */
	int (*read)(void *drv, void *block);
	int (*write)(void *drv, const void *block);
	int (*prepare)(void *drv, int again);	/* and go: not NULL if calls may sleep */
	int (*go)(void *drv);
	void *(*area)(void *drv);
	int (*news)(void *drv, int64_t *due_ns);
	int (*abandon)(void *drv, int err, int fd);
	int (*step)(void *drv, unsigned nblocks);	/* manual only, else NULL; any thread */
};

const struct drv_ops *drv_find(const char *name);	/* drivers.c: the table */
const struct drv_ops *drv_table(unsigned index);	/* NULL past the end */

#endif
