/*
 * sleepy.h: a card of the test's own, whose calls sleep until the test lets them go
 * and fail when it says so, and the stand-in clock over it.
 *
 * A `slow` card has blocks of two seconds, so that our own clock never gets its
 * turn by itself; a `fast` one has blocks of a millisecond, so that it does soon.
 * Nothing is asserted on durations; behind --wrap of poll the helper's pauses
 * between tries are none, and behind --wrap of drv_find the engine has this card.
 */
#ifndef SLEEPY_H
#define SLEEPY_H

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

#endif
