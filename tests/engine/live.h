/*
 * live.h: a live engine with its threads, and clients that speak raw bytes to
 * it over socket pairs, for the C tests of the engine as a whole.
 *
 * The test's main thread is both the control thread and all the clients, in
 * one poll loop: `turn` deals with what there is.  What holds for every client
 * at any time is checked where its messages are read (peer_native.h,
 * peer_sndio.h), what holds for events in `event`.  `world_close` checks that
 * everything came back once and nothing is left.
 */
#ifndef LIVE_H
#define LIVE_H

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "check.h"
#include "fds.h"
#include "peer_native.h"
#include "peer_sndio.h"

#define NCLIENTS	64		/* clients at once */
#define NSTREAMS	(1 << 19)	/* streams of a whole test */
#define NCONNS		(1 << 18)
#define PATIENCE	20000		/* turns in which nothing comes until a test has failed */

/* ---- what the engine has mapped ---------------------------------------------------- */

static _Atomic long mapped;		/* bytes */

void	*__real_mmap(void *, size_t, int, int, int, off_t);
int	__real_munmap(void *, size_t);
void	*__wrap_mmap(void *, size_t, int, int, int, off_t);
int	__wrap_munmap(void *, size_t);

void *
__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t off)
{
	void *p = __real_mmap(at, n, prot, flags, fd, off);

	if (p != MAP_FAILED)
		mapped += (long)n;
	return p;
}

int
__wrap_munmap(void *p, size_t n)
{
	mapped -= (long)n;
	return __real_munmap(p, n);
}

/* ---- types ---------------------------------------------------------------------------- */

struct live_stream {			/* a stream as control sees it */
	stream *s;
	struct seat *seat;
	int nstopped, nended, nreleased;
	int drained, reason;
	int64_t request;
	long when;			/* EV_ERROR or EV_STOPPED: which event it was */
	int njoined, nheld;
	int64_t aim;			/* number of the last that was held */
};

struct live_conn {
	int open, nclosed, nbroken;
	int reason, why;
	long nmessages;
	int nsent;			/* EV_CONN_SENT */
	long nextseq;			/* of numbered messages */
	long when;			/* EV_CONN_CLOSED: which event it was */
};

struct world {
	engine *e;
	int held;			/* control does not take events */
	int idle;			/* turns in which nothing came */
	uint32_t nstreams, nconns;
	struct live_stream *streams;	/* by id */
	struct live_conn *conns;	/* by id */
	struct client *clients[NCLIENTS];
	int ndevices;
	int failed;			/* EV_DEV_FAILED: errno of the last */
	int nresting;			/* EV_DEV_STOPPED of them all */
	int64_t run, clock;		/* the last EV_GROUP, the sum of all EV_CLOCK */
	int64_t synced, cookie;		/* of engine_sync: the last that came, the last asked for */
	long nevents;
	int fds;			/* open before */
	uint32_t most;			/* frames a write carries at most; 0: as many as it may */
	void (*message)(struct world *, struct client *, const uint8_t *, uint32_t);
	device *device;			/* for message */
};

#define RUN(test) do {		\
	running = #test;	\
	test;			\
} while (0)

static void
too_long(int sig)
{
	static const char why[] = ": the deadline of the whole program has passed\n";

	(void)sig;
	(void)!write(2, running, strlen(running));
	(void)!write(2, why, sizeof(why) - 1);
	abort();
}

/* ---- connections -------------------------------------------------------------------------- */

static struct client *
client_speaks(struct world *w, const struct tongue *tongue)
{
	struct client *c = calloc(1, sizeof(*c));
	int fds[2], i;

	CHECK(c != NULL);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	c->tongue = tongue;
	c->fd = fds[0];
	c->id = w->nconns++;
	CHECK(c->id < NCONNS);
	CHECK_EQ(conn_new(w->e, c->id, fds[1], tongue->wire, &c->c), 0);
	w->conns[c->id].open = 1;
	for (i = 0; i < NCLIENTS && w->clients[i]; i++)
		;
	CHECK(i < NCLIENTS);
	w->clients[i] = c;
	return c;
}

static struct client *
client_new(struct world *w)
{
	return client_speaks(w, &native);
}

static void
client_free(struct world *w, struct client *c)	/* after EV_CONN_CLOSED */
{
	CHECK(c->c == NULL);
	if (c->fd >= 0)
		close(c->fd);
	for (int i = 0; i < NSEATS; i++) {
		if (c->seats[i].id)
			w->streams[c->seats[i].id].seat = NULL;
		free(c->seats[i].heard);
	}
	for (int i = 0; i < NCLIENTS; i++)
		if (w->clients[i] == c)
			w->clients[i] = NULL;
	free(c->in);
	free(c->out);
	free(c->trace);
	free(c);
}

