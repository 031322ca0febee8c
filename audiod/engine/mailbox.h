/*
 * mailbox.h: the newest of something from one thread to another, of three
 * slots: one is written, one is read, one lies between.  Nobody ever waits, and
 * what is taken is whole.  What nobody took is overwritten.
 */
#ifndef MAILBOX_H
#define MAILBOX_H

#include <stdatomic.h>
#include <stdint.h>

#define MAILBOX_NSLOTS	3
#define MAILBOX_NEW	4u		/* the slot between has not been taken */

struct mailbox {
	_Atomic uint32_t between;	/* slot, and MAILBOX_NEW */
	uint32_t in;			/* writer's slot */
	uint32_t out;			/* reader's slot: the last that it took */
};

static inline void
mailbox_init(struct mailbox *m)
{
	atomic_store(&m->between, 0);
	m->in = 1;
	m->out = 2;
}

static inline void
mailbox_send(struct mailbox *m)		/* writer: slot `in` is full */
{
	m->in = atomic_exchange_explicit(&m->between, m->in | MAILBOX_NEW, memory_order_acq_rel) & ~MAILBOX_NEW;
}

static inline int
mailbox_new(const struct mailbox *m)
{
	return (atomic_load_explicit(&m->between, memory_order_relaxed) & MAILBOX_NEW) != 0;
}

static inline int
mailbox_take(struct mailbox *m)		/* reader: 1 if `out` is new */
{
	if (!mailbox_new(m))
		return 0;
	m->out = atomic_exchange_explicit(&m->between, m->out, memory_order_acq_rel) & ~MAILBOX_NEW;
	return 1;
}

#endif
