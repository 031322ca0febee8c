/*
 * guard.c: an LD_PRELOAD library that counts what watched threads may not do:
 * allocate, free, map memory, take locks, wait on conditions or semaphores.
 *
 * guard_watch(slot, tid) watches one thread a slot from then on, guard_count
 * reads one of its counters; both are for a test in the same process (ctypes).
 * Wrappers of unwatched threads only pass on.  Counting itself makes no system
 * call but one gettid a thread, and allocates nothing.
 *
 * So that the check can be seen to fail, GUARD_PLANT=malloc|free|lock in the
 * environment plants that breach: a watched thread commits it in each poll,
 * ppoll or syscall (epoll_pwait2) that it makes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NSLOTS		8

enum what {
	ALLOC,				/* malloc, calloc, realloc, memalign and kin */
	FREE,
	MAP,				/* mmap, munmap, mremap, brk, sbrk */
	LOCK,				/* mutex, rwlock, spin lock: locking or trying to */
	WAIT,				/* condition, semaphore, join */
	WAKE,				/* poll, ppoll, syscall(): shows that the thread was watched at work */
	NWHAT
};

static _Atomic int watched[NSLOTS];	/* tid, 0 none */
static _Atomic long counts[NSLOTS][NWHAT];
static _Atomic int nwatched;
static int plant;			/* enum what, or -1; fixed at load */
static pthread_mutex_t planted = PTHREAD_MUTEX_INITIALIZER;
static __thread int self __attribute__((tls_model("initial-exec")));

void	guard_watch(int slot, int tid);
long	guard_count(int slot, int what);

static long
raw(long n)
{
	long rc;

	__asm__ volatile("syscall" : "=a"(rc) : "a"(n) : "rcx", "r11", "memory");
	return rc;
}

static int
slot(void)				/* of this thread, or -1 */
{
	if (atomic_load_explicit(&nwatched, memory_order_acquire) == 0)
		return -1;
	if (self == 0)
		self = (int)raw(SYS_gettid);
	for (int i = 0; i < NSLOTS; i++)
		if (atomic_load_explicit(&watched[i], memory_order_relaxed) == self)
			return i;
	return -1;
}

static void
note(enum what what)
{
	int i = slot();

	if (i >= 0)
		atomic_fetch_add_explicit(&counts[i][what], 1, memory_order_relaxed);
}

void
guard_watch(int i, int tid)
{
	for (int k = 0; k < NWHAT; k++)
		atomic_store(&counts[i][k], 0);
	atomic_store(&watched[i], tid);
	atomic_fetch_add(&nwatched, 1);
}

long
guard_count(int i, int what)
{
	return atomic_load(&counts[i][what]);
}

static void *
next(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	if (p == NULL)
		abort();
	return p;
}

/* ---- memory: glibc's own names need no lookup -------------------------------------------- */

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

void *
malloc(size_t n)
{
	note(ALLOC);
	return __libc_malloc(n);
}

void *
calloc(size_t n, size_t size)
{
	note(ALLOC);
	return __libc_calloc(n, size);
}

void *
realloc(void *p, size_t n)
{
	note(ALLOC);
	return __libc_realloc(p, n);
}

void *
memalign(size_t align, size_t n)
{
	note(ALLOC);
	return __libc_memalign(align, n);
}

void *
aligned_alloc(size_t align, size_t n)
{
	note(ALLOC);
	return __libc_memalign(align, n);
}

int
posix_memalign(void **p, size_t align, size_t n)
{
	note(ALLOC);
	*p = __libc_memalign(align, n);
	return *p ? 0 : ENOMEM;
}

void
free(void *p)
{
	note(FREE);
	__libc_free(p);
}

/* ---- everything else: looked up once, before a thread can be watched ------------------------ */

