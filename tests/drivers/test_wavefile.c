/*
 * test_wavefile.c: the headers of sound files: what is written is read back
 * the same, golden bytes, files of other programs, and any bytes at all, which
 * must give an answer within the file or an error in words.  The fuzzing is
 * deterministic; run it under the sanitizers.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../audiod/engine/wavefile.h"
#include "../engine/check.h"

#define NFUZZ	200000

static const struct enc encs[] = {
	{ .bits = 8, .bps = 1, .le = 1 },
	{ .bits = 8, .bps = 1, .sig = 1, .le = 1 },
	{ .bits = 16, .bps = 2, .sig = 1, .le = 1 },
	{ .bits = 16, .bps = 2, .sig = 1 },
	{ .bits = 16, .bps = 2, .le = 1 },
	{ .bits = 12, .bps = 2, .sig = 1, .le = 1 },
	{ .bits = 24, .bps = 3, .sig = 1, .le = 1 },
	{ .bits = 24, .bps = 3, .sig = 1 },
	{ .bits = 24, .bps = 4, .sig = 1, .le = 1 },
	{ .bits = 20, .bps = 4, .sig = 1, .msb = 1 },
	{ .bits = 32, .bps = 4, .sig = 1, .le = 1 },
	{ .bits = 32, .bps = 4, .sig = 1 },
	{ .bits = 32, .bps = 4, .sig = 1, .le = 1, .flt = 1 },
	{ .bits = 64, .bps = 8, .sig = 1, .flt = 1 },
};

#define NENCS	(sizeof(encs) / sizeof(encs[0]))

static int fd;			/* memfd: the file under test */

static void
set_file(const void *p, size_t n)
{
	CHECK_EQ(ftruncate(fd, 0), 0);
	CHECK_EQ(pwrite(fd, p, n, 0), (ssize_t)n);
}

static void
test_names(void)
{
	static const char *const names[][3] = {	/* of encs; what WAV makes of it; and AU */
		{ "u8", "u8", "s8" },
		{ "s8", "u8", "s8" },
		{ "s16le", "s16le", "s16be" },
		{ "s16be", "s16le", "s16be" },
		{ "u16le", "s16le", "s16be" },
		{ "s12le", "s16le", "s16be" },
		{ "s24le3", "s24le3", "s24be3" },
		{ "s24be3", "s24le3", "s24be3" },
		{ "s24le", "s24le3", "s24be3" },
		{ "s20be4msb", "s24le3", "s24be3" },
		{ "s32le", "s32le", "s32be" },
		{ "s32be", "s32le", "s32be" },
		{ "f32le", "f32le", "f32be" },
		{ "f64be", "f64le", "f64be" },
	};
	char name[WAVEFILE_ENCNAME];
	struct enc fit;
	size_t i;

	for (i = 0; i < NENCS; i++) {
		CHECK(enc_ok(&encs[i]));
		CHECK(strcmp(wavefile_encname(&encs[i], name), names[i][0]) == 0);
		fit = encs[i];
		wavefile_fit(WAVEFILE_RAW, &fit);
		CHECK(memcmp(&fit, &encs[i], sizeof(fit)) == 0);
		wavefile_fit(WAVEFILE_WAV, &fit);
		CHECK(enc_ok(&fit));
		CHECK(strcmp(wavefile_encname(&fit, name), names[i][1]) == 0);
		fit = encs[i];
		wavefile_fit(WAVEFILE_AU, &fit);
		CHECK(enc_ok(&fit));
		CHECK(strcmp(wavefile_encname(&fit, name), names[i][2]) == 0);
	}
	CHECK_EQ(wavefile_suffix("a.wav"), WAVEFILE_WAV);
	CHECK_EQ(wavefile_suffix("/x.y/a.b.WAV"), WAVEFILE_WAV);
	CHECK_EQ(wavefile_suffix(".au"), WAVEFILE_AU);
	CHECK_EQ(wavefile_suffix("a.raw"), WAVEFILE_RAW);
	CHECK_EQ(wavefile_suffix("a.wave"), -1);
	CHECK_EQ(wavefile_suffix("a.mp3"), -1);
	CHECK_EQ(wavefile_suffix("wav"), -1);
	CHECK_EQ(wavefile_suffix("a.wav/b"), -1);
	CHECK_EQ(wavefile_suffix(""), -1);
}

