/*
 * api.h: the whole boundary between Python and the engine.  Read verbatim by
 * cffi, included by engine.h.  Python decides, C moves samples.
 *
 * All functions are called by the control thread only, but driver_open and
 * driver_close.  None of them waits for the device's clock; these two, and
 * device_open and device_close, which are made of them, wait for the driver.  They return >= 0 or -errno.  Ids are the caller's and come back in
 * events.  An object may be freed only after the event that gives it back.
 */

#define ENGINE_ABI	1

typedef struct engine engine;
typedef struct device device;
typedef struct driver driver;
typedef struct stream stream;
typedef struct conn conn;

/* ---- events: what the engine tells Python ------------------------------- */

#define EV_MESSAGE	1	/* id conn; payload: one whole message (never one with samples of a started stream) */
#define EV_CONN_CLOSED	2	/* id conn; err: CLOSE_*, a: errno; the conn may be freed; its streams are being released */
#define EV_PROTOCOL	3	/* id conn; err: PROTO_*; nothing more is read; a: client's stream number or -1 */
#define EV_STOPPED	4	/* id stream; pump: the client's stop or flush has been answered; a: 1 drained, 0 flushed */
#define EV_RELEASED	5	/* id stream; device and pump have let go of it: it may be freed */
#define EV_PLAYING	6	/* id stream; its first frame is heard or recorded; a: frames of the device's clock */
#define EV_XRUN		7	/* id stream (0: the device's own, then dev); see struct event */
#define EV_ERROR	8	/* id stream; ended by the engine: err ENDED_*; pump has let go of it; release follows; a: id of the stop request that is now without answer, or -1 */
#define EV_DEV_STARTED	9	/* id device; its clock runs */
#define EV_DEV_STOPPED	10	/* id device; no stream left, clock stopped */
#define EV_DEV_FAILED	11	/* id device; err: errno; its clock has stopped for good, close it */
#define EV_SYNCED	12	/* answer to engine_sync; a: its cookie */
#define EV_THREAD	13	/* id: tid; err: 0 or errno of the request for realtime; a: 0 pump, else device id + 1 */

#define EV_LEFT	14	/* internal: never leaves engine_next */
#define EV_MOVED	15	/* id stream; it plays on the device that stream_move named */
#define EV_DEV_LOST	16	/* id device; err: errno; its card is lost: it runs on, into nothing, until it is closed */
#define EV_JOINED	17	/* id stream; it waits for no start any more; a: CLOCK_MONOTONIC ns at which its first cycle was due */
#define EV_HELD	18	/* id stream; its ramp has ended and it stands still; a: number of the aim */
#define EV_GROUP	26	/* id device; a: the run of device_mmc whose streams have joined; its clock runs from now */
#define EV_CLOCK	27	/* id device; a: frames of its clock since the last one, b: the run */
#define EV_CONN_SENT	24	/* id conn; answer to conn_await */

#define CLOSE_EOF	0	/* the peer closed */
#define CLOSE_ERROR	1	/* read or write failed: a = errno */
#define CLOSE_SELF	2	/* conn_close */
#define CLOSE_SLOW	3	/* the peer did not read and CONN_OUT_MAX was exceeded */
#define CLOSE_BYE	4	/* the peer said so (sndio's wire) */

#define PROTO_FORMAT	1	/* not MessagePack, or not a message of MessagePack-RPC */
#define PROTO_DEPTH	2	/* nested deeper than MSG_DEPTH */
#define PROTO_SIZE	3	/* larger than MSG_MAX, or samples larger than WRITE_MAX */
#define PROTO_WRITE	4	/* write: parameters are not [stream, bin] */
#define PROTO_STREAM	5	/* write: no such stream, or it is not started */
#define PROTO_MODE	6	/* write: the stream does not play */
#define PROTO_FRAME	7	/* write: not whole frames, or none */
#define PROTO_CREDIT	8	/* write: more than the credit */
#define PROTO_BLOCK	9	/* sndio's wire: data across the end of a block */
#define PROTO_STOP	10	/* sndio's wire: a stop behind a stop */

