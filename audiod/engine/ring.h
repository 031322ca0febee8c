/*
 * ring.h: the lock-free queues between threads.
 *
 * Each has one producer thread and one consumer thread; none waits for the
 * other.  `struct fring` carries frames, `struct evring` events of a device
 * thread, `struct msgring` events with payload of the pump, `struct cmdq`
 * messages of unbounded number from the control thread to the pump (their
 * memory travels back on a second cmdq, so that the pump never frees it).
 */
#ifndef RING_H
#define RING_H

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include "engine.h"

/* ---- frames ------------------------------------------------------------ */

struct fring {
	uint8_t *data;			/* cap * frame bytes */
	uint32_t cap;			/* frames */
	uint32_t frame;			/* bytes a frame */
	_Alignas(64) _Atomic int64_t w;	/* frames ever written, stored by the producer */
	_Alignas(64) _Atomic int64_t r;	/* frames ever read, stored by the consumer */
};

static inline uint32_t
fring_used(const struct fring *f)	/* consumer's view */
{
	int64_t r = atomic_load_explicit(&f->r, memory_order_relaxed);

	return (uint32_t)(atomic_load_explicit(&f->w, memory_order_acquire) - r);
}

static inline uint32_t
fring_room(const struct fring *f)	/* producer's view */
{
	int64_t w = atomic_load_explicit(&f->w, memory_order_relaxed);

	return f->cap - (uint32_t)(w - atomic_load_explicit(&f->r, memory_order_acquire));
}

/* n frames from index i on, in at most two pieces; returns frames of the first */
static inline uint32_t
fring_span(const struct fring *f, int64_t i, uint32_t n, uint8_t **p)
{
	uint32_t off = (uint32_t)((uint64_t)i % f->cap), first = f->cap - off;

	*p = f->data + (size_t)off * f->frame;
	return first < n ? first : n;
}

static inline void
fring_put(struct fring *f, const void *src, uint32_t n)	/* n <= fring_room */
{
	int64_t w = atomic_load_explicit(&f->w, memory_order_relaxed);
	uint8_t *p;
	uint32_t k = fring_span(f, w, n, &p);

	memcpy(p, src, (size_t)k * f->frame);
	memcpy(f->data, (const uint8_t *)src + (size_t)k * f->frame, (size_t)(n - k) * f->frame);
	atomic_store_explicit(&f->w, w + n, memory_order_release);
}

static inline void
fring_get(struct fring *f, void *dst, uint32_t n)	/* n <= fring_used */
{
	int64_t r = atomic_load_explicit(&f->r, memory_order_relaxed);
	uint8_t *p;
	uint32_t k = fring_span(f, r, n, &p);

	memcpy(dst, p, (size_t)k * f->frame);
	memcpy((uint8_t *)dst + (size_t)k * f->frame, f->data, (size_t)(n - k) * f->frame);
	atomic_store_explicit(&f->r, r + n, memory_order_release);
}

static inline void
fring_drop(struct fring *f, uint32_t n)		/* consumer: n <= fring_used */
{
	atomic_store_explicit(&f->r, atomic_load_explicit(&f->r, memory_order_relaxed) + n,
	    memory_order_release);
}

/* ---- events of a device thread ------------------------------------------ */

#define EVRING_SIZE	2048		/* events; half is kept for those that must not be lost */

struct evring {
	_Alignas(64) _Atomic uint32_t w;
	_Alignas(64) _Atomic uint32_t r;
	struct event ev[EVRING_SIZE];
};

static inline int
evring_put(struct evring *q, const struct event *ev, int must)	/* 0: full */
{
	uint32_t w = atomic_load_explicit(&q->w, memory_order_relaxed);
	uint32_t used = w - atomic_load_explicit(&q->r, memory_order_acquire);

	if (used >= (must ? EVRING_SIZE : EVRING_SIZE / 2))
		return 0;
	q->ev[w % EVRING_SIZE] = *ev;
	atomic_store_explicit(&q->w, w + 1, memory_order_release);
	return 1;
}

