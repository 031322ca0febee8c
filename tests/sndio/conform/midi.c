/*
 * MIDI: which names open, who hears whom and what, credit as poll shows it, and
 * what a program gets for what it may not do.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conform.h"

extern const char *__progname;

#define BOTH		(MIO_IN | MIO_OUT)

static const unsigned char mark[] = { 0xf3, 0x55 };	/* the end of what was sent */

static struct mio_hdl *
box(unsigned n, unsigned mode, int nbio)
{
	char buf[32];

	snprintf(buf, sizeof(buf), "midithru,%u/%u", unit(), n);
	return mio_open(buf, mode, nbio);
}

/* all that comes up to the mark, which is left out */
static size_t
heard(struct mio_hdl *h, unsigned char *buf, size_t size)
{
	size_t n = 0, got;

	while (n < 2 || memcmp(buf + n - 2, mark, 2) != 0) {
		got = mio_read(h, buf + n, size - n);
		if (got == 0)
			return n;
		n += got;
	}
	return n - 2;
}

static void
say_bytes(const char *key, const unsigned char *p, size_t n)
{
	char hex[1024] = "-";
	size_t i;

	for (i = 0; i < n && i < sizeof(hex) / 2 - 1; i++)
		snprintf(hex + 2 * i, 3, "%02x", p[i]);
	say(key, "bytes=%s", hex);
}

static void
names(void)
{
	static const char *const all[] = { "midithru,%u/0", "midithru,%u/15", "midithru,%u/16", "midithru,%u/0.a",
	    "midithru,%u/", "midithru,%u/x", "snd,%u/default", "snd,%u/left", "snd,%u/0", "snd,%u/0.left",
	    "snd,%u/1", "snd,%u/1.left", "snd,%u/nothing", "snd,%u/7", "midi,%u/0", "midi,%u/15", "midi,%u/16",
	    "midi,%u/x", "mid,%u/0", "thru,%u/0", "midithru@127.0.0.1,%u/0" };
	static const unsigned modes[] = { 0, MIO_OUT, MIO_IN, BOTH };
	struct mio_hdl *h;
	char name[64], key[128];
	size_t i, k;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (k = 0; k < 4; k++) {
			snprintf(name, sizeof(name), all[i], unit());
			h = mio_open(name, modes[k], 0);
			snprintf(key, sizeof(key), all[i], 0);
			strcat(key, k == 0 ? ",none" : k == 1 ? ",out" : k == 2 ? ",in" : ",both");
			say(key, "opened=%s", yes(h != NULL));
			if (h != NULL)
				mio_close(h);
		}
	snprintf(name, sizeof(name), "midithru,%u/3", unit());
	setenv("MIDIDEVICE", name, 1);
	for (i = 0; i < 2; i++) {
		h = mio_open(i ? NULL : MIO_PORTANY, BOTH, 0);
		say(i ? "null" : "any", "opened=%s", yes(h != NULL));
		if (h != NULL)
			mio_close(h);
	}
}

static void
thru(void)
{
	static const unsigned char note[] = { 0x90, 0x3c, 0x40 }, off[] = { 0x80, 0x3c, 0x40 };
	struct mio_hdl *a = box(1, BOTH, 0), *b = box(1, BOTH, 0), *c = box(1, MIO_IN, 0), *d = box(2, BOTH, 0);
	unsigned char buf[64];
	size_t n;

	if (a == NULL || b == NULL || c == NULL || d == NULL)
		return;
	mio_write(a, note, 3);
	mio_write(a, mark, 2);
	n = heard(b, buf, sizeof(buf));
	say_bytes("b", buf, n);
	mio_write(b, off, 3);
	mio_write(b, mark, 2);
	n = heard(a, buf, sizeof(buf));		/* not what it has said itself */
	say_bytes("a", buf, n);
	n = heard(c, buf, sizeof(buf));
	say_bytes("c1", buf, n);
	n = heard(c, buf, sizeof(buf));
	say_bytes("c2", buf, n);
	mio_close(b);
	mio_write(a, note, 3);
	mio_write(a, mark, 2);
	n = heard(c, buf, sizeof(buf));
	say_bytes("c3", buf, n);
	mio_write(d, mark, 2);			/* another box */
	mio_close(a);
	mio_close(c);
	mio_close(d);
}

