/*
 * dev.c: one device, one clock, one cycle a block.
 *
 * The device thread waits for the driver, and for each block that has passed
 * takes what was recorded, lets every stream play and record one block, encodes
 * the mix, hands it to the driver and publishes positions.  In between it
 * neither allocates, locks, logs, nor waits for anything but the clock.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "ring.h"

/* ---- device thread: waking and being woken ---------------------------------------- */

void
dev_wake(device *d)
{
	uint64_t one = 1;

	while (write(d->wakefd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void
dev_poke(device *d)	/* any thread */
{
	if (atomic_exchange(&d->waiting, 0))
		dev_wake(d);
}

void
dev_event(device *d, const struct event *ev)
{
	(void)evring_put(d->events, ev, 0);
	engine_signal(d->engine);
}

static void
tell_pump(device *d)	/* something about its streams has changed */
{
	atomic_fetch_add_explicit(&d->seq, 1, memory_order_release);
	pump_wake(d->engine->pump);
}

static void
dev_tell(device *d, uint32_t type, int err)
{
	struct event ev = { .type = type, .id = d->id, .dev = d->id, .err = err };

	(void)evring_put(d->events, &ev, 1);
	engine_signal(d->engine);
}

void
dev_xrun(device *d, stream *s, int kind, int64_t missing)
{
	struct event ev = { .type = EV_XRUN, .id = s ? s->id : 0, .dev = d->id, .err = kind,
	    .a = d->due_ns, .b = d->wake_ns, .e = missing };

	if (s) {
		ev.c = atomic_load_explicit(&s->arrival_ns, memory_order_relaxed);
		ev.d = atomic_load_explicit(&s->swept_ns, memory_order_relaxed);
		if (kind == XRUN_REC)
			ev.d = atomic_load_explicit(&s->held_ns, memory_order_relaxed);
		else if (atomic_load_explicit(&s->polled, memory_order_relaxed) && pump_asleep(d->engine->pump))
			ev.d = d->wake_ns;
	}
	dev_event(d, &ev);
}

/* ---- device thread: what was recorded, what is heard ---------------------------------- */

const void *
dev_recorded(device *d, int f64)
{
	size_t n = (size_t)d->par.round * d->par.rchan;

	if (f64) {
		if (!d->rec64_valid)
			d->conv.dec64(&d->conv, d->rblock, d->rec64, n);
		d->rec64_valid = 1;
		return d->rec64;
	}
	if (!d->rec32_valid)
		d->conv.dec32(&d->conv, d->rblock, d->rec32, n);
	d->rec32_valid = 1;
	return d->rec32;
}

/* the mix that is heard in the period of what was recorded: nmon blocks old */
const void *
dev_monitored(device *d, int f64)
{
	size_t n = (size_t)d->par.round * d->par.pchan;
	const double *heard = d->mon + (size_t)(d->monpos % d->nmon) * n;

	if (f64)
		return heard;
	if (!d->mon32_valid)
		for (size_t i = 0; i < n; i++)
			d->mon32[i] = (float)heard[i];
	d->mon32_valid = 1;
	return d->mon32;
}

static void
mon_put(device *d, int bus)	/* 0 silence, 32, 64 */
{
	size_t n = (size_t)d->par.round * d->par.pchan;
	double *dst = d->mon + (size_t)(d->monpos++ % d->nmon) * n;

	if (bus == 64)
		memcpy(dst, d->mix64, n * sizeof(double));
	else
		for (size_t i = 0; i < n; i++)
			dst[i] = bus == 32 ? (double)d->mix32[i] : 0;
}

/* ---- device thread: streams come and go ------------------------------------------------- */

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

		if (!s->attached || !s->play || !(s->par.flags & STREAM_AUTOVOL))
			continue;
		for (stream *t = d->streams; t; t = t->next)
			n += t->attached && t->play && overlap(s, t);
		w = 1.0 / n;
		if (w != s->weight) {
			s->weight = w;
			stream_retarget(s, s->dpos != -(int64_t)d->par.bufsz);
		}
	}
}

static void
dev_count(device *d)
{
	int n = 0, mons = 0;

	for (stream *s = d->streams; s; s = s->next) {
		n += s->attached;
		mons += s->attached && (s->par.flags & STREAM_MON);
	}
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

static void
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

static void
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

static void
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
		case DEVCMD_GROUP:
			for (stream *s = d->streams; s; s = s->next)
				if (s->par.group == c->a)
					s->group_n = c->b;
			break;
		}
		atomic_store_explicit(&d->cmd_r, ++r, memory_order_release);
	}
}

