/*
 * test_alsa_access.c: the driver of sound cards, its ways to a card's samples and
 * what it makes of what cards offer: access, formats, channel maps, batches;
 * resuming; and that opening and closing leaves nothing behind.
 *
 * Against the library and the card of fake_alsa.h.
 */
#define _GNU_SOURCE
#include "alsa_dut.h"
#include "fds.h"
#include "standin.h"

#define NCYCLES	2000

static uint8_t block[65536], in[65536];

static void
only(int i, int access)			/* the direction has no other */
{
	card[i].no_access = 0x1f & ~(1u << access);
}

/* the k-th block that is played, byte by byte */
static uint8_t
byte(unsigned k, size_t i)
{
	return (uint8_t)(k * 37 + i * 11 + 1);
}

/* what the card has of it, wherever it keeps its samples */
static void
check_played(unsigned k, int64_t first)
{
	struct alsa_pcm *p = &card[0];
	size_t bps = p->frame / p->channels_now, i;
	unsigned f, c;

	for (f = 0; f < par.round; f++)
		for (c = 0; c < p->channels_now; c++)
			for (i = 0; i < bps; i++)
				CHECK_EQ(place(p, (uint64_t)first + f, c)[i], byte(k, f * p->frame + c * bps + i));
}

/* each of the five, in both directions, whole and in pieces, also round the end of a buffer of odd length */
static void
test_each(int access, unsigned buffer)
{
	unsigned k, nareas = 0;
	size_t i;
	uint8_t *to;

	fresh();
	only(0, access);
	only(1, access);
	card[0].buffer = buffer;
	opened(3, 5);
	CHECK_EQ(card[0].access, access);
	CHECK_EQ(card[1].access, access);
	CHECK_EQ(par.bufsz, buffer / 480 * 480);
	memset(data, 0xff, sizeof(data));
	CHECK_EQ(OPS->start(drv), 0);
	for (i = 0; i < par.bufsz * 6u; i++)
		CHECK_EQ(access == ALSA_MMAP_NONINTERLEAVED ? place(&card[0], i / 6, i % 6 / 2)[i % 2] : data[i], 0);
	for (k = 0; k < 40; k++) {
		advance(480);
		CHECK_EQ(ready(), 1);
		card[1].move_short = k % 5 == 3 ? 77 : 0;
		card[0].move_short = k % 5 == 4 ? 7 : 0;
		CHECK_EQ(OPS->read(drv, in), 0);
		for (i = 0; i < 480 * 10; i++)
			CHECK_EQ(in[i], (uint8_t)(k * 4800 + i));
		to = k % 3 ? OPS->area(drv) : NULL;
		nareas += to != NULL;
		CHECK(to == NULL || (to >= data && to + 480 * 6 <= data + buffer * 6));
		if (to == NULL)
			to = block;
		for (i = 0; i < 480 * 6; i++)
			to[i] = byte(k, i);
		CHECK_EQ(OPS->write(drv, to), 0);
		check_played(k, card[0].appl - 480);
	}
	if (access != ALSA_MMAP_INTERLEAVED)
		CHECK_EQ(nareas, 0);
	else if (buffer % 480 == 0)
		CHECK_EQ(nareas, 26);	/* of two blocks in three */
	else
		CHECK(nareas > 5 && nareas < 26);	/* not where the block goes round the end */
	closed();
}

/* the best that there is and that works, or the one that is wanted */
static void
test_preference(void)
{
	unsigned none;
	int i;

	for (i = 0; i < ALSA_NACCESS; i++) {
		fresh();
		card[0].no_access = card[1].no_access = (1u << i) - 1;
		opened(2, 2);
		CHECK_EQ(card[0].access, i);
		CHECK_EQ(card[1].access, i);
		closed();
		fresh();
		conf.access = 1 + i;
		opened(2, 2);
		CHECK_EQ(card[0].access, i);
		closed();
		none = 1u << i;
		card[0].no_access = card[1].no_access = none;
		refused(2, 2, -EINVAL, "playback has no encoding that audiod has");
		conf.access = 0;
	}
	fresh();			/* directions may differ */
	only(0, ALSA_MMAP_COMPLEX);
	only(1, ALSA_RW_NONINTERLEAVED);
	opened(2, 2);
	CHECK_EQ(card[0].access, ALSA_MMAP_COMPLEX);
	CHECK_EQ(card[1].access, ALSA_RW_NONINTERLEAVED);
	closed();
	fresh();			/* mapped, but not in whole bytes */
	card[0].odd = card[1].odd = 4;
	opened(2, 2);
	CHECK_EQ(card[0].access, ALSA_RW_INTERLEAVED);
	closed();
	conf.access = 1;
	refused(2, 2, -EINVAL, "playback does not give audiod its samples");
	conf.access = 0;
}

