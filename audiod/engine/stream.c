/*
 * stream.c: one stream from start to stop: its buffers, its conversion chain,
 * what it does when it has too few frames.
 *
 * stream_new and stream_free belong to control; stream_attach, stream_cycle
 * and what they call to the device thread, which owns `phase` and all below it
 * in struct stream.  The semantics are those of sio_open(3).
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "ring.h"

static struct fring *
fring_new(engine *e, uint32_t nframes, uint32_t frame)
{
	size_t size = (size_t)nframes * frame;
	struct fring *f = mem_new(e, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->data = mem_new(e, size);
	if (f->data == NULL) {
		mem_free(f, sizeof(*f));
		return NULL;
	}
	f->cap = nframes;
	f->frame = frame;
	return f;
}

static void
fring_free(struct fring *f)
{
	if (f == NULL)
		return;
	mem_free(f->data, (size_t)f->cap * f->frame);
	mem_free(f, sizeof(*f));
}

/* ---- control --------------------------------------------------------------- */

int
stream_new(device *d, uint32_t id, const struct stream_par *par, stream **out)
{
	struct enc enc = { par->enc.bits, par->enc.bps, par->enc.sig, par->enc.le,
	    par->enc.msb, par->enc.flt };
	stream *s;
	int rc;

	if (!(par->flags & (STREAM_PLAY | STREAM_REC | STREAM_MON)) ||
	    par->rate < DSP_RATE_MIN || par->rate > DSP_RATE_MAX || par->xrun > 2)
		return -EINVAL;
	if (par->appbufsz < chain_block(d, par->rate) || par->appbufsz > (1u << 24))
		return -EINVAL;
	s = mem_new(d->engine, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	s->engine = d->engine;
	s->dev = d;
	s->id = id;
	s->par = *par;
	d->refs++;
	rc = conv_init(&s->conv, &enc);
	if (rc == 0 && (par->flags & STREAM_PLAY) && (par->pchan < 1 || par->pchan > DSP_NCHAN))
		rc = -EINVAL;
	if (rc == 0 && (par->flags & (STREAM_REC | STREAM_MON)) && (par->rchan < 1 || par->rchan > DSP_NCHAN))
		rc = -EINVAL;
	if (rc == 0 && (par->flags & STREAM_PLAY)) {
		s->play = fring_new(s->engine, par->appbufsz, par->pchan * enc.bps);
		rc = s->play ? 0 : -ENOMEM;
	}
	if (rc == 0 && (par->flags & (STREAM_REC | STREAM_MON))) {
		s->rec = fring_new(s->engine, par->appbufsz, par->rchan * enc.bps);
		rc = s->rec ? 0 : -ENOMEM;
	}
	if (rc == 0)
		rc = chain_init(&s->chain, d, par, &s->conv);
	if (rc < 0) {
		stream_free(s);
		return rc;
	}
	s->swept = s->chain.swept;
	s->weight = 1;
	s->group_n = par->group_n;
	atomic_store(&s->vol, par->vol > 127 ? 127 : par->vol);
	*out = s;
	return 0;
}

void
stream_free(stream *s)
{
	device *d = s->dev;

	if (s->handover) {		/* the pump still has it on its old device: once it says otherwise */
		s->orphaned = 1;
		return;
	}
	move_cancel(s);
	fring_free(s->play);
	fring_free(s->rec);
	chain_free(&s->chain);
	mem_free(s, sizeof(*s));
	device_unref(d);
}

void
stream_setvol(stream *s, uint32_t vol)
{
	atomic_store_explicit(&s->vol, vol > 127 ? 127 : vol, memory_order_relaxed);
}

void
stream_getstats(stream *s, struct stream_stats *st)
{
	uint32_t seq;

	memset(st, 0, sizeof(*st));
	do {
		seq = atomic_load_explicit(&s->posseq, memory_order_acquire);
		st->position = atomic_load_explicit(&s->pos, memory_order_acquire);
		st->time_ns = atomic_load_explicit(&s->pos_ns, memory_order_acquire);
	} while ((seq & 1) || seq != atomic_load_explicit(&s->posseq, memory_order_relaxed));
	if (s->play) {
		int64_t skipped = atomic_load(&s->skipped), skip = atomic_load(&s->skip);

		st->consumed = atomic_load(&s->play->r) + skip;
		st->written = atomic_load(&s->play->w) + skipped;
	}
	if (s->rec) {
		st->captured = atomic_load(&s->rec->w) + atomic_load(&s->rskip);
		st->read = atomic_load(&s->rec->r) + atomic_load(&s->rskipped);
	}
	st->xruns = atomic_load(&s->xruns);
	st->lost = atomic_load(&s->lost);
	st->state = atomic_load(&s->state);
	st->vol = (int32_t)atomic_load(&s->vol);
	st->bypass = atomic_load(&s->bypassed);
	st->delay = (int32_t)llround((s->chain.prs ? resamp_delay(s->chain.prs) : 0) +
	    (s->chain.rrs ? resamp_delay(s->chain.rrs) * s->par.rate / s->dev->par.rate : 0));
}

/* ---- producer and consumer ends ------------------------------------------------ */

void
stream_poke(stream *s)
{
	device *d = s->dev;

	if (d->par.clock == DRV_CLOCK_FREE || atomic_load(&s->stop) != STOP_NONE ||
	    (atomic_load_explicit(&s->state, memory_order_relaxed) <= STREAM_PRIMING &&
	    s->play && fring_room(s->play) == 0))
		dev_poke(d);
}

/* frames of the client: those owed to SYNC are discarded, the rest queued; n <= room + owed */
void
stream_arrived(stream *s, const void *data, uint32_t n, int64_t t)
{
	int64_t owed = atomic_load_explicit(&s->skip, memory_order_acquire) -
	    atomic_load_explicit(&s->skipped, memory_order_relaxed);

	if (owed > 0) {
		uint32_t k = owed < n ? (uint32_t)owed : n;

		atomic_fetch_add_explicit(&s->skipped, k, memory_order_release);
		data = (const uint8_t *)data + (size_t)k * s->play->frame;
		n -= k;
	}
	if (n > 0)
		fring_put(s->play, data, n);
	atomic_store_explicit(&s->arrival_ns, t, memory_order_relaxed);
}

int
stream_start(stream *s)
{
	atomic_store(&s->refs, 1);
	return dev_command(s->dev, DEVCMD_ATTACH, s, 0, 0);
}

int
stream_stop(stream *s, int drain)
{
	atomic_store(&s->stop, drain ? STOP_DRAIN : STOP_FLUSH);
	stream_poke(s);
	return 0;
}

int
stream_write(stream *s, const void *data, uint32_t n)
{
	int64_t owed;
	uint32_t room;

	if (s->play == NULL || s->conn)
		return -EINVAL;
	owed = atomic_load(&s->skip) - atomic_load(&s->skipped);
	room = fring_room(s->play) + (owed > 0 ? (uint32_t)owed : 0);
	if (n > room)
		n = room;
	stream_arrived(s, data, n, now_ns());
	stream_poke(s);
	return (int)n;
}

int
stream_read(stream *s, void *data, uint32_t n)
{
	uint32_t k, silent;
	int64_t due;

	if (s->rec == NULL || s->conn)
		return -EINVAL;
	k = fring_used(s->rec);
	if (k > n)
		k = n;
	fring_get(s->rec, data, k);
	due = stream_rec_owed(s);
	silent = due < n - k ? (uint32_t)due : n - k;
	if (silent > 0) {
		enc_silence(&s->conv.enc, (uint8_t *)data + (size_t)k * s->rec->frame,
		    (size_t)silent * s->par.rchan);
		atomic_fetch_add_explicit(&s->rskipped, silent, memory_order_release);
	}
	stream_poke(s);
	return (int)(k + silent);
}

/* frames of silence that SYNC owes the reader before anything newer */
int64_t
stream_rec_owed(stream *s)
{
	if (fring_used(s->rec) > 0)
		return 0;
	return atomic_load_explicit(&s->rskip, memory_order_acquire) -
	    atomic_load_explicit(&s->rskipped, memory_order_relaxed);
}

/* ---- device thread --------------------------------------------------------------- */

static uint32_t
play_need(const stream *s)	/* frames that the next block takes */
{
	return s->chain.prs ? resamp_need(s->chain.prs, s->dev->par.round) : s->dev->par.round;
}

static uint32_t
rec_yield(const stream *s)	/* frames that the next block gives */
{
	return s->chain.rrs ? resamp_yield(s->chain.rrs, s->dev->par.round) : s->dev->par.round;
}

static void
set_state(stream *s, int phase)
{
	s->phase = phase;
	atomic_store_explicit(&s->state, phase, memory_order_relaxed);
}

/* a started stream that may join: its buffer is full, it only records, or it is being stopped */
int
stream_ready(stream *s)
{
	if (atomic_load_explicit(&s->stop, memory_order_acquire) != STOP_NONE)
		return 1;
	return s->resume || s->play == NULL || fring_used(s->play) == s->play->cap;
}

/* asked to stop, and nothing is left that a cycle could play */
int
stream_finished(const stream *s)
{
	int stop = atomic_load_explicit(&s->stop, memory_order_acquire);

	if (stop == STOP_NONE)
		return 0;
	if (s->play == NULL)
		return 1;
	if (stop == STOP_FLUSH)
		return !s->attached || s->inxrun || fring_used(s->play) < play_need(s);
	return fring_used(s->play) == 0 && (!s->attached || s->chain.tail <= 0);
}

/* join the device: the next cycle takes its first block */
void
stream_attach(stream *s)
{
	device *d = s->dev;

	set_state(s, atomic_load(&s->stop) == STOP_DRAIN ? STREAM_DRAINING : STREAM_RUNNING);
	s->attached = 1;
	/*
	 * What only records need not wait for a buffer to be heard: it begins with
	 * the next block of the clock.  A monitor starts where the mixes are known.
	 */
	if (s->play || (s->par.flags & STREAM_MON))
		s->dpos = -(int64_t)d->par.bufsz;
	else
		s->dpos = d->in_cycle ? -(int64_t)d->par.round : 0;
	stream_retarget(s, 0);
	if (s->resume) {		/* it comes from another device: no click */
		s->resume = 0;
		gain_set(&s->gain, 0);
		gain_ramp(&s->gain, s->target, d->ramp);
	}
	gain_set(&s->recgain, d->recmaster_now);
}

void
stream_retarget(stream *s, int ramp)
{
	device *d = s->dev;
	double w = s->weight, max = volume_gain(s->par.maxvol);

	s->vol_seen = atomic_load_explicit(&s->vol, memory_order_relaxed);
	s->target = (w < max ? w : max) * volume_gain(s->vol_seen) * d->master_now;
	if (s->fading)
		return;
	if (ramp)
		gain_ramp(&s->gain, s->target, d->ramp);
	else
		gain_set(&s->gain, s->target);
}

/* clock=free: this stream does not hold up the next cycle */
int
stream_has_block(stream *s)
{
	if (atomic_load_explicit(&s->stop, memory_order_acquire) != STOP_NONE)
		return 1;
	if (!s->attached)
		return stream_ready(s);
	if (s->play && fring_used(s->play) < play_need(s))
		return 0;
	if (s->rec && (fring_room(s->rec) < rec_yield(s) ||
	    atomic_load(&s->rskip) != atomic_load(&s->rskipped)))
		return 0;
	return 1;
}

/* decode n queued frames into dev->in, n_pad frames of silence behind them */
static void
play_decode(stream *s, uint32_t n, uint32_t pad)
{
	device *d = s->dev;
	size_t nch = s->par.pchan, size = s->chain.f64 ? sizeof(double) : sizeof(float);
	int64_t r = atomic_load_explicit(&s->play->r, memory_order_relaxed);
	uint8_t *p;
	uint32_t k = fring_span(s->play, r, n, &p);
	uint8_t *dst = d->in;

	if (s->chain.f64) {
		s->conv.dec64(&s->conv, p, (double *)dst, k * nch);
		s->conv.dec64(&s->conv, s->play->data, (double *)dst + k * nch, (n - k) * nch);
	} else {
		s->conv.dec32(&s->conv, p, (float *)dst, k * nch);
		s->conv.dec32(&s->conv, s->play->data, (float *)dst + k * nch, (n - k) * nch);
	}
	memset(dst + n * nch * size, 0, pad * nch * size);
	fring_drop(s->play, n);
}

/* one block of the stream into the mix: n frames from the queue, silence for the rest of need */
static void
play_mix(stream *s, uint32_t n, uint32_t need)
{
	device *d = s->dev;
	uint32_t round = d->par.round;
	const void *src = d->in;

	d->plays = 1;
	play_decode(s, n, need - n);
	if (s->chain.prs) {
		resamp_run(s->chain.prs, d->in, need, d->out, round);
		src = d->out;
	}
	if (s->par.flags & STREAM_NOPLAY)
		return;
	if (s->chain.inexact || !gain_steady(&s->gain) || gain_now(&s->gain) != 1)
		d->inexact = 1;
	if (s->chain.f64) {
		if (!d->mix64_used)
			memset(d->mix64, 0, sizeof(double) * round * d->par.pchan);
		d->mix64_used = 1;
		cmap_mix64(&s->chain.pmap, &s->gain, src, d->mix64, round);
	} else {
		if (!d->mix32_used)
			memset(d->mix32, 0, sizeof(float) * round * d->par.pchan);
		d->mix32_used = 1;
		cmap_mix32(&s->chain.pmap, &s->gain, src, d->mix32, round);
	}
}

/* the block as bytes: what stands alone and unchanged is not computed with */
static void
play_copy(stream *s, uint32_t n, uint32_t need)
{
	device *d = s->dev;

	d->copied = d->plays = 1;
	fring_get(s->play, d->pblock, n);
	if (n < need)
		enc_silence(&d->par.enc, d->pblock + (size_t)n * d->pframe,
		    (size_t)(need - n) * d->par.pchan);
}

/* one recorded block at the client's rate, channels and encoding; keep: put it into the ring */
static void
rec_block(stream *s, uint32_t n, int keep)
{
	device *d = s->dev;
	uint32_t round = d->par.round, nch = s->par.rchan, drop;
	size_t size = s->chain.f64 ? sizeof(double) : sizeof(float);
	struct gain one = { 1, 1, 0, 0 };
	uint8_t *src = d->out, *p;
	uint32_t k;

	memset(d->out, 0, size * round * nch);
	if ((s->par.flags & STREAM_REC) && !(s->par.flags & STREAM_NOREC) && d->par.rchan) {
		if (s->chain.f64)
			cmap_mix64(&s->chain.rmap, &s->recgain, dev_recorded(d, 1), d->out, round);
		else
			cmap_mix32(&s->chain.rmap, &s->recgain, dev_recorded(d, 0), d->out, round);
	}
	if ((s->par.flags & STREAM_MON) && d->par.pchan) {
		if (s->chain.f64)
			cmap_mix64(&s->chain.mmap, &one, dev_monitored(d, 1), d->out, round);
		else
			cmap_mix32(&s->chain.mmap, &one, dev_monitored(d, 0), d->out, round);
	}
	if (s->chain.rrs) {
		resamp_run(s->chain.rrs, d->out, round, d->in, n);
		src = d->in;
	}
	drop = s->chain.rdrop < n ? (uint32_t)s->chain.rdrop : n;
	s->chain.rdrop -= drop;
	src += size * drop * nch;
	n -= drop;
	if (!keep) {
		atomic_fetch_add_explicit(&s->rskip, n, memory_order_release);
		return;
	}
	k = fring_span(s->rec, atomic_load_explicit(&s->rec->w, memory_order_relaxed), n, &p);
	if (s->chain.f64) {
		s->conv.enc64(&s->conv, (const double *)(void *)src, p, (size_t)k * nch);
		s->conv.enc64(&s->conv, (const double *)(void *)src + (size_t)k * nch, s->rec->data, (size_t)(n - k) * nch);
	} else {
		s->conv.enc32(&s->conv, (const float *)(void *)src, p, (size_t)k * nch);
		s->conv.enc32(&s->conv, (const float *)(void *)src + (size_t)k * nch, s->rec->data, (size_t)(n - k) * nch);
	}
	atomic_fetch_add_explicit(&s->rec->w, n, memory_order_release);
}

static void
note_xrun(stream *s, int kind, int64_t missing)
{
	atomic_fetch_add_explicit(&s->lost, missing, memory_order_relaxed);
	s->dev->nlate++;
	if (s->inxrun)
		return;
	s->inxrun = 1;
	stream_note(s, kind);
	dev_xrun(s->dev, s, kind, missing);
}

void
stream_note(stream *s, int kind)
{
	atomic_fetch_add_explicit(&s->xruns, 1, memory_order_relaxed);
	atomic_store_explicit(&s->note, kind, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->nnotes, 1, memory_order_release);
}

static void
advance(stream *s)
{
	s->dpos += s->dev->par.round;
}

static int
cycle_drain(stream *s, int bypass)
{
	uint32_t need, have;

	if (s->phase != STREAM_DRAINING)
		set_state(s, STREAM_DRAINING);
	if (stream_finished(s))
		return 1;
	have = fring_used(s->play);
	need = play_need(s);
	if (have > need)
		have = need;
	s->chain.tail -= need - have;
	if (bypass)
		play_copy(s, have, need);
	else
		play_mix(s, have, need);
	return fring_used(s->play) == 0 && s->chain.tail <= 0;
}

static int
cycle_flush(stream *s)
{
	uint32_t need;

	if (stream_finished(s) || gain_now(&s->gain) == 0)
		return 1;
	need = play_need(s);
	if (!s->fading) {
		s->fading = 1;
		gain_ramp(&s->gain, 0, s->dev->ramp);
	}
	play_mix(s, need, need);
	return gain_steady(&s->gain);
}

/*
 * One block of an attached stream.  Returns 1 when it has stopped as asked, -1
 * when the ERROR policy ended it, else 0.  With bypass its bytes go to the
 * device's block instead of the mix; the caller has made sure that it is alone.
 */
int
stream_cycle(stream *s, int bypass)
{
	device *d = s->dev;
	int stop = atomic_load_explicit(&s->stop, memory_order_acquire);
	int hears = s->dpos >= 0;		/* its first frame has been played: records */
	uint32_t need = 0, have = 0, n = 0;
	int short_play, full_rec = 0;

	if (stop == STOP_DRAIN) {
		int done = cycle_drain(s, bypass);

		advance(s);
		return done;
	}
	if (stop == STOP_FLUSH) {
		advance(s);
		return cycle_flush(s);
	}
	if (s->play) {
		need = play_need(s);
		have = fring_used(s->play);
	}
	short_play = s->play && have < need;
	if (s->rec && hears) {
		n = rec_yield(s);
		full_rec = fring_room(s->rec) < n ||
		    atomic_load_explicit(&s->rskip, memory_order_relaxed) !=
		    atomic_load_explicit(&s->rskipped, memory_order_acquire);
	}
	if (!short_play && !full_rec) {
		s->inxrun = 0;
		s->stalled = 0;
	} else {
		d->plays |= s->play != NULL;	/* the gap is part of what it plays */
		note_xrun(s, short_play ? XRUN_PLAY : XRUN_REC, short_play ? need - have : n);
		if (s->par.xrun == 2)
			return -1;
		if (s->par.xrun == 0)
			return 0;	/* the position stands still with it */
	}
	if (short_play) {		/* SYNC: what comes late is discarded, time goes on */
		fring_drop(s->play, have);
		atomic_fetch_add_explicit(&s->skip, need - have, memory_order_release);
		play_mix(s, 0, need);
	} else if (s->play) {
		if (bypass)
			play_copy(s, need, need);
		else
			play_mix(s, need, need);
	}
	if (s->rec && hears)
		rec_block(s, n, !full_rec);
	advance(s);
	return 0;
}

/* publish the position after a cycle; time_ns: when the clock reached it */
void
stream_tick(stream *s, int64_t time_ns)
{
	device *d = s->dev;
	int64_t pos = s->dpos * s->par.rate;
	uint32_t seq = atomic_load_explicit(&s->posseq, memory_order_relaxed);

	pos = pos >= 0 ? pos / d->par.rate : -((-pos + d->par.rate - 1) / d->par.rate);
	pos += s->pos_base;
	if (s->pos_base > 0 && pos < s->pos_told)
		pos = s->pos_told;		/* moved to a device with a longer buffer: it stands until that is heard */
	s->pos_told = pos;
	atomic_store_explicit(&s->posseq, seq + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&s->pos, pos, memory_order_release);
	/* a frame is heard as much later as the filter holds it */
	atomic_store_explicit(&s->pos_ns, time_ns + s->chain.delay_ns, memory_order_release);
	atomic_store_explicit(&s->posseq, seq + 2, memory_order_release);
	if ((s->dpos >= 0 || s->pos_base > 0) && s->phase == STREAM_RUNNING)
		atomic_fetch_add_explicit(&s->ticks, 1, memory_order_release);
}
