/*
 * engine.h: what the files of the engine share.
 *
 * Three kinds of threads: control (Python, calls the functions of api.h), one
 * device thread per open device (dev.c, stream.c), one pump (pump.c, conn.c).
 * Every field says which thread owns it; what two threads touch is atomic.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include "api.h"
#include "driver.h"
#include "dsp.h"
#include "mailbox.h"

#define NS		1000000000	/* in a second */
#define NDEV_MAX	64		/* devices of one engine, closed ones whose streams live included */
#define RAMP_MS		10		/* smoothstep of every change of gain */
#define DEVCMD_SIZE	8192		/* commands that may wait for a device thread */
#define NCYCLES		1024		/* cycle records kept: ten seconds of 10 ms blocks */

struct evring;
struct pump;

/* ---- memory -------------------------------------------------------------- */

/* zeroed pages, touched and locked if the engine was told to and is allowed to */
void	*mem_new(engine *, size_t size);
void	*mem_reserve(size_t size);	/* zeroed pages, touched when used */
void	mem_free(void *, size_t size);

int64_t	now_ns(void);			/* CLOCK_MONOTONIC */

/* ---- threads ---------------------------------------------------------------- */

struct thread {				/* an engine thread and the scheduling it asked for */
	pthread_t pt;
	_Atomic int tid;		/* 0: not yet running */
	_Atomic int err;		/* of the request for realtime */
	int asked;			/* priority, 0: none */
	void *(*run)(void *);
	void *arg;
};

int	thread_start(struct thread *, int prio, void *(*run)(void *), void *arg);	/* signals blocked */
void	thread_enter(struct thread *);	/* first call in the thread: realtime, denormals, tid */

/* ---- engine ------------------------------------------------------------------ */

struct orphan {				/* event of a closed device, not yet delivered */
	struct orphan *next;
	struct event ev;
};

struct engine {
	int efd;			/* eventfd of control */
	_Atomic int signalled;		/* efd has been written and not yet cleared */
	int rt_prio;
	int lock_memory;
	int gathering;			/* control: aims wait for its end */
	_Atomic uint32_t aims;		/* so many gatherings have ended */
	struct device *devs[NDEV_MAX];	/* control */
	struct orphan *orphans, **orphan_end;	/* control */
	struct pump *pump;
};

void	engine_signal(engine *);	/* any thread: wake control */
void	engine_orphan(engine *, const struct event *);	/* control: an event that no device thread tells */

/* ---- streams ------------------------------------------------------------------- */

#define STOP_NONE	0
#define STOP_DRAIN	1
#define STOP_FLUSH	2

struct chain {				/* conversion between one stream and one device */
	int f64;			/* computed in double: wide encodings and devices */
	int inexact;			/* conversion loses or interpolates: dither is due */
	int same;			/* device's encoding, rate and channels in place: may bypass */
	int swept;			/* may leave epoll: two blocks of buffer and a real clock */
	uint32_t ahead;			/* frames queued with which two more cycles are safe */
	struct cmap pmap, rmap, mmap;
	uint64_t rmask;			/* device channels that it records */
	struct resamp *prs, *rrs;	/* NULL at equal rates */
	int64_t delay_ns;		/* of the resampler of what it plays */
	int64_t tail;			/* draining: silent input frames that the resampler still takes */
	int64_t rdrop;			/* recorded frames to drop: delay of resamplers */
};

uint32_t chain_block(const device *, uint32_t rate);
int	chain_init(struct chain *, const device *, const struct stream_par *, const struct conv *);
void	chain_free(struct chain *);

struct aim {				/* what control wants of the channels' gains */
	float gains[DSP_NCHAN];
	uint32_t n;
	uint32_t nframes;
	int hold;
	int serial;
	uint32_t when;			/* taken once engine->aims is as far */
	struct shape shape;
};

#define HOLD_NONE	0
#define HOLD_RAMP	1		/* to be held when its ramp has ended */
#define HOLD_DONE	2		/* held: takes no part in cycles */

#define TELL_JOINED	1
#define TELL_HELD	2

