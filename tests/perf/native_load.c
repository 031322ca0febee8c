/*
 * native_load.c: N play streams of audiod's native protocol in one process, as
 * a load and as a stopwatch.  One line of JSON on stdout, "started N" on stderr
 * when all play.  Shares no code with the daemon: it was written from
 * protocol/README.md alone.  One thread, one epoll.
 *
 *   run (default)  N streams for -t seconds after the last has started
 *   -O count       one stream after the other, from connect() to its first move
 *
 * Invariant: no stream ever has less than zero credit; what may be written is
 * written as soon as the credit for it is read.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define NSTREAMS	1024
#define WRITE_MAX	65536		/* bytes of samples in one write */
#define IN_SIZE		(512 * 1024)	/* the largest message of a server is 256 KiB */
#define HEAD_MAX	32		/* bytes of a write before its samples */
#define REQUEST_MAX	512
#define NEVENTS		64
#define NSTEPS		5

enum step { HELLO, OPEN, SETPAR, START, MOVE };	/* what is awaited */
static const char *const step_names[NSTEPS] = {
	"connect_hello_ms", "open_ms", "setpar_ms", "start_ms", "start_move_ms"
};
static const char *const methods[] = { "hello", "open", "setpar", "start" };

enum par { RATE, ROUND, BUFSZ, APPBUFSZ, BPS, PCHAN, NPARS };
static const char *const par_names[NPARS] = { "rate", "round", "bufsz", "appbufsz", "bps", "pchan" };

struct stream {
	struct conn *conn;
	uint32_t number;		/* on its connection */
	int64_t credit;			/* frames */
	int64_t moved, at_first;	/* position, and that of the first move */
	double t_began, t_first, t_last;	/* connect() or open; first and last move */
	double ms[NSTEPS];		/* how long each step took, -1: was not needed */
	double gap;			/* longest time between two moves, s */
	uint64_t moves, xruns, bytes;
	int dead;
};

struct conn {
	int fd;
	int hello;			/* was answered */
	struct stream *by_number[NSTREAMS];
	uint8_t *in, *out;
	size_t in_len, out_off, out_len, out_size;
	uint32_t events;
};

struct msg {				/* reads one value after the other; ok = 0 past a wrong one */
	const uint8_t *p, *end;
	int ok;				/* -1: the rest has not come yet */
};

static struct {
	const char *path, *device, *enc;
	uint32_t rate, channels, appbufsz;
} want = { NULL, "default", "s16le", 48000, 2, 0 };
static uint32_t got[NPARS];		/* as the server answers */
static struct stream streams[NSTREAMS];
static struct conn *conns;
static uint32_t frame;			/* bytes */
static uint8_t samples[WRITE_MAX];
static int epfd;
static uint64_t wakeups;
static volatile sig_atomic_t stopped;

/* the one stream that is being started, what it waits for, since when */
static struct stream *starting;
static enum step awaited;
static double t_step;
static uint32_t request_id;

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void
on_signal(int sig)
{
	(void)sig;
	stopped = 1;
}

static void
fail(const char *what, const char *why)
{
	fprintf(stderr, "native_load: %s: %s\n", what, why);
	exit(1);
}

static void *
need(void *p)
{
	if (p == NULL)
		fail("memory", strerror(ENOMEM));
	return p;
}

/* ---- MessagePack, read --------------------------------------------------------- */

static uint64_t
get_be(struct msg *m, unsigned n)
{
	uint64_t v = 0;

	if (m->ok > 0 && (size_t)(m->end - m->p) < n)
		m->ok = -1;
	if (m->ok <= 0)
		return 0;
	while (n-- > 0)
		v = v << 8 | *m->p++;
	return v;
}

/* length of a container or text: fixed tags begin at `fix`, sized ones at `sized` with 1 << first bytes */
static uint32_t
get_len(struct msg *m, uint8_t fix, uint8_t mask, uint8_t sized, unsigned first)
{
	uint8_t tag = (uint8_t)get_be(m, 1);

	if (m->ok <= 0)
		return 0;
	if (fix && (tag & ~mask & 0xff) == fix)
		return tag & mask;
	if (tag >= sized && tag < sized + 3 - first)
		return (uint32_t)get_be(m, 1u << (tag - sized + first));
	m->ok = 0;
	return 0;
}