/* what becomes of each of these */
static void
parse(void)
{
	static const struct {
		const char *name;
		size_t n;
		unsigned char data[40];
	} all[] = {
		{ "note", 3, { 0x90, 0x3c, 0x40 } },
		{ "running", 5, { 0x90, 0x3c, 0x40, 0x3e, 0x40 } },
		{ "running-program", 3, { 0xc0, 1, 2 } },
		{ "voices", 18, { 0x80, 1, 2, 0xa1, 1, 2, 0xb2, 1, 2, 0xc3, 1, 0xd4, 1, 0xef, 1, 2, 0x85, 1 } },
		{ "clock-within", 4, { 0x90, 0x3c, 0xf8, 0x40 } },
		{ "clock-in-sysex", 5, { 0xf0, 1, 0xfa, 2, 0xf7 } },
		{ "sensing", 5, { 0x90, 0xfe, 0x3c, 0x40, 0xfe } },
		{ "undefined-realtime", 3, { 0xf9, 0xfd, 0xff } },
		{ "common", 7, { 0xf1, 1, 0xf2, 1, 2, 0xf3, 3 } },
		{ "tune", 1, { 0xf6 } },
		{ "undefined-common", 4, { 0xf4, 1, 0xf5, 2 } },
		{ "common-running", 4, { 0xf3, 3, 4, 5 } },
		{ "behind-common", 7, { 0x90, 1, 2, 0xf3, 3, 4, 5 } },
		{ "sysex", 6, { 0xf0, 0x7f, 0x7f, 6, 2, 0xf7 } },
		{ "sysex-empty", 2, { 0xf0, 0xf7 } },
		{ "sysex-16", 16, { 0xf0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xf7 } },
		{ "sysex-17", 17, { 0xf0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xf7 } },
		{ "sysex-40", 40, { 0xf0, [39] = 0xf7 } },
		{ "behind-sysex", 8, { 0x90, 1, 2, 0xf0, 1, 0xf7, 3, 4 } },
		{ "lone-end", 6, { 0xf7, 0x90, 1, 2, 3, 4 } },
		{ "cut-off", 5, { 0x90, 1, 0x80, 1, 2 } },
		{ "sysex-cut-off", 6, { 0xf0, 1, 2, 0x90, 1, 2 } },
		{ "long-sysex-cut-off", 33, { 0xf0, [30] = 0x90, 1, 2 } },
		{ "data", 5, { 1, 2, 0x90, 1, 2 } },
	};
	struct mio_hdl *a, *b;
	unsigned char buf[512];
	size_t i, n;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		a = box(3, MIO_OUT, 0);
		b = box(3, MIO_IN, 0);
		if (a == NULL || b == NULL)
			return;
		mio_write(a, all[i].data, all[i].n);
		mio_write(a, mark, 2);
		n = heard(b, buf, sizeof(buf));
		say_bytes(all[i].name, buf, n);
		mio_close(a);
		mio_close(b);
	}
}

static void
long_sysex(void)
{
	static const size_t sizes[] = { 500, 511, 512, 513, 514, 1024, 1025, 5000, 60000 };
	static unsigned char out[60000], in[60010];
	struct mio_hdl *a = box(4, MIO_OUT, 1), *b = box(4, MIO_IN, 1);
	struct pollfd pa, pb;
	size_t i, k, w, r;
	char key[32];

	if (a == NULL || b == NULL)
		return;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (k = 0; k < sizes[i]; k++)
			out[k] = k == 0 ? 0xf0 : k == sizes[i] - 1 ? 0xf7 : (unsigned char)(k * 7 % 127);
		w = r = 0;
		while (r < sizes[i] && !mio_eof(a) && !mio_eof(b)) {
			w += mio_write(a, out + w, sizes[i] - w);
			mio_pollfd(a, &pa, w < sizes[i] ? POLLOUT : 0);
			poll(&pa, 1, 0);
			mio_revents(a, &pa);
			mio_pollfd(b, &pb, POLLIN);
			poll(&pb, 1, w < sizes[i] ? 1 : -1);
			mio_revents(b, &pb);
			r += mio_read(b, in + r, sizeof(in) - r);
		}
		snprintf(key, sizeof(key), "%zu", sizes[i]);
		say(key, "same=%s", yes(r == sizes[i] && memcmp(in, out, r) == 0));
	}
	mio_close(a);
	mio_close(b);
}

static int
polled(struct mio_hdl *h, int events, int ms)
{
	struct pollfd p;
	int n = mio_pollfd(h, &p, events);

	if (poll(&p, (nfds_t)n, ms) < 0)
		return -1;
	return mio_revents(h, &p);
}

static const char *
events(int r)
{
	return r & POLLHUP ? "hup" : r & POLLIN ? r & POLLOUT ? "inout" : "in" : r & POLLOUT ? "out" : "none";
}

