/*
 * test_msg.c: the pump's knowledge of MessagePack against a plain recursive
 * reading of the specification, for every spelling, split anywhere, and for
 * bytes that are nothing at all.
 *
 * Every input lies in a heap block of exactly its size, so that ASan stops the
 * first read behind it.  One thread.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "api.h"
#include "check.h"
#include "msg.h"

static uint32_t seed = 12345;

static uint32_t
rnd(uint32_t n)			/* 0 .. n - 1 */
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % n;
}

/* ---- writing any spelling, by the specification alone ------------------------------ */

struct out {
	uint8_t b[MSG_MAX + 65536];
	size_t n;
};

static void
byte(struct out *o, unsigned v)
{
	o->b[o->n++] = (uint8_t)v;
}

static void
number(struct out *o, unsigned tag, uint64_t v, int bytes)
{
	byte(o, tag);
	while (bytes-- > 0)
		byte(o, (unsigned)(v >> (8 * bytes)) & 255);
}

static void
fill(struct out *o, size_t n)
{
	while (n-- > 0)
		byte(o, rnd(256));
}

static void
value(struct out *o, int depth)	/* one random value; depth: containers that may still nest */
{
	static const uint8_t fixed[] = { 4, 8, 1, 2, 4, 8, 1, 2, 4, 8 };
	uint32_t k = rnd(depth > 0 ? 16 : 12), n = rnd(4), w;

	switch (k) {
	case 0:
		byte(o, rnd(128));
		break;
	case 1:
		byte(o, 0xe0 + rnd(32));
		break;
	case 2:
		byte(o, 0xc0);
		break;
	case 3:
		byte(o, 0xc2 + rnd(2));
		break;
	case 4:
	case 5:
		w = rnd(10);
		byte(o, 0xca + w);
		fill(o, fixed[w]);
		break;
	case 6:
		n = rnd(32);
		byte(o, 0xa0 + n);
		fill(o, n);
		break;
	case 7:				/* str 8 16 32 */
		n = rnd(70);
		w = rnd(3);
		number(o, 0xd9 + w, n, 1 << w);
		fill(o, n);
		break;
	case 8:				/* bin 8 16 32 */
		n = rnd(70);
		w = rnd(3);
		number(o, 0xc4 + w, n, 1 << w);
		fill(o, n);
		break;
	case 9:				/* ext 8 16 32 */
		n = rnd(70);
		w = rnd(3);
		number(o, 0xc7 + w, n, 1 << w);
		fill(o, n + 1);
		break;
	case 10:
	case 11:			/* fixext */
		w = rnd(5);
		byte(o, 0xd4 + w);
		fill(o, 1 + (1u << w));
		break;
	case 12:
	case 13:			/* arrays */
		w = rnd(3);
		if (w == 0)
			byte(o, 0x90 + n);
		else
			number(o, 0xdb + w, n, w == 1 ? 2 : 4);
		while (n-- > 0)
			value(o, depth - 1);
		break;
	default:			/* maps */
		w = rnd(3);
		if (w == 0)
			byte(o, 0x80 + n);
		else
			number(o, 0xdd + w, n, w == 1 ? 2 : 4);
		for (n *= 2; n > 0; n--)
			value(o, depth - 1);
	}
}

static void
message(struct out *o, int depth)
{
	uint32_t n = 3 + rnd(2);

	o->n = 0;
	switch (rnd(3)) {
	case 0:
		byte(o, 0x90 + n);
		break;
	case 1:
		number(o, 0xdc, n, 2);
		break;
	default:
		number(o, 0xdd, n, 4);
	}
	while (n-- > 0)
		value(o, depth - 1);
}

/* ---- reading by the specification, recursively: bytes of the value, 0 short, -1 not one ---- */

