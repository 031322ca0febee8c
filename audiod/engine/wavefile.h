/*
 * wavefile.h: the headers of sound files: WAV, AU, and raw, which has none.
 *
 * Knows where the samples of a file begin and end and how they are encoded,
 * and writes headers that say so.  Trusts no byte of a file: any content gives
 * a valid answer or an error in words.  Control thread, but for
 * wavefile_header, which only fills memory and runs on any.
 */
#ifndef WAVEFILE_H
#define WAVEFILE_H

#include <stddef.h>
#include <stdint.h>
#include "dsp.h"

#define WAVEFILE_HEADER_MAX	96	/* bytes of the longest header we write */
#define WAVEFILE_NCHUNKS	4096	/* most chunks walked before the samples: a file cannot make us spin */
#define WAVEFILE_ENCNAME	24	/* bytes of an encoding's name */
#define WAVEFILE_UNKNOWN	UINT64_MAX	/* length: up to the end of the file */

enum wavefile_format {
	WAVEFILE_WAV,
	WAVEFILE_AU,
	WAVEFILE_RAW,
};

struct wavefile {
	enum wavefile_format format;
	struct enc enc;
	unsigned rate;			/* Hz */
	unsigned nch;			/* channels, 1..DSP_NCHAN */
	uint64_t offset;		/* byte of the file at which the samples begin */
	uint64_t nbytes;		/* whole frames, in bytes, that are really there */
	uint64_t size;			/* bytes of the file */
	int open_ended;			/* 1: the header leaves the length open */
};

/* the format that the suffix of a path asks for, or -1 */
int	wavefile_suffix(const char *path);
/* the encoding of the format that holds the wanted one with the least change */
void	wavefile_fit(enum wavefile_format, struct enc *);
/*
 * Reads the header of fd.  Raw: enc, rate and nch are the caller's, else they
 * are set.  0, or -errno with the reason in err (without the file's name).
 */
int	wavefile_parse(struct wavefile *, int fd, char *err, size_t errsz);
/*
 * Fills buf with the header of wf for nbytes of samples, WAVEFILE_UNKNOWN if
 * that is open; what does not fit the format's 32 bits is said to be open,
 * too.  Returns its length, which depends on enc and nch only.
 */
size_t	wavefile_header(const struct wavefile *, uint64_t nbytes, uint8_t *buf);
/* "s16le", "s24le3", "f32be": the name of an encoding, into WAVEFILE_ENCNAME bytes; returns it */
const char *wavefile_encname(const struct enc *, char *buf);

#endif
