/*
 * Playing: when it begins, what positions say, blocking or not, every
 * encoding and channel count; what was played is looked for in the card.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "conform.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))
#define FEW		1		/* frames a sio_write of the scenario `few` */

/* what must be true of the positions of a stream that played */
static void
positions(const char *key, const struct stream *s)
{
	say(key, "first=%d began=%s block=%s bounds=%s", s->first,
	    yes(s->wfirst >= s->par.appbufsz && s->wfirst <= s->par.bufsz), yes(!s->odd), yes(!s->broken));
}

static void
blocking(void)
{
	struct stream s;
	uint32_t of = seed();

	hurry();
	if (!stream_ready(&s, "default", PLAY, of))
		return;
	stream_write(&s, s.par.appbufsz - 480);
	stream_idle(&s, 25);
	stream_idle(&s, 25);
	say("not full", "moves=%d", s.nmove);
	say("write", "frames=%lld", stream_write(&s, 12000));
	say("stop", "stop=%d", sio_stop(s.h));
	positions("moves", &s);
	say("zeros", "zeros=%d xruns=%d", s.nzero, s.nxrun);
	stream_close(&s);
	hurried();
	say_sound("sound", of, 12000 + 1440, 16, "2");
}

/* a program of its own loop: what poll says can be written is */
static void
nonblocking(void)
{
	struct stream s;
	uint32_t of = seed();
	unsigned char block[480 * 4];
	size_t len = 0, at = 0;
	int i, blocked = 0, lied = 0;
	long long frames = 0;

	if (!stream_open(&s, name("default"), PLAY, 1) || !stream_par(&s, 48000, 16, 2, 1920, SIO_IGNORE) ||
	    !stream_start(&s, of))
		return;
	while (frames < 14400 || at < len) {
		if (at == len) {
			for (i = 0; i < 960; i++)
				encode(block + 2 * i, &s.par, sound_next(&s.sound));
			len = sizeof(block);
			at = 0;
			frames += 480;
		}
		i = stream_poll(&s, POLLOUT, -1);
		if (i & POLLHUP)
			break;
		if (i & POLLOUT) {
			size_t n = sio_write(s.h, block + at, len - at);

			if (n == 0 && stream_queued(&s) < (long long)s.par.bufsz)
				lied++;
			at += n;
			s.wbytes += n;
			if (at < len)
				blocked++;
		}
	}
	say("wrote", "frames=%llu blocked=%s lied=%d", (unsigned long long)(s.wbytes / 4), yes(blocked > 0), lied);
	say("stop", "stop=%d", sio_stop(s.h));
	positions("moves", &s);
	stream_close(&s);
	say_sound("sound", of, 14400, 16, "2");
}

/* pieces that are no frames, no blocks: byte counts from 1 to 1000 */
static void
pieces(void)
{
	struct stream s;
	uint32_t of = seed();
	static unsigned char data[9600 * 4];
	size_t at, n, i;

	if (!stream_ready(&s, "default", PLAY, of))
		return;
	for (i = 0; i < 2 * 9600; i++)
		encode(data + 2 * i, &s.par, sound_next(&s.sound));
	for (at = 0, i = 1; at < sizeof(data); at += n, i = i * 7 % 1009) {
		n = i < sizeof(data) - at ? i : sizeof(data) - at;
		n = sio_write(s.h, data + at, n);
		s.wbytes += n;
		if (n == 0)
			break;
	}
	say("wrote", "bytes=%zu", at);
	say("stop", "stop=%d", sio_stop(s.h));
	stream_close(&s);
	say_sound("sound", of, 9600, 16, "2");
}

/* a few frames at a time: many messages of the wire, each of little sound */
static void
few(void)
{
	struct stream s;
	uint32_t of = seed();
	unsigned char frames[FEW * 4];
	int i, k;

	if (!stream_ready(&s, "default", PLAY, of))
		return;
	for (i = 0; i < 19200; i += FEW) {
		for (k = 0; k < 2 * FEW; k++)
			encode(frames + 2 * k, &s.par, sound_next(&s.sound));
		s.wbytes += sio_write(s.h, frames, sizeof(frames));
	}
	say("wrote", "bytes=%llu xruns=%s", (unsigned long long)s.wbytes, yes(s.nzero > 0 || s.nxrun > 0));
	say("stop", "stop=%d", sio_stop(s.h));
	stream_close(&s);
	say_sound("sound", of, 19200, 16, "2");
}