static uint32_t
get_array(struct msg *m)
{
	return get_len(m, 0x90, 0x0f, 0xdc, 1);
}

static uint32_t
get_map(struct msg *m)
{
	return get_len(m, 0x80, 0x0f, 0xde, 1);
}

static int64_t
get_int(struct msg *m)
{
	uint8_t tag = (uint8_t)get_be(m, 1);

	if (tag < 0x80 || tag >= 0xe0)
		return (int8_t)tag;
	if (tag >= 0xcc && tag <= 0xcf)
		return (int64_t)get_be(m, 1u << (tag - 0xcc));
	switch (tag) {
	case 0xd0: return (int8_t)get_be(m, 1);
	case 0xd1: return (int16_t)get_be(m, 2);
	case 0xd2: return (int32_t)get_be(m, 4);
	case 0xd3: return (int64_t)get_be(m, 8);
	}
	m->ok = m->ok > 0 ? 0 : m->ok;
	return 0;
}

static const char *
get_text(struct msg *m, uint32_t *len)
{
	const char *s;

	*len = m->ok > 0 && m->p < m->end && *m->p >= 0xc4 && *m->p <= 0xc6 ?
	    get_len(m, 0, 0, 0xc4, 0) : get_len(m, 0xa0, 0x1f, 0xd9, 0);
	if (m->ok > 0 && (size_t)(m->end - m->p) < *len)
		m->ok = -1;
	if (m->ok <= 0) {
		*len = 0;
		return "";
	}
	s = (const char *)m->p;
	m->p += *len;
	return s;
}

static int
is(const char *s, uint32_t len, const char *word)
{
	return len == strlen(word) && memcmp(s, word, len) == 0;
}

static void
skip(struct msg *m)	/* any value */
{
	uint64_t todo = 1;
	uint32_t len;

	for (; todo > 0 && m->ok > 0; todo--) {
		uint8_t tag = m->p < m->end ? *m->p : 0;

		if (m->p == m->end)
			m->ok = -1;
		else if ((tag & 0xf0) == 0x90 || tag == 0xdc || tag == 0xdd)
			todo += get_array(m);
		else if ((tag & 0xf0) == 0x80 || tag == 0xde || tag == 0xdf)
			todo += 2 * (uint64_t)get_map(m);
		else if ((tag & 0xe0) == 0xa0 || (tag >= 0xc4 && tag <= 0xc6) || (tag >= 0xd9 && tag <= 0xdb))
			(void)get_text(m, &len);
		else if (tag == 0xc0 || tag == 0xc2 || tag == 0xc3)
			m->p++;
		else if (tag == 0xca || tag == 0xcb) {
			m->p++;
			(void)get_be(m, tag == 0xca ? 4 : 8);
		} else
			(void)get_int(m);
	}
}

/* ---- MessagePack, written -------------------------------------------------------- */

static uint8_t *
put_be(uint8_t *o, uint8_t tag, uint32_t v, int n)
{
	*o++ = tag;
	while (n-- > 0)
		*o++ = (uint8_t)(v >> (8 * n));
	return o;
}

static uint8_t *
put_int(uint8_t *o, uint32_t v)
{
	if (v < 0x80)
		return put_be(o, (uint8_t)v, 0, 0);
	if (v < 0x100)
		return put_be(o, 0xcc, v, 1);
	return v < 0x10000 ? put_be(o, 0xcd, v, 2) : put_be(o, 0xce, v, 4);
}

static uint8_t *
put_str(uint8_t *o, const char *s)
{
	size_t n = strlen(s);

	o = n < 32 ? put_be(o, (uint8_t)(0xa0 | n), 0, 0) : put_be(o, 0xd9, (uint32_t)n, 1);
	memcpy(o, s, n);
	return o + n;
}

static uint8_t *
put_pair(uint8_t *o, const char *key, uint32_t v)
{
	return put_int(put_str(o, key), v);
}

/* ---- sockets ------------------------------------------------------------------------ */