struct stream {
	/* fixed by stream_new */
	engine *engine;
	_Atomic(device *) dev;		/* changed by control only while no device thread has the stream */
	uint32_t id;
	struct stream_par par;
	struct conv conv;
	struct chain chain;		/* made by control, run by the device thread */
	struct fring *play, *rec;	/* NULL if absent; producer/consumer: pump (or control) and device thread */

	/* anyone, atomically */
	_Atomic int stop;		/* STOP_*, by pump or control */
	_Atomic uint32_t vol;		/* 0..127, by pump or control */
	_Atomic int muted;		/* by control */
	_Atomic int go;			/* by control: join, whatever is there */
	_Atomic int refs;		/* device thread and pump */
	_Atomic int state;		/* STREAM_*, by the device thread */
	_Atomic int done;		/* stopped as asked, by the device thread */
	_Atomic int ended;		/* ENDED_*, by the device thread */
	_Atomic uint32_t posseq;	/* seqlock of pos and pos_ns */
	_Atomic int64_t pos, pos_ns;
	_Atomic uint32_t ticks;		/* positions published */
	_Atomic uint32_t nnotes;	/* xruns to tell the client */
	_Atomic int note;		/* kind of the last one, XRUN_* */
	_Atomic int64_t xruns, lost;
	_Atomic int64_t cycles, fed;	/* blocks that it was there for / that it was fed in, by the device thread */
	_Atomic int64_t skip, skipped;	/* SYNC, play: frames to discard (device thread) / discarded (producer) */
	_Atomic int64_t rskip, rskipped;	/* SYNC, record: frames to give as silence / given (consumer) */
	_Atomic int64_t arrival_ns;	/* last bytes, by the producer */
	_Atomic int64_t swept_ns;	/* last time its socket was known empty, by the pump */
	_Atomic int64_t held_ns;	/* last time its recorded data had to wait for its peer to read, by the pump */
	_Atomic int polled;		/* its socket is in epoll, by the pump */
	_Atomic int bypassed;
	_Atomic int leave;		/* by control: fade out and come back */
	struct mailbox mail;		/* of aims, control to device thread */
	_Atomic int64_t underruns, overruns, overranges;	/* by the device thread, as the next */
	_Atomic int64_t first_ns, last_ns;	/* when its first frame is heard, and the last that was taken */

	/* control */
	int serial;			/* of the last aim */
	struct move *move;		/* where to, until it has left */
	device *from;			/* until the pump has followed */
	int handover;
	int orphaned;			/* to be freed when the pump has followed */

	/* device thread */
	struct stream *next;		/* in dev->streams */
	int phase;			/* STREAM_* */
	int attached;			/* has joined: RUNNING, DRAINING or HELD */
	int hold;			/* HOLD_* */
	int faded;			/* its fade is not 1 throughout */
	int waits;			/* the aim in slot `out` of mail waits for the end of a gathering */
	int aimed;			/* number of the aim it follows */
	int joined;			/* its first cycle has been */
	int untold;			/* TELL_*: news that found no room yet */
	int64_t joined_ns;
	int64_t dpos;			/* device frames heard; starts at -bufsz */
	int64_t pos_base;		/* client's frames at zero of this device's clock */
	int64_t pos_told;		/* position last published */
	int resume;			/* comes from another device: joins at once */
	int inxrun;			/* within a pause */
	int fading;			/* flushed, fades out */
	int stalled;			/* clock=free: waited for in vain */
	int64_t waited;			/* clock=free: since when, ns */
	int admit;			/* joins in this pass */
	struct gain gain;		/* of what it plays */
	struct gain recgain;		/* of what it records */
	double weight;			/* of autovol */
	uint32_t vol_seen;
	int muted_seen;
	double target;
	uint32_t group_n;

	/* pump */
	struct conn *conn;
	struct pdev *pdev;
	struct stream *pnext, **pprev;	/* in the pump's list of the device */
	uint32_t number;
	int64_t granted, received;	/* frames of credit given and used */
	int64_t moved;			/* position told */
	int told;			/* a position has been told */
	uint32_t ticks_seen, notes_seen;
	int swept;			/* may leave epoll: two blocks of buffer and a real clock */
	uint32_t ahead;			/* as its chain's, which control changes while it moves, as it does par's flags */
	int tellxrun;			/* STREAM_TELLXRUN */

