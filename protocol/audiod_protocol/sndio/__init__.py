"""sndio's own protocol, without its sockets: `SNDIO.md` in code.

`messages` are the 40 bytes, `server` and `client` the two ends as state machines
over bytes; of control connections `descriptors` are what follows DATA, `subscription`
and `control` the two ends.  Nothing here waits, and nothing needs more than the standard library.
"""
