/*
 * conn.h: one client's socket as the pump has it, and the pump as its files
 * share it.  All fields belong to the pump thread unless they say otherwise.
 */
#ifndef CONN_H
#define CONN_H

#include <sched.h>

#include "msg.h"
#include "ring.h"

#define IN_SIZE		(128 * 1024)	/* bytes read ahead of one peer; more than MSG_MAX */
#define OUT_SOFT	(64 * 1024)	/* bytes queued above which positions, credit and data wait */
#define OUT_SIZE	(CONN_OUT_MAX + OUT_SOFT + WRITE_MAX + 4096)
#define DATA_MAX	(32 * 1024)	/* bytes of samples in one `data` */
#define ANSWER_MAX	64		/* bytes of the answer to a stop */
#define HEAD_MAX	64		/* bytes of a message without its samples */
#define UNREAD_NS	22000000	/* longest that a message waits in the socket of a stream that has plenty */
#define EVERY_MAX	8		/* cycles */
#define NLATER		16384		/* events without payload that may wait for control */

enum slot_state {
	SLOT_NONE,			/* never started, or stopped by the client */
	SLOT_RUN,
	SLOT_DRAIN,			/* asked to stop */
	SLOT_ENDED,			/* ended by the server: what still comes is ignored */
};

struct slot {				/* one stream number of the client */
	struct stream *stream;
	enum slot_state state;
	int drained;			/* stop was a drain */
	enum slot_state left;		/* its state when it has stopped */
	int begun;			/* has been seen to play */
	int64_t request;		/* id of the stop that the answer is for, -1 none */
	uint32_t wblock, rblock;	/* sndio: frames since the last end of a block, written and read */
	int taking;			/* sndio: the DATA under way is this stream's, not one that came before it */
	uint32_t answer_len;
	uint8_t answer[ANSWER_MAX];	/* sent when it has stopped */
};

struct conn;
struct pump;

#define TAKE_MORE	0		/* not whole yet, or the conn is broken or dead */
#define TAKE_BLOCKED	(-1)		/* control has no room for it: later again */

/*
 * How one protocol spells what the pump does: the same table of functions for
 * each.  Those that write return the end of what they wrote, at most HEAD_MAX
 * bytes; what a protocol has no word for is o itself.
 */
struct wire {
	long (*take)(struct pump *, struct conn *, const uint8_t *, size_t len);	/* one message or piece of it: its bytes */
	uint8_t *(*move)(uint8_t *o, const struct stream *, int64_t delta, int64_t pos, int64_t ns);
	uint8_t *(*credit)(uint8_t *o, const struct stream *, int64_t delta);
	uint8_t *(*xrun)(uint8_t *o, const struct stream *, int kind);
	uint8_t *(*data)(uint8_t *o, const struct stream *, uint32_t nbytes);	/* what precedes the samples */
	uint32_t (*data_most)(const struct stream *, const struct slot *);	/* frames of the next data */
	int ends;			/* a stream that the server ends takes the connection with it */
};

extern const struct wire wire_native, wire_sndio;

struct conn {
	engine *engine;
	const struct wire *wire;
	uint32_t id;
	_Atomic int fd;			/* -1: closed; control looks into it, too */
	int dead;			/* closed: only CMD_FREE is awaited */
	int broken;			/* broke the protocol: nothing more is read */
	int closing;			/* closes when all is sent */
	int awaited;			/* control waits for all to be sent */
	int blocked;			/* control has no room for its next message */
	int starved;			/* held something back until the peer reads */
	int dirty;			/* in the pump's list of those with output */
	int swept;			/* out of epoll, read once a cycle */
	int late;			/* swept: read again a guard time before the next cycle */
	int plenty;			/* swept: holds enough to be read every so many cycles only */
	int hungry;			/* held less than a block even so: in epoll until it is full again */
	int several;			/* its streams are on several devices: stays in epoll */
	int adding;			/* not yet registered */
	uint32_t events;		/* epoll mask */
	uint32_t nslots;		/* one past the highest number used */
	int nrun, nbegun;		/* play streams started / of these, playing and fit to be swept */
	struct pdev *pdev;		/* device of its streams */
	struct conn *next, **prev;	/* all conns */
	struct conn *snext, **sprev;	/* swept ones of a device */
	struct conn *dnext;		/* dirty ones */
	struct scan scan;		/* native: of the message that arrives */
	uint32_t todo;			/* sndio: bytes of samples still to come */
	int relay;			/* sndio: nothing is for the pump */
	uint8_t *in;			/* IN_SIZE */
	size_t in_off, in_len;
	uint8_t *out;			/* OUT_SIZE */
	size_t out_off, out_len;
	struct slot *slots;		/* CONN_NSTREAMS */
};

