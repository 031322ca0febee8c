/*
 * stream.c: one stream from start to stop, as control makes and asks it, and the
 * two ends of its rings that clients write and read.
 *
 * What it does with a block is block.c.
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
	if (par->start > START_GO || par->start_min > par->appbufsz)
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
	s->ahead = s->chain.ahead;
	s->tellxrun = (par->flags & STREAM_TELLXRUN) != 0;
	s->weight = 1;
	mailbox_init(&s->mail);
	fade_init(&s->fade, par->flags & STREAM_PLAY ? par->pchan : 0);
	s->group_n = par->group_n;
	atomic_store(&s->vol, par->vol > 127 ? 127 : par->vol);
	atomic_store(&s->muted, (par->flags & STREAM_MUTED) != 0);
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
stream_setmute(stream *s, int on)
{
	atomic_store_explicit(&s->muted, on, memory_order_relaxed);
}

void
stream_getstats(stream *s, struct stream_stats *st)
{
	int64_t first = atomic_load(&s->first_ns);
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
		st->filled = (int32_t)(atomic_load(&s->play->w) - atomic_load(&s->play->r));
	}
	if (s->rec) {
		st->captured = atomic_load(&s->rec->w) + atomic_load(&s->rskip);
		st->read = atomic_load(&s->rec->r) + atomic_load(&s->rskipped);
		st->rfilled = (int32_t)(atomic_load(&s->rec->w) - atomic_load(&s->rec->r));
		if (s->play == NULL)
			st->filled = st->rfilled;
	}
	st->xruns = atomic_load(&s->xruns);
	st->lost = atomic_load(&s->lost);
	st->cycles = atomic_load_explicit(&s->cycles, memory_order_relaxed);
	st->fed = atomic_load_explicit(&s->fed, memory_order_relaxed);
	st->state = atomic_load(&s->state);
	st->underruns = atomic_load(&s->underruns);
	st->overruns = atomic_load(&s->overruns);
	st->overranges = atomic_load(&s->overranges);
	st->last_ns = atomic_load(&s->last_ns);
	if (st->position >= 0 || st->state == STREAM_ENDED)	/* else it is on its way through the buffer */
		st->first_ns = first;
	st->vol = (int32_t)atomic_load(&s->vol);
	st->bypass = atomic_load(&s->bypassed);
	st->delay = (int32_t)llround((s->chain.prs ? resamp_delay(s->chain.prs) : 0) +
	    (s->chain.rrs ? resamp_delay(s->chain.rrs) * s->par.rate / s->dev->par.rate : 0));
}

static int64_t
fring_filled(const struct fring *f)	/* seen by neither end: between nothing and all */
{
	int64_t r, n;

	if (f == NULL)
		return 0;
	r = atomic_load_explicit(&f->r, memory_order_acquire);
	n = atomic_load_explicit(&f->w, memory_order_acquire) - r;
	return n < f->cap ? n : f->cap;
}

void
streams_count(stream *const *ss, uint32_t n, struct stream_counts *out)
{
	for (uint32_t i = 0; i < n; i++) {
		const stream *s = ss[i];

		out[i].queued = fring_filled(s->play);
		out[i].recorded = fring_filled(s->rec);
		out[i].cycles = atomic_load_explicit(&s->cycles, memory_order_relaxed);
		out[i].fed = atomic_load_explicit(&s->fed, memory_order_relaxed);
		out[i].bypass = atomic_load_explicit(&s->bypassed, memory_order_relaxed);
	}
}

/* ---- producer and consumer ends ------------------------------------------------ */

void
stream_poke(stream *s)
{
	device *d = s->dev;

	if (d->par.clock == DRV_CLOCK_FREE || atomic_load(&s->stop) != STOP_NONE ||
	    (atomic_load_explicit(&s->state, memory_order_relaxed) <= STREAM_PRIMING &&
	    s->play && (s->par.start == START_DATA || fring_room(s->play) == 0)))
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
