/*
 * What libsndio refuses, and what every call says once it has: an error is for good.
 */
#include <poll.h>
#include <string.h>

#include "conform.h"

/* every call after an error, then sio_close */
static void
dead(const char *key, struct stream *s)
{
	struct sio_par par;
	struct sio_cap cap;
	struct pollfd pfd;
	char buf[4] = { 0 };

	memset(&pfd, 0, sizeof(pfd));
	say(key, "eof=%d", sio_eof(s->h));
	if (!sio_eof(s->h)) {
		stream_close(s);
		return;
	}
	sio_initpar(&par);
	say(key, "start=%d stop=%d flush=%d setpar=%d getpar=%d getcap=%d setvol=%d", sio_start(s->h), sio_stop(s->h),
	    sio_flush(s->h), sio_setpar(s->h, &par), sio_getpar(s->h, &par), sio_getcap(s->h, &cap), sio_setvol(s->h, 1));
	say(key, "write=%zu read=%zu pollfd=%d revents=%#x nfds=%d", sio_write(s->h, buf, 4), sio_read(s->h, buf, 4),
	    sio_pollfd(s->h, &pfd, POLLIN | POLLOUT), (unsigned)sio_revents(s->h, &pfd), sio_nfds(s->h));
	stream_close(s);
}

static void
nothing(void *arg, int delta)
{
	(void)arg;
	(void)delta;
}

static void
silent(void *arg, unsigned vol)
{
	(void)arg;
	(void)vol;
}

static void
misuse(void)
{
	struct stream s;
	struct sio_par par;
	char buf[4] = { 0 };

	if (stream_open(&s, name("default"), DUPLEX, 0)) {
		say("stop,not started", "stop=%d", sio_stop(s.h));
		dead("stop,not started", &s);
	}
	if (stream_open(&s, name("default"), DUPLEX, 0)) {
		say("flush,not started", "flush=%d", sio_flush(s.h));
		dead("flush,not started", &s);
	}
	if (stream_open(&s, name("default"), DUPLEX, 0)) {
		say("write,not started", "write=%zu", sio_write(s.h, buf, 4));
		dead("write,not started", &s);
	}
	if (stream_open(&s, name("default"), DUPLEX, 0)) {
		say("read,not started", "read=%zu", sio_read(s.h, buf, 4));
		dead("read,not started", &s);
	}
	if (stream_open(&s, name("default"), DUPLEX, 0)) {
		memset(&par, 0, sizeof(par));
		say("setpar,not initialised", "setpar=%d", sio_setpar(s.h, &par));
		dead("setpar,not initialised", &s);
	}
	if (stream_ready(&s, "default", PLAY, seed())) {
		say("start,twice", "start=%d", sio_start(s.h));
		dead("start,twice", &s);
	}
	if (stream_ready(&s, "default", PLAY, seed())) {
		sio_initpar(&par);
		say("setpar,started", "setpar=%d", sio_setpar(s.h, &par));
		dead("setpar,started", &s);
	}
	if (stream_ready(&s, "default", PLAY, seed())) {
		say("getpar,started", "getpar=%d", sio_getpar(s.h, &par));
		dead("getpar,started", &s);
	}
	if (stream_ready(&s, "default", PLAY, seed())) {
		struct sio_cap cap;

		say("getcap,started", "getcap=%d", sio_getcap(s.h, &cap));
		dead("getcap,started", &s);
	}
	if (stream_ready(&s, "default", PLAY, seed())) {
		sio_onmove(s.h, nothing, NULL);
		dead("onmove,started", &s);
	}
	if (stream_ready(&s, "default", PLAY, seed())) {
		say("onvol,started", "onvol=%d", sio_onvol(s.h, silent, NULL));
		dead("onvol,started", &s);
	}
	if (stream_ready(&s, "default", PLAY, seed())) {
		say("read,play only", "read=%zu", sio_read(s.h, buf, 4));
		dead("read,play only", &s);
	}
	if (stream_ready(&s, "default", REC, seed())) {
		say("write,rec only", "write=%zu", sio_write(s.h, buf, 4));
		dead("write,rec only", &s);
	}
}

/* the server closes on what it refuses: the library learns it at its next answer */
static void
refused(void)
{
	struct stream s;
	struct sio_par par;

	if (stream_open(&s, name("default"), PLAY, 0)) {
		sio_initpar(&par);
		par.bits = 40;
		say("bits=40", "setpar=%d eof=%d", sio_setpar(s.h, &par), sio_eof(s.h));
		say("bits=40", "getpar=%d", sio_getpar(s.h, &par));
		dead("bits=40", &s);
	}
	if (stream_open(&s, name("default"), PLAY, 0)) {
		sio_initpar(&par);
		par.xrun = 3;
		say("xrun=3", "setpar=%d eof=%d", sio_setpar(s.h, &par), sio_eof(s.h));
		say("xrun=3", "start=%d", sio_start(s.h));
		dead("xrun=3", &s);
	}
	if (stream_ready(&s, "default", PLAY, seed())) {
		say("vol=128", "setvol=%d", sio_setvol(s.h, 128));
		stream_write(&s, 1920);
		stream_write(&s, 48000);
		dead("vol=128", &s);
	}
}

const struct scenario misuse_scenarios[] = {
	{ "misuse", misuse },
	{ "refused", refused },
	{ NULL, NULL }
};
