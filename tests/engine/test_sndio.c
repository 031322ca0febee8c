/*
 * test_sndio.c: sndio's protocol at the pump, on live engines: what it takes, what
 * it tells and when, and every way it ends.
 *
 * On the manual clock what a client is told in one cycle is compared as a whole:
 * `told` passes a block and CHECK_TRACE says what came of it.  peer_sndio.h has
 * what holds at any time, live.h that all comes back once.
 */
#include <sys/ioctl.h>
#include "live.h"

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

/* ---- what is told, cycle by cycle --------------------------------------------------------------- */

static void
test_play(void)
{
	struct stream_par p = with(STREAM_PLAY, 0);
	struct stage s;

	stage_open(&s);
	start(&s.w, s.c, 0, s.d, &p, INT64_MAX, 0);
	s.t->hold = 1;
	settle(&s.w);
	CHECK_TRACE(s.c, "F96");
	told(&s);				/* not before its buffer is full */
	sndio_write(s.c, ROUND);
	told(&s);
	CHECK_TRACE(s.c, "");
	s.t->hold = 0;
	for (int i = 0; i < 3; i++) {
		told(&s);
		CHECK_TRACE(s.c, "F48");
	}
	told(&s);				/* the device's buffer later its first frame is heard */
	CHECK_TRACE(s.c, "M0 F48");
	for (int i = 0; i < 50; i++) {
		told(&s);
		CHECK_TRACE(s.c, "M48 F48");
		CHECK_EQ(s.t->granted, APPBUFSZ + stats(&s.w, s.t).consumed);
		CHECK_EQ(s.t->written, s.t->granted);
		CHECK_EQ(s.t->pos, stats(&s.w, s.t).position);
	}
	stage_close(&s);
}

static void
test_record(uint32_t flag)
{
	struct stream_par p = with(flag, 0);
	struct stage s;

	stage_open(&s);
	stage_start(&s, &p, INT64_MAX, 0);
	CHECK_TRACE(s.c, "");
	for (int i = 0; i < 3 && flag == STREAM_MON; i++) {	/* what is played now is heard later */
		told(&s);
		CHECK_TRACE(s.c, "");
	}
	told(&s);
	CHECK_TRACE(s.c, flag == STREAM_MON ? "M0" : "M0 M48 D192");
	for (int i = 0; i < 50; i++) {
		told(&s);
		CHECK_TRACE(s.c, "M48 D192");
	}
	sndio_say_stop(s.c, 1);			/* of what only records: at once */
	told(&s);
	CHECK_TRACE(s.c, "S");
	CHECK_EQ(s.w.streams[s.t->id].nreleased, 1);
	CHECK_EQ(s.w.streams[s.t->id].drained, 1);
	stage_close(&s);
}

static void
test_duplex(void)
{
	struct stream_par p = with(STREAM_PLAY | STREAM_REC, 0);
	uint8_t want[100 * ROUND * 4];
	struct stage s;

	stage_open(&s);
	stage_start(&s, &p, INT64_MAX, 0);
	CHECK_TRACE(s.c, "F96");
	for (int i = 0; i < 3; i++) {
		told(&s);
		CHECK_TRACE(s.c, "F48");
	}
	told(&s);
	CHECK_TRACE(s.c, "M0 F48");
	for (int i = 0; i < 100; i++) {
		told(&s);
		CHECK_TRACE(s.c, "M48 F48 D192");
	}
	samples(want, s.t->seed, 0, 100 * ROUND, 2);	/* frame n recorded is frame n played */
	CHECK_EQ(s.t->nheard, sizeof(want));
	CHECK(memcmp(want, s.t->heard, sizeof(want)) == 0);
	stage_close(&s);
}

/* recorded data leaves in pieces of at most 4096 bytes, none across the end of a block */
static void
test_pieces(void)
{
	struct stream_par p = with(STREAM_REC, 0);
	struct stage s;

	stage_open_on(&s, "", 1200);
	p.appbufsz = 2400;
	p.round = 1200;
	stage_start(&s, &p, INT64_MAX, 0);
	told(&s);
	CHECK_TRACE(s.c, "M0 M1200 D4096 D704");
	told(&s);
	CHECK_TRACE(s.c, "M1200 D4096 D704");
	sndio_say_stop(s.c, 0);
	told(&s);
	CHECK_TRACE(s.c, "S");
	p.enc = (struct encoding){ 24, 3, 1, 1, 1, 0 };	/* frames that 4096 is no multiple of */
	p.rchan = 3;
	start(&s.w, s.c, 0, s.d, &p, INT64_MAX, 0);
	told(&s);
	CHECK_TRACE(s.c, "M0 M1200 D4095 D4095 D2610");
	sndio_say_stop(s.c, 0);
	told(&s);
	CHECK_TRACE(s.c, "S");
	p = with(STREAM_REC, 0);		/* the client's block is not the device's */
	p.appbufsz = 2400;
	p.round = 1000;
	start(&s.w, s.c, 0, s.d, &p, INT64_MAX, 0);
	told(&s);
	CHECK_TRACE(s.c, "M0 M1200 D4000 D800");
	told(&s);
	CHECK_TRACE(s.c, "M1200 D3200 D1600");
	stage_close(&s);
}

