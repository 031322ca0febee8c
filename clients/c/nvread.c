/*
 * nvread.c: packed nvlists, judged and read in place.
 *
 * A list is a header of 19 bytes and pairs; a pair a header of 19 bytes, a name
 * and data.  Lists inside of lists follow their pair and are closed by a pair of
 * the type UP, elements of arrays by NEXT.  protocol/README.md has the format.
 */
#include <errno.h>
#include <string.h>
#include "nvread.h"

#define HEADER		19
#define NAME_MAX_	2048		/* bytes with the NUL */
#define MAGIC		0x6c
#define BIG_ENDIAN_	0x80
#define T_NEXT		254
#define T_UP		255

static uint64_t
number(const uint8_t *p, unsigned size, int big)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v = v << 8 | p[big ? i : size - 1 - i];
	return v;
}

static size_t
left(const uint8_t *p, const uint8_t *end)
{
	return (size_t)(end - p);
}

/* the header of a list; its pairs begin behind it */
static int
list_header(const uint8_t *p, const uint8_t *end, int big)
{
	if (left(p, end) < HEADER || p[0] != MAGIC || p[1] != 0)
		return EINVAL;
	if (p[2] != (big ? BIG_ENDIAN_ : 0))
		return EILSEQ;
	if (number(p + 3, 8, big) != 0 || number(p + 11, 8, big) != left(p, end) - HEADER)
		return EINVAL;
	return 0;
}

/* the pair at p: where its data are; lists have none of their own */
static void
pair_at(const uint8_t *p, const uint8_t *end, int big, struct nvpair *out)
{
	size_t namesize = (size_t)number(p + 1, 2, big);

	out->type = p[0];
	out->name = (const char *)p + HEADER;
	out->data = p + HEADER + namesize;
	out->size = p[0] == NV_NVLIST || p[0] == NV_NVLIST_ARRAY ? 0 : (size_t)number(p + 3, 8, big);
	out->count = number(p + 11, 8, big);
	out->big = big;
	out->end = end;
}

static int
value_ok(const struct nvpair *v)
{
	const uint8_t *p = v->data;
	uint64_t n = 0;

	switch (v->type) {
	case NV_NULL:
		return v->size == 0;
	case NV_BOOL:
		return v->size == 1 && p[0] <= 1;
	case NV_NUMBER:
		return v->size == 8;
	case NV_STRING:
		return v->size > 0 && memchr(p, 0, v->size) == p + v->size - 1;
	case NV_BINARY:
		return v->size > 0;
	case NV_BOOL_ARRAY:
		for (size_t i = 0; i < v->size; i++)
			if (p[i] > 1)
				return 0;
		return v->size > 0 && v->size == v->count;
	case NV_NUMBER_ARRAY:
		return v->size > 0 && v->size % 8 == 0 && v->size / 8 == v->count;
	case NV_STRING_ARRAY:
		for (size_t i = 0; i < v->size; i++)
			n += p[i] == 0;
		return v->size > 0 && p[v->size - 1] == 0 && n == v->count;
	}
	return 0;
}

/* whether a pair before p in this list has the same name; what comes before p has been judged */
static int
twice(const uint8_t *first, const uint8_t *p, int big)
{
	const struct nvview list = { first, p, big };
	const char *name = (const char *)p + HEADER;
	const uint8_t *at = first;
	struct nvpair pair;

	while (at < p && nv_next(&list, &at, &pair))
		if (strcmp(pair.name, name) == 0)
			return 1;
	return 0;
}

struct level {
	const uint8_t *first;
	uint64_t more;			/* elements of its array that follow */
	int element;
};