/* every format, encoding, width and length is read as it was written */
static void
test_round_trip(void)
{
	static const unsigned widths[] = { 1, 2, 3, 64 };
	static const uint64_t lengths[] = { 0, 1, 2, 1001 };	/* frames */
	static const enum wavefile_format formats[] = { WAVEFILE_WAV, WAVEFILE_AU };
	uint8_t head[WAVEFILE_HEADER_MAX];
	struct wavefile wf, got;
	char err[160];
	size_t e, f, w, n, len;
	uint64_t nbytes;

	for (e = 0; e < NENCS; e++)
	for (f = 0; f < 2; f++)
	for (w = 0; w < 4; w++)
	for (n = 0; n < 4; n++) {
		memset(&wf, 0, sizeof(wf));
		wf.format = formats[f];
		wf.enc = encs[e];
		wavefile_fit(wf.format, &wf.enc);
		wf.rate = 4000 + 47000 * (unsigned)w;
		wf.nch = widths[w];
		nbytes = lengths[n] * wf.enc.bps * wf.nch;
		len = wavefile_header(&wf, nbytes, head);
		CHECK(len <= sizeof(head));
		set_file(head, len);
		/* more bytes than it says: they do not count */
		CHECK_EQ(ftruncate(fd, (off_t)(len + nbytes + 1000)), 0);
		memset(&got, 0xff, sizeof(got));
		got.format = WAVEFILE_WAV;
		CHECK_EQ(wavefile_parse(&got, fd, err, sizeof(err)), 0);
		CHECK_EQ(got.format, wf.format);
		CHECK(enc_same(&got.enc, &wf.enc));
		CHECK_EQ(got.rate, wf.rate);
		CHECK_EQ(got.nch, wf.nch);
		CHECK_EQ(got.offset, len);
		CHECK_EQ(got.nbytes, nbytes);
		CHECK_EQ(got.size, len + nbytes + 1000);
		CHECK_EQ(got.open_ended, 0);
		/* fewer: what is there, in whole frames */
		if (nbytes > 0) {
			CHECK_EQ(ftruncate(fd, (off_t)(len + nbytes - 1)), 0);
			CHECK_EQ(wavefile_parse(&got, fd, err, sizeof(err)), 0);
			CHECK_EQ(got.nbytes, (lengths[n] - 1) * wf.enc.bps * wf.nch);
		}
		/* open: all there is */
		CHECK_EQ(wavefile_header(&wf, WAVEFILE_UNKNOWN, head), len);
		CHECK_EQ(pwrite(fd, head, len, 0), (ssize_t)len);
		CHECK_EQ(wavefile_parse(&got, fd, err, sizeof(err)), 0);
		CHECK_EQ(got.open_ended, 1);
		CHECK_EQ(got.nbytes, nbytes > 0 ? (lengths[n] - 1) * wf.enc.bps * wf.nch : 1000 / wf.nch /
		    wf.enc.bps * wf.enc.bps * wf.nch);
	}
}