/* 44.1 kHz at blocks of 256: 235.2 frames each; what is told is true however long it lasts */
static void
test_no_drift(uint32_t flags)
{
	enum { CYCLES = 4000, DROUND = 256 };
	struct stream_par p = with(flags, 0);
	int64_t taken[2] = { 0, 0 }, heard[2] = { 0, 0 }, now;
	struct stage s;

	stage_open_on(&s, "", DROUND);
	p.rate = 44100;
	p.round = 235;
	p.appbufsz = 4 * 235;
	stage_start(&s, &p, INT64_MAX, 0);
	CHECK_EQ(s.t->granted, flags & STREAM_PLAY ? p.appbufsz : 0);
	for (int i = 1; i <= CYCLES; i++) {
		struct stream_stats st;

		told(&s);
		st = stats(&s.w, s.t);
		now = i * DROUND - (flags & STREAM_PLAY ? 4 * DROUND : 0);
		if (now >= 0)
			CHECK_EQ(s.t->pos, now * 44100 / 48000);
		CHECK_EQ(s.t->granted, flags & STREAM_PLAY ? p.appbufsz + st.consumed : 0);
		CHECK_EQ(s.t->received, st.captured);
		if (i % (CYCLES / 2) == 0) {
			taken[i / (CYCLES / 2) - 1] = st.consumed;
			heard[i / (CYCLES / 2) - 1] = s.t->received;
		}
		s.c->ntrace = 0;
	}
	/* CYCLES / 2 blocks are a whole number of frames */
	CHECK_EQ(CYCLES / 2 * DROUND * 441 % 480, 0);
	if (flags & STREAM_PLAY)
		CHECK_EQ(taken[1] - taken[0], CYCLES / 2 * DROUND * 441 / 480);
	if (flags & STREAM_REC)
		CHECK_EQ(heard[1] - heard[0], CYCLES / 2 * DROUND * 441 / 480);
	CHECK_EQ(stats(&s.w, s.t).xruns, 0);
	stage_close(&s);
}

/* ---- stop ---------------------------------------------------------------------------------------- */

/* whatever it is stopped in, one answer, nothing behind it, and it starts again from 0 */
static void
test_stop(int drain)
{
	static const int64_t totals[] = { 0, 1, ROUND, APPBUFSZ - 1, APPBUFSZ, 1000 };
	struct stream_par p = with(STREAM_PLAY | STREAM_REC, 0);
	struct stage s;

	stage_open(&s);
	for (size_t i = 0; i < sizeof(totals) / sizeof(*totals); i++) {
		stage_start(&s, &p, totals[i], 0);
		for (int k = 0; s.t->written < totals[i]; k++) {
			CHECK(k < 1000);
			told(&s);
		}
		settle(&s.w);
		s.t->asked = 1;
		sndio_say_stop(s.c, drain);
		settle(&s.w);
		s.c->ntrace = 0;
		told_until_released(&s);
		CHECK(s.t->answered);
		CHECK_EQ(s.w.streams[s.t->id].nstopped, 1);
		CHECK_EQ(s.w.streams[s.t->id].drained, drain != 0);
		for (int k = 0; k < 10; k++)
			told(&s);
		s.c->trace[s.c->ntrace] = '\0';	/* no MOVE, no FLOWCTL while it drains */
		CHECK(strcmp(s.c->trace, "S") == 0 || strcmp(s.c->trace, "") == 0);
		s.c->ntrace = 0;
	}
	CHECK_EQ(s.w.conns[s.c->id].nmessages, 0);	/* none of it was control's */
	stage_close(&s);
}

/* a drain plays all that was written, behind each other */
static void
test_drained(void)
{
	char path[] = "/tmp/audiod-test-XXXXXX";
	static const int64_t totals[] = { 5, ROUND, 1001 };
	struct stream_par p = with(STREAM_PLAY, 0);
	struct stage s;
	FILE *f;
	int fd = mkstemp(path);

	CHECK(fd >= 0);
	close(fd);
	stage_open_on(&s, path, ROUND);
	f = fopen(path, "rb");
	CHECK(f != NULL);
	for (int i = 0; i < 3; i++) {
		uint8_t want[4], got[4] = { 0 };
		long silent = 0;

		stage_start(&s, &p, totals[i], 's');
		told_until_released(&s);
		clearerr(f);
		while (fread(got, 4, 1, f) == 1 && memcmp(got, "\0\0\0\0", 4) == 0)
			silent++;
		for (int64_t k = 0; k < totals[i]; k++) {
			samples(want, s.t->seed, k, 1, 2);
			CHECK(memcmp(want, got, 4) == 0);
			CHECK(fread(got, 4, 1, f) == 1 || k == totals[i] - 1);
		}
		CHECK(silent % ROUND == 0 || i > 0);
	}
	fclose(f);
	unlink(path);
	stage_close(&s);
}

/* the pump did not know the stream yet: control stops it, as the client asked */
static void
by_the_book(struct world *w, struct client *c, const uint8_t *m, uint32_t len)
{
	struct stream_par p = with(STREAM_PLAY | STREAM_REC, 0);
	uint8_t b[SNDIO_SIZE];

	CHECK_EQ(len, SNDIO_SIZE);
	switch (be32(m)) {
	case SNDIO_START:
		start(w, c, 0, w->device, &p, 500, 0);
		break;
	case SNDIO_STOP:
		CHECK_EQ(conn_stop(c->c, 0, m[8] != 0, b, sndio_msg(b, SNDIO_STOP, UINT32_MAX)), 0);
		break;
	case SNDIO_GETPAR:
		CHECK_EQ(conn_send(c->c, b, sndio_msg(b, SNDIO_GETPAR, UINT32_MAX)), 0);
		break;
	}
}

static void
test_pipelined(int drain)
{
	struct stage s;

	stage_open(&s);
	s.w.message = by_the_book;
	s.w.device = s.d;
	for (int i = 0; i < 20; i++) {
		sndio_say(s.c, SNDIO_GETPAR, UINT32_MAX);
		sndio_say(s.c, SNDIO_START, UINT32_MAX);
		sndio_say_stop(s.c, drain);
		UNTIL(&s.w, s.t->id);
		s.t->asked = 1;
		told_until_released(&s);
		CHECK(s.t->answered);
		CHECK_EQ(s.t->written, 0);
		CHECK_EQ(s.w.streams[s.t->id].nstopped, 1);
		s.t->id = 0;
	}
	CHECK_EQ(s.c->nothers, 20);
	CHECK_EQ(s.w.conns[s.c->id].nbroken, 0);
	stage_close(&s);
}

