/*
 * sndstat.c: sndstat's calls as requests of audiod's native protocol.
 *
 * Speaks just as much MessagePack-RPC as these need: requests with a map of
 * integers and one bin, answers whose keys are looked for.  protocol/README.md.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "sndstat.h"

#define IN_SIZE		(512 * 1024)	/* the largest message of a server is 256 KiB */
#define HEAD_SIZE	256		/* of a request, all but its bin */
#define BIN_MAX		65536		/* what may be added; a larger one is not even sent whole */

struct sndstat {
	int fd;
	uint32_t id;			/* of the last request */
	int64_t handle;
	uint8_t *in;
	size_t have;			/* bytes in it */
};

/* ---- messages ------------------------------------------------------------------- */

struct writer {
	uint8_t buf[HEAD_SIZE];
	size_t len;
};

static void
put(struct writer *w, const void *p, size_t n)
{
	if (w->len + n <= sizeof(w->buf)) {
		memcpy(w->buf + w->len, p, n);
		w->len += n;
	}
}

static void
put_head(struct writer *w, uint8_t byte, uint64_t v, unsigned size)
{
	put(w, &byte, 1);
	while (size-- > 0) {
		uint8_t b = (uint8_t)(v >> 8 * size);

		put(w, &b, 1);
	}
}

static void
put_str(struct writer *w, const char *s)
{
	put_head(w, 0xd9, strlen(s), 1);
	put(w, s, strlen(s));
}

static void
put_int(struct writer *w, uint64_t v)
{
	put_head(w, 0xcf, v, 8);
}

/* the head of a request, up to its map of n arguments */
static void
put_request(struct writer *w, struct sndstat *s, const char *method, unsigned n)
{
	put_head(w, 0x94, 0, 0);
	put_head(w, 0, 0, 0);
	put_head(w, 0xce, ++s->id, 4);
	put_str(w, method);
	put_head(w, 0x91, 0, 0);
	put_head(w, (uint8_t)(0x80 | n), 0, 0);
}

struct reader {
	const uint8_t *p, *end;
};

/* one head: how many bytes follow it, and how many values it contains; -1: cut off, -2: none */
static int
head(struct reader *r, size_t *bytes, size_t *values, uint64_t *v)
{
	static const uint8_t widths[32] = {	/* 0xc0..0xdf: bytes of the length or value */
		0, 0, 0, 0, 1, 2, 4, 0, 0, 0, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4
	};
	uint8_t b;
	unsigned width;

	*bytes = *values = 0;
	if (r->p == r->end)
		return -1;
	b = *r->p++;
	*v = b;
	if (b < 0x80 || b >= 0xe0)
		return b;
	if (b < 0xc0) {
		*v = b & (b < 0xa0 ? 0x0f : 0x1f);
		if (b < 0x90)
			*values = 2 * (size_t)*v;
		else if (b < 0xa0)
			*values = (size_t)*v;
		else
			*bytes = (size_t)*v;
		return b;
	}
	if (b == 0xc1 || (b >= 0xc7 && b <= 0xc9) || (b >= 0xd4 && b <= 0xd8))
		return -2;
	width = widths[b - 0xc0];
	if ((size_t)(r->end - r->p) < width)
		return -1;
	*v = 0;
	for (unsigned i = 0; i < width; i++)
		*v = *v << 8 | *r->p++;
	if (b >= 0xde)
		*values = 2 * (size_t)*v;
	else if (b >= 0xdc)
		*values = (size_t)*v;
	else if (b == 0xc4 || b == 0xc5 || b == 0xc6 || (b >= 0xd9 && b <= 0xdb))
		*bytes = (size_t)*v;
	return b;
}

/* past one value and all in it; -1: cut off, -2: no MessagePack, or too large */
static int
skip(struct reader *r)
{
	size_t todo = 1, bytes, values;
	uint64_t v;

	while (todo > 0) {
		int b = head(r, &bytes, &values, &v);

		if (b < 0)
			return b;
		if (bytes > IN_SIZE || values > IN_SIZE)
			return -2;
		if ((size_t)(r->end - r->p) < bytes)
			return -1;
		r->p += bytes;
		todo += values - 1;
	}
	return 0;
}

