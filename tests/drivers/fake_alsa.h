/*
 * fake_alsa.h: a libasound of the test's own, and a card with two directions that
 * does as the test says: what it offers, how many frames pass, what fails.
 *
 * Behind --wrap of dlopen and dlsym.  Time is a frame counter that the test
 * advances; only the time stamps are of CLOCK_MONOTONIC.  One thread.
 */
#ifndef FAKE_ALSA_H
#define FAKE_ALSA_H

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "../../audiod/engine/alsa.h"
#include "../engine/check.h"

#define S8	0
#define S16_LE	2
#define S16_BE	3
#define S24_3LE	32
#define S32_LE	10
#define FLOAT_LE 14

#define MAXBUF	131072		/* bytes of a buffer */

/* ---- cards ------------------------------------------------------------------- */

struct alsa_pcm {			/* one direction of the card */
	/* what it can */
	int open_rc;			/* of snd_pcm_open */
	uint64_t formats;		/* bits: of snd_pcm_format_t */
	unsigned rate, channels;	/* the only ones; 0: any */
	unsigned long period, buffer;	/* the same */
	int params_rc;			/* of snd_pcm_hw_params */
	int any_rc;			/* of snd_pcm_hw_params_any */
	int nfds;
	int stamps;			/* 1: has time stamps; 2: they cannot be */
	unsigned no_access;		/* bits: enum alsa_access that it has not */
	int odd;			/* its mapped samples begin within a byte */
	int batch;
	unsigned map[64], nmap;		/* its channel map */
	int map_rc;			/* of snd_pcm_set_chmap */
	/* what it is */
	int stream, opened, state;
	int format, access;
	unsigned channels_now;
	struct alsa_area areas[64];
	unsigned long bufsz, start_threshold, stop_threshold, avail_min;
	size_t frame;
	int fd;				/* eventfd: readable when ready */
	int64_t hw, appl;		/* frames since prepare */
	/* what happens to it */
	int skew;			/* frames that it is behind the test's advance */
	int fifo;			/* frames more that its delay counts */
	int move_rc, move_short;	/* once: of read and write; frames that they take at most */
	int prepare_rc, resume_rc, start_rc, avail_rc;
	unsigned nresume, nprepare, ndrop, navail, ndelay, nstamp, nmove, nrevents;
};

struct alsa_hw {
	struct alsa_pcm *pcm;
	int format, access;
	unsigned channels, rate;
	unsigned long period, buffer;
};

struct alsa_sw {
	struct alsa_pcm *pcm;
	unsigned long start, stop, avail_min;
};

static struct alsa_pcm card[2];		/* playback, recording */
static uint8_t data[MAXBUF];		/* the buffer of playback, a circle */
static uint8_t rdata[MAXBUF];		/* that of recording, when it is mapped */
static int link_rc, linked, autostart;
static int no_library, without;		/* dlopen fails; functions dlsym does not know, from the end */
static alsa_on_error *on_error;

static void
settle(struct alsa_pcm *p)		/* its descriptor, as a card's would be */
{
	uint64_t n = 1;
	int64_t avail = p->stream == ALSA_PLAY ? p->hw + (int64_t)p->bufsz - p->appl : p->hw - p->appl;
	int ready = p->state > ALSA_RUNNING || p->state == ALSA_SETUP || (p->state == ALSA_RUNNING && avail >= (int64_t)p->avail_min);

	if (ready)
		(void)!write(p->fd, &n, sizeof(n));
	else
		(void)!read(p->fd, &n, sizeof(n));
}

/* so many frames pass */
static void
advance(int frames)
{
	int i;

	for (i = 0; i < 2; i++) {
		struct alsa_pcm *p = &card[i];

		if (p->state != ALSA_RUNNING)
			continue;
		p->hw += frames - p->skew;
		p->skew = 0;
		if ((p->stream == ALSA_PLAY ? p->hw + (int64_t)p->bufsz - p->appl : p->hw - p->appl) >=
		    (int64_t)p->stop_threshold)
			p->state = ALSA_XRUN;
		settle(p);
	}
}

static void
set_state(struct alsa_pcm *p, int state)
{
	p->state = state;
	settle(p);
}