/* ---- control -------------------------------------------------------------------------------------- */

static const struct stream_par s16 = { .enc = { 16, 2, 1, 1, 1, 0 }, .flags = STREAM_PLAY, .rate = 48000,
    .pchan = 2, .rchan = 2, .appbufsz = 480, .pmax = 1, .rmax = 1, .vol = 127, .maxvol = 127 };

static device *
open_device(struct world *w, const char *driver, const char *arg, int free_clock, uint32_t round, uint32_t nch)
{
	struct device_conf dc = { .driver = driver, .arg = arg, .free_clock = free_clock, .stall_ms = 60000,
	    .par = { { 16, 2, 1, 1, 1, 0 }, 48000, round, 4 * round, nch, nch, 0 } };
	char err[256];
	device *d = NULL;

	if (strcmp(driver, "file") == 0)
		dc.par.rchan = 0;
	CHECK_EQ(device_open(w->e, (uint32_t)w->ndevices++, &dc, &d, err, sizeof(err)), 0);
	return d;
}

static uint32_t
stream_make(struct world *w, device *d, const struct stream_par *par)
{
	uint32_t id = ++w->nstreams;

	CHECK(id < NSTREAMS);
	CHECK_EQ(stream_new(d, id, par, &w->streams[id].s), 0);
	w->streams[id].request = -2;
	return id;
}

/* start a new stream as the client's number: plays `total` frames, then asks for `last` */
static struct seat *
start(struct world *w, struct client *c, uint32_t number, device *d, const struct stream_par *par,
    int64_t total, char last)
{
	struct seat *t = &c->seats[number];
	uint8_t b[64];

	if (t->id)
		w->streams[t->id].seat = NULL;
	free(t->heard);
	*t = (struct seat){ .id = stream_make(w, d, par), .total = total, .last = last };
	t->seed = t->id;
	t->pframe = par->flags & STREAM_PLAY ? par->pchan * par->enc.bps : 0;
	t->rframe = par->flags & (STREAM_REC | STREAM_MON) ? par->rchan * par->enc.bps : 0;
	t->appbufsz = par->appbufsz;
	t->round = par->round;
	t->flags = par->flags;
	w->streams[t->id].seat = t;
	CHECK_EQ(conn_start(c->c, w->streams[t->id].s, number, b, c->tongue->started(b, t, number)), 0);
	return t;
}

static struct client *
client_of(struct world *w, uint32_t id)
{
	for (int i = 0; i < NCLIENTS; i++)
		if (w->clients[i] && w->clients[i]->id == id)
			return w->clients[i];
	CHECK(!"an event of a connection that is not there");
	return NULL;
}

static void
event(struct world *w, const struct event *ev, const uint8_t *buf)
{
	struct live_stream *ls = ev->id < NSTREAMS ? &w->streams[ev->id] : NULL;
	struct live_conn *lc = ev->id < NCONNS ? &w->conns[ev->id] : NULL;

	w->nevents++;
	switch (ev->type) {
	case EV_MESSAGE:
		CHECK(lc->open && !lc->nbroken);
		lc->nmessages++;
		if (w->message)
			w->message(w, client_of(w, ev->id), buf, ev->len);
		break;
	case EV_CONN_SENT:
		CHECK(lc->open);
		lc->nsent++;
		break;
	case EV_PROTOCOL:
		CHECK(lc->open);
		CHECK_EQ(lc->nbroken++, 0);
		lc->why = ev->err;
		break;
	case EV_CONN_CLOSED:
		CHECK(lc->open);
		CHECK_EQ(lc->nclosed++, 0);
		lc->open = 0;
		lc->reason = ev->err;
		lc->when = w->nevents;
		conn_free(client_of(w, ev->id)->c);
		client_of(w, ev->id)->c = NULL;
		break;
	case EV_STOPPED:
		CHECK(ls->s != NULL);
		CHECK_EQ(ls->nstopped++ + ls->nended, 0);
		ls->drained = (int)ev->a;
		ls->when = w->nevents;
		break;
	case EV_ERROR:
		CHECK(ls->s != NULL);
		CHECK_EQ(ls->nstopped + ls->nended++, 0);
		ls->reason = ev->err;
		ls->request = ev->a;
		ls->when = w->nevents;
		break;
	case EV_RELEASED:
		CHECK(ls->s != NULL);
		CHECK_EQ(ls->nreleased++, 0);
		stream_free(ls->s);
		ls->s = NULL;
		break;
	case EV_JOINED:
		CHECK(ev->a > 0);
		CHECK_EQ(ls->njoined++, 0);
		break;
	case EV_HELD:			/* its release may have come before, from the pump */
		CHECK(ev->a >= ls->aim && ls->njoined == 1);
		ls->aim = ev->a;
		ls->nheld++;
		break;
	case EV_GROUP:
		CHECK(ev->a > 0);
		w->run = ev->a;
		break;
	case EV_CLOCK:
		CHECK(ev->a > 0);
		w->clock += ev->a;
		break;
	case EV_DEV_STOPPED:
		w->nresting++;
		break;
	case EV_DEV_FAILED:
		w->failed = ev->err;
		break;
	case EV_SYNCED:
		w->synced = ev->a;
		break;
	}
}

