/*
 * sim.c: clocks that are wrong, devices that run dry or are unplugged, see
 * sim.h.  Arithmetic alone: no system call.  Device thread, but for sim_open.
 */
#include "sim.h"

#include <errno.h>
#include <string.h>

#include "drivers.h"

#define NSEC	1000000000LL

/* whole blocks in k times ns of running */
static uint64_t
blocks(const struct sim *s, uint64_t k, int64_t ns)
{
	unsigned __int128 frames = (unsigned __int128)k * (uint64_t)ns * s->rate;

	return (uint64_t)(frames / ((uint64_t)NSEC * s->round));
}

static int
time_fit(const struct sim *s, const char *name, const char *key, int64_t ns, char *err, size_t errsz)
{
	if (ns < 0 || ns > SIM_TIME_MAX)
		return drv_fail(EINVAL, err, errsz, "%s: %s=%.12g is not in 0..%lld seconds", name, key,
		    (double)ns / NSEC, SIM_TIME_MAX / NSEC);
	if (ns > 0 && blocks(s, 1, ns) == 0)
		return drv_fail(EINVAL, err, errsz, "%s: %s=%.12g seconds are less than one block of %u frames",
		    name, key, (double)ns / NSEC, s->round);
	return 0;
}

int
sim_open(struct sim *s, const char *name, const struct drv_conf *conf, const struct drv_par *par,
    char *err, size_t errsz)
{
	int rc;

	memset(s, 0, sizeof(*s));
	s->rate = par->rate;
	s->round = par->round;
	if (conf->ppm < -SIM_PPM_MAX || conf->ppm > SIM_PPM_MAX)
		return drv_fail(EINVAL, err, errsz, "%s: ppm=%d is not in %d..%d", name, conf->ppm,
		    -SIM_PPM_MAX, SIM_PPM_MAX);
	if (conf->jitter_ns < 0 || conf->jitter_ns > SIM_JITTER_MAX)
		return drv_fail(EINVAL, err, errsz, "%s: jitter=%.12g is not in 0..%lld milliseconds", name,
		    (double)conf->jitter_ns / 1e6, SIM_JITTER_MAX / 1000000);
	rc = time_fit(s, name, "xrun_every", conf->xrun_every_ns, err, errsz);
	if (rc == 0)
		rc = time_fit(s, name, "unplug_after", conf->unplug_after_ns, err, errsz);
	if (rc < 0)
		return rc;
	s->ppm = conf->ppm;
	s->jitter_ns = conf->jitter_ns;
	s->xrun_ns = conf->xrun_every_ns;
	s->xrun_at = blocks(s, 1, s->xrun_ns);
	s->unplug_at = blocks(s, 1, conf->unplug_after_ns);
	return 0;
}

int
sim_start(struct sim *s)
{
	if (s->state == -EPIPE)
		s->state = 0;
	return s->state;
}

int
sim_pass(struct sim *s, int nblocks)
{
	uint64_t left = UINT64_MAX;

	if (s->state < 0)
		return s->state;
	if (nblocks <= 0)
		return nblocks;
	if (s->xrun_at != 0)
		left = s->xrun_at - s->passed;
	if (s->unplug_at != 0 && s->unplug_at - s->passed < left)
		left = s->unplug_at - s->passed;
	if (left == 0) {		/* the block that has passed never came out */
		if (s->passed == s->unplug_at)
			return s->state = -ENODEV;
		s->nxruns++;
		s->xrun_at = blocks(s, s->nxruns + 1, s->xrun_ns);
		return s->state = -EPIPE;
	}
	if ((uint64_t)nblocks > left)
		nblocks = (int)left;
	s->passed += (uint64_t)nblocks;
	return nblocks;
}

/* splitmix64 of the block's number: the same device is late in the same way each time it is opened */
int64_t
sim_delay(const struct sim *s, unsigned nth)
{
	uint64_t x = (s->passed + nth) * 0x9e3779b97f4a7c15u;

	if (s->jitter_ns == 0)
		return 0;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	x ^= x >> 31;
	return (int64_t)(x % ((uint64_t)s->jitter_ns + 1));
}
