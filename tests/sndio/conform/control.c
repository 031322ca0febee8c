/*
 * Controls: what sioctl_ondesc and sioctl_onval tell, what sioctl_setval does, and
 * what they have to do with streams.
 *
 * A control is named GROUP/NODE.FUNC:ELEMENT, as sndioctl writes it but for the
 * brackets.  Descriptors come in an order of the server's, so lines are sorted.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conform.h"

#define NCTL		64
#define MANY		12			/* more than any sndiod has */

extern const char *__progname;

struct ctl {
	struct sioctl_desc desc;
	int val;
};

struct desk {
	struct sioctl_hdl *h;
	struct ctl ctls[NCTL];
	int nctl, nsync, ndesc, ngone, nval;
	unsigned addr, val;			/* last one told */
};

static void
on_desc(void *arg, struct sioctl_desc *d, int val)
{
	struct desk *k = arg;
	int i;

	if (d == NULL) {
		k->nsync++;
		return;
	}
	k->ndesc++;
	for (i = 0; i < k->nctl && k->ctls[i].desc.addr != d->addr; i++)
		;
	if (d->type == SIOCTL_NONE) {
		k->ngone++;
		if (i < k->nctl)
			k->ctls[i] = k->ctls[--k->nctl];
		return;
	}
	if (i == NCTL)
		return;
	if (i == k->nctl)
		k->nctl++;
	k->ctls[i].desc = *d;
	k->ctls[i].val = val;
}

static void
on_val(void *arg, unsigned addr, unsigned val)
{
	struct desk *k = arg;
	int i;

	k->nval++;
	k->addr = addr;
	k->val = val;
	for (i = 0; i < k->nctl; i++)
		if (k->ctls[i].desc.addr == addr)
			k->ctls[i].val = (int)val;
}

static const char *
ctl_name(const struct sioctl_desc *d)
{
	static char buf[64];
	char unit[16] = "", element[32] = "";

	if (d->node0.unit >= 0)
		snprintf(unit, sizeof(unit), "%d", d->node0.unit);
	if (d->type == SIOCTL_VEC || d->type == SIOCTL_LIST || d->type == SIOCTL_SEL)
		snprintf(element, sizeof(element), ":%s", d->node1.name);
	snprintf(buf, sizeof(buf), "%s%s%s%s.%s%s", d->group, d->group[0] ? "/" : "", d->node0.name, unit, d->func, element);
	return buf;
}

static int
by_name(const void *a, const void *b)
{
	char x[64];

	strcpy(x, ctl_name(&((const struct ctl *)a)->desc));
	return strcmp(x, ctl_name(&((const struct ctl *)b)->desc));
}

static struct ctl *
find(struct desk *k, const char *what)
{
	int i;

	for (i = 0; i < k->nctl; i++)
		if (strcmp(ctl_name(&k->ctls[i].desc), what) == 0)
			return &k->ctls[i];
	return NULL;
}

static int
value(struct desk *k, const char *what)
{
	struct ctl *c = find(k, what);

	return c ? c->val : -1;
}

/* all that is told within so long; the end of the connection, too */
static void
idle(struct desk *k, int ms)
{
	long long left, end = now_ms() + ms;
	struct pollfd pfd;

	while ((left = end - now_ms()) > 0 && sioctl_pollfd(k->h, &pfd, 0) == 1) {
		if (poll(&pfd, 1, (int)left) > 0 && sioctl_revents(k->h, &pfd) & POLLHUP)
			break;
	}
}

/* until a control has this value; servers tell at once, so 2 s are for ever */
static int
until(struct desk *k, const char *what, int val)
{
	int i;

	for (i = 0; i < 200 && value(k, what) != val && !sioctl_eof(k->h); i++)
		idle(k, 10);
	return value(k, what) == val;
}

static int
desk_open(struct desk *k, const char *sub, unsigned mode)
{
	memset(k, 0, sizeof(*k));
	k->h = sioctl_open(name(sub), mode, 0);
	return k->h != NULL;
}

static int
desk_watch(struct desk *k, const char *sub)
{
	return desk_open(k, sub, SIOCTL_READ | SIOCTL_WRITE) && sioctl_ondesc(k->h, on_desc, k) && sioctl_onval(k->h, on_val, k);
}

