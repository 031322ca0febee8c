/*
 * aim.c: where control wants the gains of a stream's channels to be, and
 * whether it is to stand still there: ducking and pauses.
 *
 * Control puts its wish into the stream's mailbox, the device thread takes it
 * between two blocks (docs/adr/0016).  A held stream stays in its device's list
 * but takes no part in a cycle: `hold` is HOLD_DONE, and nothing of it moves.
 */
#include <errno.h>
#include <string.h>
#include "dev.h"

#define AIM_FRAMES_MAX	(1u << 24)	/* frames of a ramp: more than a minute at any rate */
#define AIM_SERIAL	0x7fffffff	/* numbers of aims begin anew behind it */

/* ---- control --------------------------------------------------------------- */

int
shape_of(struct shape *to, const struct curve *c)
{
	to->n = 0;
	if (c == NULL)
		return 0;
	if (c->n > SHAPE_N)
		return -EINVAL;
	to->n = c->n;
	memcpy(to->x, c->x, sizeof(to->x));
	memcpy(to->y, c->y, sizeof(to->y));
	return shape_ok(to) ? 0 : -EINVAL;
}

int
stream_aim(stream *s, const float *gains, uint32_t n, const struct curve *curve, uint32_t nframes, int hold)
{
	struct aim *a = &s->aims[s->mail.in];

	if (n > DSP_NCHAN || nframes > AIM_FRAMES_MAX || shape_of(&a->shape, curve) < 0)
		return -EINVAL;
	for (uint32_t i = 0; i < n; i++)
		if (!(gains[i] >= 0 && gains[i] <= 1))
			return -EINVAL;
	if (n > 0)
		memcpy(a->gains, gains, n * sizeof(*gains));
	a->n = n;
	a->nframes = nframes;
	a->hold = hold != 0;
	a->when = atomic_load_explicit(&s->engine->aims, memory_order_relaxed) + (s->engine->gathering != 0);
	a->serial = s->serial = s->serial % AIM_SERIAL + 1;
	mailbox_send(&s->mail);
	if (!s->engine->gathering)	/* else its end wakes the devices */
		dev_poke(s->dev);
	return s->serial;
}

void
engine_gather(engine *e, int on)
{
	if (!on && e->gathering) {
		atomic_fetch_add_explicit(&e->aims, 1, memory_order_release);
		for (int i = 0; i < NDEV_MAX; i++)
			if (e->devs[i] && !e->devs[i]->closed)
				dev_poke(e->devs[i]);
	}
	e->gathering = on != 0;
}

int
stream_go(stream *s)
{
	atomic_store(&s->go, 1);
	dev_poke(s->dev);
	return 0;
}

/* ---- device thread --------------------------------------------------------- */

/* tell control what has become of the stream; what finds no room is told later */
void
aim_tell(stream *s)
{
	device *d = s->dev;
	struct event ev = { .id = s->id, .dev = d->id };

	if (s->untold & TELL_JOINED) {
		ev.type = EV_JOINED;
		ev.a = s->joined_ns;
		if (evring_put(d->events, &ev, 0))
			s->untold &= ~TELL_JOINED;
	}
	if ((s->untold & TELL_HELD) && !(s->untold & TELL_JOINED)) {
		ev.type = EV_HELD;
		ev.a = s->aimed;
		if (evring_put(d->events, &ev, 0))
			s->untold &= ~TELL_HELD;
	}
	engine_signal(d->engine);
}

/* it waits for no start any more: its first cycle is due at ns, or it begins with standing still */
void
aim_joined(stream *s, int64_t ns)
{
	s->joined = 1;
	s->joined_ns = ns;
	s->untold |= TELL_JOINED;
	aim_tell(s);
}

/* its ramp has ended: from here on it stands still */
void
aim_held(stream *s)
{
	if (s->hold != HOLD_DONE)	/* else it has been held on another device */
		s->untold |= TELL_HELD;
	s->hold = HOLD_DONE;
	s->inxrun = s->stalled = 0;
	s->waited = 0;
	s->phase = STREAM_HELD;
	atomic_store(&s->state, STREAM_HELD);
	atomic_store_explicit(&s->bypassed, 0, memory_order_relaxed);
	if (!s->joined)
		aim_joined(s, now_ns());
	aim_tell(s);
}

static void
run_on(stream *s)			/* it has been held: what has changed meanwhile holds at once */
{
	s->phase = STREAM_RUNNING;
	atomic_store(&s->state, STREAM_RUNNING);
	stream_retarget(s, 0);
	gain_set(&s->recgain, s->dev->recmaster_now);
}

static int
apply(stream *s, int hold)
{
	static const float silent = 0;
	const struct aim *a = &s->aims[s->mail.out];
	uint32_t n = a->nframes, round = s->dev->par.round;
	int was = s->hold;

	if (!s->attached || !s->joined || s->inxrun)
		n = 0;			/* nobody hears a ramp */
	else if (n == 0)
		n = round;
	if (hold)			/* whole blocks: no frame is taken that is not heard */
		n = (n + round - 1) / round * round;
	if (s->play) {
		fade_to(&s->fade, hold ? &silent : a->gains, hold ? 1 : a->n, &a->shape, n);
		s->faded = !s->fade.one;
	}
	s->untold &= ~TELL_HELD;
	if (hold) {
		if (was == HOLD_DONE)	/* each aim that is held is told */
			s->untold |= TELL_HELD;
		else
			s->hold = HOLD_RAMP;
		if (s->attached && fade_steady(&s->fade))
			aim_held(s);
	} else {
		s->hold = HOLD_NONE;
		if (s->attached && was == HOLD_DONE)
			run_on(s);
	}
	return (was == HOLD_DONE) != (s->hold == HOLD_DONE);
}

static int
ripe(const stream *s, uint32_t aims)	/* no gathering keeps back what it has taken */
{
	return s->waits && (int32_t)(aims - s->aims[s->mail.out].when) >= 0;
}

/* take what control wants; 1: the stream has begun or ceased to stand still */
int
aim_take(stream *s, uint32_t aims)
{
	int drain = atomic_load_explicit(&s->stop, memory_order_acquire) == STOP_DRAIN;

	if (mailbox_take(&s->mail))
		s->waits = 1;
	if (ripe(s, aims)) {
		s->waits = 0;
		s->aimed = s->aims[s->mail.out].serial;
		return apply(s, s->aims[s->mail.out].hold && !drain);
	}
	if (s->hold != HOLD_NONE && drain)
		return apply(s, 0);
	return 0;
}

int
aim_waits(const stream *s)		/* aim_take has something to do */
{
	return mailbox_new(&s->mail) ||
	    ripe(s, atomic_load_explicit(&s->engine->aims, memory_order_acquire)) ||
	    (s->hold != HOLD_NONE && atomic_load_explicit(&s->stop, memory_order_acquire) == STOP_DRAIN);
}

/* nothing of the stream sounds: it is where it was to go */
void
aim_settle(stream *s)
{
	fade_finish(&s->fade);
	s->faded = !s->fade.one;
}
