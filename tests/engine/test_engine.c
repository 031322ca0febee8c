/*
 * test_engine.c: the whole engine with its real threads, from sockets to
 * drivers, under ASan and TSan: every way a stream, a connection or a device
 * can end, and what its neighbours notice of it: nothing.
 *
 * Exactness is asserted on the manual clock, where a block passes when the test
 * says so; on real and free clocks only what holds however late a thread is.
 */
#include "neighbour.h"

static const struct stream_par duplex = { .enc = { 16, 2, 1, 1, 1, 0 }, .flags = STREAM_PLAY | STREAM_REC,
    .rate = 48000, .pchan = 2, .rchan = 2, .appbufsz = 480, .pmin = 2, .pmax = 3, .rmin = 2, .rmax = 3,
    .vol = 127, .maxvol = 127 };

static struct stream_par
with(struct stream_par p, uint32_t flags, uint32_t xrun)
{
	p.flags = flags;
	p.xrun = xrun;
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

/* ---- start, play, stop --------------------------------------------------------------------- */

static void
test_life(const char *driver)
{
	struct world w;
	struct client *c;
	struct seat *t;
	device *d;

	world_open(&w);
	d = open_device(&w, driver, "", 0, 48, 4);
	c = client_new(&w);
	for (int i = 0; i < 3; i++) {		/* the same number again and again */
		t = start(&w, c, 3, d, i ? &duplex : &s16, 4801, "sfc"[i]);
		released(&w, t);
		CHECK_EQ(w.streams[t->id].nstopped, 1);
		CHECK_EQ(w.streams[t->id].drained, i != 1);
		if (i < 2)
			UNTIL(&w, t->answered);
		CHECK(t->granted >= 4801 && t->nmoves > 0);
	}
	CHECK_EQ(w.conns[c->id].nmessages, 1);	/* close went to control, stop and flush were answered */
	t = start(&w, c, 0, d, &s16, 100, 's');	/* less than it takes to begin */
	released(&w, t);
	UNTIL(&w, t->answered);			/* the number is its client's again */
	CHECK(w.streams[t->id].drained);
	t = start(&w, c, 0, d, &s16, 0, 's');	/* nothing at all */
	released(&w, t);
	world_clear(&w);
	device_close(d);
	world_close(&w);
}

/* what is recorded arrives, whole and after the onmove that covers it (see live.h) */
static void
test_record(const char *driver)
{
	struct stream_par rec = with(duplex, STREAM_REC, 0), mon = with(duplex, STREAM_MON, 0);
	struct world w;
	struct client *a, *b;
	device *d;

	world_open(&w);
	d = open_device(&w, driver, "", 0, 48, 4);
	a = client_new(&w);
	b = client_new(&w);
	start(&w, a, 0, d, &duplex, 9600, 's');
	start(&w, b, 0, d, &rec, 4800, 's');
	start(&w, b, 1, d, &mon, 4800, 'f');
	UNTIL(&w, a->seats[0].answered && b->seats[0].answered && b->seats[1].answered);
	CHECK(a->seats[0].nheard && b->seats[0].nheard && b->seats[1].nheard);
	world_clear(&w);
	device_close(d);
	world_close(&w);
}

static void
test_duplex_is_exact(void)
{
	struct world w;
	struct neighbour nb;
	struct client *c;
	struct seat *t;
	uint8_t *want;

	world_open(&w);
	neighbour_start(&w, &nb);
	c = client_new(&w);
	t = start(&w, c, 1, nb.d, &duplex, INT64_MAX, 0);
	BEAT_UNTIL(&w, &nb, t->nheard >= 20000);
	want = malloc(t->nheard);
	CHECK(want != NULL);
	samples(want, t->seed, 0, (uint32_t)(t->nheard / 4), 2);
	CHECK(memcmp(want, t->heard, t->nheard) == 0);
	CHECK_EQ(t->nxruns, 0);
	free(want);
	neighbour_end(&w, &nb);
	world_close(&w);
}

/* clock=free: every sample of every stream is in the file, in its place, without the test's doing */
static void
test_free_clock(void)
{
	char path[] = "/tmp/audiod-test-XXXXXX.raw";
	struct stream_par high = s16;
	struct world w;
	struct client *a, *b;
	device *d;
	uint8_t frame[8], want[4];
	FILE *f;
	int fd = mkstemps(path, 4);

	CHECK(fd >= 0);
	close(fd);
	high.pmin = 2;
	high.pmax = 3;
	high.group = s16.group;
	world_open(&w);
	d = open_device(&w, "file", path, 1, 48, 4);
	a = client_new(&w);
	b = client_new(&w);
	w.most = 111;
	high.group = 5;				/* they begin together */
	high.group_n = 2;
	start(&w, b, 0, d, &high, 30000, 's');
	high.pmin = 0;
	high.pmax = 1;
	start(&w, a, 0, d, &high, 30000, 's');
	UNTIL(&w, a->seats[0].answered && b->seats[0].answered);
	CHECK_EQ(a->seats[0].nxruns + b->seats[0].nxruns, 0);
	released(&w, &a->seats[0]);
	released(&w, &b->seats[0]);
	device_close(d);
	f = fopen(path, "rb");
	CHECK(f != NULL);
	for (int64_t i = 0; i < 30000; i++) {
		CHECK_EQ(fread(frame, 8, 1, f), 1);
		samples(want, a->seats[0].seed, i, 1, 2);
		CHECK(memcmp(want, frame, 4) == 0);
		samples(want, b->seats[0].seed, i, 1, 2);
		CHECK(memcmp(want, frame + 4, 4) == 0);
	}
	fclose(f);
	unlink(path);
	world_clear(&w);
	world_close(&w);
}

/* several streams on one connection, on two devices with their own clocks */
static void
test_two_devices(const char *one, const char *two)
{
	struct world w;
	struct client *c;
	device *d[2];

	world_open(&w);
	d[0] = open_device(&w, one, "", 0, 48, 4);
	d[1] = open_device(&w, two, "", 0, 96, 4);
	c = client_new(&w);
	for (uint32_t i = 0; i < NSEATS; i++)
		start(&w, c, i, d[i % 2], i & 2 ? &duplex : &s16, 3000 + 100 * i, i & 4 ? 's' : 'f');
	for (int i = 0; i < NSEATS; i++)
		UNTIL(&w, c->seats[i].answered);
	device_close(d[0]);			/* its streams are gone: nothing happens */
	start(&w, c, 0, d[1], &s16, 3000, 's');
	UNTIL(&w, c->seats[0].answered);
	world_clear(&w);
	device_close(d[1]);
	world_close(&w);
}

/* ---- the client dies, at every stage --------------------------------------------------------- */

static void
test_kill(int stage)
{
	struct world w;
	struct neighbour nb;
	struct client *c;
	struct seat *t = NULL;
	uint32_t id;

	world_open(&w);
	neighbour_start(&w, &nb);
	c = client_new(&w);
	if (stage >= 2)
		t = start(&w, c, 1, nb.d, &duplex, INT64_MAX, 0);
	switch (stage) {
	case 0:					/* at once */
		break;
	case 1:					/* in the middle of its first message */
		say(c, "\x94\x00\x01\xa5hel", 7);
		break;
	case 2:					/* the pump does not know its stream yet */
		break;
	case 3:					/* it has its credit */
		t->hold = 1;
		UNTIL(&w, t->granted > 0);
		break;
	case 4:					/* half of its samples are there */
		t->hold = 1;
		UNTIL(&w, t->granted > 0);
		write_frames(c, 1, 480);
		c->nout /= 2;
		break;
	case 5:					/* it plays and records */
		BEAT_UNTIL(&w, &nb, t->nheard > 0);
		break;
	case 6:					/* it drains */
		t->total = 2000;
		t->last = 's';
		BEAT_UNTIL(&w, &nb, stats(&w, t).state == STREAM_DRAINING);
		break;
	case 7:					/* it has just flushed */
		BEAT_UNTIL(&w, &nb, t->nheard > 0);
		ask(c, "flush", 1, FLUSH_ID);
		break;
	case 8:					/* it does not read */
		c->deaf = 1;
		for (int i = 0; i < 3000; i++)
			beat(&w, &nb);
		break;
	case 9:					/* all is over */
		t->total = 960;
		t->last = 's';
		BEAT_UNTIL(&w, &nb, t->answered);
		break;
	case 10:				/* behind a burst of requests */
		for (int i = 0; i < 500; i++)
			ask(c, "setvol", 1, 0);
		break;
	}
	id = t ? t->id : 0;
	client_kill(c);
	UNTIL(&w, c->c == NULL);
	CHECK_EQ(w.conns[c->id].reason, CLOSE_EOF);
	BEAT_UNTIL(&w, &nb, id == 0 || w.streams[id].nreleased);
	client_free(&w, c);
	for (int i = 0; i < 30; i++)
		beat(&w, &nb);
	neighbour_end(&w, &nb);
	world_close(&w);
}

/* ---- the device goes --------------------------------------------------------------------------- */

static void
test_device_close(void)
{
	struct world w;
	struct client *a, *b;
	struct seat *t;
	device *d;

	world_open(&w);
	d = open_device(&w, "loopback", "", 0, 48, 4);
	a = client_new(&w);
	b = client_new(&w);
	for (uint32_t i = 0; i < 4; i++)
		start(&w, a, i, d, &duplex, INT64_MAX, 0);
	UNTIL(&w, a->seats[0].nheard && a->seats[3].nheard);
	t = start(&w, b, 0, d, &s16, 480, 0);
	t->hold = 1;
	UNTIL(&w, t->granted);
	a->seats[1].hold = 1;			/* a stop that cannot end before the device does */
	ask(a, "stop", 1, STOP_ID);
	start(&w, b, 1, d, &s16, 480, 0);	/* neither device nor pump has seen this one */
	device_close(d);
	for (uint32_t i = 1; i <= w.nstreams; i++)
		UNTIL(&w, w.streams[i].nreleased);
	for (uint32_t i = 1; i <= w.nstreams; i++)
		if (!w.streams[i].nstopped) {
			CHECK_EQ(w.streams[i].nended, 1);
			CHECK_EQ(w.streams[i].reason, ENDED_DEVICE);
			CHECK_EQ(w.streams[i].request, i == 2 && !a->seats[1].answered ? w.streams[i].request : -1);
		}
	ask(b, "getpar", 0, 0);			/* the connections live, and late writes are no breach */
	for (int i = 0; i < 2; i++)
		if (b->seats[i].granted)
			write_frames(b, (uint32_t)i, 10);
	ask(b, "getpar", 0, 0);
	UNTIL(&w, w.conns[b->id].nmessages == 2);
	CHECK_EQ(w.conns[b->id].nbroken, 0);
	world_clear(&w);
	world_close(&w);
}

/* a stop that the device leaves open: its request comes to control, once */
static void
test_stop_left_open(void)
{
	struct world w;
	struct client *c;
	struct seat *t;
	device *d;

	world_open(&w);
	d = open_device(&w, "manual", "", 0, 48, 4);
	c = client_new(&w);
	t = start(&w, c, 2, d, &s16, 480, 's');
	UNTIL(&w, stats(&w, t).state == STREAM_DRAINING || stats(&w, t).state == STREAM_RUNNING);
	ask(c, "sync", 0, 0);
	UNTIL(&w, w.conns[c->id].nmessages == 1);	/* the pump has the stop, and the clock stands still */
	device_close(d);
	released(&w, t);
	CHECK_EQ(w.streams[t->id].nended, 1);
	CHECK_EQ(w.streams[t->id].request, 16 * 2 + STOP_ID);
	CHECK_EQ(t->answered, 0);
	world_clear(&w);
	world_close(&w);
}

static void
test_device_fails(void)
{
	struct world w;
	struct client *c;
	struct seat *t;
	device *d;

	world_open(&w);
	d = open_device(&w, "manual", "/dev/full", 0, 48, 2);
	c = client_new(&w);
	t = start(&w, c, 0, d, &s16, INT64_MAX, 0);
	UNTIL(&w, stats(&w, t).written == 480);
	device_step(d, 10);			/* returns, though nothing can pass */
	UNTIL(&w, w.streams[t->id].nreleased && w.failed);
	CHECK_EQ(w.failed, ENOSPC);
	CHECK_EQ(w.streams[t->id].reason, ENDED_DEVICE);
	device_step(d, 10);
	t = start(&w, c, 0, d, &s16, INT64_MAX, 0);	/* too late */
	released(&w, t);
	CHECK_EQ(w.streams[t->id].reason, ENDED_DEVICE);
	device_close(d);
	world_clear(&w);
	world_close(&w);
}

/* more streams given back at once than there is room for their events */
static void
test_many_released(int close_it)
{
	enum { MANY = 2500 };
	struct world w;
	device *d;

	world_open(&w);
	d = open_device(&w, "manual", "", 0, 48, 2);
	for (int i = 0; i < MANY; i++) {
		struct stream_par p = s16;

		p.appbufsz = 48;
		CHECK_EQ(stream_start(w.streams[stream_make(&w, d, &p)].s), 0);
	}
	if (close_it)
		device_close(d);
	else
		for (uint32_t i = 1; i <= MANY; i++)
			stream_stop(w.streams[i].s, 0);
	for (uint32_t i = 1; i <= MANY; i++)
		UNTIL(&w, w.streams[i].nreleased);
	if (!close_it)
		device_close(d);
	world_close(&w);
}

/* ---- control ends streams --------------------------------------------------------------------------- */

static uint32_t
onstate(uint8_t *b, uint32_t number)
{
	uint8_t *o = wr_array(wr_str(wr_int(wr_array(b, 3), 2), "onstate"), 3);

	return (uint32_t)(wr_nil(wr_str(wr_int(o, number), "closed")) - b);
}

static void
test_conn_end(void)
{
	struct stream_par play = with(duplex, STREAM_PLAY, 0);
	struct world w;
	struct neighbour nb;
	struct client *c;
	struct seat *t;
	uint8_t b[64];

	world_open(&w);
	neighbour_start(&w, &nb);
	c = client_new(&w);
	t = start(&w, c, 1, nb.d, &duplex, INT64_MAX, 0);
	BEAT_UNTIL(&w, &nb, t->nheard > 0);
	CHECK_EQ(conn_end(c->c, 1, b, onstate(b, 1)), 0);
	BEAT_UNTIL(&w, &nb, w.streams[t->id].nreleased && t->gone);	/* nothing came behind it */
	CHECK_EQ(w.streams[t->id].nstopped + w.streams[t->id].nended, 0);
	write_frames(c, 1, 40);			/* it cannot know yet */
	ask(c, "anything", 0, 0);
	UNTIL(&w, w.conns[c->id].nmessages == 1);
	CHECK_EQ(w.conns[c->id].nbroken, 0);

	t = start(&w, c, 1, nb.d, &play, 480, 0);	/* the number serves again; now with a stop on its way */
	BEAT_UNTIL(&w, &nb, stats(&w, t).written == 480);
	ask(c, "stop", 1, STOP_ID);
	ask(c, "anything", 0, 0);
	UNTIL(&w, w.conns[c->id].nmessages == 2);
	CHECK_EQ(conn_end(c->c, 1, NULL, 0), 0);
	BEAT_UNTIL(&w, &nb, t->answered && w.streams[t->id].nreleased);

	CHECK_EQ(conn_end(c->c, 7, NULL, 0), 0);	/* a number that was never used */
	CHECK_EQ(conn_end(c->c, CONN_NSTREAMS, NULL, 0), -EINVAL);
	neighbour_end(&w, &nb);
	world_close(&w);
}

static void
test_conn_stop(void)
{
	struct world w;
	struct neighbour nb;
	struct client *c;
	struct seat *t;
	uint8_t b[64];

	world_open(&w);
	neighbour_start(&w, &nb);
	c = client_new(&w);
	t = start(&w, c, 1, nb.d, &duplex, INT64_MAX, 0);	/* pipelined: stopped before it has begun */
	t->hold = 1;
	CHECK_EQ(conn_stop(c->c, 1, 1, b, answer(b, 1, STOP_ID)), 0);
	BEAT_UNTIL(&w, &nb, t->answered && w.streams[t->id].nreleased);
	CHECK(w.streams[t->id].nstopped && w.streams[t->id].drained);

	t = start(&w, c, 1, nb.d, &duplex, INT64_MAX, 0);
	BEAT_UNTIL(&w, &nb, t->nheard > 0);
	CHECK_EQ(conn_stop(c->c, 1, 1, b, answer(b, 1, STOP_ID)), 0);
	BEAT_UNTIL(&w, &nb, stats(&w, t).state == STREAM_DRAINING);
	t->hold = 1;
	write_frames(c, 1, 1);			/* the client has not heard of it: no breach */
	ask(c, "anything", 0, 0);
	UNTIL(&w, w.conns[c->id].nmessages == 1);
	CHECK_EQ(conn_stop(c->c, 1, 0, b, answer(b, 1, STOP_ID)), 0);	/* a second one is without effect */
	BEAT_UNTIL(&w, &nb, t->answered && w.streams[t->id].nreleased);
	write_frames(c, 1, 1);
	ask(c, "anything", 0, 0);
	UNTIL(&w, w.conns[c->id].nmessages == 2);
	CHECK_EQ(w.conns[c->id].nbroken, 0);
	neighbour_end(&w, &nb);
	world_close(&w);
}

static void
test_conn_close(void)
{
	struct world w;
	struct neighbour nb;
	struct client *c;
	struct seat *t;
	uint8_t b[64];

	world_open(&w);
	neighbour_start(&w, &nb);
	for (int flush = 0; flush < 2; flush++) {
		uint32_t id;

		c = client_new(&w);
		t = start(&w, c, 1, nb.d, &duplex, INT64_MAX, 0);
		id = t->id;
		BEAT_UNTIL(&w, &nb, t->nheard > 0);
		if (flush)
			for (int i = 0; i < 100; i++)
				CHECK_EQ(conn_send(c->c, b, (uint32_t)(wr_nil(wr_int(wr_int(wr_array(b, 3), 2), 0)) - b)), 0);
		CHECK_EQ(conn_close(c->c, flush), 0);
		conn_send(c->c, "\x93\x02\x00\xc0", 4);	/* too late, or just in time */
		BEAT_UNTIL(&w, &nb, c->c == NULL && c->eof && w.streams[id].nreleased);
		CHECK_EQ(w.conns[c->id].reason, CLOSE_SELF);
		client_free(&w, c);
	}
	neighbour_end(&w, &nb);
	world_close(&w);
}

/* ---- those who are slow ------------------------------------------------------------------------------- */

static void
test_slow_reader(void)
{
	struct world w;
	struct neighbour nb;
	struct client *c;
	struct seat *t;
	static uint8_t blob[4096];
	int sent = 0;

	world_open(&w);
	neighbour_start(&w, &nb);
	c = client_new(&w);
	t = start(&w, c, 1, nb.d, &(struct stream_par){ .enc = s16.enc, .flags = STREAM_REC, .rate = 48000,
	    .rchan = 2, .appbufsz = 480, .rmax = 1, .vol = 127, .maxvol = 127 }, INT64_MAX, 0);
	BEAT_UNTIL(&w, &nb, t->nheard > 0);
	c->deaf = 1;
	BEAT_UNTIL(&w, &nb, stats(&w, t).xruns > 0);	/* recorded data is an overrun of its own */
	for (int i = 0; i < 100; i++)
		beat(&w, &nb);
	CHECK_EQ(w.conns[c->id].nclosed, 0);
	c->deaf = 0;
	BEAT_UNTIL(&w, &nb, t->nxruns > 0);
	{
		size_t before = t->nheard;

		BEAT_UNTIL(&w, &nb, t->nheard > before + 4000);		/* it goes on */
	}
	c->deaf = 1;
	memset(blob, 0, sizeof(blob));
	blob[0] = 0x93;				/* [2, bin, 0] */
	blob[1] = 2;
	wr_bin(blob + 2, sizeof(blob) - 6);
	for (; !w.conns[c->id].nclosed; sent++) {	/* what control says to it is not held for ever */
		if (c->c)
			CHECK_EQ(conn_send(c->c, blob, sizeof(blob)), 0);
		beat(&w, &nb);
		CHECK(sent < 10000);
	}
	CHECK_EQ(w.conns[c->id].reason, CLOSE_SLOW);
	CHECK((size_t)sent * sizeof(blob) > CONN_OUT_MAX / 2);
	BEAT_UNTIL(&w, &nb, w.streams[t->id].nreleased);
	neighbour_end(&w, &nb);
	world_close(&w);
}

static void
numbered(struct world *w, struct client *c, const uint8_t *msg, uint32_t len)
{
	struct rd r = { msg, msg + len };
	uint64_t type, id;
	uint32_t n;

	CHECK(rd_array(&r, &n) && n == 4 && rd_uint(&r, &type) && rd_uint(&r, &id));
	CHECK_EQ(id, w->conns[c->id].nextseq);	/* none lost, none twice, in order */
	w->conns[c->id].nextseq++;
}

/* control sleeps, the queue to it is full: sound goes on, and nothing is lost */
static void
test_control_asleep(void)
{
	enum { N = 4, EACH = 1500, LEN = 700 };
	struct world w;
	struct neighbour nb;
	struct client *c[N];
	struct seat *t;
	int64_t before;

	world_open(&w);
	w.message = numbered;
	neighbour_start(&w, &nb);
	for (int i = 0; i < N; i++)
		c[i] = client_new(&w);
	t = start(&w, c[0], 0, nb.d, &duplex, INT64_MAX, 0);
	BEAT_UNTIL(&w, &nb, t->nheard > 0);
	w.held = 1;
	for (int i = 0; i < N; i++)
		for (int k = 0; k < EACH; k++) {
			uint8_t b[LEN + 64], *o = wr_int(wr_int(wr_array(b, 4), 0), k);

			o = wr_bin(wr_str(o, "anything"), LEN);
			memset(o, 0x5a, LEN);
			say(c[i], b, (size_t)(o + LEN - b));
		}
	before = nb.nblocks;
	while (nb.nblocks < before + 400)
		beat(&w, &nb);
	CHECK(c[1]->nout + c[2]->nout + c[3]->nout > 0);	/* the sockets are full as well */
	client_kill(c[N - 1]);			/* one gives up meanwhile */
	while (nb.nblocks < before + 500)
		beat(&w, &nb);
	w.held = 0;
	for (int i = 0; i < N - 1; i++)
		BEAT_UNTIL(&w, &nb, w.conns[c[i]->id].nextseq == EACH);
	BEAT_UNTIL(&w, &nb, c[N - 1]->c == NULL);
	{
		size_t heard = t->nheard;

		BEAT_UNTIL(&w, &nb, t->nheard > heard + 4000);
	}
	neighbour_end(&w, &nb);
	world_close(&w);
}

/* ---- xruns ------------------------------------------------------------------------------------------------ */

static void
test_xrun(uint32_t policy)
{
	struct stream_par p = with(duplex, STREAM_PLAY, policy);
	struct world w;
	struct neighbour nb;
	struct client *c;
	struct seat *t;
	int64_t pos;
	uint32_t id;

	world_open(&w);
	neighbour_start(&w, &nb);
	c = client_new(&w);
	t = start(&w, c, 1, nb.d, &p, INT64_MAX, 0);
	id = t->id;
	BEAT_UNTIL(&w, &nb, t->pos > 480);
	t->hold = 1;
	if (policy == 2) {
		BEAT_UNTIL(&w, &nb, w.streams[id].nreleased);
		CHECK_EQ(w.streams[id].nended, 1);
		CHECK_EQ(w.streams[id].reason, ENDED_XRUN);
		CHECK_EQ(w.streams[id].request, -1);
		write_frames(c, 1, 10);		/* not a breach */
		ask(c, "anything", 0, 0);
		UNTIL(&w, w.conns[c->id].nmessages == 1);
		CHECK_EQ(w.conns[c->id].nbroken, 0);
	} else {
		BEAT_UNTIL(&w, &nb, t->nxruns == 1);
		pos = stats(&w, t).position;
		for (int i = 0; i < 20; i++)
			beat(&w, &nb);
		CHECK_EQ(t->nxruns, 1);		/* one pause, told once */
		CHECK_EQ(stats(&w, t).position - pos, policy == 1 ? 20 * 48 : 0);
		CHECK(stats(&w, t).lost >= 20 * 48);
		t->hold = 0;
		if (policy == 1)		/* no block passes: all that is late is discarded and given back */
			UNTIL(&w, stats(&w, t).written == stats(&w, t).consumed + 480);
		BEAT_UNTIL(&w, &nb, t->pos > pos + 4800);
		CHECK_EQ(t->nxruns, 1);
		CHECK_EQ(w.conns[c->id].nbroken, 0);
	}
	neighbour_end(&w, &nb);
	world_close(&w);
}

/* ---- breaches ---------------------------------------------------------------------------------------------- */

static void
test_breach(int kind)
{
	static const int why[] = { PROTO_FORMAT, PROTO_FORMAT, PROTO_DEPTH, PROTO_SIZE, PROTO_WRITE, PROTO_STREAM,
	    PROTO_STREAM, PROTO_MODE, PROTO_FRAME, PROTO_FRAME, PROTO_CREDIT, PROTO_SIZE, PROTO_STREAM, PROTO_FORMAT };
	struct stream_par p = duplex;
	struct world w;
	struct neighbour nb;
	struct client *c;
	struct seat *t;
	uint8_t b[64], *o = wr_array(wr_str(wr_int(wr_array(b, 3), 2), "write"), 2);
	uint32_t id;

	world_open(&w);
	neighbour_start(&w, &nb);
	c = client_new(&w);
	if (kind == 7)
		p.flags = STREAM_REC;
	if (kind == 11)
		p.appbufsz = 1 << 16;
	t = start(&w, c, 1, nb.d, &p, INT64_MAX, 0);
	t->hold = 1;
	id = t->id;
	if (kind != 7)
		UNTIL(&w, t->granted);
	else
		UNTIL(&w, t->started);
	switch (kind) {
	case 0:
		say(c, "\x01", 1);
		break;
	case 1:
		say(c, "\x93\x02\xa1x\xc1", 5);
		break;
	case 2:
		say(c, "\x93\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91", 18);
		break;
	case 3:
		say(c, "\x93\x02\xdb\x7f\xff\xff\xff", 7);
		break;
	case 4:
		say(c, "\x93\x02\xa5write\x90", 9);
		break;
	case 5:					/* a number that was never started */
		say(c, b, (size_t)(wr_bin(wr_int(o, 5), 0) - b));
		break;
	case 6:					/* a number that cannot be */
		say(c, b, (size_t)(wr_bin(wr_int(o, INT64_MAX), 0) - b));
		break;
	case 7:
	case 8:
		say(c, b, (size_t)(wr_bin(wr_int(o, 1), 0) - b));
		break;
	case 9:					/* three bytes of a frame of four */
		say(c, b, (size_t)(wr_bin(wr_int(o, 1), 3) - b));
		say(c, b, 3);
		break;
	case 10:
		write_frames(c, 1, 480);
		write_frames(c, 1, 1);
		break;
	case 11:
		write_frames(c, 1, WRITE_MAX / 4 + 1);
		break;
	case 12:				/* behind its own stop */
		write_frames(c, 1, 480);
		ask(c, "stop", 1, STOP_ID);
		write_frames(c, 1, 1);
		break;
	case 13:				/* a response that nobody asked for */
		say(c, "\x94\x01\x01\xc0\xc0", 5);
		break;
	}
	ask(c, "anything", 0, 0);		/* nothing behind it is read */
	BEAT_UNTIL(&w, &nb, w.conns[c->id].nbroken && w.streams[id].nreleased);
	CHECK_EQ(w.conns[c->id].why, why[kind]);
	CHECK_EQ(w.conns[c->id].nmessages, 0);
	CHECK_EQ(w.conns[c->id].nclosed, 0);	/* control answers and closes */
	CHECK_EQ(conn_send(c->c, "\x93\x02\xa5" "error\x90", 9), 0);
	CHECK_EQ(conn_close(c->c, 1), 0);
	UNTIL(&w, c->c == NULL && c->eof);
	CHECK_EQ(c->nothers, 1);
	neighbour_end(&w, &nb);
	world_close(&w);
}

/* ---- all at once, on real clocks ------------------------------------------------------------------------------ */

static uint32_t
rnd(uint32_t *seed, uint32_t n)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed % n;
}

