/*
 * Volume: what onvol tells and when, what it does to the sound, who remembers it.
 * Each scenario is a program of a name of its own, since servers remember names.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "conform.h"

extern const char *__progname;

static void
volume(void)
{
	struct stream s, t;
	uint32_t of = seed();

	__progname = "tellvol";
	if (!stream_open(&s, name("default"), PLAY, 0))
		return;
	say("onvol", "calls=%d vol=%d", s.nvol, s.vol);
	say("setvol", "setvol=%d", sio_setvol(s.h, 100));
	say("setvol", "calls=%d vol=%d", s.nvol, s.vol);
	sio_setvol(s.h, 127);
	stream_par(&s, 48000, 16, 2, 1920, SIO_IGNORE);
	stream_start(&s, of);
	s.nvol = 0;
	stream_write(&s, s.par.bufsz);
	stream_until(&s, 480);
	say("started", "calls=%d vol=%d", s.nvol, s.vol);
	sio_setvol(s.h, 64);
	s.nvol = 0;
	stream_write(&s, 480);
	stream_until(&s, 960);
	say("changed", "calls=%d vol=%d", s.nvol, s.vol);
	stream_close(&s);
	/* the same program again */
	if (!stream_ready(&t, "default", PLAY, seed()))
		return;
	t.nvol = 0;
	stream_write(&t, t.par.bufsz);
	stream_until(&t, 480);
	say("reopened", "calls=%d vol=%d", t.nvol, t.vol);
	stream_close(&t);
	/* set before start, sent by the first write; what start says comes in between for who polls */
	if (!stream_open(&t, name("default"), PLAY, 0))
		return;
	stream_par(&t, 48000, 16, 2, 1920, SIO_IGNORE);
	sio_setvol(t.h, 90);
	stream_start(&t, seed());
	stream_write(&t, t.par.bufsz);
	stream_until(&t, 480);
	stream_close(&t);
	if (!stream_ready(&t, "default", PLAY, seed()))
		return;
	stream_write(&t, t.par.bufsz);
	stream_until(&t, 480);
	say("kept", "vol=%d", t.vol);
	stream_close(&t);
}

/* two streams of one program */
static void
shared(void)
{
	struct stream a, b;

	__progname = "twins";
	if (!stream_ready(&a, "default", PLAY, seed()) || !stream_ready(&b, "default", PLAY, seed()))
		return;
	stream_write(&a, a.par.bufsz);
	stream_write(&b, b.par.bufsz);
	stream_until(&b, 480);
	b.nvol = 0;
	sio_setvol(a.h, 80);
	stream_write(&a, 480);
	stream_idle(&b, 100);
	say("other", "calls=%d vol=%d", b.nvol, b.vol);
	stream_close(&a);
	stream_close(&b);
}

/* what comes back from the card, against what was played */
static void
gains(void)
{
	static const unsigned vol[] = { 127, 109, 64, 1, 0, 127 };
	static unsigned char buf[480 * 4];
	struct stream s;
	char key[16];
	size_t i;
	int k, j;
	double sum, v;

	__progname = "gains";
	if (!stream_ready(&s, "default", DUPLEX, seed()))
		return;
	stream_write(&s, s.par.bufsz);
	for (i = 0; i < sizeof(vol) / sizeof(vol[0]); i++) {
		sio_setvol(s.h, vol[i]);
		sum = 0;
		for (k = 0; k < 30; k++) {
			stream_write(&s, 480);
			if (stream_read(&s, buf, 480) < 480)
				return;
			for (j = 0; k >= 20 && j < 960; j++) {
				v = decode(buf + 2 * j, &s.par);
				sum += v * v;
			}
		}
		snprintf(key, sizeof(key), "%zu,vol=%u", i, vol[i]);
		/* the sound is noise of full scale: 32768 / sqrt(3) */
		if (sum == 0)
			say(key, "silent=yes");
		else
			say(key, "dB=%d", (int)lround(10 * log10(sum / 9600 / (32768.0 * 32768.0 / 3))));
	}
	stream_close(&s);
}

const struct scenario volume_scenarios[] = {
	{ "volume", volume },
	{ "shared", shared },
	{ "gains", gains },
	{ NULL, NULL }
};
