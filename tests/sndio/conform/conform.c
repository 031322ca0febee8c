/*
 * Drives every sio_*, mio_* and sioctl_* function of the libsndio it is linked with against the
 * server of a unit, and prints what a program can observe, one line each.
 * conform -u UNIT [-n ATTEMPT] SCENARIO; conform -l lists them, conform -x says whether
 * the library has sio_onxrun.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conform.h"

#define PATIENCE	30		/* seconds until a scenario that hangs is ended */

static const struct scenario *const groups[] = {
	open_scenarios, par_scenarios, misuse_scenarios, play_scenarios, stop_scenarios, rec_scenarios,
	xrun_scenarios, volume_scenarios, control_scenarios, midi_scenarios, mmc_scenarios, NULL
};
static const struct scenario *current;
static unsigned the_unit, attempt, nseed;
static int hurrying, late;
static long long due_ms, due_moved;	/* a position, and when it was told */

void
say(const char *key, const char *fmt, ...)
{
	va_list ap;

	printf("%s/%s ", current->name, key);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void
say_sound(const char *key, uint32_t of, long long frames, unsigned bits, const char *channels)
{
	say(key, "@sound seed=%u frames=%lld bits=%u channels=%s", of, frames, bits, channels);
}

const char *
yes(int so)
{
	return so ? "yes" : "no";
}

unsigned
unit(void)
{
	return the_unit;
}

const char *
name(const char *sub)
{
	static char buf[64];

	snprintf(buf, sizeof(buf), "snd,%u/%s", the_unit, sub);
	return buf;
}

uint32_t
seed(void)
{
	uint32_t h = 2166136261u;
	const char *p;

	for (p = current->name; *p != '\0'; p++)
		h = (h ^ (uint32_t)(unsigned char)*p) * 16777619u;
	return h + 7919u * attempt + 104729u * nseed++;
}

long long
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
hurry(void)
{
	hurrying = 1;
	late = 0;
	due_ms = -1;
}

void
hurried(void)
{
	hurrying = 0;
	if (late)
		exit(EXIT_LATE);
}

/* positions come with the card's clock: those that come together later than that were waiting for us */
static void
look(const struct stream *s)
{
	long long t = now_ms();

	if (due_ms >= 0 && t - due_ms - (s->moved - due_moved) * 1000 / s->par.rate > LATE_MS)
		late = 1;
	if (due_ms < 0) {
		due_ms = t;
		due_moved = s->moved;
	}
}

void
sound_init(struct sound *s, uint32_t of, unsigned bits)
{
	s->x = of;
	s->mask = bits >= 16 ? 0xffffu : 0xffffu << (16 - bits) & 0xffffu;
}

int
sound_next(struct sound *s)
{
	uint32_t v;

	s->x = s->x * 1664525u + 1013904223u;
	v = s->x >> 16 & s->mask;
	if (v == 0)
		v = s->mask & (~s->mask + 1);
	return (int16_t)(uint16_t)v;
}

void
encode(unsigned char *p, const struct sio_par *par, int sample)
{
	uint32_t v = (uint32_t)sample << 16;
	unsigned i;

	/* what is below the top of a container is sign, as a program that counts in ints has it */
	v = (uint32_t)((int32_t)v >> (32 - par->bits));
	if (!par->sig)
		v = (v ^ 1u << (par->bits - 1)) & 0xffffffffu >> (32 - par->bits);
	if (par->msb)
		v <<= 8 * par->bps - par->bits;
	for (i = 0; i < par->bps; i++)
		p[i] = (unsigned char)(v >> 8 * (par->le ? i : par->bps - 1 - i));
}

int
decode(const unsigned char *p, const struct sio_par *par)
{
	uint32_t v = 0;
	unsigned i;

	for (i = 0; i < par->bps; i++)
		v |= (uint32_t)p[i] << 8 * (par->le ? i : par->bps - 1 - i);
	v <<= 32 - (par->msb ? 8 * par->bps : par->bits);
	if (!par->sig)
		v ^= 1u << 31;
	return (int32_t)v >> 16;
}

static void
on_move(void *arg, int delta)
{
	struct stream *s = arg;

	if (s->nmove++ == 0) {
		s->first = delta;
		s->wfirst = s->pbpf ? (long long)(s->wbytes / s->pbpf) : 0;
	}
	if (delta == 0 && s->moved > 0)
		s->nzero++;
	if (delta % (int)s->par.round)
		s->odd = 1;
	s->moved += delta;
	if (hurrying)
		look(s);
}

static void
on_vol(void *arg, unsigned vol)
{
	struct stream *s = arg;

	s->nvol++;
	s->vol = (int)vol;
}

static void
on_xrun(void *arg)
{
	((struct stream *)arg)->nxrun++;
}

/* newer than Debian's: resolved when there, so that one source serves both */
extern void sio_onxrun(struct sio_hdl *, void (*)(void *), void *) __attribute__((weak));

int
stream_open(struct stream *s, const char *device, unsigned mode, int nbio)
{
	memset(s, 0, sizeof(*s));
	s->mode = mode;
	s->vol = -1;
	s->h = sio_open(device, mode, nbio);
	if (s->h == NULL)
		return 0;
	sio_onmove(s->h, on_move, s);
	sio_onvol(s->h, on_vol, s);
	if (sio_onxrun)
		sio_onxrun(s->h, on_xrun, s);
	return 1;
}

int
stream_par(struct stream *s, unsigned rate, unsigned bits, unsigned chan, unsigned appbufsz, unsigned xrun)
{
	struct sio_par par;

	sio_initpar(&par);
	par.bits = bits;
	par.sig = bits > 8;
	par.le = 1;
	par.rate = rate;
	par.pchan = par.rchan = chan;
	par.appbufsz = appbufsz;
	par.xrun = xrun;
	return sio_setpar(s->h, &par) && sio_getpar(s->h, &s->par);
}

int
stream_start(struct stream *s, uint32_t of)
{
	sound_init(&s->sound, of, s->par.bits);
	s->pbpf = s->mode & PLAY ? s->par.bps * s->par.pchan : 0;
	s->rbpf = s->mode & REC ? s->par.bps * s->par.rchan : 0;
	s->wbytes = s->rbytes = 0;
	s->moved = 0;
	s->nmove = s->first = s->nzero = s->odd = s->broken = s->nxrun = 0;
	s->bounded = 1;
	return sio_start(s->h);
}

int
stream_ready(struct stream *s, const char *sub, unsigned mode, uint32_t of)
{
	return stream_open(s, name(sub), mode, 0) && stream_par(s, 48000, 16, 2, 1920, SIO_IGNORE) &&
	    stream_start(s, of);
}

static void
check(struct stream *s)
{
	if (!s->bounded || sio_eof(s->h))
		return;
	if (s->pbpf && (stream_queued(s) < 0 || stream_queued(s) > (long long)s->par.bufsz))
		s->broken = 1;
	if (s->rbpf && s->moved < (long long)(s->rbytes / s->rbpf))
		s->broken = 1;
}

long long
stream_queued(const struct stream *s)
{
	return (long long)(s->wbytes / s->pbpf) - s->moved;
}

long long
stream_write(struct stream *s, long long frames)
{
	unsigned char buf[480 * 64];
	long long todo, done = 0;
	unsigned i, n, k = s->par.bps;
	size_t w;

	for (todo = frames; todo > 0; todo -= n) {
		n = sizeof(buf) / s->pbpf < s->par.round ? (unsigned)(sizeof(buf) / s->pbpf) : s->par.round;
		if (n > todo)
			n = (unsigned)todo;
		for (i = 0; i < n * s->par.pchan; i++)
			encode(buf + i * k, &s->par, sound_next(&s->sound));
		w = sio_write(s->h, buf, (size_t)n * s->pbpf);
		s->wbytes += w;
		done += (long long)(w / s->pbpf);
		check(s);
		if (w < (size_t)n * s->pbpf)
			break;
	}
	return done;
}

long long
stream_read(struct stream *s, unsigned char *buf, long long frames)
{
	size_t n, got = 0, want = (size_t)frames * s->rbpf;

	while (got < want) {
		n = sio_read(s->h, buf + got, want - got);
		s->rbytes += n;
		got += n;
		check(s);
		if (n == 0)
			break;
	}
	return (long long)(got / s->rbpf);
}

int
stream_poll(struct stream *s, int events, int ms)
{
	struct pollfd pfd[1];
	int n, revents;

	n = sio_pollfd(s->h, pfd, events);
	if (poll(pfd, (nfds_t)n, ms) < 0)
		return 0;
	revents = sio_revents(s->h, pfd);
	check(s);
	return revents;
}

void
stream_idle(struct stream *s, int ms)
{
	long long left, end = now_ms() + ms;

	while ((left = end - now_ms()) > 0 && !(stream_poll(s, 0, (int)left) & POLLHUP))
		;
}

void
stream_until(struct stream *s, long long moved)
{
	while (s->moved < moved && !sio_eof(s->h))
		stream_poll(s, 0, -1);
}

void
stream_close(struct stream *s)
{
	sio_close(s->h);
	s->h = NULL;
}

static int
usage(void)
{
	fprintf(stderr, "usage: conform -l | -x | -u unit [-n attempt] scenario\n");
	return 64;
}

int
main(int argc, char **argv)
{
	const struct scenario *const *g, *s;
	int c, list = 0;

	while ((c = getopt(argc, argv, "lxu:n:")) != -1) {
		switch (c) {
		case 'l':
			list = 1;
			break;
		case 'x':
			puts(yes(sio_onxrun != NULL));
			return 0;
		case 'u':
			the_unit = (unsigned)atoi(optarg);
			break;
		case 'n':
			attempt = (unsigned)atoi(optarg);
			break;
		default:
			return usage();
		}
	}
	if (!list && optind != argc - 1)
		return usage();
	for (g = groups; *g != NULL; g++) {
		for (s = *g; s->name != NULL; s++) {
			if (list)
				puts(s->name);
			else if (strcmp(s->name, argv[optind]) == 0)
				current = s;
		}
	}
	if (list)
		return 0;
	if (current == NULL)
		return usage();
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	alarm(PATIENCE);
	current->run();
	return 0;
}
