/*
 * driver_alsa.c: sound cards, through libasound.
 *
 * Both directions of a card are one device: set up to the same encoding, rate
 * and block, linked where the card can, started together behind bufsz frames of
 * silence, so that what is recorded belongs to what is played.  It waits for the
 * descriptors of one direction, the one that was later, and serves both when
 * both have their block: one wake-up a block.  An xrun of either, and a suspend,
 * is told as -EPIPE; the stop and start that follow begin anew.
 */
#define _GNU_SOURCE
#include "drivers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alsa_access.h"
#include "sim.h"

#define NSEC		1000000000LL
#define NDIRS		2		/* ALSA_PLAY, ALSA_REC */

struct alsa_card {
	struct alsa_dir dir[NDIRS];
	struct drv_par par;		/* what open agreed to */
	int access;			/* the only one wanted, -1: any */
	struct sim sim;			/* xruns and an end as told */
	void *silence;			/* a block to play */
	int64_t period_ns;
	int64_t due;			/* when the last block told of had passed */
	int last;			/* the direction that had its block last */
	int prepared;			/* there is something to drop */
	int running;			/* between start and stop */
	int dry;			/* -errno that ready has returned, until stop */
};

static int64_t
monotonic(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * NSEC + ts.tv_nsec;
}

/* ---- opening: control thread -------------------------------------------------- */

static void
close_dir(struct alsa_card *d, int i)
{
	alsa_pcm_close(&d->dir[i]);
	*(i == ALSA_PLAY ? &d->par.pchan : &d->par.rchan) = 0;
}

static const struct alsa_format *
common_format(struct alsa_card *d)
{
	const struct alsa_format *f;
	unsigned n;
	int i;

	for (n = 0; (f = alsa_format(&d->par.enc, n)) != NULL; n++) {
		for (i = 0; i < NDIRS && (d->dir[i].pcm == NULL || alsa_pcm_offers(&d->dir[i], f, d->access)); i++)
			;
		if (i == NDIRS)
			break;
	}
	return f;
}

/* 0, or -errno with the direction that does not fit in *wrong */
static int
set_up(struct alsa_card *d, struct alsa_why *why, int *wrong)
{
	const struct alsa_format *f = common_format(d);
	int both = d->dir[ALSA_PLAY].pcm != NULL && d->dir[ALSA_REC].pcm != NULL, i, rc;

	for (i = 0; i < NDIRS && f == NULL; i++) {	/* one that is gone has nothing, either */
		struct drv_par any = d->par;

		*wrong = i;
		if (d->dir[i].pcm != NULL && alsa_pcm_setup(&d->dir[i], alsa_format(&any.enc, 0), &any, 0,
		    d->access, &why[i]) == -ENODEV)
			return -ENODEV;
		why[i] = (struct alsa_why){ 0 };
	}
	*wrong = both || d->dir[ALSA_PLAY].pcm == NULL ? ALSA_REC : ALSA_PLAY;
	if (f == NULL) {
		why[*wrong].rc = -EINVAL;
		snprintf(why[*wrong].text, sizeof(why->text), "%s has no encoding that %s has%s",
		    *wrong == ALSA_REC ? "recording" : "playback", both ? "playback" : "audiod",
		    d->access < 0 ? "" : ", by the only access that is tried");
		return -EINVAL;
	}
	for (i = 0; i < NDIRS; i++) {
		if (d->dir[i].pcm == NULL)
			continue;
		rc = alsa_pcm_setup(&d->dir[i], f, &d->par, i == ALSA_REC && both, d->access, &why[i]);
		if (rc < 0) {
			*wrong = i;
			return rc;
		}
	}
	d->par.enc = f->enc;
	return 0;
}

/*
 * Both directions, else the one that there is.  Not so where playback is only
 * busy or forbidden: nobody would know why nothing is heard.
 */
static int
open_dirs(struct alsa_card *d, const char *name, struct alsa_why *why)
{
	const struct drv_par asked = d->par;
	int i, rc, wrong;

	for (i = 0; i < NDIRS; i++) {
		if ((i == ALSA_PLAY ? asked.pchan : asked.rchan) == 0)
			continue;
		rc = alsa_pcm_open(&d->dir[i], name, i, &why[i]);
		if (rc < 0)
			close_dir(d, i);
		if (i == ALSA_PLAY && (rc == -EBUSY || rc == -EACCES || rc == -EPERM))
			return rc;
	}
	while (d->dir[ALSA_PLAY].pcm != NULL || d->dir[ALSA_REC].pcm != NULL) {
		d->par = asked;
		for (i = 0; i < NDIRS; i++)
			if (d->dir[i].pcm == NULL)
				close_dir(d, i);
		if (set_up(d, why, &wrong) == 0)
			return 0;
		close_dir(d, wrong);
	}
	return why[why[ALSA_PLAY].rc < 0 ? ALSA_PLAY : ALSA_REC].rc;
}

