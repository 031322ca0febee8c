/*
 * neighbour.h: a client that plays without a fault beside whatever a test does,
 * and that nobody may disturb: in the end every sample of it is compared.
 */
#ifndef NEIGHBOUR_H
#define NEIGHBOUR_H

#include "live.h"

struct neighbour {			/* plays on channels 0 and 1 of a manual device of four */
	device *d;
	struct client *c;
	struct seat *t;
	char path[64];			/* what the device played */
	int64_t nblocks;
};

/* one block passes; before it the neighbour has filled its buffer, as a client that is not disturbed does */
static void
beat(struct world *w, struct neighbour *nb)
{
	struct stream_stats st;

	for (;;) {
		stream_getstats(w->streams[nb->t->id].s, &st);
		if (st.written - st.consumed == 480 || (st.written == nb->t->total && st.written > 0))
			break;
		turn(w);
	}
	while (turn_for(w, 0))
		;
	device_step(nb->d, 1);
	nb->nblocks++;
}

#define BEAT_UNTIL(w, nb, cond) do {						\
	for (int beats = 0; !(cond); beats++) {					\
		CHECK(beats < PATIENCE && "what is waited for does not come");	\
		beat(w, nb);							\
	}									\
} while (0)

static void
neighbour_speaks(struct world *w, struct neighbour *nb, const struct tongue *tongue)
{
	struct stream_par par = s16;
	int fd;

	*nb = (struct neighbour){ .path = "/tmp/audiod-test-XXXXXX" };
	fd = mkstemp(nb->path);
	CHECK(fd >= 0);
	close(fd);
	nb->d = open_device(w, "manual", nb->path, 0, 48, 4);
	nb->c = client_speaks(w, tongue);
	par.round = 48;
	nb->t = start(w, nb->c, 0, nb->d, &par, INT64_MAX, 0);
	beat(w, nb);
}

static void
neighbour_start(struct world *w, struct neighbour *nb)
{
	neighbour_speaks(w, nb, &native);
}

/* stop it, compare every sample that was played on its channels, close its device */
static void
neighbour_end(struct world *w, struct neighbour *nb)
{
	FILE *f;
	uint8_t frame[8];
	int64_t i = 0, wrong = 0;
	uint32_t id = nb->t->id;
	struct stream_stats st;

	nb->t->total = nb->t->written;
	do {					/* all that it has written is there */
		turn(w);
		stream_getstats(w->streams[id].s, &st);
	} while (st.written < nb->t->total);
	CHECK_EQ(st.xruns, 0);
	nb->t->last = 's';
	while (!w->streams[id].nreleased) {
		device_step(nb->d, 1);
		while (turn_for(w, 0))
			;
	}
	CHECK(w->streams[id].nstopped && w->streams[id].drained);
	UNTIL(w, nb->t->answered);
	f = fopen(nb->path, "rb");
	CHECK(f != NULL);
	for (; i < nb->t->written; i++) {
		uint8_t want[4];

		CHECK_EQ(fread(frame, sizeof(frame), 1, f), 1);
		samples(want, nb->t->seed, i, 1, 2);
		if (memcmp(frame, want, 4) != 0 && wrong++ == 0)
			fprintf(stderr, "%s: frame %lld of %lld is wrong\n", running, (long long)i,
			    (long long)nb->t->written);
	}
	CHECK_EQ(wrong, 0);
	CHECK(i >= 48 * nb->nblocks);
	fclose(f);
	unlink(nb->path);
	clients_clear(w);
	device_close(nb->d);			/* with what others have left on it */
	world_clear(w);
}

#endif
