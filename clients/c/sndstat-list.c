/*
 * sndstat-list.c: lists all devices of an audiod, as the example of FreeBSD's
 * sndstat(4) does on its system, but for the calls and the reader of nvlists.
 *
 *	cc -o sndstat-list sndstat-list.c sndstat.c nvread.c
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "nvread.h"
#include "sndstat.h"

static int
fail(const char *what)
{
	fprintf(stderr, "sndstat-list: %s: %s\n", what, strerror(errno));
	return 1;
}

int
main(void)
{
	struct sndstioc_nv_arg arg = { 0, NULL };
	struct nvview list, device;
	struct nvarray devices;
	struct sndstat *s;
	void *room;
	int rc;

	/* open to read first */
	s = sndstat_open(NULL, 0);
	if (s == NULL)
		return fail("open");
	if (sndstat_refresh(s) < 0)
		return fail("SNDSTIOC_REFRESH_DEVS");

	/* the size of the snapshot, when nbytes is 0 */
	if (sndstat_get(s, &arg) < 0)
		return fail("SNDSTIOC_GET_DEVS");

	/* the snapshot */
	room = malloc(arg.nbytes);
	if (room == NULL)
		return fail("malloc");
	arg.buf = room;
	if (sndstat_get(s, &arg) < 0)
		return fail("SNDSTIOC_GET_DEVS");
	sndstat_close(s);

	rc = nv_open(&list, arg.buf, arg.nbytes);
	if (rc != 0) {
		errno = rc;
		return fail("nv_open");
	}

	/* the array of devices is not there where there is none */
	if (nv_array(&list, SNDST_DSPS, &devices))
		while (nv_element(&devices, &device)) {
			const char *nameunit = nv_string(&device, SNDST_DSPS_NAMEUNIT);
			const char *devnode = nv_string(&device, SNDST_DSPS_DEVNODE);
			const char *desc = nv_string(&device, SNDST_DSPS_DESC);

			printf("Name unit: `%s`, Device node: `%s`, Description: `%s`\n",
			    nameunit ? nameunit : "", devnode ? devnode : "", desc ? desc : "");
		}
	free(room);
	return 0;
}
