/*
 * dsp.h: the pure signal processing of the engine.
 *
 * Functions over plain memory: no thread, no clock, no file, nothing above this
 * header.  `*_new` and `*_free` belong to the control thread and may allocate;
 * everything else runs on the device thread and neither allocates, locks nor
 * calls the system.  Samples are interleaved; a frame has one sample a channel.
 * Full scale is 1.0 in both bus types, f32 and f64.
 */
#ifndef DSP_H
#define DSP_H

#include <stddef.h>
#include <stdint.h>

#define DSP_NCHAN	64		/* most channels of a frame */
#define DSP_RATE_MIN	4000		/* Hz */
#define DSP_RATE_MAX	192000		/* Hz */
#define DSP_FLOAT_MAX	256.0		/* float input is clamped to +-this (48 dB over full scale); NaN reads as 0 */

/* ---- encodings (sio_par, and IEEE floats) ------------------------------ */

struct enc {
	uint8_t bits;			/* 1..32 significant bits; 32 or 64 if flt */
	uint8_t bps;			/* bytes a sample: 1..4; 4 or 8 if flt */
	uint8_t sig;			/* 1 signed, 0 offset binary */
	uint8_t le;			/* 1 little endian */
	uint8_t msb;			/* 1 aligned to the top of the bytes, 0 to the bottom */
	uint8_t flt;			/* 1 IEEE float: sig and msb are 1 and 0 */
};

struct conv {				/* kernels of one encoding, chosen once by conv_init */
	struct enc enc;
	void (*dec32)(const struct conv *, const void *src, float *dst, size_t nsamples);
	void (*dec64)(const struct conv *, const void *src, double *dst, size_t nsamples);
	/* round to nearest, clip once (integers only: float encodings keep their headroom) */
	void (*enc32)(const struct conv *, const float *src, void *dst, size_t nsamples);
	void (*enc64)(const struct conv *, const double *src, void *dst, size_t nsamples);
	/* the same with TPDF dither of +-1 step before rounding; integers of at most 24 bits, else same as plain */
	void (*dit32)(const struct conv *, uint32_t *seed, const float *src, void *dst, size_t nsamples);
	void (*dit64)(const struct conv *, uint32_t *seed, const double *src, void *dst, size_t nsamples);
};

int	enc_ok(const struct enc *);			/* 1 if the combination exists */
int	enc_same(const struct enc *, const struct enc *);	/* 1 if the bytes mean the same (le, msb only where they matter) */
int	enc_packed(const struct enc *);			/* 1 if no padding bits: bits == 8 * bps */
int	conv_init(struct conv *, const struct enc *);	/* 0 or -EINVAL */
size_t	clip_count32(const struct conv *, const float *, size_t nsamples);	/* samples that the encoder would clip; 0 for floats */
size_t	clip_count64(const struct conv *, const double *, size_t nsamples);
int	on_grid32(const struct conv *, const float *, size_t nsamples);	/* all are steps of the encoding: nothing is rounded; 0 for floats */
int	on_grid64(const struct conv *, const double *, size_t nsamples);
void	enc_silence(const struct enc *, void *dst, size_t nsamples);

/* ---- volume and gain ---------------------------------------------------- */

double	volume_gain(unsigned vol);	/* 0..127 -> 0..1, sndio's table: round(2^(23+(v-127)/18)) / 2^23, 0 -> 0 */

#define SHAPE_N		16

struct shape {				/* of a ramp: straight lines from (0, 0) over the points to (1, 1) */
	unsigned n;			/* points; 0: smoothstep */
	float x[SHAPE_N], y[SHAPE_N];	/* part of the time (never falls), part of the way; 0..1 */
};

int	shape_ok(const struct shape *);
/* part of the way at frames pos..pos+n-1 of a ramp of len, all of them before len; NULL: smoothstep */
void	shape_fill(const struct shape *, unsigned pos, unsigned len, double *c, size_t n);

