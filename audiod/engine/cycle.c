/*
 * cycle.c: one block of a device: what was recorded is taken, every stream plays
 * and records its block, the mix is encoded and handed to the driver, positions
 * are published and the cycle's times kept.
 *
 * Device thread.
 */
#include <string.h>
#include "dev.h"

const void *
dev_recorded(device *d, int f64)
{
	size_t n = (size_t)d->par.round * d->par.rchan;

	if (f64) {
		if (!d->rec64_valid)
			d->conv.dec64(&d->conv, d->rblock, d->rec64, n);
		d->rec64_valid = 1;
		return d->rec64;
	}
	if (!d->rec32_valid)
		d->conv.dec32(&d->conv, d->rblock, d->rec32, n);
	d->rec32_valid = 1;
	return d->rec32;
}

/* converters that were driven too far say so by their highest or lowest number */
uint64_t
dev_overrange(device *d)
{
	size_t nch = d->par.rchan, n = (size_t)d->par.round * nch;
	double steps = (double)((uint64_t)1 << (d->par.enc.bits - 1)), top = d->par.enc.flt ? 1 : 1 - 1 / steps;
	int any = 0;

	if (d->hot_valid)
		return d->hot;
	d->hot_valid = 1;
	d->hot = 0;
	if (d->rec64_valid || d->wide) {
		const double *x = dev_recorded(d, 1);

		for (size_t i = 0; i < n; i++)
			any |= x[i] >= top || x[i] <= -1;
		for (size_t i = 0; any && i < n; i++)
			d->hot |= (uint64_t)(x[i] >= top || x[i] <= -1) << i % nch;
	} else {
		const float *x = dev_recorded(d, 0), high = (float)top;

		for (size_t i = 0; i < n; i++)
			any |= x[i] >= high || x[i] <= -1;
		for (size_t i = 0; any && i < n; i++)
			d->hot |= (uint64_t)(x[i] >= high || x[i] <= -1) << i % nch;
	}
	return d->hot;
}

/* the mix that is heard in the period of what was recorded: nmon blocks old */
const void *
dev_monitored(device *d, int f64)
{
	size_t n = (size_t)d->par.round * d->par.pchan;
	const double *heard = d->mon + (size_t)(d->monpos % d->nmon) * n;

	if (f64)
		return heard;
	if (!d->mon32_valid)
		for (size_t i = 0; i < n; i++)
			d->mon32[i] = (float)heard[i];
	d->mon32_valid = 1;
	return d->mon32;
}

static void
mon_put(device *d, int bus)	/* 0 silence, 32, 64 */
{
	size_t n = (size_t)d->par.round * d->par.pchan;
	double *dst = d->mon + (size_t)(d->monpos++ % d->nmon) * n;

	if (bus == 64)
		memcpy(dst, d->mix64, n * sizeof(double));
	else
		for (size_t i = 0; i < n; i++)
			dst[i] = bus == 32 ? (double)d->mix32[i] : 0;
}

static double
gain_of(_Atomic uint64_t *bits)
{
	uint64_t b = atomic_load_explicit(bits, memory_order_relaxed);
	double g;

	memcpy(&g, &b, sizeof(g));
	return g;
}

/* how volumes change from now on; what is on its way goes on from where it is */
static void
dev_glide(device *d)
{
	struct glide *g = &d->glide[!d->glide_now];

	if (!mailbox_take(&d->mail))
		return;
	*g = d->glides[d->mail.out];
	d->glide_now = !d->glide_now;
	for (stream *s = d->streams; s; s = s->next) {
		if (s->gain.shape != NULL && !gain_steady(&s->gain))
			gain_ramp_on(&s->gain, s->gain.to, g->nframes, &g->shape);
		if (s->recgain.shape != NULL && !gain_steady(&s->recgain))
			gain_ramp_on(&s->recgain, s->recgain.to, g->nframes, &g->shape);
	}
}

void
dev_master(device *d)	/* the software masters as they are now */
{
	const struct glide *glide;
	uint32_t seq = atomic_load_explicit(&d->master_seq, memory_order_acquire);
	double play = gain_of(&d->master), rec = gain_of(&d->recmaster);

	dev_glide(d);
	if (seq == d->master_seen)
		return;
	glide = &d->glide[d->glide_now];
	d->master_seen = seq;
	for (stream *s = d->streams; s; s = s->next)
		if (stream_live(s) && rec != d->recmaster_now)
			gain_ramp_on(&s->recgain, rec, glide->nframes, &glide->shape);
	d->recmaster_now = rec;
	if (play == d->master_now)
		return;
	d->master_now = play;
	for (stream *s = d->streams; s; s = s->next)
		if (stream_live(s) && s->play)
			stream_retarget(s, 1);
}

static int
may_bypass(const device *d, const stream *s)
{
	return s->chain.same && !(s->par.flags & STREAM_NOPLAY) && d->nmons == 0 && !s->fading && !s->faded &&
	    atomic_load_explicit(&s->stop, memory_order_relaxed) != STOP_FLUSH &&
	    gain_steady(&s->gain) && gain_now(&s->gain) == 1;
}

