/*
 * driver_loopback.c: what is played comes back as recorded at the moment it is
 * played, sample-exact, on a real-time clock.
 */
#define _GNU_SOURCE
#include "drivers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "echo.h"
#include "tick.h"

struct loopback {
	struct tick tick;		/* the clock */
	struct echo echo;		/* what was played and not yet recorded */
};

static int
loopback_open(void **drv, const struct drv_conf *conf, struct drv_par *par, char *err, size_t errsz)
{
	struct loopback *d;
	struct sim sim;
	int rc;

	if (conf->arg[0] != '\0')
		return drv_fail(EINVAL, err, errsz, "loopback: takes no argument, got \"%s\"", conf->arg);
	rc = drv_par_fit("loopback", par, err, errsz);
	if (rc == 0)
		rc = sim_open(&sim, "loopback", conf, par, err, errsz);
	if (rc < 0)
		return rc;
	par->clock = DRV_CLOCK_REAL;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return drv_fail(ENOMEM, err, errsz, "loopback: no memory");
	rc = echo_open(&d->echo, par);
	if (rc < 0) {
		free(d);
		return drv_fail(-rc, err, errsz, "loopback: no memory for %u frames", par->bufsz);
	}
	rc = tick_open(&d->tick, par->rate, par->round, par->bufsz, &sim);
	if (rc < 0) {
		echo_close(&d->echo);
		free(d);
		return drv_fail(-rc, err, errsz, "loopback: no timer: %s", strerror(-rc));
	}
	*drv = d;
	return 0;
}

static void
loopback_close(void *drv)
{
	struct loopback *d = drv;

	tick_close(&d->tick);
	echo_close(&d->echo);
	free(d);
}

static int
loopback_start(void *drv)
{
	struct loopback *d = drv;

	echo_start(&d->echo);
	return tick_start(&d->tick);
}

static int
loopback_stop(void *drv)
{
	struct loopback *d = drv;

	return tick_stop(&d->tick);
}

static int
loopback_poll(void *drv, struct pollfd *pfd)
{
	struct loopback *d = drv;

	return tick_poll(&d->tick, pfd);
}

static int
loopback_ready(void *drv, struct pollfd *pfd, int64_t *due_ns)
{
	struct loopback *d = drv;

	return tick_ready(&d->tick, pfd, due_ns);
}

static int
loopback_read(void *drv, void *block)
{
	struct loopback *d = drv;

	echo_read(&d->echo, block);
	return 0;
}

static int
loopback_write(void *drv, const void *block)
{
	struct loopback *d = drv;

	echo_write(&d->echo, block);
	return 0;
}

const struct drv_ops drv_loopback = {
	.name = "loopback",
	.open = loopback_open,
	.close = loopback_close,
	.start = loopback_start,
	.stop = loopback_stop,
	.poll = loopback_poll,
	.ready = loopback_ready,
	.read = loopback_read,
	.write = loopback_write,
};
