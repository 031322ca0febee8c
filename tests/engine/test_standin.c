/*
 * test_standin.c: the clock that stands in for a card, over a card of the test's
 * own whose calls sleep until the test lets them go and fail when it says so.
 *
 * A `slow` card has blocks of two seconds, so that our own clock never gets its
 * turn by itself; a `fast` one has blocks of a millisecond, so that it does soon.
 * Nothing is asserted on durations; behind --wrap of poll the helper's pauses
 * between tries are none, and behind --wrap of drv_find the engine has this card.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <sys/eventfd.h>
#include "live.h"

#include "driver.h"
#include "standin.h"

#define NBLOCKS		4		/* of bufsz */
#define NHEARD		4096
#define SILENT		(-1)

enum call { PREPARE, GO, STOP, CLOSE, READY, READ, WRITE, NCALLS };

/* what the card is told to do is set while no call of it can be in flight */
static struct card {
	int fd;				/* readable when blocks have passed */
	_Atomic int rc[NCALLS];			/* what the call returns from now on, once for -EPIPE */
	_Atomic int gated[NCALLS];		/* it waits for the test */
	sem_t entered, gate;
	_Atomic int ncalls[NCALLS];
	_Atomic int npassed;		/* blocks, not yet told */
	_Atomic int running;
	int nfilled;			/* blocks since prepare */
	int heard[NHEARD];		/* numbers of the blocks that it was given, SILENT */
	_Atomic int nheard;
	unsigned round, size;
	_Atomic int64_t due;
} card;

static int npauses;			/* of the helper, of which each would take a second */
static _Atomic int pauses_end;		/* they are skipped */

int	__real_poll(struct pollfd *, nfds_t, int);
int	__wrap_poll(struct pollfd *, nfds_t, int);

int
__wrap_poll(struct pollfd *pfd, nfds_t n, int ms)
{
	if (ms == 1000 && n == 1 && pauses_end) {
		npauses++;
		ms = 0;
	}
	return __real_poll(pfd, n, ms);
}

static void
must(int cond)				/* CHECK is for the main thread */
{
	if (!cond)
		abort();
}

static int
called(enum call what)
{
	int rc;

	if (card.gated[what]) {
		card.gated[what] = 0;
		sem_post(&card.entered);
		while (sem_wait(&card.gate) < 0)
			;
	}
	rc = card.rc[what];
	if (rc < 0)
		card.running = 0;
	if (rc == -EPIPE)
		card.rc[what] = 0;
	atomic_fetch_add(&card.ncalls[what], 1);
	return rc;
}

static int
card_open(void **drv, const struct drv_conf *conf, struct drv_par *par, char *err, size_t errsz)
{
	(void)conf;
	(void)err;
	(void)errsz;
	card.round = par->round;
	card.size = par->round * par->pchan * par->enc.bps;
	par->clock = DRV_CLOCK_REAL;
	*drv = &card;
	return 0;
}

static void
card_close(void *drv)
{
	(void)drv;
	(void)called(CLOSE);
	card.running = 0;
}

static int
card_prepare(void *drv, int again)
{
	int rc = called(PREPARE);

	(void)drv;
	card.running = 0;
	card.npassed = card.nfilled = 0;
	return rc == -EAGAIN && !again ? 0 : rc;
}

static int
card_go(void *drv)
{
	int rc = called(GO);

	(void)drv;
	must(card.nfilled == NBLOCKS);
	if (rc == 0)
		card.running = 1;
	return rc;
}

static int
card_start(void *drv)			/* is not for those that may not wait */
{
	(void)drv;
	abort();
}

static int
card_stop(void *drv)
{
	(void)drv;
	card.running = 0;
	return called(STOP);
}

static int
card_poll(void *drv, struct pollfd *pfd)
{
	(void)drv;
	*pfd = (struct pollfd){ card.fd, POLLIN, 0 };
	return 1;
}

static int
card_ready(void *drv, struct pollfd *pfd, int64_t *due)
{
	uint64_t n;
	int rc = called(READY);

	(void)drv;
	(void)pfd;
	*due = card.due++;
	if (rc < 0)
		return rc;
	(void)!read(card.fd, &n, sizeof(n));
	return atomic_exchange(&card.npassed, 0);
}

static int
card_read(void *drv, void *block)
{
	(void)drv;
	memset(block, 0x11, card.size);
	return called(READ);
}

static int
card_write(void *drv, const void *block)
{
	int rc = called(WRITE), number;

	(void)drv;
	if (rc < 0)
		return rc;
	memcpy(&number, block, sizeof(number));
	must(card.nheard < NHEARD);
	card.heard[card.nheard++] = number != 0 ? number : SILENT;
	card.nfilled++;
	return 0;
}