static long
reference(const uint8_t *p, size_t len)
{
	static const uint8_t fixed[] = { 4, 8, 1, 2, 4, 8, 1, 2, 4, 8 };
	uint64_t kids = 0, body = 0, v = 0;
	size_t head = 1, at, wide = 0;
	unsigned b;

	if (len == 0)
		return 0;
	b = p[0];
	if (b == 0xc1)
		return -1;
	if (b >= 0xc4 && b <= 0xc9)
		wide = (size_t)1 << ((b - 0xc4) % 3);
	else if (b >= 0xd9 && b <= 0xdb)
		wide = (size_t)1 << (b - 0xd9);
	else if (b >= 0xdc && b <= 0xdf)
		wide = b & 1 ? 4 : 2;
	if (len < 1 + wide)
		return 0;
	for (size_t i = 0; i < wide; i++)
		v = v << 8 | p[1 + i];
	head += wide;
	if (b >= 0x80 && b < 0x90)
		kids = 2 * (b & 15u);
	else if (b >= 0x90 && b < 0xa0)
		kids = b & 15u;
	else if (b >= 0xa0 && b < 0xc0)
		body = b & 31u;
	else if (b >= 0xc4 && b <= 0xc9)
		body = v + (b >= 0xc7);
	else if (b >= 0xca && b <= 0xd3)
		body = fixed[b - 0xca];
	else if (b >= 0xd4 && b <= 0xd8)
		body = 1 + (1u << (b - 0xd4));
	else if (b >= 0xd9 && b <= 0xdb)
		body = v;
	else if (b >= 0xdc && b <= 0xdf)
		kids = v * (b >= 0xde ? 2 : 1);
	if (body > len - head)
		return 0;
	at = head + (size_t)body;
	while (kids-- > 0) {
		long n = reference(p + at, len - at);

		if (n <= 0)
			return n;
		at += (size_t)n;
	}
	return (long)at;
}

/* ---- the scanner over heap blocks of exactly the size of what has come ---------------------- */

static uint8_t *
exactly(const uint8_t *p, size_t n)
{
	uint8_t *q = malloc(n ? n : 1);

	CHECK(q != NULL);
	memcpy(q, p, n);
	return q;
}

static long
whole(const uint8_t *p, size_t n)
{
	uint8_t *q = exactly(p, n);
	struct scan s = { 0 };
	long rc = scan_next(&s, q, n);

	free(q);
	return rc;
}

/* first answer that is not "more", when `step` more bytes come at a time */
static long
pieces(const uint8_t *p, size_t n, size_t step)
{
	struct scan s = { 0 };
	long rc = 0;

	for (size_t k = 0; k <= n && rc == 0; k = k == n ? n + 1 : k + step > n ? n : k + step) {
		uint8_t *q = exactly(p, k);

		rc = scan_next(&s, q, k);
		free(q);
	}
	return rc;
}

static void
test_random_messages(void)
{
	static struct out o;
	size_t n;

	for (int i = 0; i < 4000; i++) {
		message(&o, 2 + (int)rnd(6));
		n = o.n;
		fill(&o, rnd(20));		/* the next message has begun */
		CHECK_EQ(reference(o.b, o.n), n);
		CHECK_EQ(whole(o.b, o.n), n);
		CHECK_EQ(whole(o.b, n - 1), 0);
		if (n < 400)
			CHECK_EQ(pieces(o.b, o.n, 1), n);
		CHECK_EQ(pieces(o.b, o.n, 1 + rnd(50)), n);
	}
}

/* anything that is not a message: the same answer in pieces, nothing read outside */
static void
test_garbage(void)
{
	static struct out o;
	long rc;

	for (int i = 0; i < 30000; i++) {
		o.n = 0;
		if (rnd(4) > 0)
			byte(&o, 0x93 + rnd(2));	/* most get past the door */
		fill(&o, rnd(80));
		rc = whole(o.b, o.n);
		CHECK(rc <= (long)o.n && rc >= -PROTO_SIZE);
		CHECK_EQ(pieces(o.b, o.n, 1), rc);
		if (rc > 0)
			CHECK_EQ(reference(o.b, o.n), rc);
		if (rc == -PROTO_FORMAT)
			CHECK(reference(o.b, o.n) <= 0 || o.b[0] < 0x93 || o.b[0] > 0x94);
	}
	for (int i = 0; i < 20000; i++) {	/* one byte of a valid message changed */
		message(&o, 5);
		o.b[rnd((uint32_t)o.n)] = (uint8_t)rnd(256);
		rc = whole(o.b, o.n);
		CHECK(rc <= (long)o.n && rc >= -PROTO_SIZE);
		if (o.n < 200)
			CHECK_EQ(pieces(o.b, o.n, 1), rc);
		if (rc > 0)
			CHECK_EQ(reference(o.b, o.n), rc);
	}
}

