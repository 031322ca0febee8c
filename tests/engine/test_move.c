/*
 * test_move.c: streams move between devices while their clients write, stop and
 * vanish, and while devices close: with the real threads, under ASan and TSan.
 * What happens to the samples is tests/engine/test_move.py.
 */
#include <sched.h>
#include "live.h"

#define NMOVES	60

static struct stream_par
roomy(uint32_t flags)
{
	struct stream_par p = s16;

	p.flags = flags;
	p.appbufsz = 960;
	p.rmax = p.pmax = 1;
	return p;
}

static void
test_to_and_fro(const char *driver, uint32_t flags)
{
	struct stream_par par = roomy(flags);
	struct world w;
	struct client *c;
	struct seat *t;
	device *d[2];
	int n = 0;

	world_open(&w);
	d[0] = open_device(&w, driver, "", 0, 48, 2);
	d[1] = open_device(&w, driver, "", 0, 96, 2);
	c = client_new(&w);
	t = start(&w, c, 0, d[0], &par, 48 * 48 * 10, 's');
	while (!t->answered) {
		stream *s = w.streams[t->id].s;

		if (n < NMOVES && s && stream_move(s, d[(n + 1) % 2], &par) == 0)
			n++;
		turn(&w);
	}
	CHECK(n > 1);
	released(&w, t);
	world_clear(&w);
	device_close(d[0]);
	device_close(d[1]);
	world_close(&w);
}

/* the client goes, or control ends the stream, at any point of a move */
static void
test_gone_in_mid_move(int how)
{
	struct stream_par par = roomy(STREAM_PLAY | STREAM_REC);
	struct world w;
	device *d[2];

	world_open(&w);
	d[0] = open_device(&w, "loopback", "", 0, 48, 2);
	d[1] = open_device(&w, "loopback", "", 0, 48, 2);
	for (int i = 0; i < 12; i++) {
		struct client *c = client_new(&w);
		struct seat *t = start(&w, c, 0, d[0], &par, INT64_MAX, 0);
		uint32_t id = t->id;

		UNTIL(&w, t->nheard > 0);
		CHECK_EQ(stream_move(w.streams[id].s, d[1], &par), 0);
		for (int k = 0; k < i; k++)
			turn(&w);
		if (how == 0)
			client_kill(c);
		else if (w.streams[id].s)
			CHECK_EQ(conn_end(c->c, 0, NULL, 0), 0);
		UNTIL(&w, w.streams[id].nreleased);
		if (how != 0)
			client_kill(c);
		world_clear(&w);
	}
	device_close(d[0]);
	device_close(d[1]);
	world_close(&w);
}

/* a device closes while streams are on their way to it, or from it */
static void
test_device_closes(int which)
{
	struct stream_par par = roomy(STREAM_PLAY);

	for (int i = 0; i < 8; i++) {
		struct world w;
		struct client *c;
		struct seat *t;
		device *d[2];

		world_open(&w);
		d[0] = open_device(&w, "null", "", 0, 48, 2);
		d[1] = open_device(&w, "null", "", 0, 48, 2);
		c = client_new(&w);
		t = start(&w, c, 0, d[0], &par, INT64_MAX, 0);
		UNTIL(&w, t->pos >= 480);
		CHECK_EQ(stream_move(w.streams[t->id].s, d[1], &par), 0);
		for (int k = 0; k < i; k++)
			turn(&w);
		device_close(d[which]);
		if (w.streams[t->id].s && !w.streams[t->id].nended)
			client_kill(c);
		released(&w, t);
		world_clear(&w);
		device_close(d[1 - which]);
		world_close(&w);
	}
}

/* the connection is closed and freed before control has seen that its stream left the old device */
static void
test_freed_in_mid_move(const struct tongue *tongue)
{
	struct stream_par par = roomy(STREAM_PLAY);
	static uint8_t buf[MSG_MAX];
	struct client *c, *other;
	struct pollfd p;
	struct event ev;
	struct world w;
	struct seat *t;
	device *d[2];
	uint32_t id;

	world_open(&w);
	d[0] = open_device(&w, "manual", "", 0, 48, 2);
	d[1] = open_device(&w, "manual", "", 0, 48, 2);
	c = client_speaks(&w, tongue);
	other = client_speaks(&w, &sndio);
	par.round = 48;
	t = start(&w, c, 0, d[0], &par, INT64_MAX, 0);
	id = t->id;
	for (int i = 0; i < 10; i++) {
		settle(&w);
		device_step(d[0], 1);
	}
	settle(&w);
	w.held = 1;				/* control takes no events */
	CHECK_EQ(stream_move(w.streams[id].s, d[1], &par), 0);
	device_step(d[0], 15);			/* it fades and leaves */
	CHECK_EQ(shutdown(c->fd, SHUT_WR), 0);
	UNTIL(&w, c->eof);			/* the pump has closed it */
	while (c->c)				/* its end of the socket goes first, then the word */
		if (engine_next(w.e, &ev, buf, sizeof(buf)))
			event(&w, &ev, buf);
		else
			sched_yield();
	CHECK_EQ(conn_send(other->c, buf, sndio_msg(buf, SNDIO_ACK, UINT32_MAX)), 0);
	UNTIL(&w, other->nothers == 1);		/* the pump has done with it */
	w.held = 0;
	p = (struct pollfd){ engine_fd(w.e), POLLIN, 0 };
	(void)poll(&p, 1, 0);
	while (engine_next(w.e, &ev, buf, sizeof(buf)))
		event(&w, &ev, buf);
	for (int i = 0; !w.streams[id].nreleased; i++) {
		CHECK(i < 100);
		device_step(d[1], 1);
		settle(&w);
	}
	clients_clear(&w);
	device_close(d[0]);
	device_close(d[1]);
	world_clear(&w);
	world_close(&w);
}

int
main(void)
{
	signal(SIGALRM, too_long);
	alarm(240);
	RUN(test_to_and_fro("null", STREAM_PLAY));
	RUN(test_to_and_fro("loopback", STREAM_PLAY | STREAM_REC));
	RUN(test_gone_in_mid_move(0));
	RUN(test_gone_in_mid_move(1));
	RUN(test_freed_in_mid_move(&native));
	RUN(test_freed_in_mid_move(&sndio));
	RUN(test_device_closes(0));
	RUN(test_device_closes(1));
	CHECK_DONE();
}