/* ---- DATA: what is taken -------------------------------------------------------------------------- */

/* blocks in any pieces, arriving in any pieces: every frame is played in its place */
static void
test_split(uint32_t most, size_t chunk)
{
	char path[] = "/tmp/audiod-test-XXXXXX.raw";
	enum { TOTAL = 3000 };
	struct stream_par p = with(STREAM_PLAY, 0);
	uint8_t got[4], want[4];
	struct client *c;
	struct world w;
	device *d;
	FILE *f;
	int fd = mkstemps(path, 4);

	CHECK(fd >= 0);
	close(fd);
	world_open(&w);
	d = open_device(&w, "file", path, 1, ROUND, 2);
	w.most = most;
	c = client_speaks(&w, &sndio);
	c->chunk = chunk;
	start(&w, c, 0, d, &p, TOTAL, 's');
	released(&w, &c->seats[0]);
	UNTIL(&w, c->seats[0].answered);
	device_close(d);
	f = fopen(path, "rb");
	CHECK(f != NULL);
	for (int64_t i = 0; i < TOTAL; i++) {
		CHECK_EQ(fread(got, 4, 1, f), 1);
		samples(want, c->seats[0].seed, i, 1, 2);
		CHECK(memcmp(want, got, 4) == 0);
	}
	fclose(f);
	unlink(path);
	world_clear(&w);
	world_close(&w);
}

/* frames of nine bytes, cut anywhere */
static void
test_split_frames(void)
{
	struct stream_par p = with(STREAM_PLAY, 0);
	struct stage s;

	p.enc = (struct encoding){ 24, 3, 1, 1, 1, 0 };
	p.pchan = 3;
	for (size_t chunk = 1; chunk < 14; chunk++) {
		stage_open(&s);
		s.c->chunk = chunk;
		stage_start(&s, &p, INT64_MAX, 0);
		for (int i = 0; i < 10; i++) {
			told(&s);
			CHECK_EQ(stats(&s.w, s.t).written, s.t->written);
			CHECK_EQ(stats(&s.w, s.t).written, stats(&s.w, s.t).consumed + APPBUFSZ);
		}
		CHECK_EQ(stats(&s.w, s.t).xruns, 0);
		stage_close(&s);
	}
}

/* two DATA in one block, and the last frame of credit: as much as may be */
static void
test_within(void)
{
	struct stream_par p = with(STREAM_PLAY, 0);
	struct stage s;

	stage_open(&s);
	start(&s.w, s.c, 0, s.d, &p, INT64_MAX, 0);
	s.t->hold = 1;
	settle(&s.w);
	sndio_write(s.c, 10);			/* 96 in hand */
	sndio_write(s.c, 38);
	sndio_write(s.c, 47);
	sndio_write(s.c, 1);
	told(&s);
	CHECK_EQ(stats(&s.w, s.t).written, APPBUFSZ);
	CHECK_TRACE(s.c, "F96 F48");
	sndio_write(s.c, 48);
	told(&s);
	CHECK_EQ(stats(&s.w, s.t).written, APPBUFSZ + 48);
	CHECK_EQ(s.w.conns[s.c->id].nbroken, 0);
	stage_close(&s);
}