	/* large, and rarely touched */
	struct fade fade;		/* device thread: of the channels of what it plays */
	struct aim aims[MAILBOX_NSLOTS];	/* slots of mail */
};

static inline int
stream_live(const stream *s)		/* device thread: takes part in cycles */
{
	return s->attached && s->hold != HOLD_DONE;
}

static inline int
aim_idle(const stream *s)		/* device thread: aim_take has nothing to do */
{
	return !mailbox_new(&s->mail) && !s->waits && s->hold == HOLD_NONE;
}

int	shape_of(struct shape *, const struct curve *);	/* control: 0 or -EINVAL */

int	aim_take(stream *, uint32_t aims);	/* device thread: aim.c; aims: as engine->aims was for all streams of this pass */
int	aim_waits(const stream *);
void	aim_settle(stream *);
void	aim_joined(stream *, int64_t ns);
void	aim_held(stream *);
void	aim_tell(stream *);

void	move_left(stream *);		/* control: move.c */
void	move_done(stream *);
void	move_cancel(stream *);

int	stream_ready(stream *);		/* device thread: may start playing */
int	stream_finished(const stream *);
void	stream_attach(stream *);
void	stream_retarget(stream *, int ramp);	/* gain after a change of volume, weight or master */
int	stream_has_block(stream *);	/* clock=free: does not hold up the next cycle */
int	stream_cycle(stream *, int bypass);	/* one block: 1 stopped as asked, -1 ended by its policy */
void	stream_note(stream *, int kind);	/* one more xrun to tell the client */
void	stream_tick(stream *, int64_t time_ns);
void	stream_prefetch(const stream *);	/* its next block will be needed soon */
void	stream_poke(stream *);		/* producer: wake a device thread that waits for this stream */
void	stream_arrived(stream *, const void *, uint32_t nframes, int64_t t);	/* producer: frames come in */
int64_t	stream_rec_owed(stream *);	/* consumer: frames of silence due before newer ones */

/* ---- devices --------------------------------------------------------------------- */

struct devcmd {
	int op;				/* DEVCMD_* */
	stream *stream;
	uint32_t a, b;
};

#define DEVCMD_ATTACH	1
#define DEVCMD_GROUP	2
#define DEVCMD_ABANDON	3		/* a: errno, b: descriptor */
#define DEVCMD_MMC	4

struct glide {				/* how a volume changes */
	struct shape shape;
	unsigned nframes;
};

struct cyclerec {			/* struct cycle, each field its own atomic */
	_Atomic int64_t due, wake, end;
	_Atomic uint32_t nblocks, nstreams, nxruns, flags;
};

struct device {
	/* fixed by device_open */
	engine *engine;
	uint32_t id;
	driver *driver;			/* the open driver as device_attach got it, and what of it is used */
	const struct drv_ops *drv;
	void *drvh;
	struct drv_par par;
	int dither;
	int64_t stall_ns, period_ns;
	unsigned ramp;			/* frames of RAMP_MS */
	int64_t ahead_ns;		/* of its buffer: as much later is heard what a cycle has mixed */
	int wide;			/* f64 bus for all */
	struct conv conv;
	size_t pframe, rframe;		/* bytes */
	struct thread thread;
	int wakefd;			/* eventfd of the device thread */
	int stepfd;			/* manual: eventfd, control waits on it */

	/* control */
	int refs;			/* one for the open device, one a stream */
	int closed;

