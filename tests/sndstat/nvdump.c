/*
 * nvdump.c: what clients/c/nvread.c makes of packed nvlists.  On stdin any number
 * of them, each behind its size in 4 bytes, little-endian; on stdout a line for
 * each, the errno of its refusal or all of it, in hexadecimal where it is bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "nvread.h"

static void
hex(const uint8_t *p, size_t n)
{
	while (n-- > 0)
		printf("%02x", *p++);
}

static void
numbers(const struct nvpair *v)
{
	for (size_t i = 0; i < v->size; i += 8) {
		uint64_t n = 0;

		for (size_t k = 0; k < 8; k++)
			n = n << 8 | v->data[i + (v->big ? k : 7 - k)];
		printf("%s%llu", i ? " " : "", (unsigned long long)n);
	}
}

static void
dump(const struct nvview *list)		/* as deep as nv_open allows */
{
	const uint8_t *at = list->first;
	struct nvpair v;

	printf("{");
	while (nv_next(list, &at, &v)) {
		struct nvarray array;
		struct nvview one;

		hex((const uint8_t *)v.name, strlen(v.name));
		printf(":%d=", v.type);
		if (v.type == NV_NVLIST && nv_list(list, v.name, &one))
			dump(&one);
		else if (v.type == NV_NVLIST_ARRAY && nv_array(list, v.name, &array))
			while (nv_element(&array, &one))
				dump(&one);
		else if (v.type == NV_NUMBER || v.type == NV_NUMBER_ARRAY)
			numbers(&v);
		else
			hex(v.data, v.size);
		printf(",");
	}
	printf("}");
}

int
main(void)
{
	uint8_t size[4];

	while (fread(size, 1, 4, stdin) == 4) {
		size_t n = size[0] | (size_t)size[1] << 8 | (size_t)size[2] << 16 | (size_t)size[3] << 24;
		uint8_t *buf = malloc(n ? n : 1);	/* exactly: a byte too far is found */
		struct nvview list;
		int rc;

		if (buf == NULL || fread(buf, 1, n, stdin) != n)
			return 1;
		rc = nv_open(&list, buf, n);
		if (rc != 0)
			printf("%d", rc);
		else
			dump(&list);
		printf("\n");
		free(buf);
	}
	return 0;
}
