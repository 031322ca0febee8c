/*
 * driver_manual.c: a clock that advances when it is told to, for tests.
 *
 * Records what it plays, as loopback does.  With an argument, a path, each
 * block written is also appended there raw, unbuffered: never the silence
 * queued by start, NULL as silence.  `step` may be called by any thread; the
 * blocks wait in an eventfd.  A stopped clock does not advance:
 * step then returns 0 and nothing will pass.
 */
#define _GNU_SOURCE
#include "drivers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "echo.h"
#include "sim.h"

struct manual {
	int fd;				/* eventfd: blocks stepped and not yet returned by ready */
	int capture;			/* file of what was played, or -1 */
	_Atomic int running;		/* 1 between start and stop */
	unsigned nblocks;		/* most blocks of one ready: bufsz / round */
	size_t block;			/* bytes of a played block */
	uint8_t *silence;		/* one played block */
	struct echo echo;		/* what was played and not yet recorded */
	struct sim sim;			/* what is wrong with it; a clock that is told to advance has neither ppm nor jitter */
};

static void
manual_close(void *drv)
{
	struct manual *d = drv;

	if (d->fd >= 0)
		close(d->fd);
	if (d->capture >= 0)
		close(d->capture);
	echo_close(&d->echo);
	free(d->silence);
	free(d);
}

static int
manual_open(void **drv, const struct drv_conf *conf, struct drv_par *par, char *err, size_t errsz)
{
	struct manual *d;
	struct sim sim;
	int rc;

	rc = drv_par_fit("manual", par, err, errsz);
	if (rc == 0)
		rc = sim_open(&sim, "manual", conf, par, err, errsz);
	if (rc < 0)
		return rc;
	if (conf->arg[0] != '\0' && par->pchan == 0)
		return drv_fail(EINVAL, err, errsz, "manual: nothing to write to %s: it does not play", conf->arg);
	par->clock = DRV_CLOCK_MANUAL;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return drv_fail(ENOMEM, err, errsz, "manual: no memory");
	d->fd = d->capture = -1;
	d->sim = sim;
	atomic_init(&d->running, 0);
	d->nblocks = par->bufsz / par->round;
	d->block = (size_t)par->round * par->pchan * par->enc.bps;
	rc = echo_open(&d->echo, par);
	if (rc < 0)
		goto nomem;
	if (conf->arg[0] != '\0') {
		d->silence = malloc(d->block);
		if (d->silence == NULL)
			goto nomem;
		enc_silence(&par->enc, d->silence, (size_t)par->round * par->pchan);
		d->capture = open(conf->arg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
		if (d->capture < 0) {
			rc = drv_fail(errno, err, errsz, "manual: %s: %s", conf->arg, strerror(errno));
			goto fail;
		}
	}
	d->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (d->fd < 0) {
		rc = drv_fail(errno, err, errsz, "manual: no eventfd: %s", strerror(errno));
		goto fail;
	}
	*drv = d;
	return 0;
nomem:
	rc = drv_fail(ENOMEM, err, errsz, "manual: no memory for %u frames", par->bufsz);
fail:
	manual_close(d);
	return rc;
}

static int
manual_start(void *drv)
{
	struct manual *d = drv;
	int rc;

	rc = sim_start(&d->sim);
	if (rc < 0)
		return rc;
	echo_start(&d->echo);
	atomic_store(&d->running, 1);
	return 0;
}

/* takes all blocks that were stepped: how many, or -errno */
static int64_t
take(struct manual *d)
{
	uint64_t n;

	while (read(d->fd, &n, sizeof(n)) < 0) {
		if (errno == EAGAIN)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
	return (int64_t)n;
}

static int
give(struct manual *d, uint64_t nblocks)
{
	while (write(d->fd, &nblocks, sizeof(nblocks)) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static int
manual_stop(void *drv)
{
	struct manual *d = drv;
	int64_t n;

	atomic_store(&d->running, 0);
	n = take(d);
	return n < 0 ? (int)n : 0;
}

static int
manual_poll(void *drv, struct pollfd *pfd)
{
	struct manual *d = drv;

	if (!atomic_load(&d->running))
		return 0;
	pfd->fd = d->fd;
	pfd->events = POLLIN;
	pfd->revents = 0;
	return 1;
}

static int
manual_ready(void *drv, struct pollfd *pfd, int64_t *due_ns)
{
	struct manual *d = drv;
	struct timespec ts;
	int64_t n;
	int passed, rc;

	(void)pfd;
	if (!atomic_load(&d->running))
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	*due_ns = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
	n = take(d);
	if (n < 0)
		return (int)n;
	passed = sim_pass(&d->sim, (int)(n < d->nblocks ? n : d->nblocks));
	if (passed >= 0 && n > passed) {	/* the rest keeps the descriptor readable */
		rc = give(d, (uint64_t)(n - passed));
		if (rc < 0)
			return rc;
	}
	return passed;
}

static int
manual_read(void *drv, void *block)
{
	struct manual *d = drv;

	echo_read(&d->echo, block);
	return 0;
}

static int
manual_write(void *drv, const void *block)
{
	struct manual *d = drv;
	const uint8_t *p;
	size_t left;
	ssize_t n;

	echo_write(&d->echo, block);
	if (d->capture < 0)
		return 0;
	p = block != NULL ? block : d->silence;
	for (left = d->block; left > 0; left -= (size_t)n, p += n) {
		n = write(d->capture, p, left);
		if (n < 0) {
			if (errno != EINTR)
				return -errno;
			n = 0;
		}
	}
	return 0;
}

static int
manual_step(void *drv, unsigned nblocks)
{
	struct manual *d = drv;
	int rc;

	if (nblocks > INT_MAX)
		return -EINVAL;
	if (nblocks == 0 || !atomic_load(&d->running))
		return 0;
	rc = give(d, nblocks);
	return rc < 0 ? rc : (int)nblocks;
}

const struct drv_ops drv_manual = {
	.name = "manual",
	.open = manual_open,
	.close = manual_close,
	.start = manual_start,
	.stop = manual_stop,
	.poll = manual_poll,
	.ready = manual_ready,
	.read = manual_read,
	.write = manual_write,
	.step = manual_step,
};
