/*
 * alsa_access.h: the five ways to a card's samples: its buffer mapped, or read
 * and written, each with the channels of a frame side by side or apart, and
 * mapped also in any other order.  Blocks of ours are always interleaved.
 *
 * alsa_access_set runs on a thread that may wait, the rest on the device thread.
 */
#ifndef ALSA_ACCESS_H
#define ALSA_ACCESS_H

#include "alsa_pcm.h"

/* makes p->move that of an enum alsa_access, once the PCM is set up to it; 0, or -errno: it does not work */
int	alsa_access_set(struct alsa_dir *, int access);
/* where the next block to be played is in the card's own buffer, NULL: it is not there in one piece */
void	*alsa_access_area(struct alsa_dir *);

#endif
