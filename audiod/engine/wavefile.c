/*
 * wavefile.c: headers of WAV, AU and raw sound files, see wavefile.h.
 *
 * WAV: plain PCM up to 16 bits and two channels, plain IEEE float up to two,
 * else WAVE_FORMAT_EXTENSIBLE; more than two channels have no speaker
 * positions, as none are known here.  All sizes in a file are checked against
 * what the file really holds before they are used.
 */
#define _GNU_SOURCE
#include "wavefile.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN32		0xffffffffu	/* a 32-bit size that says nothing */

#define WAV_PCM		1
#define WAV_FLOAT	3
#define WAV_EXTENSIBLE	0xfffe

#define AU_MAGIC	0x2e736e64u	/* ".snd" */
#define AU_HEADER	24		/* bytes of the fixed part */
#define AU_HEADER_OURS	32		/* with an annotation, as some readers want one */

/* what follows the format tag in the GUIDs of WAVE_FORMAT_EXTENSIBLE */
static const uint8_t guid_tail[14] = {
	0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x80, 0x00, 0x00, 0xaa, 0x00, 0x38, 0x9b, 0x71
};

static const struct {
	uint32_t code;
	struct enc enc;
} au_encs[] = {
	{ 2, { .bits = 8, .bps = 1, .sig = 1, .le = 1 } },	/* le: no meaning, but what we call s8 */
	{ 3, { .bits = 16, .bps = 2, .sig = 1 } },
	{ 4, { .bits = 24, .bps = 3, .sig = 1 } },
	{ 5, { .bits = 32, .bps = 4, .sig = 1 } },
	{ 6, { .bits = 32, .bps = 4, .sig = 1, .flt = 1 } },
	{ 7, { .bits = 64, .bps = 8, .sig = 1, .flt = 1 } },
};

#define NAUENCS		(sizeof(au_encs) / sizeof(au_encs[0]))

static uint32_t
get_le(const uint8_t *p, unsigned n)
{
	uint32_t v = 0;

	while (n-- > 0)
		v = v << 8 | p[n];
	return v;
}

static uint32_t
get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint8_t *
put_le(uint8_t *p, uint32_t v, unsigned n)
{
	for (; n > 0; n--, v >>= 8)
		*p++ = (uint8_t)v;
	return p;
}

static uint8_t *
put_be32(uint8_t *p, uint32_t v)
{
	int i;

	for (i = 24; i >= 0; i -= 8)
		*p++ = (uint8_t)(v >> i);
	return p;
}

static uint8_t *
put_tag(uint8_t *p, const char *tag)
{
	memcpy(p, tag, 4);
	return p + 4;
}

static int
fail(int errnum, char *err, size_t errsz, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, errsz, fmt, ap);
	va_end(ap);
	return -errnum;
}