static void
test_door(void)			/* only arrays of 3 or 4 come in */
{
	for (unsigned b = 0; b < 256; b++) {
		uint8_t m[32] = { (uint8_t)b };
		long rc = whole(m, sizeof(m));
		int array = b == 0x93 || b == 0x94;

		CHECK_EQ(rc, array ? (long)(b - 0x90 + 1) : -PROTO_FORMAT);
	}
	CHECK_EQ(whole((const uint8_t *)"\xdc\0\3\0\0\0", 6), 6);
	CHECK_EQ(whole((const uint8_t *)"\xdd\0\0\0\4\0\0\0\0", 9), 9);
	CHECK_EQ(whole((const uint8_t *)"\xdc\0\2\0\0\0", 6), -PROTO_FORMAT);
	CHECK_EQ(whole((const uint8_t *)"\xdd\0\0\0\5\0\0\0\0\0", 10), -PROTO_FORMAT);
	CHECK_EQ(whole((const uint8_t *)"\xde\0\3\0\0\0\0\0\0", 9), -PROTO_FORMAT);
	CHECK_EQ(whole((const uint8_t *)"\x93\0\0\xc1", 4), -PROTO_FORMAT);
	CHECK_EQ(whole((const uint8_t *)"\x93", 1), 0);
	CHECK_EQ(whole((const uint8_t *)"", 0), 0);
}

static size_t
nest(struct out *o, int depth, unsigned tag)	/* depth containers, the innermost empty */
{
	static const char heads[][6] = { "\x91", "\xdc\0\1", "\xdd\0\0\0\1", "\x81\0", "\xde\0\1\0" };
	static const char empty[][6] = { "\x90", "\xdc\0\0", "\xdd\0\0\0\0", "\x80", "\xde\0\0" };
	static const size_t heads_n[] = { 1, 3, 5, 2, 4 }, empty_n[] = { 1, 3, 5, 1, 3 };

	o->n = 0;
	byte(o, 0x93);
	byte(o, 2);
	byte(o, 0xc0);
	for (int d = 2; d < depth; d++)
		for (size_t i = 0; i < heads_n[tag]; i++)
			byte(o, (uint8_t)heads[tag][i]);
	for (size_t i = 0; i < empty_n[tag]; i++)
		byte(o, (uint8_t)empty[tag][i]);
	return o->n;
}

static void
test_depth(void)
{
	static struct out o;

	for (unsigned tag = 0; tag < 5; tag++) {
		size_t n = nest(&o, MSG_DEPTH, tag);

		CHECK_EQ(whole(o.b, n), n);
		CHECK_EQ(pieces(o.b, n, 1), n);
		n = nest(&o, MSG_DEPTH + 1, tag);
		CHECK_EQ(whole(o.b, n), -PROTO_DEPTH);
		CHECK_EQ(pieces(o.b, n, 1), -PROTO_DEPTH);
	}
	o.n = 0;			/* a bomb is refused at the first container too deep */
	byte(&o, 0x93);
	while (o.n < 60000)
		byte(&o, 0x91);
	CHECK_EQ(whole(o.b, MSG_DEPTH + 1), -PROTO_DEPTH);
	CHECK_EQ(whole(o.b, MSG_DEPTH), 0);
	CHECK_EQ(whole(o.b, o.n), -PROTO_DEPTH);
}

