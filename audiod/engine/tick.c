/*
 * tick.c: blocks of a fixed rate counted on CLOCK_MONOTONIC, see tick.h.
 * 128 bits are exact for ever, at rates of a millionth of a Hz; rounding up in
 * tick_due and down in tick_frames are inverse to each other.  Device thread, but for tick_open and tick_close.
 */
#define _GNU_SOURCE
#include "tick.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NSEC	1000000000LL
#define PPM	1000000

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
		due = tick_due(t, t->served + 1) + sim_delay(&t->sim, 1);
		its.it_value.tv_sec = (time_t)(due / NSEC);
		its.it_value.tv_nsec = (long)(due % NSEC);
	}
	if (timerfd_settime(t->fd, TFD_TIMER_ABSTIME, &its, NULL) < 0)
		return -errno;
	return 0;
}

int
tick_open(struct tick *t, unsigned rate, unsigned round, unsigned bufsz, const struct sim *sim)
{
	memset(t, 0, sizeof(*t));
	t->rate = rate;
	t->round = round;
	t->bufsz = bufsz;
	t->sim = *sim;
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

static uint64_t
micro_hz(const struct tick *t)
{
	return (uint64_t)t->rate * (uint64_t)(PPM + t->sim.ppm);
}

int64_t
tick_due(const struct tick *t, uint64_t block)
{
	unsigned __int128 x = (unsigned __int128)block * t->round * ((uint64_t)NSEC * PPM);

	return t->start + (int64_t)((x + micro_hz(t) - 1) / micro_hz(t));
}

uint64_t
tick_frames(const struct tick *t, int64_t now)
{
	if (now <= t->start)
		return 0;
	return (uint64_t)((unsigned __int128)(now - t->start) * micro_hz(t) / ((uint64_t)NSEC * PPM));
}

int
tick_passed(const struct tick *t, int64_t now)
{
	uint64_t frames, taken;
	unsigned n, told;

	frames = tick_frames(t, now);
	taken = t->served * t->round;
	if (frames <= taken)
		return 0;
	if (frames - taken > t->bufsz)
		return -EPIPE;
	n = (unsigned)((frames - taken) / t->round);
	if (t->sim.jitter_ns == 0)
		return (int)n;
	for (told = 0; told < n; told++) {	/* none before the one that it follows */
		if (now < tick_due(t, t->served + told + 1) + sim_delay(&t->sim, told + 1))
			break;
	}
	return (int)told;
}

int
tick_start(struct tick *t)
{
	return tick_start_at(t, monotonic());
}

int
tick_start_at(struct tick *t, int64_t start)
{
	int rc;

	rc = sim_start(&t->sim);
	if (rc < 0)
		return rc;
	t->start = start;
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
	int64_t now;
	int n, rc;

	if (!t->running)
		return 0;
	now = monotonic();
	*due_ns = tick_due(t, t->served + 1);
	n = t->dry ? -EPIPE : tick_passed(t, now);
	if (n >= 0) {
		n = sim_pass(&t->sim, n);
		if (n < 0)
			*due_ns = now;	/* nobody was late */
	}
	if (n < 0) {
		if (!t->dry)
			arm(t, 0);
		t->dry = n == -EPIPE;
		return n;
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