static void
test_refused(int kind)
{
	static const int why[] = { PROTO_STREAM, PROTO_MODE, PROTO_SIZE, PROTO_FRAME, PROTO_FRAME, PROTO_BLOCK,
	    PROTO_BLOCK, PROTO_CREDIT, PROTO_CREDIT, PROTO_BLOCK, PROTO_FRAME, PROTO_STREAM, PROTO_STREAM, PROTO_CREDIT, PROTO_STOP };
	struct stream_par p = beside(STREAM_PLAY | STREAM_REC, 0);
	struct neighbour nb;
	struct client *c;
	struct world w;
	struct seat *t;
	uint32_t id = 0;

	world_open(&w);
	neighbour_speaks(&w, &nb, &sndio);
	c = client_speaks(&w, &sndio);
	keep_trace(c);
	t = &c->seats[0];
	if (kind == 1)
		p.flags = STREAM_REC;
	if (kind == 13)
		p.round = 0;			/* no blocks, so that credit is what bounds it */
	if (kind != 0) {
		start(&w, c, 0, nb.d, &p, 0, 0);
		id = t->id;
		settle(&w);
	}
	switch (kind) {
	case 0:					/* nothing is started */
		sndio_say(c, SNDIO_DATA, 4);
		break;
	case 1:					/* it only records */
		sndio_say(c, SNDIO_DATA, 4);
		break;
	case 2:
		sndio_say(c, SNDIO_DATA, 0);
		break;
	case 3:					/* not whole frames */
		sndio_say(c, SNDIO_DATA, 3);
		break;
	case 4:					/* the same behind whole ones */
		sndio_write(c, 10);
		sndio_say(c, SNDIO_DATA, 41);
		break;
	case 5:					/* over the end of a block */
		sndio_say(c, SNDIO_DATA, 4 * (ROUND + 1));
		break;
	case 6:
		sndio_write(c, 30);
		sndio_say(c, SNDIO_DATA, 4 * (ROUND - 30 + 1));
		break;
	case 7:					/* more than it has been given */
		sndio_write(c, ROUND);
		sndio_write(c, ROUND);
		sndio_say(c, SNDIO_DATA, 4);
		break;
	case 8:
		sndio_write(c, ROUND);
		sndio_write(c, 1);
		sndio_write(c, 46);
		sndio_say(c, SNDIO_DATA, 8);	/* one in hand, but of that block: both rules */
		c->nout -= SNDIO_SIZE;
		sndio_write(c, 1);
		sndio_say(c, SNDIO_DATA, 4);
		break;
	case 9:					/* sizes that no buffer holds */
		sndio_say(c, SNDIO_DATA, 0xfffffffc);
		break;
	case 10:
		sndio_say(c, SNDIO_DATA, UINT32_MAX);
		break;
	case 11:				/* behind its own stop, not answered yet */
		sndio_write(c, ROUND);
		t->asked = 1;
		sndio_say_stop(c, 1);
		sndio_say(c, SNDIO_DATA, 4);
		break;
	case 12:				/* ... and answered */
		t->asked = 1;
		sndio_say_stop(c, 0);
		BEAT_UNTIL(&w, &nb, t->answered);
		sndio_say(c, SNDIO_DATA, 4);
		break;
	case 13:
		sndio_say(c, SNDIO_DATA, 0xfffffffc);
		break;
	case 14:				/* a second stop, the first not answered yet */
		sndio_write(c, ROUND);
		t->asked = 1;
		sndio_say_stop(c, 1);
		sndio_say_stop(c, 0);
		break;
	}
	say(c, "\0\0\0", 4);
	sndio_say(c, SNDIO_GETPAR, UINT32_MAX);	/* nothing behind it is read */
	BEAT_UNTIL(&w, &nb, w.conns[c->id].nbroken && (id == 0 || w.streams[id].nreleased));
	for (int i = 0; i < 10; i++)
		beat(&w, &nb);
	CHECK_EQ(w.conns[c->id].why, why[kind]);
	CHECK_EQ(w.conns[c->id].nmessages, 0);
	CHECK_EQ(w.conns[c->id].nclosed, 0);	/* control logs and closes */
	CHECK(id == 0 || (w.streams[id].nended == 0 && w.streams[id].nstopped == (kind == 12)));
	CHECK_EQ(conn_close(c->c, 0), 0);
	BEAT_UNTIL(&w, &nb, c->c == NULL && c->eof);
	CHECK_EQ(w.conns[c->id].reason, CLOSE_SELF);
	CHECK_EQ(c->nothers, 0);
	neighbour_end(&w, &nb);
	world_close(&w);
}

/* ---- control's own stop, and data that did not know of it -------------------------------------------- */

static void
test_stopped_by_control(int end)
{
	struct stream_par p = with(STREAM_PLAY, 0);
	struct stage s;
	uint8_t b[SNDIO_SIZE];
	int64_t written;

	stage_open(&s);
	stage_start(&s, &p, INT64_MAX, 0);
	for (int i = 0; i < 10; i++)
		told(&s);
	s.t->hold = 1;
	told(&s);
	sndio_say(s.c, SNDIO_DATA, 4 * ROUND);	/* half of it is there */
	say(s.c, (uint8_t[2 * ROUND]){ 0 }, 2 * ROUND - 1);
	told(&s);
	s.c->ntrace = 0;
	if (end)
		CHECK_EQ(conn_end(s.c->c, 0, b, sndio_msg(b, SNDIO_END, UINT32_MAX)), 0);
	else
		CHECK_EQ(conn_stop(s.c->c, 0, 0, b, sndio_msg(b, SNDIO_STOP, UINT32_MAX)), 0);
	told_until_released(&s);
	CHECK_TRACE(s.c, end ? "E" : "S");
	say(s.c, (uint8_t[4 * ROUND]){ 0 }, 4 * ROUND - (2 * ROUND - 1));	/* the rest */
	sndio_say(s.c, SNDIO_DATA, 4);		/* and more, against any rule */
	say(s.c, "\0\0\0", 4);
	sndio_say(s.c, SNDIO_DATA, 4 * ROUND + 3);
	say(s.c, (uint8_t[4 * ROUND + 3]){ 0 }, 4 * ROUND + 3);
	sndio_say(s.c, SNDIO_DATA, 0);
	sndio_say(s.c, SNDIO_GETPAR, UINT32_MAX);
	settle(&s.w);
	CHECK_EQ(s.w.conns[s.c->id].nmessages, 1);
	CHECK_EQ(s.w.conns[s.c->id].nbroken, 0);

	/* a DATA that was of no stream is not the next one's, however much of it there is */
	sndio_say(s.c, SNDIO_DATA, 1 << 20);
	say(s.c, (uint8_t[1000]){ 0 }, 1000);
	settle(&s.w);
	start(&s.w, s.c, 0, s.d, &p, INT64_MAX, 0);
	s.t->hold = 1;
	for (int i = 0; i < 40; i++) {
		static const uint8_t noise[4096];

		say(s.c, noise, sizeof(noise));
		told(&s);
	}
	written = stats(&s.w, s.t).written;
	CHECK_EQ(written, 0);
	for (size_t left = (1 << 20) - 1000 - 40 * 4096; left > 0; ) {
		static const uint8_t noise[4096];
		size_t n = left < sizeof(noise) ? left : sizeof(noise);

		say(s.c, noise, n);
		left -= n;
	}
	settle(&s.w);
	s.t->hold = 0;				/* and now it is understood again */
	for (int i = 0; i < 10; i++)
		told(&s);
	CHECK_EQ(stats(&s.w, s.t).written, stats(&s.w, s.t).consumed + APPBUFSZ);
	CHECK_EQ(s.w.conns[s.c->id].nbroken, 0);
	stage_close(&s);
}

