/*
 * MMC: a stream of a sub-device with -t slave waits until MIDI starts it, is let go
 * when it is stopped while it waits, and is told the same as any other from then on;
 * the time code that MIDI programs hear meanwhile.
 *
 * sndiod waits for ever for a slot that was of such a sub-device once: each scenario
 * ends by giving its slots to another one.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "conform.h"

#define SLOTS	2			/* streams that a scenario has at most */

static const unsigned char mmc_start[] = { 0xf0, 0x7f, 0x7f, 0x06, 0x02, 0xf7 };
static const unsigned char mmc_stop[] = { 0xf0, 0x7f, 0x7f, 0x06, 0x01, 0xf7 };

static void
order(const unsigned char *message)
{
	struct mio_hdl *h = mio_open(name("tape"), MIO_OUT, 0);

	if (h == NULL)
		return;
	mio_write(h, message, 6);
	mio_close(h);
}

static void
leave(void)
{
	struct stream s[SLOTS];
	int i;

	order(mmc_stop);
	for (i = 0; i < SLOTS; i++)
		stream_ready(&s[i], "default", PLAY, seed());
	for (i = 0; i < SLOTS; i++)
		if (s[i].h != NULL)
			stream_close(&s[i]);
}

static void
par(void)
{
	static const char *const names[] = { "ignore", "sync", "error" };
	struct stream s;
	unsigned i;

	for (i = 0; i < 3; i++) {
		if (!stream_open(&s, name("tape"), PLAY, 0))
			continue;
		stream_par(&s, 48000, 16, 2, 1920, i);
		say(names[i], "xrun=%u bufsz=%u round=%u", s.par.xrun, s.par.bufsz, s.par.round);
		stream_close(&s);
	}
	leave();
}

static void
waits(void)
{
	struct stream s;
	uint32_t x = seed();

	if (!stream_ready(&s, "tape", PLAY, x))
		return;
	stream_write(&s, s.par.appbufsz);
	stream_idle(&s, 200);
	say("before", "moves=%d writable=%s", s.nmove, yes(stream_poll(&s, POLLOUT, 0) & POLLOUT));
	order(mmc_start);
	stream_write(&s, 9600);
	stream_until(&s, 4800);
	say("after", "first=%d at=%lld", s.first, s.wfirst >= s.par.appbufsz ? 1LL : 0LL);
	sio_stop(s.h);
	say_sound("heard", x, s.par.appbufsz + 9600, 16, "2");
	stream_close(&s);
	leave();
}

static void
records(void)
{
	static unsigned char buf[4800 * 4];
	struct stream s;
	long long n;

	if (!stream_ready(&s, "tape", REC, seed()))
		return;
	stream_idle(&s, 200);
	say("before", "moves=%d readable=%s", s.nmove, yes(stream_poll(&s, POLLIN, 0) & POLLIN));
	order(mmc_start);
	n = stream_read(&s, buf, 4800);
	say("after", "first=%d read=%lld", s.first, n);
	sio_stop(s.h);
	stream_close(&s);
	leave();
}

/* stopped while it waits: at once, and nothing of it is ever heard */
static void
stopped(void)
{
	struct stream s;
	uint32_t x = seed();

	if (!stream_ready(&s, "tape", PLAY, x))
		return;
	stream_write(&s, s.par.appbufsz);
	say("stop", "done=%s moves=%d", yes(sio_stop(s.h)), s.nmove);
	say("again", "started=%s", yes(sio_start(s.h)));
	stream_write(&s, s.par.appbufsz);
	stream_idle(&s, 100);
	say("waits", "moves=%d", s.nmove);
	sio_stop(s.h);
	stream_close(&s);
	leave();
}

/* one that is not ready keeps the other waiting, and one that comes later waits for the next start */
static void
group(void)
{
	struct stream a, b;

	if (!stream_ready(&a, "tape", PLAY, seed()) || !stream_ready(&b, "tape", PLAY, seed()))
		return;
	stream_write(&a, a.par.appbufsz);
	order(mmc_start);
	stream_idle(&a, 200);
	say("half", "moves=%d", a.nmove);
	stream_write(&b, b.par.appbufsz);
	stream_until(&a, 4800);
	stream_until(&b, 4800);
	say("both", "first=%d second=%d", a.first, b.first);
	sio_stop(b.h);
	sio_start(b.h);
	b.nmove = 0;
	stream_write(&b, b.par.appbufsz);
	stream_idle(&b, 200);
	say("late", "moves=%d", b.nmove);
	sio_stop(b.h);
	sio_stop(a.h);
	stream_close(&a);
	stream_close(&b);
	leave();
}

/* what a program at the port hears while the clock runs, with no stream at all */
static void
timecode(void)
{
	static const unsigned char locate[] = { 0xf0, 0x7f, 0x7f, 0x06, 0x44, 0x06, 0x01, 0x21, 0x02, 0x03, 0x04, 0x00, 0xf7 };
	enum { NBYTES = 10 + 2 * 24 };	/* a full frame, three times */
	struct mio_hdl *h = mio_open(name("tape"), MIO_IN | MIO_OUT, 0);
	unsigned char buf[256];
	char hex[2 * NBYTES + 1];
	size_t n = 0, got, from = 0, i;

	if (h == NULL)
		return;
	mio_write(h, locate, sizeof(locate));
	mio_write(h, mmc_start, sizeof(mmc_start));
	while (n < from + NBYTES && n < sizeof(buf) && (got = mio_read(h, buf + n, sizeof(buf) - n)) > 0) {
		n += got;
		for (i = 0; i + 10 <= n; i++)	/* the last full frame: a locate may tell one, too */
			if (buf[i] == 0xf0)
				from = i;
	}
	for (i = 0; i < NBYTES && from + i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", buf[from + i]);
	say("heard", "bytes=%s", hex);
	mio_write(h, mmc_stop, sizeof(mmc_stop));
	mio_close(h);
}

const struct scenario mmc_scenarios[] = {
	{ "mmc-par", par },
	{ "mmc-waits", waits },
	{ "mmc-records", records },
	{ "mmc-stopped", stopped },
	{ "mmc-group", group },
	{ "mmc-timecode", timecode },
	{ NULL, NULL }
};
