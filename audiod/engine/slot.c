/*
 * slot.c: a started stream at the end of its connection: credit, positions and
 * recorded data out, and how it stops.  Runs on the pump.
 *
 * Between slot_start and the answer to its stop, and only there, messages of
 * the stream leave.  Order of one cycle: onmove, onxrun, credit, data.
 */
#include <string.h>
#include "conn.h"

static void
credit_due(struct pump *p, struct stream *s)
{
	struct conn *c = s->conn;
	int64_t granted = s->play->cap + atomic_load_explicit(&s->play->r, memory_order_acquire) +
	    atomic_load_explicit(&s->skipped, memory_order_relaxed);
	uint8_t *o;

	if (granted == s->granted || (o = conn_room(c, HEAD_MAX)) == NULL)
		return;
	o = c->wire->credit(o, s, granted - s->granted);
	s->granted = granted;
	conn_out(p, c, o);
}

/* samples of the client, within its credit */
void
slot_arrived(struct pump *p, struct stream *s, const void *data, uint32_t n)
{
	int64_t skipped = atomic_load_explicit(&s->skipped, memory_order_relaxed);

	stream_arrived(s, data, n, p->now);
	stream_poke(s);
	/* what SYNC discards is given back at once: a client whose buffer is small would never catch up */
	if (atomic_load_explicit(&s->skipped, memory_order_relaxed) != skipped && s->conn->out_len <= OUT_SOFT)
		credit_due(p, s);
}

static void
position_tell(struct pump *p, struct stream *s, int64_t pos, int64_t ns)
{
	struct conn *c = s->conn;
	uint8_t *o = conn_room(c, HEAD_MAX);

	if (o == NULL)
		return;
	o = c->wire->move(o, s, pos - s->moved, pos, ns);
	s->moved = pos;
	s->told = 1;
	conn_out(p, c, o);
}

static void
position_due(struct pump *p, struct stream *s)
{
	struct conn *c = s->conn;
	uint32_t ticks = atomic_load_explicit(&s->ticks, memory_order_acquire), seq;
	int64_t pos, ns;

	if (ticks == s->ticks_seen || conn_room(c, 2 * HEAD_MAX) == NULL)
		return;
	do {
		seq = atomic_load_explicit(&s->posseq, memory_order_acquire);
		pos = atomic_load_explicit(&s->pos, memory_order_acquire);
		ns = atomic_load_explicit(&s->pos_ns, memory_order_acquire);
	} while ((seq & 1) || seq != atomic_load_explicit(&s->posseq, memory_order_relaxed));
	s->ticks_seen = ticks;
	if (pos < 0)
		return;
	if (!s->told && pos > 0)	/* the first one is always zero */
		position_tell(p, s, 0, ns - pos * NS / s->par.rate);
	position_tell(p, s, pos, ns);
}

static void
xrun_due(struct pump *p, struct stream *s)
{
	struct conn *c = s->conn;
	uint32_t notes = atomic_load_explicit(&s->nnotes, memory_order_acquire);
	uint8_t *o;

	if (notes == s->notes_seen || (o = conn_room(c, HEAD_MAX)) == NULL)
		return;
	s->notes_seen = notes;
	conn_out(p, c, c->wire->xrun(o, s, atomic_load_explicit(&s->note, memory_order_relaxed)));
}