static void
conn_watch(struct conn *c)
{
	struct epoll_event ev = { .events = EPOLLIN | (c->out_len > 0 ? EPOLLOUT : 0u), .data.ptr = c };

	if (ev.events == c->events)
		return;
	if (epoll_ctl(epfd, c->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &ev) < 0)
		fail("epoll", strerror(errno));
	c->events = ev.events;
}

static void
conn_flush(struct conn *c)
{
	while (c->out_len > 0) {
		ssize_t n = send(c->fd, c->out + c->out_off, c->out_len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			fail("send", strerror(errno));
		c->out_off += (size_t)n;
		c->out_len -= (size_t)n;
	}
	if (c->out_len == 0)
		c->out_off = 0;
	conn_watch(c);
}

static uint8_t *
conn_room(struct conn *c, size_t n)	/* where n more bytes of output go */
{
	if (c->out_off > 0) {
		memmove(c->out, c->out + c->out_off, c->out_len);
		c->out_off = 0;
	}
	if (c->out_len + n > c->out_size) {
		c->out_size = 2 * (c->out_len + n);
		c->out = need(realloc(c->out, c->out_size));
	}
	return c->out + c->out_len;
}

static void
conn_put(struct conn *c, const uint8_t *end)
{
	c->out_len = (size_t)(end - c->out);
}

static void
conn_open(struct conn *c)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	if (strlen(want.path) >= sizeof(sun.sun_path))
		fail(want.path, "the path is too long for a socket");
	strcpy(sun.sun_path, want.path);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		fail(want.path, strerror(errno));
	if (c->in == NULL)
		c->in = need(malloc(IN_SIZE));
	conn_watch(c);
}

static void
conn_close(struct conn *c)
{
	close(c->fd);			/* epoll forgets it */
	c->events = 0;
	c->hello = 0;
	c->in_len = c->out_len = c->out_off = 0;
	memset(c->by_number, 0, sizeof(c->by_number));
}

/* ---- streams start, one after the other ------------------------------------------------ */

static void
request(enum step step)
{
	struct conn *c = starting->conn;
	uint8_t *o = conn_room(c, REQUEST_MAX);

	o = put_be(o, 0x94, 0, 0);
	o = put_int(o, 0);
	o = put_int(o, ++request_id);
	o = put_str(o, methods[step]);
	o = put_be(o, 0x91, 0, 0);
	switch (step) {
	case HELLO:
		o = put_be(o, 0x82, 0, 0);
		o = put_pair(o, "version", 1);
		o = put_str(put_str(o, "client"), "native_load");
		break;
	case OPEN:
		o = put_be(o, 0x82, 0, 0);
		o = put_str(put_str(o, "device"), want.device);
		o = put_str(put_str(o, "mode"), "play");
		break;
	case SETPAR:
		o = put_be(o, 0x82, 0, 0);
		o = put_pair(o, "stream", starting->number);
		o = put_str(o, "par");
		o = put_be(o, want.appbufsz ? 0x84 : 0x83, 0, 0);
		o = put_str(put_str(o, "enc"), want.enc);
		o = put_pair(o, "rate", want.rate);
		o = put_pair(o, "pchan", want.channels);
		if (want.appbufsz)
			o = put_pair(o, "appbufsz", want.appbufsz);
		break;
	default:
		o = put_be(o, 0x81, 0, 0);
		o = put_pair(o, "stream", starting->number);
	}
	conn_put(c, o);
	awaited = step;
	if (step != HELLO)
		t_step = now();
	conn_flush(c);
}

static void
stream_start(struct stream *s, struct conn *c)
{
	memset(s, 0, sizeof(*s));
	s->conn = c;
	starting = s;
	t_step = s->t_began = now();
	s->ms[HELLO] = -1;
	if (c->hello)
		request(OPEN);
	else {
		conn_open(c);
		request(HELLO);
	}
}

