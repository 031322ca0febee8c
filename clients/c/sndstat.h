/*
 * sndstat.h: audiod's devices as /dev/sndstat of FreeBSD tells them, by calls that
 * stand for its open(2), ioctl(2)s and close(2).
 *
 * A handle is a connection of its own; every call waits for the server's answer,
 * and returns 0, or -1 with errno set.  One thread at a time for each handle.
 */
#ifndef AUDIOD_SNDSTAT_H
#define AUDIOD_SNDSTAT_H

#include <stddef.h>

#define SNDST_DSPS			"dsps"
#define SNDST_DSPS_FROM_USER		"from_user"
#define SNDST_DSPS_NAMEUNIT		"nameunit"
#define SNDST_DSPS_DEVNODE		"devnode"
#define SNDST_DSPS_DESC			"desc"
#define SNDST_DSPS_PROVIDER		"provider"
#define SNDST_DSPS_PROVIDER_INFO	"provider_info"
#define SNDST_DSPS_SOUND4_CHAN_INFO	"channel_info"

struct sndstioc_nv_arg {
	size_t nbytes;
	void *buf;
};

struct sndstat;

/* the server at a socket, NULL: where AUDIOD_SOCKET says, else the user's, else the system's */
struct sndstat *sndstat_open(const char *path, int write);
int	sndstat_refresh(struct sndstat *);				/* SNDSTIOC_REFRESH_DEVS */
int	sndstat_get(struct sndstat *, struct sndstioc_nv_arg *);	/* SNDSTIOC_GET_DEVS */
int	sndstat_add(struct sndstat *, const struct sndstioc_nv_arg *);	/* SNDSTIOC_ADD_USER_DEVS */
int	sndstat_flush(struct sndstat *);				/* SNDSTIOC_FLUSH_USER_DEVS */
void	sndstat_close(struct sndstat *);

#endif
