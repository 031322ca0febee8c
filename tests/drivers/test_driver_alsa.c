/*
 * test_driver_alsa.c: the driver of sound cards against a libasound of the test's
 * own (fake_alsa.h), whose card does what cards do and virtcard does not: its
 * directions differ, run apart, are suspended or vanish, take less than they
 * said.
 *
 * Nothing is asserted on durations; needs no libasound.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "alsa_dut.h"
#include "fds.h"

static int
waits_for(void)				/* the direction whose descriptor it polls */
{
	struct pollfd pfd[DRV_NFDS];

	CHECK_EQ(OPS->poll(drv, pfd), 1);
	return pfd[0].fd == card[ALSA_REC].fd;
}

static void
serve(int nblocks)
{
	static uint8_t block[65536];
	static uint8_t n;

	for (; nblocks > 0; nblocks--) {
		if (par.rchan > 0)
			CHECK_EQ(OPS->read(drv, block), 0);
		memset(block, ++n, sizeof(block));
		if (par.pchan > 0)
			CHECK_EQ(OPS->write(drv, block), 0);
	}
}

/* ---- what it must do --------------------------------------------------------------- */

static void
test_library(void)
{
	no_library = 1;
	refused(2, 2, -ENOSYS, "no ALSA library on this machine");
	CHECK(strstr(err, "libasound-that-is-not-there") != NULL);
	no_library = 0;
	without = 1;
	refused(2, 2, -ENOSYS, "too old");
	CHECK(strstr(err, names[NNAMES - 1]) != NULL);
	without = 0;
	opened(2, 2);			/* it is looked for again, and found */
	closed();
	no_library = 1;			/* and never again */
	opened(2, 2);
	closed();
	no_library = 0;
}

static void
test_plain(void)
{
	fresh();
	opened(2, 2);
	CHECK_EQ(err[0], '\0');
	CHECK_EQ(par.clock, DRV_CLOCK_REAL);
	CHECK(enc_same(&par.enc, &s16le));
	CHECK_EQ(par.round, 480);
	CHECK_EQ(par.bufsz, 1920);
	CHECK_EQ(card[0].avail_min, 480);
	CHECK_EQ(card[1].avail_min, 480);
	CHECK_EQ(card[0].stop_threshold, 1920);
	CHECK(card[0].start_threshold > MAXBUF);
	CHECK_EQ(linked, 1);
	CHECK_EQ(OPS->start(drv), 0);
	CHECK_EQ(card[0].state, ALSA_RUNNING);
	CHECK_EQ(card[1].state, ALSA_RUNNING);
	CHECK_EQ(card[0].appl, 1920);	/* silence */
	CHECK_EQ(waits_for(), ALSA_REC);
	CHECK_EQ(ready(), 0);
	advance(479);
	CHECK_EQ(ready(), 0);
	CHECK_EQ(card[1].navail, 0);	/* nothing is asked until the card is ready */
	advance(1);
	CHECK_EQ(ready(), 1);
	serve(1);
	CHECK_EQ(ready(), 0);
	CHECK_EQ(card[1].navail, 1);
	CHECK_EQ(card[0].navail, 1);
	CHECK_EQ(card[1].nmove, 1);
	CHECK_EQ(card[0].nmove, 4 + 1);
	advance(960);
	CHECK_EQ(ready(), 2);
	serve(2);
	CHECK_EQ(OPS->stop(drv), 0);
	CHECK_EQ(card[0].state, ALSA_SETUP);
	CHECK_EQ(OPS->stop(drv), 0);
	CHECK_EQ(card[0].ndrop, 1);	/* once */
	closed();
}

static void
test_default(void)
{
	fresh();
	CHECK_EQ(try_open(0, 0), -EINVAL);
	conf.arg = "";
	par.pchan = 1;
	CHECK_EQ(OPS->open(&drv, &conf, &par, err, sizeof(err)), 0);
	closed();
}

