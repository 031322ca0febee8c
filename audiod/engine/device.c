/*
 * device.c: a device as control sees it: opened, closed, commanded and asked.
 *
 * All of it runs on the control thread, but driver_open and driver_close, which
 * may wait for the driver and run on any: they touch nothing that the engine has.
 * The device's own thread is dev.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "ring.h"
#include "standin.h"

struct driver {				/* an open driver that no device has yet, or has any more */
	const struct drv_ops *ops;
	void *h;
	struct drv_par par;		/* as open answered it */
};

int
dev_command(device *d, int op, stream *s, uint32_t a, uint32_t b)
{
	uint32_t w = atomic_load_explicit(&d->cmd_w, memory_order_relaxed);

	if (w - atomic_load_explicit(&d->cmd_r, memory_order_acquire) == DEVCMD_SIZE)
		return -EAGAIN;
	d->cmds[w % DEVCMD_SIZE] = (struct devcmd){ op, s, a, b };
	atomic_store_explicit(&d->cmd_w, w + 1, memory_order_release);
	dev_poke(d);
	return 0;
}

static size_t
scratch_size(const device *d)	/* bytes: the most frames that any stream's block has, at 64 channels in double */
{
	uint64_t n = ((uint64_t)d->par.round * DSP_RATE_MAX + d->par.rate - 1) / d->par.rate + 2;

	return (size_t)n * DSP_NCHAN * sizeof(double);
}

static int
dev_buffers(device *d)
{
	engine *e = d->engine;
	size_t np = (size_t)d->par.round * d->par.pchan, nr = (size_t)d->par.round * d->par.rchan;

	d->pframe = (size_t)d->par.pchan * d->par.enc.bps;
	d->rframe = (size_t)d->par.rchan * d->par.enc.bps;
	d->nmon = d->par.bufsz / d->par.round;
	d->in = mem_reserve(scratch_size(d));
	d->out = mem_reserve(scratch_size(d));
	d->events = mem_new(e, sizeof(*d->events));
	if (d->in == NULL || d->out == NULL || d->events == NULL)
		return -ENOMEM;
	if (np > 0) {
		d->mix32 = mem_new(e, np * sizeof(float));
		d->mix64 = mem_new(e, np * sizeof(double));
		d->mon = mem_new(e, np * d->nmon * sizeof(double));
		d->mon32 = mem_new(e, np * sizeof(float));
		d->pbuf = mem_new(e, d->par.round * d->pframe);
		if (!d->mix32 || !d->mix64 || !d->mon || !d->mon32 || !d->pbuf)
			return -ENOMEM;
	}
	if (nr > 0) {
		d->rec32 = mem_new(e, nr * sizeof(float));
		d->rec64 = mem_new(e, nr * sizeof(double));
		d->rblock = mem_new(e, d->par.round * d->rframe);
		if (!d->rec32 || !d->rec64 || !d->rblock)
			return -ENOMEM;
	}
	return 0;
}

static void
dev_destroy(device *d)
{
	engine *e = d->engine;
	size_t np = (size_t)d->par.round * d->par.pchan, nr = (size_t)d->par.round * d->par.rchan;

	for (int i = 0; i < NDEV_MAX; i++)
		if (e->devs[i] == d)
			e->devs[i] = NULL;
	if (d->wakefd >= 0)
		close(d->wakefd);
	if (d->stepfd >= 0)
		close(d->stepfd);
	if (d->par.rate > 0) {		/* else it was refused before its driver was asked */
		mem_free(d->in, scratch_size(d));
		mem_free(d->out, scratch_size(d));
	}
	mem_free(d->events, sizeof(*d->events));
	mem_free(d->mix32, np * sizeof(float));
	mem_free(d->mix64, np * sizeof(double));
	mem_free(d->mon, np * d->nmon * sizeof(double));
	mem_free(d->mon32, np * sizeof(float));
	mem_free(d->pbuf, d->par.round * d->pframe);
	mem_free(d->rec32, nr * sizeof(float));
	mem_free(d->rec64, nr * sizeof(double));
	mem_free(d->rblock, d->par.round * d->rframe);
	mem_free(d, sizeof(*d));
}

void
device_unref(device *d)
{
	if (--d->refs == 0)
		dev_destroy(d);
}

/* ---- drivers: any thread ---------------------------------------------------- */