struct pdev {				/* a device as the pump sees it */
	struct device *dev;
	struct stream *streams;
	struct conn *swept;
	int nlate;			/* of these, late */
	uint32_t every;			/* cycles between reads of those that have plenty, a power of two */
	int64_t seq;			/* cycles already told to clients */
	int64_t swept_due;		/* cycle whose data was already swept */
};

struct pump {
	engine *engine;
	struct thread thread;
	int epfd, wakefd;
	_Atomic int signalled;		/* wakefd written, not yet cleared */
	_Atomic int asleep;
	_Atomic int starving;		/* some conn is blocked: control wakes the pump when it has read */
	_Atomic int64_t wakeups;
	struct cmdq cmds;		/* from control */
	struct cmdq back;		/* their memory, to control */
	struct msgring ring;		/* to control */
	struct event *later;		/* NLATER, ring: those that found no room */
	uint32_t later_w, later_r;
	struct conn *conns, *dirty;
	struct pdev devs[NDEV_MAX];
	int64_t now;			/* of this pass */
	int nblocked;			/* conns that wait for room */
	int movable, cpu;		/* may be placed / where it is, -1 anywhere: near.c */
	cpu_set_t anywhere;
	int64_t cost_ns;		/* of a pass, about */
	int told;			/* control has events */
	int quit;
};

int	conn_read(struct pump *, struct conn *);	/* 1: something came */
void	conn_flush(struct pump *, struct conn *);
void	conn_parse(struct pump *, struct conn *);	/* what has been read */
void	conn_die(struct pump *, struct conn *, int reason, int err);
void	conn_break(struct pump *, struct conn *, int why, int64_t number);	/* the peer broke the protocol */
uint8_t	*conn_room(struct conn *, size_t n);	/* where n bytes of output go */
void	conn_out(struct pump *, struct conn *, const uint8_t *end);	/* ... up to here */
void	conn_queue(struct pump *, struct conn *, const void *, uint32_t n);	/* control's messages */
void	sweep_unlink(struct conn *);
void	conn_late(struct conn *, int late);
void	conn_hungry(struct pump *, struct conn *, int hungry);
void	conn_mode(struct pump *, struct conn *);	/* epoll or sweep, what to wait for */

void	near_begin(struct pump *);	/* near.c */
void	near_follow(struct pump *, const struct pdev *only);

void	*pump_run(void *);		/* the thread */
void	pump_post(struct pump *, uint32_t type, uint32_t id, int err, int64_t a);
int	pump_room(const struct pump *, uint32_t n);	/* control has room for a message of n bytes */
void	pump_forward(struct pump *, struct conn *, const uint8_t *, uint32_t n);
void	pump_dirty(struct pump *, struct conn *);

void	slot_start(struct pump *, struct conn *, uint32_t number, struct stream *);
/* left: SLOT_NONE if the client asked, SLOT_ENDED if it cannot know and may write on */
void	slot_stop(struct pump *, struct conn *, uint32_t number, int drain, enum slot_state left,
	    const void *answer, uint32_t n);
void	slot_end(struct pump *, struct conn *, uint32_t number);	/* by the server */
void	slot_drop(struct pump *, struct conn *, uint32_t number, enum slot_state left);	/* let go of the stream */
void	slot_follow(struct pump *, struct stream *);	/* it has another device */
void	slot_arrived(struct pump *, struct stream *, const void *, uint32_t nframes);	/* samples of the client */
void	slot_emit(struct pump *, struct stream *);	/* position, credit, data, end */

#endif
