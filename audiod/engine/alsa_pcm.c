/*
 * alsa_pcm.c: one direction of a card, see alsa_pcm.h.
 */
#define _GNU_SOURCE
#include "alsa_pcm.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alsa_access.h"
#include "drivers.h"

#define NSEC		1000000000LL
#define LEFT		"%s went away while it was opened"
#define STRAY_MAX	16		/* time stamps that cannot be, until the card's are no longer asked for */

/* ---- opening: control thread ------------------------------------------------ */

static const char *
what(const struct alsa_dir *p)
{
	return p->stream == ALSA_PLAY ? "playback" : "recording";
}

/* sets what went wrong: words, the library's own, and what it said before that */
static int __attribute__((format(printf, 3, 4)))
wrong(struct alsa_why *why, long rc, const char *fmt, ...)
{
	char words[160];
	const char *said = alsa_said();
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	why->rc = alsa_errno(rc);
	snprintf(why->text, sizeof(why->text), "%s: %s%s%s%s", words, alsa.strerror((int)rc),
	    *said ? " (" : "", said, *said ? ")" : "");
	return why->rc;
}

int
alsa_pcm_open(struct alsa_dir *p, const char *name, int stream, struct alsa_why *why)
{
	int rc;

	memset(p, 0, sizeof(*p));
	p->stream = stream;
	alsa_listen(1);
	rc = alsa.pcm_open(&p->pcm, name, stream,
	    ALSA_NONBLOCK | ALSA_NO_RESAMPLE | ALSA_NO_CHANNELS | ALSA_NO_FORMAT);
	if (rc >= 0)
		return 0;
	p->pcm = NULL;
	switch (-rc) {
	case EBUSY:
		return wrong(why, rc, "%s is busy, another program has the card", what(p));
	case EACCES:
	case EPERM:
		return wrong(why, rc, "%s is not permitted, audiod's user must be in the card's group, audio", what(p));
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return wrong(why, rc, "there is no such card or PCM for %s", what(p));
	default:
		return wrong(why, rc, "%s cannot be opened", what(p));
	}
}

void
alsa_pcm_close(struct alsa_dir *p)
{
	if (p->pcm != NULL)
		alsa.pcm_close(p->pcm);
	p->pcm = NULL;
	free(p->planes);
	p->planes = NULL;
	p->mapped = 0;
}

/* all that the card can, by an access, without the library's resampler */
static int
any(struct alsa_dir *p, struct alsa_hw *hw, int access)
{
	int rc;

	rc = alsa.pcm_hw_params_any(p->pcm, hw);
	if (rc < 0)
		return rc;
	rc = alsa.pcm_hw_params_set_rate_resample(p->pcm, hw, 0);
	if (rc < 0)
		return rc;
	return alsa.pcm_hw_params_set_access(p->pcm, hw, access);
}

int
alsa_pcm_offers(struct alsa_dir *p, const struct alsa_format *f, int access)
{
	struct alsa_hw *hw;
	int yes = 0, i;

	if (alsa.pcm_hw_params_malloc(&hw) < 0)
		return 0;
	for (i = 0; i < ALSA_NACCESS && !yes; i++)
		yes = (access < 0 || i == access) && any(p, hw, i) >= 0 &&
		    alsa.pcm_hw_params_test_format(p->pcm, hw, f->id) >= 0;
	alsa.pcm_hw_params_free(hw);
	return yes;
}

/*
 * Of at least two, as drv_par_fit.  A card that works in batches (most of USB) has
 * taken up to a block more than its pointer says: it has a block more in hand.
 */
static unsigned
whole_blocks(const struct alsa_dir *p, unsigned bufsz, unsigned round)
{
	unsigned n = (bufsz + round / 2) / round, least = p->batch ? 3 : 2;

	return (n < least ? least : n) * round;
}

static int
set_period(struct alsa_dir *p, struct alsa_hw *hw, unsigned round, int exact)
{
	unsigned long n = round;
	unsigned two = 2;
	int dir = 0, rc;

	rc = exact ? alsa.pcm_hw_params_set_period_size(p->pcm, hw, n, 0) :
	    alsa.pcm_hw_params_set_period_size_near(p->pcm, hw, &n, &dir);
	if (rc < 0)
		return rc;
	dir = 0;
	(void)alsa.pcm_hw_params_set_periods_min(p->pcm, hw, &two, &dir);	/* those that cannot say so have them */
	return 0;
}

static int
set_buffer(struct alsa_dir *p, struct alsa_hw *hw, unsigned bufsz, unsigned round)
{
	unsigned long n = round;
	int dir = 0;

	(void)alsa.pcm_hw_params_get_period_size(hw, &n, &dir);	/* fails until it is one number */
	if (n == 0 || n > DRV_ROUND_MAX)
		n = round;
	n = whole_blocks(p, bufsz, (unsigned)n);
	return alsa.pcm_hw_params_set_buffer_size_near(p->pcm, hw, &n);
}