int
driver_open(const struct device_conf *c, driver **out, char *err, uint32_t errsz)
{
	struct drv_conf dc = { .arg = c->arg, .rec = c->rec, .free_clock = c->free_clock,
	    .append = c->append, .access = c->access, .ppm = c->ppm, .jitter_ns = c->jitter_ns,
	    .xrun_every_ns = c->xrun_every_ns, .unplug_after_ns = c->unplug_after_ns };
	const struct drv_ops *ops = drv_find(c->driver);
	struct standin *s;
	driver *drv;
	int rc;

	err[0] = '\0';
	if (ops == NULL) {
		snprintf(err, errsz, "there is no driver '%s'", c->driver);
		return -ENODEV;
	}
	drv = calloc(1, sizeof(*drv));
	if (drv == NULL)
		return -ENOMEM;
	drv->ops = ops;
	drv->par = (struct drv_par){ .enc = { c->par.enc.bits, c->par.enc.bps, c->par.enc.sig,
	    c->par.enc.le, c->par.enc.msb, c->par.enc.flt }, .rate = c->par.rate,
	    .round = c->par.round, .bufsz = c->par.bufsz, .pchan = c->par.pchan, .rchan = c->par.rchan };
	memcpy(drv->par.pmap, c->par.pmap, sizeof(drv->par.pmap));
	memcpy(drv->par.rmap, c->par.rmap, sizeof(drv->par.rmap));
	rc = ops->open(&drv->h, &dc, &drv->par, err, errsz);
	if (rc == 0 && ops->prepare != NULL) {
		rc = standin_new(&s, ops, drv->h, &drv->par);
		if (rc == 0) {
			drv->ops = &drv_standin;
			drv->h = s;
		} else {
			ops->close(drv->h);
			snprintf(err, errsz, "%s", strerror(-rc));
		}
	}
	if (rc < 0) {
		free(drv);
		return rc;
	}
	*out = drv;
	return 0;
}

void
driver_close(driver *drv)
{
	drv->ops->close(drv->h);
	free(drv);
}

/* ---- devices: control ----------------------------------------------------------- */

static void
set_gain(device *d, _Atomic uint64_t *to, double gain)
{
	uint64_t bits;

	memcpy(&bits, &gain, sizeof(bits));
	atomic_store_explicit(to, bits, memory_order_relaxed);
	atomic_fetch_add_explicit(&d->master_seq, 1, memory_order_release);
}

int
device_attach(engine *e, uint32_t id, const struct device_conf *c, driver *drv, device **out, char *err,
    uint32_t errsz)
{
	device *d = mem_new(e, sizeof(*d));
	int rc, i;

	if (d == NULL)
		return -ENOMEM;
	d->engine = e;
	d->id = id;
	d->refs = 1;
	d->wakefd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	d->stepfd = eventfd(0, EFD_CLOEXEC);
	for (i = 0; i < NDEV_MAX && e->devs[i]; i++)
		;
	if (d->wakefd < 0 || d->stepfd < 0 || i == NDEV_MAX) {
		snprintf(err, errsz, "no room for another device: %s", i == NDEV_MAX ?
		    "too many of them have streams left" : strerror(errno));
		rc = -EMFILE;
		goto bad;
	}
	d->driver = drv;
	d->drv = drv->ops;
	d->drvh = drv->h;
	d->par = drv->par;
	d->period_ns = (int64_t)d->par.round * NS / d->par.rate;
	d->stall_ns = (int64_t)c->stall_ms * 1000000;
	d->ramp = d->par.rate * RAMP_MS / 1000;
	d->glide[0].nframes = d->ramp;
	mailbox_init(&d->mail);
	d->ahead_ns = (int64_t)d->par.bufsz * NS / d->par.rate;
	d->wide = d->par.enc.bits > 24 && !(d->par.enc.flt && d->par.enc.bits == 32);
	d->dither = c->dither;
	d->seed = 0x9e3779b9u + id;
	d->master_now = d->recmaster_now = 1;
	set_gain(d, &d->master, 1);
	set_gain(d, &d->recmaster, 1);
	rc = conv_init(&d->conv, &d->par.enc);
	if (rc == 0)
		rc = dev_buffers(d);
	if (rc == 0)
		rc = thread_start(&d->thread, d->par.clock == DRV_CLOCK_REAL ? e->rt_prio : 0,
		    dev_run, d);
	if (rc < 0) {
		snprintf(err, errsz, "%s", strerror(-rc));
		goto bad;
	}
	e->devs[i] = d;
	*out = d;
	return 0;
bad:
	d->refs = 0;
	dev_destroy(d);
	return rc;
}

int
device_open(engine *e, uint32_t id, const struct device_conf *c, device **out, char *err, uint32_t errsz)
{
	driver *drv;
	int rc = driver_open(c, &drv, err, errsz);

	if (rc < 0)
		return rc;
	rc = device_attach(e, id, c, drv, out, err, errsz);
	if (rc < 0)
		driver_close(drv);
	return rc;
}

