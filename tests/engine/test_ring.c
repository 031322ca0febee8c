/*
 * test_ring.c: every queue of ring.h between two real threads: nothing is
 * lost, doubled, reordered or torn, however full or empty the queue is.
 *
 * Producer and consumer run freely, each with its own seeded sizes; the checks
 * are made by the consumer, in main.  Under TSan a missing order is a report.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include "check.h"
#include "ring.h"

static uint32_t
rnd(uint32_t *seed)		/* xorshift32 */
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	return *seed ^= *seed << 5;
}

static void
in_thread(void *(*run)(void *), void *arg, pthread_t *pt)
{
	CHECK_EQ(pthread_create(pt, NULL, run, arg), 0);
}

/* ---- frames ------------------------------------------------------------------ */

#define NFRAMES	300000
#define FRAME	6			/* bytes: no power of two */

static uint8_t
frame_byte(int64_t i, int b)
{
	return (uint8_t)((uint64_t)i * 2654435761u >> (8 * (b % 4)) ^ (unsigned)b);
}

static void *
frame_writer(void *arg)
{
	struct fring *f = arg;
	uint8_t buf[97 * FRAME];
	uint32_t seed = 1;

	for (int64_t at = 0; at < NFRAMES;) {
		uint32_t n = rnd(&seed) % 98, room = fring_room(f);

		n = n > room ? room : n;
		if (n > NFRAMES - at)
			n = (uint32_t)(NFRAMES - at);
		for (uint32_t i = 0; i < n * FRAME; i++)
			buf[i] = frame_byte(at + i / FRAME, (int)(i % FRAME));
		fring_put(f, buf, n);
		at += n;
		if (n == 0)
			sched_yield();
	}
	return NULL;
}

static void
test_frames(uint32_t cap)
{
	struct fring f = { .cap = cap, .frame = FRAME };
	uint8_t buf[97 * FRAME];
	uint32_t seed = 2;
	int64_t at = 0, wrong = 0, over = 0;
	pthread_t pt;

	f.data = malloc((size_t)cap * FRAME);	/* exactly: ASan sees a span too long */
	CHECK(f.data != NULL);
	in_thread(frame_writer, &f, &pt);
	while (at < NFRAMES) {
		uint32_t n = rnd(&seed) % 98, used = fring_used(&f);

		over += used > cap;
		n = n > used ? used : n;
		if (n > 0 && rnd(&seed) % 8 == 0) {
			fring_drop(&f, n);
			at += n;
			continue;
		}
		fring_get(&f, buf, n);
		for (uint32_t i = 0; i < n * FRAME; i++)
			wrong += buf[i] != frame_byte(at + i / FRAME, (int)(i % FRAME));
		at += n;
		if (n == 0)
			sched_yield();
	}
	pthread_join(pt, NULL);
	CHECK_EQ(wrong, 0);
	CHECK_EQ(over, 0);
	CHECK_EQ(fring_used(&f), 0);
	CHECK_EQ(fring_room(&f), cap);
	free(f.data);
}

/* ---- events of a device ---------------------------------------------------------- */

#define NEVENTS	200000

static void *
event_writer(void *arg)
{
	struct evring *q = arg;

	for (uint32_t i = 0; i < NEVENTS; i++) {
		struct event ev = { .type = i % 13, .id = i, .a = -(int64_t)i, .e = (int64_t)i << 20 };

		while (!evring_put(q, &ev, 1))
			sched_yield();
	}
	return NULL;
}

static void
test_events(void)
{
	struct evring *q = aligned_alloc(64, sizeof(*q));
	struct event ev = { 0 };
	long wrong = 0;
	pthread_t pt;
	uint32_t n;

	CHECK(q != NULL);
	memset(q, 0, sizeof(*q));
	CHECK_EQ(evring_get(q, &ev), 0);
	for (n = 0; evring_put(q, &ev, 0); n++)
		;
	CHECK_EQ(n, EVRING_SIZE / 2);		/* what may be lost leaves half */
	for (; evring_put(q, &ev, 1); n++)
		;
	CHECK_EQ(n, EVRING_SIZE);
	while (evring_get(q, &ev))
		n--;
	CHECK_EQ(n, 0);

	atomic_store(&q->w, UINT32_MAX - 5);	/* the counters wrap */
	atomic_store(&q->r, UINT32_MAX - 5);
	in_thread(event_writer, q, &pt);
	for (n = 0; n < NEVENTS;) {
		if (!evring_get(q, &ev)) {
			sched_yield();
			continue;
		}
		wrong += ev.id != n || ev.type != n % 13 || ev.a != -(int64_t)n || ev.e != (int64_t)n << 20;
		n++;
	}
	pthread_join(pt, NULL);
	CHECK_EQ(wrong, 0);
	CHECK_EQ(evring_get(q, &ev), 0);
	free(q);
}

/* ---- messages of the pump ------------------------------------------------------------- */

#define NMESSAGES	30000

static uint32_t
message_len(uint32_t i, uint32_t *seed)
{
	uint32_t x = rnd(seed);

	return i % 5 == 0 ? 0 : i % 977 == 0 ? MSG_MAX - x % 8 : x % 300;
}

