/*
 * test_standin.c: the clock that stands in for a card, by a card of the test's own (sleepy.h).
 */
#define _GNU_SOURCE
#include "sleepy.h"

/* ---- tests ----------------------------------------------------------------------------- */

/* nobody waits in start, no block passes before the card runs */
static void
test_first_start(void)
{
	slow();
	gate(PREPARE);
	CHECK_EQ(o->start(s), 0);
	arrived();
	CHECK_EQ(card.nheard, 0);
	gate(GO);
	let();
	while (card.nheard < NBLOCKS)
		CHECK_EQ(serve(NULL), 0);
	arrived();
	let();
	on_card();
	CHECK_EQ(number, 1);
	pass(3);
	CHECK_EQ(serve(NULL), 3);
	CHECK_EQ(card.heard[card.nheard - 1], 4);
	CHECK_EQ(nxruns, 0);
	stopped();
	stopped();
	CHECK_EQ(o->start(s), 0);	/* again: behind silence, at once or when it has stopped */
	on_card();
	CHECK_EQ(card.ncalls[STOP], 1);
	CHECK_EQ(card.heard[card.nheard - 2], SILENT);
	CHECK_EQ(card.heard[card.nheard - 1], 5);
	done();				/* while it runs */
}

/* a card that does not come is waited for in vain, then heard from where the time is */
static void
test_slow_first_start(void)
{
	int i;

	fast();
	gate(PREPARE);
	CHECK_EQ(o->start(s), 0);
	arrived();
	while (number < 20)
		(void)serve(NULL);
	CHECK_EQ(card.nheard, 0);
	let();
	while (card.nheard == 0)
		(void)serve(NULL);
	for (i = 1; i < NBLOCKS; i++)
		CHECK_EQ(card.heard[i], card.heard[0] + i);
	CHECK(card.heard[0] >= 20 - NBLOCKS);
	on_card();
	CHECK_EQ(nxruns, 0);
	stopped();
	done();
}

/* an xrun that is over soon: no block is lost, not even the one that hit it */
static void
test_xrun(enum call where)
{
	int before, i;

	slow();
	started();
	pass(1);
	CHECK_EQ(serve(NULL), 1);
	before = card.nheard;
	card.rc[where] = -EPIPE;
	pass(where == READY ? 0 : 1);
	CHECK_EQ(serve(NULL), where != READY);
	CHECK_EQ(nxruns, 1);
	on_card();
	CHECK_EQ(nxruns, 1);
	CHECK_EQ(card.ncalls[PREPARE], 2);
	CHECK_EQ(card.nheard - before, NBLOCKS + 1);
	for (i = 0; i < NBLOCKS + 1; i++)	/* silence, then block after block */
		CHECK_EQ(card.heard[before + i], i < NBLOCKS - (where != READY) ? SILENT : number + i - NBLOCKS);
	CHECK_EQ(number, where == READY ? 3 : 4);
	stopped();
	done();
}

/* a call that takes its time: blocks go on, and the card begins with the last of them */
static void
test_hand_over(enum call what)
{
	int before, i, n;

	fast();
	started();
	gate(what);
	card.rc[READY] = -EPIPE;
	pass(0);
	before = card.nheard;
	CHECK_EQ(serve(NULL), 0);
	while (card.gated[what])
		(void)serve(NULL);
	arrived();
	for (n = number + 300; number < n; )	/* 300 ms of its clock */
		(void)serve(NULL);
	CHECK_EQ(card.nheard - before, what == GO ? NBLOCKS : 0);
	let();
	while (card.nheard < before + NBLOCKS)
		(void)serve(NULL);
	n = number;
	on_card();
	if (what == PREPARE) {
		for (i = 1; i < NBLOCKS; i++)
			CHECK_EQ(card.heard[before + i], card.heard[before] + i);
		CHECK_EQ(card.heard[before + NBLOCKS - 1], n);
	}
	CHECK_EQ(card.heard[card.nheard - 1], number);
	for (i = before + 1; i < card.nheard; i++)	/* none twice */
		CHECK(card.heard[i] == SILENT || card.heard[i] > card.heard[i - 1]);
	pass(2);
	CHECK_EQ(serve(NULL), 2);
	CHECK_EQ(card.heard[card.nheard - 1], card.heard[card.nheard - 3] + 2);
	CHECK_EQ(nxruns, 1);
	stopped();
	done();
}