#define ENDED_XRUN	1	/* policy ERROR and an xrun */
#define ENDED_DEVICE	2	/* its device failed or was closed */

#define MSG_MAX		81920	/* largest message of a client */
#define MSG_DEPTH	16		/* deepest nesting */
#define WRITE_MAX	65536	/* most bytes of samples in one write */
#define CONN_OUT_MAX	262144	/* most bytes queued to a peer that does not read */
#define RELAY_MAX	4096	/* bytes in one EV_MESSAGE of a relayed connection */
#define CONN_NSTREAMS	1024		/* stream numbers of one connection */

#define XRUN_PLAY	0	/* too few frames to play */
#define XRUN_REC	1	/* no room for recorded frames */
#define XRUN_DEVICE	2	/* the driver ran dry */

struct event {
	uint32_t type;		/* EV_* */
	uint32_t id;
	int32_t err;		/* EV_XRUN: XRUN_* */
	uint32_t dev;		/* EV_XRUN and device events: device id */
	uint32_t len;		/* bytes of payload */
	int64_t a;		/* EV_XRUN: when the cycle was due, CLOCK_MONOTONIC ns, as the next three */
	int64_t b;		/* EV_XRUN: when the device thread woke */
	int64_t c;		/* EV_XRUN: when the last bytes of the stream came */
	int64_t d;		/* EV_XRUN: last time the pump knew its socket to be empty; XRUN_REC: its peer not to read */
	int64_t e;		/* EV_XRUN: frames missing */
};

/* ---- engine --------------------------------------------------------------- */

struct engine_conf {
	int32_t rt_prio;	/* SCHED_FIFO priority asked for by device threads, the pump gets one less; 0: do not ask */
	int32_t lock_memory;	/* 1: mlock what the device threads touch */
};

struct thread_info {
	int32_t tid;
	int32_t device;		/* id, or -1: the pump */
	int32_t policy;		/* read back: SCHED_OTHER 0, SCHED_FIFO 1 */
	int32_t prio;
	int32_t err;		/* 0, or why realtime was refused */
	int32_t asked;		/* priority asked for */
};

int	engine_abi(void);
int	engine_new(engine **, const struct engine_conf *);	/* starts the pump */
void	engine_free(engine *);		/* after all devices and conns */
int	engine_fd(engine *);		/* readable when engine_next has something */
void	engine_clear(engine *);		/* resets engine_fd; before the loop over engine_next */
int	engine_next(engine *, struct event *, void *buf, uint32_t size);	/* 1 and an event, or 0 */
int	engine_sync(engine *, int64_t cookie);	/* pump empties every socket and queue once, then EV_SYNCED */
/* 1: aims of any stream from here on wait; 0: they are taken, all those of a device in one cycle */
void	engine_gather(engine *, int on);
int	engine_threads(engine *, struct thread_info *, uint32_t max);
int	engine_pump_wakeups(engine *, int64_t *wakeups, int64_t *cpu_ns);

/* ---- devices --------------------------------------------------------------- */

struct encoding {
	uint8_t bits, bps, sig, le, msb, flt;	/* dsp.h: struct enc */
};

struct device_par {
	struct encoding enc;
	uint32_t rate;		/* Hz */
	uint32_t round;		/* frames */
	uint32_t bufsz;		/* frames */
	uint32_t pchan, rchan;	/* 0: direction absent */
	uint32_t clock;		/* out: 0 real, 1 free, 2 manual */
	uint8_t pmap[64];	/* where its channels are, ALSA's numbers; all 0: unknown, or no wish */
	uint8_t rmap[64];
};

