/*
 * lineup.c: the streams of a device: they come by command, join when they are
 * ready, and are given back when they have ended, stopped or are to move.
 *
 * Device thread.
 */
#include <string.h>
#include "dev.h"

static int
overlap(const stream *a, const stream *b)	/* device channels in common */
{
	return a->par.pmin < b->par.pmin + (int)b->par.pchan &&
	    b->par.pmin < a->par.pmin + (int)a->par.pchan;
}

/* sndiod's -w: each playing stream gets its share of the streams that sound on its channels */
static void
dev_autovol(device *d)
{
	for (stream *s = d->streams; s; s = s->next) {
		int n = 0;
		double w;

		if (!stream_live(s) || !s->play || !(s->par.flags & STREAM_AUTOVOL))
			continue;
		for (stream *t = d->streams; t; t = t->next)
			n += stream_live(t) && t->play && overlap(s, t);
		w = 1.0 / n;
		if (w != s->weight) {
			s->weight = w;
			stream_retarget(s, s->dpos != -(int64_t)d->par.bufsz);
		}
	}
}

void
dev_count(device *d)
{
	int n = 0, held = 0, mons = 0;

	for (stream *s = d->streams; s; s = s->next) {
		n += stream_live(s);
		held += s->attached && !stream_live(s);
		mons += s->attached && (s->par.flags & STREAM_MON);	/* a held one too: it runs on with what is heard then */
	}
	atomic_store_explicit(&d->nheld, held, memory_order_relaxed);
	atomic_store_explicit(&d->nattached, n, memory_order_relaxed);
	if (mons > 0 && d->nmons == 0 && d->mon)
		memset(d->mon, 0, sizeof(double) * d->nmon * d->par.round * d->par.pchan);
	d->nmons = mons;
	dev_autovol(d);
}

