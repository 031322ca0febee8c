/*
 * alsa_access.c: the five ways to a card's samples, see alsa_access.h.
 */
#define _GNU_SOURCE
#include "alsa_access.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* n samples of one channel, each of its own number of bytes behind the one before */
static void
stride(size_t bps, void *to, size_t to_step, const void *from, size_t from_step, size_t n)
{
	uint8_t *d = to;
	const uint8_t *s = from;

	for (; n > 0; n--, d += to_step, s += from_step)
		memcpy(d, s, bps);
}

/* n frames of channel c between a block and where that channel's samples are */
static void
part(struct alsa_dir *p, unsigned c, uint8_t *samples, size_t step, void *block, size_t n)
{
	size_t bps = p->frame / p->nchan;
	uint8_t *ours = (uint8_t *)block + c * bps;

	if (p->stream == ALSA_PLAY)
		stride(bps, samples, step, ours, p->frame, n);
	else
		stride(bps, ours, p->frame, samples, step, n);
}

static uint8_t *
at(const struct alsa_area *a, unsigned long frame)
{
	return (uint8_t *)a->addr + (a->first + (size_t)frame * a->step) / 8;
}

static int
whole_bytes(const struct alsa_dir *p, const struct alsa_area *a)
{
	unsigned c;

	for (c = 0; c < p->nchan; c++)
		if (a[c].addr == NULL || a[c].first % 8 != 0 || a[c].step % 8 != 0)
			return 0;
	return 1;
}

static int
interleaved(const struct alsa_dir *p, const struct alsa_area *a)
{
	size_t bps = p->frame / p->nchan;
	unsigned c;

	for (c = 0; c < p->nchan; c++)
		if (at(&a[c], 0) != at(a, 0) + c * bps || a[c].step != p->frame * 8)
			return 0;
	return 1;
}

static long
move_mmap(struct alsa_dir *p, void *block, unsigned long n)
{
	const struct alsa_area *a;
	unsigned long offset, frames = n;
	uint8_t *card;
	unsigned c;
	int rc;

	rc = alsa.pcm_mmap_begin(p->pcm, &a, &offset, &frames);
	if (rc < 0)
		return rc;
	if (frames == 0)
		return 0;
	if (frames > n)
		frames = n;
	card = at(a, offset);
	if (interleaved(p, a)) {
		if (p->stream == ALSA_REC)
			memcpy(block, card, frames * p->frame);
		else if (card != block)		/* else it was put there, see alsa_access_area */
			memcpy(card, block, frames * p->frame);
	} else
		for (c = 0; c < p->nchan; c++)
			part(p, c, at(&a[c], offset), a[c].step / 8, block, frames);
	return alsa.pcm_mmap_commit(p->pcm, offset, frames);
}

static long
move_rw(struct alsa_dir *p, void *block, unsigned long n)
{
	return p->stream == ALSA_PLAY ? alsa.pcm_writei(p->pcm, block, n) : alsa.pcm_readi(p->pcm, block, n);
}

static long
move_planes(struct alsa_dir *p, void *block, unsigned long n)
{
	size_t bps = p->frame / p->nchan;
	uint8_t *plane[DSP_NCHAN];
	long done = 0;
	unsigned c;

	for (c = 0; c < p->nchan; c++)
		plane[c] = p->planes + c * p->round * bps;
	if (p->stream == ALSA_REC) {
		done = alsa.pcm_readn(p->pcm, (void **)plane, n);
		if (done <= 0)
			return done;
		n = (unsigned long)done;
	}
	for (c = 0; c < p->nchan; c++)
		part(p, c, plane[c], bps, block, n);
	return p->stream == ALSA_REC ? done : alsa.pcm_writen(p->pcm, (void **)plane, n);
}

int
alsa_access_set(struct alsa_dir *p, int access)
{
	const struct alsa_area *a;
	unsigned long offset, frames = p->round;
	int rc;

	free(p->planes);
	p->planes = NULL;
	p->mapped = access <= ALSA_MMAP_COMPLEX;
	if (p->mapped) {
		p->move = move_mmap;
		if (alsa.pcm_avail_update(p->pcm) < 0)
			return -EINVAL;
		rc = alsa.pcm_mmap_begin(p->pcm, &a, &offset, &frames);
		return rc < 0 ? rc : whole_bytes(p, a) ? 0 : -EINVAL;
	}
	if (access == ALSA_RW_NONINTERLEAVED) {
		p->move = move_planes;
		p->planes = malloc(p->round * p->frame);
		return p->planes == NULL ? -ENOMEM : 0;
	}
	p->move = move_rw;
	return 0;
}

void *
alsa_access_area(struct alsa_dir *p)
{
	const struct alsa_area *a;
	unsigned long offset, frames = p->round;
	size_t bps = p->frame / p->nchan;
	uint8_t *card;

	if (!p->mapped || alsa.pcm_mmap_begin(p->pcm, &a, &offset, &frames) < 0 || frames < p->round ||
	    !interleaved(p, a))
		return NULL;
	card = at(a, offset);
	return (bps & (bps - 1)) != 0 || (uintptr_t)card % bps == 0 ? card : NULL;
}