/* ... while what it had written plays out */
static void
test_drained_by_control(void)
{
	struct stream_par p = with(STREAM_PLAY, 0);
	struct stage s;
	uint8_t b[SNDIO_SIZE];

	stage_open(&s);
	start(&s.w, s.c, 0, s.d, &p, INT64_MAX, 0);
	for (int i = 0; i < 10; i++)
		told(&s);
	s.t->hold = 1;
	told(&s);
	CHECK_EQ(conn_stop(s.c->c, 0, 1, b, sndio_msg(b, SNDIO_STOP, UINT32_MAX)), 0);
	settle(&s.w);
	s.c->ntrace = 0;
	sndio_write(s.c, ROUND);		/* it cannot know */
	sndio_say_stop(s.c, 1);			/* nor here: control's, as all that the pump does not know */
	settle(&s.w);
	CHECK_EQ(s.w.conns[s.c->id].nbroken, 0);
	CHECK_EQ(s.w.conns[s.c->id].nmessages, 1);
	CHECK_EQ(stats(&s.w, s.t).written, s.t->written - ROUND);
	told_until_released(&s);
	CHECK_TRACE(s.c, "S");
	CHECK_EQ(s.w.streams[s.t->id].drained, 1);
	stage_close(&s);
}

/* ---- volume ------------------------------------------------------------------------------------------ */

static void
test_setvol(void)
{
	struct stream_par p = with(STREAM_PLAY, 0);
	struct stage s;
	uint8_t b[SNDIO_SIZE];

	stage_open(&s);
	sndio_say(s.c, SNDIO_SETVOL, 5);	/* before a start: control's */
	CHECK_EQ(conn_tell(s.c->c, 0, b, sndio_msg(b, SNDIO_SETVOL, 9)), 0);
	settle(&s.w);
	CHECK_TRACE(s.c, "");			/* not told, nothing is started */
	CHECK_EQ(s.w.conns[s.c->id].nmessages, 1);
	stage_start(&s, &p, INT64_MAX, 0);
	CHECK_EQ(conn_tell(s.c->c, 0, b, sndio_msg(b, SNDIO_SETVOL, 100)), 0);
	settle(&s.w);
	CHECK_TRACE(s.c, "F96 V100");
	CHECK_EQ(stats(&s.w, s.t).vol, 127);
	sndio_say(s.c, SNDIO_SETVOL, 64);
	settle(&s.w);
	CHECK_EQ(stats(&s.w, s.t).vol, 64);
	sndio_say(s.c, SNDIO_SETVOL, 128);	/* control refuses it */
	sndio_say(s.c, SNDIO_SETVOL, UINT32_MAX);
	settle(&s.w);
	CHECK_EQ(stats(&s.w, s.t).vol, 64);
	CHECK_EQ(s.w.conns[s.c->id].nmessages, 4);
	told(&s);
	s.t->asked = 1;
	sndio_say_stop(s.c, 1);
	sndio_say(s.c, SNDIO_SETVOL, 3);	/* while it drains */
	settle(&s.w);
	CHECK_EQ(stats(&s.w, s.t).vol, 3);
	CHECK_EQ(conn_tell(s.c->c, 0, b, sndio_msg(b, SNDIO_SETVOL, 1)), 0);
	told_until_released(&s);
	CHECK_EQ(conn_tell(s.c->c, 0, b, sndio_msg(b, SNDIO_SETVOL, 2)), 0);
	settle(&s.w);
	CHECK_TRACE(s.c, "F48 S");
	stage_close(&s);
}

/* ---- xruns --------------------------------------------------------------------------------------------- */

static void
test_ignore(uint32_t tell)
{
	struct stream_par p = with(STREAM_PLAY | tell, 0);
	char path[] = "/tmp/audiod-test-XXXXXX";
	uint8_t got[4], want[4];
	struct stage s;
	int64_t n = 0;
	FILE *f;
	int fd = mkstemp(path);

	CHECK(fd >= 0);
	close(fd);
	stage_open_on(&s, path, ROUND);
	stage_start(&s, &p, INT64_MAX, 0);
	for (int i = 0; i < 6; i++)
		told(&s);
	s.c->ntrace = 0;
	for (int pause = 0; pause < 3; pause++) {
		s.t->hold = 1;
		for (int i = 0; i < 2; i++) {
			told(&s);
			CHECK_TRACE(s.c, "M48 F48");
		}
		for (int i = 0; i < 10; i++) {	/* told once a pause */
			told(&s);
			CHECK_TRACE(s.c, i == 0 && tell ? "M0 X" : "M0");
		}
		sndio_write(s.c, ROUND - 1);	/* not enough */
		told(&s);
		CHECK_TRACE(s.c, "M0");
		s.t->hold = 0;
		for (int i = 0; i < 5; i++) {
			told(&s);
			CHECK_TRACE(s.c, "M48 F48");
		}
	}
	CHECK_EQ(stats(&s.w, s.t).xruns, 3);
	f = fopen(path, "rb");			/* it went on with the very next frame */
	CHECK(f != NULL);
	while (fread(got, 4, 1, f) == 1) {
		if (memcmp(got, "\0\0\0\0", 4) == 0)
			continue;
		samples(want, s.t->seed, n++, 1, 2);
		CHECK(memcmp(want, got, 4) == 0);
	}
	CHECK_EQ(n, stats(&s.w, s.t).consumed);
	fclose(f);
	unlink(path);
	stage_close(&s);
}

