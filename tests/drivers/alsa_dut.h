/*
 * alsa_dut.h: the driver of sound cards over the library of fake_alsa.h, opened,
 * waited for and closed, for the tests of it.
 */
#ifndef ALSA_DUT_H
#define ALSA_DUT_H

#include <poll.h>
#include <stdint.h>
#include <string.h>

#include "../../audiod/engine/driver.h"
#include "../engine/check.h"
#include "fake_alsa.h"

static const struct enc s16le = { .bits = 16, .bps = 2, .sig = 1, .le = 1 };

#define OPS	drv_find("alsa")

static void *drv;
static struct drv_par par;
static struct drv_conf conf;
static char err[256];

static int
try_open(unsigned pchan, unsigned rchan)
{
	par = (struct drv_par){ .enc = s16le, .rate = 48000, .round = 480, .bufsz = 1920, .pchan = pchan, .rchan = rchan };
	conf.arg = "hw:7,0";
	err[0] = '\0';
	return OPS->open(&drv, &conf, &par, err, sizeof(err));
}

static void
opened(unsigned pchan, unsigned rchan)
{
	int rc = try_open(pchan, rchan);

	if (rc < 0)
		fprintf(stderr, "%s\n", err);
	CHECK_EQ(rc, 0);
}

static void
closed(void)
{
	OPS->close(drv);
	CHECK_EQ(card[0].opened, 0);
	CHECK_EQ(card[1].opened, 0);
}

static void
refused(unsigned pchan, unsigned rchan, int rc, const char *why)
{
	CHECK_EQ(try_open(pchan, rchan), rc);
	if (strstr(err, why) == NULL)
		fprintf(stderr, "%s\n", err);
	CHECK(strstr(err, why) != NULL);
	CHECK(strncmp(err, "alsa: ", 6) == 0);
	CHECK_EQ(card[0].opened, 0);
	CHECK_EQ(card[1].opened, 0);
}

/* what ready says after poll(2), which must not wait */
static int
ready(void)
{
	struct pollfd pfd[DRV_NFDS];
	int64_t due = 0;
	int n = OPS->poll(drv, pfd);

	CHECK_EQ(n, 1);
	(void)poll(pfd, (nfds_t)n, 0);
	return OPS->ready(drv, pfd, &due);
}

#endif