static void
count(const char *key, struct desk *k)	/* what was told since it was counted last */
{
	say(key, "descs=%d gone=%d syncs=%s vals=%d eof=%d", k->ndesc - k->ngone, k->ngone, yes(k->nsync > 0), k->nval,
	    sioctl_eof(k->h));
	k->ndesc = k->ngone = k->nsync = k->nval = 0;
}

/* all but programs, which are there since whatever was run before */
static void
list(struct desk *k)
{
	char key[80];
	int i;

	qsort(k->ctls, (size_t)k->nctl, sizeof(k->ctls[0]), by_name);
	for (i = 0; i < k->nctl; i++) {
		const struct sioctl_desc *d = &k->ctls[i].desc;

		if (strcmp(d->group, "app") == 0)
			continue;
		snprintf(key, sizeof(key), "%s", ctl_name(d));
		say(key, "type=%u max=%u val=%d unit=%d unit1=%d addr=%s", d->type, d->maxval, k->ctls[i].val, d->node0.unit,
		    d->type == SIOCTL_NUM || d->type == SIOCTL_SW ? -1 : d->node1.unit, yes(d->addr > 0));
#ifdef SIOCTL_DISPLAYMAX
		say(key, "display=%s", d->display[0] ? d->display : "none");
#endif
	}
}

/* ---- scenarios --------------------------------------------------------------------- */

static void
opens(void)
{
	static const char *const sub[] = { "default", "0", "1", "0.default", "ramp", "0.ramp", "mon", "nosuch", "2", "15", "" };
	static const unsigned mode[] = { 0, SIOCTL_READ, SIOCTL_WRITE, SIOCTL_READ | SIOCTL_WRITE, SIO_PLAY, 0x400, 0x301 };
	struct sioctl_hdl *h;
	char key[64];
	size_t i;

	for (i = 0; i < sizeof(sub) / sizeof(sub[0]); i++) {
		h = sioctl_open(name(sub[i]), SIOCTL_READ, 0);
		snprintf(key, sizeof(key), "sub=%s", sub[i]);
		say(key, "opened=%s", yes(h != NULL));
		if (h != NULL)
			sioctl_close(h);
	}
	for (i = 0; i < sizeof(mode) / sizeof(mode[0]); i++) {
		if (mode[i] == SIO_PLAY)
			continue;		/* a stream's: what comes is not read as one */
		h = sioctl_open(name("default"), mode[i], (int)(i & 1));
		snprintf(key, sizeof(key), "mode=%#x", mode[i]);
		say(key, "opened=%s", yes(h != NULL));
		if (h != NULL) {
			say(key, "nfds=%d eof=%d", sioctl_nfds(h), sioctl_eof(h));
			sioctl_close(h);
		}
	}
	say("rsnd", "opened=%s", yes((h = sioctl_open("rsnd/0", SIOCTL_READ, 0)) != NULL));
	say("bogus", "opened=%s", yes((h = sioctl_open("bogus", SIOCTL_READ, 0)) != NULL));
	setenv("AUDIODEVICE", name("default"), 1);
	say("environment", "opened=%s", yes((h = sioctl_open(SIO_DEVANY, SIOCTL_READ, 0)) != NULL));
	if (h != NULL)
		sioctl_close(h);
	say("environment", "opened=%s", yes((h = sioctl_open(NULL, SIOCTL_READ, 0)) != NULL));
	if (h != NULL)
		sioctl_close(h);
}

static void
manyopen(void)
{
	struct sioctl_hdl *h[MANY];
	int i, n = 0;

	for (i = 0; i < MANY; i++)
		n += (h[i] = sioctl_open(name("default"), SIOCTL_READ, 0)) != NULL;
	say("of=12", "opened=%d", n);
	for (i = 0; i < MANY; i++)
		if (h[i] != NULL)
			sioctl_close(h[i]);
}

static void
describe(void)
{
	struct desk k;

	if (!desk_watch(&k, "default"))
		return;
	say("all", "syncs=%d eof=%d", k.nsync, sioctl_eof(k.h));
	list(&k);
	k.ndesc = k.nsync = 0;
	say("again", "ondesc=%s", yes(sioctl_onval(k.h, on_val, &k)));
	idle(&k, 50);
	count("again", &k);
	sioctl_close(k.h);
	if (desk_watch(&k, "ramp")) {
		say("ramp", "first=%d second=%d level=%d", value(&k, "server.device:0"), value(&k, "server.device:1"),
		    value(&k, "output.level"));
		sioctl_close(k.h);
	}
}

