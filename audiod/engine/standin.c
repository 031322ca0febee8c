/*
 * standin.c: a clock that stands in for a card, see standin.h.
 */
#define _GNU_SOURCE
#include "standin.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine.h"
#include "tick.h"

#define HOLD_NS		1000000000LL	/* the first start is waited for so long */
#define RESUMES		5		/* tries, RESUME_MS apart */
#define RESUME_MS	1000
#define VAIN		3		/* starts in a row without a block: then it gets a rest before each */
#define REST_MS		100

enum state {				/* whose the card is: the helper's or the device thread's */
	IDLE,				/* device: stopped */
	PREPARING,			/* helper */
	PREPARED,			/* device: to be filled */
	STARTING,			/* helper */
	ABANDONED,			/* helper: STARTING, and to be stopped then */
	RUNNING,			/* device */
	DRY,				/* device: an xrun while it started */
	STOPPING,			/* helper */
	LOST,				/* helper: it is not used again, and closed, so that it can be opened anew */
	GONE,				/* nobody's: closed */
};

struct standin {
	/* fixed */
	const struct drv_ops *ops;
	void *drv;
	struct drv_par par;
	int64_t period_ns;
	size_t size;			/* bytes of a played block */
	unsigned nblocks;		/* of bufsz */
	struct thread thread;		/* the helper */
	int ask, done;			/* eventfds: to the helper, to the device thread */

	/* both */
	_Atomic int state;
	_Atomic int err;		/* of LOST, GONE */
	_Atomic int vain;		/* starts since a block of the card has passed */
	_Atomic int quit;
	_Atomic int given_up;		/* it is to be closed, though nothing is wrong with it */
	_Atomic int closed;		/* eventfd, ours: it is told of that; -1: it has been, or nobody asks */

	/* device thread */
	struct tick tick;
	int running;			/* between start and stop */
	int on_card;			/* blocks pass on the card's clock */
	int held;			/* none passes: the first start is waited for */
	int told;			/* of its loss */
	int dry, lost;			/* news: an xrun; -errno */
	int64_t dry_due;
	int64_t due;			/* when the last block had passed */
	uint8_t *last;			/* nblocks blocks: what was played into nothing, a circle */
	unsigned at;			/* the oldest of them */
};

/* ---- the helper ----------------------------------------------------------------- */

/* waits to be asked, at most ms; 1: to end */
static int
asked(struct standin *s, int ms)
{
	struct pollfd pfd = { s->ask, POLLIN, 0 };
	uint64_t n;

	while (!atomic_load(&s->quit) && poll(&pfd, 1, ms) < 0 && errno == EINTR)
		;
	if (pfd.revents & POLLIN)
		(void)!read(s->ask, &n, sizeof(n));
	return atomic_load(&s->quit);
}

static void
wake_helper(struct standin *s)
{
	uint64_t one = 1;

	(void)!write(s->ask, &one, sizeof(one));
}

static void
ask(struct standin *s, enum state state)	/* the card is the helper's from here on */
{
	atomic_store(&s->state, state);
	wake_helper(s);
}

static void
lose(struct standin *s, int err)	/* any of the two, while the card is its own */
{
	atomic_store(&s->err, err);
	ask(s, LOST);
}

static int
unwanted(struct standin *s, int ms)	/* after a pause: whether nobody wants it any more */
{
	return asked(s, ms) || atomic_load(&s->given_up);
}

static void
prepare(struct standin *s)
{
	int tries = RESUMES, rc;

	if (atomic_load(&s->vain) >= VAIN && unwanted(s, REST_MS))
		return;
	while ((rc = s->ops->prepare(s->drv, tries > 1)) == -EAGAIN && --tries > 0)
		if (unwanted(s, RESUME_MS))
			return;
	if (rc < 0)
		lose(s, rc);
	else
		atomic_store(&s->state, PREPARED);
}

static void
stop(struct standin *s)
{
	int rc = s->ops->stop(s->drv);

	if (rc < 0)
		lose(s, rc);
	else
		atomic_store(&s->state, IDLE);
}

