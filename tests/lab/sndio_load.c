/*
 * sndio_load: N sndio streams in one process, through libsndio only, so that
 * the very same program runs against sndiod and against any other server that
 * speaks sndio's protocol.  One line of JSON on stdout.
 *
 *   run (default)  N streams for -t seconds after the last has started ("started
 *                  N" on stderr): positions, stalls, own CPU; -x: end without
 *                  closing them, as a program that dies
 *   -O count       open/setpar/start/first move/close, timed one at a time
 *   -L count       full duplex impulses: wall time, frames of the position from
 *                  writing to reading each, and frame alignment
 *   -M limit       open streams until the server refuses
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sndio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define NMAX	1024
#define CHUNK	65536

struct stream {
	struct sio_hdl *h;
	struct sio_par par;
	unsigned wbpf, rbpf;
	uint64_t wfr, rfr;		/* bytes written, read */
	uint64_t moved;			/* frames, from onmove */
	double t_start, t_move0, t_moven;
	uint64_t at_move0;
	unsigned nmoves, max_delta;
	double max_gap;
	int dead;
};

static struct stream st[NMAX];
static unsigned char pattern[CHUNK], sink[CHUNK];
static volatile sig_atomic_t stop;

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void
on_signal(int s)
{
	(void)s;
	stop = 1;
}

static void
on_move(void *arg, int delta)
{
	struct stream *s = arg;
	double t = now();

	s->moved += (uint64_t)delta;
	if (delta > 0) {
		if (s->t_move0 == 0) {
			s->t_move0 = t;
			s->at_move0 = s->moved;
		} else if (t - s->t_moven > s->max_gap)
			s->max_gap = t - s->t_moven;
		s->t_moven = t;
		if ((unsigned)delta > s->max_delta)
			s->max_delta = (unsigned)delta;
		s->nmoves++;
	}
}

