/*
 * msg.c: see msg.h.  The scanner is iterative and takes up where it stopped, so
 * that a message that comes byte by byte costs no more than one that comes whole.
 */
#include <stdint.h>
#include <string.h>
#include "api.h"
#include "msg.h"

struct head {
	uint32_t len;			/* bytes of the head */
	uint64_t body;			/* bytes behind it */
	uint64_t kids;			/* values inside */
	int container;
};

static uint64_t
be(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

/* 1, 0 if the head is not all there, -1 if it is none */
static int
head_parse(const uint8_t *p, size_t len, struct head *h)
{
	static const uint8_t fixed[] = {	/* bytes behind 0xca .. 0xd3 */
	    4, 8, 1, 2, 4, 8, 1, 2, 4, 8 };
	unsigned b, n;

	*h = (struct head){ .len = 1 };
	if (len == 0)
		return 0;
	b = p[0];
	if (b < 0x80 || b >= 0xe0 || b == 0xc0 || b == 0xc2 || b == 0xc3)
		return 1;
	if (b < 0x90) {
		h->kids = 2 * (b & 15u);
		h->container = 1;
	} else if (b < 0xa0) {
		h->kids = b & 15u;
		h->container = 1;
	} else if (b < 0xc0)
		h->body = b & 31u;
	else if (b == 0xc1)
		return -1;
	else if (b <= 0xc9) {			/* bin 8 16 32, ext 8 16 32 */
		n = 1u << ((b - 0xc4) % 3);
		h->len += n + (b >= 0xc7);
		if (len < h->len)
			return 0;
		h->body = be(p + 1, n);
	} else if (b <= 0xd3)
		h->len += fixed[b - 0xca];
	else if (b <= 0xd8)			/* fixext 1 2 4 8 16 */
		h->len += 1 + (1u << (b - 0xd4));
	else if (b <= 0xdb) {			/* str 8 16 32 */
		n = 1u << (b - 0xd9);
		h->len += n;
		if (len < h->len)
			return 0;
		h->body = be(p + 1, n);
	} else {				/* array 16 32, map 16 32 */
		n = b & 1 ? 4 : 2;
		h->len += n;
		if (len < h->len)
			return 0;
		h->kids = be(p + 1, n) * (b >= 0xde ? 2 : 1);
		h->container = 1;
	}
	return len < h->len ? 0 : 1;
}

long
scan_next(struct scan *s, const uint8_t *buf, size_t len)
{
	struct head h;
	int rc;

	do {
		rc = head_parse(buf + s->off, len - s->off, &h);
		if (rc < 0)
			return -PROTO_FORMAT;
		if (rc == 0)
			return s->off >= MSG_MAX ? -PROTO_SIZE : 0;
		if (!s->begun && (!h.container || h.kids < 3 || h.kids > 4 ||
		    (buf[0] & 0xf0) == 0x80 || buf[0] >= 0xde))
			return -PROTO_FORMAT;	/* a message of MessagePack-RPC is an array of 3 or 4 */
		if (s->off + h.len + h.body + h.kids > MSG_MAX)
			return -PROTO_SIZE;
		if (s->off + h.len + h.body > len)
			return 0;
		s->begun = 1;
		s->off += h.len + h.body;
		if (h.container) {
			if (s->depth == MSG_DEPTH)
				return -PROTO_DEPTH;
			if (h.kids > 0) {
				s->left[s->depth++] = (uint32_t)h.kids;
				continue;
			}
		}
		while (s->depth > 0 && --s->left[s->depth - 1] == 0)
			s->depth--;
	} while (s->depth > 0);
	return (long)s->off;
}

/* ---- reading ------------------------------------------------------------------ */

static int
rd_head(const struct rd *r, struct head *h)
{
	return head_parse(r->p, (size_t)(r->end - r->p), h) == 1 &&
	    h->len + h->body <= (uint64_t)(r->end - r->p);
}

int
rd_array(struct rd *r, uint32_t *n)
{
	struct head h;

	if (!rd_head(r, &h) || !h.container || (r->p[0] & 0xf0) == 0x80 || r->p[0] >= 0xde)
		return 0;
	*n = (uint32_t)h.kids;
	r->p += h.len;
	return 1;
}

int
rd_map(struct rd *r, uint32_t *n)
{
	struct head h;

	if (!rd_head(r, &h) || !h.container || !((r->p[0] & 0xf0) == 0x80 || r->p[0] >= 0xde))
		return 0;
	*n = (uint32_t)(h.kids / 2);
	r->p += h.len;
	return 1;
}

int
rd_uint(struct rd *r, uint64_t *v)
{
	struct head h;
	unsigned b, n;
	uint64_t x;

	if (!rd_head(r, &h))
		return 0;
	b = r->p[0];
	if (b < 0x80)
		x = b;
	else if (b >= 0xcc && b <= 0xcf)
		x = be(r->p + 1, 1u << (b - 0xcc));
	else if (b >= 0xd0 && b <= 0xd3) {
		n = 1u << (b - 0xd0);
		x = be(r->p + 1, n);
		if (x >> (8 * n - 1))
			return 0;		/* negative */
	} else
		return 0;
	*v = x;
	r->p += h.len;
	return 1;
}

int
rd_bytes(struct rd *r, const uint8_t **p, uint32_t *n)
{
	struct head h;
	unsigned b;

	if (!rd_head(r, &h))
		return 0;
	b = r->p[0];
	if (!((b >= 0xa0 && b < 0xc0) || (b >= 0xc4 && b <= 0xc6) || (b >= 0xd9 && b <= 0xdb)))
		return 0;
	*p = r->p + h.len;
	*n = (uint32_t)h.body;
	r->p += h.len + h.body;
	return 1;
}

int
rd_name(struct rd *r, const char *name)
{
	struct rd save = *r;
	const uint8_t *p;
	uint32_t n;

	if (rd_bytes(r, &p, &n) && n == strlen(name) && memcmp(p, name, n) == 0)
		return 1;
	*r = save;
	return 0;
}

/* ---- writing ------------------------------------------------------------------- */

static uint8_t *
put(uint8_t *p, uint8_t tag, uint64_t v, unsigned n)
{
	*p++ = tag;
	while (n--)
		*p++ = (uint8_t)(v >> (8 * n));
	return p;
}

uint8_t *
wr_array(uint8_t *p, unsigned n)
{
	*p++ = (uint8_t)(0x90 | n);
	return p;
}

uint8_t *
wr_map(uint8_t *p, unsigned n)
{
	*p++ = (uint8_t)(0x80 | n);
	return p;
}

uint8_t *
wr_int(uint8_t *p, int64_t v)
{
	if (v < 0)
		return v >= -32 ? put(p, (uint8_t)v, 0, 0) : put(p, 0xd3, (uint64_t)v, 8);
	if (v < 128)
		return put(p, (uint8_t)v, 0, 0);
	if (v < 0x100)
		return put(p, 0xcc, (uint64_t)v, 1);
	if (v < 0x10000)
		return put(p, 0xcd, (uint64_t)v, 2);
	if (v <= 0xffffffff)
		return put(p, 0xce, (uint64_t)v, 4);
	return put(p, 0xcf, (uint64_t)v, 8);
}

uint8_t *
wr_str(uint8_t *p, const char *s)
{
	size_t n = strlen(s);

	*p++ = (uint8_t)(0xa0 | n);
	memcpy(p, s, n);
	return p + n;
}

uint8_t *
wr_nil(uint8_t *p)
{
	*p++ = 0xc0;
	return p;
}

uint8_t *
wr_bin(uint8_t *p, uint32_t n)
{
	if (n < 0x100)
		return put(p, 0xc4, n, 1);
	if (n < 0x10000)
		return put(p, 0xc5, n, 2);
	return put(p, 0xc6, n, 4);
}
