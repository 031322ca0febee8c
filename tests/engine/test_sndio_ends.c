/*
 * test_sndio_ends.c: sndio's protocol at the pump when something goes amiss: xruns
 * by each policy, clients that do not read, say BYE or vanish, devices that go.
 *
 * As in test_sndio.c, what comes of one cycle is compared as a whole.
 */
#include <sys/ioctl.h>
#include "stage.h"

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