static void
credit(void)
{
	static unsigned char many[5000], buf[8192];
	struct mio_hdl *a = box(5, BOTH, 1), *b = box(5, MIO_IN, 1);
	size_t n = 0, w = 0;

	if (a == NULL || b == NULL)
		return;
	memset(many, 0xf8, sizeof(many));
	say("nfds", "n=%d", mio_nfds(a));
	say("before", "wrote=%zu", mio_write(a, many, 1));	/* nothing was taken in yet */
	while (!(polled(a, POLLOUT, -1) & POLLOUT))
		;
	say("open", "poll=%s", events(polled(a, POLLIN | POLLOUT, 0)));
	w = mio_write(a, many, sizeof(many));
	say("first", "wrote=%zu", w);
	say("used", "wrote=%zu", mio_write(a, many, 1));
	while (w < 3 * sizeof(many)) {
		if (polled(a, POLLOUT, 1) & POLLOUT)
			w += mio_write(a, many, 3 * sizeof(many) - w < 5000 ? 3 * sizeof(many) - w : 5000);
		n += mio_read(b, buf, sizeof(buf));
	}
	while (n < w && polled(b, POLLIN, -1) & POLLIN)
		n += mio_read(b, buf, sizeof(buf));
	say("heard", "wrote=%zu heard=%zu", w, n);
	say("quiet", "poll=%s", events(polled(b, POLLIN, 0)));
	say("end", "eof=%d", mio_eof(a) + mio_eof(b));
	mio_close(a);
	mio_close(b);
}

static void
misuse(void)
{
	struct mio_hdl *a = box(6, MIO_OUT, 0), *b = box(6, MIO_IN, 0), *c = box(6, BOTH, 1);
	unsigned char buf[8] = { 0xf8 };

	if (a == NULL || b == NULL || c == NULL)
		return;
	say("nothing", "read=%zu wrote=%zu eof=%d", mio_read(c, buf, 0), mio_write(c, buf, 0), mio_eof(c));
	say("out-reads", "read=%zu eof=%d", mio_read(a, buf, 1), mio_eof(a));
	say("in-writes", "wrote=%zu eof=%d", mio_write(b, buf, 1), mio_eof(b));
	say("dead", "read=%zu wrote=%zu poll=%s", mio_read(b, buf, 1), mio_write(a, buf, 1),
	    events(polled(a, POLLIN | POLLOUT, 0)));
	mio_close(a);
	mio_close(b);
	mio_close(c);
}

/* a reader that has stopped holds up who sends to it; when it goes, that goes on */
static void
slow(void)
{
	static unsigned char many[3000];
	struct mio_hdl *a = box(7, MIO_OUT, 1), *b = box(7, MIO_IN, 1);
	long long n = 0, w;
	int held;

	if (a == NULL || b == NULL)
		return;
	memset(many, 0xf8, sizeof(many));
	do {
		held = !(polled(a, POLLOUT, 500) & POLLOUT);
		w = (long long)mio_write(a, many, sizeof(many));
		n += w;
	} while (!held && n < 4000000);
	say("stopped", "held=%s eof=%d", yes(held), mio_eof(a));
	mio_close(b);
	while (!(polled(a, POLLOUT, -1) & POLLOUT))
		;
	say("gone", "wrote=%s", yes(mio_write(a, many, 100) == 100));
	mio_close(a);
}

/* the server itself at the control port of a sub-device */
static void
control(void)
{
	static const unsigned char dump[] = { 0xf0, 0x7d, 0x7f, 0x23, 0x02, 0xf7 };
	static const unsigned char end[] = { 0xf0, 0x7d, 0x7f, 0x23, 0x03, 0xf7 };
	static const unsigned char master[] = { 0xf0, 0x7f, 0x7f, 4, 1, 0, 100, 0xf7 };
	static const unsigned char full[] = { 0xf0, 0x7f, 0x7f, 4, 1, 0, 127, 0xf7 };
	struct mio_hdl *a = mio_open(name("left"), BOTH, 0), *b = mio_open(name("left"), BOTH, 0);
	unsigned char buf[1024];
	size_t n, r;

	if (a == NULL || b == NULL)
		return;
	mio_write(b, mark, 2);			/* programs there hear each other */
	n = heard(a, buf, sizeof(buf));
	say_bytes("other", buf, n);
	mio_write(b, master, 8);
	mio_write(b, mark, 2);
	n = heard(a, buf, sizeof(buf));
	say_bytes("master", buf, n);
	mio_write(a, dump, 6);
	for (n = 0; n < 6 || memcmp(buf + n - 6, end, 6) != 0; n += r)
		if ((r = mio_read(a, buf + n, sizeof(buf) - n)) == 0)
			break;
	say_bytes("dump-master", buf, n < 8 ? n : 8);
	say("dump", "size=%zu", n);
	mio_write(a, full, 8);
	mio_close(a);
	mio_close(b);
}

/* a program's level, said by MIDI and set by MIDI; its channel depends on who came before it */
static size_t
without_channel(unsigned char *p, size_t n, unsigned *chan)
{
	size_t i;

	for (i = 0; i < n; i++)
		if ((p[i] & 0xf0) == 0xb0) {
			*chan = p[i] & 0x0f;
			p[i] = 0xb0;
		} else if (i >= 5 && memcmp(p + i - 5, "\xf0\x7d\x7f\x23\x01", 5) == 0)
			p[i] = 0;
	return n;
}