/* give the stream back: the last of device thread and pump tells Python */
static void
dev_release(device *d, stream *s)
{
	struct event ev = { .type = EV_RELEASED, .id = s->id, .dev = d->id };

	if (atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	if (!evring_put(d->events, &ev, 1)) {
		atomic_store(&s->refs, 1);	/* control is far behind: try again at the next cycle */
		s->next = d->unreleased;
		d->unreleased = s;
	}
	engine_signal(d->engine);
}

void
dev_retry(device *d)
{
	stream *s = d->unreleased;

	if (s == NULL)
		return;
	d->unreleased = NULL;
	while (s) {
		stream *next = s->next;

		dev_release(d, s);
		s = next;
	}
}

void
dev_remove(device *d, stream **sp, int ended)
{
	stream *s = *sp;

	*sp = s->next;
	s->attached = 0;
	s->phase = STREAM_ENDED;
	atomic_store(&s->state, STREAM_ENDED);
	if (ended)
		atomic_store_explicit(&s->ended, ended, memory_order_release);
	else
		atomic_store_explicit(&s->done, 1, memory_order_release);
	dev_release(d, s);
}

void
dev_commands(device *d)
{
	uint32_t r = atomic_load_explicit(&d->cmd_r, memory_order_relaxed);

	while (r != atomic_load_explicit(&d->cmd_w, memory_order_acquire)) {
		struct devcmd *c = &d->cmds[r % DEVCMD_SIZE];

		switch (c->op) {
		case DEVCMD_ATTACH:
			c->stream->phase = STREAM_PRIMING;
			atomic_store(&c->stream->state, STREAM_PRIMING);
			c->stream->next = d->streams;
			d->streams = c->stream;
			break;
		case DEVCMD_MMC:
			d->mmc_run = c->a;
			d->mmc_pending = c->b;
			if (c->b == MMC_JOINED)
				d->mmc_joined = c->a;
			break;
		case DEVCMD_GROUP:
			for (stream *s = d->streams; s; s = s->next)
				if (s->par.group == c->a)
					s->group_n = c->b;
			break;
		case DEVCMD_ABANDON:
			(void)d->drv->abandon(d->drvh, -(int)c->a, (int)c->b);
			break;
		}
		atomic_store_explicit(&d->cmd_r, ++r, memory_order_release);
	}
}

/* ---- MMC: streams that wait for it, and its clock ---- */

int
mmc_runs(const device *d)
{
	return d->mmc_run != 0 && d->mmc_run == d->mmc_joined && d->par.clock != DRV_CLOCK_FREE;
}

static int
mmc_waits(const stream *s)
{
	return (s->par.flags & STREAM_MMC) && !s->attached && !s->resume;
}

/* it was stopped while it waited: what it has queued was never to be heard */
static int
mmc_dropped(const stream *s)
{
	return mmc_waits(s) && atomic_load(&s->stop) != STOP_NONE;
}

/* nobody is waited for any more */
static int
mmc_ready(device *d)
{
	if (d->mmc_run == 0 || d->mmc_run == d->mmc_joined || d->mmc_pending > 0)
		return 0;
	for (stream *s = d->streams; s; s = s->next)
		if (mmc_waits(s) && !mmc_dropped(s) && !stream_ready(s))
			return 0;
	return 1;
}

static void
mmc_join(device *d)
{
	struct event ev = { .type = EV_GROUP, .id = d->id, .dev = d->id, .a = d->mmc_run };

	/* without room for the word of it nothing has happened: the next pass tries again */
	if (!evring_put(d->events, &ev, 1))
		return;
	engine_signal(d->engine);
	d->mmc_joined = d->mmc_run;
	d->mmc_frames = 0;
	for (stream *s = d->streams; s; s = s->next)
		if (mmc_waits(s) && !mmc_dropped(s))
			s->admit = 1;
}

void
mmc_tick(device *d)
{
	struct event ev = { .type = EV_CLOCK, .id = d->id, .dev = d->id, .b = d->mmc_run };

	if (!mmc_runs(d))
		return;
	ev.a = d->mmc_frames += d->par.round;
	if (evring_put(d->events, &ev, 0))
		d->mmc_frames = 0;
	engine_signal(d->engine);
}

int
group_ready(device *d, const stream *s)
{
	uint32_t n = 0;

	if (s->par.flags & STREAM_MMC)
		return s->resume || mmc_dropped(s) || mmc_ready(d);
	if (s->par.group == 0 || s->resume || atomic_load(&s->stop) != STOP_NONE ||
	    atomic_load_explicit(&s->go, memory_order_relaxed))
		return 1;
	for (stream *t = d->streams; t; t = t->next)
		n += t->par.group == s->par.group && (t->attached || stream_ready(t));
	return n >= s->group_n;
}

/* asked to move: fades out first if it sounds; 1 when it is silent and may go */
static int
may_leave(device *d, stream *s)
{
	if (!atomic_load(&s->leave))
		return 0;
	if (atomic_load(&s->stop) == STOP_DRAIN) {	/* stopped since: it plays out where it is */
		atomic_store(&s->leave, 0);
		s->fading = 0;
		stream_retarget(s, s->attached);
		return 0;
	}
	if (!stream_live(s) || s->play == NULL || s->inxrun || gain_now(&s->gain) == 0)
		return 1;
	if (!s->fading) {
		s->fading = 1;
		gain_ramp(&s->gain, 0, d->ramp);
	}
	return 0;
}

/* a stream that moves goes back to control; 0: control has no room for the event yet */
static int
dev_leave(device *d, stream **sp)
{
	stream *s = *sp;
	struct event ev = { .type = EV_LEFT, .id = s->id, .dev = d->id, .a = (int64_t)(intptr_t)s };
	stream *next = s->next;
	int attached = s->attached;

	/* all of this before the event: from then on it is control's */
	s->attached = 0;
	*sp = next;
	if (evring_put(d->events, &ev, 1))
		return 1;
	s->attached = attached;
	*sp = s;
	return 0;
}

/* a link group that is told to go goes as one */
static void
group_go(device *d, uint32_t group)
{
	for (stream *s = d->streams; s; s = s->next)
		if (s->par.group == group)
			atomic_store_explicit(&s->go, 1, memory_order_relaxed);
}

/* streams that have nothing left leave, waiting ones that are full join; no cycle is needed for either */
void
dev_admit(device *d)
{
	uint32_t aims = atomic_load_explicit(&d->engine->aims, memory_order_acquire);
	int changed = 0, untold = 0;

	for (stream **sp = &d->streams; *sp; ) {
		stream *s = *sp;

		if (!aim_idle(s))
			changed |= aim_take(s, aims);
		if (s->par.group != 0 && !s->attached && atomic_load_explicit(&s->go, memory_order_acquire))
			group_go(d, s->par.group);
		if (s->untold)
			aim_tell(s);
		untold |= s->untold;
		if (stream_finished(s) || mmc_dropped(s)) {
			dev_remove(d, sp, 0);
			changed = 1;
		} else if (may_leave(d, s) && dev_leave(d, sp)) {
			engine_signal(d->engine);
			changed = 1;
		} else
			sp = &s->next;
	}
	d->untold = untold;
	if (mmc_ready(d))
		mmc_join(d);
	for (stream *s = d->streams; s; s = s->next)
		/* one that was stopped since has its turn in the next pass */
		if (s->admit || (!s->attached && !mmc_waits(s) && stream_ready(s) && !stream_finished(s) &&
		    group_ready(d, s))) {
			s->admit = 1;
			changed = 1;
		}
	for (stream *s = d->streams; s; s = s->next)
		if (s->admit) {
			s->admit = 0;
			stream_attach(s);
		}
	if (changed) {
		dev_count(d);
		tell_pump(d);
	}
}

void
dev_end_all(device *d, int ended)
{
	while (d->streams)
		dev_remove(d, &d->streams, ended);
	dev_count(d);
	tell_pump(d);
}