static void
test_sync(uint32_t tell, uint32_t appbufsz)
{
	struct stream_par p = with(STREAM_PLAY | tell, 1);
	struct stage s;
	int64_t pos;

	p.appbufsz = appbufsz;
	stage_open(&s);
	stage_start(&s, &p, INT64_MAX, 0);
	for (int i = 0; i < 6; i++)
		told(&s);
	s.c->ntrace = 0;
	pos = s.t->pos;
	s.t->hold = 1;
	for (uint32_t i = 0; i < appbufsz / ROUND; i++) {
		told(&s);
		CHECK_TRACE(s.c, "M48 F48");
	}
	for (int i = 0; i < 10; i++) {		/* its time goes on */
		told(&s);
		CHECK_TRACE(s.c, i == 0 && tell ? "M48 X" : "M48");
	}
	s.t->hold = 0;
	/* no cycle passes: ten blocks are discarded at once, and given back at once */
	UNTIL(&s.w, stats(&s.w, s.t).written == stats(&s.w, s.t).consumed + appbufsz);
	settle(&s.w);
	CHECK_EQ(s.t->written, s.t->granted);
	s.c->ntrace = 0;
	for (int i = 0; i < 10; i++) {
		told(&s);
		CHECK_TRACE(s.c, "M48 F48");
	}
	CHECK_EQ(s.t->pos - pos, (20 + appbufsz / ROUND) * ROUND);
	CHECK_EQ(stats(&s.w, s.t).xruns, 1);
	stage_close(&s);
}

/* policy ERROR, beside a neighbour: closed in that cycle, without a word */
static void
test_error(uint32_t flags)
{
	struct stream_par p = beside(flags, 2);
	struct neighbour nb;
	struct client *c;
	struct world w;
	struct seat *t;
	uint32_t id;

	world_open(&w);
	neighbour_speaks(&w, &nb, &sndio);
	c = client_speaks(&w, &sndio);
	keep_trace(c);
	t = start(&w, c, 0, nb.d, &p, INT64_MAX, 0);
	id = t->id;
	BEAT_UNTIL(&w, &nb, t->pos > 480);
	settle(&w);
	if (flags & STREAM_PLAY) {
		t->hold = 1;
		settle(&w);
		for (int i = 0; i < 2; i++) {	/* what it has written is played */
			beat(&w, &nb);
			settle(&w);
		}
		CHECK_EQ(w.conns[c->id].nclosed, 0);
		c->ntrace = 0;
		beat(&w, &nb);
		settle(&w);
		UNTIL(&w, c->eof && c->c == NULL);
		CHECK_TRACE(c, "");
		CHECK_EQ(w.streams[id].nreleased, 1);
	} else {
		c->deaf = 1;
		BEAT_UNTIL(&w, &nb, c->c == NULL && w.streams[id].nreleased);
	}
	CHECK_EQ(w.streams[id].nended, 1);
	CHECK_EQ(w.streams[id].reason, ENDED_XRUN);
	CHECK_EQ(w.streams[id].request, -1);
	CHECK_EQ(w.conns[c->id].reason, CLOSE_SELF);
	CHECK(w.streams[id].when < w.conns[c->id].when);
	CHECK_EQ(w.conns[c->id].nbroken, 0);
	neighbour_end(&w, &nb);
	world_close(&w);
}

/* the device's own xruns are told too, to those that asked */
static void
test_device_xrun(uint32_t tell)
{
	struct device_conf dc = { .driver = "manual", .arg = "", .stall_ms = 60000,
	    .par = { { 16, 2, 1, 1, 1, 0 }, 48000, ROUND, BUFSZ, 2, 2, 0 }, .xrun_every_ns = 100 * 1000000 };
	struct stream_par p = with(STREAM_PLAY | tell, 0);
	char err[256];
	struct stage s;

	world_open(&s.w);
	CHECK_EQ(device_open(s.w.e, 0, &dc, &s.d, err, sizeof(err)), 0);
	s.w.ndevices = 1;
	s.c = client_speaks(&s.w, &sndio);
	s.t = &s.c->seats[0];
	stage_start(&s, &p, INT64_MAX, 0);
	for (int i = 0; i < 350; i++)		/* of a millisecond each */
		told(&s);
	CHECK(stats(&s.w, s.t).xruns >= 3);
	CHECK_EQ(s.t->nxruns, tell ? stats(&s.w, s.t).xruns : 0);
	stage_close(&s);
}

/* ---- who does not read ------------------------------------------------------------------------------- */

static void
test_slow_reader(void)
{
	struct stream_par p = beside(STREAM_REC | STREAM_TELLXRUN, 0);
	struct neighbour nb;
	struct client *c;
	struct world w;
	struct seat *t;
	size_t before;
	int unread;

	world_open(&w);
	neighbour_speaks(&w, &nb, &sndio);
	c = client_speaks(&w, &sndio);
	t = start(&w, c, 0, nb.d, &p, INT64_MAX, 0);
	BEAT_UNTIL(&w, &nb, t->nheard > 0);
	for (int turn = 0; turn < 2; turn++) {
		c->deaf = 1;
		BEAT_UNTIL(&w, &nb, stats(&w, t).xruns > turn);	/* its own overrun */
		for (int i = 0; i < 2000; i++)
			beat(&w, &nb);
		CHECK_EQ(w.conns[c->id].nclosed, 0);
		CHECK_EQ(stats(&w, t).xruns, turn + 1);
		before = t->nheard;
		CHECK_EQ(ioctl(c->fd, FIONREAD, &unread), 0);
		c->deaf = 0;
		/* what was kept for it beside the socket's own buffer: 64 KB, one message, its ring */
		settle(&w);
		CHECK(t->nheard - before <= (size_t)unread + 65536 + SNDIO_DATAMAX + APPBUFSZ * 4);
		CHECK_EQ(t->nxruns, turn + 1);
		before = t->nheard;
		BEAT_UNTIL(&w, &nb, t->nheard > before + 100 * ROUND * 4);
	}
	neighbour_end(&w, &nb);
	world_close(&w);
}