static void
fresh(void)				/* a plain card with both directions */
{
	int i;

	memset(card, 0, sizeof(card));
	for (i = 0; i < 2; i++) {
		card[i].stream = i;
		card[i].formats = 1ull << S16_LE;
		card[i].nfds = 1;
	}
	link_rc = 0;
	linked = autostart = 0;
}

/* ---- its library --------------------------------------------------------------- */

static int
fake_set_handler(alsa_on_error *handler)
{
	on_error = handler;
	return 0;
}

static const char *
fake_strerror(int rc)
{
	return rc == -500001 ? "Library error" : strerror(-rc);
}

static int
fake_open(struct alsa_pcm **pcm, const char *name, int stream, int mode)
{
	struct alsa_pcm *p = &card[stream];

	CHECK(strcmp(name, "hw:7,0") == 0 || strcmp(name, "default") == 0);
	CHECK((mode & ALSA_NONBLOCK) != 0);
	if (p->open_rc < 0) {
		on_error("f.c", 1, "f", 0, "the cause of it: %d\n", 42);
		on_error("f.c", 2, "g", 0, "what follows");
		return p->open_rc;
	}
	CHECK_EQ(p->opened, 0);
	p->opened = 1;
	p->state = ALSA_OPEN;
	p->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	CHECK(p->fd >= 0);
	*pcm = p;
	return 0;
}

static int
fake_close(struct alsa_pcm *p)
{
	CHECK_EQ(p->opened, 1);
	p->opened = 0;
	close(p->fd);
	return 0;
}

static int
fake_link(struct alsa_pcm *a, struct alsa_pcm *b)
{
	CHECK(a != b && a->state == b->state);
	linked = link_rc == 0;
	return link_rc;
}

static int
fake_prepare(struct alsa_pcm *p)
{
	p->nprepare++;
	if (p->prepare_rc < 0)
		return p->prepare_rc;
	CHECK(p->state == ALSA_SETUP || p->state == ALSA_PREPARED);
	p->hw = p->appl = 0;
	set_state(p, ALSA_PREPARED);
	return 0;
}

static int
fake_resume(struct alsa_pcm *p)
{
	p->nresume++;
	if (p->resume_rc < 0)
		return p->resume_rc;
	if (p->state != ALSA_SUSPENDED)
		return -EBADFD;
	set_state(p, ALSA_PREPARED);
	return 0;
}

static int
fake_start(struct alsa_pcm *p)
{
	if (p->start_rc < 0)
		return p->start_rc;
	if (p->state != ALSA_PREPARED)
		return -EBADFD;
	set_state(p, ALSA_RUNNING);
	if (linked || autostart) {
		struct alsa_pcm *other = &card[1 - p->stream];

		CHECK_EQ(other->state, ALSA_PREPARED);
		set_state(other, ALSA_RUNNING);
	}
	return 0;
}

static int
fake_drop(struct alsa_pcm *p)
{
	p->ndrop++;
	if (p->state == ALSA_DISCONNECTED)
		return -ENODEV;
	set_state(p, ALSA_SETUP);
	return 0;
}

static int
fake_state(struct alsa_pcm *p)
{
	return p->state;
}

static long
fake_avail(struct alsa_pcm *p)
{
	p->navail += p->state == ALSA_RUNNING;
	if (p->avail_rc < 0)
		return p->avail_rc;
	switch (p->state) {
	case ALSA_XRUN:
		return -EPIPE;
	case ALSA_SUSPENDED:
		return -ESTRPIPE;
	case ALSA_DISCONNECTED:
		return -ENODEV;
	default:
		return (long)(p->stream == ALSA_PLAY ? p->hw + (int64_t)p->bufsz - p->appl : p->hw - p->appl);
	}
}

static int
fake_delay(struct alsa_pcm *p, long *delay)
{
	p->ndelay++;
	*delay = (long)(p->stream == ALSA_PLAY ? p->appl - p->hw : p->hw - p->appl) + p->fifo;
	return 0;
}

static int
fake_htimestamp(struct alsa_pcm *p, unsigned long *avail, struct timespec *ts)
{
	p->nstamp++;
	if (p->stamps == 0)
		return -EIO;
	clock_gettime(CLOCK_MONOTONIC, ts);
	if (p->stamps == 2)
		ts->tv_sec -= 1000;
	else
		ts->tv_sec -= ts->tv_nsec < 1000000, ts->tv_nsec += ts->tv_nsec < 1000000 ? 999000000 : -1000000;
	*avail = (unsigned long)(p->stream == ALSA_PLAY ? p->hw + (int64_t)p->bufsz - p->appl : p->hw - p->appl);
	return 0;
}

