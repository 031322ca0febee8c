/*
 * block.c: one block of a stream: what it plays, what it records, and what it
 * does when it has too few frames.
 *
 * All of it runs on the device thread, which owns `phase` and all below it in
 * struct stream.  The semantics are those of sio_open(3); where they are not
 * sndiod's, docs/adr/0002 says so.
 */
#include <string.h>
#include "ring.h"

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

/* a started stream that may join: what its start waits for is there, or it is being stopped */
int
stream_ready(stream *s)
{
	uint32_t used;

	if (atomic_load_explicit(&s->stop, memory_order_acquire) != STOP_NONE)
		return 1;
	if (s->resume || atomic_load_explicit(&s->go, memory_order_acquire))
		return 1;
	if (s->par.start == START_GO)
		return 0;
	if (s->play == NULL)
		return 1;
	used = fring_used(s->play);
	return used == s->play->cap ||
	    (s->par.start == START_DATA && used >= s->par.start_min && used >= play_need(s));
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
		return !stream_live(s) || s->inxrun || fring_used(s->play) < play_need(s);
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
	aim_settle(s);
	if (s->hold != HOLD_NONE) {	/* it begins with standing still; an aim without hold fades it in */
		gain_set(&s->gain, s->target);
		aim_held(s);
	}
	if (s->untold)
		aim_tell(s);
}

void
stream_retarget(stream *s, int ramp)
{
	device *d = s->dev;
	const struct glide *glide = &d->glide[d->glide_now];
	double w = s->weight, max = volume_gain(s->par.maxvol);

	s->vol_seen = atomic_load_explicit(&s->vol, memory_order_relaxed);
	s->muted_seen = atomic_load_explicit(&s->muted, memory_order_relaxed);
	s->target = s->muted_seen ? 0 : (w < max ? w : max) * volume_gain(s->vol_seen) * d->master_now;
	if (s->fading)
		return;
	if (ramp)
		gain_ramp_on(&s->gain, s->target, glide->nframes, &glide->shape);
	else
		gain_set(&s->gain, s->target);
}

/* clock=free: this stream does not hold up the next cycle */
int
stream_has_block(stream *s)
{
	if (atomic_load_explicit(&s->stop, memory_order_acquire) != STOP_NONE)
		return 1;
	if (!s->attached)		/* one that waits for control holds up nobody */
		return s->par.start == START_GO || stream_ready(s);
	if (s->hold == HOLD_DONE)
		return 1;
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

#define LINE		64		/* bytes a cache fetches */
#define FETCH_MAX	8192		/* bytes: more would push out what the mix works on */

void
stream_prefetch(const stream *s)
{
	uint8_t *p;
	size_t n;

	if (s->play == NULL)
		return;
	n = (size_t)fring_span(s->play, atomic_load_explicit(&s->play->r, memory_order_relaxed),
	    s->chain.ahead / 2, &p) * s->play->frame;
	for (size_t i = 0; i < n && i < FETCH_MAX; i += LINE)
		__builtin_prefetch(p + i);
}

/* one block of the stream into the mix: n frames from the queue, silence for the rest of need */
static void
play_mix(stream *s, uint32_t n, uint32_t need)
{
	device *d = s->dev;
	uint32_t round = d->par.round;
	void *src = d->in;

	d->plays = 1;
	play_decode(s, n, need - n);
	if (s->chain.prs) {
		resamp_run(s->chain.prs, d->in, need, d->out, round);
		src = d->out;
	}
	if (s->faded) {
		d->inexact = 1;
		if (s->chain.f64)
			fade_run64(&s->fade, src, round);
		else
			fade_run32(&s->fade, src, round);
		s->faded = !s->fade.one;
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
	struct gain one = { 1, 1, 0, 0, NULL };
	uint8_t *src = d->out, *p;
	uint32_t k;

	memset(d->out, 0, size * round * nch);
	if ((s->par.flags & STREAM_REC) && !(s->par.flags & STREAM_NOREC) && d->par.rchan) {
		if (s->chain.f64)
			cmap_mix64(&s->chain.rmap, &s->recgain, dev_recorded(d, 1), d->out, round);
		else
			cmap_mix32(&s->chain.rmap, &s->recgain, dev_recorded(d, 0), d->out, round);
		if (dev_overrange(d) & s->chain.rmask)
			atomic_fetch_add_explicit(&s->overranges, 1, memory_order_relaxed);
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
	atomic_fetch_add_explicit(kind == XRUN_PLAY ? &s->underruns : &s->overruns, 1, memory_order_relaxed);
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
count(_Atomic int64_t *n)	/* no other thread writes it */
{
	atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1, memory_order_relaxed);
}

static void
advance(stream *s)
{
	count(&s->fed);
	s->dpos += s->dev->par.round;
}

/* frames have been taken of the queue, or recorded: n of the block's need */
static void
took(stream *s, uint32_t n, uint32_t need)
{
	device *d = s->dev;
	int64_t ns = d->due_ns;

	if (n == 0)
		return;
	if (s->play)
		ns += d->ahead_ns + s->chain.delay_ns;
	if (s->play && n < need)	/* the rest of the block is not its own */
		ns -= d->period_ns * (need - n) / need;
	atomic_store_explicit(&s->last_ns, ns, memory_order_relaxed);
	if (atomic_load_explicit(&s->first_ns, memory_order_relaxed) == 0)
		atomic_store_explicit(&s->first_ns, ns - d->period_ns * n / need, memory_order_relaxed);
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
	took(s, have, need);
	return fring_used(s->play) == 0 && s->chain.tail <= 0;
}

static int
cycle_flush(stream *s)
{
	uint32_t need;

	if (stream_finished(s) || gain_now(&s->gain) == 0 || fade_silent(&s->fade))
		return 1;
	need = play_need(s);
	if (!s->fading) {
		s->fading = 1;
		gain_ramp(&s->gain, 0, s->dev->ramp);
	}
	play_mix(s, need, need);
	took(s, need, need);
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

	count(&s->cycles);
	if (!s->joined)
		aim_joined(s, d->due_ns);
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
		if (s->par.xrun == 0) {
			aim_settle(s);
			return 0;	/* the position stands still with it */
		}
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
		took(s, need, need);
	}
	if (s->rec && hears) {
		rec_block(s, n, !full_rec);
		if (s->play == NULL)
			took(s, n, n);
	}
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
	if ((s->dpos >= 0 || s->pos_base > 0) && s->phase == STREAM_RUNNING &&
	    atomic_fetch_add_explicit(&s->ticks, 1, memory_order_release) == 0) {
		struct event ev = { .type = EV_PLAYING, .id = s->id, .dev = d->id,
		    .a = atomic_load_explicit(&d->position, memory_order_relaxed) };

		dev_event(d, &ev);
	}
}