driver *
device_detach(device *d)
{
	driver *drv = d->driver;
	engine *e = d->engine;
	struct event ev;

	atomic_store(&d->quit, 1);
	dev_wake(d);
	pthread_join(d->thread.pt, NULL);
	while (evring_get(d->events, &ev))
		engine_orphan(e, &ev);
	for (stream *s = d->unreleased; s; s = s->next) {	/* those that found no room there */
		ev = (struct event){ .type = EV_RELEASED, .id = s->id, .dev = d->id };
		atomic_store(&s->refs, 0);
		engine_orphan(e, &ev);
	}
	d->unreleased = NULL;
	d->closed = 1;
	engine_signal(e);
	device_unref(d);
	return drv;
}

int
device_close(device *d)
{
	driver_close(device_detach(d));
	return 0;
}

void
device_getpar(device *d, struct device_par *p)
{
	const struct drv_par *q = &d->par;

	p->enc = (struct encoding){ q->enc.bits, q->enc.bps, q->enc.sig, q->enc.le, q->enc.msb, q->enc.flt };
	p->rate = q->rate;
	p->round = q->round;
	p->bufsz = q->bufsz;
	p->pchan = q->pchan;
	p->rchan = q->rchan;
	p->clock = (uint32_t)q->clock;
	memcpy(p->pmap, q->pmap, sizeof(p->pmap));
	memcpy(p->rmap, q->rmap, sizeof(p->rmap));
}

int
device_step(device *d, uint32_t nblocks)
{
	int64_t want;
	uint64_t n;

	if (d->par.clock != DRV_CLOCK_MANUAL)
		return -EINVAL;
	want = atomic_fetch_add(&d->step_req, nblocks) + nblocks;
	dev_poke(d);
	while (atomic_load(&d->step_done) < want)
		while (read(d->stepfd, &n, sizeof(n)) < 0 && errno == EINTR)
			;
	return 0;
}

void
device_setgain(device *d, double gain)
{
	set_gain(d, &d->master, gain);
}

void
device_setrecgain(device *d, double gain)
{
	set_gain(d, &d->recmaster, gain);
}

int
device_setcurve(device *d, const struct curve *curve, uint32_t nframes)
{
	struct glide *g = &d->glides[d->mail.in];

	if (shape_of(&g->shape, curve) < 0)
		return -EINVAL;
	g->nframes = nframes > 0 ? nframes : d->par.round;
	mailbox_send(&d->mail);
	return 0;
}

void
device_setgroup(device *d, uint32_t group, uint32_t nmembers)
{
	(void)dev_command(d, DEVCMD_GROUP, NULL, group, nmembers);
}

int
device_abandon(device *d, int err, int fd)
{
	int mine, rc;

	if (d->drv->abandon == NULL)
		return -ENOTSUP;
	mine = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (mine < 0)
		return -errno;
	rc = dev_command(d, DEVCMD_ABANDON, NULL, (uint32_t)err, (uint32_t)mine);
	if (rc < 0)
		close(mine);
	return rc;
}

void
device_mmc(device *d, uint32_t run, uint32_t pending)
{
	(void)dev_command(d, DEVCMD_MMC, NULL, run, pending);
}

void
device_getstats(device *d, struct device_stats *st)
{
	struct timespec ts = { 0, 0 };
	clockid_t clk;

	memset(st, 0, sizeof(*st));
	st->cycles = atomic_load(&d->cycles);
	st->position = atomic_load(&d->position);
	st->xruns = atomic_load(&d->xruns);
	st->clipped = atomic_load(&d->clipped);
	st->bypassed = atomic_load(&d->nbypassed);
	st->running = atomic_load(&d->running);
	st->streams = atomic_load(&d->nattached) + atomic_load(&d->nheld);
	if (pthread_getcpuclockid(d->thread.pt, &clk) == 0 && clock_gettime(clk, &ts) == 0)
		st->cpu_ns = (int64_t)ts.tv_sec * NS + ts.tv_nsec;
}

int
device_getcycles(device *d, struct cycle *out, uint32_t max)
{
	int64_t end = atomic_load_explicit(&d->ncyc, memory_order_acquire), i, k = 0;

	if (max > NCYCLES)
		max = NCYCLES;
	i = end > max ? end - max : 0;
	for (; i < end; i++) {
		struct cyclerec *c = &d->cyc[i % NCYCLES];
		struct cycle r = { .seq = i, .due_ns = atomic_load(&c->due),
		    .wake_ns = atomic_load(&c->wake), .end_ns = atomic_load(&c->end),
		    .nblocks = atomic_load(&c->nblocks), .nstreams = atomic_load(&c->nstreams),
		    .nxruns = atomic_load(&c->nxruns), .flags = atomic_load(&c->flags) };

		/* one that the device thread wrote over meanwhile is not told */
		if (atomic_load_explicit(&d->ncyc, memory_order_acquire) - i < NCYCLES)
			out[k++] = r;
	}
	return (int)k;
}
