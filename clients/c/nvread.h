/*
 * nvread.h: reads packed nvlists, as FreeBSD's nvlist_pack makes them, in place.
 *
 * nv_open judges all of it once, as strictly as audiod does; after that lists and
 * values are views into the caller's bytes, and nothing is allocated or copied.
 * No state but what the caller holds: any thread.
 */
#ifndef NVREAD_H
#define NVREAD_H

#include <stddef.h>
#include <stdint.h>

#define NV_NULL			1
#define NV_BOOL			2
#define NV_NUMBER		3
#define NV_STRING		4
#define NV_NVLIST		5
#define NV_BINARY		7
#define NV_BOOL_ARRAY		8
#define NV_NUMBER_ARRAY		9
#define NV_STRING_ARRAY		10
#define NV_NVLIST_ARRAY		11

#define NV_DEPTH	16		/* lists inside each other */

struct nvview {				/* a list: its pairs, up to what closes it */
	const uint8_t *first;
	const uint8_t *end;		/* of the whole buffer */
	int big;			/* big-endian */
};

struct nvpair {
	const char *name;
	int type;			/* NV_* */
	const uint8_t *data;		/* of a list: its header */
	size_t size;			/* bytes of data; 0 for lists */
	uint64_t count;			/* elements of an array */
	int big;
	const uint8_t *end;
};

int	nv_open(struct nvview *, const void *, size_t);	/* 0, or an errno: EINVAL, EEXIST, EILSEQ */
/* the pair at *at (first: view->first), and *at behind it; 0 at the end of the list */
int	nv_next(const struct nvview *, const uint8_t **at, struct nvpair *);
int	nv_find(const struct nvview *, const char *name, int type, struct nvpair *);	/* 1, or 0: there is none */

/* values by name; a missing one, or one of another type, is NULL or the default */
const char *nv_string(const struct nvview *, const char *name);
uint64_t nv_number(const struct nvview *, const char *name, uint64_t otherwise);
int	nv_bool(const struct nvview *, const char *name, int otherwise);
int	nv_list(const struct nvview *, const char *name, struct nvview *);	/* 1, or 0 */

/* the elements of an array of lists, one after the other: 1, or 0 behind the last */
struct nvarray {
	uint64_t left;
	const uint8_t *at;
	const uint8_t *end;
	int big;
};
int	nv_array(const struct nvview *, const char *name, struct nvarray *);	/* 1, or 0: there is none */
int	nv_element(struct nvarray *, struct nvview *);

#endif