/* the value of a key in the map at r; 0: it is not there, or nil */
static int
lookup(struct reader r, const char *key, struct reader *value)
{
	size_t bytes, values;
	uint64_t v;

	if (head(&r, &bytes, &values, &v) < 0 || values % 2)
		return 0;
	for (size_t n = values / 2; n > 0; n--) {
		struct reader k = r;
		int b = head(&k, &bytes, &values, &v);

		if (b < 0 || skip(&r) < 0)
			return 0;
		if (bytes == strlen(key) && memcmp(k.p, key, bytes) == 0) {
			*value = r;
			return r.p < r.end && *r.p != 0xc0;
		}
		if (skip(&r) < 0)
			return 0;
	}
	return 0;
}

static int
lookup_int(struct reader r, const char *key, uint64_t *v)
{
	size_t bytes, values;
	struct reader at;

	return lookup(r, key, &at) && head(&at, &bytes, &values, v) >= 0 && bytes == 0 && values == 0;
}

/* ---- the connection ------------------------------------------------------------- */

static int
send_all(int fd, const void *data, size_t size)
{
	const uint8_t *p = data;

	while (size > 0) {
		ssize_t n = send(fd, p, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

static int
errno_of(struct reader error)
{
	static const struct { const char *name; int number; } codes[] = {
		{ "EPERM", EPERM }, { "EINVAL", EINVAL }, { "ENOMEM", ENOMEM }, { "EBADF", EBADF },
		{ "EMFILE", EMFILE }, { "ENOSYS", ENOSYS }, { "ENODEV", ENODEV }, { "EPROTO", EPROTO },
		{ "ESHUTDOWN", ESHUTDOWN },
	};
	size_t bytes, values;
	struct reader at;
	uint64_t v;

	if (lookup(error, "code", &at) && head(&at, &bytes, &values, &v) >= 0)
		for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
			if (bytes == strlen(codes[i].name) && memcmp(at.p, codes[i].name, bytes) == 0)
				return codes[i].number;
	return EIO;
}

/* one message at the beginning of s->in: its size, 0 if it is not there yet, -1: no message */
static ssize_t
whole(const struct sndstat *s)
{
	struct reader r = { s->in, s->in + s->have };
	int rc = skip(&r);

	return rc == 0 ? r.p - s->in : rc == -1 && s->have < IN_SIZE ? 0 : -1;
}

/* wait for the answer to the last request; *result lies in s->in until the next one */
static int
answer(struct sndstat *s, struct reader *result)
{
	for (;;) {
		ssize_t size, n;
		size_t bytes, values;
		uint64_t kind = 0, id = 0;
		struct reader r, error;

		while ((size = whole(s)) == 0) {
			n = recv(s->fd, s->in + s->have, IN_SIZE - s->have, 0);
			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0) {
				if (n == 0)
					errno = ECONNRESET;
				return -1;
			}
			s->have += (size_t)n;
		}
		r = (struct reader){ s->in, s->in + (size > 0 ? size : 0) };
		if (size < 0 || head(&r, &bytes, &values, &kind) < 0 || values < 3 ||
		    head(&r, &bytes, &values, &kind) < 0) {
			errno = EPROTO;
			return -1;
		}
		error = r;
		if (kind == 1 && head(&error, &bytes, &values, &id) >= 0 && id == s->id) {
			if (error.p < error.end && *error.p != 0xc0) {
				errno = errno_of(error);
				return -1;
			}
			if (skip(&error) == 0) {
				*result = error;
				return 0;
			}
		}
		memmove(s->in, s->in + size, s->have - (size_t)size);	/* a notification: of no interest here */
		s->have -= (size_t)size;
	}
}

/* send a request with, at its end, the bytes of a bin; wait for its answer */
static int
call(struct sndstat *s, struct writer *w, const void *bin, size_t size, struct reader *result)
{
	ssize_t last = whole(s);

	if (last > 0 && s->have > 0) {		/* the answer before */
		memmove(s->in, s->in + last, s->have - (size_t)last);
		s->have -= (size_t)last;
	}
	if (bin != NULL) {
		put_str(w, "nvlist");
		put_head(w, 0xc6, size, 4);
	}
	if (send_all(s->fd, w->buf, w->len) < 0 || (bin != NULL && send_all(s->fd, bin, size) < 0))
		return -1;
	return answer(s, result);
}

static int
on_handle(struct sndstat *s, const char *method)
{
	struct writer w = { .len = 0 };
	struct reader result;

	put_request(&w, s, method, 1);
	put_str(&w, "handle");
	put_int(&w, (uint64_t)s->handle);
	return call(s, &w, NULL, 0, &result);
}

static int
dial(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(to.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(to.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		int e = errno;

		close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

/* the first server that answers, in the order of protocol/README.md */
static int
dial_default(void)
{
	const char *own = getenv("AUDIOD_SOCKET"), *runtime = getenv("XDG_RUNTIME_DIR");
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int fd, n;

	if (own != NULL && own[0] != '\0')
		return dial(own);
	if (runtime != NULL && runtime[0] != '\0')
		n = snprintf(path, sizeof(path), "%s/audiod/audiod.sock", runtime);
	else
		n = snprintf(path, sizeof(path), "/tmp/audiod-%u/audiod.sock", (unsigned)geteuid());
	fd = n > 0 && (size_t)n < sizeof(path) ? dial(path) : -1;
	return fd >= 0 ? fd : dial("/run/audiod/audiod.sock");
}

/* ---- the calls ------------------------------------------------------------------ */

struct sndstat *
sndstat_open(const char *path, int write)
{
	struct sndstat *s = calloc(1, sizeof(*s));
	struct writer w = { .len = 0 };
	struct reader result;
	uint64_t handle;
	int e;

	if (s == NULL)
		return NULL;
	s->in = malloc(IN_SIZE);
	s->fd = s->in == NULL ? -1 : path != NULL ? dial(path) : dial_default();
	if (s->fd < 0)
		goto bad;
	put_request(&w, s, "hello", 2);
	put_str(&w, "version");
	put_int(&w, 1);
	put_str(&w, "client");
	put_str(&w, "sndstat");
	if (call(s, &w, NULL, 0, &result) < 0)
		goto bad;
	w.len = 0;
	put_request(&w, s, "sndstat.open", 1);
	put_str(&w, "write");
	put_head(&w, write ? 0xc3 : 0xc2, 0, 0);
	if (call(s, &w, NULL, 0, &result) < 0)
		goto bad;
	if (!lookup_int(result, "handle", &handle)) {
		errno = EPROTO;
		goto bad;
	}
	s->handle = (int64_t)handle;
	return s;
bad:
	e = errno;
	sndstat_close(s);
	errno = e;
	return NULL;
}

int
sndstat_refresh(struct sndstat *s)
{
	return on_handle(s, "sndstat.refresh");
}

int
sndstat_get(struct sndstat *s, struct sndstioc_nv_arg *arg)
{
	uint64_t after = 0, size = 0;
	size_t got = 0;

	if (arg->nbytes > 0 && arg->buf == NULL) {	/* before the server gives it away */
		errno = EFAULT;
		return -1;
	}
	for (;;) {
		struct writer w = { .len = 0 };
		size_t bytes, values;
		struct reader result, piece;
		uint64_t v;

		put_request(&w, s, "sndstat.get", 4);
		put_str(&w, "handle");
		put_int(&w, (uint64_t)s->handle);
		put_str(&w, "nbytes");
		put_int(&w, arg->nbytes > INT64_MAX ? INT64_MAX : arg->nbytes);
		put_str(&w, "form");
		put_str(&w, "nvlist");
		put_str(&w, "after");
		put_int(&w, after);
		if (call(s, &w, NULL, 0, &result) < 0)
			return -1;
		if (!lookup_int(result, "nbytes", &size))
			goto wrong;
		if (!lookup(result, "nvlist", &piece)) {	/* its size, or 0: too little room */
			arg->nbytes = (size_t)size;
			return 0;
		}
		if (head(&piece, &bytes, &values, &v) < 0 || size > arg->nbytes || bytes > size - got)
			goto wrong;
		memcpy((uint8_t *)arg->buf + got, piece.p, bytes);
		got += bytes;
		if (!lookup_int(result, "next", &after))
			break;
	}
	if (got == size) {
		arg->nbytes = got;
		return 0;
	}
wrong:
	errno = EPROTO;
	return -1;
}

int
sndstat_add(struct sndstat *s, const struct sndstioc_nv_arg *arg)
{
	struct writer w = { .len = 0 };
	struct reader result;
	size_t size = arg->nbytes > BIN_MAX ? BIN_MAX + 1 : arg->nbytes;

	if (arg->nbytes > 0 && arg->buf == NULL) {
		errno = EFAULT;
		return -1;
	}
	put_request(&w, s, "sndstat.add_user", 2);
	put_str(&w, "handle");
	put_int(&w, (uint64_t)s->handle);
	return call(s, &w, size > 0 ? arg->buf : "", size, &result);
}

int
sndstat_flush(struct sndstat *s)
{
	return on_handle(s, "sndstat.flush_user");
}

void
sndstat_close(struct sndstat *s)
{
	if (s->fd >= 0)
		close(s->fd);		/* the handle goes with the connection */
	free(s->in);
	free(s);
}
