/*
 * driver_file.c: plays into a sound file and records from another, on a
 * real-time or a free clock.
 *
 * The file played into holds what programs played and the gaps between, but
 * neither the silence queued by start nor the idle tail: silence is counted
 * and written only when something follows it.  Whenever the clock is stopped
 * the file is whole and its header right; while it runs, the header says that
 * the length is open, so that a file cut short can be read, too.  The file
 * recorded from begins at frame 0 of each start and is silence after its end.
 *
 * Reading and writing regular files on the device thread is this driver's one
 * exception to the rule that a driver does not block.
 */
#define _GNU_SOURCE
#include "drivers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tick.h"
#include "wavefile.h"

#define BUFFER		(64 * 1024)	/* bytes of samples gathered for one system call */

struct sound {				/* a file and its part that is in memory */
	int fd;				/* -1: direction absent */
	struct wavefile wf;		/* what the file is */
	size_t frame;			/* bytes */
	size_t size;			/* bytes of buf in use: whole frames */
	uint8_t *buf;
	size_t fill;			/* bytes in buf */
	uint64_t pos;			/* byte of the file: play: where buf goes; rec: what follows buf */
};

struct file {
	struct tick tick;		/* the clock; of a free one only what is wrong with it */
	int free_clock;			/* 1: a block passes whenever it is asked for */
	int running;			/* 1 between start and stop */
	struct drv_par par;		/* what open agreed to */
	struct sound play;
	size_t pblock;			/* bytes of a played block */
	uint64_t quiet;			/* play: bytes of silence that wait for something to follow */
	int zeros;			/* play: 1 if silence is bytes of zero */
	int settled;			/* play: 1 if the header is right and nothing waits */
	int err;			/* play: -errno of the first write that failed since start */
	struct sound rec;
	size_t rblock;			/* bytes of a recorded block */
	size_t taken;			/* rec: bytes of buf already recorded */
};

/* ---- playing ------------------------------------------------------------ */