static void
free_card(struct alsa_card *d)
{
	int i;

	for (i = 0; i < NDIRS; i++)
		alsa_pcm_close(&d->dir[i]);
	free(d->silence);
	free(d);
}

static int
card_open(void **drv, const struct drv_conf *conf, struct drv_par *par, char *err, size_t errsz)
{
	const char *name = conf->arg[0] != '\0' ? conf->arg : "default";
	struct alsa_why why[NDIRS] = { { 0 } };
	struct alsa_card *d;
	const char *why_not;
	size_t nsamples;
	int rc;

	rc = drv_par_fit("alsa", par, err, errsz);
	if (rc == 0 && (conf->ppm != 0 || conf->jitter_ns != 0))
		rc = drv_fail(EINVAL, err, errsz, "alsa: ppm and jitter cannot be simulated: the clock is the card's");
	if (rc == 0)
		rc = alsa_load(err, errsz);
	if (rc < 0)
		return rc;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return drv_fail(ENOMEM, err, errsz, "alsa: no memory");
	d->par = *par;
	d->access = conf->access - 1;
	rc = open_dirs(d, name, why);
	alsa_listen(0);
	if (rc < 0) {
		free_card(d);
		return drv_fail(-rc, err, errsz, "alsa: %s: %s", name,
		    why[why[ALSA_PLAY].rc < 0 ? ALSA_PLAY : ALSA_REC].text);
	}
	d->par.clock = DRV_CLOCK_REAL;
	d->period_ns = (int64_t)d->par.round * NSEC / d->par.rate;
	rc = sim_open(&d->sim, "alsa", conf, &d->par, err, errsz);
	if (rc < 0) {
		free_card(d);
		return rc;
	}
	nsamples = (size_t)d->par.round * d->par.pchan;
	d->silence = malloc(nsamples * d->par.enc.bps + 1);
	if (d->silence == NULL) {
		free_card(d);
		return drv_fail(ENOMEM, err, errsz, "alsa: no memory");
	}
	enc_silence(&d->par.enc, d->silence, nsamples);
	if (d->par.pchan > 0 && d->par.rchan > 0)	/* many cannot, or do it by themselves */
		(void)alsa.pcm_link(d->dir[ALSA_PLAY].pcm, d->dir[ALSA_REC].pcm);
	*par = d->par;
	/* a direction that was asked for and is not there, a wish that was not met: open as we are, and why */
	why_not = why[why[ALSA_PLAY].text[0] != '\0' ? ALSA_PLAY : ALSA_REC].text;
	if (why_not[0] != '\0')
		snprintf(err, errsz, "alsa: %s: %s", name, why_not);
	*drv = d;
	return 0;
}

static void
card_close(void *drv)
{
	struct alsa_card *d = drv;
	int i;

	for (i = 0; i < NDIRS && d->prepared; i++)
		if (d->dir[i].pcm != NULL)
			(void)alsa_pcm_drop(&d->dir[i]);
	free_card(d);
}

/* ---- starting and stopping: calls that may sleep, the helper of standin.c --------- */

static int
card_stop(void *drv)
{
	struct alsa_card *d = drv;
	int i, rc = 0, each;

	for (i = 0; i < NDIRS && d->prepared; i++) {
		if (d->dir[i].pcm == NULL)
			continue;
		each = alsa_pcm_drop(&d->dir[i]);
		if (each < 0)
			rc = each;
	}
	d->prepared = d->running = d->dry = 0;
	return rc;
}

static int
card_prepare(void *drv, int again)
{
	struct alsa_card *d = drv;
	int i, rc;

	for (i = 0; i < NDIRS; i++)
		if (d->dir[i].pcm != NULL && alsa_pcm_resume(&d->dir[i]) == -EAGAIN && again)
			return -EAGAIN;
	rc = d->prepared ? card_stop(d) : 0;
	if (rc == 0)
		rc = sim_start(&d->sim);
	d->prepared = 1;
	for (i = 0; i < NDIRS && rc == 0; i++)
		if (d->dir[i].pcm != NULL)
			rc = alsa_pcm_prepare(&d->dir[i]);
	return rc;
}