static void
go(struct standin *s)
{
	int was = STARTING, rc = s->ops->go(s->drv);

	if (rc < 0 && rc != -EPIPE)
		lose(s, rc);
	else if (!atomic_compare_exchange_strong(&s->state, &was, rc < 0 ? DRY : RUNNING))
		stop(s);		/* ABANDONED */
}

/* whoever closes it, and whoever asks to be told when it is closed already */
static void
tell_closed(struct standin *s)
{
	int fd = atomic_exchange(&s->closed, -1);
	uint64_t one = 1;

	if (fd < 0)
		return;
	(void)!write(fd, &one, sizeof(one));
	close(fd);
}

/*
 * A card that is given up and is the device thread's, or nobody's, becomes the helper's,
 * to be closed.  Both try after they have had their say, so that one of them does.
 */
static void
take_given_up(struct standin *s)
{
	static const int states[] = { IDLE, PREPARED, RUNNING, DRY };

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		int was = states[i];

		if (atomic_compare_exchange_strong(&s->state, &was, LOST))
			return;
	}
}

/* the helper, after each step */
static void
finish(struct standin *s)
{
	int state;

	if (atomic_load(&s->given_up)) {
		take_given_up(s);
		state = atomic_load(&s->state);
		if (state != LOST && state != GONE)	/* its own, which it has not gone through with */
			atomic_store(&s->state, LOST);
	}
	if (atomic_load(&s->state) == LOST) {
		s->ops->close(s->drv);
		atomic_store(&s->state, GONE);
		tell_closed(s);
	}
}

static void *
helper(void *arg)
{
	struct standin *s = arg;
	uint64_t one = 1;

	thread_enter(&s->thread);
	while (!asked(s, -1)) {
		switch (atomic_load(&s->state)) {
		case PREPARING:
			prepare(s);
			break;
		case STARTING:
		case ABANDONED:
			go(s);
			break;
		case STOPPING:
			stop(s);
			break;
		case LOST:
			break;
		default:
			continue;
		}
		finish(s);
		(void)!write(s->done, &one, sizeof(one));
	}
	if (atomic_load(&s->state) != GONE)
		s->ops->close(s->drv);
	atomic_store(&s->state, GONE);
	tell_closed(s);
	return NULL;
}

/* ---- beginning and end: any one thread -------------------------------------------- */

static void
destroy(struct standin *s)
{
	if (s->ask >= 0)
		close(s->ask);
	if (s->done >= 0)
		close(s->done);
	if (s->closed >= 0)		/* asked for after all had ended */
		close(s->closed);
	tick_close(&s->tick);
	free(s->last);
	free(s);
}

static void
silence(struct standin *s)		/* as if bufsz of it had been played */
{
	enc_silence(&s->par.enc, s->last, (size_t)s->par.bufsz * s->par.pchan);
}

int
standin_new(struct standin **out, const struct drv_ops *ops, void *drv, const struct drv_par *par)
{
	struct standin *s = calloc(1, sizeof(*s));
	struct sim sim = { .rate = par->rate, .round = par->round };
	int rc;

	if (s == NULL)
		return -ENOMEM;
	s->ops = ops;
	s->drv = drv;
	s->par = *par;
	s->period_ns = (int64_t)par->round * NS / par->rate;
	s->size = (size_t)par->round * par->pchan * par->enc.bps;
	s->nblocks = par->bufsz / par->round;
	s->closed = -1;
	s->ask = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	s->done = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	rc = s->ask < 0 || s->done < 0 ? -EMFILE : 0;
	s->last = malloc(s->nblocks * s->size + 1);
	if (s->last == NULL)
		rc = -ENOMEM;
	else
		silence(s);
	s->tick.fd = -1;
	if (rc == 0)
		rc = tick_open(&s->tick, par->rate, par->round, par->bufsz, &sim);
	if (rc == 0)
		rc = thread_start(&s->thread, 0, helper, s);
	if (rc < 0) {
		destroy(s);
		return rc;
	}
	*out = s;
	return 0;
}