/* all events, all sockets, once; waits at most ms for the first.  1: there was something */
static int
turn_for(struct world *w, int ms)
{
	static uint8_t buf[MSG_MAX];
	struct pollfd p[NCLIENTS + 1];
	struct client *who[NCLIENTS + 1];
	struct event ev;
	nfds_t n = 0;
	int k;

	for (int i = 0; i < NCLIENTS; i++) {
		struct client *c = w->clients[i];

		if (c == NULL || c->fd < 0 || c->eof)
			continue;
		c->tongue->play(c, w->most);
		who[n] = c;
		p[n++] = (struct pollfd){ c->fd, (short)((c->deaf ? 0 : POLLIN) | (c->nout ? POLLOUT : 0)), 0 };
	}
	p[n] = (struct pollfd){ engine_fd(w->e), w->held ? 0 : POLLIN, 0 };
	while ((k = poll(p, n + 1, ms)) < 0 && errno == EINTR)
		;
	if (k == 0)
		return 0;
	for (nfds_t i = 0; i < n; i++) {
		if (p[i].revents & POLLOUT)
			flush_out(who[i]);
		if ((p[i].revents & POLLIN) && !who[i]->deaf)
			listen_to(who[i]);
		else if (p[i].revents & (POLLHUP | POLLERR))
			who[i]->eof = 1;
	}
	if (p[n].revents & POLLIN) {
		engine_clear(w->e);
		while (engine_next(w->e, &ev, buf, sizeof(buf)))
			event(w, &ev, buf);
	}
	return 1;
}

static void
turn(struct world *w)	/* not for ever: what the pump does with a write is told to nobody */
{
	w->idle = turn_for(w, 1) ? 0 : w->idle + 1;
	if (w->idle > PATIENCE) {
		fprintf(stderr, "%s: nothing happens\n", running);
		abort();
	}
}

#define UNTIL(w, cond) do {	\
	while (!(cond))		\
		turn(w);	\
} while (0)

/* until every socket and queue is empty and nobody has anything to say */
static void
settle(struct world *w)
{
	int64_t before;

	do {
		before = bytes_sent;
		while (turn_for(w, 0))
			;
		CHECK_EQ(engine_sync(w->e, ++w->cookie), 0);
		UNTIL(w, w->synced == w->cookie);
		while (turn_for(w, 0))
			;
	} while (bytes_sent != before);
}

static void
released(struct world *w, const struct seat *t)		/* wait for it */
{
	uint32_t id = t->id;

	UNTIL(w, w->streams[id].nreleased);
}

static void
world_open(struct world *w)
{
	struct engine_conf ec = { 0, 0 };

	*w = (struct world){ .fds = open_fds() };
	mapped = 0;
	w->streams = calloc(NSTREAMS, sizeof(*w->streams));
	w->conns = calloc(NCONNS, sizeof(*w->conns));
	CHECK(w->streams != NULL && w->conns != NULL);
	CHECK_EQ(engine_new(&w->e, &ec), 0);
}

static void
clients_clear(struct world *w)
{
	for (int i = 0; i < NCLIENTS; i++) {
		struct client *c = w->clients[i];

		if (c == NULL)
			continue;
		if (c->c)
			conn_close(c->c, 0);
		UNTIL(w, c->c == NULL);
		client_free(w, c);
	}
}

/* close every client; all streams and conns must come back */
static void
world_clear(struct world *w)
{
	clients_clear(w);
	for (uint32_t i = 1; i <= w->nstreams; i++)
		UNTIL(w, w->streams[i].nreleased);
}

static void
world_close(struct world *w)			/* after its devices */
{
	while (turn_for(w, 0))
		;
	for (uint32_t i = 1; i <= w->nstreams; i++)
		CHECK_EQ(w->streams[i].nreleased, 1);
	for (uint32_t i = 0; i < w->nconns; i++)
		CHECK_EQ(w->conns[i].nclosed, 1);
	engine_free(w->e);
	free(w->streams);
	free(w->conns);
	CHECK_EQ(mapped, 0);
	CHECK_EQ(open_fds(), w->fds);
}

#endif
