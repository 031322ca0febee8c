/*
 * test_sndio.c: sndio's protocol at the pump, on live engines: what a client is
 * told and when, what the pump takes of it and what not, how a stream stops.
 *
 * On the manual clock what comes of one cycle is compared as a whole.
 * peer_sndio.h has what holds at any time, live.h that all comes back once.
 */
#include "stage.h"

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

/* ---- what control sends of itself ---------------------------------------------------------------------- */

/* control is told when all it has sent is on its way, once however often it asked; of who does not read, later */
static void
test_await(void)
{
	static uint8_t many[500 * SNDIO_SIZE];
	struct live_conn *lc;
	struct stage s;

	stage_open(&s);
	lc = &s.w.conns[s.c->id];
	CHECK_EQ(conn_await(s.c->c), 0);	/* there is nothing */
	UNTIL(&s.w, lc->nsent == 1);
	for (int i = 0; i < 500; i++)
		(void)sndio_msg(many + i * SNDIO_SIZE, SNDIO_GETPAR, UINT32_MAX);
	s.c->deaf = 1;
	for (int i = 0; i < 20; i++)		/* more than its socket takes, less than CONN_OUT_MAX beyond */
		CHECK_EQ(conn_send(s.c->c, many, sizeof(many)), 0);
	CHECK_EQ(conn_await(s.c->c), 0);
	CHECK_EQ(conn_await(s.c->c), 0);
	CHECK_EQ(engine_sync(s.w.e, 7), 0);
	UNTIL(&s.w, s.w.synced == 7);
	CHECK_EQ(lc->nsent, 1);
	CHECK_EQ(lc->nclosed, 0);
	s.c->deaf = 0;
	UNTIL(&s.w, lc->nsent == 2);
	settle(&s.w);
	CHECK_EQ(lc->nsent, 2);
	s.c->deaf = 1;
	for (int i = 0; i < 20; i++)
		CHECK_EQ(conn_send(s.c->c, many, sizeof(many)), 0);
	CHECK_EQ(conn_await(s.c->c), 0);
	CHECK_EQ(conn_close(s.c->c, 0), 0);
	UNTIL(&s.w, lc->nclosed == 1);
	settle(&s.w);
	CHECK_EQ(lc->nsent, 2);			/* its end says it all */
	stage_close(&s);
}

/* ---- MIDI ------------------------------------------------------------------------------------------------- */

static uint8_t relayed[1 << 20];
static size_t nrelayed;
static uint32_t longest;

static void
keep_relayed(struct world *w, struct client *c, const uint8_t *data, uint32_t len)
{
	(void)w, (void)c;
	CHECK(nrelayed + len <= sizeof(relayed));
	memcpy(relayed + nrelayed, data, len);
	nrelayed += len;
	if (len > longest)
		longest = len;
}

/* from then on every byte is control's, in its order, DATA and BYE too, however fast and in whatever pieces it comes */
static void
test_relay(size_t chunk)
{
	static uint8_t many[900000];		/* more than the pump may hold for control */
	struct stage s;
	uint32_t x = 1;
	int early;

	stage_open(&s);
	nrelayed = longest = 0;
	s.w.message = keep_relayed;
	s.c->chunk = chunk;
	sndio_say(s.c, SNDIO_HELLO, 5);		/* whole, and before it was asked for */
	UNTIL(&s.w, nrelayed == SNDIO_SIZE);
	early = s.w.conns[s.c->id].nmessages;
	CHECK_EQ(early, 1);
	CHECK_EQ(conn_relay(s.c->c), 0);
	settle(&s.w);
	for (size_t i = 0; i < sizeof(many); i++) {
		x = x * 1664525u + 1013904223u;
		many[i] = (uint8_t)(x >> 24);
	}
	(void)sndio_msg(many, SNDIO_DATA, 77);
	(void)sndio_msg(many + 200, SNDIO_BYE, 0);
	(void)sndio_msg(many + 400, SNDIO_STOP, 1);
	nrelayed = 0;
	say(s.c, many, chunk ? 10000 : sizeof(many));
	UNTIL(&s.w, nrelayed == (chunk ? 10000 : sizeof(many)));
	CHECK(memcmp(relayed, many, nrelayed) == 0);
	CHECK(longest <= RELAY_MAX);
	CHECK_EQ(s.w.conns[s.c->id].nbroken, 0);
	CHECK_EQ(s.w.conns[s.c->id].nclosed, 0);
	s.w.message = NULL;
	stage_close(&s);
}

int
main(void)
{
	signal(SIGALRM, too_long);
	alarm(240);
	RUN(test_play());
	RUN(test_await());
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
	RUN(test_relay(0));
	RUN(test_relay(1));
	RUN(test_relay(41));
	CHECK_DONE();
}