static void
levels(void)
{
	struct mio_hdl *a = mio_open(name("mon"), BOTH, 0), *b = mio_open(name("mon"), BOTH, 0);
	unsigned char buf[1024], set[3] = { 0xb0, 7, 64 };
	unsigned chan = 0;
	struct stream s;
	size_t n;

	__progname = "fader";
	if (a == NULL || b == NULL || !stream_ready(&s, "mon", PLAY, seed()))
		return;
	mio_write(b, mark, 2);
	n = without_channel(buf, heard(a, buf, sizeof(buf)), &chan);
	say_bytes("open", buf, n);
	stream_write(&s, s.par.bufsz);
	stream_until(&s, 480);
	sio_setvol(s.h, 100);
	stream_write(&s, 480);
	stream_until(&s, 960);
	mio_write(b, mark, 2);
	n = without_channel(buf, heard(a, buf, sizeof(buf)), &chan);
	say_bytes("setvol", buf, n);
	set[0] = (unsigned char)(0xb0 | chan);
	s.nvol = 0;
	mio_write(b, set, 3);
	while (s.nvol == 0 && !sio_eof(s.h)) {
		stream_write(&s, 480);
		stream_poll(&s, 0, 10);
	}
	say("bymidi", "vol=%d", s.vol);
	mio_write(b, mark, 2);
	n = without_channel(buf, heard(a, buf, sizeof(buf)), &chan);
	say_bytes("other", buf, n);
	stream_close(&s);
	mio_close(a);
	mio_close(b);
}

/* the controls of a thru box, which newer libraries open */
static struct sioctl_desc thru_desc;
static int nthru, nports, nset;

static void
on_desc(void *arg, struct sioctl_desc *d, int val)
{
	char key[64];

	(void)arg;
	if (d == NULL)
		return;
	snprintf(key, sizeof(key), "%s.%s:%s", d->node0.name, d->func, d->node1.name);
	say(key, "type=%d max=%u val=%d group=%s", d->type, d->maxval, val, d->group[0] ? d->group : "-");
	if (strcmp(d->func, "thru") == 0) {
		thru_desc = *d;
		nthru++;
	} else
		nports++;
}

static void
on_val(void *arg, unsigned addr, unsigned val)
{
	(void)arg, (void)val;
	if (addr == thru_desc.addr)
		nset++;
}

static void
thru_set(struct sioctl_hdl *h, unsigned val)
{
	struct pollfd pfd[4];
	int n, before = nset;

	sioctl_setval(h, thru_desc.addr, val);
	while (nset == before && !sioctl_eof(h)) {
		n = sioctl_pollfd(h, pfd, POLLIN);
		if (poll(pfd, (nfds_t)n, -1) >= 0)
			sioctl_revents(h, pfd);
	}
	say("set", "val=%u told=%d eof=%d", val, nset - before, sioctl_eof(h));
}

static void
thru_controls(void)
{
	static const unsigned char note[] = { 0x90, 0x3c, 0x40 }, off[] = { 0x80, 0x3c, 0x40 };
	struct sioctl_hdl *h;
	struct mio_hdl *a, *b;
	unsigned char buf[64];
	char name[64];
	size_t n;

	snprintf(name, sizeof(name), "midithru,%u/9", unit());
	h = sioctl_open(name, SIOCTL_READ | SIOCTL_WRITE, 0);
	say("open", "opened=%s", yes(h != NULL));
	if (h == NULL)
		return;
	sioctl_ondesc(h, on_desc, NULL);
	sioctl_onval(h, on_val, NULL);
	say("all", "thru=%d ports=%d", nthru, nports);
	a = box(9, BOTH, 0);
	b = box(9, BOTH, 0);
	if (nthru == 0 || a == NULL || b == NULL)
		return;
	thru_set(h, 0);
	mio_write(a, note, 3);			/* nobody hears it */
	mio_close(a);				/* and it is over when that returns */
	thru_set(h, 1);
	a = box(9, BOTH, 0);
	if (a == NULL)
		return;
	mio_write(a, off, 3);
	mio_write(a, mark, 2);
	n = heard(b, buf, sizeof(buf));
	say_bytes("heard", buf, n);
	mio_close(a);
	mio_close(b);
	sioctl_close(h);
}

const struct scenario midi_scenarios[] = {
	{ "ctl-thru", thru_controls },
	{ "ctl-midi", levels },
	{ "midi-names", names },
	{ "midi-thru", thru },
	{ "midi-parse", parse },
	{ "midi-long", long_sysex },
	{ "midi-credit", credit },
	{ "midi-misuse", misuse },
	{ "midi-slow", slow },
	{ "midi-control", control },
	{ NULL, NULL }
};