struct device_conf {
	const char *driver;	/* "null", "file", "loopback", "manual", "alsa" */
	const char *arg;	/* never NULL */
	const char *rec;	/* file: path or NULL */
	int32_t free_clock;
	int32_t append;
	int32_t access;		/* alsa: 1 + snd_pcm_access_t, 0: the best that works */
	int32_t dither;		/* 0 off, 1 auto */
	int32_t stall_ms;	/* clock=free: longest wait for one stream */
	int32_t ppm;		/* simulated, 0: not: error of a real clock, parts per million */
	int64_t jitter_ns;	/* a real clock tells of a block up to this late */
	int64_t xrun_every_ns;	/* of running: the driver runs dry */
	int64_t unplug_after_ns;	/* of running: the device is gone; it may be opened again at once */
	struct device_par par;	/* wanted */
};

struct device_stats {
	int64_t cycles;		/* since open */
	int64_t position;	/* frames that the clock has passed since it started */
	int64_t xruns;		/* of the driver */
	int64_t clipped;	/* blocks of output in which a sample was clipped */
	int64_t bypassed;	/* blocks copied as integers */
	int64_t cpu_ns;		/* of its thread */
	int32_t running;
	int32_t streams;	/* attached, held ones too */
};

struct cycle {			/* record of one cycle */
	int64_t seq;
	int64_t due_ns, wake_ns, end_ns;	/* CLOCK_MONOTONIC */
	uint32_t nblocks;	/* blocks that the driver had passed at this wake-up */
	uint32_t nstreams;	/* mixed */
	uint32_t nxruns;	/* streams that were short */
	uint32_t flags;		/* 1: driver xrun */
};

#define CURVE_N	16

struct curve {			/* of a ramp: straight lines from (0, 0) over n points to (1, 1); n 0: smoothstep */
	uint32_t n;
	float x[16];		/* part of the time, 0..1, never falls */
	float y[16];		/* part of the way, 0..1 */
};

/*
 * A device in two halves each: opening and closing the driver may wait for the
 * card and may be called by any thread, also several at once; attaching and
 * detaching are quick and are the control thread's.  When driver_open returns 0, err
 * may say what there is not, "" if nothing.
 */
int	driver_open(const struct device_conf *, driver **, char *err, uint32_t errsz);
void	driver_close(driver *);
/* the driver is the device's from here on; if it fails, still the caller's.  conf as for driver_open */
int	device_attach(engine *, uint32_t id, const struct device_conf *, driver *, device **, char *err, uint32_t errsz);
driver	*device_detach(device *);	/* ends its streams (EV_ERROR, EV_RELEASED), joins its thread, frees it */

int	device_open(engine *, uint32_t id, const struct device_conf *, device **, char *err, uint32_t errsz);
int	device_close(device *);
void	device_getpar(device *, struct device_par *);
int	device_step(device *, uint32_t nblocks);	/* manual: returns when the blocks have passed and been mixed */
void	device_setgain(device *, double gain);		/* software master, linear */
void	device_setrecgain(device *, double gain);	/* of what is recorded, linear */
/* how changes of volume, mute and masters go from here on: the curve (NULL: smoothstep), device frames (0: one block) */
int	device_setcurve(device *, const struct curve *, uint32_t nframes);
void	device_setgroup(device *, uint32_t group, uint32_t nmembers);	/* streams of a link group start when so many are ready */
int	device_abandon(device *, int err, int fd);	/* a card: close it, as if it were lost; fd, an eventfd, becomes readable then */
/*
 * Streams with STREAM_MMC wait while run is 0.  Else those that wait join in one
 * cycle, once they are all ready and pending is 0: EV_GROUP, once for each run.  The
 * clock then runs, with streams or without, and tells of each cycle (EV_CLOCK) until
 * another run is set.  MMC_JOINED: of this run they have joined on another device.
 */
#define MMC_JOINED	0xffffffff
void	device_mmc(device *, uint32_t run, uint32_t pending);
void	device_getstats(device *, struct device_stats *);
int	device_getcycles(device *, struct cycle *, uint32_t max);	/* newest last */

/* ---- streams --------------------------------------------------------------- */

