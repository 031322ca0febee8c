/*
 * test_tick.c: the clock of the built-in drivers: its arithmetic is exact for
 * ever, it wakes once a block, and not at all while stopped.  One thread; no
 * check depends on how long anything takes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/timerfd.h>

#include "../engine/check.h"
#include "../../audiod/engine/tick.h"

static const struct {
	unsigned rate, round;
} clocks[] = {
	{ 4000, 1 }, { 8000, 65536 }, { 11025, 110 }, { 22051, 221 }, { 44100, 441 },
	{ 44100, 480 }, { 44100, 1 }, { 48000, 480 }, { 96000, 7 }, { 191999, 65521 }, { 192000, 1 },
};

static const struct sim none;

#define NCLOCKS	(sizeof(clocks) / sizeof(clocks[0]))

static int64_t
due_exact(const struct tick *t, uint64_t block)
{
	unsigned __int128 x = (unsigned __int128)block * t->round * 1000000000u;

	return t->start + (int64_t)((x + t->rate - 1) / t->rate);
}

static void
test_arithmetic(void)
{
	struct tick t;
	uint64_t k;
	size_t i;

	for (i = 0; i < NCLOCKS; i++) {
		memset(&t, 0, sizeof(t));
		t.rate = clocks[i].rate;
		t.round = clocks[i].round;
		t.start = 123456789012345;
		/* from the first block to those of ten years, at uneven steps */
		for (k = 1; k * t.round / t.rate < 315360000; k += 1 + k / 97) {
			CHECK_EQ(tick_due(&t, k), due_exact(&t, k));
			CHECK_EQ(tick_frames(&t, tick_due(&t, k)), k * t.round);
			CHECK_EQ(tick_frames(&t, tick_due(&t, k) - 1), k * t.round - 1);
		}
		CHECK_EQ(tick_frames(&t, t.start), 0);
		CHECK_EQ(tick_frames(&t, t.start - 1), 0);
		CHECK_EQ(tick_frames(&t, 0), 0);
	}
}

static void
test_passed(void)
{
	struct tick t;
	unsigned nblocks = 4;
	uint64_t served;
	size_t i;

	for (i = 0; i < NCLOCKS; i++) {
		memset(&t, 0, sizeof(t));
		t.rate = clocks[i].rate;
		t.round = clocks[i].round;
		t.bufsz = nblocks * t.round;
		t.start = 1000;
		for (served = 0; served < 100000000; served = served * 7 + 1) {
			t.served = served;
			CHECK_EQ(tick_passed(&t, tick_due(&t, served)), 0);
			CHECK_EQ(tick_passed(&t, tick_due(&t, served + 1) - 1), 0);
			CHECK_EQ(tick_passed(&t, tick_due(&t, served + 1)), 1);
			CHECK_EQ(tick_passed(&t, tick_due(&t, served + 2) - 1), 1);
			CHECK_EQ(tick_passed(&t, tick_due(&t, served + nblocks)), nblocks);
			/* one frame more than bufsz is not there to be played */
			CHECK_EQ(tick_passed(&t, tick_due(&t, served + nblocks) + 1000000000 / t.rate + 1), -EPIPE);
			/* a clock that is read too early has passed nothing */
			CHECK_EQ(tick_passed(&t, 0), 0);
		}
	}
}

static void
test_running(void)
{
	struct tick t;
	struct pollfd pfd;
	struct itimerspec its;
	int64_t due;
	int n, wakes = 0, blocks = 0;

	CHECK_EQ(tick_open(&t, 192000, 64, 1 << 18, &none), 0);
	CHECK_EQ(tick_poll(&t, &pfd), 0);
	CHECK_EQ(tick_ready(&t, &pfd, &due), 0);
	CHECK_EQ(tick_start(&t), 0);
	while (blocks < 100) {
		CHECK_EQ(tick_poll(&t, &pfd), 1);
		CHECK_EQ(poll(&pfd, 1, 60000), 1);
		wakes++;
		n = tick_ready(&t, &pfd, &due);
		CHECK(n >= 0);
		CHECK_EQ(due, tick_due(&t, (uint64_t)blocks + 1));
		blocks += n;
		CHECK_EQ(t.served, blocks);
	}
	CHECK(wakes <= blocks);
	/* stopped with an expiry pending: nothing is left to wake for */
	CHECK_EQ(tick_poll(&t, &pfd), 1);
	CHECK_EQ(poll(&pfd, 1, 60000), 1);
	CHECK_EQ(tick_stop(&t), 0);
	CHECK_EQ(poll(&pfd, 1, 0), 0);
	CHECK_EQ(tick_poll(&t, &pfd), 0);
	/* started again, it counts from one again */
	CHECK_EQ(tick_start(&t), 0);
	CHECK_EQ(tick_poll(&t, &pfd), 1);
	CHECK_EQ(poll(&pfd, 1, 60000), 1);
	CHECK(tick_ready(&t, &pfd, &due) >= 1);
	CHECK_EQ(due, tick_due(&t, 1));
	/* an expiry that comes before its block is neither lost nor a reason to spin */
	CHECK_EQ(tick_poll(&t, &pfd), 1);
	CHECK_EQ(poll(&pfd, 1, 60000), 1);
	t.start += 3600000000000;	/* as if the timer were early, very early */
	CHECK_EQ(tick_ready(&t, &pfd, &due), 0);
	CHECK_EQ(poll(&pfd, 1, 0), 0);
	CHECK_EQ(timerfd_gettime(t.fd, &its), 0);
	CHECK(its.it_value.tv_sec >= 3000);
	CHECK_EQ(its.it_interval.tv_sec, 0);
	CHECK_EQ(its.it_interval.tv_nsec, 0);
	CHECK_EQ(tick_stop(&t), 0);
	tick_close(&t);
}

static void
test_dry(void)
{
	struct tick t;
	struct pollfd pfd;
	int64_t due;

	CHECK_EQ(tick_open(&t, 192000, 64, 128, &none), 0);
	CHECK_EQ(tick_start(&t), 0);
	t.start -= 1000000000;		/* as if nobody had looked for a second */
	CHECK_EQ(tick_poll(&t, &pfd), 1);
	CHECK_EQ(tick_ready(&t, &pfd, &due), -EPIPE);
	CHECK_EQ(due, tick_due(&t, 1));
	/* it has stopped: no more wake-ups, the same answer until it is restarted */
	CHECK_EQ(poll(&pfd, 1, 0), 0);
	t.start += 1000000000;
	CHECK_EQ(tick_ready(&t, &pfd, &due), -EPIPE);
	CHECK_EQ(tick_stop(&t), 0);
	CHECK_EQ(tick_start(&t), 0);
	CHECK(tick_passed(&t, t.start) == 0);
	CHECK_EQ(tick_stop(&t), 0);
	tick_close(&t);
}

int
main(void)
{
	test_arithmetic();
	test_passed();
	test_running();
	test_dry();
	CHECK_DONE();
}