/* every format that a card may have alone is taken, and is what it says */
static void
test_formats(void)
{
	const struct alsa_format *f;
	unsigned n, k;

	for (n = 0; (f = alsa_format(&s16le, n)) != NULL; n++) {
		fresh();
		card[0].formats = card[1].formats = 1ull << f->id;
		opened(2, 2);
		CHECK_EQ(card[0].format, f->id);
		CHECK_EQ(card[1].format, f->id);
		CHECK(enc_same(&par.enc, &f->enc));
		CHECK_EQ(par.enc.bps, width(f->id));
		CHECK_EQ(OPS->start(drv), 0);
		for (k = 0; k < 3; k++) {
			advance(480);
			CHECK_EQ(ready(), 1);
			CHECK_EQ(OPS->read(drv, in), 0);
			memset(block, 0x5a, sizeof(block));
			CHECK_EQ(OPS->write(drv, block), 0);
		}
		closed();
	}
	CHECK_EQ(n, 34);
}

static void
test_maps(void)
{
	static const unsigned five[] = { 3, 4, 7, 8, 5 | 0x10000, 6 };	/* one with its phase inverted */
	unsigned i;

	fresh();
	opened(2, 2);
	CHECK_EQ(par.pmap[0] | par.pmap[1] | par.rmap[0], 0);
	closed();
	card[0].channels = card[0].nmap = 6;
	memcpy(card[0].map, five, sizeof(five));
	card[1].nmap = 2;
	card[1].map[0] = 36;		/* the last that has a meaning */
	card[1].map[1] = 37;
	opened(6, 2);
	CHECK_EQ(memcmp(par.pmap, (uint8_t[]){ 3, 4, 7, 8, 5, 6, 0 }, 7), 0);
	CHECK_EQ(memcmp(par.rmap, (uint8_t[]){ 36, 0, 0 }, 3), 0);
	closed();
	card[1].map[0] = 3 | ALSA_POS_OWN;	/* it means something else by it */
	opened(6, 2);
	CHECK_EQ(par.rmap[0], 0);
	closed();
	for (i = 1; i <= ALSA_POS_MAX; i++) {	/* every place there and back */
		fresh();
		opened(0, 0 + 1);
		closed();
		par = (struct drv_par){ .enc = s16le, .rate = 48000, .round = 480, .bufsz = 1920, .pchan = 2,
		    .pmap = { (uint8_t)i, 4 } };
		CHECK_EQ(OPS->open(&drv, &conf, &par, err, sizeof(err)), 0);
		CHECK_EQ(err[0], '\0');
		CHECK_EQ(card[0].map[0], i);
		CHECK_EQ(card[0].map[1], 4);
		CHECK_EQ(par.pmap[0], i);
		closed();
	}
	fresh();			/* a card that keeps its own is used as it is, and says so */
	card[0].map_rc = -ENXIO;
	card[0].nmap = 2;
	card[0].map[0] = 3;
	card[0].map[1] = 4;
	par = (struct drv_par){ .enc = s16le, .rate = 48000, .round = 480, .bufsz = 1920, .pchan = 2, .pmap = { 4, 3 } };
	err[0] = '\0';
	CHECK_EQ(OPS->open(&drv, &conf, &par, err, sizeof(err)), 0);
	CHECK(strstr(err, "playback keeps its own channel map: No such device or address") != NULL);
	CHECK_EQ(par.pmap[0], 3);
	closed();
}