/* cards differ in what they can combine: the block matters most, then the buffer */
static int
set_sizes(struct alsa_dir *p, struct alsa_hw *base, struct alsa_hw *hw, const struct drv_par *par, int exact)
{
	int rc = 0, order;

	for (order = 0; order < 3; order++) {
		alsa.pcm_hw_params_copy(hw, base);
		(void)alsa.pcm_hw_params_set_period_size_integer(p->pcm, hw);
		rc = order == 1 ? set_buffer(p, hw, par->bufsz, par->round) : 0;
		if (rc >= 0)
			rc = set_period(p, hw, par->round, exact);
		if (rc >= 0 && order == 0)
			rc = set_buffer(p, hw, par->bufsz, par->round);
		if (rc >= 0)
			rc = alsa.pcm_hw_params(p->pcm, hw);
		if (rc >= 0)
			return 0;
	}
	return rc;
}

/* started by us alone, stopped when empty (full), one wake-up a block */
static int
set_software(struct alsa_dir *p, struct alsa_sw *sw)
{
	unsigned long boundary;
	int rc;

	if ((rc = alsa.pcm_sw_params_current(p->pcm, sw)) < 0 ||
	    (rc = alsa.pcm_sw_params_get_boundary(sw, &boundary)) < 0 ||
	    (rc = alsa.pcm_sw_params_set_start_threshold(p->pcm, sw, boundary)) < 0 ||
	    (rc = alsa.pcm_sw_params_set_stop_threshold(p->pcm, sw, p->card_bufsz)) < 0 ||
	    (rc = alsa.pcm_sw_params_set_silence_threshold(p->pcm, sw, 0)) < 0 ||
	    (rc = alsa.pcm_sw_params_set_silence_size(p->pcm, sw, 0)) < 0 ||
	    (rc = alsa.pcm_sw_params_set_avail_min(p->pcm, sw, p->spare + p->round)) < 0)
		return rc;
	/* without time stamps the delay says when */
	(void)alsa.pcm_sw_params_set_tstamp_mode(p->pcm, sw, ALSA_TSTAMP_ENABLE);
	(void)alsa.pcm_sw_params_set_tstamp_type(p->pcm, sw, ALSA_TSTAMP_MONOTONIC);
	return alsa.pcm_sw_params(p->pcm, sw);
}

/* the places of its channels: as they were asked for, else as they are; what a driver means alone is unknown to us */
static void
set_map(struct alsa_dir *p, uint8_t *pos, struct alsa_why *why)
{
	union {
		struct alsa_chmap map;
		unsigned room[1 + DSP_NCHAN];
	} u;
	struct alsa_chmap *is;
	unsigned c, ok;
	int rc;

	u.map.nchan = p->nchan;
	for (c = 0, ok = 0; c < p->nchan; c++) {
		u.room[1 + c] = pos[c];
		ok += pos[c] != 0;
	}
	rc = ok == 0 ? 0 : alsa.pcm_set_chmap(p->pcm, &u.map);
	if (rc < 0) {
		(void)wrong(why, rc, "%s keeps its own channel map", what(p));
		why->rc = 0;
	}
	memset(pos, 0, DSP_NCHAN);
	is = alsa.pcm_get_chmap(p->pcm);
	for (c = 0; is != NULL && c < is->nchan && c < p->nchan; c++)
		if ((is->pos[c] & ALSA_POS_OWN) == 0 && (is->pos[c] & ALSA_POS_MASK) <= ALSA_POS_MAX)
			pos[c] = (uint8_t)(is->pos[c] & ALSA_POS_MASK);
	free(is);
}

static int	when_stamped(struct alsa_dir *, int64_t *, int64_t *);

static int
setup(struct alsa_dir *p, const struct alsa_format *f, struct drv_par *par, int exact, int access,
    struct alsa_hw *base, struct alsa_hw *hw, struct alsa_sw *sw, struct alsa_why *why)
{
	unsigned *nchan = p->stream == ALSA_PLAY ? &par->pchan : &par->rchan;
	unsigned long period, bufsz;
	int rc, dir = 0;

