/*
 * msg.h: just enough MessagePack for the pump: where a message ends, what its
 * head says, and how to write the few messages that the pump sends itself.
 * Pure functions over bytes; any valid spelling of a value is understood.
 */
#ifndef MSG_H
#define MSG_H

#include <stddef.h>
#include <stdint.h>

struct scan {				/* where the scan of an unfinished message stands; zeroed to begin */
	size_t off;			/* bytes understood */
	int depth;			/* containers open */
	int begun;
	uint32_t left[16];		/* values that each open container still wants */
};

/* length of the message at buf, 0 if it is not all there yet, or -PROTO_* */
long	scan_next(struct scan *, const uint8_t *buf, size_t len);

struct rd {				/* a reader inside a message that scan_next has passed */
	const uint8_t *p, *end;
};

int	rd_array(struct rd *, uint32_t *n);	/* 1 and past the head, or 0 and unmoved */
int	rd_map(struct rd *, uint32_t *n);
int	rd_uint(struct rd *, uint64_t *v);	/* non-negative integers */
int	rd_bytes(struct rd *, const uint8_t **p, uint32_t *n);	/* str or bin */
int	rd_name(struct rd *, const char *name);	/* 1 if the next value is this str or bin; past it */

uint8_t	*wr_array(uint8_t *, unsigned n);	/* n < 16 */
uint8_t	*wr_map(uint8_t *, unsigned n);		/* n < 16 */
uint8_t	*wr_int(uint8_t *, int64_t);
uint8_t	*wr_str(uint8_t *, const char *);	/* shorter than 32 bytes */
uint8_t	*wr_nil(uint8_t *);
uint8_t	*wr_bin(uint8_t *, uint32_t n);		/* the head only */

#endif