static void
test_golden(void)
{
	static const uint8_t wav_s16[] =
	    "RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0\x44\xac\0\0\x10\xb1\x02\0\x04\0\x10\0data\x08\0\0";
	static const uint8_t wav_u8[] =		/* odd: the pad byte counts in the outer size only */
	    "RIFF\x28\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\x03\0\0";
	static const uint8_t wav_f32[] =
	    "RIFF\x3a\0\0\0WAVEfmt \x12\0\0\0\x03\0\x01\0\x80\xbb\0\0\0\xee\x02\0\x04\0\x20\0\0\0"
	    "fact\x04\0\0\0\x02\0\0\0data\x08\0\0";
	static const uint8_t wav_s24[] =
	    "RIFF\x42\0\0\0WAVEfmt \x28\0\0\0\xfe\xff\x02\0\x80\xbb\0\0\0\x65\x04\0\x06\0\x18\0\x16\0\x18\0"
	    "\x03\0\0\0\x01\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71" "data\x06\0\0";
	static const uint8_t au_s16[] =
	    ".snd\0\0\0\x20\0\0\0\x08\0\0\0\x03\0\0\xac\x44\0\0\0\x02\0\0\0\0\0\0\0";
	uint8_t head[WAVEFILE_HEADER_MAX];
	struct wavefile wf = { .format = WAVEFILE_WAV, .enc = encs[2], .rate = 44100, .nch = 2 };

	/* the last byte of each is the string's own NUL */
	CHECK_EQ(wavefile_header(&wf, 8, head), sizeof(wav_s16));
	CHECK(memcmp(head, wav_s16, sizeof(wav_s16)) == 0);
	wf.enc = encs[0], wf.rate = 8000, wf.nch = 1;
	CHECK_EQ(wavefile_header(&wf, 3, head), sizeof(wav_u8));
	CHECK(memcmp(head, wav_u8, sizeof(wav_u8)) == 0);
	wf.enc = encs[12], wf.rate = 48000;
	CHECK_EQ(wavefile_header(&wf, 8, head), sizeof(wav_f32));
	CHECK(memcmp(head, wav_f32, sizeof(wav_f32)) == 0);
	wf.enc = encs[6], wf.nch = 2;
	CHECK_EQ(wavefile_header(&wf, 6, head), sizeof(wav_s24));
	CHECK(memcmp(head, wav_s24, sizeof(wav_s24)) == 0);
	wf.format = WAVEFILE_AU, wf.enc = encs[3], wf.rate = 44100;
	CHECK_EQ(wavefile_header(&wf, 8, head), sizeof(au_s16));
	CHECK(memcmp(head, au_s16, sizeof(au_s16)) == 0);
	wf.format = WAVEFILE_RAW;
	CHECK_EQ(wavefile_header(&wf, 8, head), 0);
}