static void
encodings(void)
{
	static const struct {
		unsigned bits, bps, sig, le, msb;
	} enc[] = {
		{ 8, 1, 1, 1, 1 }, { 8, 1, 0, 1, 1 }, { 16, 2, 1, 1, 1 }, { 16, 2, 1, 0, 1 }, { 16, 2, 0, 1, 1 },
		{ 16, 2, 0, 0, 1 }, { 24, 3, 1, 1, 1 }, { 24, 3, 1, 0, 1 }, { 24, 4, 1, 1, 1 }, { 24, 4, 1, 1, 0 },
		{ 24, 4, 0, 0, 0 }, { 20, 3, 1, 1, 0 }, { 20, 4, 0, 1, 1 }, { 12, 2, 1, 1, 0 }, { 12, 2, 1, 0, 1 },
		{ 32, 4, 1, 1, 1 }, { 32, 4, 0, 0, 1 },
	};
	struct stream s;
	struct sio_par p;
	uint32_t of;
	char key[64];
	size_t i;

	for (i = 0; i < COUNT(enc); i++) {
		if (!stream_open(&s, name("default"), PLAY, 0))
			return;
		sio_initpar(&p);
		p.bits = enc[i].bits;
		p.bps = enc[i].bps;
		p.sig = enc[i].sig;
		p.le = enc[i].le;
		p.msb = enc[i].msb;
		p.rate = 48000;
		p.pchan = 2;
		p.appbufsz = 960;
		of = seed();
		snprintf(key, sizeof(key), "bits=%u,bps=%u,sig=%u,le=%u,msb=%u", p.bits, p.bps, p.sig, p.le, p.msb);
		if (!sio_setpar(s.h, &p) || !sio_getpar(s.h, &s.par) || !stream_start(&s, of)) {
			say(key, "eof=%d", sio_eof(s.h));
			stream_close(&s);
			continue;
		}
		stream_write(&s, 2500);
		sio_stop(s.h);
		stream_close(&s);
		say_sound(key, of, 2500, enc[i].bits < 16 ? enc[i].bits : 16, "2");
	}
}

/* one to eight channels on a card of two: joined, copied, dropped */
static void
channels(void)
{
	char nchan[12];
	struct stream s;
	uint32_t of;
	char key[16];
	unsigned n;

	for (n = 1; n <= 8; n++) {
		of = seed();
		if (!stream_open(&s, name("default"), PLAY, 0) || !stream_par(&s, 48000, 16, n, 960, SIO_IGNORE))
			return;
		if (!stream_start(&s, of))
			return;
		sound_init(&s.sound, of, 14);
		stream_write(&s, 2500);
		sio_stop(s.h);
		stream_close(&s);
		snprintf(key, sizeof(key), "channels=%u", n);
		snprintf(nchan, sizeof(nchan), "%u", n);
		say_sound(key, of, 2500, 14, nchan);
	}
}

/* other rates: how long it sounds, and which tone */
static void
rates(void)
{
	static const unsigned rate[] = { 8000, 22050, 22051, 44100, 44101, 96000 };
	struct stream s;
	char key[32];
	unsigned char b[100 * 4], *p;
	unsigned k, i, frames;
	long long v;

	for (k = 0; k < COUNT(rate); k++) {
		if (!stream_open(&s, name("default"), PLAY, 0) || !stream_par(&s, rate[k], 16, 2, rate[k] / 10, SIO_IGNORE))
			return;
		snprintf(key, sizeof(key), "rate=%u", rate[k]);
		if (!stream_start(&s, 0))
			return;
		frames = rate[k] / 400 * 100;
		for (i = 0; i < frames; i++) {
			/* a parabola approximates each half of a wave of rate / 40 */
			v = (long long)(i % 20) * (20 - i % 20) * 80;
			p = b + i % 100 * 4;
			encode(p, &s.par, (int)(i / 20 % 2 ? -v : v));
			memcpy(p + 2, p, 2);
			if (i % 100 == 99)
				s.wbytes += sio_write(s.h, b, sizeof(b));
		}
		say(key, "stop=%d", sio_stop(s.h));
		positions(key, &s);
		stream_idle(&s, 150);
		stream_close(&s);
		say(key, "@tone rate=%u frames=%u period=40", rate[k], frames);
	}
}

/* by TCP, on a sub-device of one channel, on one that only records */
static void
subdevices(void)
{
	struct stream s;
	char tcp[40];
	uint32_t of = seed();

	snprintf(tcp, sizeof(tcp), "snd@127.0.0.1,%u/default", unit());
	if (stream_open(&s, tcp, PLAY, 0) && stream_par(&s, 48000, 16, 2, 1920, SIO_IGNORE) && stream_start(&s, of)) {
		say("tcp", "write=%lld", stream_write(&s, 9600));
		say("tcp", "stop=%d", sio_stop(s.h));
		stream_close(&s);
		say_sound("tcp", of, 9600, 16, "2");
	}
	of = seed();
	if (stream_ready(&s, "left", PLAY, of)) {
		sound_init(&s.sound, of, 14);
		stream_write(&s, 2500);
		say("left", "pchan=%u stop=%d", s.par.pchan, sio_stop(s.h));
		stream_close(&s);
		say_sound("left", of, 2500, 14, "left");
	}
	if (stream_open(&s, name("left"), DUPLEX, 0)) {
		sio_getpar(s.h, &s.par);
		say("left,default", "pchan=%u rchan=%u", s.par.pchan, s.par.rchan);
		stream_close(&s);
	}
	of = seed();
	if (stream_ready(&s, "reconly", PLAY, of)) {
		say("reconly", "write=%lld", stream_write(&s, 4800));
		say("reconly", "stop=%d", sio_stop(s.h));
		stream_close(&s);
		say_sound("reconly", of, 4800, 16, "2");
	}
}

const struct scenario play_scenarios[] = {
	{ "blocking", blocking },
	{ "nonblocking", nonblocking },
	{ "pieces", pieces },
	{ "few", few },
	{ "play-encodings", encodings },
	{ "play-channels", channels },
	{ "play-rates", rates },
	{ "subdevices", subdevices },
	{ NULL, NULL }
};