/* whatever says so: the device goes on, and it is told once */
static void
test_lost(enum call where)
{
	int n;

	fast();
	if (where == PREPARE || where == GO) {
		card.rc[where] = -ENODEV;
		CHECK_EQ(o->start(s), 0);
	} else {
		started();
		card.rc[where] = -ENODEV;
		if (where == STOP) {
			stopped();
			CHECK_EQ(o->start(s), 0);
		}
		pass(1);
	}
	for (n = number + 50; number < n; )
		(void)serve(NULL);
	CHECK_EQ(lost, -ENODEV);
	CHECK_EQ(nxruns, 0);
	while (card.ncalls[CLOSE] == 0)	/* so that it can be opened anew meanwhile */
		(void)serve(NULL);
	stopped();
	CHECK_EQ(o->start(s), 0);
	for (n = number + 5; number < n; )
		(void)serve(NULL);
	done();
	CHECK_EQ(card.ncalls[CLOSE], 1);
}

static int
abandoned(void)				/* a descriptor that is readable once the card is closed */
{
	int fd = eventfd(0, EFD_CLOEXEC);

	CHECK_EQ(o->abandon(s, -EBUSY, dup(fd)), 0);
	return fd;
}

static void
closed(int fd)
{
	struct pollfd pfd = { fd, POLLIN, 0 };

	CHECK_EQ(__real_poll(&pfd, 1, 60000), 1);
	CHECK_EQ(card.ncalls[CLOSE], 1);
	close(fd);
}

/* given up whatever it is doing: closed soon, and time goes on without it */
static void
test_given_up(enum call what)
{
	int fd, n;

	fast();
	if (what == PREPARE || what == GO) {
		gate(what);
		CHECK_EQ(o->start(s), 0);
		while (what == GO && card.nheard < NBLOCKS)
			(void)serve(NULL);
		arrived();
	} else if (what != CLOSE)	/* else it has never been started */
		started();
	if (what == STOP) {
		gate(STOP);
		stopped();
		arrived();
	}
	fd = abandoned();
	CHECK(what == READY || what == CLOSE || card.ncalls[CLOSE] == 0);
	if (what != READY && what != CLOSE)
		let();
	if (what == STOP || what == CLOSE) {
		closed(fd);
		CHECK_EQ(o->start(s), 0);
		for (n = number + 50; number < n; )
			(void)serve(NULL);
	} else {
		for (n = number + 50; number < n; )
			(void)serve(NULL);
		closed(fd);
	}
	CHECK(!adopted());
	CHECK_EQ(lost, -EBUSY);
	CHECK_EQ(nxruns, 0);
	fd = eventfd(0, EFD_CLOEXEC);
	CHECK_EQ(o->abandon(s, -EBUSY, fd), -EALREADY);
	stopped();
	CHECK_EQ(o->start(s), 0);
	for (n = number + 5; number < n; )
		(void)serve(NULL);
	done();
}

/* between two tries to resume it, of which there are no more then */
static void
test_given_up_suspended(void)
{
	int fd, n;

	slow();
	card.rc[PREPARE] = -EAGAIN;
	CHECK_EQ(o->start(s), 0);
	while (card.ncalls[PREPARE] == 0)
		CHECK_EQ(sched_yield(), 0);
	fd = abandoned();
	closed(fd);
	n = card.ncalls[PREPARE];
	CHECK(n < 5);
	done();
	CHECK_EQ(card.ncalls[PREPARE], n);
}

/* what is lost already, or closed before anybody looks, is told, too */
static void
test_given_up_late(void)
{
	int fd, i;

	fast();
	started();
	card.rc[READY] = -ENODEV;
	pass(0);
	while (card.ncalls[CLOSE] == 0)
		(void)serve(NULL);
	CHECK_EQ(lost, -ENODEV);
	closed(abandoned());
	done();
	for (i = 0; i < 200; i++) {
		fast();
		if (i % 2)
			CHECK_EQ(o->start(s), 0);
		fd = abandoned();
		o->close(s);
		closed(fd);
	}
}

/* stopped in the middle of something, and started again in the middle of it */
static void
test_stopped_meanwhile(enum call what, int again)
{
	slow();
	gate(what);
	CHECK_EQ(o->start(s), 0);
	while (what != PREPARE && card.nheard < NBLOCKS)
		(void)serve(NULL);
	arrived();
	stopped();
	if (again) {
		CHECK_EQ(o->start(s), 0);
		let();
		on_card();
		CHECK_EQ(card.heard[card.nheard - 1], 1);
		CHECK_EQ(card.heard[card.nheard - 2], SILENT);
		stopped();
	} else
		let();
	done();
	CHECK_EQ(card.running, 0);
}

/* not resumed yet: five tries, then as it is; closing waits for none of them */
static void
test_resume(void)
{
	slow();
	started();
	pauses_end = 1;
	card.rc[READY] = -EPIPE;
	card.rc[PREPARE] = -EAGAIN;
	pass(0);
	CHECK_EQ(serve(NULL), 0);
	on_card();
	CHECK_EQ(npauses, 4);
	CHECK_EQ(card.ncalls[PREPARE], 1 + 5);
	CHECK_EQ(nxruns, 1);
	pauses_end = 0;
	card.rc[READY] = -EPIPE;
	pass(0);
	CHECK_EQ(serve(NULL), 0);
	done();
}

