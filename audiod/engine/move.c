/*
 * move.c: a started stream moves to another device, while its client notices
 * a fade and nothing else.
 *
 * Control builds the chain for the new device and asks the old one to let go
 * (stream_move).  The old device's thread fades the stream out and gives it back
 * (EV_LEFT).  Control swaps chain and device, tells the pump, and hands it to
 * the new device (move_left), where it fades in with the next frame of its
 * queue.  When the pump has followed (EV_MOVED), the old device may go
 * (move_done).  Position: the frames that the mixer has taken when it arrives
 * are the zero of the new device's clock, and it never goes back.
 */
#include <errno.h>
#include <stdlib.h>
#include "ring.h"

struct move {
	struct chain chain;
	struct stream_par par;
	device *to;
};

int
stream_move(stream *s, device *to, const struct stream_par *par)
{
	struct move *m;
	int rc;

	if (s->move || s->handover)
		return -EBUSY;
	if (par->rate != s->par.rate || par->pchan != s->par.pchan || par->rchan != s->par.rchan)
		return -EINVAL;
	/* a block of the new device must fit the stream's buffer, also when the ratio gives one frame more */
	if (s->par.appbufsz < chain_block(to, par->rate) + (par->rate != to->par.rate))
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return -ENOMEM;
	m->par = *par;
	m->to = to;
	rc = chain_init(&m->chain, to, par, &s->conv);
	if (rc < 0) {
		free(m);
		return rc;
	}
	to->refs++;
	s->move = m;
	atomic_store(&s->leave, 1);
	dev_poke(s->dev);
	return 0;
}

/* a stream that ended before it could move */
void
move_cancel(stream *s)
{
	struct move *m = s->move;

	if (m == NULL)
		return;
	chain_free(&m->chain);
	device_unref(m->to);
	free(m);
	s->move = NULL;
}

/* control, on EV_LEFT: nobody but the pump knows the stream now */
void
move_left(stream *s)
{
	struct move *m = s->move;
	struct chain old = s->chain;
	device *from = s->dev;
	int64_t taken = 0;

	if (s->play) {
		taken = atomic_load(&s->play->r) + atomic_load(&s->skip);
		s->pos_base = taken;
		if (s->rec)		/* what was played and will not be recorded: recorded n stays played n */
			atomic_fetch_add(&s->rskip, taken - atomic_load(&s->rec->w) - atomic_load(&s->rskip));
	} else
		s->pos_base = s->pos_told;
	s->chain = m->chain;
	chain_free(&old);
	s->par.flags = m->par.flags;
	s->par.pmin = m->par.pmin;
	s->par.pmax = m->par.pmax;
	s->par.rmin = m->par.rmin;
	s->par.rmax = m->par.rmax;
	s->par.join = m->par.join;
	s->par.maxvol = m->par.maxvol;
	s->dev = m->to;
	free(m);
	s->move = NULL;
	s->from = from;
	s->handover = 1;
	/* else it still waits for its start; MMC's comes once, though its first cycle is still to be */
	s->resume = s->joined || ((s->par.flags & STREAM_MMC) && s->phase != STREAM_PRIMING);
	s->fading = s->inxrun = s->stalled = 0;
	s->waited = 0;
	s->weight = 1;
	atomic_store(&s->leave, 0);
	if (s->dev->closed || dev_command(s->dev, DEVCMD_ATTACH, s, 0, 0) < 0) {
		struct event ev = { .type = EV_RELEASED, .id = s->id };

		atomic_store(&s->ended, ENDED_DEVICE);	/* it was closed meanwhile */
		atomic_store(&s->state, STREAM_ENDED);
		if (atomic_fetch_sub(&s->refs, 1) == 1)
			engine_orphan(s->engine, &ev);
	}
	pump_follow(s);
}

/* control, on EV_MOVED */
void
move_done(stream *s)
{
	device *from = s->from;

	s->handover = 0;
	s->from = NULL;
	device_unref(from);
	if (s->orphaned)
		stream_free(s);
}