/* reads exactly n bytes at off: 1, 0 if the file ends before, or -errno */
static int
get(int fd, uint64_t off, void *buf, size_t n)
{
	uint8_t *p = buf;
	ssize_t got;

	while (n > 0) {
		got = pread(fd, p, n, (off_t)off);
		if (got < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (got == 0)
			return 0;
		p += got;
		n -= (size_t)got;
		off += (uint64_t)got;
	}
	return 1;
}

int
wavefile_suffix(const char *path)
{
	const char *dot = strrchr(path, '.');

	if (dot == NULL || strchr(dot, '/') != NULL)
		return -1;
	if (strcasecmp(dot, ".wav") == 0)
		return WAVEFILE_WAV;
	if (strcasecmp(dot, ".au") == 0)
		return WAVEFILE_AU;
	if (strcasecmp(dot, ".raw") == 0)
		return WAVEFILE_RAW;
	return -1;
}

void
wavefile_fit(enum wavefile_format format, struct enc *enc)
{
	struct enc fit = { .sig = 1, .le = 1 };

	if (format == WAVEFILE_RAW)
		return;
	if (enc->flt) {
		fit.flt = 1;
		fit.bits = enc->bits;
		fit.bps = enc->bps;
	} else {
		fit.bps = (uint8_t)((enc->bits + 7) / 8);
		fit.bits = (uint8_t)(fit.bps * 8);
		if (format == WAVEFILE_WAV && fit.bps == 1)
			fit.sig = 0;
	}
	if (format == WAVEFILE_AU && fit.bps > 1)
		fit.le = 0;
	if (!enc_same(&fit, enc))
		*enc = fit;
}

const char *
wavefile_encname(const struct enc *enc, char *buf)
{
	const char *order = enc->bps == 1 ? "" : enc->le ? "le" : "be";
	char bytes[8] = "", *align = "";
	unsigned usual;

	if (!enc->flt) {
		usual = enc->bits <= 8 ? 1 : enc->bits <= 16 ? 2 : 4;
		if (enc->bps != usual)
			snprintf(bytes, sizeof(bytes), "%u", enc->bps & 7u);
		if (enc->bits < enc->bps * 8 && enc->msb) {
			snprintf(bytes, sizeof(bytes), "%u", enc->bps & 7u);
			align = "msb";
		}
	}
	snprintf(buf, WAVEFILE_ENCNAME, "%c%u%s%s%s", enc->flt ? 'f' : enc->sig ? 's' : 'u',
	    enc->bits & 127u, order, bytes, align);
	return buf;
}

/* ---- reading ------------------------------------------------------------ */

/* sets nbytes to the whole frames that are there of `claimed` bytes */
static void
clip(struct wavefile *wf, uint64_t claimed)
{
	uint64_t there = wf->offset < wf->size ? wf->size - wf->offset : 0;

	if (claimed > there)
		claimed = there;
	wf->nbytes = claimed - claimed % ((uint64_t)wf->enc.bps * wf->nch);
}

static int
check_nch(struct wavefile *wf, uint32_t nch, char *err, size_t errsz)
{
	if (nch == 0 || nch > DSP_NCHAN)
		return fail(EINVAL, err, errsz, "it has %u channels, not 1 to %d", nch, DSP_NCHAN);
	wf->nch = nch;
	return 0;
}

/* the chunk "fmt ", of which n bytes are in p */
static int
parse_fmt(struct wavefile *wf, const uint8_t *p, uint32_t n, char *err, size_t errsz)
{
	uint32_t tag, align, bits, valid;
	int rc;

	if (n < 16)
		return fail(EINVAL, err, errsz, "its fmt chunk has %u bytes, fewer than 16", n);
	tag = get_le(p, 2);
	wf->rate = get_le(p + 4, 4);
	align = get_le(p + 12, 2);
	bits = valid = get_le(p + 14, 2);
	rc = check_nch(wf, get_le(p + 2, 2), err, errsz);
	if (rc < 0)
		return rc;
	if (tag == WAV_EXTENSIBLE) {
		if (n < 40)
			return fail(EINVAL, err, errsz, "its fmt chunk has %u bytes, an extensible one has 40", n);
		if (memcmp(p + 26, guid_tail, sizeof(guid_tail)) != 0)
			return fail(EINVAL, err, errsz, "its sub-format is unknown");
		tag = get_le(p + 24, 2);
		valid = get_le(p + 18, 2);
		if (valid == 0)
			valid = bits;
	}
	memset(&wf->enc, 0, sizeof(wf->enc));
	wf->enc.le = 1;
	if (bits == 0 || bits > 64 || valid > bits || align != wf->nch * ((bits + 7) / 8))
		return fail(EINVAL, err, errsz, "its fmt chunk contradicts itself: %u of %u bits, %u channels, "
		    "%u bytes a frame", valid, bits, wf->nch, align);
	wf->enc.bps = (uint8_t)((bits + 7) / 8);
	switch (tag) {
	case WAV_PCM:
		if (bits > 32)
			return fail(EINVAL, err, errsz, "its samples are integers of %u bits, more than 32", bits);
		wf->enc.bits = (uint8_t)valid;
		wf->enc.sig = bits > 8;
		wf->enc.msb = valid < wf->enc.bps * 8u;
		return 0;
	case WAV_FLOAT:
		if (bits != 32 && bits != 64)
			return fail(EINVAL, err, errsz, "its samples are floats of %u bits, not 32 or 64", bits);
		wf->enc.bits = (uint8_t)bits;
		wf->enc.sig = wf->enc.flt = 1;
		return 0;
	default:
		return fail(EINVAL, err, errsz, "its samples are compressed (format 0x%04x), not PCM or float", tag);
	}
}

static int
parse_wav(struct wavefile *wf, int fd, int rf64, char *err, size_t errsz)
{
	uint8_t head[8], fmt[40];
	uint64_t off = 12, len64 = WAVEFILE_UNKNOWN;
	uint32_t len;
	int i, rc, have_fmt = 0;

	for (i = 0; i < WAVEFILE_NCHUNKS; i++) {
		rc = get(fd, off, head, sizeof(head));
		if (rc < 0)
			return fail(-rc, err, errsz, "%s", strerror(-rc));
		if (rc == 0)
			return fail(EINVAL, err, errsz, "it ends before its %s chunk", have_fmt ? "data" : "fmt");
		off += sizeof(head);
		len = get_le(head + 4, 4);
		if (memcmp(head, "data", 4) == 0) {
			if (!have_fmt)
				return fail(EINVAL, err, errsz, "its data chunk comes before its fmt chunk");
			wf->offset = off;
			wf->open_ended = len == OPEN32 && !rf64;
			clip(wf, len != OPEN32 ? len : rf64 ? len64 : WAVEFILE_UNKNOWN);
			return 0;
		}
		if (memcmp(head, "fmt ", 4) == 0 && !have_fmt) {
			memset(fmt, 0, sizeof(fmt));
			rc = get(fd, off, fmt, len < sizeof(fmt) ? len : sizeof(fmt));
			if (rc < 0)
				return fail(-rc, err, errsz, "%s", strerror(-rc));
			if (rc == 0)
				return fail(EINVAL, err, errsz, "it ends in its fmt chunk");
			rc = parse_fmt(wf, fmt, len, err, errsz);
			if (rc < 0)
				return rc;
			have_fmt = 1;
		} else if (rf64 && memcmp(head, "ds64", 4) == 0 && len >= 16) {
			if (get(fd, off, fmt, 16) == 1)
				len64 = (uint64_t)get_le(fmt + 12, 4) << 32 | get_le(fmt + 8, 4);
		}
		off += (uint64_t)len + (len & 1);
	}
	return fail(EINVAL, err, errsz, "it has more than %d chunks before its samples", WAVEFILE_NCHUNKS);
}

static int
parse_au(struct wavefile *wf, const uint8_t *head, char *err, size_t errsz)
{
	uint32_t len, code;
	size_t i;
	int rc;

	wf->offset = get_be32(head + 4);
	len = get_be32(head + 8);
	code = get_be32(head + 12);
	wf->rate = get_be32(head + 16);
	if (wf->offset < AU_HEADER || wf->offset > wf->size)
		return fail(EINVAL, err, errsz, "its samples begin at byte %llu of %llu",
		    (unsigned long long)wf->offset, (unsigned long long)wf->size);
	rc = check_nch(wf, get_be32(head + 20), err, errsz);
	if (rc < 0)
		return rc;
	for (i = 0; i < NAUENCS; i++) {
		if (au_encs[i].code == code) {
			wf->enc = au_encs[i].enc;
			wf->open_ended = len == OPEN32;
			clip(wf, wf->open_ended ? WAVEFILE_UNKNOWN : len);
			return 0;
		}
	}
	return fail(EINVAL, err, errsz, "its samples are compressed (AU encoding %u), not PCM or float", code);
}

int
wavefile_parse(struct wavefile *wf, int fd, char *err, size_t errsz)
{
	struct stat st;
	uint8_t head[AU_HEADER];
	int rc;

	if (fstat(fd, &st) < 0)
		return fail(errno, err, errsz, "%s", strerror(errno));
	wf->size = (uint64_t)st.st_size;
	wf->open_ended = 0;
	if (wf->format == WAVEFILE_RAW) {
		wf->offset = 0;
		clip(wf, WAVEFILE_UNKNOWN);
		return 0;
	}
	memset(head, 0, sizeof(head));
	rc = get(fd, 0, head, wf->size < sizeof(head) ? (size_t)wf->size : sizeof(head));
	if (rc < 0)
		return fail(-rc, err, errsz, "%s", strerror(-rc));
	if ((memcmp(head, "RIFF", 4) == 0 || memcmp(head, "RF64", 4) == 0) && memcmp(head + 8, "WAVE", 4) == 0) {
		wf->format = WAVEFILE_WAV;
		rc = parse_wav(wf, fd, head[1] == 'F', err, errsz);
	} else if (get_be32(head) == AU_MAGIC) {
		if (wf->size < AU_HEADER)
			return fail(EINVAL, err, errsz, "it ends in its header");
		wf->format = WAVEFILE_AU;
		rc = parse_au(wf, head, err, errsz);
	} else
		return fail(EINVAL, err, errsz, "it is neither WAV nor AU (raw samples need the suffix .raw)");
	if (rc < 0)
		return rc;
	if (wf->rate < DSP_RATE_MIN || wf->rate > DSP_RATE_MAX)
		return fail(EINVAL, err, errsz, "its rate of %u Hz is not in %d..%d",
		    wf->rate, DSP_RATE_MIN, DSP_RATE_MAX);
	return 0;
}

/* ---- writing ------------------------------------------------------------ */

static size_t
header_wav(const struct wavefile *wf, uint64_t nbytes, uint8_t *buf)
{
	const struct enc *enc = &wf->enc;
	unsigned tag, extensible, frame;
	uint64_t riff;
	uint8_t *p, *data;
	uint32_t len, nframes;

	tag = enc->flt ? WAV_FLOAT : WAV_PCM;
	extensible = wf->nch > 2 || (!enc->flt && enc->bits > 16);
	frame = wf->nch * enc->bps;
	p = put_tag(buf, "RIFF");
	p = put_le(p, OPEN32, 4);
	p = put_tag(p, "WAVE");
	p = put_tag(p, "fmt ");
	p = put_le(p, extensible ? 40 : enc->flt ? 18 : 16, 4);
	p = put_le(p, extensible ? WAV_EXTENSIBLE : tag, 2);
	p = put_le(p, wf->nch, 2);
	p = put_le(p, wf->rate, 4);
	p = put_le(p, wf->rate * frame, 4);
	p = put_le(p, frame, 2);
	p = put_le(p, enc->bps * 8u, 2);
	if (extensible) {
		p = put_le(p, 22, 2);
		p = put_le(p, enc->bits, 2);
		p = put_le(p, wf->nch == 1 ? 4 : wf->nch == 2 ? 3 : 0, 4);	/* centre, left + right, none */
		p = put_le(p, tag, 2);
		memcpy(p, guid_tail, sizeof(guid_tail));
		p += sizeof(guid_tail);
	} else if (enc->flt)
		p = put_le(p, 0, 2);
	if (enc->flt) {
		nframes = nbytes / frame < OPEN32 ? (uint32_t)(nbytes / frame) : OPEN32;
		p = put_tag(p, "fact");
		p = put_le(p, 4, 4);
		p = put_le(p, nframes, 4);
	}
	p = put_tag(p, "data");
	data = p;
	p += 4;
	len = OPEN32;
	if (nbytes < OPEN32) {
		riff = (uint64_t)(p - buf) - 8 + nbytes + (nbytes & 1);
		if (riff < OPEN32) {
			len = (uint32_t)nbytes;
			put_le(buf + 4, (uint32_t)riff, 4);
		}
	}
	put_le(data, len, 4);
	return (size_t)(p - buf);
}

static size_t
header_au(const struct wavefile *wf, uint64_t nbytes, uint8_t *buf)
{
	uint32_t code = 0;
	uint8_t *p;
	size_t i;

	for (i = 0; i < NAUENCS; i++) {
		if (enc_same(&au_encs[i].enc, &wf->enc))
			code = au_encs[i].code;
	}
	p = put_be32(buf, AU_MAGIC);
	p = put_be32(p, AU_HEADER_OURS);
	p = put_be32(p, nbytes < OPEN32 ? (uint32_t)nbytes : OPEN32);
	p = put_be32(p, code);
	p = put_be32(p, wf->rate);
	p = put_be32(p, wf->nch);
	memset(p, 0, AU_HEADER_OURS - AU_HEADER);
	return AU_HEADER_OURS;
}

size_t
wavefile_header(const struct wavefile *wf, uint64_t nbytes, uint8_t *buf)
{
	switch (wf->format) {
	case WAVEFILE_WAV:
		return header_wav(wf, nbytes, buf);
	case WAVEFILE_AU:
		return header_au(wf, nbytes, buf);
	case WAVEFILE_RAW:
		break;
	}
	return 0;
}
