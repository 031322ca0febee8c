/*
 * stage.h: one client of sndio's protocol alone on a manual clock, where `told`
 * passes a block and CHECK_TRACE (peer_sndio.h) says all that came of it.
 */
#ifndef STAGE_H
#define STAGE_H

#include "neighbour.h"

#define ROUND	48		/* frames of a block */
#define BUFSZ	192		/* frames of the device's buffer */
#define APPBUFSZ 96

static const struct stream_par play_par = { .enc = { 16, 2, 1, 1, 1, 0 }, .flags = STREAM_PLAY, .rate = 48000,
    .pchan = 2, .rchan = 2, .appbufsz = APPBUFSZ, .pmax = 1, .rmax = 1, .vol = 127, .maxvol = 127, .round = ROUND };

static struct stream_par
with(uint32_t flags, uint32_t xrun)
{
	struct stream_par p = play_par;

	p.flags = flags;
	p.xrun = xrun;
	return p;
}

static struct stream_par
beside(uint32_t flags, uint32_t xrun)		/* the neighbour, on other channels */
{
	struct stream_par p = with(flags, xrun);

	p.pmin = p.rmin = 2;
	p.pmax = p.rmax = 3;
	return p;
}

static struct stream_stats
stats(struct world *w, const struct seat *t)
{
	struct stream_stats st;

	CHECK(w->streams[t->id].s != NULL);
	stream_getstats(w->streams[t->id].s, &st);
	return st;
}

/* ---- one client alone on a manual clock: a stage ------------------------------------------------ */

struct stage {
	struct world w;
	device *d;
	struct client *c;
	struct seat *t;			/* its seat 0 */
};

static void
stage_open_on(struct stage *s, const char *path, uint32_t round)
{
	world_open(&s->w);
	s->d = open_device(&s->w, "manual", path, 0, round, 2);
	s->c = client_speaks(&s->w, &sndio);
	s->t = &s->c->seats[0];
	keep_trace(s->c);
}

static void
stage_open(struct stage *s)
{
	stage_open_on(s, "", ROUND);
}

static void
stage_start(struct stage *s, const struct stream_par *p, int64_t total, char last)
{
	start(&s->w, s->c, 0, s->d, p, total, last);
	settle(&s->w);
}

static void
stage_close(struct stage *s)
{
	clients_clear(&s->w);
	device_close(s->d);
	world_clear(&s->w);
	world_close(&s->w);
}

static void
told(struct stage *s)			/* a block passes, and all that follows from it */
{
	settle(&s->w);
	device_step(s->d, 1);
	settle(&s->w);
}

static void
told_until_released(struct stage *s)
{
	uint32_t id = s->t->id;

	for (int i = 0; !s->w.streams[id].nreleased; i++) {
		CHECK(i < 1000);
		told(s);
	}
	settle(&s->w);
}

#endif