	rc = any(p, base, access);
	if (rc < 0)
		return wrong(why, rc, "%s has no access that audiod has", what(p));
	p->batch = p->stream == ALSA_PLAY && alsa.pcm_hw_params_is_batch(base) == 1;
	if (rc >= 0)
		rc = alsa.pcm_hw_params_set_format(p->pcm, base, f->id);
	if (rc < 0)
		return wrong(why, rc, "%s has no encoding that audiod has", what(p));
	rc = alsa.pcm_hw_params_set_channels_near(p->pcm, base, nchan);
	if (rc < 0 || *nchan < 1 || *nchan > DSP_NCHAN)
		return wrong(why, rc < 0 ? rc : -EINVAL, "%s has no number of channels in 1..%d", what(p), DSP_NCHAN);
	rc = exact ? alsa.pcm_hw_params_set_rate(p->pcm, base, par->rate, 0) :
	    alsa.pcm_hw_params_set_rate_near(p->pcm, base, &par->rate, &dir);
	if (rc < 0 && exact)
		return wrong(why, rc, "%s does not run at the %u Hz of playback", what(p), par->rate);
	if (rc < 0 || par->rate < DSP_RATE_MIN || par->rate > DSP_RATE_MAX)
		return wrong(why, rc < 0 ? rc : -EINVAL, "%s has no rate in %d..%d Hz", what(p),
		    DSP_RATE_MIN, DSP_RATE_MAX);
	rc = set_sizes(p, base, hw, par, exact);
	if (rc < 0)
		return wrong(why, rc, "%s takes no block of %s%u frames", what(p), exact ? "" : "about ", par->round);
	rc = alsa.pcm_hw_params_get_period_size(hw, &period, &dir);
	if (rc >= 0)
		rc = alsa.pcm_hw_params_get_buffer_size(hw, &bufsz);
	if (rc < 0 || period < 1 || period > DRV_ROUND_MAX || bufsz < 2 * period || bufsz > UINT32_MAX / 2)
		return wrong(why, rc < 0 ? rc : -EINVAL, "%s has a block or buffer that cannot be used", what(p));
	p->nchan = *nchan;
	p->rate = par->rate;
	p->frame = (size_t)*nchan * f->enc.bps;
	p->card_bufsz = (unsigned)bufsz;
	p->round = par->round = (unsigned)period;
	par->bufsz = whole_blocks(p, par->bufsz, p->round);
	p->bufsz = par->bufsz <= p->card_bufsz ? par->bufsz : p->card_bufsz - p->card_bufsz % p->round;
	if (p->stream == ALSA_PLAY) {
		par->bufsz = p->bufsz;
		p->spare = p->card_bufsz - p->bufsz;
	}
	rc = set_software(p, sw);
	if (rc < 0)
		return wrong(why, rc, "%s cannot be set up", what(p));
	rc = alsa.pcm_poll_descriptors_count(p->pcm);
	if (rc < 1 || rc > DRV_NFDS)
		return wrong(why, rc < 0 ? rc : -EINVAL, "%s has %d descriptors to wait for, not 1..%d", what(p),
		    rc, DRV_NFDS);
	rc = alsa_access_set(p, access);
	if (rc < 0)
		return wrong(why, rc, "%s does not give audiod its samples", what(p));
	set_map(p, p->stream == ALSA_PLAY ? par->pmap : par->rmap, why);
	p->when = when_stamped;
	return 0;
}

int
alsa_pcm_setup(struct alsa_dir *p, const struct alsa_format *f, struct drv_par *par, int exact,
    int access, struct alsa_why *why)
{
	struct alsa_hw *base = NULL, *hw = NULL;
	struct alsa_sw *sw = NULL;
	struct alsa_why each = { 0 };
	struct drv_par got;
	int rc, i, has = 0, gone = 0;

	alsa_listen(1);
	if (alsa.pcm_hw_params_malloc(&base) < 0 || alsa.pcm_hw_params_malloc(&hw) < 0 ||
	    alsa.pcm_sw_params_malloc(&sw) < 0)
		rc = wrong(why, -ENOMEM, "%s cannot be set up", what(p));
	else {
		/* why it cannot: by the first access that it has */
		for (i = access < 0 ? 0 : access, rc = -1; rc < 0 && i < (access < 0 ? ALSA_NACCESS : access + 1); i++) {
			got = *par;
			alsa_listen(1);
			each = (struct alsa_why){ 0 };
			rc = setup(p, f, &got, exact, i, base, hw, sw, &each);
			if (rc == 0 || !has)
				*why = each;
			has |= any(p, base, i) >= 0;
			gone |= rc == -ENODEV;
		}
		if (rc == 0)
			*par = got;
		else if (gone)
			rc = wrong(why, -ENODEV, LEFT, what(p));
	}
	if (sw != NULL)
		alsa.pcm_sw_params_free(sw);
	if (hw != NULL)
		alsa.pcm_hw_params_free(hw);
	if (base != NULL)
		alsa.pcm_hw_params_free(base);
	return rc;
}

/* ---- starting and stopping: may sleep --------------------------------------------- */

static int
status(long rc)		/* of a call: suspended, or stopped by others, is an xrun: it is started anew */
{
	return rc >= 0 ? 0 : rc == -ESTRPIPE || rc == -EBADFD ? -EPIPE : alsa_errno(rc);
}