/* the answer to what was awaited has come */
static void
stream_step(struct msg *m)
{
	struct stream *s = starting;
	uint32_t n, len;
	const char *key;
	int i;

	s->ms[awaited] = (now() - t_step) * 1e3;
	switch (awaited) {
	case HELLO:
		s->conn->hello = 1;
		request(OPEN);
		break;
	case OPEN:
		for (n = get_map(m); n > 0 && m->ok > 0; n--) {
			key = get_text(m, &len);
			if (is(key, len, "stream"))
				s->number = (uint32_t)get_int(m);
			else
				skip(m);
		}
		if (s->number >= NSTREAMS)
			fail("open", "the server gave a wrong number");
		s->conn->by_number[s->number] = s;
		request(SETPAR);
		break;
	case SETPAR:
		n = get_map(m);
		(void)get_text(m, &len);
		for (n = get_map(m); n > 0 && m->ok > 0; n--) {
			key = get_text(m, &len);
			for (i = 0; i < NPARS && !is(key, len, par_names[i]); i++)
				;
			if (i < NPARS)
				got[i] = (uint32_t)get_int(m);
			else
				skip(m);
		}
		frame = got[BPS] * got[PCHAN];
		if (m->ok <= 0 || frame == 0 || frame > WRITE_MAX || got[RATE] == 0)
			fail("setpar", "the answer is not understood");
		request(START);
		break;
	default:
		awaited = MOVE;
		t_step = now();
	}
}

/* ---- what the server says ------------------------------------------------------------------ */

static void
stream_write(struct stream *s)
{
	while (s->credit > 0) {
		uint32_t n = s->credit > WRITE_MAX / frame ? WRITE_MAX / frame : (uint32_t)s->credit;
		uint8_t *o = conn_room(s->conn, HEAD_MAX + n * frame);

		o = put_be(o, 0x93, 0, 0);
		o = put_int(o, 2);
		o = put_str(o, "write");
		o = put_be(o, 0x92, 0, 0);
		o = put_int(o, s->number);
		o = n * frame < 0x100 ? put_be(o, 0xc4, n * frame, 1) :
		    n * frame < 0x10000 ? put_be(o, 0xc5, n * frame, 2) : put_be(o, 0xc6, n * frame, 4);
		memcpy(o, samples, n * frame);
		conn_put(s->conn, o + n * frame);
		s->credit -= n;
		s->bytes += n * frame;
	}
}

static void
stream_moved(struct stream *s, int64_t delta)
{
	double t = now();

	s->moved += delta;
	if (s->moves++ == 0) {
		s->t_first = t;
		s->at_first = s->moved;
		if (s == starting)
			s->ms[MOVE] = (t - t_step) * 1e3;
	} else if (t - s->t_last > s->gap)
		s->gap = t - s->t_last;
	s->t_last = t;
}

static void
refused(struct msg *m, const char *what)
{
	char text[512] = "";
	uint32_t n, len;
	const char *key;

	for (n = get_map(m); n > 0 && m->ok > 0; n--) {
		key = get_text(m, &len);
		if (is(key, len, "message")) {
			key = get_text(m, &len);
			snprintf(text, sizeof(text), "%.*s", (int)len, key);
		} else
			skip(m);
	}
	fail(what, text);
}

static void
notified(struct conn *c, struct msg m)
{
	uint32_t len, n;
	const char *name = get_text(&m, &len);
	struct stream *s;
	int64_t number;

	n = get_array(&m);
	if (is(name, len, "error"))
		refused(&m, "the server");
	if (!is(name, len, "credit") && !is(name, len, "onmove") && !is(name, len, "onxrun") &&
	    !is(name, len, "onstate"))
		return;
	number = get_int(&m);
	s = number >= 0 && number < NSTREAMS ? c->by_number[number] : NULL;
	if (s == NULL || n < 2)
		fail("the server", "it told of a stream that is not there");
	if (is(name, len, "credit")) {
		s->credit += get_int(&m);
		stream_write(s);
	} else if (is(name, len, "onmove"))
		stream_moved(s, get_int(&m));
	else if (is(name, len, "onxrun"))
		s->xruns++;
	else if (is(get_text(&m, &len), len, "closed"))
		s->dead = 1;
}