static int
cmp_d(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* sorts v; quantiles, and all of them so that several runs can be told as one */
static void
put_stats(const char *name, double *v, int n, const char *sep)
{
	int i;

	if (n == 0) {
		printf("\"%s\":null%s", name, sep);
		return;
	}
	qsort(v, (size_t)n, sizeof(*v), cmp_d);
	printf("\"%s\":{\"min\":%.4f,\"med\":%.4f,\"p95\":%.4f,\"p99\":%.4f,\"max\":%.4f,\"all\":[", name,
	    v[0], v[n / 2], v[(n * 95) / 100], v[(n * 99) / 100], v[n - 1]);
	for (i = 0; i < n; i++)
		printf("%s%.4f", i > 0 ? "," : "", v[i]);
	printf("]}%s", sep);
}

struct want {
	const char *dev;
	unsigned mode, rate, chans, bits, appbufsz, round;
};

static int
open_one(struct stream *s, const struct want *w, int nbio, double *topen, double *tpar)
{
	struct sio_par p;
	double t0 = now(), t1;

	memset(s, 0, sizeof(*s));
	s->h = sio_open(w->dev, w->mode, nbio);
	t1 = now();
	if (topen)
		*topen = (t1 - t0) * 1e3;
	if (s->h == NULL)
		return 0;
	sio_initpar(&p);
	p.bits = w->bits;
	p.bps = w->bits == 24 ? 4 : (w->bits + 7) / 8;
	p.sig = w->bits != 8;
	p.le = SIO_LE_NATIVE;
	p.rate = w->rate;
	if (w->mode & SIO_PLAY)
		p.pchan = w->chans;
	if (w->mode & SIO_REC)
		p.rchan = w->chans;
	if (w->appbufsz)
		p.appbufsz = w->appbufsz;
	if (w->round)
		p.round = w->round;
	if (!sio_setpar(s->h, &p) || !sio_getpar(s->h, &s->par)) {
		sio_close(s->h);
		s->h = NULL;
		return 0;
	}
	if (tpar)
		*tpar = (now() - t1) * 1e3;
	s->wbpf = s->par.bps * s->par.pchan;
	s->rbpf = s->par.bps * s->par.rchan;
	sio_onmove(s->h, on_move, s);
	return 1;
}

static int
pump(struct stream *s, unsigned mode, int revents)
{
	size_t n;

	if (revents & POLLHUP) {
		s->dead = 1;
		return 0;
	}
	if ((mode & SIO_PLAY) && (revents & POLLOUT)) {
		n = sio_write(s->h, pattern, CHUNK - CHUNK % s->wbpf);
		s->wfr += n;
	}
	if ((mode & SIO_REC) && (revents & POLLIN)) {
		n = sio_read(s->h, sink, CHUNK - CHUNK % s->rbpf);
		s->rfr += n;
	}
	return 1;
}

/* one turn of the poll loop over n streams */
static void
turn(unsigned n, unsigned mode, double until)
{
	static struct pollfd pfd[NMAX * 2];
	int base[NMAX], cnt[NMAX], ev, tmo;
	unsigned i, tot = 0;
	double left;

	ev = ((mode & SIO_PLAY) ? POLLOUT : 0) | ((mode & SIO_REC) ? POLLIN : 0);
	for (i = 0; i < n; i++) {
		base[i] = (int)tot;
		cnt[i] = 0;
		if (st[i].dead || st[i].h == NULL)
			continue;
		cnt[i] = sio_pollfd(st[i].h, pfd + tot, ev);
		tot += (unsigned)cnt[i];
	}
	left = until - now();
	tmo = left <= 0 ? 0 : left > 1 ? 1000 : (int)(left * 1e3) + 1;
	if (poll(pfd, tot, tmo) < 0 && errno != EINTR)
		exit(1);
	for (i = 0; i < n; i++) {
		if (cnt[i] > 0)
			pump(&st[i], mode, sio_revents(st[i].h, pfd + base[i]));
	}
}

static int
do_run(const struct want *w, unsigned n, double secs, int vanish)
{
	unsigned i, ok = 0, alive = 0;
	double lag, lag_max = 0, gap = 0, end, first = 0;
	uint64_t bytes = 0, frames = 0;
	struct rusage ru;

	for (i = 0; i < n; i++) {
		if (!open_one(&st[i], w, 1, NULL, NULL))
			break;
		st[i].t_start = now();
		if (!sio_start(st[i].h)) {
			sio_close(st[i].h);
			st[i].h = NULL;
			break;
		}
		ok++;
		turn(ok, w->mode, 0);		/* keep the earlier ones fed */
	}
	fprintf(stderr, "started %u\n", ok);
	for (end = now() + secs; !stop && now() < end; )
		turn(ok, w->mode, end);
	for (i = 0; i < ok; i++) {
		struct stream *s = &st[i];

		if (!s->dead)
			alive++;
		bytes += s->wfr + s->rfr;
		frames += s->moved;
		if (s->t_move0 > 0) {
			lag = (s->t_moven - s->t_move0) * s->par.rate -
			    (double)(s->moved - s->at_move0);
			if (lag > lag_max)
				lag_max = lag;
			if (s->t_move0 - s->t_start > first)
				first = s->t_move0 - s->t_start;
		} else
			lag_max = 1e9;
		if (s->max_gap > gap)
			gap = s->max_gap;
	}
	getrusage(RUSAGE_SELF, &ru);
	printf("{\"mode\":\"run\",\"asked\":%u,\"opened\":%u,\"alive\":%u,\"seconds\":%.3f,"
	    "\"rate\":%u,\"round\":%u,\"bufsz\":%u,\"appbufsz\":%u,\"bits\":%u,"
	    "\"bytes\":%llu,\"frames\":%llu,\"lag_frames_max\":%.0f,\"gap_ms_max\":%.2f,"
	    "\"start_to_move_ms_max\":%.2f,\"client_cpu_s\":%.4f}\n",
	    n, ok, alive, secs, ok ? st[0].par.rate : 0, ok ? st[0].par.round : 0,
	    ok ? st[0].par.bufsz : 0, ok ? st[0].par.appbufsz : 0, ok ? st[0].par.bits : 0,
	    (unsigned long long)bytes, (unsigned long long)frames, lag_max, gap * 1e3,
	    first * 1e3,
	    (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	    (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1e-6);
	fflush(stdout);
	for (i = 0; i < ok && !vanish; i++)
		sio_close(st[i].h);
	return ok == n && alive == ok ? 0 : 2;
}

static int
do_open(const struct want *w, int count, unsigned pause_ms)
{
	double *a = calloc((size_t)count, sizeof(double)), *b = calloc((size_t)count, sizeof(double)),
	    *c = calloc((size_t)count, sizeof(double)), *d = calloc((size_t)count, sizeof(double)),
	    *e = calloc((size_t)count, sizeof(double)), t, t0;
	int i, n = 0, failed = 0;

	for (i = 0; i < count && !stop; i++) {
		t0 = now();
		if (!open_one(&st[0], w, 1, &a[n], &b[n])) {
			failed++;
			usleep(20000);
			continue;
		}
		t = now();
		st[0].t_start = t;
		sio_start(st[0].h);
		while (st[0].t_move0 == 0 && !st[0].dead && now() < t + 5)
			turn(1, w->mode, t + 5);
		c[n] = (st[0].t_move0 - t) * 1e3;
		e[n] = (st[0].t_move0 - t0) * 1e3;
		t = now();
		sio_close(st[0].h);
		d[n] = (now() - t) * 1e3;
		n++;
		if (pause_ms > 0)	/* the device comes to rest in between */
			usleep(pause_ms * 1000);
	}
	printf("{\"mode\":\"open\",\"ok\":%d,\"failed\":%d,", n, failed);
	put_stats("open_ms", a, n, ",");
	put_stats("setpar_getpar_ms", b, n, ",");
	put_stats("start_to_move_ms", c, n, ",");
	put_stats("begin_move_ms", e, n, ",");
	put_stats("close_ms", d, n, "}\n");
	return failed ? 2 : 0;
}

/*
 * Full duplex with everything kept full: write silence, once in a while one
 * frame of full scale.  Blocking would hide nothing here, poll is used so the
 * time stamps are those of the bytes.
 */
static int
do_latency(struct want *w, int count)
{
	struct stream *s = &st[0];
	static int16_t out[CHUNK / 2], in[CHUNK / 2];
	double *ms = calloc((size_t)count, sizeof(double)), *al = calloc((size_t)count, sizeof(double)),
	    *trip = calloc((size_t)count, sizeof(double));
	double t_w = 0, lag;
	uint64_t wfr = 0, p = 0, moved_w = 0, next;
	struct pollfd pfd[16];
	int got = 0, lost = 0, pending = 0, nf, rev, i;
	size_t n, want;

	w->mode = SIO_PLAY | SIO_REC;
	w->bits = 16;
	if (!open_one(s, w, 1, NULL, NULL) || !sio_start(s->h)) {
		printf("{\"mode\":\"latency\",\"error\":\"open\"}\n");
		return 2;
	}
	next = s->par.rate;				/* settle for a second */
	s->t_start = now();
	while (got + lost < count && !stop && !s->dead) {
		nf = sio_pollfd(s->h, pfd, POLLIN | POLLOUT);
		if (poll(pfd, (nfds_t)nf, 5000) == 0)
			break;
		rev = sio_revents(s->h, pfd);
		if (rev & POLLHUP)
			break;
		if (rev & POLLIN) {
			n = sio_read(s->h, in, sizeof(in) - sizeof(in) % s->rbpf);
			/* libsndio may cut a frame in two; this client counts bytes */
			for (i = 0; i < (int)(n / 2); i++) {
				if (in[i] > 8000 && pending) {
					ms[got] = (now() - t_w) * 1e3;
					trip[got] = (double)(s->moved - moved_w);
					al[got] = (double)((s->rfr + (uint64_t)i * 2) / s->rbpf) - (double)p;
					got++;
					pending = 0;
					next = wfr + s->par.rate / 10 + (uint64_t)(rand() % 997);
				}
			}
			s->rfr += n;
		}
		if (rev & POLLOUT) {
			/* at most one block at a time, so the time stamp is tight */
			want = (size_t)s->par.round * s->wbpf - s->wfr % s->wbpf;
			if (want > sizeof(out))
				want = sizeof(out);
			memset(out, 0, want);
			if (!pending && wfr >= next && s->wfr % s->wbpf == 0) {
				out[0] = out[1] = 16000;
				p = wfr;
			}
			n = sio_write(s->h, out, want);
			if (n >= s->wbpf && out[0]) {
				t_w = now();
				moved_w = s->moved;
				pending = 1;
			}
			s->wfr += n;
			wfr = s->wfr / s->wbpf;
		}
		if (pending && wfr > p + 4 * s->par.rate) {
			lost++;
			pending = 0;
			next = wfr;
		}
	}
	lag = s->t_move0 > 0 ? (s->t_moven - s->t_move0) * s->par.rate -
	    (double)(s->moved - s->at_move0) : 1e9;
	printf("{\"mode\":\"latency\",\"rate\":%u,\"round\":%u,\"bufsz\":%u,\"appbufsz\":%u,"
	    "\"got\":%d,\"lost\":%d,\"lag_frames\":%.0f,\"gap_ms_max\":%.2f,",
	    s->par.rate, s->par.round, s->par.bufsz, s->par.appbufsz, got, lost, lag,
	    s->max_gap * 1e3);
	put_stats("wall_ms", ms, got, ",");
	put_stats("trip_frames", trip, got, ",");
	put_stats("align_frames", al, got, "}\n");
	sio_close(s->h);
	return 0;
}

static int
do_max(const struct want *w, unsigned limit)
{
	unsigned i, n = 0;

	for (i = 0; i < limit && i < NMAX; i++) {
		if (!open_one(&st[i], w, 1, NULL, NULL) || !sio_start(st[i].h))
			break;
		n++;
		turn(n, w->mode, 0);
	}
	printf("{\"mode\":\"max\",\"limit\":%u,\"opened\":%u}\n", limit, n);
	fflush(stdout);
	_exit(0);		/* the server must cope with clients that vanish */
}

static void
usage(void)
{
	fprintf(stderr, "usage: sndio_load [-d device] [-n streams] [-m play|rec|duplex] "
	    "[-r rate] [-c channels] [-e bits] [-b appbufsz] [-z round] [-t seconds] [-x]\n"
	    "                  [-O opens [-p pause_ms] | -L impulses | -M limit]\n");
	exit(64);
}

int
main(int argc, char **argv)
{
	struct want w = { SIO_DEVANY, SIO_PLAY, 48000, 2, 16, 0, 0 };
	unsigned n = 1, limit = 0, pause_ms = 0;
	int c, opens = 0, impulses = 0, vanish = 0, i;
	double secs = 10;

	while ((c = getopt(argc, argv, "d:n:m:r:c:e:b:z:t:O:p:L:M:x")) != -1) {
		switch (c) {
		case 'd': w.dev = optarg; break;
		case 'n': n = (unsigned)atoi(optarg); break;
		case 'm':
			w.mode = !strcmp(optarg, "play") ? SIO_PLAY : !strcmp(optarg, "rec") ?
			    SIO_REC : SIO_PLAY | SIO_REC;
			break;
		case 'r': w.rate = (unsigned)atoi(optarg); break;
		case 'c': w.chans = (unsigned)atoi(optarg); break;
		case 'e': w.bits = (unsigned)atoi(optarg); break;
		case 'b': w.appbufsz = (unsigned)atoi(optarg); break;
		case 'z': w.round = (unsigned)atoi(optarg); break;
		case 't': secs = atof(optarg); break;
		case 'O': opens = atoi(optarg); break;
		case 'p': pause_ms = (unsigned)atoi(optarg); break;
		case 'L': impulses = atoi(optarg); break;
		case 'M': limit = (unsigned)atoi(optarg); break;
		case 'x': vanish = 1; break;
		default: usage();
		}
	}
	if (n > NMAX || limit > NMAX)
		usage();
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < CHUNK; i++)		/* quiet noise, so that nothing is skipped */
		pattern[i] = (unsigned char)((i & 1) ? 0 : rand());
	if (opens)
		return do_open(&w, opens, pause_ms);
	if (impulses)
		return do_latency(&w, impulses);
	if (limit)
		return do_max(&w, limit);
	return do_run(&w, n, secs, vanish);
}