	/* shared */
	struct devcmd cmds[DEVCMD_SIZE];
	_Atomic uint32_t cmd_w, cmd_r;
	_Atomic int waiting;		/* the thread sleeps until poked */
	_Atomic uint64_t master, recmaster;	/* bits of doubles: gain of what is played, of what is recorded */
	_Atomic uint32_t master_seq;
	struct mailbox mail;		/* of glides, control to device thread */
	struct glide glides[MAILBOX_NSLOTS];
	_Atomic int64_t seq;		/* cycles, told to the pump */
	_Atomic int64_t next_due;	/* ns; 0: not on a real clock */
	_Atomic int64_t step_req, step_done;
	_Atomic int cpu;		/* on which its thread woke last */
	_Atomic int64_t cost_ns;	/* of its last wake-up */
	_Atomic int64_t cycles, position, xruns, clipped, nbypassed;
	_Atomic int running, quit;
	_Atomic int nattached;		/* streams that take part in cycles */
	_Atomic int nheld;		/* ... that have joined and stand still */
	struct cyclerec cyc[NCYCLES];
	_Atomic int64_t ncyc;
	struct evring *events;

	/* device thread */
	struct stream *streams;		/* started ones */
	struct stream *unreleased;	/* given back, but control has no room for the event yet */
	int idle_left;			/* blocks of silence until it stops */
	uint32_t mmc_run, mmc_pending;	/* as device_mmc said */
	uint32_t mmc_joined;		/* the run whose streams have joined */
	int64_t mmc_frames;		/* of the clock, not told yet */
	int failed;
	uint32_t master_seen;
	double master_now, recmaster_now;
	struct glide glide[2];		/* of volumes: one, and the one that ramps under way may still be on */
	int glide_now;
	int untold;			/* streams have news that found no room */
	int64_t due_ns, wake_ns;	/* of this cycle */
	int64_t first_due_ns;		/* of the first cycle of this wake-up: how late it is */
	int nlate;			/* streams short in this cycle */
	uint32_t seed;			/* dither */
	float *mix32;			/* round x pchan */
	double *mix64;
	int mix32_used, mix64_used;
	int inexact;			/* a contributor calls for dither */
	float *rec32;			/* round x rchan, what was recorded */
	double *rec64;
	int rec32_valid, rec64_valid;
	int hot_valid;
	uint64_t hot;			/* channels with a sample at full scale */
	double *mon;			/* mixes not yet heard: nmon blocks of round x pchan */
	unsigned nmon;
	int64_t monpos;			/* blocks ever put into it */
	float *mon32;			/* the block heard now, as f32 */
	int mon32_valid;
	int nmons;			/* streams that monitor */
	uint8_t *pblock, *rblock;	/* one block in the device's encoding: where it goes to, what came */
	uint8_t *pbuf;			/* pblock, unless the driver has a better place */
	void *in, *out;			/* scratch of a stream: input and output of its resampler, decoded */
	int plays;			/* this block is part of what some stream plays */
	int in_cycle;			/* what was recorded in this block has been read */
	int copied;			/* pblock is a stream's own bytes */
};

int	dev_command(device *, int op, stream *, uint32_t a, uint32_t b);	/* control: 0 or -EAGAIN */
void	device_unref(device *);		/* control */
void	*dev_run(void *);		/* the device thread */
void	dev_wake(device *);		/* wake the thread */
void	dev_poke(device *);		/* ... if it waits */
void	dev_event(device *, const struct event *);	/* device thread: may be lost if control is far behind */
void	dev_xrun(device *, stream *, int kind, int64_t missing);
const void *dev_recorded(device *, int f64);	/* round x rchan */
const void *dev_monitored(device *, int f64);	/* round x pchan */
uint64_t dev_overrange(device *);	/* recorded channels with a sample at full scale */

/* ---- pump --------------------------------------------------------------------------- */

#define CMD_ADD		1
#define CMD_SEND	2
#define CMD_START	3
#define CMD_STOP	4
#define CMD_END		5
#define CMD_CLOSE	6
#define CMD_FREE	7
#define CMD_SYNC	8
#define CMD_QUIT	9
#define CMD_TELL	10
#define CMD_FOLLOW	11
#define CMD_AWAIT	12
#define CMD_RELAY	13

int	pump_new(engine *);
void	pump_free(engine *);
void	pump_follow(stream *);		/* control: the stream has another device */
void	pump_wake(struct pump *);	/* any thread */
int	pump_asleep(struct pump *);	/* it waits: every polled socket is empty */
int	pump_next(engine *, struct event *, void *buf, uint32_t size);	/* control */
struct thread *pump_thread(struct pump *);

#endif