static void
standin_close(void *drv)
{
	struct standin *s = drv;
	uint64_t one = 1;

	atomic_store(&s->quit, 1);
	(void)!write(s->ask, &one, sizeof(one));
	pthread_join(s->thread.pt, NULL);
	destroy(s);
}

/* ---- the device thread ---------------------------------------------------------------- */

/* our clock from here on: its first block has passed after ns */
static int
stand_in(struct standin *s, int64_t ns)
{
	s->on_card = 0;
	return tick_start_at(&s->tick, now_ns() + ns - s->period_ns);
}

static int64_t
bufsz_ns(const struct standin *s)
{
	return s->nblocks * s->period_ns;
}

/* into nothing; NULL: silence */
static void
play(struct standin *s, const void *block)
{
	uint8_t *to = s->last + s->at * s->size;

	if (block != NULL)
		memcpy(to, block, s->size);
	else
		enc_silence(&s->par.enc, to, (size_t)s->par.round * s->par.pchan);
	s->at = (s->at + 1) % s->nblocks;
}

static void
ran_dry(struct standin *s, int64_t due)
{
	s->dry = 1;
	s->dry_due = due;
	atomic_fetch_add(&s->vain, 1);
	ask(s, PREPARING);
}

/* the card, which is ours, has failed: all that was queued has been heard, or is lost */
static void
trouble(struct standin *s, int rc, int64_t due, int writing, const void *block)
{
	silence(s);
	if (writing)			/* before the card is the helper's: it may be in its buffer */
		play(s, block);
	if (rc == -EPIPE) {
		(void)stand_in(s, bufsz_ns(s));
		ran_dry(s, due);
	} else {
		(void)stand_in(s, s->period_ns);
		lose(s, rc);
	}
}

/* what was played last comes first */
static int
fill(struct standin *s)
{
	unsigned i;
	int rc = 0;

	for (i = 0; i < s->nblocks && s->par.pchan > 0 && rc >= 0; i++)
		rc = s->ops->write(s->drv, s->last + (s->at + i) % s->nblocks * s->size);
	return rc;
}

/* the card's next step, if it is ours to make */
static int
advance(struct standin *s)
{
	int rc = 0, state;

	if (atomic_load(&s->given_up))
		take_given_up(s);
	state = atomic_load(&s->state);
	if (atomic_load(&s->given_up) && state != LOST && state != GONE)
		return 0;		/* the helper's, which says when it has closed it */
	switch (state) {
	case IDLE:
		ask(s, PREPARING);
		break;
	case PREPARED:
		rc = fill(s);
		if (rc == -EPIPE)
			ran_dry(s, 0);
		else if (rc < 0)
			lose(s, rc);
		else {
			ask(s, STARTING);
			return s->held ? 0 : stand_in(s, bufsz_ns(s));
		}
		return advance(s);
	case RUNNING:
		s->on_card = 1;
		s->held = 0;
		return tick_stop(&s->tick);
	case DRY:
		ran_dry(s, 0);
		break;
	case LOST:
	case GONE:
		if (!s->told)
			s->lost = atomic_load(&s->err);
		s->told = 1;
		if (s->held) {
			s->held = 0;
			return stand_in(s, s->period_ns);
		}
		break;
	default:			/* the helper's */
		break;
	}
	return 0;
}

static int
standin_start(void *drv)
{
	struct standin *s = drv;
	int rc, was = DRY;

	silence(s);
	s->held = 1;
	s->dry = 0;
	atomic_store(&s->vain, 0);
	(void)atomic_compare_exchange_strong(&s->state, &was, IDLE);	/* nobody heard it */
	rc = stand_in(s, HOLD_NS);
	if (rc < 0)
		return rc;
	s->running = 1;
	return advance(s);
}