/* n frames between the circle and buf */
static long
move(struct alsa_pcm *p, uint8_t *buf, const uint8_t *src, unsigned long n)
{
	int64_t room = p->stream == ALSA_PLAY ? p->hw + (int64_t)p->bufsz - p->appl : p->hw - p->appl;
	uint64_t at;
	size_t i;
	int rc = p->move_rc;

	p->nmove++;
	if (rc != 0) {
		p->move_rc = 0;
		return rc;
	}
	if (p->state != ALSA_PREPARED && p->state != ALSA_RUNNING)
		return p->state == ALSA_XRUN ? -EPIPE : p->state == ALSA_SUSPENDED ? -ESTRPIPE : -EBADFD;
	if (room <= 0)
		return -EAGAIN;
	if (n > (unsigned long)room)
		n = (unsigned long)room;
	if (p->move_short > 0 && n > (unsigned long)p->move_short)
		n = (unsigned long)p->move_short;
	at = (uint64_t)p->appl * p->frame;
	for (i = 0; i < n * p->frame; i++) {
		if (src != NULL)
			data[(at + i) % (p->bufsz * p->frame)] = src[i];
		else	/* recorded: the byte's place in the stream */
			buf[i] = (uint8_t)(at + i);
	}
	p->appl += (int64_t)n;
	CHECK(p->state != ALSA_PREPARED || p->hw + (int64_t)p->bufsz >= p->appl);
	settle(p);
	return (long)n;
}

static long
fake_readi(struct alsa_pcm *p, void *buf, unsigned long n)
{
	CHECK_EQ(p->stream, ALSA_REC);
	return move(p, buf, NULL, n);
}

static long
fake_writei(struct alsa_pcm *p, const void *buf, unsigned long n)
{
	CHECK_EQ(p->stream, ALSA_PLAY);
	return move(p, NULL, buf, n);
}

/* where a sample is in the circle: channels side by side, apart, or side by side the other way round */
static uint8_t *
place(struct alsa_pcm *p, uint64_t frame, unsigned c)
{
	size_t bps = p->frame / p->channels_now;
	uint8_t *buf = p->stream == ALSA_PLAY ? data : rdata;

	frame %= p->bufsz;
	if (p->access == ALSA_MMAP_NONINTERLEAVED)
		return buf + (c * p->bufsz + frame) * bps;
	if (p->access == ALSA_MMAP_COMPLEX)
		c = p->channels_now - 1 - c;
	return buf + frame * p->frame + c * bps;
}

static int
fake_begin(struct alsa_pcm *p, const struct alsa_area **areas, unsigned long *offset, unsigned long *frames)
{
	int64_t room = p->stream == ALSA_PLAY ? p->hw + (int64_t)p->bufsz - p->appl : p->hw - p->appl, k;
	size_t bps = p->frame / p->channels_now, i;
	unsigned c;

	CHECK(p->access <= ALSA_MMAP_COMPLEX);
	if (p->state != ALSA_PREPARED && p->state != ALSA_RUNNING)
		return p->state == ALSA_XRUN ? -EPIPE : p->state == ALSA_SUSPENDED ? -ESTRPIPE : -EBADFD;
	*offset = (uint64_t)p->appl % p->bufsz;
	if (room < 0)
		room = 0;
	if (*frames > (unsigned long)room)
		*frames = (unsigned long)room;
	if (*frames > p->bufsz - *offset)
		*frames = p->bufsz - *offset;
	for (c = 0; c < p->channels_now; c++) {
		p->areas[c].addr = p->stream == ALSA_PLAY ? data : rdata;
		p->areas[c].first = (unsigned)(place(p, 0, c) - (uint8_t *)p->areas[c].addr) * 8 + (unsigned)p->odd;
		p->areas[c].step = (unsigned)(place(p, 1, c) - place(p, 0, c)) * 8;
	}
	for (k = p->appl; p->stream == ALSA_REC && k < p->appl + (int64_t)*frames; k++)
		for (c = 0; c < p->channels_now; c++)
			for (i = 0; i < bps; i++)
				place(p, (uint64_t)k, c)[i] = (uint8_t)((uint64_t)k * p->frame + c * bps + i);
	*areas = p->areas;
	return 0;
}