static void
test_size(void)
{
	static struct out o;
	static const struct {
		unsigned tag;
		int wide;
	} big[] = { { 0xc6, 4 }, { 0xc9, 4 }, { 0xdb, 4 }, { 0xdd, 4 }, { 0xdf, 4 } };

	for (size_t i = 0; i < sizeof(big) / sizeof(*big); i++) {
		static const uint64_t sizes[] = { MSG_MAX, 0x7fffffff, 0x80000000, 0xffffffff };

		for (size_t k = 0; k < 4; k++) {	/* refused by what the head says, before a byte of it came */
			o.n = 0;
			byte(&o, 0x93);
			byte(&o, 2);
			number(&o, big[i].tag, sizes[k], big[i].wide);
			if (big[i].tag == 0xc9)
				byte(&o, 1);	/* its type belongs to the head */
			CHECK_EQ(whole(o.b, o.n), -PROTO_SIZE);
			CHECK_EQ(pieces(o.b, o.n, 1), -PROTO_SIZE);
			CHECK_EQ(whole(o.b, o.n - 1), 0);
		}
	}
	/* 93 02 00 bin32: 8 bytes, then the body */
	for (uint32_t body = MSG_MAX - 8; body <= MSG_MAX - 7; body++) {
		o.n = 0;
		byte(&o, 0x93);
		byte(&o, 2);
		byte(&o, 0);
		number(&o, 0xc6, body, 4);
		fill(&o, body);
		CHECK_EQ(whole(o.b, o.n), body == MSG_MAX - 8 ? (long)MSG_MAX : -PROTO_SIZE);
		CHECK_EQ(pieces(o.b, o.n, 997), body == MSG_MAX - 8 ? (long)MSG_MAX : -PROTO_SIZE);
	}
	/* the largest message ends in heads, not in a body: byte by byte it is as good */
	for (size_t total = MSG_MAX; total <= MSG_MAX + 1; total++) {
		long want = total == MSG_MAX ? (long)MSG_MAX : -PROTO_SIZE;
		struct scan s = { 0 };
		long rc = 0;

		o.n = 0;
		byte(&o, 0x93);
		byte(&o, 2);
		number(&o, 0xdb, MSG_MAX - 60, 4);
		fill(&o, MSG_MAX - 60);
		number(&o, 0xdc, (uint64_t)(total - o.n - 3), 2);
		while (o.n < total)
			byte(&o, 1);
		CHECK_EQ(reference(o.b, o.n), total);
		CHECK_EQ(whole(o.b, o.n), want);
		for (size_t k = 0; k <= o.n && rc == 0; k++)
			rc = scan_next(&s, o.b, k);
		CHECK_EQ(rc, want);
	}
	/* many small containers that together declare more than there may be */
	o.n = 0;
	byte(&o, 0x93);
	for (int i = 0; i < MSG_DEPTH - 1; i++)
		number(&o, 0xdc, 60000, 2);
	while (o.n < MSG_MAX + 16)
		byte(&o, 0);
	CHECK_EQ(whole(o.b, o.n), -PROTO_SIZE);
	CHECK_EQ(pieces(o.b, o.n, 4096), -PROTO_SIZE);
}

/*
 * The cost of a message that comes byte by byte, in heads: each call starts at
 * the first value that is not all there and looks at no value before it.
 * Poisoning what has been understood proves it: the answer stays the same.
 */
static void
test_no_second_look(void)
{
	static struct out o;
	struct scan s;
	long rc;

	for (int i = 0; i < 300; i++) {
		size_t seen = 0, n;

		message(&o, 6);
		n = o.n;
		s = (struct scan){ 0 };
		rc = 0;
		for (size_t k = 1; k <= n && rc == 0; k++) {
			rc = scan_next(&s, o.b, k);
			CHECK(s.off >= seen && s.off <= k);
			seen = s.off;
			memset(o.b + 1, 0xc1, seen > 1 ? seen - 1 : 0);	/* 0xc1 is never valid */
		}
		CHECK_EQ(rc, n);
	}
}

/* ---- readers ------------------------------------------------------------------------------------- */

static void
test_readers(void)
{
	static struct out o;
	const uint8_t *p;
	uint64_t v;
	uint32_t n;

	for (int i = 0; i < 30000; i++) {	/* any value, cut anywhere: a reader goes forth or stays */
		uint8_t *q;
		struct rd r, at;
		size_t len, there;
		int ok;

		o.n = 0;
		value(&o, 3);
		len = o.n;
		there = rnd(3) == 0 ? rnd((uint32_t)len) : len;
		q = exactly(o.b, there);
		at = (struct rd){ q, q + there };
		r = at;
		ok = rd_uint(&r, &v);
		CHECK_EQ(ok, r.p != at.p);
		CHECK(r.p <= r.end);
		r = at;
		ok = rd_bytes(&r, &p, &n);
		CHECK_EQ(ok, r.p != at.p);
		CHECK(r.p <= r.end && (!ok || (p + n == r.p && r.p == q + len)));
		r = at;
		ok = rd_array(&r, &n);
		CHECK_EQ(ok, r.p != at.p);
		r = at;
		ok += rd_map(&r, &n);
		CHECK(ok < 2 && r.p <= r.end);
		r = at;
		CHECK_EQ(rd_name(&r, "stop"), r.p != at.p);
		free(q);
	}
}

static int
reads_uint(const char *bytes, size_t n, uint64_t want)
{
	uint8_t *q = exactly((const uint8_t *)bytes, n);
	struct rd r = { q, q + n };
	uint64_t v = 0;
	int ok = rd_uint(&r, &v) && v == want && r.p == r.end;

	free(q);
	return ok;
}

