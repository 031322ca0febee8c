/*
 * Programs that come late, under each policy, playing and recording.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conform.h"

#define NFRAMES	7200

static int
ready(struct stream *s, unsigned mode, unsigned xrun, uint32_t of)
{
	return stream_open(s, name("default"), mode, 0) && stream_par(s, 48000, 16, 2, 1920, xrun) && stream_start(s, of);
}

/* the position stands still, nothing is lost */
static void
play_ignore(void)
{
	struct stream s;
	uint32_t of = seed();
	long long held;

	if (!ready(&s, PLAY, SIO_IGNORE, of))
		return;
	stream_write(&s, NFRAMES);
	stream_idle(&s, 250);
	held = stream_queued(&s);
	/* what is in the card has left the stream; a server that was held up itself is ahead by some blocks */
	say("held", "queued=%s zeros=%s xruns=%d eof=%d", yes(held > 0 && held <= DEVBUFSZ && held % 480 == 0),
	    yes(s.nzero > 0), s.nxrun, sio_eof(s.h));
	stream_idle(&s, 50);
	say("still", "moved=%lld", held - stream_queued(&s));
	stream_write(&s, NFRAMES);
	say("resumed", "moved=%s xruns=%d", yes(s.moved > NFRAMES - held), s.nxrun);
	stream_idle(&s, 250);
	held = stream_queued(&s);
	say("again", "queued=%s xruns=%d bounds=%s", yes(held > 0 && held <= DEVBUFSZ && held % 480 == 0), s.nxrun,
	    yes(!s.broken));
	say("stop", "stop=%d", sio_stop(s.h));
	stream_close(&s);
	say_sound("sound", of, 2 * NFRAMES, 16, "2");
}

/* time goes on, what came too late is dropped, what follows is where it belongs */
static void
play_sync(void)
{
	struct stream s;
	uint32_t of = seed();

	hurry();
	if (!ready(&s, PLAY, SIO_SYNC, of))
		return;
	s.bounded = 0;
	stream_write(&s, NFRAMES);
	while (stream_queued(&s) > DEVBUFSZ - 1440 && !sio_eof(s.h))
		stream_poll(&s, 0, -1);
	say("late", "zeros=%d xruns=%d eof=%d", s.nzero, s.nxrun, sio_eof(s.h));
	stream_write(&s, NFRAMES);
	say("caught up", "queued=%s eof=%d", yes(stream_queued(&s) <= (long long)s.par.bufsz), sio_eof(s.h));
	say("stop", "stop=%d", sio_stop(s.h));
	stream_close(&s);
	hurried();
	say_sound("sound", of, 2 * NFRAMES, 16, "2");
}

/* the library gives up when the position passes what was written */
static void
play_sync_long(void)
{
	struct stream s;

	if (!ready(&s, PLAY, SIO_SYNC, seed()))
		return;
	s.bounded = 0;
	stream_write(&s, 2400);
	stream_idle(&s, 300);
	say("late", "eof=%d", sio_eof(s.h));
	stream_close(&s);
}

static void
play_error(void)
{
	struct stream s;
	unsigned char buf[4] = { 0 };
	uint32_t of = seed();
	long long end = now_ms() + 2000;

	if (!ready(&s, PLAY, SIO_ERROR, of))
		return;
	stream_write(&s, NFRAMES);
	say("fed", "eof=%d", sio_eof(s.h));
	while (!sio_eof(s.h) && now_ms() < end)
		stream_poll(&s, 0, 100);
	say("late", "eof=%d write=%zu stop=%d bounds=%s", sio_eof(s.h), sio_write(s.h, buf, 4), sio_stop(s.h), yes(!s.broken));
	stream_close(&s);
	say_sound("sound", of, NFRAMES, 16, "2");
	of = seed();
	if (!ready(&s, PLAY, SIO_ERROR, of))
		return;
	stream_write(&s, 3000);
	say("drained", "stop=%d eof=%d", sio_stop(s.h), sio_eof(s.h));
	stream_close(&s);
	say_sound("drained", of, 3000, 16, "2");
}

/* nobody reads for a while: more than sockets and buffers hold, so it is an overrun */
static void
record(const char *key, unsigned xrun)
{
	static unsigned char buf[480 * 64];
	struct stream s;
	struct sio_par p;
	long long n, c0 = 0, at = 0, end;
	int v, i, silent = 0, moved = 0, jumps = 0, last = 0, tries = 0;

	if (!stream_open(&s, name("ramp"), REC, 0))
		return;
	sio_initpar(&p);
	p.bits = 32;
	p.bps = 4;
	p.sig = p.le = 1;
	p.rchan = 16;
	p.rate = 48000;
	p.appbufsz = 960;
	p.xrun = xrun;
	if (!sio_setpar(s.h, &p) || !sio_getpar(s.h, &s.par) || !stream_start(&s, 0))
		return;
	s.bounded = 0;
	stream_read(&s, buf, 480);
	for (end = now_ms() + 400; now_ms() < end; )
		poll(NULL, 0, (int)(end - now_ms()));
	/* a closed socket reads nothing once, though it has more: then it goes on to its end */
	for (i = 0; i < 60 && !sio_eof(s.h) && tries < 1000; i++) {
		n = stream_read(&s, buf, 480);
		tries += n == 0;
		for (v = 0; v < n; v++, at++) {
			int x = decode(buf + v * 64, &s.par);

			if (at == 0) {
				c0 = x;
				last = x - 1;
			}
			if (x == 0 && (int16_t)(c0 + at) != 0) {
				silent++;
				last++;
				continue;
			}
			if ((int16_t)(x - last) != 1)
				jumps++;
			if ((int16_t)(x - (int16_t)(c0 + at)) != 0)
				moved++;
			last = x;
		}
	}
	say(key, "eof=%d silence=%s jumps=%s inplace=%s xruns=%d", sio_eof(s.h), yes(silent > 0), yes(jumps > 0),
	    yes(moved == 0), s.nxrun);
	stream_close(&s);
}

static void
rec_late(void)
{
	record("ignore", SIO_IGNORE);
	record("sync", SIO_SYNC);
	record("error", SIO_ERROR);
}

/* full duplex: one side late stops both */
static void
duplex_ignore(void)
{
	static unsigned char buf[480 * 4];
	struct stream s;
	struct sound heard;
	uint32_t of = seed();
	int i, k, wrong = 0, got = 0;

	if (!ready(&s, DUPLEX, SIO_IGNORE, of))
		return;
	sound_init(&heard, of, 16);
	stream_write(&s, s.par.bufsz);
	for (k = 0; k < 20; k++) {
		if (k == 10) {
			/* late: the play side runs dry, then nobody has read either */
			stream_idle(&s, 300);
		}
		if (stream_read(&s, buf, 480) < 480)
			break;
		for (i = 0; i < 960; i++, got++)
			wrong += decode(buf + 2 * i, &s.par) != sound_next(&heard) && k < 10;
		stream_write(&s, 480);
	}
	say("before", "wrong=%d", wrong);
	say("after", "blocks=%d eof=%d bounds=%s xruns=%d", k, sio_eof(s.h), yes(!s.broken), s.nxrun);
	stream_close(&s);
	say_sound("sound", of, s.par.bufsz + 20 * 480, 16, "2");
}

const struct scenario xrun_scenarios[] = {
	{ "play-ignore", play_ignore },
	{ "play-sync", play_sync },
	{ "play-sync-long", play_sync_long },
	{ "play-error", play_error },
	{ "rec-late", rec_late },
	{ "duplex-ignore", duplex_ignore },
	{ NULL, NULL }
};
