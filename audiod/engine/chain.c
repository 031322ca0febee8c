/*
 * chain.c: what turns a stream's frames into its device's and back: channel
 * maps and resamplers for one pair of stream and device.
 *
 * Made and freed by control, run by the device thread (stream.c).
 */
#include <errno.h>
#include <math.h>
#include <string.h>
#include "engine.h"

/* most frames at rate that one block of the device takes or gives */
uint32_t
chain_block(const device *d, uint32_t rate)
{
	return (uint32_t)(((uint64_t)d->par.round * rate + d->par.rate - 1) / d->par.rate);
}

static int
init_play(struct chain *c, const device *d, const struct stream_par *p, const struct conv *conv)
{
	int rc;

	cmap_init(&c->pmap, p->pchan, 0, (int)p->pchan - 1, d->par.pchan,
	    p->pmin, p->pmax, p->join);
	if (p->rate != d->par.rate) {
		rc = resamp_new(&c->prs, p->rate, d->par.rate, p->pchan, c->f64, d->par.round);
		if (rc < 0)
			return rc;
		c->tail = (int64_t)ceil(2 * resamp_delay(c->prs));
		c->delay_ns = llround(resamp_delay(c->prs) * 1e9 / p->rate);
	}
	c->same = enc_same(&conv->enc, &d->par.enc) && enc_packed(&d->par.enc) &&
	    !d->par.enc.flt && c->prs == NULL && cmap_identity(&c->pmap);
	c->inexact = c->prs != NULL || c->pmap.join > 1 || conv->enc.flt ||
	    conv->enc.bits > d->par.enc.bits;
	/* two blocks, to the frame: those that clients are given are rounded, 2 x 235 for 2 x 235.2 */
	c->ahead = 2 * (chain_block(d, p->rate) + 1);
	c->swept = d->par.clock == DRV_CLOCK_REAL &&
	    (uint64_t)(p->appbufsz + 1) * d->par.rate >= (uint64_t)2 * d->par.round * p->rate;
	return 0;
}

static int
init_rec(struct chain *c, const device *d, const struct stream_par *p)
{
	int rc;

	cmap_init(&c->rmap, d->par.rchan, p->rmin, p->rmax, p->rchan, 0, (int)p->rchan - 1, p->join);
	for (unsigned ch = 0; ch < c->rmap.width * c->rmap.join; ch++)
		c->rmask |= (uint64_t)1 << (c->rmap.istart + ch);
	cmap_init(&c->mmap, d->par.pchan, p->pmin, p->pmax, p->rchan, 0, (int)p->rchan - 1, p->join);
	if (p->rate != d->par.rate) {
		rc = resamp_new(&c->rrs, d->par.rate, p->rate, p->rchan, c->f64,
		    chain_block(d, p->rate) + 1);
		if (rc < 0)
			return rc;
		/* align what is recorded with what is played, to the frame */
		c->rdrop = (int64_t)llround(resamp_delay(c->rrs) * p->rate / d->par.rate +
		    (c->prs ? resamp_delay(c->prs) : 0));
	}
	return 0;
}

int
chain_init(struct chain *c, const device *d, const struct stream_par *p, const struct conv *conv)
{
	int rc = 0;

	memset(c, 0, sizeof(*c));
	c->f64 = d->wide || (conv->enc.flt && conv->enc.bits == 64);
	if (p->flags & STREAM_PLAY)
		rc = init_play(c, d, p, conv);
	if (rc == 0 && (p->flags & (STREAM_REC | STREAM_MON)))
		rc = init_rec(c, d, p);
	if (rc < 0)
		chain_free(c);
	return rc;
}

void
chain_free(struct chain *c)
{
	resamp_free(c->prs);
	resamp_free(c->rrs);
	c->prs = c->rrs = NULL;
}