/* one message; the bytes it has, 0: not all of them have come */
static size_t
message(struct conn *c)
{
	struct msg whole = { c->in, c->in + c->in_len, 1 }, m = whole;
	int64_t type;
	uint32_t n;

	skip(&whole);
	if (whole.ok < 0)
		return 0;
	n = get_array(&m);
	type = get_int(&m);
	if (whole.ok == 0 || m.ok <= 0 || !((type == 1 && n == 4) || (type == 2 && n == 3)))
		fail("the server", "it sent what is not a message");
	m.end = whole.p;
	if (type == 2)
		notified(c, m);
	else {
		if (get_int(&m) != request_id || starting == NULL || starting->conn != c || awaited == MOVE)
			fail("the server", "it answered what was not asked");
		if (m.ok > 0 && *m.p == 0xc0) {
			skip(&m);
			stream_step(&m);
		} else
			refused(&m, methods[awaited]);
	}
	return (size_t)(whole.p - c->in);
}

static void
conn_read(struct conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_len, IN_SIZE - c->in_len, MSG_DONTWAIT);
	uint8_t *in = c->in;
	size_t used;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		fail("the server", n == 0 ? "it closed the connection" : strerror(errno));
	c->in_len += (size_t)n;
	while (c->in_len > 0 && (used = message(c)) > 0) {
		c->in += used;
		c->in_len -= used;
	}
	memmove(in, c->in, c->in_len);
	c->in = in;
	if (c->out_len > 0)
		conn_flush(c);
}