static void
polled(void)
{
	struct pollfd pfd;
	struct desk k;

	if (!desk_open(&k, "default", SIOCTL_READ | SIOCTL_WRITE))
		return;
	say("new", "nfds=%d pollfd=%d", sioctl_nfds(k.h), sioctl_pollfd(k.h, &pfd, POLLIN | POLLOUT));
	say("new", "poll=%d revents=%#x", poll(&pfd, 1, 2000), (unsigned)sioctl_revents(k.h, &pfd));
	say("quiet", "pollfd=%d poll=%d", sioctl_pollfd(k.h, &pfd, 0), poll(&pfd, 1, 50));
	say("ondesc", "ondesc=%d", sioctl_ondesc(k.h, on_desc, &k));
	say("setval", "setval=%d", sioctl_setval(k.h, 65000, 1));	/* there is no such control */
	idle(&k, 2000);
	say("eof", "eof=%d pollfd=%d revents=%#x nfds=%d", sioctl_eof(k.h), sioctl_pollfd(k.h, &pfd, POLLIN),
	    (unsigned)sioctl_revents(k.h, &pfd), sioctl_nfds(k.h));
	sioctl_close(k.h);
}

static void
values(void)
{
	struct desk k, other, reader;
	unsigned level;

	if (!desk_watch(&k, "default") || !desk_watch(&other, "default") || !desk_open(&reader, "default", SIOCTL_READ))
		return;
	level = find(&k, "output.level")->desc.addr;
	say("addr", "same=%s", yes(find(&other, "output.level")->desc.addr == level));
	k.ndesc = k.nsync = other.ndesc = other.nsync = 0;
	say("set", "setval=%d", sioctl_setval(k.h, level, 40));
	say("set", "setter=%s other=%s", yes(until(&k, "output.level", 40)), yes(until(&other, "output.level", 40)));
	idle(&k, 50);
	idle(&other, 50);
	count("set,setter", &k);
	count("set,other", &other);
	say("same", "setval=%d", sioctl_setval(other.h, level, 40));
	idle(&other, 50);
	idle(&k, 50);
	count("same,setter", &other);
	count("same,other", &k);
	say("read only", "setval=%d", sioctl_setval(reader.h, level, 3));
	idle(&k, 50);
	count("read only,other", &k);
	/* between ondesc and onval nothing is lost */
	say("reader", "ondesc=%d val=%d", sioctl_ondesc(reader.h, on_desc, &reader), value(&reader, "output.level"));
	sioctl_setval(k.h, level, 41);
	until(&k, "output.level", 41);
	idle(&reader, 50);
	say("reader", "vals=%d", reader.nval);
	say("reader", "onval=%d", sioctl_onval(reader.h, on_val, &reader));
	say("reader", "told=%s", yes(until(&reader, "output.level", 41)));
	sioctl_setval(k.h, level, 127);
	say("full", "told=%s", yes(until(&reader, "output.level", 127)));
	sioctl_setval(k.h, level, 128);		/* there is no such value */
	idle(&k, 2000);
	say("too much", "eof=%d other=%d", sioctl_eof(k.h), sioctl_eof(other.h));
	idle(&other, 50);
	say("too much", "level=%d", value(&other, "output.level"));
	sioctl_close(k.h);
	sioctl_close(other.h);
	sioctl_close(reader.h);
}

/* the level of a program is its stream's volume; libsndio up to 1.9 and its server number the streams */
static void
program(void)
{
	struct stream s;
	struct desk k;
	struct ctl *c;
	unsigned addr;

	__progname = "ctlapp";
	if (!desk_watch(&k, "default"))
		return;
	k.ndesc = k.nsync = 0;
	if (!stream_ready(&s, "default", PLAY, seed()))
		return;
	stream_write(&s, s.par.bufsz);
	stream_until(&s, 480);
	idle(&k, 100);
	c = find(&k, "app/ctlapp.level");
	say("name", "plain=%s numbered=%s", yes(c != NULL), yes(find(&k, "app/ctlapp0.level") != NULL));
	if (c == NULL)
		c = find(&k, "app/ctlapp0.level");
	if (c == NULL)
		return;
	addr = c->desc.addr;
	say("new", "type=%u max=%u val=%d told=%s", c->desc.type, c->desc.maxval, c->val, yes(k.ndesc > 0));
	s.nvol = 0;
	say("control", "setval=%d", sioctl_setval(k.h, addr, 30));
	stream_write(&s, 480);
	stream_until(&s, s.moved + 480);
	stream_idle(&s, 50);
	say("control", "calls=%d vol=%d", s.nvol, s.vol);
	k.nval = 0;
	sio_setvol(s.h, 31);
	stream_write(&s, 480);
	idle(&k, 100);
	say("stream", "vals=%d addr=%s val=%u", k.nval, yes(k.addr == addr), k.val);
	stream_close(&s);
	idle(&k, 50);
	say("closed", "eof=%d there=%s", sioctl_eof(k.h), yes(value(&k, "app/ctlapp.level") == 31 || value(&k, "app/ctlapp0.level") == 31));
	/* and it is what the program has when it comes again */
	if (sioctl_setval(k.h, addr, 32) && stream_ready(&s, "default", PLAY, seed())) {
		stream_write(&s, s.par.bufsz);
		stream_until(&s, 480);
		say("again", "vol=%d", s.vol);
		sio_setvol(s.h, 127);
		stream_close(&s);
	}
	sioctl_close(k.h);
}

