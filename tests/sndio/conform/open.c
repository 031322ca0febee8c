/*
 * Opening: modes, names, the environment, how many; and what needs no server's
 * answer at all (sio_getcap).
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "conform.h"

#define MANY	12			/* more than Debian's sndiod has */

static void
try(const char *key, const char *device, unsigned mode, int nbio)
{
	struct sio_hdl *h = sio_open(device, mode, nbio);

	say(key, "opened=%s", yes(h != NULL));
	if (h != NULL)
		sio_close(h);
}

static void
modes(void)
{
	static const unsigned mode[] = { 0, 1, 2, 3, 4, 5, 7, 9, 0x10, 0x11, 0x13, 0x100, 0x101, 0x103, 0xff };
	char key[32];
	size_t i;

	for (i = 0; i < sizeof(mode) / sizeof(mode[0]); i++) {
		snprintf(key, sizeof(key), "mode=%#x", mode[i]);
		try(key, name("default"), mode[i], 0);
	}
	try("nbio", name("default"), DUPLEX, 1);
}

static void
names(void)
{
	/* %s is ",UNIT" */
	static const char *const form[] = {
		"snd%s/default", "snd%s/0", "snd%s/0.default", "snd%s/1", "snd%s/1.default", "snd%s/2", "snd%s/15", "snd%s/16",
		"snd%s/ramp", "snd%s/1.ramp", "snd%s/0.ramp", "snd%s/mon", "snd%s/nosuch", "snd%s/elevenchars",
		"snd%s/twelve_chars", "snd%s/", "snd%s", "snd%s/0.", "snd%s/0.0", "snd%s/default/", "snd%s/default.x",
		"snd%s/Default", "snd%s/00", "snd%s/-1", "sndx%s/0", "snd@127.0.0.1%s/default", "snd@127.0.0.1%s/0",
		"snd@127.0.0.1%s/nosuch", "snd@%s/0", "snd,16/0", "snd,/0", "midi%s/0", "midithru%s/0", "bogus", "",
	};
	char with[16], device[64], key[64];
	size_t i;

	snprintf(with, sizeof(with), ",%u", unit());
	for (i = 0; i < sizeof(form) / sizeof(form[0]); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(device, sizeof(device), form[i], with);
		snprintf(key, sizeof(key), form[i], "");
#pragma GCC diagnostic pop
		try(key, device, PLAY, 0);
	}
}

static void
environment(void)
{
	unsigned mode;
	char key[32];
	static const char *const of[] = { "", "play", "rec", "duplex" };

	for (mode = 1; mode <= 3; mode++) {
		unsetenv("AUDIOPLAYDEVICE");
		unsetenv("AUDIORECDEVICE");
		setenv("AUDIODEVICE", name("0"), 1);
		snprintf(key, sizeof(key), "%s,any=0", of[mode]);
		try(key, NULL, mode, 0);
		snprintf(key, sizeof(key), "%s,any=0,default", of[mode]);
		try(key, "default", mode, 0);
		setenv("AUDIODEVICE", name("nosuch"), 1);
		snprintf(key, sizeof(key), "%s,any=nosuch", of[mode]);
		try(key, NULL, mode, 0);
		setenv("AUDIOPLAYDEVICE", name("0"), 1);
		snprintf(key, sizeof(key), "%s,play=0", of[mode]);
		try(key, NULL, mode, 0);
		unsetenv("AUDIOPLAYDEVICE");
		setenv("AUDIORECDEVICE", name("0"), 1);
		snprintf(key, sizeof(key), "%s,rec=0", of[mode]);
		try(key, NULL, mode, 0);
		snprintf(key, sizeof(key), "%s,named", of[mode]);
		try(key, name("default"), mode, 0);
	}
}

static void
many(void)
{
	struct sio_hdl *h[MANY];
	int i, n = 0;

	for (i = 0; i < MANY; i++)
		n += (h[i] = sio_open(name("default"), PLAY, 0)) != NULL;
	say("of=12", "opened=%d", n);
	for (i = 0; i < MANY; i++)
		if (h[i] != NULL)
			sio_close(h[i]);
	try("after", name("default"), PLAY, 0);
}

