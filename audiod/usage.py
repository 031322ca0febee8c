"""Usage: what `audiod --help` prints.

The letters are sndiod's, one line or two each; docs/man/audiod.8.scd tells all of
them, and a test compares the two with what options.py takes.
"""

USAGE = """\
usage: audiod [-d] [-a on|off] [-b nframes] [-C min:max] [-c min:max] [-e enc]
              [-F SPEC] [-f SPEC] [-j on|off] [-L addr] [-m mode] [-q port]
              [-r rate] [-s name[,type=TYPE]] [-t off|slave] [-U unit] [-v volume]
              [-w on|off] [-z nframes]
              [--config FILE] [--socket PATH] [--sndio PATH|none]
              [--share session|group] [--state DIR|none] [--system]
              [--log-level LEVEL] [--no-realtime]
              [--check | --demo [FILE] | --help | --version]

  for the device that follows as -f or -F (-a: or the port, as -q):
    -a on|off    open it at start and keep it open (default: off, on demand)
    -e enc       its encoding (default: s16)
    -w on|off    lower the volume of its streams as their number grows (default: off)
  -f SPEC        a device: driver[:argument][?key=value&...]
                 drivers: alsa:PCM, null, file:PATH, loopback (default: the
                 best sound card, else null); rsnd/0 is the first card
  -F SPEC        an alternate of the last -f: used rather than that one, and than
                 the -F before it, as long as it is there
  for the sub-device that follows as -s:
    -c min:max   channels it may play on, -C min:max record from (default: 0:1)
    -j on|off    join or expand channels (default: on)
    -m mode      play, rec, mon, separated by commas (default: play,rec)
    -t off|slave let MIDI start its streams together (default: off)
    -v volume    most volume of a stream, 0..127 (default: 127)
  -s name        a sub-device of the last -f; programs open it as snd/name;
                 name,type=TYPE: with the audio type of those that say none
  for all devices:
    -r rate      Hz (default: 48000)
    -z nframes   block (default: 480, or a quarter of -b)
    -b nframes   buffer (default: four blocks)
  -q port        a MIDI port: rmidi/N, a device or FIFO, an ALSA name (default: rmidi/0
                 to rmidi/7); -Q is the same
  -U unit        number of this server, 0..15 (default: 0)
  -L addr        be there for sndio's programs on TCP, too: port 11025 + unit of
                 this address, or of all (-); may be repeated
  -d             log more; under the name sndiod also: stay in the foreground
  --config FILE  read FILE, not audiod.toml and audiod.d/*.toml of /etc/audiod (root)
                 or ~/.config/audiod; what is given here wins, -f replaces its devices
  --sndio PATH   where sndio's programs find it (default: /tmp/sndio/sockU of a system
                 server, /tmp/sndio-UID/sockU of a user's), or nowhere: none
  --share who    that may play and record by it at the same time: session (programs
                 with one cookie, default) or group (all members of the users' group)
  --system       be the server of the whole machine, though not started by root
  --state DIR    remember volumes and the default device in DIR (default: /var/lib/audiod
                 as root, ~/.local/state/audiod), or nowhere: none
  --check        say what it would do, or what is wrong in the files, and end
"""