int
alsa_pcm_resume(struct alsa_dir *p)
{
	if (alsa.pcm_state(p->pcm) != ALSA_SUSPENDED)
		return 0;
	return alsa_errno(alsa.pcm_resume(p->pcm));
}

int
alsa_pcm_prepare(struct alsa_dir *p)
{
	int rc;

	rc = alsa.pcm_prepare(p->pcm);
	if (rc < 0)
		return alsa_errno(rc);
	rc = alsa.pcm_poll_descriptors(p->pcm, p->fds, DRV_NFDS);
	if (rc < 0)
		return alsa_errno(rc);
	p->nfds = (unsigned)rc;
	if (p->mapped)			/* or it does not know how much room there is */
		(void)alsa.pcm_avail_update(p->pcm);
	return 0;
}

int
alsa_pcm_start(struct alsa_dir *p)
{
	if (alsa.pcm_state(p->pcm) == ALSA_RUNNING)
		return 0;
	return alsa_errno(alsa.pcm_start(p->pcm));
}

int
alsa_pcm_drop(struct alsa_dir *p)
{
	int rc = alsa.pcm_drop(p->pcm);

	return rc == -EBADFD ? 0 : alsa_errno(rc);
}

/* ---- blocks: device thread ------------------------------------------------------ */

int
alsa_pcm_woken(struct alsa_dir *p, struct pollfd *pfd)
{
	unsigned short events = 0;
	unsigned i;
	int rc;

	for (i = 0; i < p->nfds; i++)
		events = (unsigned short)(events | (unsigned short)pfd[i].revents);
	if (events == 0)
		return 0;
	rc = alsa.pcm_poll_descriptors_revents(p->pcm, pfd, p->nfds, &events);
	if (rc < 0)
		return status(rc);
	if ((events & (POLLERR | POLLHUP | POLLNVAL)) == 0)
		return events != 0;
	switch (alsa.pcm_state(p->pcm)) {
	case ALSA_RUNNING:
		return 1;
	case ALSA_XRUN:
	case ALSA_SUSPENDED:
	case ALSA_SETUP:		/* stopped behind our back */
		return -EPIPE;
	default:
		return -ENODEV;
	}
}

int
alsa_pcm_passed(struct alsa_dir *p)
{
	long avail = alsa.pcm_avail_update(p->pcm);

	if (avail < 0)
		return status(avail);
	if (avail < (long)p->spare)
		return 0;
	avail = (avail - (long)p->spare) / (long)p->round;
	return avail > (long)(p->bufsz / p->round) ? (int)(p->bufsz / p->round) : (int)avail;
}

int
alsa_pcm_move(struct alsa_dir *p, void *block)
{
	unsigned long done = 0;
	long n;

	while (done < p->round) {
		n = p->move(p, (char *)block + done * p->frame, p->round - done);
		if (n == -EAGAIN || n == 0)
			return -EPIPE;	/* less than it said there is: begin anew */
		if (n < 0)
			return status(n);
		done += (unsigned long)n;
	}
	return 0;
}

/* ---- when: device thread ----------------------------------------------------------- */

/*
 * The delay counts what was written and not heard, or recorded and not read: it
 * is exact to the frame where the pointer only moves once a block.
 */
static int
when_delayed(struct alsa_dir *p, int64_t *past, int64_t *at_ns)
{
	long delay;
	int rc;

	(void)at_ns;			/* now */
	rc = alsa.pcm_delay(p->pcm, &delay);
	if (rc < 0)
		return rc;
	*past = p->stream == ALSA_PLAY ? (int64_t)p->bufsz - p->round - delay : delay - (int64_t)p->round;
	return 0;
}

/* the card's own time stamp of its pointer */
static int
when_stamped(struct alsa_dir *p, int64_t *past, int64_t *at_ns)
{
	unsigned long avail;
	struct timespec ts;
	int64_t at;
	int rc;

	rc = alsa.pcm_htimestamp(p->pcm, &avail, &ts);
	if (rc < 0) {			/* it has none */
		p->when = when_delayed;
		return p->when(p, past, at_ns);
	}
	at = (int64_t)ts.tv_sec * NSEC + ts.tv_nsec;
	if (at > *at_ns || at < *at_ns - (int64_t)p->card_bufsz * NSEC / p->rate) {
		if (++p->nstray >= STRAY_MAX)
			p->when = when_delayed;
		return when_delayed(p, past, at_ns);
	}
	p->nstray = 0;
	*past = (int64_t)avail - p->spare - p->round;
	*at_ns = at;
	return 0;
}

int64_t
alsa_pcm_due(struct alsa_dir *p, int64_t now)
{
	int64_t past, at = now;

	if (p->when(p, &past, &at) < 0)
		return 0;
	return at - past * NSEC / p->rate;
}
