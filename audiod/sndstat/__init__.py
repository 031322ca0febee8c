"""sndstat: what FreeBSD's /dev/sndstat tells of sound devices, told of ours."""