/* it stops while it does not read: the answer waits, and comes last */
static void
test_slow_stop(int bye)
{
	struct stream_par p = beside(STREAM_REC, 0);
	struct neighbour nb;
	struct client *c;
	struct world w;
	struct seat *t;
	uint32_t id;

	world_open(&w);
	neighbour_speaks(&w, &nb, &sndio);
	c = client_speaks(&w, &sndio);
	t = start(&w, c, 0, nb.d, &p, INT64_MAX, 0);
	id = t->id;
	BEAT_UNTIL(&w, &nb, t->nheard > 0);
	c->deaf = 1;
	BEAT_UNTIL(&w, &nb, stats(&w, t).xruns > 0);
	sndio_say_stop(c, 1);
	for (int i = 0; i < 100; i++)
		beat(&w, &nb);
	CHECK_EQ(w.streams[id].nstopped, 0);
	if (bye) {
		sndio_say(c, SNDIO_BYE, UINT32_MAX);
		BEAT_UNTIL(&w, &nb, c->c == NULL && w.streams[id].nreleased);
		CHECK_EQ(w.conns[c->id].reason, CLOSE_BYE);
		CHECK_EQ(w.streams[id].nstopped, 0);
	} else {
		c->deaf = 0;			/* as soon as it reads, no block need pass */
		UNTIL(&w, t->answered && w.streams[id].nreleased);
		CHECK_EQ(w.streams[id].nstopped, 1);
	}
	neighbour_end(&w, &nb);
	world_close(&w);
}

/* ---- the end of a connection -------------------------------------------------------------------------- */

static void
test_bye(int state, int eof)
{
	struct stream_par p = beside(STREAM_PLAY | STREAM_REC, 0);
	struct neighbour nb;
	struct client *c;
	struct world w;
	struct seat *t = NULL;
	uint32_t id = 0;
	int ignored = 0;
	uint8_t b[SNDIO_SIZE];

	world_open(&w);
	neighbour_speaks(&w, &nb, &sndio);
	c = client_speaks(&w, &sndio);
	if (state >= 3) {
		t = start(&w, c, 0, nb.d, &p, INT64_MAX, 0);
		id = t->id;
	}
	switch (state) {
	case 0:					/* its first words */
		break;
	case 1:					/* control has spoken to it */
		sndio_say(c, SNDIO_AUTH, UINT32_MAX);
		sndio_say(c, SNDIO_HELLO, UINT32_MAX);
		UNTIL(&w, w.conns[c->id].nmessages == 2);
		conn_send(c->c, b, sndio_msg(b, SNDIO_ACK, UINT32_MAX));
		break;
	case 2:					/* behind what control has not seen yet */
		for (int i = 0; i < 100; i++)
			sndio_say(c, SNDIO_SETVOL, 1);
		break;
	case 3:					/* the pump does not know its stream yet */
		break;
	case 4:					/* it has its credit */
		t->hold = 1;
		UNTIL(&w, t->granted);
		break;
	case 5:					/* some samples are there */
		t->hold = 1;
		UNTIL(&w, t->granted);
		sndio_write(c, 20);
		break;
	case 6:					/* it plays and records */
		BEAT_UNTIL(&w, &nb, t->nheard > 0);
		break;
	case 7:					/* it drains */
		BEAT_UNTIL(&w, &nb, t->nheard > 0);
		settle(&w);
		t->asked = 1;
		sndio_say_stop(c, 1);
		break;
	case 8:					/* it has flushed */
		BEAT_UNTIL(&w, &nb, t->nheard > 0);
		t->asked = 1;
		sndio_say_stop(c, 0);
		break;
	case 9:					/* all is over */
		t->total = 960;
		t->last = 's';
		BEAT_UNTIL(&w, &nb, t->answered);
		break;
	case 10:				/* control has ended its stream */
		BEAT_UNTIL(&w, &nb, t->nheard > 0);
		t->asked = 1;
		conn_end(c->c, 0, b, sndio_msg(b, SNDIO_END, UINT32_MAX));
		UNTIL(&w, !t->started);
		break;
	case 11:				/* in the middle of a DATA: not a BYE, but samples */
		t->hold = 1;
		UNTIL(&w, t->granted);
		sndio_say(c, SNDIO_DATA, 4 * ROUND);
		say(c, b, 7);
		ignored = !eof;
		break;
	case 12:				/* in the middle of a message */
		say(c, b, 39);
		ignored = !eof;
		break;
	}
	if (ignored) {
		sndio_say(c, SNDIO_BYE, UINT32_MAX);
		settle(&w);
		CHECK_EQ(w.conns[c->id].nclosed, 0);
	} else if (!eof) {
		sndio_say(c, SNDIO_BYE, UINT32_MAX);
		say(c, b, sizeof(b));		/* nobody reads this */
		BEAT_UNTIL(&w, &nb, c->eof && c->c == NULL);
		CHECK_EQ(w.conns[c->id].reason, CLOSE_BYE);
	}
	if (ignored || eof) {
		client_kill(c);
		BEAT_UNTIL(&w, &nb, c->c == NULL);
		CHECK_EQ(w.conns[c->id].reason, CLOSE_EOF);
	}
	BEAT_UNTIL(&w, &nb, id == 0 || w.streams[id].nreleased);
	CHECK(id == 0 || w.streams[id].nended == 0);
	CHECK_EQ(w.conns[c->id].nbroken, 0);
	client_free(&w, c);
	for (int i = 0; i < 20; i++)
		beat(&w, &nb);
	neighbour_end(&w, &nb);
	world_close(&w);
}

