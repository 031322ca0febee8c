/*
 * test_driver_file.c: what the file driver leaves in files and takes from
 * them: gaps kept, silence at either end dropped, headers right whenever the
 * clock is stopped, continued files, full disks (by RLIMIT_FSIZE), and what it
 * refuses.  Everything runs on the free clock, so each byte is determined.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../audiod/engine/driver.h"
#include "../../audiod/engine/wavefile.h"
#include "../engine/check.h"
#include "fds.h"

#define ROUND	100

static const struct enc s16le = { .bits = 16, .bps = 2, .sig = 1, .le = 1 };
static const struct enc s16be = { .bits = 16, .bps = 2, .sig = 1 };
static const struct enc s24le3 = { .bits = 24, .bps = 3, .sig = 1, .le = 1 };
static const struct enc u8 = { .bits = 8, .bps = 1, .le = 1 };
static const struct enc f32le = { .bits = 32, .bps = 4, .sig = 1, .le = 1, .flt = 1 };

static char dir[] = "/tmp/audiod-file-XXXXXX";
static char err[256];
static void *drv;

static const char *
in_dir(const char *name)	/* one of two static paths, in turn */
{
	static char path[2][300];
	static int i;

	i = !i;
	if (name == NULL || name[0] == '\0')
		return name;
	snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

static struct drv_par
par_of(const struct enc *enc, unsigned pchan, unsigned rchan)
{
	struct drv_par par = { .enc = *enc, .rate = 48000, .round = ROUND, .bufsz = 4 * ROUND };

	par.pchan = pchan;
	par.rchan = rchan;
	return par;
}

static int
try_open(const char *play, const char *rec, int append, struct drv_par *par)
{
	struct drv_conf conf = { .arg = in_dir(play), .rec = in_dir(rec), .free_clock = 1, .append = append };

	err[0] = '\0';
	return drv_find("file")->open(&drv, &conf, par, err, sizeof(err));
}

static void
opened(const char *play, const char *rec, int append, struct drv_par *par)
{
	int rc = try_open(play, rec, append, par);

	if (rc < 0)
		fprintf(stderr, "%s\n", err);
	CHECK_EQ(rc, 0);
	CHECK_EQ(par->clock, DRV_CLOCK_FREE);
}

static void
refused(int errnum, const char *why, const char *play, const char *rec, int append, struct drv_par par)
{
	int rc = try_open(play, rec, append, &par);

	if (rc != -errnum || strstr(err, why) == NULL)
		fprintf(stderr, "%d: \"%s\", not %d: \"%s\"\n", rc, err, -errnum, why);
	CHECK_EQ(rc, -errnum);
	CHECK(strncmp(err, "file: ", 6) == 0);
	CHECK(strstr(err, why) != NULL);
	/* it names the file, unless there is none */
	if (play[0] != '\0' && rec == NULL)
		CHECK(strstr(err, play) != NULL);
	if (play[0] == '\0' && rec != NULL)
		CHECK(strstr(err, rec) != NULL);
}

/* blocks as told: a digit is a block of that byte, '.' is NULL, '|' stops and starts; then stops */
static void
play(const struct drv_par *par, const char *blocks)
{
	const struct drv_ops *ops = drv_find("file");
	size_t n = (size_t)par->round * par->pchan * par->enc.bps;
	uint8_t *block = malloc(n);
	struct pollfd pfds[DRV_NFDS];
	int64_t due;

	CHECK(block != NULL);
	CHECK_EQ(ops->start(drv), 0);
	for (; *blocks != '\0'; blocks++) {
		if (*blocks == '|') {
			CHECK_EQ(ops->stop(drv), 0);
			CHECK_EQ(ops->start(drv), 0);
			continue;
		}
		CHECK_EQ(ops->poll(drv, pfds), 0);
		CHECK_EQ(ops->ready(drv, pfds, &due), 1);
		memset(block, *blocks, n);
		CHECK_EQ(ops->write(drv, *blocks == '.' ? NULL : block), 0);
	}
	CHECK_EQ(ops->stop(drv), 0);
	free(block);
}

static void
closed(void)
{
	drv_find("file")->close(drv);
	drv = NULL;
}

/* the file is whole: its header says par and the samples are the blocks told, '.' silence of byte `zero` */
static void
holds(const char *name, const struct drv_par *par, const char *blocks, int zero)
{
	struct wavefile wf = { .format = WAVEFILE_WAV };
	size_t n = (size_t)par->round * par->pchan * par->enc.bps, i;
	const char *path = in_dir(name);
	uint8_t *got = malloc(n + 1);
	uint64_t off;
	int fd;

	CHECK(got != NULL);
	if (wavefile_suffix(path) == WAVEFILE_RAW) {
		wf.format = WAVEFILE_RAW;
		wf.enc = par->enc;
		wf.rate = par->rate;
		wf.nch = par->pchan;
	}
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	CHECK_EQ(wavefile_parse(&wf, fd, err, sizeof(err)), 0);
	CHECK_EQ(wf.format, wavefile_suffix(path));
	CHECK(enc_same(&wf.enc, &par->enc));
	CHECK_EQ(wf.rate, par->rate);
	CHECK_EQ(wf.nch, par->pchan);
	CHECK_EQ(wf.open_ended, 0);
	CHECK_EQ(wf.nbytes, n * strlen(blocks));
	/* and nothing behind them but the pad of an odd length */
	CHECK_EQ(wf.size - wf.offset - wf.nbytes, wf.format == WAVEFILE_WAV && (wf.nbytes & 1) != 0);
	for (off = wf.offset; *blocks != '\0'; blocks++, off += n) {
		CHECK_EQ(pread(fd, got, n, (off_t)off), (ssize_t)n);
		for (i = 0; i < n && got[i] == (*blocks == '.' ? zero : *blocks); i++)
			;
		CHECK_EQ(i, n);
	}
	close(fd);
	free(got);
}

/* ---- playing --------------------------------------------------------------------- */

static void
test_gaps(void)
{
	static const char *const names[] = { "g.wav", "g.au", "g.raw" };
	struct drv_par par;
	size_t i;

	for (i = 0; i < 3; i++) {
		par = par_of(&s16le, 2, 0);
		opened(names[i], NULL, 0, &par);
		CHECK_EQ(par.rchan, 0);
		holds(names[i], &par, "", 0);		/* whole as soon as it is there */
		play(&par, "");
		play(&par, ".....");
		holds(names[i], &par, "", 0);
		play(&par, "..12..3...");
		holds(names[i], &par, "..12..3", 0);
		/* stopped, not closed: goes on where it was; the idle tail never comes back */
		play(&par, ".4.|5|..|6..");
		holds(names[i], &par, "..12..3.456", 0);
		closed();
		holds(names[i], &par, "..12..3.456", 0);
		/* a new file of that name */
		opened(names[i], NULL, 0, &par);
		holds(names[i], &par, "", 0);
		play(&par, "7");
		closed();
		holds(names[i], &par, "7", 0);
	}
	/* silence of unsigned samples is half way, in the file too; an odd number of bytes is padded */
	par = par_of(&u8, 1, 0);
	par.round = 101;
	opened("u.wav", NULL, 0, &par);
	play(&par, ".1.2.3.");
	holds("u.wav", &par, ".1.2.3", 0x80);
	play(&par, "4|5");
	holds("u.wav", &par, ".1.2.345", 0x80);
	closed();
	par.round = 5000;	/* a gap longer than the buffer */
	opened("u.raw", NULL, 0, &par);
	play(&par, "1....................2");
	holds("u.raw", &par, "1....................2", 0x80);
	closed();
	/* and of 24 bits in 3 bytes, 5 channels, where the buffer holds no round number of blocks */
	par = par_of(&s24le3, 5, 0);
	par.round = 77;
	opened("w.wav", NULL, 0, &par);
	play(&par, "123456789....................................................................1"
	    "23456789012345678901234567890123456789012345678901234567890123456789012345678901234567");
	holds("w.wav", &par, "123456789....................................................................1"
	    "23456789012345678901234567890123456789012345678901234567890123456789012345678901234567", 0);
	closed();
	/* closed while it runs */
	par = par_of(&s16le, 2, 0);
	opened("c.wav", NULL, 0, &par);
	play(&par, "1");
	CHECK_EQ(drv_find("file")->start(drv), 0);
	CHECK_EQ(drv_find("file")->write(drv, NULL), 0);
	closed();
	holds("c.wav", &par, "1", 0);
}

/* a block larger than the buffer, and a silence of hours: a hole, not a write of gigabytes */
static void
test_large(void)
{
	const struct drv_ops *ops = drv_find("file");
	struct drv_par par = par_of(&f32le, 8, 0);
	static uint8_t block[8 * 4 * 5000];
	struct stat st;
	uint64_t nblocks = 30000, end;
	uint8_t got[32];
	int fd, i;
	uint64_t k;

	par.round = 5000;
	memset(block, 1, sizeof(block));
	opened("l.wav", NULL, 0, &par);
	CHECK_EQ(ops->start(drv), 0);
	CHECK_EQ(ops->write(drv, block), 0);
	for (k = 0; k < nblocks; k++)
		CHECK_EQ(ops->write(drv, NULL), 0);
	CHECK_EQ(ops->write(drv, block), 0);
	CHECK_EQ(ops->stop(drv), 0);
	closed();
	fd = open(in_dir("l.wav"), O_RDONLY);
	CHECK(fd >= 0 && fstat(fd, &st) == 0);
	/* more than 4 GiB: the header says that it does not know, the samples are all there */
	end = 80 + (nblocks + 2) * sizeof(block);
	CHECK_EQ(st.st_size, end);
	CHECK(st.st_blocks < 10000);
	CHECK_EQ(pread(fd, got, 8, 0), 8);
	CHECK(memcmp(got, "RIFF\xff\xff\xff\xff", 8) == 0);
	CHECK_EQ(pread(fd, got, 8, 72), 8);
	CHECK(memcmp(got, "data\xff\xff\xff\xff", 8) == 0);
	CHECK_EQ(pread(fd, got, 32, (off_t)(80 + sizeof(block) - 16)), 32);
	for (i = 0; i < 32; i++)
		CHECK_EQ(got[i], i < 16 ? 1 : 0);
	CHECK_EQ(pread(fd, got, 32, (off_t)(end - sizeof(block) - 16)), 32);
	for (i = 0; i < 32; i++)
		CHECK_EQ(got[i], i < 16 ? 0 : 1);
	close(fd);
	/* and it is continued at its end */
	opened("l.wav", NULL, 1, &par);
	CHECK_EQ(ops->start(drv), 0);
	CHECK_EQ(ops->write(drv, block), 0);
	CHECK_EQ(ops->stop(drv), 0);
	closed();
	CHECK_EQ(stat(in_dir("l.wav"), &st), 0);
	CHECK_EQ(st.st_size, end + sizeof(block));
	CHECK_EQ(unlink(in_dir("l.wav")), 0);
}

/* while the clock runs, what has been written can be read by who honours an open length */
static void
test_cut_short(void)
{
	const struct drv_ops *ops = drv_find("file");
	struct drv_par par = par_of(&s16le, 2, 0);
	struct wavefile wf = { .format = WAVEFILE_WAV };
	static uint8_t block[ROUND * 4];
	int fd, k;

	memset(block, '1', sizeof(block));
	opened("k.wav", NULL, 0, &par);
	CHECK_EQ(ops->start(drv), 0);
	for (k = 0; k < 200; k++)
		CHECK_EQ(ops->write(drv, block), 0);
	fd = open(in_dir("k.wav"), O_RDWR);
	CHECK(fd >= 0);
	CHECK_EQ(wavefile_parse(&wf, fd, err, sizeof(err)), 0);
	CHECK_EQ(wf.open_ended, 1);
	CHECK_EQ(wf.nbytes, 65536);
	closed();
	/* as if it had been killed there, in the middle of a frame: append goes on after the last whole one */
	CHECK_EQ(pwrite(fd, "\xff\xff\xff\xff", 4, 40), 4);
	CHECK_EQ(ftruncate(fd, 44 + 3 * (off_t)sizeof(block) + 3), 0);
	close(fd);
	par = par_of(&s16le, 2, 0);
	opened("k.wav", NULL, 1, &par);
	holds("k.wav", &par, "111", 0);
	play(&par, ".2");
	closed();
	holds("k.wav", &par, "111.2", 0);
}

static void
test_append(void)
{
	static const char *const names[] = { "a.wav", "a.au", "a.raw" };
	struct drv_par par, other;
	int fd;
	size_t i;

	for (i = 0; i < 3; i++) {
		par = par_of(&u8, 1, 0);
		par.round = 33;
		opened(names[i], NULL, 1, &par);	/* there is none yet: made */
		play(&par, "1.2.");
		closed();
		opened(names[i], NULL, 1, &par);
		holds(names[i], &par, "1.2", wavefile_suffix(names[i]) == WAVEFILE_AU ? 0 : 0x80);
		closed();				/* opened for nothing: unchanged */
		holds(names[i], &par, "1.2", wavefile_suffix(names[i]) == WAVEFILE_AU ? 0 : 0x80);
		opened(names[i], NULL, 1, &par);
		play(&par, ".3");
		closed();
		holds(names[i], &par, "1.2.3", wavefile_suffix(names[i]) == WAVEFILE_AU ? 0 : 0x80);
	}
	other = par, other.pchan = 2, refused(EINVAL, "1 channels at 48000 Hz", "a.wav", NULL, 1, other);
	other = par, other.rate = 44100, refused(EINVAL, "the device s8, 1 at 44100", "a.au", NULL, 1, other);
	other = par, other.enc = s16le, refused(EINVAL, "it is u8, 1 channels", "a.wav", NULL, 1, other);
	par.enc = u8;
	holds("a.wav", &par, "1.2.3", 0x80);		/* refusing changed nothing */
	CHECK_EQ(rename(in_dir("a.au"), in_dir("b.wav")), 0);
	refused(EINVAL, "not what its suffix says", "b.wav", NULL, 1, par);
	fd = open(in_dir("b.wav"), O_WRONLY | O_TRUNC);
	CHECK_EQ(write(fd, "garbage, and more of it", 23), 23);
	refused(EINVAL, "neither WAV nor AU", "b.wav", NULL, 1, par);
	CHECK_EQ(ftruncate(fd, 0), 0);
	opened("b.wav", NULL, 1, &par);			/* empty: as good as new */
	play(&par, "1");
	closed();
	holds("b.wav", &par, "1", 0x80);
	/* chunks that we did not write would be lost */
	CHECK_EQ(pwrite(fd, "LIST\4\0\0\0abcd", 12, 44 + 34), 12);
	refused(EINVAL, "another program wrote it", "b.wav", NULL, 1, par);
	close(fd);
}

/* the encodings of the formats, as open answers them */
static void
test_encodings(void)
{
	struct drv_par par;

	par = par_of(&s16be, 2, 0);
	opened("e.wav", NULL, 0, &par);
	closed();
	CHECK(enc_same(&par.enc, &s16le));
	par = par_of(&s16le, 2, 0);
	opened("e.au", NULL, 0, &par);
	closed();
	CHECK(enc_same(&par.enc, &s16be));
	par = par_of(&s16be, 2, 0);
	opened("e.raw", NULL, 0, &par);
	closed();
	CHECK(memcmp(&par.enc, &s16be, sizeof(s16be)) == 0);
	par = par_of(&f32le, 2, 0);
	opened("e.AU", NULL, 0, &par);
	closed();
	CHECK_EQ(par.enc.flt, 1);
	CHECK_EQ(par.enc.le, 0);
}

/* ---- recording --------------------------------------------------------------------- */

static void
make_raw(const char *name, const void *p, size_t n)
{
	int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC, 0666);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, p, n), (ssize_t)n);
	close(fd);
}

