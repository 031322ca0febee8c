/*
 * alsa.c: libasound loaded at its first use, what it says about errors, and the
 * formats that it and we both know.  Any thread; only loading takes a lock.
 */
#define _GNU_SOURCE
#include "alsa.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers.h"

#define LIBRARY		"libasound.so.2"
#define ERRNO_MAX	4095		/* the library has errors of its own above */

struct alsa_lib alsa;

#define NLISTENERS	16		/* cards that are opened at once; the messages of more are dropped */

static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;
static int loaded;
static struct listener {
	_Atomic uintptr_t thread;	/* whose messages are kept, 0: nobody's */
	char said[160];			/* that thread's alone */
} listeners[NLISTENERS];

static const struct {
	const char *name;
	size_t offset;
} functions[] = {
#define ALSA_ROW(type, name, args)	{ "snd_" #name, offsetof(struct alsa_lib, name) },
	ALSA_FUNCTIONS(ALSA_ROW)
#undef ALSA_ROW
};

#define NFUNCTIONS	(sizeof(functions) / sizeof(functions[0]))

/* a thread's own, NULL if it does not listen */
static struct listener *
listener(void)
{
	int i;

	for (i = 0; i < NLISTENERS; i++)
		if (atomic_load(&listeners[i].thread) == (uintptr_t)pthread_self())
			return &listeners[i];
	return NULL;
}

/*
 * In place of the library's own, which prints to stderr.  The library calls it
 * in whatever thread it is used in: a device thread's messages are dropped.
 */
static void
on_error(const char *file, int line, const char *function, int errnum, const char *fmt, ...)
{
	struct listener *l = listener();
	va_list ap;

	(void)file;
	(void)line;
	(void)function;
	(void)errnum;
	if (l == NULL || l->said[0] != '\0')
		return;
	va_start(ap, fmt);
	vsnprintf(l->said, sizeof(l->said), fmt, ap);
	va_end(ap);
	l->said[strcspn(l->said, "\n")] = '\0';
}

void
alsa_listen(int on)
{
	struct listener *l = listener();
	uintptr_t nobody;
	int i;

	for (i = 0; i < NLISTENERS && l == NULL && on; i++) {
		nobody = 0;
		if (atomic_compare_exchange_strong(&listeners[i].thread, &nobody, (uintptr_t)pthread_self()))
			l = &listeners[i];
	}
	if (l == NULL)
		return;
	l->said[0] = '\0';
	if (!on)
		atomic_store(&l->thread, 0);
}

const char *
alsa_said(void)
{
	struct listener *l = listener();

	return l != NULL ? l->said : "";
}

static int
load(char *err, size_t errsz)
{
	const char *why;
	void *lib, *f;
	size_t i;

	if (loaded)
		return 0;
	/*
	 * Each PCM is used by one thread at a time: alsa-lib need not lock it for us, as it
	 * would on plug-ins, some ten times a block.  It looks when a PCM is opened.
	 */
	(void)setenv("LIBASOUND_THREAD_SAFE", "0", 0);
	lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (lib == NULL) {
		why = dlerror();
		return drv_fail(ENOSYS, err, errsz, "alsa: there is no ALSA library on this machine (%s): "
		    "install it (Debian: libasound2), or use another driver", why ? why : LIBRARY);
	}
	for (i = 0; i < NFUNCTIONS; i++) {
		f = dlsym(lib, functions[i].name);
		if (f == NULL) {
			dlclose(lib);
			return drv_fail(ENOSYS, err, errsz, "alsa: " LIBRARY " is too old: it has no %s",
			    functions[i].name);
		}
		memcpy((char *)&alsa + functions[i].offset, &f, sizeof(f));
	}
	alsa.lib_error_set_handler(on_error);
	loaded = 1;
	return 0;
}

int
alsa_load(char *err, size_t errsz)
{
	int rc;

	pthread_mutex_lock(&loading);
	rc = load(err, errsz);
	pthread_mutex_unlock(&loading);
	return rc;
}

int
alsa_errno(long rc)
{
	return rc < -ERRNO_MAX ? -EIO : (int)rc;
}

/* ---- formats ------------------------------------------------------------------ */

#define INT(bits, bps, sig, le)	{ bits, bps, sig, le, 0, 0 }
#define FLT(bits, le)		{ bits, bits / 8, 1, le, 0, 1 }

/* those that hold more before those that hold less; little endian first */
static const struct alsa_format formats[] = {
	{ 10, INT(32, 4, 1, 1) }, { 32, INT(24, 3, 1, 1) }, { 6, INT(24, 4, 1, 1) }, { 2, INT(16, 2, 1, 1) },
	{ 11, INT(32, 4, 1, 0) }, { 33, INT(24, 3, 1, 0) }, { 7, INT(24, 4, 1, 0) }, { 3, INT(16, 2, 1, 0) },
	{ 14, FLT(32, 1) }, { 15, FLT(32, 0) }, { 16, FLT(64, 1) }, { 17, FLT(64, 0) },
	{ 12, INT(32, 4, 0, 1) }, { 34, INT(24, 3, 0, 1) }, { 8, INT(24, 4, 0, 1) }, { 4, INT(16, 2, 0, 1) },
	{ 13, INT(32, 4, 0, 0) }, { 35, INT(24, 3, 0, 0) }, { 9, INT(24, 4, 0, 0) }, { 5, INT(16, 2, 0, 0) },
	{ 25, INT(20, 4, 1, 1) }, { 36, INT(20, 3, 1, 1) }, { 40, INT(18, 3, 1, 1) },
	{ 26, INT(20, 4, 1, 0) }, { 37, INT(20, 3, 1, 0) }, { 41, INT(18, 3, 1, 0) },
	{ 27, INT(20, 4, 0, 1) }, { 38, INT(20, 3, 0, 1) }, { 42, INT(18, 3, 0, 1) },
	{ 28, INT(20, 4, 0, 0) }, { 39, INT(20, 3, 0, 0) }, { 43, INT(18, 3, 0, 0) },
	{ 1, INT(8, 1, 0, 1) }, { 0, INT(8, 1, 1, 1) },
};

#define NFORMATS	(sizeof(formats) / sizeof(formats[0]))

/* 0: the same bytes, 1: as many bits in other bytes, 2: more of them, 3: fewer */
static int
distance(const struct enc *wanted, const struct enc *e)
{
	if (enc_same(wanted, e))
		return 0;
	if (e->bits == wanted->bits && e->flt == wanted->flt)
		return 1;
	return e->bits >= wanted->bits && e->flt >= wanted->flt ? 2 : 3;
}

const struct alsa_format *
alsa_format(const struct enc *wanted, unsigned nth)
{
	size_t i;
	int far;

	for (far = 0; far <= 3; far++) {
		for (i = 0; i < NFORMATS; i++) {
			if (distance(wanted, &formats[i].enc) == far && nth-- == 0)
				return &formats[i];
		}
	}
	return NULL;
}
