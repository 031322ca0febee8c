/*
 * dev.c: the thread of one device: its clock starts, waits, passes blocks, fails,
 * stops.
 *
 * It waits for nothing but the clock, and neither allocates, locks nor logs.  A
 * block is cycle.c, the coming and going of streams lineup.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "dev.h"

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

void
tell_pump(device *d)	/* something about its streams has changed */
{
	atomic_fetch_add_explicit(&d->seq, 1, memory_order_release);
	pump_wake(d->engine->pump);
}

void
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
	    .a = d->first_due_ns, .b = d->wake_ns, .e = missing };

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

/* the driver ran dry: all that was queued has been heard */
static void
dev_dry(device *d)
{
	atomic_fetch_add(&d->xruns, 1);
	dev_xrun(d, NULL, XRUN_DEVICE, d->par.bufsz);
	dev_record(d, 0, atomic_load(&d->nattached), 1);
	for (stream *s = d->streams; s; s = s->next)
		if (stream_live(s))
			stream_note(s, XRUN_DEVICE);
}

/* begin again behind silence */
static void
dev_restart(device *d)
{
	int rc;

	dev_dry(d);
	d->drv->stop(d->drvh);
	rc = d->drv->start(d->drvh);
	if (rc < 0)
		dev_fail(d, rc);
}

/* what a driver that may sleep has got over by itself */
static void
dev_news(device *d)
{
	int64_t due = 0;
	int rc;

	while (d->drv->news != NULL && (rc = d->drv->news(d->drvh, &due)) < 0) {
		if (rc == -EPIPE && due != 0)
			d->due_ns = due;	/* whose xrun it was depends on it */
		if (rc == -EPIPE)
			dev_dry(d);
		else
			dev_tell(d, EV_DEV_LOST, -rc);
	}
}

static void
dev_run_blocks(device *d, struct pollfd *pfds)
{
	int64_t due = 0;
	int n, rc = 0;

	n = d->drv->ready(d->drvh, pfds, &due);
	d->first_due_ns = due != 0 ? due : d->due_ns;
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
	dev_news(d);
	for (int i = 0; i < n && rc >= 0; i++)
		rc = dev_cycle(d, due + i * d->period_ns, n);
	dev_news(d);
	if (rc == -EPIPE)
		dev_restart(d);
	else if (rc < 0)
		dev_fail(d, rc);
	if (n > 0)
		dev_publish(d);
	if (!d->failed && d->idle_left <= 0 && atomic_load(&d->nattached) == 0 && !mmc_runs(d))
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
	if ((d->unreleased || d->untold) && (timeout_ns < 0 || timeout_ns > d->period_ns))
		timeout_ns = d->period_ns;
	ts = (struct timespec){ timeout_ns / NS, timeout_ns % NS };
	atomic_store(&d->waiting, 1);
	due = atomic_load(&d->quit) || atomic_load(&d->cmd_w) != atomic_load(&d->cmd_r) ||
	    atomic_load(&d->step_req) != atomic_load(&d->step_done);
	for (stream *s = d->streams; s && !due; s = s->next)
		due = stream_finished(s) || aim_waits(s) || (atomic_load(&s->leave) && !s->fading) ||
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
			able += stream_live(s);
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
	atomic_store_explicit(&d->cpu, sched_getcpu(), memory_order_relaxed);
	if (pfds[n].revents)
		(void)!read(d->wakefd, &u, sizeof(u));
	dev_run_blocks(d, pfds);
	atomic_store_explicit(&d->cost_ns, now_ns() - d->wake_ns, memory_order_relaxed);
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
			if (atomic_load(&d->nattached) > 0 || mmc_runs(d))
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