static void
make_sound(const char *name, const struct enc *enc, unsigned rate, unsigned nch, size_t nframes)
{
	struct wavefile wf = { .enc = *enc, .rate = rate, .nch = nch };
	static uint8_t file[400000];
	size_t i, n, len = nframes * nch * enc->bps;

	wf.format = (enum wavefile_format)wavefile_suffix(name);
	n = wavefile_header(&wf, len, file);
	CHECK(n + len <= sizeof(file));
	for (i = 0; i < len; i++)
		file[n + i] = (uint8_t)(i * 7 + i / 251);
	make_raw(name, file, n + len);
}

/* each start records the file from its first frame, then silence for ever */
static void
recorded(const struct drv_par *par, size_t nframes, int zero)
{
	const struct drv_ops *ops = drv_find("file");
	size_t n = (size_t)par->round * par->rchan * par->enc.bps;
	size_t len = nframes * par->rchan * par->enc.bps, at, i;
	uint8_t *block = malloc(n);
	int start;

	CHECK(block != NULL);
	for (start = 0; start < 3; start++) {
		CHECK_EQ(ops->start(drv), 0);
		/* the second time, only the beginning */
		for (at = 0; at < (start == 1 ? 3 * n : len + 5 * n); at += n) {
			memset(block, 0xa5, n);
			CHECK_EQ(ops->read(drv, block), 0);
			for (i = 0; i < n; i++) {
				if (block[i] != (at + i < len ? (uint8_t)((at + i) * 7 + (at + i) / 251) : zero))
					break;
			}
			CHECK_EQ(i, n);
		}
		CHECK_EQ(ops->stop(drv), 0);
	}
	free(block);
}

