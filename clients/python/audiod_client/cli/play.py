"""`audioctl play`: files one after the other, without a gap where their format is the same."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from audiod_protocol.errors import FaultError
from audiod_protocol.limits import NCHAN_MAX, RATE_MAX, RATE_MIN
from audiod_protocol.params import Enc, Mode
from cyclopts import Parameter

from audiod_client._blocking import Connection, Stream
from audiod_client.cli.audiofile import AudioFileError, Format, IntegerReader, Reader, open_reader
from audiod_client.cli.context import Context, UsageError
from audiod_client.cli.interrupt import Interrupt
from audiod_client.cli.meter import peak
from audiod_client.cli.output import arrow, channels, clean, hertz, print_json
from audiod_client.cli.progress import Progress
from audiod_client.cli.rows import rows
from audiod_client.errors import StreamError
from audiod_client.names import Wire
from audiod_client.volume import parse_volume

__all__ = ["conversion_of", "parse_enc", "play"]

BLOCKS_PER_SECOND = 20  # what is read and written at once, and the meter's resolution
RAW = Format(Enc.parse("s16le"), 48000, 2)

Hyphen = Parameter(allow_leading_hyphen=True)


def play(
    *files: Annotated[str, Hyphen],
    device: str | None = None,
    volume: Annotated[str | None, Hyphen] = None,
    loop: Annotated[bool, Parameter(negative="")] = False,
    enc: str | None = None,
    rate: int | None = None,
    channels: int | None = None,
    name: str | None = None,
    type: str | None = None,
    link: str | None = None,
    context: Annotated[Context, Parameter(parse=False)],
) -> int:
    """Play WAV, AU, FLAC, OGG, MP3 or raw files; - is standard input.

    Parameters
    ----------
    files
        What to play, in this order.
    device
        Where: snd/0, snd/rear, ..., see sndio(7); else AUDIOPLAYDEVICE, AUDIODEVICE, default.
    volume
        Of this program (see --name) on this device, remembered for the next time: 70%, 0.7 or -6dB.
    loop
        Play it all again and again, without a gap, until ctrl-C.
    enc
        Encoding of files without a header: s16le, s24le3, f32le, ...
    rate
        Frames a second (Hz) of files without a header.
    channels
        Channels of files without a header.
    name
        What other programs see this stream as.
    type
        What it is for: music, alert, ...
    link
        Streams of the same link group start together.
    """
    if not files:
        raise UsageError("play needs a file", "audioctl play FILE..., or - for standard input")
    if files.count("-") > 1 or ("-" in files and loop):
        raise UsageError("standard input can be played once", "give - once, without --loop")
    for file in files:
        if file.startswith("-") and file != "-":
            raise UsageError(f"play has no option {clean(file)}", f"if it is a file, write ./{clean(file)}")
    raw = None
    if enc is not None or rate is not None or channels is not None:
        raw = raw_format(enc, rate, channels)
    if volume is not None:
        try:
            parse_volume(volume, 127)
        except StreamError as err:
            raise UsageError(err.message, err.hint) from err
    where = context.device(device, Mode.PLAY)
    with (
        Connection.connect(name=where, client_name=name or "audioctl") as connection,
        Interrupt() as interrupt,
    ):
        stream = connection.open(where.device, Mode.PLAY, nbio=True, name=name, role=type, link=link)
        if volume is not None:
            stream.setvol(parse_volume(volume, stream.vol))
        player = Player(context, connection, stream, interrupt)
        failed = player.play_all(files, raw)
        while loop and not interrupt.caught and player.frames:
            failed += player.play_all([file for file in files if file not in failed], raw, again=True)
        if interrupt.caught:
            player.cut()
            return 128 + interrupt.caught
        stream.close()
    return 1 if failed else 0


def parse_enc(enc: str | None) -> Enc | None:
    """An --enc option.  Raises UsageError."""
    try:
        return None if enc is None else Enc.parse(enc)
    except FaultError as err:
        raise UsageError(f"--enc: {err.fault.message}", err.fault.hint) from err


def raw_format(enc: str | None, rate: int | None, channels: int | None) -> Format:
    """What the options say of samples without a header.  Raises UsageError."""
    if rate is not None and not RATE_MIN <= rate <= RATE_MAX:
        raise UsageError(f"--rate {rate} is out of range", f"use {RATE_MIN} to {RATE_MAX} (Hz)")
    if channels is not None and not 1 <= channels <= NCHAN_MAX:
        raise UsageError(f"--channels {channels} is out of range", f"use 1 to {NCHAN_MAX}")
    return Format(parse_enc(enc) or RAW.enc, rate or RAW.rate, channels or RAW.nchan)


def conversion_of(connection: Connection, stream: Stream) -> str:
    """What the server does to the samples of `stream`, from its row; empty if the row cannot be told."""
    if connection.wire is Wire.SNDIO:
        return ""
    same = [row for row in rows(connection, "streams") if row.get("stream") == stream.number]
    mine = [row for row in same if row.get("pid") == os.getpid()] or same
    return str(mine[0].get("conversion") or "") if len(mine) == 1 else ""


class Player:
    """Plays files on one stream, restarting it only where the format changes."""

    def __init__(
        self, context: Context, connection: Connection, stream: Stream, interrupt: Interrupt
    ) -> None:
        self.context = context
        self.connection = connection
        self.stream = stream
        self.interrupt = interrupt
        self.format: Format | None = None  # of the started stream
        self.conversion = ""
        self.frames = 0  # played by the last play_all

    def play_all(self, files: Sequence[str], raw: Format | None, again: bool = False) -> list[str]:
        """Play files one after the other, until a signal; those that failed.  `again`: say less."""
        if again and not sys.stderr.isatty():
            self.context = replace(self.context, quiet=True)
        self.frames = 0
        return [file for file in files if not self.interrupt.caught and not self.play(file, raw)]

    def play(self, file: str, raw: Format | None) -> bool:
        """Play one file; False, and a message, if that failed.  StreamError ends it all."""
        try:
            reader = self.interrupt.read(open_reader, file, raw, RAW)
            if reader is None:
                return False
            source = reader.format
            if source.enc.flt and self.connection.wire is Wire.SNDIO:
                reader = IntegerReader(reader)
            try:
                self._start(reader.format)
                integers = f"{source.enc} -> {reader.format.enc}" if reader.format != source else ""
                self._play(file, reader, source, integers or self.conversion)
            finally:
                reader.close()
        except AudioFileError as err:
            self._say(file, str(err))
            return False
        return True

    def _say(self, file: str, message: str) -> None:
        print(f"audioctl: {clean(file)}: {message}", file=sys.stderr)

    def _start(self, format: Format) -> None:
        if self.format == format:
            return
        if self.format is not None:
            self.stream.stop()
            self.format = None
        self.stream.setpar(enc=str(format.enc), rate=format.rate, pchan=format.nchan)
        par = self.stream.getpar()
        if par.enc is None or Format(par.enc, par.rate or 1, par.pchan or 1) != format:
            raise AudioFileError(
                f"the server does not take {hertz(format.rate)} {format.enc}, {channels(format.nchan)}",
                "convert it with another program",
            )
        self.stream.start()
        self.format = format
        self.conversion = conversion_of(self.connection, self.stream)

    def _play(self, file: str, reader: Reader, format: Format, conversion: str) -> None:
        for warning in reader.warnings:
            self._say(file, warning)
        what = f"{hertz(format.rate)} {format.enc} {channels(format.nchan)}"
        live = sys.stderr.isatty()
        if conversion:
            what = arrow(conversion) if live else f"{what}, {arrow(conversion)}"
        with Progress(self.context, file, what, format.rate, reader.nframes) as progress:
            frames = self._samples(reader, progress)
        self.frames += frames
        if self.context.json:
            print_json(self._report(file, format, frames, conversion))

    def _samples(self, reader: Reader, progress: Progress) -> int:
        """Write all samples; frames of this file that were."""
        format, stream = reader.format, self.stream
        begin = stream.written
        frames = max(1, format.rate // BLOCKS_PER_SECOND)
        while not self.interrupt.caught:
            data = self.interrupt.read(reader.read, frames)
            if not data:
                break
            if progress.live:
                progress.peak(stream.written - begin + len(data) // format.frame, peak(data, format.enc))
            self._write(data, progress, begin)
        progress.last = max(0, (stream.position if self.interrupt.caught else stream.written) - begin)
        return stream.written - begin

    def _write(self, data: bytes, progress: Progress, begin: int) -> None:
        left = memoryview(data)
        while left and not self.interrupt.caught:
            left = left[self.stream.write(left) :]
            if left:
                self.interrupt.wait(self.stream, select.POLLOUT, progress.interval)
            progress.show(max(0, self.stream.position - begin))

    def _report(self, file: str, format: Format, frames: int, conversion: str) -> dict[str, object]:
        return {
            "version": 1,
            "file": file,
            "frames": frames,
            "rate": format.rate,
            "encoding": str(format.enc),
            "channels": format.nchan,
            "conversion": conversion,
        }

    def cut(self) -> None:
        """End at once, without a noise: what was not heard is discarded."""
        if self.format is not None:
            self.stream.flush()
        self.stream.close()
