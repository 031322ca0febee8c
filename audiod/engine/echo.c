/*
 * echo.c: the ring behind the drivers that record what they play, see echo.h.
 * The block read and the block written next share a place in the ring: one has
 * just been played and makes room for the other.  Device thread, but for
 * echo_open and echo_close.
 */
#include "echo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int
echo_open(struct echo *e, const struct drv_par *par)
{
	memset(e, 0, sizeof(*e));
	e->enc = par->enc;
	e->round = par->round;
	e->nblocks = par->bufsz / par->round;
	e->pchan = par->pchan;
	e->rchan = par->rchan;
	e->block = (size_t)par->round * par->rchan * par->enc.bps;
	if (par->pchan > 0 && par->rchan > 0) {
		e->ring = calloc(e->nblocks, e->block);
		if (e->ring == NULL)
			return -ENOMEM;
		echo_start(e);	/* touch it now, not on the device thread */
	}
	return 0;
}

void
echo_close(struct echo *e)
{
	free(e->ring);
	e->ring = NULL;
}

static void
silence(const struct echo *e, void *dst, size_t nblocks)
{
	enc_silence(&e->enc, dst, nblocks * e->round * e->rchan);
}

void
echo_start(struct echo *e)
{
	e->wpos = e->rpos = 0;
	if (e->ring != NULL)
		silence(e, e->ring, e->nblocks);
}

void
echo_read(struct echo *e, void *block)
{
	if (e->rchan == 0)
		return;
	if (e->ring == NULL) {
		silence(e, block, 1);
		return;
	}
	memcpy(block, e->ring + e->rpos * e->block, e->block);
	e->rpos = e->rpos + 1 == e->nblocks ? 0 : e->rpos + 1;
}

void
echo_write(struct echo *e, const void *block)
{
	const uint8_t *src = block;
	uint8_t *dst;
	size_t sframe, dframe, common;
	unsigned i;

	if (e->ring == NULL)
		return;
	dst = e->ring + e->wpos * e->block;
	e->wpos = e->wpos + 1 == e->nblocks ? 0 : e->wpos + 1;
	if (src != NULL && e->pchan == e->rchan) {
		memcpy(dst, src, e->block);
		return;
	}
	silence(e, dst, 1);
	if (src == NULL)
		return;
	sframe = (size_t)e->pchan * e->enc.bps;
	dframe = (size_t)e->rchan * e->enc.bps;
	common = sframe < dframe ? sframe : dframe;
	for (i = 0; i < e->round; i++)
		memcpy(dst + i * dframe, src + i * sframe, common);
}