static void
test_record(void)
{
	struct drv_par par;

	make_sound("r.wav", &s16le, 48000, 3, 12345);
	par = par_of(&f32le, 0, 2);
	opened("", "r.wav", 0, &par);
	CHECK(enc_same(&par.enc, &s16le));
	CHECK_EQ(par.rchan, 3);
	CHECK_EQ(par.pchan, 0);
	CHECK_EQ(par.rate, 48000);
	recorded(&par, 12345, 0);
	closed();
	/* play channels asked for, but no path: the direction is absent; no record channels asked: the file's */
	par = par_of(&s16le, 2, 0);
	opened("", "r.wav", 0, &par);
	CHECK_EQ(par.pchan, 0);
	CHECK_EQ(par.rchan, 3);
	closed();
	/* another rate: blocks keep their number and duration */
	make_sound("r.au", &s16be, 8000, 1, 777);
	par = par_of(&s16le, 0, 1);
	par.round = 480, par.bufsz = 480 * 5;
	opened("", "r.au", 0, &par);
	CHECK(enc_same(&par.enc, &s16be));
	CHECK_EQ(par.rate, 8000);
	CHECK_EQ(par.round, 80);
	CHECK_EQ(par.bufsz, 400);
	recorded(&par, 777, 0);
	closed();
	/* raw: all as asked; a last part of a frame is none */
	make_sound("r.raw", &u8, 48000, 2, 1000);
	CHECK_EQ(truncate(in_dir("r.raw"), 1999), 0);
	par = par_of(&u8, 0, 2);
	opened("", "r.raw", 0, &par);
	recorded(&par, 999, 0x80);
	closed();
	/* empty */
	make_raw("z.raw", "", 0);
	par = par_of(&s16le, 0, 1);
	opened("", "z.raw", 0, &par);
	recorded(&par, 0, 0);
	closed();
	/* a file cut while it is read from becomes silence */
	make_sound("t.wav", &s16le, 48000, 1, 100000);
	par = par_of(&s16le, 0, 1);
	opened("", "t.wav", 0, &par);
	CHECK_EQ(truncate(in_dir("t.wav"), 44 + 2 * 777 + 1), 0);
	recorded(&par, 777, 0);
	closed();
}