static long
fake_commit(struct alsa_pcm *p, unsigned long offset, unsigned long n)
{
	int rc = p->move_rc;

	CHECK_EQ(offset, (uint64_t)p->appl % p->bufsz);
	CHECK(offset + n <= p->bufsz);
	p->nmove++;
	p->move_rc = 0;
	if (rc != 0)
		return rc;
	if (p->move_short > 0 && n > (unsigned long)p->move_short)
		n = (unsigned long)p->move_short;
	p->appl += (int64_t)n;
	settle(p);
	return (long)n;
}

static long
fake_planes(struct alsa_pcm *p, void **planes, unsigned long n)
{
	static uint8_t block[MAXBUF];
	size_t bps = p->frame / p->channels_now, k;
	unsigned c;
	long done;

	CHECK_EQ(p->access, ALSA_RW_NONINTERLEAVED);
	CHECK(n * p->frame <= MAXBUF);
	for (k = 0; p->stream == ALSA_PLAY && k < n; k++)
		for (c = 0; c < p->channels_now; c++)
			memcpy(block + k * p->frame + c * bps, (uint8_t *)planes[c] + k * bps, bps);
	done = p->stream == ALSA_PLAY ? move(p, NULL, block, n) : move(p, block, NULL, n);
	for (k = 0; p->stream == ALSA_REC && (long)k < done; k++)
		for (c = 0; c < p->channels_now; c++)
			memcpy((uint8_t *)planes[c] + k * bps, block + k * p->frame + c * bps, bps);
	return done;
}

static struct alsa_chmap *
fake_get_chmap(struct alsa_pcm *p)
{
	struct alsa_chmap *map;

	CHECK_EQ(p->state, ALSA_PREPARED);
	if (p->nmap == 0)
		return NULL;
	map = malloc(sizeof(*map) + p->nmap * sizeof(map->pos[0]));
	CHECK(map != NULL);
	map->nchan = p->nmap;
	memcpy(map->pos, p->map, p->nmap * sizeof(map->pos[0]));
	return map;
}

static int
fake_set_chmap(struct alsa_pcm *p, const struct alsa_chmap *map)
{
	CHECK_EQ(p->state, ALSA_PREPARED);
	CHECK_EQ(map->nchan, p->channels_now);
	if (p->map_rc < 0)
		return p->map_rc;
	p->nmap = map->nchan;
	memcpy(p->map, map->pos, p->nmap * sizeof(p->map[0]));
	return 0;
}

static int
fake_is_batch(const struct alsa_hw *hw)
{
	return hw->pcm->batch;
}

static int
fake_nfds(struct alsa_pcm *p)
{
	return p->nfds;
}

static int
fake_fds(struct alsa_pcm *p, struct pollfd *pfd, unsigned space)
{
	CHECK(space >= 1);
	*pfd = (struct pollfd){ p->fd, POLLIN, 0 };	/* as with plugins: not the direction's own event */
	return 1;
}

static int
fake_revents(struct alsa_pcm *p, struct pollfd *pfd, unsigned n, unsigned short *revents)
{
	CHECK_EQ(n, 1);
	CHECK_EQ(pfd->fd, p->fd);
	p->nrevents++;
	*revents = 0;
	if (pfd->revents & POLLIN)
		*revents = p->stream == ALSA_PLAY ? POLLOUT : POLLIN;
	if (p->state != ALSA_RUNNING)
		*revents |= POLLERR;
	return 0;
}

/* ---- its parameters: a value that the card has is the only one ------------------- */

static int
fake_hw_malloc(struct alsa_hw **hw)
{
	*hw = calloc(1, sizeof(**hw));
	return *hw == NULL ? -ENOMEM : 0;
}

static void
fake_hw_free(struct alsa_hw *hw)
{
	free(hw);
}

static void
fake_hw_copy(struct alsa_hw *to, const struct alsa_hw *from)
{
	*to = *from;
}

static int
fake_hw_any(struct alsa_pcm *p, struct alsa_hw *hw)
{
	*hw = (struct alsa_hw){ .pcm = p, .format = -1, .access = -1 };
	return p->any_rc;
}