#define STREAM_PLAY	1
#define STREAM_REC	2
#define STREAM_MON	4	/* record what the device plays; with STREAM_REC: both added */
#define STREAM_NOPLAY	8	/* play side exists for the client but is discarded */
#define STREAM_NOREC	16	/* record side exists for the client but is silence */
#define STREAM_AUTOVOL	32	/* sndiod's -w */
#define STREAM_MUTED	64	/* begins muted */
#define STREAM_MMC	1024	/* waits for device_mmc instead of a link group; stopped before that, it ends at once */
#define STREAM_TELLXRUN	128	/* sndio's wire: its client asked to be told of xruns */

struct stream_par {
	struct encoding enc;
	uint32_t flags;		/* STREAM_* */
	uint32_t rate;		/* Hz */
	uint32_t pchan, rchan;	/* channels of the client */
	uint32_t appbufsz;	/* frames at rate */
	uint32_t xrun;		/* 0 ignore, 1 sync, 2 error */
	int32_t pmin, pmax;	/* device channels it may play on */
	int32_t rmin, rmax;	/* device channels it may record from */
	int32_t join;		/* -j */
	uint32_t vol;		/* 0..127 at start */
	uint32_t maxvol;	/* -v, 0..127 */
	uint32_t group;		/* link group, 0 none */
	uint32_t group_n;	/* its members */
	uint32_t round;		/* sndio's wire: frames at rate that no message of data crosses the end of */
	uint32_t start;		/* START_*: what it waits for before it joins */
	uint32_t start_min;	/* START_DATA: frames */
};

#define START_FULL	0	/* play ring full; what only records: nothing */
#define START_DATA	1	/* start_min frames, and a block at least; what only records: nothing */
#define START_GO	2	/* stream_go */

#define STREAM_INIT	0	/* made */
#define STREAM_PRIMING	1	/* started, its buffer fills */
#define STREAM_RUNNING	2
#define STREAM_DRAINING	3
#define STREAM_ENDED	4
#define STREAM_HELD	5	/* joined, and stands still: stream_aim */

struct stream_stats {
	int64_t position;	/* frames at the client's rate; negative before the first frame is heard */
	int64_t time_ns;	/* CLOCK_MONOTONIC of that position; 0 before the first */
	int64_t written;	/* frames that the client has given, SYNC skips included */
	int64_t consumed;	/* frames that the mixer has taken, SYNC skips included */
	int64_t captured;	/* frames put into the record ring */
	int64_t read;		/* frames that left it */
	int64_t xruns;
	int64_t lost;		/* frames of xruns, at the client's rate */
	int32_t state;		/* STREAM_* */
	int32_t vol;
	int32_t bypass;		/* 1: the last cycle copied it as integers */
	int32_t delay;		/* frames at the client's rate held by its resamplers */
	int64_t cycles;		/* blocks of its device since it joined, those it was held in excepted */
	int64_t fed;		/* those in which its samples went through, or silence in their place */
	int64_t underruns;	/* of xruns: too few frames to play */
	int64_t overruns;	/* of xruns: no room for recorded frames */
	int64_t overranges;	/* blocks recorded with a sample at full scale on one of its channels */
	int64_t first_ns;	/* CLOCK_MONOTONIC when its first frame was heard, or recorded; 0: not yet */
	int64_t last_ns;	/* CLOCK_MONOTONIC when the last frame that the mixer has taken is heard, or recorded; 0: none */
	int32_t filled;		/* frames in its play ring; what only records: in its record ring */
	int32_t rfilled;	/* frames in its record ring */
};

struct stream_counts {		/* what a listing of many streams tells of each */
	int64_t queued;		/* frames that wait to be played */
	int64_t recorded;	/* frames that wait to be read */
	int64_t cycles;		/* as in stream_stats, the next two likewise */
	int64_t fed;
	int64_t bypass;
};