/* both directions: one encoding, the recorded file's */
static void
test_duplex(void)
{
	struct drv_par par;

	make_sound("d.wav", &s16le, 44100, 1, 500);
	par = par_of(&f32le, 2, 2);
	opened("dp.wav", "d.wav", 0, &par);
	CHECK(enc_same(&par.enc, &s16le));
	CHECK_EQ(par.rate, 44100);
	CHECK_EQ(par.pchan, 2);
	CHECK_EQ(par.rchan, 1);
	recorded(&par, 500, 0);
	play(&par, "1.2");
	closed();
	holds("dp.wav", &par, "1.2", 0);
	refused(EINVAL, "d.wav is s16le, which .au cannot hold", "dp.au", "d.wav", 0, par_of(&s16le, 2, 2));
	CHECK_EQ(access(in_dir("dp.au"), F_OK), -1);	/* refused before it was made */
	refused(EINVAL, "it is recorded from", "d.wav", "d.wav", 0, par_of(&s16le, 2, 2));
	par = par_of(&s16le, 0, 1);
	opened("", "d.wav", 0, &par);			/* and it is unharmed */
	recorded(&par, 500, 0);
	closed();
}

/* ---- refusing ----------------------------------------------------------------------- */

static void
test_refusals(void)
{
	const struct drv_par par = par_of(&s16le, 2, 2);
	struct drv_par one = par;

	refused(EINVAL, "no path", "", NULL, 0, par);
	refused(EINVAL, "no path", "", "", 0, par);
	refused(EINVAL, "must end in .wav, .au or .raw", "x.mp3", NULL, 0, par);
	refused(EINVAL, "must end in .wav, .au or .raw", "x", NULL, 0, par);
	refused(EINVAL, "no channels are played", "x.wav", NULL, 0, par_of(&s16le, 0, 2));
	refused(ENOENT, "No such file or directory; make its directory first", "no/x.wav", NULL, 0, par);
	CHECK_EQ(mkdir(in_dir("d.au"), 0777), 0);
	refused(EISDIR, "Is a directory", "d.au", NULL, 0, par);
	make_raw("file.wav", "", 0);
	refused(ENOTDIR, "Not a directory", "file.wav/x.wav", NULL, 0, par);
	refused(ENOENT, "No such file", "", "none.wav", 0, par);
	refused(EINVAL, "not a regular file", "", "d.au", 0, par);
	refused(EINVAL, "neither WAV nor AU", "", "file.wav", 0, par);
	make_raw("mp3.wav", "ID3 and whatever", 16);
	refused(EINVAL, "raw samples need the suffix .raw", "", "mp3.wav", 0, par);
	refused(EINVAL, "does not say its channels", "", "g.raw", 0, par_of(&s16le, 0, 0));
	/* a pipe would block, a device is none of ours */
	CHECK_EQ(mkfifo(in_dir("fifo.wav"), 0666), 0);
	refused(EINVAL, "not a regular file", "fifo.wav", NULL, 0, par);
	refused(EINVAL, "not a regular file", "", "fifo.wav", 0, par);
	CHECK_EQ(symlink("/dev/full", in_dir("full.wav")), 0);
	refused(EINVAL, "not a regular file", "full.wav", NULL, 0, par);
	CHECK_EQ(symlink("loop.wav", in_dir("loop.wav")), 0);
	refused(ELOOP, "", "loop.wav", NULL, 0, par);
	/* two devices do not write one file */
	opened("busy.wav", NULL, 0, &one);
	{
		void *first = drv;

		refused(EBUSY, "another device does", "busy.wav", NULL, 0, par);
		drv = first;
	}
	play(&one, "1");
	closed();
	holds("busy.wav", &one, "1", 0);
}

