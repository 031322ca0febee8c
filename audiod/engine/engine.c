/*
 * engine.c: what owns the threads: memory, thread start, and the way of events
 * to Python.  All but thread_enter and engine_signal runs on the control thread.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif
#include "ring.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE	23	/* Linux 5.14 */
#endif
#ifndef SCHED_RESET_ON_FORK
#define SCHED_RESET_ON_FORK	0x40000000
#endif

/* ---- memory ------------------------------------------------------------------ */

void *
mem_reserve(size_t size)
{
	void *p = mmap(NULL, size ? size : 1, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void *
mem_new(engine *e, size_t size)
{
	void *p = mem_reserve(size);

	if (p == NULL)
		return NULL;
	if (madvise(p, size ? size : 1, MADV_POPULATE_WRITE) < 0)
		memset(p, 0, size);	/* an older kernel: touch it here */
	if (e->lock_memory)
		(void)mlock(p, size);	/* as far as RLIMIT_MEMLOCK allows */
	return p;
}

void
mem_free(void *p, size_t size)
{
	if (p)
		munmap(p, size ? size : 1);
}

int64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * NS + ts.tv_nsec;
}

/* ---- threads -------------------------------------------------------------------- */

int
thread_start(struct thread *t, int prio, void *(*run)(void *), void *arg)
{
	sigset_t all, old;
	int rc;

	t->asked = prio;
	t->run = run;
	t->arg = arg;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&t->pt, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -rc;
}

void
thread_enter(struct thread *t)
{
	struct sched_param sp = { .sched_priority = t->asked };

#ifdef __SSE__
	_mm_setcsr(_mm_getcsr() | 0x8040);	/* denormals are zero: they are inaudible, and slow on some CPUs */
#endif
	if (t->asked > 0 && sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &sp) < 0)
		atomic_store(&t->err, errno);
	atomic_store(&t->tid, (int)syscall(SYS_gettid));
}

static void
thread_query(struct thread *t, int dev, struct thread_info *ti)
{
	struct sched_param sp = { 0 };
	int policy;

	memset(ti, 0, sizeof(*ti));
	ti->tid = atomic_load(&t->tid);
	ti->device = dev;
	ti->asked = t->asked;
	ti->err = atomic_load(&t->err);
	if (ti->tid == 0)
		return;
	policy = sched_getscheduler(ti->tid);
	if (policy >= 0)
		ti->policy = policy & ~SCHED_RESET_ON_FORK;
	if (sched_getparam(ti->tid, &sp) == 0)
		ti->prio = sp.sched_priority;
}

int
engine_threads(engine *e, struct thread_info *ti, uint32_t max)
{
	uint32_t n = 0;

	if (max > 0)
		thread_query(pump_thread(e->pump), -1, &ti[n++]);
	for (int i = 0; i < NDEV_MAX; i++)
		if (e->devs[i] && !e->devs[i]->closed && n < max)
			thread_query(&e->devs[i]->thread, (int)e->devs[i]->id, &ti[n++]);
	return (int)n;
}

/* ---- engine ------------------------------------------------------------------------ */

int
engine_abi(void)
{
	return ENGINE_ABI;
}

int
engine_new(engine **out, const struct engine_conf *conf)
{
	engine *e = calloc(1, sizeof(*e));
	int rc;

	if (e == NULL)
		return -ENOMEM;
	e->rt_prio = conf->rt_prio;
	e->lock_memory = conf->lock_memory;
	e->orphan_end = &e->orphans;
	e->efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (e->efd < 0) {
		rc = -errno;
		free(e);
		return rc;
	}
	rc = pump_new(e);
	if (rc < 0) {
		close(e->efd);
		free(e);
		return rc;
	}
	*out = e;
	return 0;
}

void
engine_free(engine *e)
{
	struct orphan *o;

	pump_free(e);
	while ((o = e->orphans) != NULL) {
		e->orphans = o->next;
		free(o);
	}
	close(e->efd);
	free(e);
}

void
engine_orphan(engine *e, const struct event *ev)
{
	struct orphan *o = malloc(sizeof(*o));

	if (o == NULL)
		return;
	o->next = NULL;
	o->ev = *ev;
	*e->orphan_end = o;
	e->orphan_end = &o->next;
}

int
engine_fd(engine *e)
{
	return e->efd;
}

void
engine_signal(engine *e)
{
	uint64_t one = 1;

	if (atomic_exchange(&e->signalled, 1) == 0)
		while (write(e->efd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
}

void
engine_clear(engine *e)
{
	uint64_t n;

	while (read(e->efd, &n, sizeof(n)) < 0 && errno == EINTR)
		;
	(void)atomic_exchange(&e->signalled, 0);	/* not a store: it orders the reads of events behind it */
}

static int
next_event(engine *e, struct event *ev, void *buf, uint32_t size)
{
	struct orphan *o = e->orphans;

	if (o) {
		if (pump_next(e, ev, buf, size))
			return 1;
		*ev = o->ev;
		e->orphans = o->next;
		if (e->orphans == NULL)
			e->orphan_end = &e->orphans;
		free(o);
		return 1;
	}
	if (pump_next(e, ev, buf, size))
		return 1;
	for (int i = 0; i < NDEV_MAX; i++) {
		struct evring *q;

		if (e->devs[i] == NULL || e->devs[i]->closed)
			continue;
		q = e->devs[i]->events;
		if (atomic_load_explicit(&q->w, memory_order_acquire) == atomic_load(&q->r))
			continue;
		/* the pump may have spoken of the stream before the device gave it back */
		if (pump_next(e, ev, buf, size))
			return 1;
		if (evring_get(q, ev))
			return 1;
	}
	return 0;
}

int
engine_next(engine *e, struct event *ev, void *buf, uint32_t size)
{
	while (next_event(e, ev, buf, size)) {
		stream *s = (stream *)(intptr_t)ev->a;

		if (ev->type == EV_LEFT)
			move_left(s);
		else if (ev->type == EV_MOVED) {
			move_done(s);
			ev->a = 0;
			return 1;
		} else
			return 1;
	}
	return 0;
}