int	stream_new(device *, uint32_t id, const struct stream_par *, stream **);
void	stream_free(stream *);		/* never started, or after EV_RELEASED */
int	stream_start(stream *);		/* without a conn: stream_write and stream_read are its ends */
int	stream_stop(stream *, int drain);	/* the pump does it for those of a conn */
int	stream_write(stream *, const void *, uint32_t nframes);	/* frames taken */
int	stream_read(stream *, void *, uint32_t nframes);	/* frames given */
void	stream_setvol(stream *, uint32_t vol);
void	stream_setmute(stream *, int on);	/* silent whatever its volume, with a ramp */
/* join at the next cycle whatever its start waits for; of a link group: all that are started */
int	stream_go(stream *);
/*
 * From the next block on: channel i of what it plays (its own channels) times
 * gains[i], 0..1; channels beyond n as the last of them, n 0: all 1.  Reached
 * from the gains as they are along the curve (NULL: smoothstep) in nframes of
 * the device; 0: in one block, at once if it does not sound.  hold 1: to
 * silence, in whole blocks, and there it stands still: nothing is taken,
 * recorded or missed until an aim without hold, which begins at that silence.
 * It is EV_HELD then, at once if it only records.  The last call wins.  A held
 * stream that is to drain runs on at `gains`, and one that drains is not held;
 * one that is flushed has ended.
 * Returns the number of the aim, from 1 on.
 */
int	stream_aim(stream *, const float *gains, uint32_t n, const struct curve *, uint32_t nframes, int hold);
/* go on playing on another device: rate and channels of par are the stream's; -EINVAL if a block of it is larger than appbufsz, -EBUSY while it moves */
int	stream_move(stream *, device *, const struct stream_par *);
void	stream_getstats(stream *, struct stream_stats *);
void	streams_count(stream *const *, uint32_t n, struct stream_counts *);	/* of n streams, in one call */

/* ---- connections ------------------------------------------------------------ */

/*
 * The pump owns fd from here on.  It answers `stop` and `flush` of a started
 * stream, takes its `write`, applies its `setvol` and the draining of its
 * `close`, then forwards all but `write` (and all other messages) as EV_MESSAGE.
 *
 * On sndio's wire there is one stream, number 0.  The pump takes its DATA, answers
 * its STOP, applies its SETVOL and forwards it, closes at BYE, at the end of a
 * stream by its policy and with its device; all other messages, of 40 bytes each,
 * are forwarded.  A connection for MIDI carries bytes at the pace of a cable, and
 * control has asked for all of them: conn_relay.
 */
#define WIRE_NATIVE	0	/* MessagePack-RPC */
#define WIRE_SNDIO	1

int	conn_new(engine *, uint32_t id, int fd, int wire, conn **);
int	conn_send(conn *, const void *, uint32_t len);	/* in the order of the calls */
int	conn_tell(conn *, uint32_t number, const void *, uint32_t len);	/* the same, but only while that stream is started: never behind the answer to its stop */
int	conn_relay(conn *);	/* sndio, for MIDI: all that is read from here on is forwarded as it comes, DATA and BYE too, in pieces of RELAY_MAX bytes at most */
int	conn_await(conn *);	/* EV_CONN_SENT once the peer's socket has taken all that was queued */
/* queue the answer to start, then the mark after which credit, onmove and data of the stream flow */
int	conn_start(conn *, stream *, uint32_t number, const void *, uint32_t len);
/* stop as if the client had asked; when done the answer is queued after all else of the stream, and EV_STOPPED follows */
int	conn_stop(conn *, uint32_t number, int drain, const void *, uint32_t len);
/* end at once: stream released, then the message queued; later writes of the client to this number are ignored */
int	conn_end(conn *, uint32_t number, const void *, uint32_t len);
int64_t	conn_unread(conn *);			/* bytes of the client that wait in its socket, now */
int	conn_close(conn *, int flush);	/* flush: after what is queued was sent */
void	conn_free(conn *);		/* after EV_CONN_CLOSED */