static uint32_t
le32(const uint8_t *p)
{
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* sizes that 32 bits cannot say are said to be open, both or none */
static void
test_large(void)
{
	uint8_t head[WAVEFILE_HEADER_MAX];
	struct wavefile wf = { .format = WAVEFILE_WAV, .enc = encs[2], .rate = 44100, .nch = 2 };

	wavefile_header(&wf, 0xffffffffu - 37, head);		/* the largest */
	CHECK_EQ(le32(head + 4), 0xffffffffu - 1);
	CHECK_EQ(le32(head + 40), 0xffffffffu - 37);
	wavefile_header(&wf, 0xffffffffu - 36, head);
	CHECK_EQ(le32(head + 4), 0xffffffffu);
	CHECK_EQ(le32(head + 40), 0xffffffffu);
	wavefile_header(&wf, 0x100000000u, head);
	CHECK_EQ(le32(head + 4), 0xffffffffu);
	CHECK_EQ(le32(head + 40), 0xffffffffu);
	wf.format = WAVEFILE_AU, wf.enc = encs[3];
	wavefile_header(&wf, 0x100000004u, head);
	CHECK_EQ(le32(head + 8), 0xffffffffu);
}

/* ---- files of others ----------------------------------------------------------- */

#define RIFF		"RIFF\xff\xff\xff\xffWAVE"
#define FMT(tag, nch, align, bits)	"fmt \x10\0\0\0" tag "\0" nch "\0\x44\xac\0\0\0\0\0\0" align "\0" bits "\0"
#define FMT16		FMT("\x01", "\x01", "\x02", "\x10")
#define EXT(tag, align, bits, valid, guid)	"fmt \x28\0\0\0\xfe\xff\x01\0\x44\xac\0\0\0\0\0\0" align "\0" bits \
    "\0\x16\0" valid "\0\0\0\0\0" tag "\0\0\0\0\0" guid "\0\x80\0\0\xaa\0\x38\x9b\x71"

static const struct {
	const char *bytes;
	size_t n;
	const char *enc;	/* NULL: refused, because ... */
	const char *why;
	uint64_t offset, nbytes;
} others[] = {
#define OK(bytes, enc, offset, nbytes)	{ bytes, sizeof(bytes) - 1, enc, NULL, offset, nbytes }
#define NO(bytes, why)			{ bytes, sizeof(bytes) - 1, NULL, why, 0, 0 }
	OK(RIFF FMT16 "data\x04\0\0\0abcd", "s16le", 44, 4),
	OK(RIFF FMT16 "data\x04\0\0\0abcdLIST\x02\0\0\0ab", "s16le", 44, 4),
	OK(RIFF "LIST\x03\0\0\0abc\0" FMT16 "data\x02\0\0\0ab", "s16le", 56, 2),	/* odd, padded */
	OK(RIFF "junk\0\0\0\0" FMT16 "fmt \0\0\0\0" "data\x03\0\0\0abc", "s16le", 60, 2),	/* the first fmt counts */
	OK(RIFF FMT16 "data\xff\xff\xff\xff" "abcde", "s16le", 44, 4),
	OK(RIFF FMT16 "data\0\0\0\x80" "abcde", "s16le", 44, 4),
	OK(RIFF FMT16 "data\x04\0\0\0", "s16le", 44, 0),
	OK(RIFF FMT("\x01", "\x02", "\x02", "\x08") "data\x04\0\0\0abcd", "u8", 44, 4),
	OK(RIFF FMT("\x01", "\x01", "\x02", "\x0c") "data\x04\0\0\0abcd", "s12le2msb", 44, 4),
	OK(RIFF FMT("\x03", "\x01", "\x08", "\x40") "data\x08\0\0\0abcdefgh", "f64le", 44, 8),
	OK(RIFF EXT("\x01", "\x04", "\x20", "\x18", "\x10") "data\x04\0\0\0abcd", "s24le4msb", 68, 4),
	OK(RIFF EXT("\x01", "\x03", "\x18", "\0", "\x10") "data\x04\0\0\0abcd", "s24le3", 68, 3),
	OK(RIFF EXT("\x03", "\x04", "\x20", "\x20", "\x10") "data\x04\0\0\0abcd", "f32le", 68, 4),
	OK("RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0" "12345678\x04\0\0\0\0\0\0\0" "123456789012" FMT16
	    "data\xff\xff\xff\xff" "abcdLIST", "s16le", 80, 4),
	OK("RF64\xff\xff\xff\xffWAVE" FMT16 "data\xff\xff\xff\xff" "abcd", "s16le", 44, 4),
	OK(".snd\0\0\0\x18\0\0\0\x04\0\0\0\x03\0\0\x1f\x40\0\0\0\x01" "abcdef", "s16be", 24, 4),
	OK(".snd\0\0\0\x19\xff\xff\xff\xff\0\0\0\x02\0\0\x1f\x40\0\0\0\x02" "#abcde", "s8", 25, 4),
	OK(".snd\0\0\0\x18\0\0\0\0\0\0\0\x07\0\0\x1f\x40\0\0\0\x01", "f64be", 24, 0),
	NO("", "neither WAV nor AU"),
	NO("RIFF", "neither WAV nor AU"),
	NO("RIFX\0\0\0\0WAVE", "neither WAV nor AU"),
	NO("RIFF\0\0\0\0AVI ", "neither WAV nor AU"),
	NO("ID3\x04 and so on, for a good while", "neither WAV nor AU"),
	NO(RIFF, "ends before its fmt chunk"),
	NO(RIFF "fmt \x10\0\0", "ends before its fmt chunk"),
	NO(RIFF "fmt \x10\0\0\0\x01\0", "ends in its fmt chunk"),
	NO(RIFF "fmt \x0e\0\0\0\x01\0\x01\0\x44\xac\0\0\0\0\0\0\x02\0", "fewer than 16"),
	NO(RIFF FMT16, "ends before its data chunk"),
	NO(RIFF FMT16 "LIST\xff\xff\xff\xff" "abc", "ends before its data chunk"),
	NO(RIFF "data\x04\0\0\0abcd" FMT16, "before its fmt chunk"),
	NO(RIFF FMT("\x01", "\0", "\x02", "\x10") "data\x04\0\0\0abcd", "0 channels"),
	NO(RIFF FMT("\x01", "\x41", "\x82", "\x10") "data\x04\0\0\0abcd", "65 channels"),
	NO(RIFF FMT("\x01", "\x01", "\x04", "\x10") "data\x04\0\0\0abcd", "contradicts itself"),
	NO(RIFF FMT("\x01", "\x01", "\0", "\0") "data\x04\0\0\0abcd", "contradicts itself"),
	NO(RIFF FMT("\x01", "\x01", "\x08", "\x40") "data\x04\0\0\0abcd", "integers of 64 bits"),
	NO(RIFF FMT("\x03", "\x01", "\x02", "\x10") "data\x04\0\0\0abcd", "floats of 16 bits"),
	NO(RIFF FMT("\x07", "\x01", "\x01", "\x08") "data\x04\0\0\0abcd", "compressed (format 0x0007)"),
	NO(RIFF EXT("\x01", "\x04", "\x20", "\x21", "\x10") "data\x04\0\0\0abcd", "contradicts itself"),
	NO(RIFF EXT("\x01", "\x04", "\x20", "\x18", "\x11") "data\x04\0\0\0abcd", "sub-format is unknown"),
	NO(RIFF "fmt \x10\0\0\0\xfe\xff\x01\0\x44\xac\0\0\0\0\0\0\x02\0\x10\0" "data\0\0\0\0", "an extensible one has 40"),
	NO(RIFF "fmt \x10\0\0\0\x01\0\x01\0\x00\x0f\0\0\0\0\0\0\x02\0\x10\0" "data\0\0\0\0", "rate of 3840 Hz"),
	NO(".snd\0\0\0\x18\0\0\0\x04\0\0\0\x03\0\0\x1f\x40\0\0\0", "ends in its header"),
	NO(".snd\0\0\0\x17\0\0\0\x04\0\0\0\x03\0\0\x1f\x40\0\0\0\x01", "begin at byte 23"),
	NO(".snd\xff\xff\xff\xff\0\0\0\x04\0\0\0\x03\0\0\x1f\x40\0\0\0\x01", "begin at byte 4294967295"),
	NO(".snd\0\0\0\x18\0\0\0\x04\0\0\0\x01\0\0\x1f\x40\0\0\0\x01", "AU encoding 1"),
	NO(".snd\0\0\0\x18\0\0\0\x04\0\0\0\x03\0\0\x1f\x40\0\0\0\0", "0 channels"),
	NO(".snd\0\0\0\x18\0\0\0\x04\0\0\0\x03\xff\0\x1f\x40\0\0\0\x01", "rate of 4278198080 Hz"),
};

#define NOTHERS	(sizeof(others) / sizeof(others[0]))

static void
test_others(void)
{
	char err[160], name[WAVEFILE_ENCNAME];
	struct wavefile wf;
	size_t i;
	int rc;

	for (i = 0; i < NOTHERS; i++) {
		set_file(others[i].bytes, others[i].n);
		memset(&wf, 0xff, sizeof(wf));
		wf.format = WAVEFILE_WAV;
		err[0] = '\0';
		rc = wavefile_parse(&wf, fd, err, sizeof(err));
		if ((rc < 0) != (others[i].enc == NULL) ||
		    (rc < 0 && strstr(err, others[i].why) == NULL))
			fprintf(stderr, "file %zu of the table: %d, \"%s\"\n", i, rc, err);
		if (others[i].enc == NULL) {
			CHECK_EQ(rc, -EINVAL);
			CHECK(strstr(err, others[i].why) != NULL);
			continue;
		}
		CHECK_EQ(rc, 0);
		CHECK(enc_ok(&wf.enc));
		CHECK(strcmp(wavefile_encname(&wf.enc, name), others[i].enc) == 0);
		CHECK_EQ(wf.offset, others[i].offset);
		CHECK_EQ(wf.nbytes, others[i].nbytes);
		CHECK_EQ(wf.size, others[i].n);
	}
	CHECK_EQ(wavefile_parse(&wf, -1, err, sizeof(err)), -EBADF);
}

/* a file of nothing but empty chunks does not hold us */
static void
test_chunks(void)
{
	static uint8_t file[12 + 8 * (WAVEFILE_NCHUNKS + 10)];
	struct wavefile wf = { .format = WAVEFILE_WAV };
	char err[160];

	memcpy(file, "RIFF\xff\xff\xff\xffWAVE", 12);
	set_file(file, sizeof(file));
	CHECK_EQ(wavefile_parse(&wf, fd, err, sizeof(err)), -EINVAL);
	CHECK(strstr(err, "more than 4096 chunks") != NULL);
}

static void
test_raw(void)
{
	struct wavefile wf = { .format = WAVEFILE_RAW, .enc = encs[6], .rate = 48000, .nch = 2 };
	char err[160];

	set_file("RIFF is data here", 17);
	CHECK_EQ(wavefile_parse(&wf, fd, err, sizeof(err)), 0);
	CHECK_EQ(wf.offset, 0);
	CHECK_EQ(wf.nbytes, 12);
	CHECK_EQ(wf.nch, 2);
	CHECK(enc_same(&wf.enc, &encs[6]));
}

static uint64_t seed = 88172645463325252u;

static uint32_t
rnd(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16) % n;
}

