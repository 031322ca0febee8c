"""`audioctl record`: into a file, until ctrl-C or for a time."""

from __future__ import annotations

import re
import select
import sys
from typing import Annotated, Literal

from audiod_protocol.params import Mode
from cyclopts import Parameter

from audiod_client._blocking import Connection, Stream
from audiod_client.cli.audiofile import AudioFileError, Format, Writer, default_enc, open_writer
from audiod_client.cli.context import Context, UsageError
from audiod_client.cli.interrupt import Interrupt
from audiod_client.cli.meter import peak
from audiod_client.cli.output import arrow, clean, hertz, print_json
from audiod_client.cli.output import channels as show_channels
from audiod_client.cli.play import Hyphen, conversion_of, parse_enc, raw_format
from audiod_client.cli.progress import Progress
from audiod_client.cli.silence import Silence
from audiod_client.errors import StreamError

__all__ = ["parse_duration", "record"]

READ_SIZE = 64 * 1024  # bytes taken at once


def record(
    file: Annotated[str, Hyphen],
    /,
    *,
    device: str | None = None,
    enc: str | None = None,
    rate: int | None = None,
    channels: int | None = None,
    duration: str | None = None,
    until_silence: float | None = None,
    what_plays: Annotated[bool, Parameter(negative="")] = False,
    raw: Annotated[bool, Parameter(negative="")] = False,
    name: str | None = None,
    type: str | None = None,
    link: str | None = None,
    context: Annotated[Context, Parameter(parse=False)],
) -> int:
    """Record into a WAV, AU, FLAC, OGG, MP3 or raw file, until ctrl-C; - is standard output.

    Parameters
    ----------
    file
        Its suffix says what it becomes; - becomes WAV.
    device
        Where from: snd/0, snd/rear, ..., see sndio(7); else AUDIORECDEVICE, AUDIODEVICE, default.
    enc
        Encoding: s16le (the default), s24le3, f32le, ...
    rate
        Frames a second (Hz); the device's by default.
    channels
        How many; the device's by default.
    duration
        How long: seconds (2.5), or 1:30.
    until_silence
        End after so many seconds of silence (peaks below -50 dB), once there was a sound.
    what_plays
        Record what the device plays, all programs mixed, in place of its input.
    raw
        Write samples without a header, whatever the suffix says.
    name
        What other programs see this stream as.
    type
        What it is for.
    link
        Streams of the same link group start together.
    """
    if file.startswith("-") and file != "-":
        raise UsageError(f"record has no option {clean(file)}", f"if it is a file, write ./{clean(file)}")
    if file == "-" and context.json:
        raise UsageError("--json and audio cannot both go to standard output", "leave out --json")
    raw_format(enc, rate, channels)
    seconds = None if duration is None else parse_duration(duration)
    if until_silence is not None and not 0 < until_silence < 86400:
        raise UsageError(f"--until-silence {until_silence:g} is out of range", "give seconds, such as 2.5")
    try:
        stored = default_enc(file, parse_enc(enc), raw)
    except AudioFileError as err:
        raise UsageError(f"{clean(file)}: {err.message}", err.hint) from err
    where = context.device(device, Mode.PLAY if what_plays else Mode.REC)
    with (
        Connection.connect(name=where, client_name=name or "audioctl") as connection,
        Interrupt() as interrupt,
    ):
        mode: Literal["mon", "rec"] = "mon" if what_plays else "rec"
        stream = connection.open(where.device, mode, nbio=True, name=name, role=type, link=link)
        stream.setpar(enc=str(stored), rate=rate, rchan=channels)
        par = stream.getpar()
        if par.enc is None or not par.enc.same(stored) or not par.rate or not par.rchan:
            raise StreamError("EPROTO", f"the server does not record {stored}", "try another --enc")
        # half a second of room, so that a slow disk is no overrun
        stream.setpar(rate=par.rate, appbufsz=par.rate // 2)
        format = Format(stored, par.rate, par.rchan)
        for option, asked, got in (("--rate", rate, par.rate), ("--channels", channels, par.rchan)):
            if asked not in (None, got):
                print(f"audioctl: {option} {asked} is not to be had, recording {got}", file=sys.stderr)
        try:
            writer = open_writer(file, format, raw)
            silence = None if until_silence is None else Silence(format, until_silence)
            frames = _record(context, connection, stream, interrupt, file, writer, seconds, silence)
        except (AudioFileError, OSError) as err:
            if isinstance(err, BrokenPipeError):
                raise
            why = str(err) if isinstance(err, AudioFileError) else (err.strerror or str(err)).lower()
            print(f"audioctl: {clean(file)}: {why}", file=sys.stderr)
            return 1
        stream.close()
    return 128 + interrupt.caught if interrupt.caught and not frames else 0


def parse_duration(text: str) -> float:
    """Seconds of `2.5`, `1:30` or `1:02:03.5`.  Raises UsageError."""
    match = re.fullmatch(r"(?:(?:([0-9]{1,3}):)?([0-9]{1,3}):)?([0-9]{1,6}(?:\.[0-9]{1,6})?)", text, re.ASCII)
    if match is None:
        raise UsageError(f"--duration {clean(text)!r} is not a time", "write seconds (2.5), or 1:30")
    return 3600 * int(match[1] or 0) + 60 * int(match[2] or 0) + float(match[3])


def _record(
    context: Context,
    connection: Connection,
    stream: Stream,
    interrupt: Interrupt,
    file: str,
    writer: Writer,
    seconds: float | None,
    silence: Silence | None,
) -> int:
    """Record until a signal, the end of the time, or silence; the frames written.  The file is finished."""
    format = writer.format
    total = None if seconds is None else round(seconds * format.rate)
    done = 0
    try:
        stream.start()
        conversion = conversion_of(connection, stream)
        what = f"{hertz(format.rate)} {format.enc} {show_channels(format.nchan)}"
        if conversion:
            what += f", {arrow(conversion)}"
        with Progress(context, file, what, format.rate, total) as progress:
            while not interrupt.caught and (total is None or done < total):
                most = READ_SIZE // format.frame
                data = stream.read((most if total is None else min(most, total - done)) * format.frame)
                if not data:
                    interrupt.wait(stream, select.POLLIN, progress.interval)
                    continue
                kept = None if silence is None else silence.keep(data)
                if kept is not None:
                    data, total = data[: kept * format.frame], done + kept
                writer.write(data)
                done += len(data) // format.frame
                if progress.live:
                    progress.peak(done, peak(data, format.enc))
                progress.show(done)
        stream.flush()
    finally:
        writer.close()
    if context.json:
        report = {"version": 1, "file": file, "frames": done, "rate": format.rate}
        report |= {"encoding": str(format.enc), "channels": format.nchan, "conversion": conversion}
        print_json(report)
    return done