static void *
message_writer(void *arg)
{
	static uint8_t buf[MSG_MAX];
	struct msgring *q = arg;
	uint32_t seed = 3;

	for (uint32_t i = 0; i < NMESSAGES; i++) {
		struct event ev = { .type = EV_MESSAGE, .id = i, .len = message_len(i, &seed) };

		for (uint32_t k = 0; k < ev.len; k++)
			buf[k] = (uint8_t)(i * 31 + k * 7);
		while (!msgring_put(q, &ev, ev.len ? buf : NULL))
			sched_yield();
	}
	return NULL;
}

static void
test_messages(void)
{
	struct msgring q = { .data = malloc(MSGRING_SIZE) };
	uint8_t *buf = malloc(MSG_MAX);
	uint32_t seed = 3, n = 0, most;
	struct event ev = { .type = EV_MESSAGE, .len = MSG_MAX };
	long wrong = 0;
	pthread_t pt;

	CHECK(q.data != NULL && buf != NULL);
	memset(buf, 0, MSG_MAX);
	while (msgring_put(&q, &ev, buf))
		n++;
	CHECK(n >= 8);				/* several of the largest */
	ev.len = 0;
	for (most = 0; msgring_put(&q, &ev, NULL); most++)
		;
	CHECK(most >= MSGRING_KEEP / sizeof(ev));	/* events without payload still had room */
	for (uint32_t i = 0; i < n + most; i++) {
		CHECK_EQ(msgring_get(&q, &ev, buf, MSG_MAX), 1);
		CHECK_EQ(ev.len, i < n ? MSG_MAX : 0);
	}
	CHECK_EQ(msgring_get(&q, &ev, buf, MSG_MAX), 0);

	in_thread(message_writer, &q, &pt);
	for (n = 0; n < NMESSAGES;) {
		if (!msgring_get(&q, &ev, buf, MSG_MAX)) {
			sched_yield();
			continue;
		}
		wrong += ev.id != n || ev.len != message_len(n, &seed);
		for (uint32_t k = 0; k < ev.len; k++)
			wrong += buf[k] != (uint8_t)(n * 31 + k * 7);
		n++;
	}
	pthread_join(pt, NULL);
	CHECK_EQ(wrong, 0);

	/* a reader with too small a buffer loses that payload and nothing else */
	ev = (struct event){ .type = EV_MESSAGE, .id = 1, .len = 40 };
	CHECK(msgring_put(&q, &ev, buf));
	ev.id = 2;
	ev.len = 4;
	CHECK(msgring_put(&q, &ev, "abcd"));
	CHECK_EQ(msgring_get(&q, &ev, buf, 8), 1);
	CHECK_EQ(ev.len, 40);
	CHECK_EQ(msgring_get(&q, &ev, buf, 8), 1);
	CHECK(ev.id == 2 && memcmp(buf, "abcd", 4) == 0);
	free(buf);
	free(q.data);
}

/* ---- commands: there by one queue, their memory back by another --------------------------- */

#define NCOMMANDS	100000

struct road {
	struct cmdq there, back;
	long wrong;			/* consumer's, read after the join */
};

static void *
command_reader(void *arg)
{
	struct road *q = arg;
	struct cmd *c, *old;

	for (uint32_t n = 0; n < NCOMMANDS;) {
		c = cmdq_get(&q->there, &old);
		if (c == NULL) {
			sched_yield();
			continue;
		}
		cmdq_put(&q->back, old);
		q->wrong += c->number != n || c->len != n % 17;
		for (uint32_t k = 0; k < c->len; k++)
			q->wrong += c->data[k] != (uint8_t)(n + k);
		n++;
	}
	return NULL;
}

static void
test_commands(void)
{
	struct road q = { .wrong = 0 };
	struct cmd *c, *old;
	long freed = 0;
	pthread_t pt;

	cmdq_init(&q.there, calloc(1, sizeof(struct cmd)));
	cmdq_init(&q.back, calloc(1, sizeof(struct cmd)));
	in_thread(command_reader, &q, &pt);
	for (uint32_t n = 0; n < NCOMMANDS; n++) {
		while (cmdq_get(&q.back, &old) != NULL) {	/* as the pump's control side does */
			free(old);
			freed++;
		}
		c = malloc(sizeof(*c) + n % 17);
		CHECK(c != NULL);
		c->number = n;
		c->len = n % 17;
		for (uint32_t k = 0; k < c->len; k++)
			c->data[k] = (uint8_t)(n + k);
		cmdq_put(&q.there, c);
	}
	pthread_join(pt, NULL);
	CHECK_EQ(q.wrong, 0);
	while (cmdq_get(&q.back, &old) != NULL) {
		free(old);
		freed++;
	}
	CHECK_EQ(freed, NCOMMANDS);	/* all but the two that the queues stand on */
	free(q.there.head);
	free(q.back.head);
}

int
main(void)
{
	test_frames(480);
	test_frames(97);
	test_frames(1);
	test_events();
	test_messages();
	test_commands();
	CHECK_DONE();
}