static void
capabilities(void)
{
	struct sio_cap cap;
	struct sio_hdl *h = sio_open(name("default"), DUPLEX, 0);
	char key[16];
	unsigned i;

	say("opened", "opened=%s", yes(h != NULL));
	if (h == NULL)
		return;
	say("getcap", "ok=%d nconf=%u", sio_getcap(h, &cap), cap.nconf);
	say("conf", "enc=%#x rchan=%#x pchan=%#x rate=%#x", cap.confs[0].enc, cap.confs[0].rchan, cap.confs[0].pchan,
	    cap.confs[0].rate);
	for (i = 0; i < SIO_NENC; i++) {
		snprintf(key, sizeof(key), "enc%u", i);
		say(key, "bits=%u bps=%u sig=%u le=%u msb=%u", cap.enc[i].bits, cap.enc[i].bps, cap.enc[i].sig,
		    cap.enc[i].le, cap.enc[i].msb);
	}
	for (i = 0; i < SIO_NCHAN; i++) {
		snprintf(key, sizeof(key), "chan%u", i);
		say(key, "rchan=%u pchan=%u", cap.rchan[i], cap.pchan[i]);
	}
	for (i = 0; i < SIO_NRATE; i++) {
		if (cap.confs[0].rate & 1u << i) {
			snprintf(key, sizeof(key), "rate%u", i);
			say(key, "rate=%u", cap.rate[i]);
		}
	}
	say("nfds", "nfds=%d", sio_nfds(h));
	sio_close(h);
}

/* what is asked of poll, and what comes of it, before and after start and as the credit goes */
static void
readiness(void)
{
	struct stream s;
	struct pollfd pfd;
	unsigned char silence[480 * 4] = { 0 };
	int i, n;

	if (!stream_open(&s, name("default"), PLAY, 1) || !stream_par(&s, 48000, 16, 2, 1920, SIO_IGNORE))
		return;
	n = sio_pollfd(s.h, &pfd, POLLIN | POLLOUT);
	say("opened", "n=%d events=%#x", n, (unsigned)pfd.events);
	stream_start(&s, 0);
	n = sio_pollfd(s.h, &pfd, POLLIN | POLLOUT);
	say("started", "n=%d events=%#x", n, (unsigned)pfd.events);
	while (!(stream_poll(&s, POLLOUT, -1) & (POLLOUT | POLLHUP)))
		;
	n = sio_pollfd(s.h, &pfd, POLLIN | POLLOUT);
	say("credit", "n=%d events=%#x", n, (unsigned)pfd.events);
	n = sio_pollfd(s.h, &pfd, 0);
	say("none", "n=%d events=%#x", n, (unsigned)pfd.events);
	for (i = 0; i < 3; i++)
		say("write", "bytes=%zu", sio_write(s.h, silence, sizeof(silence)));
	stream_idle(&s, 60);
	say("short", "moves=%d", s.nmove);
	say("last", "bytes=%zu", sio_write(s.h, silence, sizeof(silence)));
	say("full", "bytes=%zu", sio_write(s.h, silence, sizeof(silence)));
	n = sio_pollfd(s.h, &pfd, POLLIN | POLLOUT);
	say("spent", "n=%d events=%#x", n, (unsigned)pfd.events);
	while (!(stream_poll(&s, POLLOUT, -1) & (POLLOUT | POLLHUP)))
		;
	s.wbytes = 4 * sizeof(silence);
	say("again", "bytes=%zu eof=%d", sio_write(s.h, silence, sizeof(silence)), sio_eof(s.h));
	stream_close(&s);
}

const struct scenario open_scenarios[] = {
	{ "modes", modes },
	{ "names", names },
	{ "environment", environment },
	{ "many", many },
	{ "capabilities", capabilities },
	{ "readiness", readiness },
	{ NULL, NULL }
};