static inline int
evring_get(struct evring *q, struct event *ev)
{
	uint32_t r = atomic_load_explicit(&q->r, memory_order_relaxed);

	if (atomic_load_explicit(&q->w, memory_order_acquire) == r)
		return 0;
	*ev = q->ev[r % EVRING_SIZE];
	atomic_store_explicit(&q->r, r + 1, memory_order_release);
	return 1;
}

/* ---- events with payload, from the pump ----------------------------------- */

#define MSGRING_SIZE	(1u << 20)	/* bytes, power of two; holds several of the largest messages */
#define MSGRING_KEEP	(1u << 16)	/* bytes kept for events without payload */

struct msgring {
	_Alignas(64) _Atomic uint64_t w;	/* bytes ever written */
	_Alignas(64) _Atomic uint64_t r;
	uint8_t *data;			/* MSGRING_SIZE */
};

static inline void
msgring_copyin(struct msgring *q, uint64_t at, const void *src, size_t n)
{
	size_t off = at & (MSGRING_SIZE - 1), first = MSGRING_SIZE - off;

	if (first > n)
		first = n;
	memcpy(q->data + off, src, first);
	memcpy(q->data, (const uint8_t *)src + first, n - first);
}

static inline void
msgring_copyout(const struct msgring *q, uint64_t at, void *dst, size_t n)
{
	size_t off = at & (MSGRING_SIZE - 1), first = MSGRING_SIZE - off;

	if (first > n)
		first = n;
	memcpy(dst, q->data + off, first);
	memcpy((uint8_t *)dst + first, q->data, n - first);
}

static inline int
msgring_put(struct msgring *q, const struct event *ev, const void *payload)	/* 0: full */
{
	uint64_t w = atomic_load_explicit(&q->w, memory_order_relaxed);
	uint64_t used = w - atomic_load_explicit(&q->r, memory_order_acquire);
	size_t need = sizeof(*ev) + ev->len;

	if (used + need > MSGRING_SIZE - (ev->len ? MSGRING_KEEP : 0))
		return 0;
	msgring_copyin(q, w, ev, sizeof(*ev));
	if (payload)
		msgring_copyin(q, w + sizeof(*ev), payload, ev->len);
	atomic_store_explicit(&q->w, w + need, memory_order_release);
	return 1;
}

static inline int
msgring_get(struct msgring *q, struct event *ev, void *buf, uint32_t size)
{
	uint64_t r = atomic_load_explicit(&q->r, memory_order_relaxed);

	if (atomic_load_explicit(&q->w, memory_order_acquire) == r)
		return 0;
	msgring_copyout(q, r, ev, sizeof(*ev));
	if (ev->len <= size)
		msgring_copyout(q, r + sizeof(*ev), buf, ev->len);
	atomic_store_explicit(&q->r, r + sizeof(*ev) + ev->len, memory_order_release);
	return 1;
}

/* ---- commands to the pump --------------------------------------------------- */

struct cmd {
	struct cmd *_Atomic next;
	int op;				/* CMD_* */
	struct conn *conn;
	struct stream *stream;
	uint32_t number;		/* client's stream number */
	int arg;
	int64_t cookie;
	uint32_t len;			/* bytes of data */
	uint8_t data[];
};

struct cmdq {
	struct cmd *head;		/* consumer: the last node taken, whose memory is still in the queue */
	struct cmd *tail;		/* producer */
};

static inline void
cmdq_init(struct cmdq *q, struct cmd *stub)
{
	atomic_store_explicit(&stub->next, NULL, memory_order_relaxed);
	q->head = q->tail = stub;
}

static inline void
cmdq_put(struct cmdq *q, struct cmd *c)
{
	atomic_store_explicit(&c->next, NULL, memory_order_relaxed);
	atomic_store_explicit(&q->tail->next, c, memory_order_release);
	q->tail = c;
}

/* next command, or NULL; *old is a node that is no longer used (the caller's) */
static inline struct cmd *
cmdq_get(struct cmdq *q, struct cmd **old)
{
	struct cmd *n = atomic_load_explicit(&q->head->next, memory_order_acquire);

	if (n) {
		*old = q->head;
		q->head = n;
	}
	return n;
}

#endif