static int
put_at(int fd, const uint8_t *p, size_t n, uint64_t *off)
{
	ssize_t done;

	while (n > 0) {
		done = pwrite(fd, p, n, (off_t)*off);
		if (done < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		p += done;
		n -= (size_t)done;
		*off += (uint64_t)done;
	}
	return 0;
}

static int
put_header(struct sound *s, uint64_t nbytes)
{
	uint8_t head[WAVEFILE_HEADER_MAX];
	uint64_t off = 0;

	return put_at(s->fd, head, wavefile_header(&s->wf, nbytes, head), &off);
}

/* after a failed write: only whole frames that are in the file count */
static int
play_failed(struct file *d, int rc)
{
	struct sound *s = &d->play;
	struct stat st;

	if (fstat(s->fd, &st) == 0 && (uint64_t)st.st_size < s->pos)
		s->pos = (uint64_t)st.st_size;
	if (s->pos < s->wf.offset)
		s->pos = s->wf.offset;
	s->pos -= (s->pos - s->wf.offset) % s->frame;
	s->fill = 0;
	d->err = rc;
	return rc;
}

static int
play_flush(struct file *d)
{
	struct sound *s = &d->play;
	int rc = 0;

	if (s->fill == 0)
		return 0;
	if (d->settled) {
		d->settled = 0;
		rc = put_header(s, WAVEFILE_UNKNOWN);
	}
	if (rc == 0)
		rc = put_at(s->fd, s->buf, s->fill, &s->pos);
	if (rc < 0)
		return play_failed(d, rc);
	s->fill = 0;
	return 0;
}

/* n bytes of samples, or of silence if p is NULL: whole frames */
static int
play_put(struct file *d, const uint8_t *p, uint64_t n)
{
	struct sound *s = &d->play;
	size_t part;
	int rc;

	while (n > 0) {
		part = s->size - s->fill;
		if (part > n)
			part = (size_t)n;
		if (p != NULL) {
			memcpy(s->buf + s->fill, p, part);
			p += part;
		} else
			enc_silence(&s->wf.enc, s->buf + s->fill, part / s->wf.enc.bps);
		s->fill += part;
		n -= part;
		if (s->fill == s->size) {
			rc = play_flush(d);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

/* writes the silence that something now follows; a long one becomes a hole in the file */
static int
play_gap(struct file *d)
{
	uint64_t n = d->quiet;
	int rc;

	d->quiet = 0;
	if (!d->zeros || n <= d->play.size)
		return play_put(d, NULL, n);
	rc = play_flush(d);
	if (rc == 0)
		d->play.pos += n;
	return rc;
}

/* makes the file whole; what only waited as silence is dropped */
static int
play_settle(struct file *d)
{
	struct sound *s = &d->play;
	uint64_t nbytes, pad;
	int rc, rc2;

	d->quiet = 0;
	rc = play_flush(d);
	if (d->settled)
		return rc;
	nbytes = s->pos - s->wf.offset;
	rc2 = ftruncate(s->fd, (off_t)s->pos) < 0 ? -errno : 0;
	if (rc2 == 0 && s->wf.format == WAVEFILE_WAV && (nbytes & 1) != 0) {
		pad = s->pos;
		rc2 = put_at(s->fd, (const uint8_t *)"", 1, &pad);
	}
	if (rc2 == 0)
		rc2 = put_header(s, nbytes);
	d->settled = 1;
	return rc < 0 ? rc : rc2;
}

/* ---- opening ------------------------------------------------------------ */

static int
sound_buffer(struct sound *s, unsigned nch)
{
	s->frame = (size_t)s->wf.enc.bps * nch;
	s->size = BUFFER - BUFFER % s->frame;
	s->buf = calloc(1, s->size);
	return s->buf == NULL ? -ENOMEM : 0;
}

static void
sound_close(struct sound *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	free(s->buf);
	s->buf = NULL;
}

static int
open_error(int errnum, const char *verb, const char *path, char *err, size_t errsz)
{
	const char *hint = "";

	if (errnum == ENOENT)
		hint = strcmp(verb, "write") == 0 ? "; make its directory first" : "";
	else if (errnum == EACCES)
		hint = "; change its mode or that of its directories";
	return drv_fail(errnum, err, errsz, "file: cannot %s %s: %s%s", verb, path, strerror(errnum), hint);
}

/* opens the file to record from and takes its parameters */
static int
rec_open(struct file *d, const char *path, struct drv_par *par, char *err, size_t errsz)
{
	struct sound *s = &d->rec;
	struct stat st;
	char why[160];
	unsigned rate, nblocks;
	int rc;

	s->wf.format = WAVEFILE_WAV;
	if (wavefile_suffix(path) == WAVEFILE_RAW) {
		if (par->rchan == 0)
			return drv_fail(EINVAL, err, errsz,
			    "file: %s does not say its channels: ask for them to be recorded", path);
		s->wf.format = WAVEFILE_RAW;
		s->wf.enc = par->enc;
		s->wf.rate = par->rate;
		s->wf.nch = par->rchan;
	}
	s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (s->fd < 0)
		return open_error(errno, "read", path, err, errsz);
	if (fstat(s->fd, &st) < 0)
		return open_error(errno, "read", path, err, errsz);
	if (!S_ISREG(st.st_mode))
		return drv_fail(EINVAL, err, errsz, "file: cannot read %s: not a regular file", path);
	rc = wavefile_parse(&s->wf, s->fd, why, sizeof(why));
	if (rc < 0)
		return drv_fail(-rc, err, errsz, "file: cannot read %s: %s", path, why);
	if (!enc_ok(&s->wf.enc))
		return drv_fail(EINVAL, err, errsz, "file: cannot read %s: its encoding is not supported", path);
	rate = par->rate;
	if (rate != s->wf.rate) {	/* blocks keep their number and duration */
		nblocks = par->bufsz / par->round;
		par->round = (unsigned)(((uint64_t)par->round * s->wf.rate + rate / 2) / rate);
		if (par->round == 0)
			par->round = 1;
		par->bufsz = nblocks * par->round;
		par->rate = s->wf.rate;
	}
	if (!enc_same(&par->enc, &s->wf.enc))
		par->enc = s->wf.enc;
	par->rchan = s->wf.nch;
	return 0;
}

/* checks that the file can be continued and finds its end */
static int
play_append(struct sound *s, const char *path, char *err, size_t errsz)
{
	struct wavefile old = s->wf;
	uint8_t head[WAVEFILE_HEADER_MAX];
	char why[160], name[2][WAVEFILE_ENCNAME];
	int rc;

	if (s->wf.format != WAVEFILE_RAW)
		old.format = WAVEFILE_WAV;
	rc = wavefile_parse(&old, s->fd, why, sizeof(why));
	if (rc < 0)
		return drv_fail(-rc, err, errsz, "file: cannot go on with %s: %s", path, why);
	if (old.format != s->wf.format)
		return drv_fail(EINVAL, err, errsz, "file: cannot go on with %s: its content is not what "
		    "its suffix says", path);
	if (!enc_same(&old.enc, &s->wf.enc) || old.rate != s->wf.rate || old.nch != s->wf.nch)
		return drv_fail(EINVAL, err, errsz,
		    "file: cannot go on with %s: it is %s, %u channels at %u Hz, the device %s, %u at %u",
		    path, wavefile_encname(&old.enc, name[0]), old.nch, old.rate,
		    wavefile_encname(&s->wf.enc, name[1]), s->wf.nch, s->wf.rate);
	if (old.offset != wavefile_header(&s->wf, 0, head) || old.size - old.offset - old.nbytes > s->frame)
		return drv_fail(EINVAL, err, errsz, "file: cannot go on with %s: another program wrote it, with "
		    "more than samples; give another path", path);
	s->pos = old.offset + old.nbytes;
	return 0;
}

/* opens the file to play into and makes its header, or finds the end of the old one */
static int
play_open(struct file *d, const char *path, int append, char *err, size_t errsz)
{
	struct sound *s = &d->play;
	struct stat st, rst;
	uint8_t silence[8];
	uint8_t head[WAVEFILE_HEADER_MAX];
	int flags, rc, created = 1;
	unsigned i;

	flags = O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	s->fd = open(path, flags | O_CREAT | O_EXCL, 0666);
	if (s->fd < 0 && errno == EEXIST) {
		created = 0;
		s->fd = open(path, flags | O_CREAT, 0666);	/* O_CREAT: through a dangling link */
	}
	if (s->fd < 0)
		return open_error(errno, "write", path, err, errsz);
	if (fstat(s->fd, &st) < 0)
		return open_error(errno, "write", path, err, errsz);
	if (!S_ISREG(st.st_mode))
		return drv_fail(EINVAL, err, errsz, "file: cannot write %s: not a regular file", path);
	if (d->rec.fd >= 0 && fstat(d->rec.fd, &rst) == 0 &&
	    rst.st_dev == st.st_dev && rst.st_ino == st.st_ino)
		return drv_fail(EINVAL, err, errsz, "file: cannot write %s: it is recorded from", path);
	if (flock(s->fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return drv_fail(EBUSY, err, errsz, "file: cannot write %s: another device does; "
		    "give each its own path", path);
	s->wf.offset = s->pos = wavefile_header(&s->wf, 0, head);
	enc_silence(&s->wf.enc, silence, 1);
	d->zeros = 1;
	for (i = 0; i < s->wf.enc.bps; i++)
		d->zeros = d->zeros && silence[i] == 0;
	if (append && st.st_size > 0) {
		rc = play_append(s, path, err, errsz);
		if (rc < 0)
			return rc;
	} else if (ftruncate(s->fd, 0) < 0)
		return open_error(errno, "write", path, err, errsz);
	rc = play_settle(d);
	if (rc < 0) {
		if (created)
			unlink(path);
		return open_error(-rc, "write", path, err, errsz);
	}
	return 0;
}

static void
file_close(void *drv)
{
	struct file *d = drv;

	if (d->play.fd >= 0)
		play_settle(d);
	sound_close(&d->play);
	sound_close(&d->rec);
	tick_close(&d->tick);
	free(d);
}

static void
file_abandon(struct file *d)
{
	d->settled = 1;		/* open failed: the file is not ours to touch */
	file_close(d);
}

static int
file_open(void **drv, const struct drv_conf *conf, struct drv_par *par, char *err, size_t errsz)
{
	const char *rec = conf->rec != NULL ? conf->rec : "";
	struct file *d;
	struct enc fit;
	struct sim sim;
	char name[WAVEFILE_ENCNAME];
	unsigned asked = par->rchan;
	int format = -1, rc;

	if (conf->arg[0] == '\0' && rec[0] == '\0')
		return drv_fail(EINVAL, err, errsz, "file: no path: give one to play into (file:PATH), "
		    "one to record from (?rec=PATH), or both");
	if (conf->arg[0] != '\0') {
		format = wavefile_suffix(conf->arg);
		if (format < 0)
			return drv_fail(EINVAL, err, errsz,
			    "file: cannot write %s: its name must end in .wav, .au or .raw", conf->arg);
		if (par->pchan == 0)
			return drv_fail(EINVAL, err, errsz,
			    "file: nothing to write to %s: no channels are played", conf->arg);
	} else
		par->pchan = 0;
	par->rchan = rec[0] == '\0' ? 0 : asked > 0 ? asked : 1;
	rc = drv_par_fit("file", par, err, errsz);
	if (rc < 0)
		return rc;
	if (asked == 0)
		par->rchan = 0;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return drv_fail(ENOMEM, err, errsz, "file: no memory");
	d->play.fd = d->rec.fd = d->tick.fd = -1;
	if (rec[0] != '\0') {
		rc = rec_open(d, rec, par, err, errsz);
		if (rc < 0)
			goto fail;
	}
	if (conf->arg[0] != '\0') {
		fit = par->enc;
		wavefile_fit((enum wavefile_format)format, &fit);
		if (rec[0] != '\0' && !enc_same(&fit, &par->enc)) {
			rc = drv_fail(EINVAL, err, errsz, "file: %s is %s, which %s cannot hold, and a device has "
			    "one encoding: play into .wav, .au or .raw as fits", rec,
			    wavefile_encname(&par->enc, name), strrchr(conf->arg, '.'));
			goto fail;
		}
		par->enc = fit;
	}
	rc = drv_par_fit("file", par, err, errsz);
	if (rc == 0)
		rc = sim_open(&sim, "file", conf, par, err, errsz);
	if (rc < 0)
		goto fail;
	par->clock = conf->free_clock ? DRV_CLOCK_FREE : DRV_CLOCK_REAL;
	d->free_clock = conf->free_clock != 0;
	d->par = *par;
	d->pblock = (size_t)par->round * par->pchan * par->enc.bps;
	d->rblock = (size_t)par->round * par->rchan * par->enc.bps;
	d->tick.sim = sim;
	rc = d->free_clock ? 0 : tick_open(&d->tick, par->rate, par->round, par->bufsz, &sim);
	if (rc < 0) {
		rc = drv_fail(-rc, err, errsz, "file: no timer: %s", strerror(-rc));
		goto fail;
	}
	d->play.wf = (struct wavefile){
		.format = (enum wavefile_format)(format < 0 ? WAVEFILE_RAW : format),
		.enc = par->enc, .rate = par->rate, .nch = par->pchan,
	};
	rc = par->rchan > 0 ? sound_buffer(&d->rec, par->rchan) : 0;
	if (rc == 0 && par->pchan > 0)
		rc = sound_buffer(&d->play, par->pchan);
	if (rc < 0) {
		rc = drv_fail(-rc, err, errsz, "file: no memory");
		goto fail;
	}
	if (par->pchan > 0) {
		rc = play_open(d, conf->arg, conf->append, err, errsz);
		if (rc < 0)
			goto fail;
	}
	*drv = d;
	return 0;
fail:
	file_abandon(d);
	return rc;
}

/* ---- running ------------------------------------------------------------ */

static int
file_start(void *drv)
{
	struct file *d = drv;
	int rc;

	rc = d->free_clock ? sim_start(&d->tick.sim) : tick_start(&d->tick);
	if (rc < 0)
		return rc;
	d->err = 0;
	d->rec.pos = d->rec.wf.offset;
	d->rec.fill = d->taken = 0;
	d->running = 1;
	return 0;
}

static int
file_stop(void *drv)
{
	struct file *d = drv;
	int rc, rc2;

	d->running = 0;
	rc = d->free_clock ? 0 : tick_stop(&d->tick);
	rc2 = d->play.fd >= 0 ? play_settle(d) : 0;
	return rc < 0 ? rc : rc2;
}

static int
file_poll(void *drv, struct pollfd *pfd)
{
	struct file *d = drv;

	return d->free_clock ? 0 : tick_poll(&d->tick, pfd);
}

static int
file_ready(void *drv, struct pollfd *pfd, int64_t *due_ns)
{
	struct file *d = drv;
	struct timespec ts;

	if (!d->free_clock)
		return tick_ready(&d->tick, pfd, due_ns);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	*due_ns = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
	return d->running ? sim_pass(&d->tick.sim, 1) : 0;
}

static int
file_read(void *drv, void *block)
{
	struct file *d = drv;
	struct sound *s = &d->rec;
	uint8_t *p = block;
	size_t n = d->rblock, part;
	uint64_t left;
	ssize_t got;

	if (s->fd < 0)
		return 0;
	while (n > 0) {
		if (d->taken == s->fill) {
			left = s->wf.offset + s->wf.nbytes - s->pos;
			part = left < s->size ? (size_t)left : s->size;
			do {
				got = part > 0 ? pread(s->fd, s->buf, part, (off_t)s->pos) : 0;
			} while (got < 0 && errno == EINTR);
			if (got < 0)
				return -errno;
			got -= got % (ssize_t)s->frame;
			if (got == 0)
				break;		/* the end, or the file was cut behind our back */
			s->pos += (uint64_t)got;
			s->fill = (size_t)got;
			d->taken = 0;
		}
		part = s->fill - d->taken < n ? s->fill - d->taken : n;
		memcpy(p, s->buf + d->taken, part);
		d->taken += part;
		p += part;
		n -= part;
	}
	enc_silence(&s->wf.enc, p, n / s->wf.enc.bps);
	return 0;
}

static int
file_write(void *drv, const void *block)
{
	struct file *d = drv;
	int rc;

	if (d->play.fd < 0)
		return 0;
	if (d->err < 0)
		return d->err;
	if (block == NULL) {
		d->quiet += d->pblock;
		return 0;
	}
	rc = play_gap(d);
	return rc < 0 ? rc : play_put(d, block, d->pblock);
}

const struct drv_ops drv_file = {
	.name = "file",
	.open = file_open,
	.close = file_close,
	.start = file_start,
	.stop = file_stop,
	.poll = file_poll,
	.ready = file_ready,
	.read = file_read,
	.write = file_write,
};
