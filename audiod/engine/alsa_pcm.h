/*
 * alsa_pcm.h: one direction of a card: an open PCM, what it was set up to, and
 * blocks in and out of it.
 *
 * Blocks are counted from the card's own pointer, never from a clock of ours:
 * what has passed and was not taken (given) is what the card says is available.
 * It is filled up to bufsz frames, even if the card's buffer is larger.
 * alsa_pcm_open to alsa_pcm_setup run on a thread that may wait, resume to drop
 * and close on the helper of standin.c, for they may sleep, the rest on the device
 * thread, where nothing waits: the PCM is nonblocking.
 */
#ifndef ALSA_PCM_H
#define ALSA_PCM_H

#include "alsa.h"
#include "driver.h"

struct alsa_dir {
	struct alsa_pcm *pcm;		/* NULL: there is no such direction */
	int stream;			/* ALSA_PLAY or ALSA_REC */
	unsigned nchan;
	unsigned rate;			/* Hz */
	unsigned round;			/* frames a block */
	unsigned bufsz;			/* frames filled ahead (played), at most (recorded) */
	unsigned card_bufsz;		/* frames of the card's buffer */
	int batch;			/* played: its pointer is behind by up to a block */
	unsigned spare;			/* played: frames of it that are never filled */
	size_t frame;			/* bytes */
	long (*move)(struct alsa_dir *, void *, unsigned long nframes);	/* the access: frames moved, or an error */
	int mapped;			/* it is one of the card's buffer itself */
	uint8_t *planes;		/* a block, channel after channel, or NULL */
	int (*when)(struct alsa_dir *, int64_t *past, int64_t *at_ns);	/* see alsa_pcm_due */
	unsigned nstray;		/* time stamps of the card in a row that cannot be */
	unsigned nfds;
	struct pollfd fds[DRV_NFDS];	/* as the library gave them at the start */
};

/* what went wrong, in words: "playback is busy: ..." */
struct alsa_why {
	int rc;				/* -errno, 0: nothing, or a wish that was not met */
	char text[240];
};

int	alsa_pcm_open(struct alsa_dir *, const char *name, int stream, struct alsa_why *);
void	alsa_pcm_close(struct alsa_dir *);
int	alsa_pcm_offers(struct alsa_dir *, const struct alsa_format *, int access);	/* 1 if it has the format */
/*
 * Sets it up near *par, whose channels of this direction with their map, rate,
 * round and bufsz become what was got.  With `exact` (the other direction is set
 * up) a rate or round that differs is an error.  `access`: an enum alsa_access, or
 * -1: the first that works.
 */
int	alsa_pcm_setup(struct alsa_dir *, const struct alsa_format *, struct drv_par *, int exact,
	    int access, struct alsa_why *);

int	alsa_pcm_resume(struct alsa_dir *);		/* not suspended any more: 0; -EAGAIN: it takes its time */
int	alsa_pcm_prepare(struct alsa_dir *);		/* 0 or -errno, as all below */
int	alsa_pcm_start(struct alsa_dir *);		/* started already, by the other one: 0 */
int	alsa_pcm_drop(struct alsa_dir *);		/* dropped already: 0 */
int	alsa_pcm_woken(struct alsa_dir *, struct pollfd *);	/* 1: poll(2) means us, 0: not; -EPIPE: xrun */
int	alsa_pcm_passed(struct alsa_dir *);		/* whole blocks that have passed; -EPIPE: xrun */
int	alsa_pcm_move(struct alsa_dir *, void *block);	/* one block in or out */
/* when the first of the passed blocks had passed: CLOCK_MONOTONIC ns, 0 if the card does not say */
int64_t	alsa_pcm_due(struct alsa_dir *, int64_t now);

#endif
