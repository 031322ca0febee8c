/*
 * peer.h: a client as the C tests of the engine play it, whatever protocol it
 * speaks: its socket, its queues, its streams as it sees them, and the samples
 * that say whose they are.
 *
 * What holds for every client at any time is checked where its messages are
 * heard: peer_native.h, peer_sndio.h.  The test's main thread, as all of it.
 */
#ifndef PEER_H
#define PEER_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "api.h"
#include "check.h"

#define NSEATS		8		/* streams of one client */

static const char *running = "";	/* the test */

struct seat {				/* a stream as its client sees it */
	uint32_t id;			/* stream id, 0: none */
	uint32_t pframe, rframe;	/* bytes */
	uint32_t appbufsz;		/* frames */
	uint32_t seed;			/* of the samples it plays */
	int64_t total;			/* frames to play, then `last` */
	char last;			/* 's' stop, 'f' flush, 'c' close, 0 nothing more */
	int hold;			/* it does not write */
	int started;			/* the answer to start has come */
	int asked;			/* its last request has been sent */
	int answered;			/* ... and answered */
	int gone;			/* onstate: the server has ended it */
	int64_t granted, written;	/* frames */
	int64_t pos, nmoves, nxruns;
	uint8_t *heard;			/* recorded bytes */
	size_t nheard, heard_size;
	uint32_t round, flags;		/* sndio: of its stream_par */
	uint32_t wblock, rblock;	/* sndio: frames since the last end of a block */
	int64_t received;		/* sndio: frames recorded */
};

struct client;

struct tongue {				/* one protocol, as a client speaks it */
	int wire;			/* WIRE_* */
	void (*play)(struct client *, uint32_t most);	/* what a well-behaved client does next; most: frames a message, 0 any */
	size_t (*hear)(struct client *);	/* understand what has come: its bytes */
	uint32_t (*started)(uint8_t *, struct seat *, uint32_t number);	/* what control answers a start with */
};

struct client {
	const struct tongue *tongue;
	int fd;				/* -1: closed by us */
	uint32_t id;			/* connection */
	conn *c;			/* NULL: closed and freed */
	int deaf;			/* does not read */
	int raw;			/* native: what it is told is looked at for its form and its credit only */
	size_t chunk;			/* bytes it sends at a time; 0: all */
	int eof;			/* the server has closed */
	int nothers;			/* messages of control that came */
	uint8_t *in, *out;
	size_t nin, nout, in_size, out_size;
	char *trace;			/* sndio: what it was told, in short; NULL: not kept */
	size_t ntrace, trace_size;
	struct seat seats[NSEATS];
};

static int64_t bytes_sent;		/* by all clients */

/* ---- samples: s16 that say which stream and frame they are ------------------------------- */

static int16_t
sample(uint32_t seed, int64_t frame, uint32_t ch)	/* never 0 */
{
	uint32_t h = seed * 2654435761u ^ (uint32_t)frame * 2246822519u ^ ch * 3266489917u;

	h ^= h >> 15;
	h *= 2654435761u;
	h ^= h >> 13;
	return (int16_t)((h & 0x3fff) + 1);
}

static void
samples(uint8_t *dst, uint32_t seed, int64_t frame, uint32_t n, uint32_t nch)
{
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t ch = 0; ch < nch; ch++) {
			uint16_t v = (uint16_t)sample(seed, frame + i, ch);

			*dst++ = (uint8_t)v;
			*dst++ = (uint8_t)(v >> 8);
		}
}

/* ---- its socket ------------------------------------------------------------------------------ */

static uint8_t *
room(uint8_t **buf, size_t *size, size_t used, size_t n)
{
	if (used + n > *size) {
		*size = (used + n) * 2;
		*buf = realloc(*buf, *size);
		CHECK(*buf != NULL);
	}
	return *buf + used;
}

static void
say(struct client *c, const void *p, size_t n)	/* queue bytes to the server */
{
	if (n > 0)
		memcpy(room(&c->out, &c->out_size, c->nout, n), p, n);
	c->nout += n;
}

static void
listen_to(struct client *c)		/* read and understand what has come */
{
	size_t used;
	ssize_t n;

	n = recv(c->fd, room(&c->in, &c->in_size, c->nin, 65536), 65536, MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		c->eof = 1;
		return;
	}
	if (n > 0)
		c->nin += (size_t)n;
	used = c->tongue->hear(c);
	memmove(c->in, c->in + used, c->nin - used);
	c->nin -= used;
}

static void
flush_out(struct client *c)
{
	size_t most = c->chunk && c->chunk < c->nout ? c->chunk : c->nout;
	ssize_t n = send(c->fd, c->out, most, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN) {
		c->nout = 0;		/* the server has closed; eof tells */
		return;
	}
	if (n > 0) {
		bytes_sent += n;
		memmove(c->out, c->out + n, c->nout - (size_t)n);
		c->nout -= (size_t)n;
	}
}

static void
client_kill(struct client *c)		/* what it has written so far goes, then it is gone */
{
	if (c->nout > 0)
		flush_out(c);
	close(c->fd);
	c->fd = -1;
}

#endif