#define WRAP(what, ret, name, params, args)		\
static ret (*real_##name) params;			\
ret							\
name params						\
{							\
	note(what);					\
	if (real_##name == NULL)			\
		*(void **)&real_##name = next(#name);	\
	return real_##name args;			\
}

WRAP(MAP, void *, mmap, (void *p, size_t n, int prot, int flags, int fd, off_t off), (p, n, prot, flags, fd, off))
WRAP(MAP, int, munmap, (void *p, size_t n), (p, n))
WRAP(MAP, int, brk, (void *p), (p))
WRAP(MAP, void *, sbrk, (intptr_t n), (n))
WRAP(LOCK, int, pthread_mutex_lock, (pthread_mutex_t *m), (m))
WRAP(LOCK, int, pthread_mutex_trylock, (pthread_mutex_t *m), (m))
WRAP(LOCK, int, pthread_mutex_timedlock, (pthread_mutex_t *m, const struct timespec *t), (m, t))
WRAP(LOCK, int, pthread_rwlock_rdlock, (pthread_rwlock_t *l), (l))
WRAP(LOCK, int, pthread_rwlock_wrlock, (pthread_rwlock_t *l), (l))
WRAP(LOCK, int, pthread_rwlock_tryrdlock, (pthread_rwlock_t *l), (l))
WRAP(LOCK, int, pthread_rwlock_trywrlock, (pthread_rwlock_t *l), (l))
WRAP(LOCK, int, pthread_spin_lock, (pthread_spinlock_t *l), (l))
WRAP(WAIT, int, pthread_cond_wait, (pthread_cond_t *c, pthread_mutex_t *m), (c, m))
WRAP(WAIT, int, pthread_cond_timedwait, (pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *t), (c, m, t))
WRAP(WAIT, int, pthread_cond_signal, (pthread_cond_t *c), (c))
WRAP(WAIT, int, pthread_cond_broadcast, (pthread_cond_t *c), (c))
WRAP(WAIT, int, pthread_join, (pthread_t t, void **p), (t, p))
WRAP(WAIT, int, sem_wait, (sem_t *s), (s))
WRAP(WAIT, int, sem_timedwait, (sem_t *s, const struct timespec *t), (s, t))

/* ---- where a planted breach is committed -------------------------------------------------------- */

static void
breach(void)
{
	int i = slot();
	void *volatile p;

	if (i < 0)
		return;
	atomic_fetch_add_explicit(&counts[i][WAKE], 1, memory_order_relaxed);
	switch (plant) {
	case ALLOC:
		p = malloc(16);
		__libc_free(p);
		break;
	case FREE:
		p = __libc_malloc(16);
		free(p);
		break;
	case LOCK:
		pthread_mutex_lock(&planted);
		pthread_mutex_unlock(&planted);
		break;
	}
}

#define WRAP_WAKE(ret, name, params, args)		\
static ret (*real_##name) params;			\
ret							\
name params						\
{							\
	breach();					\
	if (real_##name == NULL)			\
		*(void **)&real_##name = next(#name);	\
	return real_##name args;			\
}

WRAP_WAKE(int, poll, (struct pollfd *p, nfds_t n, int ms), (p, n, ms))
WRAP_WAKE(int, ppoll, (struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *s), (p, n, t, s))

static long (*real_syscall)(long, ...);

long
syscall(long n, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, n);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	breach();
	if (real_syscall == NULL)
		*(void **)&real_syscall = next("syscall");
	return real_syscall(n, a[0], a[1], a[2], a[3], a[4], a[5]);
}

__attribute__((constructor)) static void
load(void)
{
	const char *s = getenv("GUARD_PLANT");

	plant = s == NULL ? -1 : strcmp(s, "malloc") == 0 ? ALLOC : strcmp(s, "free") == 0 ? FREE :
	    strcmp(s, "lock") == 0 ? LOCK : -1;
	/* dlsym may allocate: not later, in a watched thread */
	*(void **)&real_syscall = next("syscall");
	*(void **)&real_poll = next("poll");
	*(void **)&real_ppoll = next("ppoll");
	*(void **)&real_mmap = next("mmap");
	*(void **)&real_munmap = next("munmap");
	*(void **)&real_pthread_mutex_lock = next("pthread_mutex_lock");
}