/* a card whose pointer is behind has a block more in hand, if its buffer is as large */
static void
test_batch(void)
{
	int batch;

	for (batch = 0; batch < 2; batch++) {
		fresh();
		card[0].batch = card[1].batch = batch;
		par = (struct drv_par){ .enc = s16le, .rate = 48000, .round = 480, .bufsz = 960, .pchan = 2, .rchan = 2 };
		CHECK_EQ(OPS->open(&drv, &conf, &par, err, sizeof(err)), 0);
		CHECK_EQ(par.bufsz, batch ? 1440 : 960);
		CHECK_EQ(OPS->start(drv), 0);
		CHECK_EQ(card[0].appl, par.bufsz);
		closed();
	}
	fresh();
	card[0].batch = 1;
	card[0].buffer = 960;
	opened(2, 0);
	CHECK_EQ(par.bufsz, 960);
	closed();
}

/* a suspended card: resumed when it can be, and begun anew in any case */
static void
test_resume(void)
{
	static const int rcs[] = { 0, -ENOSYS, -EAGAIN };
	size_t i;

	for (i = 0; i < sizeof(rcs) / sizeof(rcs[0]); i++) {
		fresh();
		opened(2, 2);
		CHECK_EQ(OPS->start(drv), 0);
		set_state(&card[0], ALSA_SUSPENDED);
		set_state(&card[1], ALSA_SUSPENDED);
		CHECK_EQ(ready(), -EPIPE);
		card[0].resume_rc = card[1].resume_rc = rcs[i];
		if (rcs[i] == -EAGAIN) {
			CHECK_EQ(OPS->prepare(drv, 1), -EAGAIN);
			CHECK_EQ(card[0].state, ALSA_SUSPENDED);
			CHECK_EQ(card[0].ndrop, 0);
		}
		CHECK_EQ(OPS->prepare(drv, 0), 0);
		CHECK(card[0].nresume > 0);
		CHECK_EQ(card[0].state, ALSA_PREPARED);
		CHECK_EQ(card[1].state, ALSA_PREPARED);
		CHECK_EQ(card[0].appl, 0);
		while (card[0].appl < 1920)
			CHECK_EQ(OPS->write(drv, NULL), 0);
		CHECK_EQ(OPS->go(drv), 0);
		advance(480);
		CHECK_EQ(ready(), 1);
		closed();
	}
	fresh();			/* stopped by somebody else between two calls: begun anew */
	opened(2, 0);
	CHECK_EQ(OPS->start(drv), 0);
	advance(480);
	CHECK_EQ(ready(), 1);
	card[0].state = ALSA_SETUP;
	CHECK_EQ(OPS->write(drv, block), -EPIPE);
	closed();
	fresh();			/* gone: every call says so */
	opened(2, 0);
	CHECK_EQ(OPS->start(drv), 0);
	card[0].state = ALSA_DISCONNECTED;
	CHECK_EQ(OPS->prepare(drv, 0), -ENODEV);
	CHECK_EQ(OPS->stop(drv), -ENODEV);
	closed();
}

/* opened, started, stopped and closed again and again, by the helper and without */
static void
test_cycles(void)
{
	struct pollfd pfd[DRV_NFDS];
	struct standin *s;
	int64_t due;
	int fds, i, n;

	fresh();
	fds = open_fds();
	for (i = 0; i < NCYCLES; i++) {
		opened(2, 2);
		CHECK_EQ(standin_new(&s, OPS, drv, &par), 0);
		if (i % 4 != 0) {
			CHECK_EQ(drv_standin.start(s), 0);
			while (i % 4 == 1 && drv_standin.poll(s, pfd) != 1) {	/* until it waits for the card */
				n = drv_standin.poll(s, pfd);
				CHECK(poll(pfd, (nfds_t)n, 60000) > 0);
				CHECK_EQ(drv_standin.ready(s, pfd, &due), 0);
			}
		}
		if (i % 4 == 2)
			CHECK_EQ(drv_standin.stop(s), 0);
		drv_standin.close(s);
		CHECK_EQ(card[0].opened | card[1].opened, 0);
		CHECK_EQ(open_fds(), fds);
	}
	card[0].params_rc = card[1].params_rc = -EIO;
	for (i = 0; i < NCYCLES; i++)
		CHECK_EQ(try_open(2, 2), -EIO);
	CHECK_EQ(open_fds(), fds);
}

int
main(void)
{
	int i;

	for (i = 0; i < ALSA_NACCESS; i++) {
		test_each(i, 1920);
		test_each(i, 1000);
	}
	test_preference();
	test_formats();
	test_maps();
	test_batch();
	test_resume();
	test_cycles();
	CHECK_DONE();
}