static void
limit(rlim_t nbytes)
{
	struct rlimit rl;

	CHECK_EQ(getrlimit(RLIMIT_FSIZE, &rl), 0);
	rl.rlim_cur = nbytes;
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &rl), 0);
}

/* no room: said by open, or by the write that meets it; the file is whole all the same, and goes on later */
static void
test_full(void)
{
	const struct drv_ops *ops = drv_find("file");
	struct drv_par par = par_of(&s24le3, 1, 0);
	struct wavefile wf = { .format = WAVEFILE_WAV };
	static uint8_t block[ROUND * 3];
	int fd, k, rc = 0;

	limit(10);
	refused(EFBIG, "File too large", "f.wav", NULL, 0, par);
	limit(RLIM_INFINITY);
	CHECK_EQ(access(in_dir("f.wav"), F_OK), -1);	/* no half a header is left */
	opened("f.wav", NULL, 0, &par);
	limit(68 + 1000 + 65535);	/* the second buffer is written in part, not in whole frames */
	CHECK_EQ(ops->start(drv), 0);
	for (k = 0; k < 1000 && rc == 0; k++) {
		memset(block, k & 0x7f, sizeof(block));
		rc = ops->write(drv, block);
	}
	CHECK_EQ(rc, -EFBIG);
	CHECK_EQ(k, 2 * 65535 / (int)sizeof(block) + 1);
	CHECK_EQ(ops->write(drv, block), -EFBIG);	/* until it is started again */
	CHECK_EQ(ops->write(drv, NULL), -EFBIG);
	CHECK_EQ(ops->stop(drv), 0);
	fd = open(in_dir("f.wav"), O_RDONLY);
	CHECK(fd >= 0);
	CHECK_EQ(wavefile_parse(&wf, fd, err, sizeof(err)), 0);
	CHECK_EQ(wf.open_ended, 0);
	CHECK_EQ(wf.nbytes, 65535 + 999);
	CHECK_EQ(wf.size, 68 + 65535 + 999);	/* an even number: no pad */
	limit(RLIM_INFINITY);
	CHECK_EQ(ops->start(drv), 0);
	CHECK_EQ(ops->write(drv, block), 0);
	CHECK_EQ(ops->stop(drv), 0);
	CHECK_EQ(wavefile_parse(&wf, fd, err, sizeof(err)), 0);
	CHECK_EQ(wf.nbytes, 65535 + 999 + (int)sizeof(block));
	/* an error that only stop can see is told by stop */
	CHECK_EQ(ops->start(drv), 0);
	CHECK_EQ(ops->write(drv, block), 0);
	limit(100);
	CHECK_EQ(ops->stop(drv), -EFBIG);
	limit(RLIM_INFINITY);
	closed();
	CHECK_EQ(wavefile_parse(&wf, fd, err, sizeof(err)), 0);
	CHECK_EQ(wf.nbytes, 65535 + 999 + (int)sizeof(block));
	close(fd);
}

/* ---- main ---------------------------------------------------------------------------- */

static void
clean(void)
{
	char path[600];
	struct dirent *e;
	DIR *d = opendir(dir);

	CHECK(d != NULL);
	while ((e = readdir(d)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (unlink(path) < 0)
			rmdir(path);
	}
	closedir(d);
	CHECK_EQ(rmdir(dir), 0);
}

int
main(void)
{
	int fds = open_fds();

	signal(SIGXFSZ, SIG_IGN);
	CHECK(mkdtemp(dir) != NULL);
	test_gaps();
	test_large();
	test_cut_short();
	test_append();
	test_encodings();
	test_record();
	test_duplex();
	test_refusals();
	test_full();
	clean();
	CHECK_EQ(open_fds(), fds);
	CHECK_DONE();
}
