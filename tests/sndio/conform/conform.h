/*
 * What the files of the conformance program share: the trace, one stream of
 * libsndio with all that was observed on it, and a sound that can be found again.
 *
 * A line of the trace is "scenario/key field=value ...".  It holds nothing that
 * depends on how fast the machine is: numbers that do are reduced to what must
 * be true of them.  One thread, one scenario a process.
 */
#ifndef CONFORM_H
#define CONFORM_H

#include <sndio.h>
#include <stddef.h>
#include <stdint.h>

#define PLAY		SIO_PLAY
#define REC		SIO_REC
#define DUPLEX		(SIO_PLAY | SIO_REC)
#define DEVBUFSZ	3840		/* frames of the server's device (-b), at 48 kHz */
#define LATE_MS		30		/* a program held up for longer proves nothing: run it again */
#define EXIT_LATE	75

/* a sound: random samples, never 0, of `bits` significant bits */
struct sound {
	uint32_t x;			/* state of the generator */
	uint32_t mask;			/* of the bits that may be set */
};

struct stream {
	struct sio_hdl *h;		/* NULL: could not be opened */
	unsigned mode;			/* PLAY, REC */
	struct sio_par par;		/* in force */
	unsigned pbpf, rbpf;		/* bytes per frame */
	struct sound sound;		/* what it plays */
	uint64_t wbytes;		/* written, bytes */
	uint64_t rbytes;		/* read, bytes */
	long long moved;		/* frames, sum of the deltas */
	int nmove;			/* calls of onmove */
	int first;			/* the first delta */
	long long wfirst;		/* frames written when the first delta came */
	int nzero;			/* deltas of zero after one that was not */
	int odd;			/* a delta was no multiple of the block */
	int broken;			/* the position left its bounds */
	int nvol, vol;			/* calls of onvol, last value */
	int nxrun;			/* calls of onxrun */
	int bounded;			/* the position is to be checked */
};

struct scenario {
	const char *name;
	void (*run)(void);
};

extern const struct scenario open_scenarios[], par_scenarios[], misuse_scenarios[], play_scenarios[],
    stop_scenarios[], rec_scenarios[], xrun_scenarios[], volume_scenarios[], control_scenarios[], midi_scenarios[],
    mmc_scenarios[];

/* the trace */
void say(const char *key, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *yes(int);
/* "the sound of this seed is to be looked for in what the card got": the test that runs us fills in what it found */
void say_sound(const char *key, uint32_t seed, long long frames, unsigned bits, const char *channels);

/* names and seeds */
const char *name(const char *sub);	/* "snd,UNIT/sub"; one buffer */
unsigned unit(void);
uint32_t seed(void);			/* another at each call and each attempt */

/* the sound */
void sound_init(struct sound *, uint32_t seed, unsigned bits);
int sound_next(struct sound *);		/* 16 bit */
void encode(unsigned char *, const struct sio_par *, int sample);
int decode(const unsigned char *, const struct sio_par *);	/* to 16 bit */

/* a stream */
int stream_open(struct stream *, const char *name, unsigned mode, int nbio);
int stream_par(struct stream *, unsigned rate, unsigned bits, unsigned chan, unsigned appbufsz, unsigned xrun);
int stream_start(struct stream *, uint32_t seed);
int stream_ready(struct stream *, const char *sub, unsigned mode, uint32_t seed);	/* 48 kHz s16 stereo, appbufsz 1920, started */
long long stream_write(struct stream *, long long frames);	/* frames of its sound in blocks */
long long stream_read(struct stream *, unsigned char *, long long frames);
int stream_poll(struct stream *, int events, int ms);		/* one poll; revents */
void stream_idle(struct stream *, int ms);			/* take messages for so long, write nothing */
void stream_until(struct stream *, long long moved);		/* take messages until moved, or eof */
long long stream_queued(const struct stream *);			/* frames written and not moved */
void stream_close(struct stream *);

long long now_ms(void);
void hurry(void);			/* from here on we must not be held up ... */
void hurried(void);			/* ... up to here: ends with EXIT_LATE if we were */

#endif
