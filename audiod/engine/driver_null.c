/*
 * driver_null.c: a clock and nothing else: plays into nothing, records silence.
 * The default where there is no card, so that everything works everywhere.
 */
#define _GNU_SOURCE
#include "drivers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tick.h"

struct null {
	struct tick tick;		/* the clock */
	struct drv_par par;		/* what open agreed to */
};

static int
null_open(void **drv, const struct drv_conf *conf, struct drv_par *par, char *err, size_t errsz)
{
	struct null *d;
	struct sim sim;
	int rc;

	if (conf->arg[0] != '\0')
		return drv_fail(EINVAL, err, errsz, "null: takes no argument, got \"%s\"", conf->arg);
	rc = drv_par_fit("null", par, err, errsz);
	if (rc == 0)
		rc = sim_open(&sim, "null", conf, par, err, errsz);
	if (rc < 0)
		return rc;
	par->clock = DRV_CLOCK_REAL;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return drv_fail(ENOMEM, err, errsz, "null: no memory");
	d->par = *par;
	rc = tick_open(&d->tick, par->rate, par->round, par->bufsz, &sim);
	if (rc < 0) {
		free(d);
		return drv_fail(-rc, err, errsz, "null: no timer: %s", strerror(-rc));
	}
	*drv = d;
	return 0;
}

static void
null_close(void *drv)
{
	struct null *d = drv;

	tick_close(&d->tick);
	free(d);
}

static int
null_start(void *drv)
{
	struct null *d = drv;

	return tick_start(&d->tick);
}

static int
null_stop(void *drv)
{
	struct null *d = drv;

	return tick_stop(&d->tick);
}

static int
null_poll(void *drv, struct pollfd *pfd)
{
	struct null *d = drv;

	return tick_poll(&d->tick, pfd);
}

static int
null_ready(void *drv, struct pollfd *pfd, int64_t *due_ns)
{
	struct null *d = drv;

	return tick_ready(&d->tick, pfd, due_ns);
}

static int
null_read(void *drv, void *block)
{
	struct null *d = drv;

	enc_silence(&d->par.enc, block, (size_t)d->par.round * d->par.rchan);
	return 0;
}

static int
null_write(void *drv, const void *block)
{
	(void)drv;
	(void)block;
	return 0;
}

const struct drv_ops drv_null = {
	.name = "null",
	.open = null_open,
	.close = null_close,
	.start = null_start,
	.stop = null_stop,
	.poll = null_poll,
	.ready = null_ready,
	.read = null_read,
	.write = null_write,
};