int
nv_open(struct nvview *view, const void *buf, size_t size)
{
	const uint8_t *p = buf, *end = p + size;
	struct level level[NV_DEPTH];
	int depth = 0, rc, big;

	if (size < HEADER)
		return EINVAL;
	big = (p[2] & BIG_ENDIAN_) != 0;
	rc = list_header(p, end, big);
	if (rc != 0)
		return rc;
	p += HEADER;
	level[0] = (struct level){ p, 0, 0 };
	while (p < end) {
		struct nvpair pair;
		size_t namesize;

		if (left(p, end) < HEADER)
			return EINVAL;
		namesize = (size_t)number(p + 1, 2, big);
		if (namesize < 1 || namesize > NAME_MAX_ || namesize > left(p, end) - HEADER ||
		    memchr(p + HEADER, 0, namesize) != p + HEADER + namesize - 1)
			return EINVAL;
		if (number(p + 3, 8, big) > left(p, end) - HEADER - namesize)
			return EINVAL;
		pair_at(p, end, big, &pair);
		if (pair.type == T_UP || pair.type == T_NEXT) {
			struct level *l = &level[depth];

			if (namesize != 1 || pair.size != 0 || depth == 0 ||
			    (pair.type == T_NEXT) != l->element)
				return EINVAL;
			p = pair.data;
			if (l->more > 0) {
				rc = list_header(p, end, big);
				if (rc != 0)
					return rc;
				p += HEADER;
				l->first = p;
				l->more--;
			} else
				depth--;
			continue;
		}
		if (twice(level[depth].first, p, big))
			return EEXIST;
		if (pair.type == NV_NVLIST || pair.type == NV_NVLIST_ARRAY) {
			int array = pair.type == NV_NVLIST_ARRAY;
			uint64_t said = number(p + 3, 8, big);

			if (array ? said != 0 || pair.count == 0 ||
			    pair.count > left(pair.data, end) / (HEADER + 1) : said == 0)
				return EINVAL;
			if (depth + 1 == NV_DEPTH)
				return EINVAL;
			rc = list_header(pair.data, end, big);
			if (rc != 0)
				return rc;
			p = pair.data + HEADER;
			level[++depth] = (struct level){ p, array ? pair.count - 1 : 0, array };
		} else {
			if (!value_ok(&pair))
				return EINVAL;
			p = pair.data + pair.size;
		}
	}
	if (depth != 0)
		return EINVAL;
	*view = (struct nvview){ level[0].first, end, big };
	return 0;
}

/* behind a list whose header is at p, and what closes it; of an array: behind n of them */
static const uint8_t *
behind(const uint8_t *p, const uint8_t *end, int big, uint64_t n)
{
	uint64_t more[NV_DEPTH + 1] = { n };	/* lists of each level that are still to be closed */
	int depth = 0;

	p += HEADER;
	while (p < end) {
		struct nvpair pair;

		pair_at(p, end, big, &pair);
		p = pair.data + pair.size;
		if (pair.type == T_UP || pair.type == T_NEXT) {
			if (--more[depth] > 0)
				p += HEADER;
			else if (depth-- == 0)
				return p;
		} else if (pair.type == NV_NVLIST || pair.type == NV_NVLIST_ARRAY) {
			if (depth == NV_DEPTH)
				return end;	/* cannot be: nv_open has seen it */
			more[++depth] = pair.type == NV_NVLIST ? 1 : pair.count;
			p += HEADER;
		}
	}
	return end;
}

int
nv_next(const struct nvview *view, const uint8_t **at, struct nvpair *pair)
{
	const uint8_t *p = *at;

	if (p >= view->end || p[0] == T_UP || p[0] == T_NEXT)
		return 0;
	pair_at(p, view->end, view->big, pair);
	if (pair->type == NV_NVLIST)
		*at = behind(pair->data, view->end, view->big, 1);
	else if (pair->type == NV_NVLIST_ARRAY)
		*at = behind(pair->data, view->end, view->big, pair->count);
	else
		*at = pair->data + pair->size;
	return 1;
}

int
nv_find(const struct nvview *view, const char *name, int type, struct nvpair *pair)
{
	const uint8_t *at = view->first;

	while (nv_next(view, &at, pair))
		if (pair->type == type && strcmp(pair->name, name) == 0)
			return 1;
	return 0;
}

const char *
nv_string(const struct nvview *view, const char *name)
{
	struct nvpair pair;

	return nv_find(view, name, NV_STRING, &pair) ? (const char *)pair.data : NULL;
}

uint64_t
nv_number(const struct nvview *view, const char *name, uint64_t otherwise)
{
	struct nvpair pair;

	return nv_find(view, name, NV_NUMBER, &pair) ? number(pair.data, 8, pair.big) : otherwise;
}

int
nv_bool(const struct nvview *view, const char *name, int otherwise)
{
	struct nvpair pair;

	return nv_find(view, name, NV_BOOL, &pair) ? pair.data[0] : otherwise;
}

int
nv_list(const struct nvview *view, const char *name, struct nvview *list)
{
	struct nvpair pair;

	if (!nv_find(view, name, NV_NVLIST, &pair))
		return 0;
	*list = (struct nvview){ pair.data + HEADER, view->end, view->big };
	return 1;
}

int
nv_array(const struct nvview *view, const char *name, struct nvarray *array)
{
	struct nvpair pair;

	if (!nv_find(view, name, NV_NVLIST_ARRAY, &pair))
		return 0;
	*array = (struct nvarray){ pair.count, pair.data, view->end, view->big };
	return 1;
}

int
nv_element(struct nvarray *array, struct nvview *element)
{
	if (array->left == 0)
		return 0;
	*element = (struct nvview){ array->at + HEADER, array->end, array->big };
	array->left--;
	if (array->left > 0)
		array->at = behind(array->at, array->end, array->big, 1);
	return 1;
}