/* fails while it starts, and while it is filled */
static void
test_xrun_while_starting(enum call where)
{
	slow();
	card.rc[where] = -EPIPE;
	CHECK_EQ(o->start(s), 0);
	on_card();
	CHECK_EQ(nxruns, 1);
	CHECK_EQ(number, 1);
	CHECK_EQ(card.ncalls[PREPARE], 2);
	stopped();
	done();
}

/* ---- the engine --------------------------------------------------------------------------- */

static device *
sleepy(struct world *w)
{
	struct device_conf dc = { .driver = "sleepy", .arg = "", .stall_ms = 60000,
	    .par = { { 32, 4, 1, 1, 1, 0 }, 48000, 48, NBLOCKS * 48, 1, 1, 0 } };
	char err[256];
	device *d = NULL;

	CHECK_EQ(device_open(w->e, (uint32_t)w->ndevices++, &dc, &d, err, sizeof(err)), 0);
	return d;
}

static int nlost, nfailed, ndry;	/* events */
static int why_lost = ENODEV;

static void
take(struct world *w, int ms)
{
	struct pollfd p = { engine_fd(w->e), POLLIN, 0 };
	static uint8_t buf[MSG_MAX];
	struct event ev;

	(void)__real_poll(&p, 1, ms);
	engine_clear(w->e);
	while (engine_next(w->e, &ev, buf, sizeof(buf))) {
		event(w, &ev, buf);
		if (ev.type == EV_DEV_LOST)
			CHECK_EQ(ev.err, why_lost);
		nlost += ev.type == EV_DEV_LOST;
		nfailed += ev.type == EV_DEV_FAILED;
		ndry += ev.type == EV_XRUN && ev.id == 0;
	}
}

/* a stream plays on through an xrun and the loss of its card, and moves to another device */
static void
test_device(void)
{
	struct stream_par sp = { .enc = { 32, 4, 1, 1, 1, 0 }, .flags = STREAM_PLAY, .rate = 48000, .pchan = 1,
	    .appbufsz = 480, .vol = 127, .maxvol = 127 };
	static const int32_t samples[480];
	struct device_stats ds;
	struct stream_stats st;
	device *d, *other;
	struct world w;
	uint32_t id;
	int64_t pos;

	fresh();
	nlost = nfailed = ndry = 0;
	world_open(&w);
	d = sleepy(&w);
	other = open_device(&w, "null", "", 0, 48, 1);
	id = stream_make(&w, d, &sp);
	CHECK_EQ(stream_start(w.streams[id].s), 0);
	CHECK_EQ(stream_write(w.streams[id].s, samples, 480), 480);
	while (card.running == 0)
		take(&w, 1);
	for (int i = 0; i < 10; i++)
		pass(1);
	do {
		stream_getstats(w.streams[id].s, &st);
		take(&w, 1);
	} while (st.position <= 0);
	card.rc[READY] = -EPIPE;
	pass(0);
	while (ndry == 0)
		take(&w, 1);
	while (card.running == 0)
		take(&w, 1);
	device_getstats(d, &ds);
	CHECK_EQ(ds.xruns, 1);
	card.rc[READY] = -ENODEV;
	pass(0);
	stream_getstats(w.streams[id].s, &st);
	for (pos = st.position; st.position < pos + 480; ) {
		(void)stream_write(w.streams[id].s, samples, 480);
		take(&w, 1);
		stream_getstats(w.streams[id].s, &st);
		CHECK(st.position >= pos);
	}
	CHECK_EQ(nlost, 1);
	CHECK_EQ(nfailed, 0);
	while (card.ncalls[CLOSE] == 0)
		take(&w, 1);
	pos = st.position;
	CHECK_EQ(stream_move(w.streams[id].s, other, &sp), 0);
	while (st.position < pos + 480) {
		(void)stream_write(w.streams[id].s, samples, 480);
		take(&w, 1);
		stream_getstats(w.streams[id].s, &st);
	}
	CHECK_EQ(card.ncalls[CLOSE], 1);
	device_close(d);
	CHECK_EQ(card.ncalls[CLOSE], 1);
	CHECK_EQ(stream_stop(w.streams[id].s, 0), 0);
	while (!w.streams[id].nreleased)
		take(&w, 1);
	CHECK_EQ(w.streams[id].nended, 0);
	device_close(other);
	world_close(&w);
	CHECK_EQ(nlost, 1);
}