/* recorded frames, and the silence that SYNC owes behind them */
static void
data_due(struct pump *p, struct stream *s)
{
	struct conn *c = s->conn;
	struct slot *sl = &c->slots[s->number];
	uint32_t most, n;
	int64_t owed, covered;
	uint8_t *o;

	/* never ahead of the position told: recorded data follows the onmove that covers it */
	while (c->out_len <= OUT_SOFT) {
		covered = s->moved - atomic_load_explicit(&s->rec->r, memory_order_relaxed) -
		    atomic_load_explicit(&s->rskipped, memory_order_relaxed);
		if (!s->told || covered <= 0)
			break;
		most = c->wire->data_most(s, sl);
		if (covered < most)
			most = (uint32_t)covered;
		n = fring_used(s->rec);
		owed = 0;
		if (n == 0 && (owed = stream_rec_owed(s)) == 0)
			break;
		if (n == 0)
			n = owed < most ? (uint32_t)owed : most;
		if (n > most)
			n = most;
		if ((o = conn_room(c, HEAD_MAX + (size_t)n * s->rec->frame)) == NULL)
			break;
		o = c->wire->data(o, s, n * s->rec->frame);
		if (owed > 0) {
			enc_silence(&s->conv.enc, o, (size_t)n * s->par.rchan);
			atomic_fetch_add_explicit(&s->rskipped, n, memory_order_release);
		} else
			fring_get(s->rec, o, n);
		conn_out(p, c, o + (size_t)n * s->rec->frame);
		sl->rblock = s->par.round ? (sl->rblock + n) % s->par.round : 0;
		stream_poke(s);
	}
	if (c->out_len > OUT_SOFT)
		atomic_store_explicit(&s->held_ns, p->now, memory_order_relaxed);
}

/* the answer to its stop; 0: the peer does not read, later */
static int
slot_answer(struct pump *p, struct conn *c, struct slot *sl)
{
	uint8_t *o;

	if (sl->answer_len == 0)
		return 1;
	if ((o = conn_room(c, sl->answer_len)) == NULL)
		return 0;
	memcpy(o, sl->answer, sl->answer_len);
	conn_out(p, c, o + sl->answer_len);
	sl->answer_len = 0;
	return 1;
}

static void
slot_stopped(struct pump *p, struct stream *s)
{
	struct conn *c = s->conn;
	struct slot *sl = &c->slots[s->number];
	uint32_t id = s->id, number = s->number;

	if (!slot_answer(p, c, sl))
		return;
	pump_post(p, EV_STOPPED, id, 0, sl->drained);
	slot_drop(p, c, number, sl->left);
}

/* the server ends it: a stop that the pump has taken from the client is answered even so */
void
slot_end(struct pump *p, struct conn *c, uint32_t number)
{
	struct slot *sl = &c->slots[number];

	(void)slot_answer(p, c, sl);
	slot_drop(p, c, number, SLOT_ENDED);
}

void
slot_emit(struct pump *p, struct stream *s)
{
	struct conn *c = s->conn;
	struct slot *sl = &c->slots[s->number];
	int ended = atomic_load_explicit(&s->ended, memory_order_acquire);
	int held = atomic_load_explicit(&s->state, memory_order_relaxed) == STREAM_HELD;

	if (!sl->begun && s->play && s->swept && atomic_load_explicit(&s->play->r, memory_order_relaxed) > 0 &&
	    sl->state == SLOT_RUN && !held) {
		sl->begun = 1;
		c->nbegun++;
		pump_dirty(p, c);
	} else if (sl->begun && held) {	/* its device may stop: no cycle would have its socket read */
		sl->begun = 0;
		c->nbegun--;
		pump_dirty(p, c);
	}
	if (ended) {
		pump_post(p, EV_ERROR, s->id, ended, sl->state == SLOT_DRAIN ? sl->request : -1);
		slot_drop(p, c, s->number, SLOT_ENDED);
		if (c->wire->ends)
			conn_die(p, c, CLOSE_SELF, 0);
		return;
	}
	if (sl->state == SLOT_RUN && s->play && !held) {
		uint32_t queued = s->play->cap - fring_room(s->play);

		if (queued < s->ahead)
			conn_late(c, 1);
		if (queued < (s->pdev->every + 2) * (s->ahead / 2))
			c->plenty = 0;
		if (c->hungry && fring_room(s->play) <= s->ahead / 2)
			conn_hungry(p, c, 0);
	}
	if (c->out_len > OUT_SOFT) {
		c->starved = 1;
		atomic_store_explicit(&s->held_ns, p->now, memory_order_relaxed);
		return;
	}
	if (atomic_load_explicit(&s->done, memory_order_acquire)) {
		slot_stopped(p, s);
		return;
	}
	if (sl->state != SLOT_RUN)
		return;
	position_due(p, s);
	xrun_due(p, s);
	if (s->play)
		credit_due(p, s);
	if (s->rec)
		data_due(p, s);
}