static int
standin_stop(void *drv)
{
	struct standin *s = drv;
	int was = STARTING;

	if (!s->running)
		return 0;
	s->running = s->on_card = s->held = 0;
	if (!atomic_compare_exchange_strong(&s->state, &was, ABANDONED) && was == RUNNING &&
	    atomic_compare_exchange_strong(&s->state, &was, STOPPING))
		wake_helper(s);
	return tick_stop(&s->tick);
}

static int
standin_poll(void *drv, struct pollfd *pfd)
{
	struct standin *s = drv;
	int n;

	if (!s->running)
		return 0;
	if (s->on_card)
		return s->ops->poll(s->drv, pfd);
	n = tick_poll(&s->tick, pfd);
	pfd[n] = (struct pollfd){ s->done, POLLIN, 0 };
	return n + 1;
}

static int
passed(struct standin *s, int n, int64_t *due)
{
	if (*due <= s->due)
		*due = s->due + 1;
	s->due = *due + (n - 1) * s->period_ns;
	return n;
}

static int
standin_ready(void *drv, struct pollfd *pfd, int64_t *due_ns)
{
	struct standin *s = drv;
	uint64_t done;
	int n;

	if (!s->running)
		return 0;
	if (s->on_card) {
		n = s->ops->ready(s->drv, pfd, due_ns);
		if (n > 0) {
			atomic_store_explicit(&s->vain, 0, memory_order_relaxed);
			return passed(s, n, due_ns);
		}
		if (n == 0)
			return 0;
		trouble(s, n, *due_ns, 0, NULL);
		(void)advance(s);
		return 0;
	}
	(void)!read(s->done, &done, sizeof(done));
	n = advance(s);
	if (n < 0 || s->on_card)
		return n;
	n = tick_ready(&s->tick, pfd, due_ns);
	if (n == -EPIPE)		/* nothing is lost that anybody would have heard */
		return stand_in(s, s->period_ns);
	if (n > 0) {
		s->held = 0;
		return passed(s, n, due_ns);
	}
	return n;
}

static int
standin_read(void *drv, void *block)
{
	struct standin *s = drv;
	int rc = -1;

	if (s->on_card) {
		rc = s->ops->read(s->drv, block);
		if (rc < 0)
			trouble(s, rc, 0, 0, NULL);
	}
	if (rc < 0)
		enc_silence(&s->par.enc, block, (size_t)s->par.round * s->par.rchan);
	return 0;
}

static int
standin_write(void *drv, const void *block)
{
	struct standin *s = drv;
	int rc;

	if (!s->on_card)
		play(s, block);
	else if ((rc = s->ops->write(s->drv, block)) < 0)
		trouble(s, rc, 0, 1, block);
	return 0;
}

static void *
standin_area(void *drv)
{
	struct standin *s = drv;

	return s->on_card && s->ops->area != NULL ? s->ops->area(s->drv) : NULL;
}

static int
standin_news(void *drv, int64_t *due_ns)
{
	struct standin *s = drv;
	int lost = s->lost;

	if (s->dry) {
		s->dry = 0;
		*due_ns = s->dry_due;
		return -EPIPE;
	}
	s->lost = 0;
	return lost;
}

/* the device thread does not touch the card any more; err as if it were lost */
static int
standin_abandon(void *drv, int err, int fd)
{
	struct standin *s = drv;
	int rc = 0;

	if (atomic_exchange(&s->given_up, 1)) {
		close(fd);
		return -EALREADY;
	}
	atomic_store(&s->err, err);
	atomic_store(&s->closed, fd);
	if (s->on_card) {
		silence(s);
		rc = stand_in(s, s->period_ns);
	}
	take_given_up(s);
	if (atomic_load(&s->state) == GONE)
		tell_closed(s);
	else
		wake_helper(s);
	return rc;
}

const struct drv_ops drv_standin = {
	.name = "standin",
	.close = standin_close,
	.start = standin_start,
	.stop = standin_stop,
	.poll = standin_poll,
	.ready = standin_ready,
	.read = standin_read,
	.write = standin_write,
	.area = standin_area,
	.news = standin_news,
	.abandon = standin_abandon,
};