static void
test_formats(void)
{
	static const struct {
		uint64_t play, rec;
		int got;
	} rows[] = {
		{ 1 << S16_LE | 1 << S32_LE, 1 << S16_LE | 1 << S32_LE, S16_LE },
		{ 1 << S16_BE | 1 << S32_LE, 1 << S16_BE | 1 << S32_LE, S16_BE },
		{ 1 << S32_LE | 1ull << S24_3LE | 1 << S8, 1ull << S24_3LE | 1 << S32_LE, S32_LE },
		{ 1 << S32_LE | 1ull << S24_3LE, 1ull << S24_3LE, S24_3LE },
		{ 1 << FLOAT_LE | 1 << S8, 1 << FLOAT_LE | 1 << S8, FLOAT_LE },
		{ 1 << S8, 1 << S8, S8 },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fresh();
		card[0].formats = rows[i].play;
		card[1].formats = rows[i].rec;
		opened(2, 2);
		CHECK_EQ(card[0].format, rows[i].got);
		CHECK_EQ(card[1].format, rows[i].got);
		CHECK_EQ(par.enc.bps * 2u, card[0].frame);
		closed();
	}
}

/* what cannot be together is opened alone, and says what is missing */
static void
test_alone(void)
{
	static const struct {
		struct alsa_pcm play, rec;
		unsigned pchan, rchan;	/* got */
		const char *why;
	} rows[] = {
		{ { .formats = 1 << S16_LE }, { .open_rc = -ENOENT }, 2, 0, "no such card or PCM for recording" },
		{ { .formats = 1 << S16_LE }, { .open_rc = -EBUSY }, 2, 0, "recording is busy" },
		{ { .open_rc = -ENOENT }, { .formats = 1 << S16_LE }, 0, 2, "no such card or PCM for playback" },
		{ { .formats = 1 << S16_LE }, { .formats = 1 << S8 }, 2, 0, "recording has no encoding that playback has" },
		{ { .formats = 1 << S16_LE, .rate = 44100 }, { .formats = 1 << S16_LE, .rate = 8000 }, 2, 0,
		    "does not run at the 44100 Hz" },
		{ { .formats = 1 << S16_LE }, { .formats = 1 << S16_LE, .period = 512 }, 2, 0, "takes no block of 480" },
		{ { .formats = 1 << S16_LE, .params_rc = -EINVAL }, { .formats = 1 << S16_LE }, 0, 2, "playback takes no block" },
		{ { .formats = 1 << S16_LE, .nfds = 5 }, { .formats = 1 << S16_LE }, 0, 2, "5 descriptors" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fresh();
		card[0] = rows[i].play;
		card[1] = rows[i].rec;
		card[1].stream = ALSA_REC;
		card[0].nfds += card[0].nfds == 0;
		card[1].nfds = 1;
		opened(2, 2);
		CHECK_EQ(par.pchan, rows[i].pchan);
		CHECK_EQ(par.rchan, rows[i].rchan);
		if (strstr(err, rows[i].why) == NULL)
			fprintf(stderr, "%s\n", err);
		CHECK(strstr(err, rows[i].why) != NULL);
		CHECK_EQ(card[par.pchan ? 1 : 0].opened, 0);
		CHECK_EQ(OPS->start(drv), 0);
		advance(480);
		CHECK_EQ(ready(), 1);
		serve(1);
		closed();
	}
}

static void
test_refusals(void)
{
	static const struct {
		struct alsa_pcm play;
		int rc;
		const char *why;
	} rows[] = {
		{ { .open_rc = -EBUSY }, -EBUSY, "hw:7,0: playback is busy, another program has the card: Device or resource busy" },
		{ { .open_rc = -EACCES }, -EACCES, "not permitted" },
		{ { .open_rc = -ENOENT }, -ENOENT, "No such file or directory (the cause of it: 42)" },
		{ { .open_rc = -ENOMEM }, -ENOMEM, "playback cannot be opened: Cannot allocate memory" },
		{ { .open_rc = -500001 }, -EIO, "Library error" },
		{ { .formats = 0 }, -EINVAL, "playback has no encoding that audiod has" },
		{ { .formats = 1 << S16_LE, .channels = 65 }, -EINVAL, "no number of channels in 1..64" },
		{ { .formats = 1 << S16_LE, .rate = 384000 }, -EINVAL, "no rate in 4000..192000" },
		{ { .formats = 1 << S16_LE, .params_rc = -ENOSPC }, -ENOSPC, "takes no block of about 480 frames" },
		{ { .formats = 1 << S16_LE, .params_rc = -ENODEV }, -ENODEV, "playback went away while it was opened" },
		{ { .formats = 1 << S16_LE, .any_rc = -ENODEV }, -ENODEV, "playback went away while it was opened: No such device" },
		{ { .formats = 1 << S16_LE, .period = 480, .buffer = 480 }, -EINVAL, "buffer that cannot be used" },
		{ { .formats = 1 << S16_LE, .nfds = 5 }, -EINVAL, "5 descriptors" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fresh();
		card[0] = rows[i].play;
		card[0].nfds += card[0].nfds == 0;
		refused(2, 0, rows[i].rc, rows[i].why);
	}
	fresh();			/* busy is not a reason to record only */
	card[0].open_rc = -EBUSY;
	refused(2, 2, -EBUSY, "playback is busy");
	fresh();
	card[0].open_rc = card[1].open_rc = -ENODEV;
	refused(2, 2, -ENODEV, "for playback");
	refused(0, 2, -ENODEV, "for recording");
	fresh();
	conf.ppm = 1;
	refused(2, 2, -EINVAL, "ppm and jitter");
	conf.ppm = 0;
	conf.xrun_every_ns = 1;
	refused(2, 2, -EINVAL, "less than one block");
	conf.xrun_every_ns = 0;
}

/* near values come back; a buffer larger than wanted is not filled */
static void
test_near(void)
{
	fresh();
	card[0].rate = card[1].rate = 44100;
	card[0].period = card[1].period = 512;
	card[0].buffer = 8192;
	card[0].channels = 6;
	opened(2, 2);
	CHECK_EQ(par.rate, 44100);
	CHECK_EQ(par.round, 512);
	CHECK_EQ(par.bufsz, 2048);	/* the nearest to 1920 */
	CHECK_EQ(par.pchan, 6);
	CHECK_EQ(par.rchan, 2);
	CHECK_EQ(card[0].avail_min, 8192 - 2048 + 512);
	CHECK_EQ(card[0].stop_threshold, 8192);
	CHECK_EQ(OPS->start(drv), 0);
	CHECK_EQ(card[0].appl, 2048);
	advance(512);
	CHECK_EQ(ready(), 1);
	serve(1);
	CHECK_EQ(card[0].appl - card[0].hw, 2048);
	advance(1536);
	CHECK_EQ(ready(), 3);
	closed();
	fresh();			/* the same without recording, which would hold it back */
	card[0].buffer = 8192;
	opened(2, 0);
	CHECK_EQ(OPS->start(drv), 0);
	advance(480);
	CHECK_EQ(ready(), 1);
	serve(1);
	advance(960);
	CHECK_EQ(ready(), 2);
	closed();
	fresh();			/* and one that is smaller is what it is */
	card[0].buffer = 1000;
	opened(2, 0);
	CHECK_EQ(par.bufsz, 960);
	CHECK_EQ(card[0].avail_min, 1000 - 960 + 480);
	closed();
}

/* directions that run apart: it waits for the one that is behind, and for nothing twice */
static void
test_apart(void)
{
	fresh();
	link_rc = -ENOSYS;
	opened(2, 2);
	CHECK_EQ(OPS->start(drv), 0);
	CHECK_EQ(card[0].state, ALSA_RUNNING);
	CHECK_EQ(card[1].state, ALSA_RUNNING);
	card[0].skew = 3;
	advance(480);
	CHECK_EQ(waits_for(), ALSA_REC);
	CHECK_EQ(ready(), 0);
	CHECK_EQ(waits_for(), ALSA_PLAY);
	CHECK_EQ(ready(), 0);
	CHECK_EQ(card[0].navail, 1);	/* the second time its descriptor said enough */
	advance(3);
	CHECK_EQ(ready(), 1);
	serve(1);
	CHECK_EQ(waits_for(), ALSA_PLAY);
	advance(477);
	CHECK_EQ(ready(), 0);
	advance(3);
	CHECK_EQ(ready(), 1);
	serve(1);
	card[1].skew = 100;		/* now the other one */
	advance(480);
	CHECK_EQ(ready(), 0);
	CHECK_EQ(waits_for(), ALSA_REC);
	closed();
	fresh();			/* the card starts both by itself, and knows no link */
	link_rc = -ENOSYS;
	autostart = 1;
	opened(2, 2);
	CHECK_EQ(OPS->start(drv), 0);
	closed();
}

/* what was written is what the card has: silence first, then block after block */
static void
test_samples(void)
{
	static uint8_t block[1920], in[1920];
	int i, k;

	fresh();
	opened(2, 2);
	memset(data, 0xff, sizeof(data));
	CHECK_EQ(OPS->start(drv), 0);
	for (i = 0; i < 1920 * 4; i++)
		CHECK_EQ(data[i], 0);
	for (k = 0; k < 9; k++) {
		advance(480);
		CHECK_EQ(ready(), 1);
		card[1].move_short = k == 3 ? 100 : 0;	/* in pieces is fine */
		card[0].move_short = k == 4 ? 7 : 0;
		CHECK_EQ(OPS->read(drv, in), 0);
		for (i = 0; i < 1920; i++)
			CHECK_EQ(in[i], (uint8_t)(k * 1920 + i));
		memset(block, k + 1, sizeof(block));
		CHECK_EQ(OPS->write(drv, k == 8 ? NULL : block), 0);
		for (i = 0; i < 1920; i++)
			CHECK_EQ(data[k % 4 * 1920 + i], k == 8 ? 0 : k + 1);
	}
	closed();
}

/* an xrun of either, a suspend, less than was said: begun anew; a lost card: gone */
static void
test_trouble(void)
{
	static const struct {
		int state, avail_rc, move_rc;
		int rc;
	} rows[] = {
		{ .state = ALSA_XRUN, .rc = -EPIPE },
		{ .state = ALSA_SUSPENDED, .rc = -EPIPE },
		{ .state = ALSA_SETUP, .rc = -EPIPE },
		{ .state = ALSA_DISCONNECTED, .rc = -ENODEV },
		{ .avail_rc = -ESTRPIPE, .rc = -EPIPE },
		{ .avail_rc = -ENODEV, .rc = -ENODEV },
		{ .avail_rc = -500001, .rc = -EIO },
		{ .move_rc = -EPIPE, .rc = -EPIPE },
		{ .move_rc = -ESTRPIPE, .rc = -EPIPE },
		{ .move_rc = -EAGAIN, .rc = -EPIPE },
		{ .move_rc = -ENODEV, .rc = -ENODEV },
	};
	static uint8_t block[1920];
	struct pollfd pfd[DRV_NFDS];
	int64_t due;
	size_t i;
	int who, n;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (who = 0; who < 2; who++) {
			fresh();
			opened(2, 2);
			CHECK_EQ(OPS->start(drv), 0);
			advance(480);
			if (rows[i].state != 0) {
				set_state(&card[who], rows[i].state);
				if (who == ALSA_PLAY && rows[i].state == ALSA_SETUP) {
					closed();	/* is not waited for, and does not happen */
					continue;
				}
			}
			card[who].avail_rc = rows[i].avail_rc;
			card[who].move_rc = rows[i].move_rc;
			if (rows[i].move_rc == 0) {
				n = ready();
			} else {
				CHECK_EQ(ready(), 1);
				n = who == ALSA_REC ? OPS->read(drv, block) : OPS->write(drv, block);
			}
			CHECK_EQ(n, rows[i].rc);
			card[who].avail_rc = 0;
			if (rows[i].move_rc == 0) {	/* it says so until it is stopped, and wakes nobody */
				CHECK_EQ(OPS->ready(drv, pfd, &due), rows[i].rc);
				CHECK_EQ(OPS->poll(drv, pfd), 0);
			}
			n = OPS->stop(drv);
			CHECK_EQ(n, rows[i].state == ALSA_DISCONNECTED ? -ENODEV : 0);
			if (n == 0) {
				CHECK_EQ(OPS->start(drv), 0);
				CHECK_EQ(ready(), 0);
				CHECK_EQ(card[0].appl, 1920);
				advance(480);
				CHECK_EQ(ready(), 1);
				serve(1);
			}
			closed();
		}
	}
	fresh();			/* a start that fails */
	opened(2, 2);
	card[0].prepare_rc = -ENODEV;
	CHECK_EQ(OPS->start(drv), -ENODEV);
	card[0].prepare_rc = 0;
	card[1].start_rc = -EIO;
	CHECK_EQ(OPS->start(drv), -EIO);
	CHECK_EQ(OPS->poll(drv, pfd), 0);
	card[1].start_rc = 0;
	card[0].state = card[1].state = ALSA_SETUP;
	CHECK_EQ(OPS->start(drv), 0);
	closed();
	fresh();			/* told to run dry, and to go */
	conf.xrun_every_ns = 20000000;
	conf.unplug_after_ns = 30000000;
	opened(2, 2);
	CHECK_EQ(OPS->start(drv), 0);
	advance(1440);
	CHECK_EQ(ready(), 2);
	serve(2);
	CHECK_EQ(ready(), -EPIPE);
	CHECK_EQ(OPS->stop(drv), 0);
	CHECK_EQ(OPS->start(drv), 0);
	advance(480);
	CHECK_EQ(ready(), 1);
	serve(1);
	advance(480);
	CHECK_EQ(ready(), -ENODEV);
	CHECK_EQ(OPS->stop(drv), 0);
	CHECK_EQ(OPS->start(drv), -ENODEV);
	closed();
	conf.xrun_every_ns = conf.unplug_after_ns = 0;
}

/* when: by the card's time stamps if it has them, by its delay if not */
static void
test_due(void)
{
	struct pollfd pfd[DRV_NFDS];
	struct timespec ts;
	int64_t due, now, last = 0;
	int i;

	fresh();
	card[1].stamps = 1;		/* of a millisecond ago */
	opened(2, 2);
	CHECK_EQ(OPS->start(drv), 0);
	for (i = 0; i < 40; i++) {
		advance(480);
		CHECK_EQ(OPS->poll(drv, pfd), 1);
		CHECK_EQ(poll(pfd, 1, 0), 1);
		CHECK_EQ(OPS->ready(drv, pfd, &due), 1);
		clock_gettime(CLOCK_MONOTONIC, &ts);
		now = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
		CHECK(due > last && due <= now);	/* in order and not in the future, whatever the card says */
		last = due;
		serve(1);
	}
	CHECK_EQ(card[1].nstamp, 40);
	CHECK_EQ(card[1].ndelay, 0);
	closed();
	for (i = -1; i <= 1; i += 2) {	/* a delay beyond reason: neither the future nor before the last */
		fresh();
		card[0].fifo = i * 20000;
		opened(2, 0);
		clock_gettime(CLOCK_MONOTONIC, &ts);
		last = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
		CHECK_EQ(OPS->start(drv), 0);
		for (; card[0].hw < 9600; last = due) {
			advance(480);
			CHECK_EQ(OPS->poll(drv, pfd), 1);
			CHECK_EQ(poll(pfd, 1, 0), 1);
			CHECK_EQ(OPS->ready(drv, pfd, &due), 1);
			clock_gettime(CLOCK_MONOTONIC, &ts);
			CHECK(due > last && due <= (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec);
			serve(1);
		}
		closed();
	}
	fresh();			/* time stamps that cannot be are no longer asked for */
	card[1].stamps = 2;
	opened(2, 2);
	CHECK_EQ(OPS->start(drv), 0);
	for (i = 0; i < 40; i++) {
		advance(480);
		CHECK_EQ(ready(), 1);
		serve(1);
	}
	CHECK_EQ(card[1].nstamp, 16);
	CHECK_EQ(card[1].ndelay, 40);
	closed();
	fresh();			/* none at all: asked once */
	opened(2, 0);
	CHECK_EQ(OPS->start(drv), 0);
	for (i = 0; i < 5; i++) {
		advance(480);
		CHECK_EQ(ready(), 1);
		serve(1);
	}
	CHECK_EQ(card[0].nstamp, 1);
	CHECK_EQ(card[0].ndelay, 5);
	CHECK_EQ(card[0].navail, 5);	/* and nothing more than this */
	CHECK_EQ(card[0].nrevents, 5);
	CHECK_EQ(card[0].nmove, 4 + 5);
	closed();
}

int
main(void)
{
	int fds = open_fds();

	fresh();
	test_library();
	test_plain();
	test_default();
	test_formats();
	test_alone();
	test_refusals();
	test_near();
	test_apart();
	test_samples();
	test_trouble();
	test_due();
	CHECK_EQ(open_fds(), fds);
	CHECK_DONE();
}
