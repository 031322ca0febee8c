/*
 * alsa.h: the part of libasound that the driver `alsa` uses: declared here and
 * looked up with dlopen, so that the build needs no ALSA headers and a machine
 * without the library only lacks the driver.
 *
 * The numbers and signatures are libasound.so.2's ABI, fixed since 2005.
 * alsa_load, alsa_listen and alsa_said are for threads that open cards; the
 * functions in `alsa` for whoever owns the PCM.
 */
#ifndef ALSA_H
#define ALSA_H

#include <poll.h>
#include <stddef.h>
#include <time.h>

#include "dsp.h"

struct alsa_pcm;			/* snd_pcm_t */
struct alsa_hw;				/* snd_pcm_hw_params_t */
struct alsa_sw;				/* snd_pcm_sw_params_t */

struct alsa_area {			/* snd_pcm_channel_area_t: a channel of a mapped buffer */
	void *addr;
	unsigned first, step;		/* bits */
};

struct alsa_chmap {			/* snd_pcm_chmap_t */
	unsigned nchan;
	unsigned pos[];			/* enum snd_pcm_chmap_position, and flags */
};

typedef void alsa_on_error(const char *file, int line, const char *function, int err, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

enum { ALSA_PLAY, ALSA_REC };		/* snd_pcm_stream_t */

#define ALSA_NONBLOCK		0x00000001	/* open modes: never wait, and convert nothing: we do it better */
#define ALSA_NO_RESAMPLE	0x00010000
#define ALSA_NO_CHANNELS	0x00020000
#define ALSA_NO_FORMAT		0x00040000

enum alsa_access {			/* snd_pcm_access_t, which is also what we prefer */
	ALSA_MMAP_INTERLEAVED,
	ALSA_MMAP_NONINTERLEAVED,
	ALSA_MMAP_COMPLEX,
	ALSA_RW_INTERLEAVED,
	ALSA_RW_NONINTERLEAVED,
	ALSA_NACCESS,
};

#define ALSA_POS_MAX	36		/* positions: 0 unknown, 1 none, then 35 places */
#define ALSA_POS_OWN	0x20000		/* flag: the number means what the driver says */
#define ALSA_POS_MASK	0xffff

enum alsa_state {			/* snd_pcm_state_t */
	ALSA_OPEN,
	ALSA_SETUP,
	ALSA_PREPARED,
	ALSA_RUNNING,
	ALSA_XRUN,
	ALSA_DRAINING,
	ALSA_PAUSED,
	ALSA_SUSPENDED,
	ALSA_DISCONNECTED,
};

#define ALSA_TSTAMP_ENABLE	1	/* snd_pcm_tstamp_t */
#define ALSA_TSTAMP_MONOTONIC	1	/* snd_pcm_tstamp_type_t */

/* what each must have; frames are unsigned long, differences of them long */
#define ALSA_FUNCTIONS(F)								\
	F(int, lib_error_set_handler, (alsa_on_error *))				\
	F(const char *, strerror, (int))						\
	F(int, pcm_open, (struct alsa_pcm **, const char *, int stream, int mode))	\
	F(int, pcm_close, (struct alsa_pcm *))						\
	F(int, pcm_link, (struct alsa_pcm *, struct alsa_pcm *))			\
	F(int, pcm_prepare, (struct alsa_pcm *))					\
	F(int, pcm_resume, (struct alsa_pcm *))						\
	F(int, pcm_start, (struct alsa_pcm *))						\
	F(int, pcm_drop, (struct alsa_pcm *))						\
	F(int, pcm_state, (struct alsa_pcm *))						\
	F(long, pcm_avail_update, (struct alsa_pcm *))					\
	F(int, pcm_delay, (struct alsa_pcm *, long *))					\
	F(int, pcm_htimestamp, (struct alsa_pcm *, unsigned long *, struct timespec *))	\
	F(long, pcm_readi, (struct alsa_pcm *, void *, unsigned long))			\
	F(long, pcm_writei, (struct alsa_pcm *, const void *, unsigned long))		\
	F(long, pcm_readn, (struct alsa_pcm *, void **, unsigned long))			\
	F(long, pcm_writen, (struct alsa_pcm *, void **, unsigned long))		\
	F(int, pcm_mmap_begin,								\
	    (struct alsa_pcm *, const struct alsa_area **, unsigned long *, unsigned long *)) \
	F(long, pcm_mmap_commit, (struct alsa_pcm *, unsigned long, unsigned long))	\
	F(struct alsa_chmap *, pcm_get_chmap, (struct alsa_pcm *))			\
	F(int, pcm_set_chmap, (struct alsa_pcm *, const struct alsa_chmap *))		\
	F(int, pcm_poll_descriptors_count, (struct alsa_pcm *))				\
	F(int, pcm_poll_descriptors, (struct alsa_pcm *, struct pollfd *, unsigned))	\
	F(int, pcm_poll_descriptors_revents,						\
	    (struct alsa_pcm *, struct pollfd *, unsigned, unsigned short *))		\
	F(int, pcm_hw_params, (struct alsa_pcm *, struct alsa_hw *))			\
	F(int, pcm_hw_params_malloc, (struct alsa_hw **))				\
	F(void, pcm_hw_params_free, (struct alsa_hw *))					\
	F(void, pcm_hw_params_copy, (struct alsa_hw *, const struct alsa_hw *))		\
	F(int, pcm_hw_params_any, (struct alsa_pcm *, struct alsa_hw *))		\
	F(int, pcm_hw_params_set_rate_resample, (struct alsa_pcm *, struct alsa_hw *, unsigned)) \
	F(int, pcm_hw_params_set_access, (struct alsa_pcm *, struct alsa_hw *, int))	\
	F(int, pcm_hw_params_test_format, (struct alsa_pcm *, struct alsa_hw *, int))	\
	F(int, pcm_hw_params_set_format, (struct alsa_pcm *, struct alsa_hw *, int))	\
	F(int, pcm_hw_params_set_channels_near, (struct alsa_pcm *, struct alsa_hw *, unsigned *)) \
	F(int, pcm_hw_params_set_rate_near, (struct alsa_pcm *, struct alsa_hw *, unsigned *, int *)) \
	F(int, pcm_hw_params_set_rate, (struct alsa_pcm *, struct alsa_hw *, unsigned, int)) \
	F(int, pcm_hw_params_set_period_size_integer, (struct alsa_pcm *, struct alsa_hw *)) \
	F(int, pcm_hw_params_set_period_size_near,					\
	    (struct alsa_pcm *, struct alsa_hw *, unsigned long *, int *))		\
	F(int, pcm_hw_params_set_period_size,						\
	    (struct alsa_pcm *, struct alsa_hw *, unsigned long, int))			\
	F(int, pcm_hw_params_set_periods_min, (struct alsa_pcm *, struct alsa_hw *, unsigned *, int *)) \
	F(int, pcm_hw_params_set_buffer_size_near,					\
	    (struct alsa_pcm *, struct alsa_hw *, unsigned long *))			\
	F(int, pcm_hw_params_is_batch, (const struct alsa_hw *))			\
	F(int, pcm_hw_params_get_rate, (const struct alsa_hw *, unsigned *, int *))	\
	F(int, pcm_hw_params_get_channels, (const struct alsa_hw *, unsigned *))	\
	F(int, pcm_hw_params_get_period_size, (const struct alsa_hw *, unsigned long *, int *)) \
	F(int, pcm_hw_params_get_buffer_size, (const struct alsa_hw *, unsigned long *)) \
	F(int, pcm_sw_params, (struct alsa_pcm *, struct alsa_sw *))			\
	F(int, pcm_sw_params_malloc, (struct alsa_sw **))				\
	F(void, pcm_sw_params_free, (struct alsa_sw *))					\
	F(int, pcm_sw_params_current, (struct alsa_pcm *, struct alsa_sw *))		\
	F(int, pcm_sw_params_get_boundary, (const struct alsa_sw *, unsigned long *))	\
	F(int, pcm_sw_params_set_start_threshold, (struct alsa_pcm *, struct alsa_sw *, unsigned long)) \
	F(int, pcm_sw_params_set_stop_threshold, (struct alsa_pcm *, struct alsa_sw *, unsigned long)) \
	F(int, pcm_sw_params_set_silence_threshold, (struct alsa_pcm *, struct alsa_sw *, unsigned long)) \
	F(int, pcm_sw_params_set_silence_size, (struct alsa_pcm *, struct alsa_sw *, unsigned long)) \
	F(int, pcm_sw_params_set_avail_min, (struct alsa_pcm *, struct alsa_sw *, unsigned long)) \
	F(int, pcm_sw_params_set_tstamp_mode, (struct alsa_pcm *, struct alsa_sw *, int)) \
	F(int, pcm_sw_params_set_tstamp_type, (struct alsa_pcm *, struct alsa_sw *, int))

struct alsa_lib {			/* libasound's functions by their names, without snd_ */
#define ALSA_MEMBER(type, name, args)	type (*name) args;
	ALSA_FUNCTIONS(ALSA_MEMBER)
#undef ALSA_MEMBER
};

extern struct alsa_lib alsa;		/* valid once alsa_load has returned 0 */

int	alsa_load(char *err, size_t errsz);	/* once for good; 0, or -ENOSYS with the reason in err */
void	alsa_listen(int on);		/* 1: keep what the library says in this thread, from now on */
const char *alsa_said(void);		/* the first of it, which is the cause of the rest; "" if nothing */
int	alsa_errno(long rc);		/* a library's error as one of ours: -errno */

/* ---- formats ------------------------------------------------------------ */

struct alsa_format {
	int id;				/* snd_pcm_format_t */
	struct enc enc;
};

/* the nth choice for what is wanted, from 0: the best first; NULL when there are no more */
const struct alsa_format *alsa_format(const struct enc *wanted, unsigned nth);

#endif