static struct pdev *
pdev_find(struct pump *p, struct device *d)
{
	struct pdev *free = NULL;

	for (int i = 0; i < NDEV_MAX; i++) {
		if (p->devs[i].dev == d)
			return &p->devs[i];
		if (p->devs[i].dev == NULL && free == NULL)
			free = &p->devs[i];
	}
	/* there are as many as an engine has devices */
	*free = (struct pdev){ .dev = d, .seq = atomic_load(&d->seq), .every = 1 };
	while (free->every < EVERY_MAX && 2 * free->every * d->period_ns <= UNREAD_NS)
		free->every *= 2;
	return free;
}

static void
pdev_link(struct pdev *pd, struct stream *s)
{
	s->pdev = pd;
	s->pnext = pd->streams;
	s->pprev = &pd->streams;
	if (s->pnext)
		s->pnext->pprev = &s->pnext;
	pd->streams = s;
}

static void
pdev_unlink(struct stream *s)
{
	struct pdev *pd = s->pdev;

	*s->pprev = s->pnext;
	if (s->pnext)
		s->pnext->pprev = s->pprev;
	if (pd->streams == NULL) {	/* the device may be gone once this stream is */
		while (pd->swept)
			sweep_unlink(pd->swept);
		pd->dev = NULL;
	}
}

/* control has given the stream another device */
void
slot_follow(struct pump *p, struct stream *s)
{
	struct conn *c = s->conn;

	if (c == NULL)
		return;
	if (c->slots[s->number].begun) {
		c->slots[s->number].begun = 0;
		c->nbegun--;
	}
	s->swept = s->chain.swept;
	s->ahead = s->chain.ahead;
	sweep_unlink(c);
	pdev_unlink(s);
	pdev_link(pdev_find(p, s->dev), s);
	c->several = c->nrun > 1;	/* perhaps on two devices now: epoll serves it then */
	if (!c->several)
		c->pdev = s->pdev;
	slot_emit(p, s);
	pump_dirty(p, c);
}

void
slot_start(struct pump *p, struct conn *c, uint32_t number, struct stream *s)
{
	struct slot *sl = &c->slots[number];
	struct pdev *pd = pdev_find(p, s->dev);

	*sl = (struct slot){ .stream = s, .state = SLOT_RUN, .request = -1 };
	s->conn = c;
	s->number = number;
	if (number >= c->nslots)
		c->nslots = number + 1;
	pdev_link(pd, s);
	if (c->nrun == 0) {
		c->pdev = pd;
		c->several = 0;
	} else if (c->pdev != pd)
		c->several = 1;
	if (s->play)
		c->nrun++;
	atomic_store(&s->polled, !c->swept);
	slot_emit(p, s);
	pump_dirty(p, c);
}

/* a play stream is no longer expected to write */
static void
slot_quiet(struct conn *c, struct slot *sl)
{
	if (sl->state != SLOT_RUN || sl->stream->play == NULL)
		return;
	c->nrun--;
	c->nbegun -= sl->begun;
	sl->begun = 0;
}

void
slot_stop(struct pump *p, struct conn *c, uint32_t number, int drain, enum slot_state left,
    const void *answer, uint32_t n)
{
	struct slot *sl = &c->slots[number];

	slot_quiet(c, sl);
	sl->state = SLOT_DRAIN;
	sl->drained = drain;
	sl->left = left;
	sl->answer_len = n;
	if (n > 0)
		memcpy(sl->answer, answer, n);
	stream_stop(sl->stream, drain);
	pump_dirty(p, c);
}

void
slot_drop(struct pump *p, struct conn *c, uint32_t number, enum slot_state left)
{
	struct slot *sl = &c->slots[number];
	struct stream *s = sl->stream;
	uint32_t id = s->id;

	slot_quiet(c, sl);
	sl->stream = NULL;
	sl->state = left;
	s->conn = NULL;			/* it may be freed before the stream is */
	pdev_unlink(s);
	pump_dirty(p, c);
	if (atomic_fetch_sub(&s->refs, 1) == 1)
		pump_post(p, EV_RELEASED, id, 0, 0);
}