static int
fake_resample(struct alsa_pcm *p, struct alsa_hw *hw, unsigned on)
{
	CHECK_EQ(on, 0);
	CHECK(hw->pcm == p);
	return 0;
}

static int
fake_access(struct alsa_pcm *p, struct alsa_hw *hw, int access)
{
	hw->access = access;
	return (p->no_access >> access & 1) ? -EINVAL : 0;
}

static int
fake_test_format(struct alsa_pcm *p, struct alsa_hw *hw, int format)
{
	(void)hw;
	return (p->formats >> format & 1) ? 0 : -EINVAL;
}

static int
fake_format(struct alsa_pcm *p, struct alsa_hw *hw, int format)
{
	hw->format = format;
	return fake_test_format(p, hw, format);
}

static int
fake_channels(struct alsa_pcm *p, struct alsa_hw *hw, unsigned *n)
{
	if (p->channels != 0)
		*n = p->channels;
	hw->channels = *n;
	return 0;
}

static int
fake_rate_near(struct alsa_pcm *p, struct alsa_hw *hw, unsigned *rate, int *dir)
{
	*dir = 0;
	if (p->rate != 0)
		*rate = p->rate;
	hw->rate = *rate;
	return 0;
}

static int
fake_rate(struct alsa_pcm *p, struct alsa_hw *hw, unsigned rate, int dir)
{
	CHECK_EQ(dir, 0);
	hw->rate = rate;
	return p->rate != 0 && p->rate != rate ? -EINVAL : 0;
}

static int
fake_integer(struct alsa_pcm *p, struct alsa_hw *hw)
{
	(void)p;
	(void)hw;
	return 0;
}

static int
fake_period_near(struct alsa_pcm *p, struct alsa_hw *hw, unsigned long *n, int *dir)
{
	*dir = 0;
	if (p->period != 0)
		*n = p->period;
	hw->period = *n;
	return 0;
}

static int
fake_period(struct alsa_pcm *p, struct alsa_hw *hw, unsigned long n, int dir)
{
	CHECK_EQ(dir, 0);
	hw->period = n;
	return p->period != 0 && p->period != n ? -EINVAL : 0;
}

static int
fake_periods_min(struct alsa_pcm *p, struct alsa_hw *hw, unsigned *n, int *dir)
{
	(void)p;
	(void)hw;
	CHECK(*n == 2 && *dir == 0);
	return 0;
}

static int
fake_buffer_near(struct alsa_pcm *p, struct alsa_hw *hw, unsigned long *n)
{
	if (p->buffer != 0)
		*n = p->buffer;
	hw->buffer = *n;
	return 0;
}

static unsigned
width(int format)			/* bytes of a sample; of 20 bits in 4, too */
{
	static const uint8_t widths[] = { 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 8, 8 };

	return format >= 32 ? 3 : format > 17 ? 4 : widths[format];
}

static int
fake_hw_params(struct alsa_pcm *p, struct alsa_hw *hw)
{

	CHECK(hw->pcm == p && hw->format >= 0 && hw->access >= 0);
	if (p->params_rc < 0)
		return p->params_rc;
	if (hw->period == 0)
		hw->period = p->period ? p->period : 1024;
	if (hw->buffer == 0)
		hw->buffer = p->buffer ? p->buffer : 16 * hw->period;
	p->format = hw->format;
	p->access = hw->access;
	p->channels_now = hw->channels;
	p->hw = p->appl = 0;
	p->frame = width(hw->format) * hw->channels;
	p->bufsz = hw->buffer;
	CHECK(p->bufsz * p->frame <= MAXBUF);
	p->state = ALSA_PREPARED;
	return 0;
}

static int
fake_get_rate(const struct alsa_hw *hw, unsigned *rate, int *dir)
{
	*rate = hw->rate;
	*dir = 0;
	return 0;
}

static int
fake_get_channels(const struct alsa_hw *hw, unsigned *n)
{
	*n = hw->channels;
	return 0;
}

static int
fake_get_period(const struct alsa_hw *hw, unsigned long *n, int *dir)
{
	*dir = 0;
	if (hw->period == 0)
		return -EINVAL;
	*n = hw->period;
	return 0;
}

static int
fake_get_buffer(const struct alsa_hw *hw, unsigned long *n)
{
	*n = hw->buffer;
	return 0;
}