static void
test_spellings(void)
{
	static struct out o;
	static const uint64_t values[] = { 0, 1, 127 };
	static const char *const names[] = { "write", "stop", "" };

	for (size_t i = 0; i < 3; i++)
		for (unsigned w = 0; w < 4; w++) {
			o.n = 0;
			number(&o, 0xcc + w, values[i], 1 << w);
			CHECK(reads_uint((char *)o.b, o.n, values[i]));
			o.n = 0;
			number(&o, 0xd0 + w, values[i], 1 << w);
			CHECK(reads_uint((char *)o.b, o.n, values[i]));
		}
	CHECK(reads_uint("\x7f", 1, 127));
	CHECK(reads_uint("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, UINT64_MAX));
	CHECK(reads_uint("\xd3\x7f\xff\xff\xff\xff\xff\xff\xff", 9, INT64_MAX));
	CHECK(!reads_uint("\xff", 1, UINT64_MAX));
	CHECK(!reads_uint("\xd0\xff", 2, 255));
	CHECK(!reads_uint("\xd1\x80\0", 3, 32768));
	CHECK(!reads_uint("\xd3\xff\xff\xff\xff\xff\xff\xff\xff", 9, UINT64_MAX));
	CHECK(!reads_uint("\xca\0\0\0\0", 5, 0));	/* a float is no integer */
	for (size_t i = 0; i < 3; i++) {
		size_t len = strlen(names[i]);

		for (unsigned k = 0; k < 7; k++) {
			uint8_t *q;
			struct rd r;

			o.n = 0;
			if (k == 0)
				byte(&o, 0xa0 + (unsigned)len);
			else if (k < 4)
				number(&o, 0xd8 + k, len, 1 << (k - 1));
			else
				number(&o, 0xc0 + k, len, 1 << (k - 4));
			memcpy(o.b + o.n, names[i], len);
			o.n += len;
			q = exactly(o.b, o.n);
			r = (struct rd){ q, q + o.n };
			CHECK(!rd_name(&r, "writes") && !rd_name(&r, "writ") && r.p == q);
			CHECK(rd_name(&r, names[i]) && r.p == r.end);
			free(q);
		}
	}
}

/* ---- writers: shortest spelling, read back by the reference and our readers ------------------------ */

static void
test_writers(void)
{
	static const int64_t ints[] = { 0, 1, 127, 128, 255, 256, 65535, 65536, 0xffffffff, 0x100000000,
	    INT64_MAX, -1, -32, -33, -128, -32769, INT64_MIN };
	static const int lens[] = { 1, 1, 1, 2, 2, 3, 3, 5, 5, 9, 9, 1, 1, 9, 9, 9, 9 };
	uint8_t b[64], *e;

	for (size_t i = 0; i < sizeof(ints) / sizeof(*ints); i++) {
		e = wr_int(b, ints[i]);
		CHECK_EQ(e - b, lens[i]);
		CHECK_EQ(reference(b, (size_t)(e - b)), lens[i]);
		CHECK_EQ(reads_uint((char *)b, (size_t)(e - b), (uint64_t)ints[i]), ints[i] >= 0);
	}
	CHECK(b[0] == 0xd3 && b[1] == 0x80 && b[8] == 0);
	for (uint32_t n = 0; n < 70000; n += n < 300 ? 1 : 8191) {
		struct rd r;
		const uint8_t *p;
		uint8_t *big = calloc(1, n + 5);
		uint32_t got;

		CHECK(big != NULL);
		e = wr_bin(big, n);
		CHECK_EQ(e - big, n < 256 ? 2 : n < 65536 ? 3 : 5);
		r = (struct rd){ big, e + n };
		CHECK(rd_bytes(&r, &p, &got) && got == n && p == e);
		free(big);
	}
	e = wr_nil(wr_str(wr_map(wr_array(b, 15), 15), "a name of thirty-one characters"));
	CHECK_EQ(e - b, 1 + 1 + 32 + 1);
	CHECK(b[0] == 0x9f && b[1] == 0x8f && b[2] == 0xbf && e[-1] == 0xc0);
}

int
main(void)
{
	test_random_messages();
	test_garbage();
	test_door();
	test_depth();
	test_size();
	test_no_second_look();
	test_readers();
	test_spellings();
	test_writers();
	CHECK_DONE();
}