static const struct drv_ops ops = {
	.name = "sleepy",
	.open = card_open,
	.close = card_close,
	.start = card_start,
	.stop = card_stop,
	.prepare = card_prepare,
	.go = card_go,
	.poll = card_poll,
	.ready = card_ready,
	.read = card_read,
	.write = card_write,
};

const struct drv_ops	*__real_drv_find(const char *);
const struct drv_ops	*__wrap_drv_find(const char *);

const struct drv_ops *
__wrap_drv_find(const char *name)
{
	return strcmp(name, ops.name) == 0 ? &ops : __real_drv_find(name);
}

static void
pass(int nblocks)			/* of the card */
{
	uint64_t one = 1;

	atomic_fetch_add(&card.npassed, nblocks);
	(void)!write(card.fd, &one, sizeof(one));
}

static void
gate(enum call what)
{
	card.gated[what] = 1;
}

static void
arrived(void)				/* wait until the call is in the gate */
{
	while (sem_wait(&card.entered) < 0)
		;
}

static void
let(void)
{
	sem_post(&card.gate);
}

/* ---- the engine's part -------------------------------------------------------------- */

static struct standin *s;
static const struct drv_ops *const o = &drv_standin;
static struct drv_par par;
static int number;			/* of the last block played */
static int nxruns, lost;		/* news */
static int64_t last_due;

static void
fresh(void)
{
	if (card.fd > 0)
		close(card.fd);
	memset(&card, 0, sizeof(card));
	card.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	sem_init(&card.entered, 0, 0);
	sem_init(&card.gate, 0, 0);
	number = nxruns = lost = npauses = 0;
	last_due = 0;
	pauses_end = 0;
}

static void
made(unsigned rate, unsigned round)
{
	void *drv;

	fresh();
	par = (struct drv_par){ .enc = { 32, 4, 1, 1, 0, 0 }, .rate = rate, .round = round, .bufsz = NBLOCKS * round,
	    .pchan = 1, .rchan = 1 };
	CHECK_EQ(ops.open(&drv, NULL, &par, NULL, 0), 0);
	CHECK_EQ(standin_new(&s, &ops, drv, &par), 0);
}

static void
slow(void)
{
	made(8000, 16000);
}

static void
fast(void)
{
	made(48000, 48);
}

static void
news(void)
{
	int64_t due;
	int rc;

	while ((rc = o->news(s, &due)) < 0) {
		if (rc == -EPIPE)
			nxruns++;
		else {
			CHECK_EQ(lost, 0);
			lost = rc;
		}
	}
}

/* waits for what there is, plays what has passed: how many blocks; those recorded are of our clock (0), of the card (1) */
static int
serve(int *of_card)
{
	static int32_t in[16000], out[16000];
	struct pollfd pfd[DRV_NFDS];
	int64_t due = 0;
	int n = o->poll(s, pfd), i;

	CHECK(n >= 1);
	CHECK(__real_poll(pfd, (nfds_t)n, 60000) > 0);
	n = o->ready(s, pfd, &due);
	CHECK(n >= 0);
	news();
	if (n > 0) {
		CHECK(due > last_due);
		last_due = due;
	}
	for (i = 0; i < n; i++) {
		CHECK_EQ(o->read(s, in), 0);
		if (of_card != NULL)
			*of_card = in[0] == 0x11111111;
		out[0] = ++number;
		CHECK_EQ(o->write(s, out), 0);
	}
	news();
	return n;
}

static int
adopted(void)				/* it waits for the card */
{
	struct pollfd pfd[DRV_NFDS];

	return o->poll(s, pfd) == 1 && pfd[0].fd == card.fd;
}

static void
on_card(void)				/* until it is */
{
	int of_card = 0;

	while (!adopted())
		(void)serve(NULL);
	pass(1);
	while (!of_card)
		(void)serve(&of_card);
}

static void
started(void)
{
	CHECK_EQ(o->start(s), 0);
	CHECK_EQ(card.nheard, 0);
	on_card();
	CHECK_EQ(number, 1);
	CHECK_EQ(card.nheard, NBLOCKS + 1);
	for (int i = 0; i < NBLOCKS; i++)
		CHECK_EQ(card.heard[i], SILENT);
	CHECK_EQ(card.heard[NBLOCKS], 1);
}

static void
stopped(void)
{
	struct pollfd pfd[DRV_NFDS];
	int64_t due;

	CHECK_EQ(o->stop(s), 0);
	CHECK_EQ(o->poll(s, pfd), 0);
	CHECK_EQ(o->ready(s, pfd, &due), 0);
}

static void
done(void)
{
	o->close(s);
	CHECK_EQ(card.ncalls[CLOSE], 1);
}

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
			CHECK_EQ(ev.err, ENODEV);
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
	RUN(test_device());
	RUN(test_halves());
	CHECK_DONE();
}
