/*
 * Ends: stop and close play all, flush and a lost connection do not; and starting again.
 */
#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conform.h"

#define LONG	14400			/* appbufsz of streams that are ended with much queued */

static int
queued(struct stream *s, uint32_t of)
{
	if (!stream_open(s, name("default"), PLAY, 0) || !stream_par(s, 48000, 16, 2, LONG, SIO_IGNORE) ||
	    !stream_start(s, of))
		return 0;
	stream_write(s, LONG);
	stream_until(s, 1);
	return 1;
}

static void
stop(void)
{
	struct stream s;
	uint32_t of = seed();

	if (!queued(&s, of))
		return;
	say("full", "stop=%d silent=%s", sio_stop(s.h), yes(stream_queued(&s) > LONG / 2));
	stream_close(&s);
	say_sound("full", of, LONG, 16, "2");
	of = seed();
	if (!stream_ready(&s, "default", PLAY, of))
		return;
	stream_write(&s, 700);
	say("part", "stop=%d moves=%d", sio_stop(s.h), s.nmove);
	stream_close(&s);
	say_sound("part", of, 700, 16, "2");
	if (!stream_ready(&s, "default", PLAY, seed()))
		return;
	say("empty", "stop=%d moves=%d eof=%d", sio_stop(s.h), s.nmove, sio_eof(s.h));
	say("empty", "start=%d", stream_start(&s, 1));
	say("empty", "stop=%d", sio_stop(s.h));
	stream_close(&s);
	if (!stream_ready(&s, "default", REC, seed()))
		return;
	say("rec", "stop=%d eof=%d", sio_stop(s.h), sio_eof(s.h));
	stream_close(&s);
	of = seed();
	if (!stream_ready(&s, "default", DUPLEX, of))
		return;
	stream_write(&s, 1000);
	say("duplex", "stop=%d eof=%d", sio_stop(s.h), sio_eof(s.h));
	stream_close(&s);
	say_sound("duplex", of, 1000, 16, "2");
}

static void
flush(void)
{
	struct stream s;
	uint32_t of = seed();

	if (!queued(&s, of))
		return;
	say("full", "flush=%d silent=%s", sio_flush(s.h), yes(stream_queued(&s) > LONG / 2));
	stream_close(&s);
	say_sound("full", of, LONG, 16, "2");
	of = seed();
	if (!stream_ready(&s, "default", PLAY, of))
		return;
	stream_write(&s, 960);
	say("part", "flush=%d moves=%d", sio_flush(s.h), s.nmove);
	stream_close(&s);
	say_sound("part", of, 960, 16, "2");
}

static void
closing(void)
{
	struct stream s;
	uint32_t of = seed();

	if (!queued(&s, of))
		return;
	stream_close(&s);
	say_sound("full", of, LONG, 16, "2");
	of = seed();
	if (!stream_ready(&s, "default", PLAY, of))
		return;
	stream_write(&s, 700);
	stream_close(&s);
	say_sound("part", of, 700, 16, "2");
	if (!stream_open(&s, name("default"), DUPLEX, 0))
		return;
	stream_close(&s);
	if (!stream_ready(&s, "default", DUPLEX, seed()))
		return;
	stream_close(&s);
	say("closed", "opened=%s", yes(stream_open(&s, name("default"), DUPLEX, 0)));
	if (s.h != NULL)
		stream_close(&s);
}

/* a process that is gone, in the middle of a message of data */
static void
lost(void)
{
	struct stream s;
	uint32_t of = seed();
	unsigned char part[3] = { 1, 2, 3 };
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (!queued(&s, of))
			_exit(1);
		sio_write(s.h, part, sizeof(part));
		_exit(0);
	}
	waitpid(pid, &status, 0);
	say("gone", "status=%d", status);
	say_sound("gone", of, LONG, 16, "2");
	poll(NULL, 0, 100);
	of = seed();
	say("next", "ready=%d", stream_ready(&s, "default", PLAY, of));
	if (s.h == NULL)
		return;
	stream_write(&s, 2400);
	stream_close(&s);
	say_sound("next", of, 2400, 16, "2");
}

/* start again, with the same parameters and with others: positions begin anew */
static void
restart(void)
{
	struct stream s;
	uint32_t of;

	if (!stream_open(&s, name("default"), PLAY, 0) || !stream_par(&s, 48000, 16, 2, 1920, SIO_IGNORE))
		return;
	of = seed();
	say("one", "start=%d", stream_start(&s, of));
	stream_write(&s, 5000);
	say("one", "stop=%d first=%d bounds=%s", sio_stop(s.h), s.first, yes(!s.broken));
	say_sound("one", of, 5000, 16, "2");
	of = seed();
	say("two", "start=%d", stream_start(&s, of));
	stream_write(&s, 5000);
	say("two", "flush=%d first=%d bounds=%s", sio_flush(s.h), s.first, yes(!s.broken));
	of = seed();
	say("three", "par=%d", stream_par(&s, 48000, 8, 1, 4800, SIO_IGNORE));
	say("three", "bufsz=%u start=%d", s.par.bufsz, stream_start(&s, of));
	stream_write(&s, 10000);
	say("three", "stop=%d first=%d bounds=%s eof=%d", sio_stop(s.h), s.first, yes(!s.broken), sio_eof(s.h));
	say_sound("three", of, 10000, 8, "1");
	stream_close(&s);
}

const struct scenario stop_scenarios[] = {
	{ "stop", stop },
	{ "flush", flush },
	{ "close", closing },
	{ "lost", lost },
	{ "restart", restart },
	{ NULL, NULL }
};
