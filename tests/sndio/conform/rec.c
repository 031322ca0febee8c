/*
 * Recording: every frame in its turn, never more than the position says; full
 * duplex returns what it plays, aligned.  The card of "ramp" counts its frames;
 * that of "default" records what it plays.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conform.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

static void
blocking(void)
{
	static unsigned char buf[4800 * 4];
	struct stream s;
	int i, v, jumps = 0, unequal = 0;

	if (!stream_ready(&s, "ramp", REC, 0))
		return;
	say("read", "frames=%lld", stream_read(&s, buf, 4800));
	for (i = 0; i < 4800; i++) {
		v = decode(buf + 4 * i, &s.par);
		unequal += v != decode(buf + 4 * i + 2, &s.par);
		if (i > 0)
			jumps += (int16_t)(v - decode(buf + 4 * i - 4, &s.par)) != 1;
	}
	say("ramp", "jumps=%d unequal=%d", jumps, unequal);
	say("moves", "first=%d block=%s bounds=%s zeros=%d", s.first, yes(!s.odd), yes(!s.broken), s.nzero);
	say("stop", "stop=%d", sio_stop(s.h));
	say("again", "start=%d", stream_start(&s, 0));
	say("again", "frames=%lld first=%d", stream_read(&s, buf, 960), s.first);
	say("again", "flush=%d eof=%d", sio_flush(s.h), sio_eof(s.h));
	stream_close(&s);
}

static void
nonblocking(void)
{
	unsigned char buf[1000];
	struct stream s;
	size_t n;
	int r, lied = 0, last = -1, v, jumps = 0;
	unsigned char held[4];
	size_t nheld = 0, i;

	if (!stream_open(&s, name("ramp"), REC, 1) || !stream_par(&s, 48000, 16, 2, 1920, SIO_IGNORE) || !stream_start(&s, 0))
		return;
	say("early", "bytes=%zu", sio_read(s.h, buf, sizeof(buf)));
	while (s.rbytes < 9600 * 4) {
		r = stream_poll(&s, POLLIN, -1);
		if (r & POLLHUP)
			break;
		if (!(r & POLLIN))
			continue;
		n = sio_read(s.h, buf, 1 + s.rbytes % sizeof(buf));
		s.rbytes += n;
		lied += n == 0;
		for (i = 0; i < n; i++) {
			held[nheld++] = buf[i];
			if (nheld == 4) {
				v = decode(held, &s.par);
				jumps += last >= -0x8000 && s.rbytes > sizeof(buf) && (int16_t)(v - last) != 1;
				last = v;
				nheld = 0;
			}
		}
	}
	say("read", "lied=%d jumps=%d bounds=%s", lied, jumps, yes(!s.broken));
	stream_close(&s);
}

static void
encodings(void)
{
	static const struct {
		unsigned bits, bps, sig, le, msb, chan;
	} enc[] = {
		{ 8, 1, 1, 1, 1, 2 }, { 8, 1, 0, 1, 1, 1 }, { 16, 2, 1, 0, 1, 2 }, { 16, 2, 0, 1, 1, 4 }, { 24, 3, 1, 1, 1, 2 },
		{ 24, 4, 1, 1, 0, 2 }, { 24, 4, 0, 0, 1, 1 }, { 20, 3, 1, 1, 0, 3 }, { 32, 4, 1, 1, 1, 8 },
	};
	static unsigned char buf[2561 * 32];
	struct stream s;
	struct sio_par p;
	char key[64];
	size_t k;
	unsigned i, c;
	int v, w, steps, unequal;

	for (k = 0; k < COUNT(enc); k++) {
		if (!stream_open(&s, name("ramp"), REC, 0))
			return;
		sio_initpar(&p);
		p.bits = enc[k].bits;
		p.bps = enc[k].bps;
		p.sig = enc[k].sig;
		p.le = enc[k].le;
		p.msb = enc[k].msb;
		p.rate = 48000;
		p.rchan = enc[k].chan;
		p.appbufsz = 960;
		snprintf(key, sizeof(key), "bits=%u,bps=%u,sig=%u,le=%u,msb=%u,rchan=%u", p.bits, p.bps, p.sig, p.le, p.msb,
		    p.rchan);
		if (!sio_setpar(s.h, &p) || !sio_getpar(s.h, &s.par) || !stream_start(&s, 0))
			return;
		stream_read(&s, buf, 2561);
		steps = unequal = 0;
		for (i = 0; i < 2561; i++) {
			v = decode(buf + i * s.rbpf, &s.par);
			for (c = 1; c < s.par.rchan; c++)
				unequal += v != decode(buf + i * s.rbpf + c * s.par.bps, &s.par);
			w = i ? decode(buf + (i - 1) * s.rbpf, &s.par) : v;
			steps += (int16_t)(v - w) == (s.par.bits >= 16 ? 1 : 256);
		}
		/* 10 steps of a top byte, 2560 of the whole */
		say(key, "steps=%d unequal=%d", steps, unequal);
		stream_close(&s);
	}
}