struct gain {				/* a gain that never steps while it sounds */
	double from, to;		/* linear */
	unsigned pos, len;		/* frames into the ramp; no ramp once pos == len */
	const struct shape *shape;	/* NULL: smoothstep; lives as long as the ramp */
};

void	gain_set(struct gain *, double g);			/* at once */
void	gain_ramp(struct gain *, double g, unsigned nframes);	/* smoothstep from the present value */
void	gain_ramp_on(struct gain *, double g, unsigned nframes, const struct shape *);	/* the same along a shape */
double	gain_now(const struct gain *);				/* value of the next frame */
int	gain_steady(const struct gain *);			/* 1 if no ramp is under way */
void	gain_advance(struct gain *, size_t nframes);		/* as if so many frames had been mixed */

/* ---- gains of channels --------------------------------------------------- */

struct fade {				/* a gain for each channel of a stream, all on one ramp */
	unsigned nch;
	unsigned pos, len;		/* frames into the ramp; no ramp once pos == len */
	int flat;			/* all channels have the same gain */
	int one;			/* no ramp, and all are 1: nothing to do */
	float from[DSP_NCHAN], to[DSP_NCHAN];	/* linear */
	struct shape shape;
};

void	fade_init(struct fade *, unsigned nch);			/* all 1 */
/* n gains, the last for all channels beyond; 0: all 1.  From the present gains; at once if nframes is 0 */
void	fade_to(struct fade *, const float *gains, unsigned n, const struct shape *, unsigned nframes);
void	fade_finish(struct fade *);				/* be where the ramp ends */
double	fade_now(const struct fade *, unsigned ch);		/* value of the next frame */
int	fade_steady(const struct fade *);
int	fade_silent(const struct fade *);			/* steady, and all are 0 */
void	fade_run32(struct fade *, float *, size_t nframes);	/* nch samples a frame, in place */
void	fade_run64(struct fade *, double *, size_t nframes);

/* ---- channel map -------------------------------------------------------- */

/*
 * Channels [istart, iend] of an input frame of inch onto [ostart, oend] of an
 * output frame of onch, as sndiod does: the common width is the smaller of the
 * two; with join, a wider input is summed in groups at gain 1/factor, a
 * narrower one copied to each group; left-over channels are dropped / silent.
 */
struct cmap {
	unsigned inch, onch;		/* channels of a frame on either side */
	unsigned istart, ostart;	/* first channel of either side */
	unsigned width;			/* common width k */
	unsigned join, expand;		/* factors, one of them 1 */
};

void	cmap_init(struct cmap *, unsigned inch, int istart, int iend,
	    unsigned onch, int ostart, int oend, int join);
int	cmap_identity(const struct cmap *);	/* 1 if every frame maps to itself: same channels, in place */
/* out += map(in) * gain, gain advanced by nframes; in and out do not overlap */
void	cmap_mix32(const struct cmap *, struct gain *, const float *in, float *out, size_t nframes);
void	cmap_mix64(const struct cmap *, struct gain *, const double *in, double *out, size_t nframes);

/* ---- resampler ---------------------------------------------------------- */

/*
 * Polyphase windowed sinc with an exact ratio: after n output frames exactly
 * ceil(n * irate / orate) input frames have been taken, for ever.  Linear
 * phase; the delay is the same for all frequencies and is reported.
 */
struct resamp;

int	resamp_new(struct resamp **, unsigned irate, unsigned orate, unsigned nch,
	    int f64, unsigned max_nout);		/* 0 or -errno; max_nout: most output frames of one run */
void	resamp_free(struct resamp *);
unsigned resamp_need(const struct resamp *, unsigned nout);	/* input frames that the next nout output frames take */
unsigned resamp_yield(const struct resamp *, unsigned nin);	/* output frames that the next nin input frames give */
/* take nin and give nout: either nin == resamp_need(nout) or nout == resamp_yield(nin) */
void	resamp_run(struct resamp *, const void *in, unsigned nin, void *out, unsigned nout);
double	resamp_delay(const struct resamp *);		/* input frames */

#endif