/* its card is given up under a stream, which plays on */
static void
test_device_given_up(void)
{
	struct stream_par sp = { .enc = { 32, 4, 1, 1, 1, 0 }, .flags = STREAM_PLAY, .rate = 48000, .pchan = 1,
	    .appbufsz = 480, .vol = 127, .maxvol = 127 };
	static const int32_t samples[480];
	struct stream_stats st;
	struct world w;
	device *d, *other;
	uint32_t id;
	int64_t pos;
	int fd, i;

	fresh();
	nlost = nfailed = ndry = 0;
	why_lost = EBUSY;
	world_open(&w);
	d = sleepy(&w);
	other = open_device(&w, "null", "", 0, 48, 1);
	fd = eventfd(0, EFD_CLOEXEC);
	CHECK_EQ(device_abandon(other, EBUSY, fd), -ENOTSUP);
	id = stream_make(&w, d, &sp);
	CHECK_EQ(stream_start(w.streams[id].s), 0);
	CHECK_EQ(stream_write(w.streams[id].s, samples, 480), 480);
	while (card.running == 0)
		take(&w, 1);
	CHECK_EQ(device_abandon(d, EBUSY, fd), 0);
	pass(1);
	closed(fd);
	stream_getstats(w.streams[id].s, &st);
	for (pos = st.position; st.position < pos + 480; ) {
		(void)stream_write(w.streams[id].s, samples, 480);
		take(&w, 1);
		stream_getstats(w.streams[id].s, &st);
	}
	CHECK_EQ(nlost, 1);
	CHECK_EQ(nfailed, 0);
	CHECK_EQ(ndry, 0);
	CHECK_EQ(stream_stop(w.streams[id].s, 0), 0);
	while (!w.streams[id].nreleased)
		take(&w, 1);
	device_close(d);
	device_close(other);
	for (i = 0; i < 100; i++) {	/* closed before its thread has heard of it */
		fresh();
		d = sleepy(&w);
		fd = eventfd(0, EFD_CLOEXEC);
		CHECK_EQ(device_abandon(d, EBUSY, fd), 0);
		device_close(d);
		closed(fd);
	}
	world_close(&w);
	why_lost = ENODEV;
}

/* the halves of opening and closing, the driver's in another thread */
static void *
open_driver(void *arg)
{
	struct device_conf dc = { .driver = "sleepy", .arg = "", .par = { { 32, 4, 1, 1, 1, 0 }, 48000, 48, 192, 1, 1, 0 } };
	char err[256];

	must(driver_open(&dc, arg, err, sizeof(err)) == 0 && err[0] == '\0');
	return NULL;
}

static void *
close_driver(void *arg)
{
	driver_close(arg);
	return NULL;
}

static void
in_thread(void *(*run)(void *), void *arg)
{
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, run, arg), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
}

static void
test_halves(void)
{
	struct device_conf dc = { .driver = "sleepy", .arg = "" };
	struct world w;
	char err[256];
	driver *drv;
	device *d;
	int i;

	world_open(&w);
	for (i = 0; i < 200; i++) {
		fresh();
		in_thread(open_driver, &drv);
		CHECK_EQ(device_attach(w.e, 0, &dc, drv, &d, err, sizeof(err)), 0);
		CHECK(device_detach(d) == drv);
		CHECK_EQ(card.ncalls[CLOSE], 0);
		in_thread(close_driver, drv);
		CHECK_EQ(card.ncalls[CLOSE], 1);
	}
	world_close(&w);
}

int
main(void)
{
	int i;

	signal(SIGALRM, too_long);
	alarm(240);
	fresh();
	RUN(test_first_start());
	RUN(test_slow_first_start());
	RUN(test_xrun(READY));
	RUN(test_xrun(READ));
	RUN(test_xrun(WRITE));
	RUN(test_hand_over(PREPARE));
	RUN(test_hand_over(GO));
	for (i = 0; i < NCALLS; i++)
		if (i != CLOSE)
			RUN(test_lost((enum call)i));
	for (i = 0; i < 2; i++) {
		RUN(test_stopped_meanwhile(PREPARE, i));
		RUN(test_stopped_meanwhile(GO, i));
	}
	RUN(test_resume());
	RUN(test_xrun_while_starting(GO));
	RUN(test_xrun_while_starting(WRITE));
	RUN(test_given_up(READY));
	RUN(test_given_up(PREPARE));
	RUN(test_given_up(GO));
	RUN(test_given_up(STOP));
	RUN(test_given_up(CLOSE));
	RUN(test_given_up_suspended());
	RUN(test_given_up_late());
	RUN(test_device());
	RUN(test_device_given_up());
	RUN(test_halves());
	CHECK_DONE();
}
