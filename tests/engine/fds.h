/*
 * fds.h: how many descriptors this process has open, to find those that leak.
 */
#ifndef FDS_H
#define FDS_H

#include <dirent.h>
#include "check.h"

static int
open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	CHECK(d != NULL);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

#endif