static void
duplex_on(const char *key, const char *sub)
{
	static unsigned char buf[480 * 4];
	struct stream s;
	struct sound heard;
	uint32_t of = seed();
	int i, k, wrong = 0;

	hurry();
	if (!stream_ready(&s, sub, DUPLEX, of))
		return;
	sound_init(&heard, of, 16);
	stream_write(&s, s.par.appbufsz - 480);
	stream_idle(&s, 25);
	say(key, "moves=%d", s.nmove);
	stream_write(&s, s.par.bufsz - s.par.appbufsz + 480);
	for (k = 0; k < 30; k++) {
		if (stream_read(&s, buf, 480) < 480)
			break;
		for (i = 0; i < 960; i++)
			wrong += decode(buf + 2 * i, &s.par) != sound_next(&heard);
		stream_write(&s, 480);
	}
	say(key, "blocks=%d wrong=%d first=%d block=%s bounds=%s", k, wrong, s.first, yes(!s.odd), yes(!s.broken));
	say(key, "stop=%d eof=%d", sio_stop(s.h), sio_eof(s.h));
	stream_close(&s);
	hurried();
}

static void
duplex(void)
{
	duplex_on("default", "default");
	duplex_on("mon", "mon");
}

/* at another rate: how far the sound is behind, by the centre of a pulse */
static void
duplex_rate(void)
{
	static unsigned char buf[441 * 4];
	struct stream s;
	long long n = 0, centre = 0, weight = 0, at;
	int i, k, v;

	hurry();
	if (!stream_open(&s, name("default"), DUPLEX, 0) || !stream_par(&s, 44100, 16, 2, 1764, SIO_IGNORE) ||
	    !stream_start(&s, 0))
		return;
	for (k = 0; k < 32; k++) {
		for (i = 0; i < 441; i++, n++) {
			/* a smooth pulse of 80 frames with its centre at 3000 */
			at = n - 3000;
			v = at > -40 && at < 40 ? (int)((1600 - at * at) * (1600 - at * at) / 160) : 0;
			encode(buf + 4 * i, &s.par, v);
			encode(buf + 4 * i + 2, &s.par, v);
		}
		s.wbytes += sio_write(s.h, buf, sizeof(buf));
		if (k < (int)(s.par.bufsz / 441))
			continue;
		if (stream_read(&s, buf, 441) < 441)
			break;
		for (i = 0; i < 441; i++) {
			v = abs(decode(buf + 4 * i, &s.par));
			at = (long long)(s.rbytes / 4) - 441 + i;
			if (v > 200 && at < 4000) {
				centre += at * v;
				weight += v;
			}
		}
	}
	say("centre", "behind=%lld bounds=%s", weight ? (centre + weight / 2) / weight - 3000 : -1, yes(!s.broken));
	stream_close(&s);
	hurried();
}

/* a direction that the sub-device lacks is there and silent */
static void
lacking(void)
{
	static unsigned char buf[480 * 4];
	struct stream s;
	size_t i;
	int sound = 0;

	if (!stream_ready(&s, "playonly", REC, 0))
		return;
	say("playonly", "frames=%lld", stream_read(&s, buf, 480));
	for (i = 0; i < sizeof(buf); i++)
		sound |= buf[i];
	say("playonly", "sound=%s stop=%d", yes(sound), sio_stop(s.h));
	stream_close(&s);
}

const struct scenario rec_scenarios[] = {
	{ "rec", blocking },
	{ "rec-nonblocking", nonblocking },
	{ "rec-encodings", encodings },
	{ "duplex", duplex },
	{ "duplex-rate", duplex_rate },
	{ "lacking", lacking },
	{ NULL, NULL }
};