static void
test_fuzz(void)
{
	static const uint8_t odd[] = { 0, 1, 2, 3, 4, 7, 8, 16, 24, 32, 33, 40, 64, 0x7f, 0x80, 0xfe, 0xff };
	uint8_t file[160];
	struct wavefile wf;
	char err[160];
	size_t i, n, from;
	int rc, good = 0, bad = 0, k;

	for (k = 0; k < NFUZZ; k++) {
		from = rnd(NOTHERS);
		n = others[from].n;
		memcpy(file, others[from].bytes, n);
		for (i = rnd(6); i > 0 && n > 0; i--) {
			switch (rnd(4)) {
			case 0:		/* a byte that is likely to hurt */
				file[rnd((uint32_t)n)] = odd[rnd(sizeof(odd))];
				break;
			case 1:		/* a bit */
				file[rnd((uint32_t)n)] ^= (uint8_t)(1u << rnd(8));
				break;
			case 2:		/* the end */
				n = rnd((uint32_t)n + 1);
				break;
			case 3:		/* a piece of another file */
				from = rnd(NOTHERS);
				n = others[from].n < n ? others[from].n : n;
				if (n > 0) {
					rc = (int)rnd((uint32_t)n);
					memcpy(file + rc, others[from].bytes + rc, n - (size_t)rc);
				}
				break;
			}
		}
		set_file(file, n);
		wf.format = WAVEFILE_WAV;
		memset(err, 'x', sizeof(err));
		rc = wavefile_parse(&wf, fd, err, sizeof(err));
		if (rc < 0) {
			CHECK_EQ(rc, -EINVAL);
			CHECK(memchr(err, '\0', sizeof(err)) != NULL && err[0] != '\0');
			bad++;
			continue;
		}
		good++;
		CHECK(wf.nch >= 1 && wf.nch <= DSP_NCHAN);
		CHECK(wf.rate >= DSP_RATE_MIN && wf.rate <= DSP_RATE_MAX);
		CHECK(enc_ok(&wf.enc));
		CHECK(wf.offset <= wf.size);
		CHECK(wf.nbytes <= wf.size - wf.offset);
		CHECK_EQ(wf.nbytes % ((uint64_t)wf.nch * wf.enc.bps), 0);
	}
	/* both outcomes were met often, so that neither was tested in name only */
	CHECK(good > NFUZZ / 20);
	CHECK(bad > NFUZZ / 20);
}

int
main(void)
{
	fd = memfd_create("wavefile", MFD_CLOEXEC);
	CHECK(fd >= 0);
	test_names();
	test_round_trip();
	test_golden();
	test_large();
	test_others();
	test_chunks();
	test_raw();
	test_fuzz();
	CHECK_DONE();
}
