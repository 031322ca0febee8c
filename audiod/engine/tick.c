/*
 * tick.c: blocks of a fixed rate counted on CLOCK_MONOTONIC, see tick.h.
 * Seconds and the rest of a second are kept apart, so that 64 bits are exact
 * for ever; rounding up in tick_due and down in tick_frames are inverse to
 * each other.  Device thread, but for tick_open and tick_close.
 */
#define _GNU_SOURCE
#include "tick.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NSEC	1000000000LL

static int64_t
monotonic(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * NSEC + ts.tv_nsec;
}

/* arms the timer for the next block, or disarms it */
static int
arm(struct tick *t, int on)
{
	struct itimerspec its;
	int64_t due;

	memset(&its, 0, sizeof(its));
	if (on) {
		due = tick_due(t, t->served + 1);
		its.it_value.tv_sec = (time_t)(due / NSEC);
		its.it_value.tv_nsec = (long)(due % NSEC);
	}
	if (timerfd_settime(t->fd, TFD_TIMER_ABSTIME, &its, NULL) < 0)
		return -errno;
	return 0;
}

int
tick_open(struct tick *t, unsigned rate, unsigned round, unsigned bufsz)
{
	memset(t, 0, sizeof(*t));
	t->rate = rate;
	t->round = round;
	t->bufsz = bufsz;
	t->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return t->fd < 0 ? -errno : 0;
}

void
tick_close(struct tick *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

int64_t
tick_due(const struct tick *t, uint64_t block)
{
	uint64_t frame, sec, rest;

	frame = block * t->round;
	sec = frame / t->rate;
	rest = (frame % t->rate) * (uint64_t)NSEC;
	return t->start + (int64_t)(sec * (uint64_t)NSEC + (rest + t->rate - 1) / t->rate);
}

uint64_t
tick_frames(const struct tick *t, int64_t now)
{
	uint64_t ns;

	if (now <= t->start)
		return 0;
	ns = (uint64_t)(now - t->start);
	return ns / (uint64_t)NSEC * t->rate + ns % (uint64_t)NSEC * t->rate / (uint64_t)NSEC;
}

int
tick_passed(const struct tick *t, int64_t now)
{
	uint64_t frames, taken;

	frames = tick_frames(t, now);
	taken = t->served * t->round;
	if (frames <= taken)
		return 0;
	if (frames - taken > t->bufsz)
		return -EPIPE;
	return (int)((frames - taken) / t->round);
}

int
tick_start(struct tick *t)
{
	t->start = monotonic();
	t->served = 0;
	t->dry = 0;
	t->running = 1;
	return arm(t, 1);
}

int
tick_stop(struct tick *t)
{
	t->running = 0;
	t->dry = 0;
	return arm(t, 0);
}

int
tick_poll(struct tick *t, struct pollfd *pfd)
{
	if (!t->running)
		return 0;
	pfd->fd = t->fd;
	pfd->events = POLLIN;
	pfd->revents = 0;
	return 1;
}

int
tick_ready(struct tick *t, struct pollfd *pfd, int64_t *due_ns)
{
	int n, rc;

	if (!t->running)
		return 0;
	*due_ns = tick_due(t, t->served + 1);
	n = t->dry ? -EPIPE : tick_passed(t, monotonic());
	if (n == -EPIPE) {
		if (!t->dry) {
			t->dry = 1;
			arm(t, 0);
		}
		return -EPIPE;
	}
	t->served += (uint64_t)n;
	/* arming clears an expiry, so the timer is never read; one that came too early is armed again */
	if (n > 0 || (pfd->revents & POLLIN) != 0) {
		rc = arm(t, 1);
		if (rc < 0)
			return rc;
	}
	return n;
}