/* a device fails or is closed: whoever plays or drains on it is closed, the others are not */
static void
test_device_goes(int fails)
{
	struct stream_par p = with(STREAM_PLAY, 0);
	struct client *c[4], *idle;
	struct world w;
	device *d;

	world_open(&w);
	d = open_device(&w, "manual", fails ? "/dev/full" : "", 0, ROUND, 2);
	idle = client_speaks(&w, &sndio);
	for (int i = 0; i < 4; i++) {
		c[i] = client_speaks(&w, &sndio);
		start(&w, c[i], 0, d, &p, i == 3 ? 0 : INT64_MAX, 0);	/* the last never begins */
	}
	settle(&w);
	if (!fails)
		for (int i = 0; i < 4; i++)
			device_step(d, 1);
	settle(&w);
	c[1]->seats[0].asked = c[2]->seats[0].asked = 1;
	sndio_say_stop(c[1], 1);
	settle(&w);
	if (fails)
		device_step(d, 10);
	else
		device_close(d);
	for (int i = 0; i < 4; i++) {
		struct live_stream *ls = &w.streams[c[i]->seats[0].id];

		UNTIL(&w, c[i]->c == NULL && c[i]->eof && ls->nreleased);
		CHECK_EQ(ls->nended, 1);
		CHECK_EQ(ls->reason, ENDED_DEVICE);
		CHECK_EQ(ls->request, -1);
		CHECK_EQ(w.conns[c[i]->id].reason, CLOSE_SELF);
		CHECK(ls->when < w.conns[c[i]->id].when);
		CHECK_EQ(c[i]->seats[0].answered, 0);
	}
	CHECK_EQ(w.failed, fails ? ENOSPC : 0);
	CHECK(idle->c != NULL);			/* it may open another */
	if (fails) {
		start(&w, idle, 0, d, &p, INT64_MAX, 0);	/* too late */
		UNTIL(&w, idle->c == NULL && idle->eof);
		device_close(d);
	}
	world_clear(&w);
	world_close(&w);
}

/* ---- clocks that run by themselves ------------------------------------------------------------------------ */

static void
test_life(const char *driver, int free_clock)
{
	struct stream_par p[] = { with(STREAM_PLAY, 0), with(STREAM_REC, 0), with(STREAM_PLAY | STREAM_REC, 0),
	    with(STREAM_MON, 0), with(STREAM_PLAY | STREAM_REC | STREAM_TELLXRUN, 1) };
	enum { N = sizeof(p) / sizeof(*p), BUF = 1920 };
	struct client *c[N];
	struct world w;
	device *d;

	world_open(&w);
	d = open_device(&w, driver, "", free_clock, ROUND, 2);
	for (int i = 0; i < N; i++) {
		c[i] = client_speaks(&w, &sndio);
		p[i].appbufsz = BUF;
	}
	for (int again = 0; again < 3; again++) {
		for (int i = 0; i < N; i++)
			start(&w, c[i], 0, d, &p[i], 4801, again == 1 ? 'f' : 's');
		for (int i = 0; i < N; i++) {
			struct seat *t = &c[i]->seats[0];

			released(&w, t);
			UNTIL(&w, t->answered);
			CHECK_EQ(w.streams[t->id].nstopped, 1);
			CHECK_EQ(w.streams[t->id].drained, again != 1);
			CHECK(t->pframe ? t->written == 4801 : t->pos >= 4801);
		}
	}
	world_clear(&w);
	for (uint32_t i = 0; i < w.nconns; i++) {
		CHECK_EQ(w.conns[i].nbroken, 0);
		CHECK_EQ(w.conns[i].nmessages, 0);
		CHECK_EQ(w.conns[i].reason, CLOSE_SELF);
	}
	device_close(d);
	world_close(&w);
}

int
main(void)
{
	signal(SIGALRM, too_long);
	alarm(240);
	RUN(test_play());
	RUN(test_record(STREAM_REC));
	RUN(test_record(STREAM_MON));
	RUN(test_duplex());
	RUN(test_pieces());
	RUN(test_no_drift(STREAM_PLAY));
	RUN(test_no_drift(STREAM_REC));
	RUN(test_no_drift(STREAM_PLAY | STREAM_REC));
	for (int drain = -1; drain <= 1; drain++)
		RUN(test_stop(drain));
	RUN(test_drained());
	for (int drain = 0; drain < 2; drain++)
		RUN(test_pipelined(drain));
	RUN(test_split(0, 0));
	RUN(test_split(1, 0));
	RUN(test_split(7, 13));
	RUN(test_split(0, 1));
	RUN(test_split(0, 39));
	RUN(test_split(0, 41));
	RUN(test_split(11, 43));
	RUN(test_split_frames());
	RUN(test_within());
	for (int kind = 0; kind < 15; kind++)
		RUN(test_refused(kind));
	RUN(test_stopped_by_control(0));
	RUN(test_stopped_by_control(1));
	RUN(test_drained_by_control());
	RUN(test_setvol());
	RUN(test_ignore(0));
	RUN(test_ignore(STREAM_TELLXRUN));
	RUN(test_sync(0, APPBUFSZ));
	RUN(test_sync(STREAM_TELLXRUN, APPBUFSZ));
	RUN(test_sync(STREAM_TELLXRUN, ROUND));
	RUN(test_error(STREAM_PLAY));
	RUN(test_error(STREAM_PLAY | STREAM_TELLXRUN));
	RUN(test_error(STREAM_REC));
	RUN(test_device_xrun(0));
	RUN(test_device_xrun(STREAM_TELLXRUN));
	RUN(test_slow_reader());
	RUN(test_slow_stop(0));
	RUN(test_slow_stop(1));
	for (int state = 0; state <= 12; state++)
		for (int eof = 0; eof < 2; eof++)
			RUN(test_bye(state, eof));
	RUN(test_device_goes(0));
	RUN(test_device_goes(1));
	RUN(test_life("null", 0));
	RUN(test_life("loopback", 0));
	RUN(test_life("null", 1));
	RUN(test_life("loopback", 1));
	CHECK_DONE();
}