static void
test_churn(int rounds)
{
	struct world w;
	struct client *c[6] = { 0 };
	device *d[2];
	uint32_t seed = 7;
	uint8_t b[64];

	world_open(&w);
	d[0] = open_device(&w, "loopback", "", 0, 48, 4);
	d[1] = open_device(&w, "null", "", 0, 96, 4);
	for (int i = 0; i < rounds; i++) {
		uint32_t k = rnd(&seed, 6), n = rnd(&seed, NSEATS);
		struct stream_par p = duplex;
		struct seat *t;

		if (c[k] && (c[k]->c == NULL || c[k]->eof)) {
			UNTIL(&w, c[k]->c == NULL);
			client_free(&w, c[k]);
			c[k] = NULL;
		}
		if (c[k] == NULL)
			c[k] = client_new(&w);
		t = &c[k]->seats[n];
		p.flags = 1 + rnd(&seed, 7);
		p.rate = rnd(&seed, 2) ? 44100 : 48000;
		p.xrun = rnd(&seed, 3);
		p.appbufsz = 200 + rnd(&seed, 2000);
		switch (rnd(&seed, 10)) {
		case 0:
			client_kill(c[k]);
			break;
		case 1:
			conn_close(c[k]->c, (int)rnd(&seed, 2));
			break;
		case 2:
			if (t->started && !t->asked && !w.streams[t->id].nended && !w.streams[t->id].nreleased) {
				t->asked = 1;
				ask(c[k], n & 1 ? "stop" : "flush", n, n & 1 ? STOP_ID : FLUSH_ID);
			}
			break;
		case 3:
			if (t->started && !t->asked && !w.streams[t->id].nended && !w.streams[t->id].nreleased) {
				t->asked = 1;
				conn_stop(c[k]->c, n, (int)rnd(&seed, 2), b, answer(b, n, STOP_ID));
			}
			break;
		case 4:
			if (t->started && !t->asked && !w.streams[t->id].nended && !w.streams[t->id].nreleased) {
				t->asked = 1;
				conn_end(c[k]->c, n, b, onstate(b, n));
			}
			break;
		case 5:
			engine_sync(w.e, i);
			break;
		default:
			if (t->id == 0 || (w.streams[t->id].nreleased && (t->answered || t->gone || w.streams[t->id].nended)))
				start(&w, c[k], n, d[rnd(&seed, 2)], &p, rnd(&seed, 3) ? INT64_MAX : rnd(&seed, 3000),
				    "sf"[rnd(&seed, 2)]);
		}
		for (int j = 0; j < 3; j++)
			turn_for(&w, (int)rnd(&seed, 2));
		for (int j = 0; j < 6; j++)
			if (c[j] && c[j]->fd < 0) {
				UNTIL(&w, c[j]->c == NULL);
				client_free(&w, c[j]);
				c[j] = NULL;
			}
		if (i % 100 == 99) {		/* a device goes in the middle of it and another comes */
			device_close(d[0]);
			d[0] = open_device(&w, "loopback", "", 0, 48, 4);
		}
	}
	for (uint32_t i = 0; i < w.nconns; i++)
		CHECK_EQ(w.conns[i].nbroken, 0);
	world_clear(&w);
	device_close(d[0]);
	device_close(d[1]);
	world_close(&w);
}

int
main(void)
{
	signal(SIGALRM, too_long);
	alarm(240);
	RUN(test_life("null"));
	RUN(test_life("loopback"));
	RUN(test_record("null"));
	RUN(test_record("loopback"));
	RUN(test_duplex_is_exact());
	RUN(test_free_clock());
	RUN(test_two_devices("null", "loopback"));
	for (int stage = 0; stage <= 10; stage++)
		RUN(test_kill(stage));
	RUN(test_device_close());
	RUN(test_stop_left_open());
	RUN(test_device_fails());
	RUN(test_many_released(0));
	RUN(test_many_released(1));
	RUN(test_conn_end());
	RUN(test_conn_stop());
	RUN(test_conn_close());
	RUN(test_slow_reader());
	RUN(test_control_asleep());
	for (uint32_t policy = 0; policy < 3; policy++)
		RUN(test_xrun(policy));
	for (int kind = 0; kind < 14; kind++)
		RUN(test_breach(kind));
	RUN(test_churn(600));
	CHECK_DONE();
}