/* the mix into bytes; clips once, dithers only what it rounds */
static void
dev_encode(device *d)
{
	size_t n = (size_t)d->par.round * d->par.pchan;
	int dither = d->dither && d->inexact;

	if (d->mix64_used) {
		if (d->mix32_used)
			for (size_t i = 0; i < n; i++)
				d->mix64[i] += (double)d->mix32[i];
		if (clip_count64(&d->conv, d->mix64, n))
			atomic_fetch_add_explicit(&d->clipped, 1, memory_order_relaxed);
		if (dither && !on_grid64(&d->conv, d->mix64, n))
			d->conv.dit64(&d->conv, &d->seed, d->mix64, d->pblock, n);
		else
			d->conv.enc64(&d->conv, d->mix64, d->pblock, n);
	} else if (d->mix32_used) {
		if (clip_count32(&d->conv, d->mix32, n))
			atomic_fetch_add_explicit(&d->clipped, 1, memory_order_relaxed);
		if (dither && !on_grid32(&d->conv, d->mix32, n))
			d->conv.dit32(&d->conv, &d->seed, d->mix32, d->pblock, n);
		else
			d->conv.enc32(&d->conv, d->mix32, d->pblock, n);
	} else
		enc_silence(&d->par.enc, d->pblock, n);
}

void
dev_record(device *d, int64_t nblocks, int nstreams, int flags)
{
	int64_t n = atomic_load_explicit(&d->ncyc, memory_order_relaxed);
	struct cyclerec *c = &d->cyc[n % NCYCLES];

	atomic_store_explicit(&c->due, d->due_ns, memory_order_relaxed);
	atomic_store_explicit(&c->wake, d->wake_ns, memory_order_relaxed);
	atomic_store_explicit(&c->end, now_ns(), memory_order_relaxed);
	atomic_store_explicit(&c->nblocks, (uint32_t)nblocks, memory_order_relaxed);
	atomic_store_explicit(&c->nstreams, (uint32_t)nstreams, memory_order_relaxed);
	atomic_store_explicit(&c->nxruns, (uint32_t)d->nlate, memory_order_relaxed);
	atomic_store_explicit(&c->flags, (uint32_t)flags, memory_order_relaxed);
	atomic_store_explicit(&d->ncyc, n + 1, memory_order_release);
}

/* one block of every attached stream */
static void
dev_mix(device *d)
{
	int nplay = 0, changed = 0;
	stream *alone = NULL;

	for (stream *s = d->streams; s; s = s->next)
		if (stream_live(s) && s->play) {
			nplay++;
			alone = s;
		}
	if (nplay != 1 || !may_bypass(d, alone))
		alone = NULL;
	for (stream **sp = &d->streams; *sp; ) {
		stream *s = *sp;
		int rc;

		if (!stream_live(s)) {
			sp = &s->next;
			continue;
		}
		if (s->vol_seen != atomic_load_explicit(&s->vol, memory_order_relaxed) ||
		    s->muted_seen != atomic_load_explicit(&s->muted, memory_order_relaxed)) {
			stream_retarget(s, 1);
			if (s == alone && !may_bypass(d, s))
				alone = NULL;
		}
		if (s->next)		/* written when its client had it, long ago for a cache */
			stream_prefetch(s->next);
		rc = stream_cycle(s, s == alone);
		if (s->play)
			atomic_store_explicit(&s->bypassed, s == alone, memory_order_relaxed);
		stream_tick(s, d->due_ns);
		if (rc != 0) {
			dev_remove(d, sp, rc < 0 ? ENDED_XRUN : 0);
			changed = 1;
			continue;
		}
		if (s->hold == HOLD_RAMP && fade_steady(&s->fade)) {
			aim_held(s);
			changed = 1;
		}
		sp = &s->next;
	}
	if (changed)
		dev_count(d);
}

int
dev_cycle(device *d, int64_t due, int64_t nblocks)
{
	int rc, n;

	d->due_ns = due;
	d->nlate = 0;
	d->mix32_used = d->mix64_used = d->inexact = d->copied = d->plays = 0;
	d->rec32_valid = d->rec64_valid = d->mon32_valid = d->hot_valid = 0;
	if (d->par.rchan) {
		rc = d->drv->read(d->drvh, d->rblock);
		if (rc < 0)
			return rc;
	}
	dev_commands(d);
	dev_master(d);
	d->in_cycle = 1;
	dev_admit(d);
	d->in_cycle = 0;
	n = atomic_load_explicit(&d->nattached, memory_order_relaxed);
	atomic_fetch_add_explicit(&d->position, d->par.round, memory_order_relaxed);
	/* into the card's own buffer where that can be */
	d->pblock = d->par.pchan && d->drv->area != NULL ? d->drv->area(d->drvh) : NULL;
	if (d->pblock == NULL)
		d->pblock = d->pbuf;
	dev_mix(d);
	if (d->par.pchan) {
		if (d->copied)
			atomic_fetch_add_explicit(&d->nbypassed, 1, memory_order_relaxed);
		else if (d->plays)
			dev_encode(d);
		if (d->nmons > 0)
			mon_put(d, d->mix64_used ? 64 : d->mix32_used ? 32 : 0);
		rc = d->drv->write(d->drvh, d->plays ? d->pblock : NULL);
		if (rc < 0)
			return rc;
	}
	mmc_tick(d);
	if (n > 0 || mmc_runs(d))
		d->idle_left = (int)(d->par.bufsz / d->par.round);
	else
		d->idle_left--;
	dev_retry(d);
	dev_record(d, nblocks, n, 0);
	atomic_fetch_add_explicit(&d->cycles, 1, memory_order_relaxed);
	return 0;
}