/* serve what comes, until something has come or a second is over */
static void
turn(double until)
{
	struct epoll_event evs[NEVENTS];
	double left = until - now();
	int n, i;

	n = epoll_wait(epfd, evs, NEVENTS, left <= 0 ? 0 : left > 1 ? 1000 : (int)(left * 1e3) + 1);
	if (n < 0 && errno != EINTR)
		fail("epoll", strerror(errno));
	wakeups++;
	for (i = 0; i < n; i++) {
		if (evs[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			conn_read(evs[i].data.ptr);
		if (evs[i].events & EPOLLOUT)
			conn_flush(evs[i].data.ptr);
	}
}

/* ---- results ----------------------------------------------------------------------------------- */

static int
less(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
put_stats(const char *name, double *v, uint32_t n)
{
	if (n == 0) {
		printf(",\"%s\":null", name);
		return;
	}
	qsort(v, n, sizeof(*v), less);
	printf(",\"%s\":{\"min\":%.4f,\"med\":%.4f,\"p99\":%.4f,\"max\":%.4f}", name,
	    v[0], v[n / 2], v[n * 99 / 100], v[n - 1]);
}

static void
put_times(uint32_t n)	/* of the first n streams */
{
	double v[NSTREAMS];
	uint32_t i, k;
	int step;

	for (step = 0; step < NSTEPS; step++) {
		for (i = k = 0; i < n; i++)
			if (streams[i].ms[step] >= 0 && (step != MOVE || streams[i].moves > 0))
				v[k++] = streams[i].ms[step];
		put_stats(step_names[step], v, k);
	}
	for (i = k = 0; i < n; i++)
		if (streams[i].moves > 0)
			v[k++] = (streams[i].t_first - streams[i].t_began) * 1e3;
	put_stats("begin_move_ms", v, k);
}

static void
put_head(const char *mode, uint32_t asked)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	printf("{\"mode\":\"%s\",\"asked\":%u,\"rate\":%u,\"round\":%u,\"bufsz\":%u,\"appbufsz\":%u,"
	    "\"frame\":%u,\"wakeups\":%llu,\"client_cpu_s\":%.4f", mode, asked, got[RATE], got[ROUND],
	    got[BUFSZ], got[APPBUFSZ], frame, (unsigned long long)wakeups,
	    (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	    (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1e-6);
}

static int
run(uint32_t n, uint32_t nconns, double seconds)
{
	uint64_t moves = 0, frames = 0, bytes = 0, xruns = 0;
	double end, lag, lag_max = 0, gap = 0;
	uint32_t i, alive = 0, moved = 0;

	for (i = 0; i < n && !stopped; i++) {
		stream_start(&streams[i], &conns[i % nconns]);
		while (awaited != MOVE && !stopped)
			turn(now() + 1);
	}
	/* the steps of a stream end with its start: here its first move is not waited for */
	fprintf(stderr, "started %u\n", i);
	for (end = now() + seconds; !stopped && now() < end; )
		turn(end);
	for (i = 0; i < n; i++) {
		struct stream *s = &streams[i];

		alive += s->conn != NULL && !s->dead;
		moved += s->moved > 0;
		moves += s->moves;
		frames += (uint64_t)s->moved;
		bytes += s->bytes;
		xruns += s->xruns;
		if (s->gap > gap)
			gap = s->gap;
		lag = (s->t_last - s->t_first) * got[RATE] - (double)(s->moved - s->at_first);
		if (lag > lag_max)
			lag_max = lag;
		if (s != starting)
			s->ms[MOVE] = -1;
	}
	put_head("run", n);
	printf(",\"connections\":%u,\"seconds\":%.3f,\"alive\":%u,\"moved\":%u,\"moves\":%llu,"
	    "\"frames\":%llu,\"bytes\":%llu,\"xruns\":%llu,\"lag_frames_max\":%.0f,\"gap_ms_max\":%.2f",
	    nconns, seconds, alive, moved, (unsigned long long)moves, (unsigned long long)frames,
	    (unsigned long long)bytes, (unsigned long long)xruns, lag_max, gap * 1e3);
	put_times(n);
	printf("}\n");
	return alive == n && moved == n ? 0 : 2;
}

static int
run_opens(uint32_t count, uint32_t pause_ms)
{
	uint32_t i;

	for (i = 0; i < count && !stopped; i++) {
		stream_start(&streams[i], &conns[0]);
		while (streams[i].moves == 0 && !streams[i].dead && !stopped)
			turn(now() + 1);
		starting = NULL;
		conn_close(&conns[0]);
		if (pause_ms > 0)	/* the device comes to rest in between */
			usleep(pause_ms * 1000);
	}
	put_head("open", count);
	put_times(i);
	printf("}\n");
	return i == count ? 0 : 2;
}

static uint32_t
number(const char *text, uint32_t least, uint32_t most)
{
	char *end;
	long v = strtol(text, &end, 10);

	if (*end != '\0' || end == text || v < (long)least || v > (long)most) {
		fprintf(stderr, "native_load: %s: a number of %u..%u is expected\n", text, least, most);
		exit(64);
	}
	return (uint32_t)v;
}

static void
usage(void)
{
	fprintf(stderr, "usage: native_load -s socket [-d device] [-n streams] [-c connections] [-r rate]\n"
	    "                   [-e encoding] [-C channels] [-b appbufsz] [-t seconds | -O opens [-p pause_ms]]\n"
	    "  without -c, each stream has its own connection\n");
	exit(64);
}

int
main(int argc, char **argv)
{
	uint32_t n = 1, nconns = 0, opens = 0, pause_ms = 0, i;
	double seconds = 10;
	int c;

	while ((c = getopt(argc, argv, "s:d:n:c:r:e:C:b:t:O:p:")) != -1) {
		switch (c) {
		case 's': want.path = optarg; break;
		case 'd': want.device = optarg; break;
		case 'e': want.enc = optarg; break;
		case 'n': n = number(optarg, 1, NSTREAMS); break;
		case 'c': nconns = number(optarg, 1, NSTREAMS); break;
		case 'r': want.rate = number(optarg, 1, 1000000); break;
		case 'C': want.channels = number(optarg, 1, 64); break;
		case 'b': want.appbufsz = number(optarg, 1, 1 << 24); break;
		case 't': seconds = atof(optarg); break;
		case 'O': opens = number(optarg, 1, NSTREAMS); break;
		case 'p': pause_ms = number(optarg, 0, 10000); break;
		default: usage();
		}
	}
	if (want.path == NULL || optind < argc || strlen(want.device) > 64 || strlen(want.enc) > 64)
		usage();
	if (nconns == 0 || nconns > n)
		nconns = n;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	conns = need(calloc(nconns, sizeof(*conns)));
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		fail("epoll", strerror(errno));
	for (i = 0; i < WRITE_MAX; i++)		/* quiet noise: nothing is skipped as silence would be */
		samples[i] = (uint8_t)(i & 1 ? 0 : rand());
	return opens ? run_opens(opens, pause_ms) : run(n, nconns, seconds);
}