static int
group_ready(device *d, const stream *s)
{
	uint32_t n = 0;

	if (s->par.group == 0 || s->resume || atomic_load(&s->stop) != STOP_NONE)
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
	if (!s->attached || s->play == NULL || s->inxrun || gain_now(&s->gain) == 0)
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

/* streams that have nothing left leave, waiting ones that are full join; no cycle is needed for either */
static void
dev_admit(device *d)
{
	int changed = 0;

	for (stream **sp = &d->streams; *sp; )
		if (stream_finished(*sp)) {
			dev_remove(d, sp, 0);
			changed = 1;
		} else if (may_leave(d, *sp) && dev_leave(d, sp)) {
			engine_signal(d->engine);
			changed = 1;
		} else
			sp = &(*sp)->next;
	for (stream *s = d->streams; s; s = s->next)
		if (!s->attached && stream_ready(s) && !stream_finished(s) && group_ready(d, s)) {	/* stopped since: the next pass */
			struct event ev = { .type = EV_PLAYING, .id = s->id, .dev = d->id,
			    .a = atomic_load_explicit(&d->position, memory_order_relaxed) };

			s->admit = 1;
			changed = 1;
			dev_event(d, &ev);
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

static void
dev_end_all(device *d, int ended)
{
	while (d->streams)
		dev_remove(d, &d->streams, ended);
	dev_count(d);
	tell_pump(d);
}

/* ---- device thread: the cycle ---------------------------------------------------------------- */

static void
dev_fail(device *d, int err)
{
	if (d->failed)
		return;
	d->failed = 1;
	d->drv->stop(d->drvh);
	atomic_store(&d->running, 0);
	atomic_store(&d->next_due, 0);
	dev_end_all(d, ENDED_DEVICE);
	dev_tell(d, EV_DEV_FAILED, -err);
}

static double
gain_of(_Atomic uint64_t *bits)
{
	uint64_t b = atomic_load_explicit(bits, memory_order_relaxed);
	double g;

	memcpy(&g, &b, sizeof(g));
	return g;
}

static void
dev_master(device *d)	/* the software masters as they are now */
{
	uint32_t seq = atomic_load_explicit(&d->master_seq, memory_order_acquire);
	double play = gain_of(&d->master), rec = gain_of(&d->recmaster);

	if (seq == d->master_seen)
		return;
	d->master_seen = seq;
	for (stream *s = d->streams; s; s = s->next)
		if (s->attached && rec != d->recmaster_now)
			gain_ramp(&s->recgain, rec, d->ramp);
	d->recmaster_now = rec;
	if (play == d->master_now)
		return;
	d->master_now = play;
	for (stream *s = d->streams; s; s = s->next)
		if (s->attached && s->play)
			stream_retarget(s, 1);
}

static int
may_bypass(const device *d, const stream *s)
{
	return s->chain.same && !(s->par.flags & STREAM_NOPLAY) && d->nmons == 0 && !s->fading &&
	    atomic_load_explicit(&s->stop, memory_order_relaxed) != STOP_FLUSH &&
	    gain_steady(&s->gain) && gain_now(&s->gain) == 1;
}

/* the mix into bytes; clips once */
static void
dev_encode(device *d)
{
	size_t n = (size_t)d->par.round * d->par.pchan;
	int dither = d->dither && d->inexact;

	if (d->mix64_used) {
		if (d->mix32_used)
			for (size_t i = 0; i < n; i++)
				d->mix64[i] += (double)d->mix32[i];
		if (clip_count64(&d->conv, d->mix64, n))
			atomic_fetch_add_explicit(&d->clipped, 1, memory_order_relaxed);
		if (dither)
			d->conv.dit64(&d->conv, &d->seed, d->mix64, d->pblock, n);
		else
			d->conv.enc64(&d->conv, d->mix64, d->pblock, n);
	} else if (d->mix32_used) {
		if (clip_count32(&d->conv, d->mix32, n))
			atomic_fetch_add_explicit(&d->clipped, 1, memory_order_relaxed);
		if (dither)
			d->conv.dit32(&d->conv, &d->seed, d->mix32, d->pblock, n);
		else
			d->conv.enc32(&d->conv, d->mix32, d->pblock, n);
	} else
		enc_silence(&d->par.enc, d->pblock, n);
}

static void
dev_record(device *d, int64_t nblocks, int nstreams, int flags)
{
	int64_t n = atomic_load_explicit(&d->ncyc, memory_order_relaxed);
	struct cyclerec *c = &d->cyc[n % NCYCLES];

	atomic_store_explicit(&c->due, d->due_ns, memory_order_relaxed);
	atomic_store_explicit(&c->wake, d->wake_ns, memory_order_relaxed);
	atomic_store_explicit(&c->end, now_ns(), memory_order_relaxed);
	atomic_store_explicit(&c->nblocks, (uint32_t)nblocks, memory_order_relaxed);
	atomic_store_explicit(&c->nstreams, (uint32_t)nstreams, memory_order_relaxed);
	atomic_store_explicit(&c->nxruns, (uint32_t)d->nlate, memory_order_relaxed);
	atomic_store_explicit(&c->flags, (uint32_t)flags, memory_order_relaxed);
	atomic_store_explicit(&d->ncyc, n + 1, memory_order_release);
}

/* one block of every attached stream */
static void
dev_mix(device *d)
{
	int nplay = 0, changed = 0;
	stream *alone = NULL;

	for (stream *s = d->streams; s; s = s->next)
		if (s->attached && s->play) {
			nplay++;
			alone = s;
		}
	if (nplay != 1 || !may_bypass(d, alone))
		alone = NULL;
	for (stream **sp = &d->streams; *sp; ) {
		stream *s = *sp;
		int rc;

		if (!s->attached) {
			sp = &s->next;
			continue;
		}
		if (s->vol_seen != atomic_load_explicit(&s->vol, memory_order_relaxed)) {
			stream_retarget(s, 1);
			if (s == alone && !may_bypass(d, s))
				alone = NULL;
		}
		rc = stream_cycle(s, s == alone);
		if (s->play)
			atomic_store_explicit(&s->bypassed, s == alone, memory_order_relaxed);
		if (rc != 0) {
			stream_tick(s, d->due_ns);
			dev_remove(d, sp, rc < 0 ? ENDED_XRUN : 0);
			changed = 1;
			continue;
		}
		stream_tick(s, d->due_ns);
		sp = &s->next;
	}
	if (changed)
		dev_count(d);
}

static int
dev_cycle(device *d, int64_t due, int64_t nblocks)
{
	int rc, n;

	d->due_ns = due;
	d->nlate = 0;
	d->mix32_used = d->mix64_used = d->inexact = d->copied = d->plays = 0;
	d->rec32_valid = d->rec64_valid = d->mon32_valid = 0;
	if (d->par.rchan) {
		rc = d->drv->read(d->drvh, d->rblock);
		if (rc < 0)
			return rc;
	}
	dev_commands(d);
	dev_master(d);
	d->in_cycle = 1;
	dev_admit(d);
	d->in_cycle = 0;
	n = atomic_load_explicit(&d->nattached, memory_order_relaxed);
	atomic_fetch_add_explicit(&d->position, d->par.round, memory_order_relaxed);
	dev_mix(d);
	if (d->par.pchan) {
		if (d->copied)
			atomic_fetch_add_explicit(&d->nbypassed, 1, memory_order_relaxed);
		else if (d->plays)
			dev_encode(d);
		if (d->nmons > 0)
			mon_put(d, d->mix64_used ? 64 : d->mix32_used ? 32 : 0);
		rc = d->drv->write(d->drvh, d->plays ? d->pblock : NULL);
		if (rc < 0)
			return rc;
	}
	if (n > 0)
		d->idle_left = (int)(d->par.bufsz / d->par.round);
	else
		d->idle_left--;
	dev_retry(d);
	dev_record(d, nblocks, n, 0);
	atomic_fetch_add_explicit(&d->cycles, 1, memory_order_relaxed);
	return 0;
}

/* tell the pump that a cycle or more have passed */
static void
dev_publish(device *d)
{
	if (d->par.clock == DRV_CLOCK_REAL)
		atomic_store_explicit(&d->next_due, d->due_ns + d->period_ns, memory_order_relaxed);
	tell_pump(d);
}

/* ---- device thread: the clock starts and stops ------------------------------------------------- */

static void
dev_start(device *d)
{
	int rc = d->drv->start(d->drvh);

	if (rc < 0) {
		dev_fail(d, rc);
		return;
	}
	atomic_store(&d->position, 0);
	d->idle_left = (int)(d->par.bufsz / d->par.round);
	d->due_ns = d->wake_ns = now_ns();
	atomic_store(&d->running, 1);
	if (d->par.clock == DRV_CLOCK_REAL)
		atomic_store(&d->next_due, d->due_ns + d->period_ns);
	dev_tell(d, EV_DEV_STARTED, 0);
}

static void
dev_stop(device *d)
{
	int rc = d->drv->stop(d->drvh);

	atomic_store(&d->running, 0);
	atomic_store(&d->next_due, 0);
	if (rc < 0)
		dev_fail(d, rc);
	else
		dev_tell(d, EV_DEV_STOPPED, 0);
}

/* the driver ran dry: all that was queued has been heard; begin again behind silence */
static void
dev_restart(device *d)
{
	int rc;

	atomic_fetch_add(&d->xruns, 1);
	dev_xrun(d, NULL, XRUN_DEVICE, d->par.bufsz);
	dev_record(d, 0, atomic_load(&d->nattached), 1);
	for (stream *s = d->streams; s; s = s->next)
		if (s->attached)
			stream_note(s, XRUN_DEVICE);
	d->drv->stop(d->drvh);
	rc = d->drv->start(d->drvh);
	if (rc < 0)
		dev_fail(d, rc);
}

static void
dev_run_blocks(device *d, struct pollfd *pfds)
{
	int64_t due = 0;
	int n, rc = 0;

	n = d->drv->ready(d->drvh, pfds, &due);
	if (n == -EPIPE) {
		if (due != 0)
			d->due_ns = due;	/* whose xrun it was depends on it */
		dev_restart(d);
		return;
	}
	if (n < 0) {
		dev_fail(d, n);
		return;
	}
	for (int i = 0; i < n && rc >= 0; i++)
		rc = dev_cycle(d, due + i * d->period_ns, n);
	if (rc == -EPIPE)
		dev_restart(d);
	else if (rc < 0)
		dev_fail(d, rc);
	if (n > 0)
		dev_publish(d);
	if (!d->failed && d->idle_left <= 0 && atomic_load(&d->nattached) == 0)
		dev_stop(d);
}

/* sleep until poked, unless there is something to do by now */
static void
dev_wait(device *d, int64_t timeout_ns)
{
	struct pollfd pfd = { d->wakefd, POLLIN, 0 };
	struct timespec ts;
	uint64_t n;
	int due;

	/* control, far behind, wakes nobody when it has made room */
	if (d->unreleased && (timeout_ns < 0 || timeout_ns > d->period_ns))
		timeout_ns = d->period_ns;
	ts = (struct timespec){ timeout_ns / NS, timeout_ns % NS };
	atomic_store(&d->waiting, 1);
	due = atomic_load(&d->quit) || atomic_load(&d->cmd_w) != atomic_load(&d->cmd_r) ||
	    atomic_load(&d->step_req) != atomic_load(&d->step_done);
	for (stream *s = d->streams; s && !due; s = s->next)
		due = stream_finished(s) || (atomic_load(&s->leave) && !s->fading) ||
		    (s->attached ? s->waited && stream_has_block(s) :
		    stream_ready(s) && group_ready(d, s));
	if (!due && ppoll(&pfd, 1, timeout_ns < 0 ? NULL : &ts, NULL) > 0)
		while (read(d->wakefd, &n, sizeof(n)) < 0 && errno == EINTR)
			;
	atomic_store(&d->waiting, 0);
}

/*
 * clock=free: every started stream has its block.  Waits at most stall for one
 * that has not, which then xruns and holds up nobody; when all are like that,
 * time stands still.
 */
static int
free_ready(device *d)
{
	int64_t now = now_ns(), left = -1;
	int late = 0, fresh = 0, able = 0;

	for (stream *s = d->streams; s; s = s->next) {
		if (stream_has_block(s)) {
			s->waited = 0;
			s->stalled = 0;
			able += s->attached;
			continue;
		}
		late++;
		if (s->waited == 0)
			s->waited = now;
		if (s->stalled)
			continue;
		if (now - s->waited >= d->stall_ns) {
			s->stalled = 1;
			fresh += s->attached;
		} else if (left < 0 || d->stall_ns - (now - s->waited) < left)
			left = d->stall_ns - (now - s->waited);
	}
	if (left < 0 && (late == 0 || fresh > 0 || able > 0 || atomic_load(&d->nattached) == 0))
		return 1;
	dev_wait(d, left);
	return 0;
}

static void
real_wait(device *d)
{
	struct pollfd pfds[DRV_NFDS + 1];
	uint64_t u;
	int n = d->drv->poll(d->drvh, pfds);

	if (n < 0) {
		dev_fail(d, n);
		return;
	}

	pfds[n] = (struct pollfd){ d->wakefd, POLLIN, 0 };
	while (poll(pfds, (nfds_t)n + 1, -1) < 0 && errno == EINTR)
		;
	d->wake_ns = now_ns();
	if (pfds[n].revents)
		(void)!read(d->wakefd, &u, sizeof(u));
	dev_run_blocks(d, pfds);
}

static void
step_answer(device *d, int64_t req)
{
	uint64_t one = 1;

	atomic_store(&d->step_done, req);
	(void)!write(d->stepfd, &one, sizeof(one));
}

static void
manual_run(device *d)
{
	int64_t req = atomic_load(&d->step_req), n = req - atomic_load(&d->step_done);
	struct pollfd pfds[DRV_NFDS];
	int k;

	d->wake_ns = now_ns();
	for (; n > 0 && atomic_load(&d->running); n--) {
		dev_commands(d);
		dev_admit(d);
		d->drv->step(d->drvh, 1);
		k = d->drv->poll(d->drvh, pfds);
		if (k > 0)
			(void)poll(pfds, (nfds_t)k, 0);
		dev_run_blocks(d, pfds);
	}
	step_answer(d, req);	/* steps of a clock that does not run pass nothing */
}

void *
dev_run(void *arg)
{
	device *d = arg;
	struct event ev = { .type = EV_THREAD, .dev = d->id, .a = (int64_t)d->id + 1 };

	thread_enter(&d->thread);
	ev.id = (uint32_t)atomic_load(&d->thread.tid);
	ev.err = atomic_load(&d->thread.err);
	dev_event(d, &ev);
	while (!atomic_load(&d->quit)) {
		dev_commands(d);
		if (d->failed) {
			dev_end_all(d, ENDED_DEVICE);
			dev_retry(d);
			if (atomic_load(&d->step_req) != atomic_load(&d->step_done))
				step_answer(d, atomic_load(&d->step_req));
			if (!atomic_load(&d->quit))
				dev_wait(d, -1);
			continue;
		}
		if (!atomic_load(&d->running)) {
			dev_master(d);
			dev_admit(d);
			dev_retry(d);
			if (atomic_load(&d->nattached) > 0)
				dev_start(d);
			else if (atomic_load(&d->step_req) != atomic_load(&d->step_done))
				manual_run(d);
			else if (!atomic_load(&d->quit))
				dev_wait(d, -1);
			continue;
		}
		switch (d->par.clock) {
		case DRV_CLOCK_REAL:
			real_wait(d);
			break;
		case DRV_CLOCK_FREE:
			dev_admit(d);
			if (free_ready(d)) {
				d->wake_ns = now_ns();
				dev_run_blocks(d, NULL);
			}
			break;
		case DRV_CLOCK_MANUAL:
			if (atomic_load(&d->step_req) != atomic_load(&d->step_done))
				manual_run(d);
			else {
				dev_admit(d);
				dev_wait(d, -1);
			}
			break;
		}
	}
	if (atomic_load(&d->running))
		d->drv->stop(d->drvh);
	atomic_store(&d->running, 0);
	atomic_store(&d->next_due, 0);
	dev_commands(d);		/* a stream started just before the close ends like the others */
	dev_end_all(d, ENDED_DEVICE);
	return NULL;
}
