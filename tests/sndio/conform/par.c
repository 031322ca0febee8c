/*
 * Parameters: what sio_getpar says after sio_setpar, over tables of each field.
 */
#include <stdio.h>
#include <string.h>

#include "conform.h"

#define NONE	(~0u)
#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

static void
tell(const char *key, struct sio_hdl *h)
{
	struct sio_par p;

	memset(&p, 0, sizeof(p));
	if (!sio_getpar(h, &p)) {
		say(key, "eof=%d", sio_eof(h));
		return;
	}
	say(key, "bits=%u bps=%u sig=%u le=%u msb=%u rchan=%u pchan=%u rate=%u bufsz=%u xrun=%u round=%u appbufsz=%u",
	    p.bits, p.bps, p.sig, p.le, p.msb, p.rchan, p.pchan, p.rate, p.bufsz, p.xrun, p.round, p.appbufsz);
}

static void
ask(const char *key, unsigned mode, struct sio_par *p)
{
	struct sio_hdl *h = sio_open(name("default"), mode, 0);

	if (h == NULL) {
		say(key, "opened=no");
		return;
	}
	if (p != NULL && !sio_setpar(h, p))
		say(key, "setpar=0");
	else
		tell(key, h);
	sio_close(h);
}

static void
defaults(void)
{
	struct sio_par p;

	ask("play", PLAY, NULL);
	ask("rec", REC, NULL);
	ask("duplex", DUPLEX, NULL);
	sio_initpar(&p);
	ask("empty", DUPLEX, &p);
}

static void
rates(void)
{
	static const unsigned rate[] = { 0, 1, 3999, 4000, 4001, 5512, 6000, 8000, 11025, 12000, 16000, 22050, 22051, 24000,
	    32000, 37800, 44056, 44100, 44101, 47999, 48000, 48001, 64000, 88200, 96000, 176400, 192000, 192001, 500000 };
	struct sio_par p;
	char key[40];
	size_t i;

	for (i = 0; i < COUNT(rate); i++) {
		sio_initpar(&p);
		p.rate = rate[i];
		snprintf(key, sizeof(key), "rate=%u", rate[i]);
		ask(key, PLAY, &p);
	}
}

static void
buffers(void)
{
	static const unsigned app[] = { 0, 1, 100, 239, 240, 441, 480, 500, 700, 719, 720, 1000, 1920, 4000, 4800, 10000, 48000,
	    48480, 100000, 1000000, 0x7fffffff };
	static const unsigned rate[] = { 48000, 44100, 8000, 22050, 192000 };
	struct sio_par p;
	char key[40];
	size_t i, k;

	for (k = 0; k < COUNT(rate); k++) {
		for (i = 0; i < COUNT(app); i++) {
			sio_initpar(&p);
			p.rate = rate[k];
			p.appbufsz = app[i];
			snprintf(key, sizeof(key), "rate=%u,appbufsz=%u", rate[k], app[i]);
			ask(key, PLAY, &p);
		}
	}
	sio_initpar(&p);
	p.appbufsz = 960;
	ask("appbufsz=960", PLAY, &p);
	sio_initpar(&p);
	p.bufsz = 960;
	ask("bufsz=960", PLAY, &p);
	sio_initpar(&p);
	p.round = 100;
	ask("round=100", PLAY, &p);
}

static void
encodings(void)
{
	struct sio_par p;
	char key[40];
	unsigned bits, bps, i;

	for (bits = 0; bits <= 34; bits++) {
		sio_initpar(&p);
		p.bits = bits;
		snprintf(key, sizeof(key), "bits=%u", bits);
		ask(key, PLAY, &p);
	}
	for (bits = 8; bits <= 32; bits += 4) {
		for (bps = 0; bps <= 5; bps++) {
			sio_initpar(&p);
			p.bits = bits;
			p.bps = bps;
			snprintf(key, sizeof(key), "bits=%u,bps=%u", bits, bps);
			ask(key, REC, &p);
		}
	}
	sio_initpar(&p);
	p.bps = 2;
	ask("bps=2", PLAY, &p);
	for (i = 0; i < 8; i++) {
		sio_initpar(&p);
		p.bits = 20;
		p.bps = 3;
		p.sig = i & 1;
		p.le = i >> 1 & 1;
		p.msb = i >> 2 & 1;
		snprintf(key, sizeof(key), "sig=%u,le=%u,msb=%u", p.sig, p.le, p.msb);
		ask(key, PLAY, &p);
	}
	sio_initpar(&p);
	p.sig = p.le = p.msb = 2;
	ask("flags=2", PLAY, &p);
}

static void
channels(void)
{
	static const unsigned chan[] = { 0, 1, 2, 3, 6, 16, 63, 64, 65, 1000, 32767 };
	struct sio_par p;
	char key[40];
	size_t i;

	for (i = 0; i < COUNT(chan); i++) {
		sio_initpar(&p);
		p.pchan = chan[i];
		p.rchan = chan[COUNT(chan) - 1 - i];
		snprintf(key, sizeof(key), "pchan=%u,rchan=%u", p.pchan, p.rchan);
		ask(key, DUPLEX, &p);
		snprintf(key, sizeof(key), "play,pchan=%u,rchan=%u", p.pchan, p.rchan);
		ask(key, PLAY, &p);
	}
	sio_initpar(&p);
	ask("left", PLAY, &p);
}

static void
policies(void)
{
	struct sio_par p;
	char key[40];
	unsigned i;

	for (i = 0; i <= 5; i++) {
		sio_initpar(&p);
		p.xrun = i;
		snprintf(key, sizeof(key), "xrun=%u", i);
		ask(key, DUPLEX, &p);
	}
	sio_initpar(&p);
	p.xrun = 127;
	ask("xrun=127", PLAY, &p);
}

/* each setpar applies on top of what was in force */
static void
sequence(void)
{
	struct sio_hdl *h = sio_open(name("default"), DUPLEX, 0);
	struct sio_par p;

	if (h == NULL)
		return;
	sio_initpar(&p);
	p.bits = 16;
	p.rate = 44100;
	p.appbufsz = 4410;
	sio_setpar(h, &p);
	tell("bits,rate,appbufsz", h);
	sio_initpar(&p);
	p.pchan = 1;
	sio_setpar(h, &p);
	tell("pchan", h);
	sio_initpar(&p);
	p.rate = 24000;
	sio_setpar(h, &p);
	tell("rate", h);
	sio_initpar(&p);
	p.appbufsz = 960;
	p.xrun = SIO_SYNC;
	sio_setpar(h, &p);
	tell("appbufsz,xrun", h);
	sio_initpar(&p);
	p.bits = 24;
	sio_setpar(h, &p);
	tell("bits", h);
	sio_initpar(&p);
	sio_setpar(h, &p);
	tell("nothing", h);
	sio_initpar(&p);
	p.bits = 16;
	p.bps = 1;
	say("refused", "setpar=%d", sio_setpar(h, &p));
	tell("refused,getpar", h);
	sio_close(h);
}

const struct scenario par_scenarios[] = {
	{ "defaults", defaults },
	{ "rates", rates },
	{ "buffers", buffers },
	{ "encodings", encodings },
	{ "channels", channels },
	{ "policies", policies },
	{ "sequence", sequence },
	{ NULL, NULL }
};
