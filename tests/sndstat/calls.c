/*
 * calls.c: clients/c/sndstat.c against a real server, call by call as sndstat(4)
 * has them: sizes, too little room, a listing that is frozen, devices that are
 * added and go.  Says nothing where all is right.  usage: calls SOCKET
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "nvread.h"
#include "sndstat.h"

#define CHECK(x)	do {							\
	if (!(x)) {								\
		fprintf(stderr, "line %d: %s (errno %d)\n", __LINE__, #x, errno);	\
		exit(1);							\
	}									\
} while (0)

/* two devices of the draft: what is added, read from a file */
static uint8_t user[65537];
static size_t user_size;

static size_t
size_of(struct sndstat *s)
{
	struct sndstioc_nv_arg arg = { 0, NULL };

	CHECK(sndstat_get(s, &arg) == 0);
	return arg.nbytes;
}

static unsigned
count(struct sndstat *s, const char *last)
{
	struct sndstioc_nv_arg arg = { size_of(s), NULL };
	struct nvarray devices;
	struct nvview list, one;
	const char *name = "";
	unsigned n = 0;

	arg.buf = malloc(arg.nbytes);
	CHECK(arg.buf != NULL && sndstat_get(s, &arg) == 0);
	CHECK(nv_open(&list, arg.buf, arg.nbytes) == 0);
	CHECK(nv_array(&list, SNDST_DSPS, &devices));
	for (; nv_element(&devices, &one); n++) {
		name = nv_string(&one, SNDST_DSPS_NAMEUNIT);
		CHECK(name != NULL && nv_bool(&one, SNDST_DSPS_FROM_USER, -1) == (strncmp(name, "pcm", 3) != 0));
	}
	CHECK(last == NULL || strcmp(name, last) == 0);
	free(arg.buf);
	return n;
}

int
main(int argc, char **argv)
{
	struct sndstioc_nv_arg arg, add;
	struct sndstat *reader, *writer;
	uint8_t *room;
	size_t size;

	CHECK(argc == 2);
	user_size = fread(user, 1, sizeof(user), stdin);
	CHECK(user_size == 429);
	reader = sndstat_open(argv[1], 0);
	writer = sndstat_open(argv[1], 1);
	CHECK(reader != NULL && writer != NULL);
	size = size_of(reader);

	/* too little room is a success with nbytes 0; no room at all is a fault, and costs nothing */
	room = malloc(size + 1);
	CHECK(room != NULL);
	arg = (struct sndstioc_nv_arg){ size - 1, room };
	CHECK(sndstat_get(reader, &arg) == 0 && arg.nbytes == 0);
	arg = (struct sndstioc_nv_arg){ size, NULL };
	CHECK(sndstat_get(reader, &arg) == -1 && errno == EFAULT);

	/* only who may write adds; it is in the next listing, not in the one that waits */
	add = (struct sndstioc_nv_arg){ user_size, user };
	CHECK(sndstat_add(reader, &add) == -1 && errno == EPERM);
	CHECK(sndstat_flush(reader) == -1 && errno == EPERM);
	CHECK(sndstat_add(writer, &add) == 0);
	CHECK(size_of(reader) == size);
	room[size] = 0x55;
	arg = (struct sndstioc_nv_arg){ size + 1, room };
	CHECK(sndstat_get(reader, &arg) == 0 && arg.nbytes == size && room[size] == 0x55);
	CHECK(count(reader, "vdsp1") == 4);

	/* what is wrong adds nothing */
	add.nbytes = sizeof(user);
	CHECK(sndstat_add(writer, &add) == -1 && errno == ENOMEM);
	add.nbytes = user_size - 1;
	CHECK(sndstat_add(writer, &add) == -1 && errno == EINVAL);
	add.nbytes = 0;
	CHECK(sndstat_add(writer, &add) == -1 && errno == EINVAL);
	CHECK(count(reader, "vdsp1") == 4);

	/* added once more; taken away; gone with its program */
	add.nbytes = user_size;
	CHECK(sndstat_add(writer, &add) == 0 && count(reader, "vdsp1") == 6);
	CHECK(sndstat_flush(writer) == 0 && count(reader, "pcm1") == 2);
	CHECK(sndstat_add(writer, &add) == 0);
	CHECK(size_of(reader) > size);
	CHECK(sndstat_refresh(reader) == 0 && count(reader, "vdsp1") == 4);
	sndstat_close(writer);
	while (count(reader, NULL) != 2)	/* the server hears of it in its own time */
		;
	sndstat_close(reader);
	CHECK(sndstat_open("/nowhere/audiod.sock", 0) == NULL && errno == ENOENT);
	free(room);
	return 0;
}