/*
 * The recording direction is started first: linked, or of its own accord, the
 * card starts the other one on the same frame.  Else it is ahead by the time
 * that the call takes, never behind.
 */
static int
card_go(void *drv)
{
	struct alsa_card *d = drv;
	int i, rc = 0;

	for (i = NDIRS - 1; i >= 0 && rc == 0; i--)
		if (d->dir[i].pcm != NULL)
			rc = alsa_pcm_start(&d->dir[i]);
	if (rc < 0)
		return rc;
	d->last = d->dir[ALSA_REC].pcm != NULL ? ALSA_REC : ALSA_PLAY;
	d->due = monotonic();
	d->dry = 0;
	d->running = 1;
	return 0;
}

static int	card_write(void *, const void *);

static int
card_start(void *drv)
{
	struct alsa_card *d = drv;
	unsigned queued;
	int rc = card_prepare(d, 0);

	for (queued = 0; queued < d->par.bufsz && d->par.pchan > 0 && rc == 0; queued += d->par.round)
		rc = card_write(d, NULL);
	return rc == 0 ? card_go(d) : rc;
}

/* ---- the clock: device thread --------------------------------------------------- */

static int
card_poll(void *drv, struct pollfd *pfd)
{
	struct alsa_card *d = drv;
	struct alsa_dir *p = &d->dir[d->last];
	unsigned i;

	if (!d->running || d->dry)
		return 0;
	for (i = 0; i < p->nfds; i++) {
		pfd[i] = p->fds[i];
		pfd[i].revents = 0;
	}
	return (int)p->nfds;
}

/* blocks that both directions have; the one that has fewer is waited for next */
static int
passed(struct alsa_card *d)
{
	int first = d->last, other = first == ALSA_PLAY ? ALSA_REC : ALSA_PLAY, n, m;

	n = alsa_pcm_passed(&d->dir[first]);
	if (n < 0 || d->dir[other].pcm == NULL)
		return n;
	m = alsa_pcm_passed(&d->dir[other]);
	if (m < 0)
		return m;
	if (m < n) {
		d->last = other;
		return m;
	}
	return n;
}

/* when the first of n passed blocks had: what the card says, if it can be */
static int64_t
due_of(struct alsa_card *d, int n, int64_t now)
{
	int64_t due = alsa_pcm_due(&d->dir[d->last], now), earliest = now - (n + 1) * d->period_ns;

	if (earliest < d->due)
		earliest = d->due + 1;
	if (due == 0)
		due = d->due + d->period_ns;
	return due > now ? now : due < earliest ? earliest : due;
}

static int
card_ready(void *drv, struct pollfd *pfd, int64_t *due_ns)
{
	struct alsa_card *d = drv;
	int64_t now;
	int n;

	if (!d->running)
		return 0;
	n = d->dry ? d->dry : alsa_pcm_woken(&d->dir[d->last], pfd);
	if (n == 0)
		return 0;
	now = monotonic();
	if (n > 0)
		n = passed(d);
	if (n > 0) {
		*due_ns = due_of(d, n, now);
		n = sim_pass(&d->sim, n);
	}
	if (n > 0)
		d->due = *due_ns + (n - 1) * d->period_ns;
	if (n < 0) {			/* whose fault: were we late for the block that was due next? */
		*due_ns = d->sim.state != 0 ? now : d->due + d->period_ns;
		d->dry = n;
	}
	return n;
}

static int
card_read(void *drv, void *block)
{
	struct alsa_card *d = drv;

	return alsa_pcm_move(&d->dir[ALSA_REC], block);
}

static int
card_write(void *drv, const void *block)
{
	struct alsa_card *d = drv;

	/* only read from: one function serves both directions */
	return alsa_pcm_move(&d->dir[ALSA_PLAY], block != NULL ? (void *)(uintptr_t)block : d->silence);
}

static void *
card_area(void *drv)
{
	struct alsa_card *d = drv;

	return alsa_access_area(&d->dir[ALSA_PLAY]);
}

const struct drv_ops drv_alsa = {
	.name = "alsa",
	.open = card_open,
	.close = card_close,
	.start = card_start,
	.stop = card_stop,
	.prepare = card_prepare,
	.go = card_go,
	.poll = card_poll,
	.ready = card_ready,
	.read = card_read,
	.write = card_write,
	.area = card_area,
};