static int
fake_sw_malloc(struct alsa_sw **sw)
{
	*sw = calloc(1, sizeof(**sw));
	return *sw == NULL ? -ENOMEM : 0;
}

static void
fake_sw_free(struct alsa_sw *sw)
{
	free(sw);
}

static int
fake_sw_current(struct alsa_pcm *p, struct alsa_sw *sw)
{
	*sw = (struct alsa_sw){ .pcm = p, .start = 1, .stop = p->bufsz, .avail_min = 1 };
	return 0;
}

static int
fake_boundary(const struct alsa_sw *sw, unsigned long *n)
{
	*n = sw->pcm->bufsz << 20;
	return 0;
}

#define FAKE_SW(name, statement)				\
static int							\
name(struct alsa_pcm *p, struct alsa_sw *sw, unsigned long n)	\
{								\
	CHECK(sw->pcm == p);					\
	statement;						\
	return 0;						\
}

FAKE_SW(fake_start_threshold, sw->start = n)
FAKE_SW(fake_stop_threshold, sw->stop = n)
FAKE_SW(fake_silence_threshold, CHECK_EQ(n, 0))
FAKE_SW(fake_silence_size, CHECK_EQ(n, 0))
FAKE_SW(fake_avail_min, sw->avail_min = n)

static int
fake_tstamp_mode(struct alsa_pcm *p, struct alsa_sw *sw, int mode)
{
	(void)p;
	(void)sw;
	CHECK_EQ(mode, ALSA_TSTAMP_ENABLE);
	return 0;
}

static int
fake_tstamp_type(struct alsa_pcm *p, struct alsa_sw *sw, int type)
{
	(void)p;
	(void)sw;
	CHECK_EQ(type, ALSA_TSTAMP_MONOTONIC);
	return -EINVAL;			/* an old kernel */
}

static int
fake_sw_params(struct alsa_pcm *p, struct alsa_sw *sw)
{
	p->start_threshold = sw->start;
	p->stop_threshold = sw->stop;
	p->avail_min = sw->avail_min;
	return 0;
}

static const struct alsa_lib fake = {
	fake_set_handler, fake_strerror, fake_open, fake_close, fake_link, fake_prepare, fake_resume, fake_start,
	fake_drop,
	fake_state, fake_avail, fake_delay, fake_htimestamp, fake_readi, fake_writei,
	fake_planes, fake_planes, fake_begin, fake_commit, fake_get_chmap, fake_set_chmap, fake_nfds, fake_fds,
	fake_revents, fake_hw_params, fake_hw_malloc, fake_hw_free, fake_hw_copy, fake_hw_any, fake_resample,
	fake_access, fake_test_format, fake_format, fake_channels, fake_rate_near, fake_rate, fake_integer,
	fake_period_near, fake_period, fake_periods_min, fake_buffer_near, fake_is_batch, fake_get_rate, fake_get_channels,
	fake_get_period, fake_get_buffer, fake_sw_params, fake_sw_malloc, fake_sw_free, fake_sw_current,
	fake_boundary, fake_start_threshold, fake_stop_threshold, fake_silence_threshold, fake_silence_size,
	fake_avail_min, fake_tstamp_mode, fake_tstamp_type,
};

static const char *const names[] = {
#define NAME(type, name, args)	"snd_" #name,
	ALSA_FUNCTIONS(NAME)
#undef NAME
};

#define NNAMES	((int)(sizeof(names) / sizeof(names[0])))

void	*__real_dlopen(const char *, int);
void	*__real_dlsym(void *, const char *);
void	*__wrap_dlopen(const char *, int);
void	*__wrap_dlsym(void *, const char *);

void *
__wrap_dlopen(const char *name, int flags)
{
	CHECK(strcmp(name, "libasound.so.2") == 0);
	return __real_dlopen(no_library ? "libasound-that-is-not-there.so.2" : NULL, flags);
}

void *
__wrap_dlsym(void *lib, const char *name)
{
	void *f;
	int i;

	(void)lib;
	for (i = 0; i < NNAMES - without; i++) {
		if (strcmp(name, names[i]) == 0) {
			memcpy(&f, (const char *)&fake + (size_t)i * sizeof(f), sizeof(f));
			return f;
		}
	}
	return NULL;
}

#endif