/* the device of a sub-device, while a stream plays on it and another client looks */
static void
device(void)
{
	struct desk k, other;
	struct stream s;
	unsigned to, back;

	if (!desk_watch(&k, "default") || !desk_watch(&other, "default") || !stream_ready(&s, "default", PLAY, seed()))
		return;
	stream_write(&s, s.par.bufsz);
	stream_until(&s, 480);
	idle(&k, 100);
	idle(&other, 50);
	to = find(&k, "server.device:1")->desc.addr;
	back = find(&k, "server.device:0")->desc.addr;
	say("before", "first=%d second=%d", value(&k, "server.device:0"), value(&k, "server.device:1"));
	k.ndesc = k.nsync = k.ngone = k.nval = 0;
	sioctl_setval(k.h, to, 1);
	say("moved", "told=%s other=%s", yes(until(&k, "server.device:1", 1)), yes(until(&other, "server.device:1", 1)));
	idle(&k, 50);
	say("moved", "vals=%d addr=%s level=%s syncs=%s", k.nval, yes(k.addr == to), yes(value(&k, "output.level") == 127),
	    yes(k.nsync > 0));
	stream_write(&s, 480);
	stream_until(&s, s.moved + 480);
	say("moved", "eof=%d stream=%d", sioctl_eof(k.h), sio_eof(s.h));
	k.nval = 0;
	sioctl_setval(k.h, to, 0);		/* no change: one is left by choosing another */
	idle(&k, 50);
	say("not", "vals=%d eof=%d", k.nval, sioctl_eof(k.h));
	/* the others are off by that; nobody tells of them, so look anew */
	sioctl_close(other.h);
	if (!desk_watch(&other, "default"))
		return;
	say("anew", "first=%d second=%d", value(&other, "server.device:0"), value(&other, "server.device:1"));
	find(&k, "server.device:0")->val = 0;
	sioctl_setval(k.h, back, 1);
	say("back", "told=%s", yes(until(&k, "server.device:0", 1)));
	stream_write(&s, 480);
	stream_until(&s, s.moved + 480);
	say("back", "stream=%d", sio_eof(s.h));
	stream_close(&s);
	sioctl_close(other.h);
	sioctl_close(k.h);
}

/* what a sub-device offers; libsndio's next releases */
static void
offered(void)
{
	struct desk k, other;
	struct ctl *c;

	if (!desk_watch(&k, "default") || !desk_watch(&other, "default"))
		return;
	c = find(&k, "server.mode:play");
	say("play", "there=%s", yes(c != NULL));
	if (c != NULL) {
		sioctl_setval(k.h, c->desc.addr, 0);
		say("off", "setter=%s other=%s", yes(until(&k, "server.mode:play", 0)), yes(until(&other, "server.mode:play", 0)));
		sioctl_setval(other.h, c->desc.addr, 1);
		say("on", "setter=%s other=%s", yes(until(&other, "server.mode:play", 1)), yes(until(&k, "server.mode:play", 1)));
		say("on", "eof=%d", sioctl_eof(k.h));
	}
	sioctl_close(other.h);
	sioctl_close(k.h);
}

const struct scenario control_scenarios[] = {
	{ "ctl-open", opens },
	{ "ctl-many", manyopen },
	{ "ctl-describe", describe },
	{ "ctl-poll", polled },
	{ "ctl-values", values },
	{ "ctl-program", program },
	{ "ctl-device", device },
	{ "ctl-mode", offered },
	{ NULL, NULL }
};
