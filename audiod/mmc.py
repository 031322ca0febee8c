"""MMC: sub-devices whose streams wait until MIDI starts them together (-t slave), and the time code of that.

One group for the server, on the one device of those sub-devices.  Started, it waits
for their streams: those that are to become ready (in the engine), and those that were
opened and never started, which are pending here.  A stream that has left, died or
stopped is neither.  Invariant: from start to stop the group holds its device open, and
the engine joins the streams of one run once.  Control thread.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from audiod_protocol.errors import Fault, FaultError

from audiod import log
from audiod.core import Core
from audiod.devices import Devices
from audiod.engine import ClockTicked, GroupJoined
from audiod.midi.hub import Hub
from audiod.midi.timecode import Locate, Order, Timecode, frame_rate, full, parse
from audiod.opening import Opening
from audiod.subdevice import SubDevice

Prepare = Callable[[SubDevice, Callable[[Fault | None], None]], None]


class Mmc:
    """The group; `control` is the hub of a sub-device's MIDI port, `prepare` opens the device of one."""

    def __init__(self, core: Core, devices: Devices, control: Callable[[str], Hub], prepare: Prepare) -> None:
        self._core = core
        self._devices = devices
        self._control = control
        self._prepare = prepare
        self._heard: dict[str, Callable[[], None]] = {}  # what ends listening, by sub-device
        self._runs = 0
        self._run = 0  # 0: stopped
        self._opening: Opening | None = None
        self._at = Fraction(0)  # where the next start begins, seconds
        self._code: Timecode | None = None  # while the clock runs
        self._log = log.get()
        core.on_waiting = self.tell
        self.configured()

    @property
    def started(self) -> bool:
        return self._run != 0

    def configured(self) -> None:
        """Sub-devices are others, or others of them wait."""
        names = {sub.name for sub in self._waiting()}
        for name in self._heard.keys() - names:
            self._heard.pop(name)()
        for name in names - self._heard.keys():
            self._heard[name] = self._control(name).listen(self._message)
        if not names:
            self.stop()

    def _waiting(self) -> list[SubDevice]:
        return [sub for sub in self._core.subdevices.values() if sub.mmc]

    # ---- orders ----

    def _message(self, message: bytes, source: object) -> None:
        if source is self:
            return
        match parse(message):
            case Order.START:
                self.start()
            case Order.STOP:
                self.stop()
            case Locate(at):
                self.locate(at)

    def start(self) -> None:
        """Let the streams that wait begin, once all are ready; nothing if it is started."""
        subs = self._waiting()
        if self._run or not subs:
            return
        self._runs += 1
        run = self._run = self._runs

        def opened(fault: Fault | None) -> None:
            if self._run != run:
                return  # it was stopped meanwhile
            try:
                if fault is not None:
                    raise FaultError(fault)
                self._opening = self._devices.hold(self._core.subdevices[subs[0].name].device)
            except (FaultError, KeyError) as error:
                self._run = 0
                self._log.warning("mmc.refused", reason=str(error))
                return
            self._log.info("mmc.start", pending=self._pending())
            self.tell()

        self._prepare(subs[0], opened)

    def stop(self) -> None:
        """Let streams that are about to start wait again, and the clock end; nothing if it is stopped."""
        if not self._run:
            return
        self._run = 0
        self._code = None
        opening, self._opening = self._opening, None
        if opening is not None:
            if opening.handle is not None:
                opening.handle.mmc(0)
            self._devices.drop(opening)
        self._log.info("mmc.stop")

    def end(self) -> None:
        """The server ends: nothing is started any more."""
        self.stop()
        for forget in self._heard.values():
            forget()
        self._heard.clear()

    def locate(self, at: Fraction) -> None:
        """Let the next start begin there, which all are told; a clock that runs ends."""
        if self._code is not None:
            self.stop()
        self._at = at
        subs = self._waiting()
        if subs:
            fmt = self._core.devices[subs[0].device].format
            self._send(full(at, frame_rate(fmt.rate, fmt.round)))

    # ---- streams and devices ----

    def tell(self) -> None:
        """Streams have come, started, moved or gone: tell the engine how many it does not know of."""
        if self._opening is not None and self._opening.handle is not None and self._code is None:
            self._opening.handle.mmc(self._run, self._pending())

    def _pending(self) -> int:
        return sum((one.fresh or one.moves()) and one.sub.mmc for one in self._core.streams.values())

    def placed(self) -> None:
        """Sub-devices are on other devices: the group's clock is that of theirs."""
        opening, subs = self._opening, self._waiting()
        if opening is None or not subs:
            return
        number = subs[0].device
        if opening.current and opening.device.row.number == number:
            return
        try:
            here = self._devices.hold(number)
        except FaultError:
            if opening.handle is None:
                self.stop()
            return
        self._opening = here
        assert here.handle is not None
        if opening.handle is not None:
            opening.handle.mmc(0)
        if self._code is None:
            here.handle.mmc(self._run, self._pending())
        else:
            here.handle.mmc(self._run, joined=True)
            self._code.move(here.par.rate, here.par.bufsz)
        self._devices.drop(opening)

    def failed(self) -> None:
        """A device has failed, its sub-devices have gone where they can: without one there is no group."""
        if self._opening is not None and self._opening.handle is None:
            self.stop()

    # ---- events of the engine ----

    def joined(self, event: GroupJoined) -> None:
        """The streams of this run have begun, in one cycle."""
        opening = self._opening
        if opening is None or event.run != self._run or event.device != opening.ident:
            return
        par = opening.par
        self._code = Timecode(self._at, par.rate, par.round, par.bufsz)
        self._log.info("mmc.joined", device=opening.device.row.number, fps=self._code.fps)
        self._send(full(self._at, self._code.fps))

    def ticked(self, event: ClockTicked) -> None:
        """The clock has gone on."""
        opening = self._opening
        if opening is None or self._code is None or event.run != self._run or event.device != opening.ident:
            return
        for message in self._code.advance(event.frames):
            self._send(message)

    def _send(self, message: bytes) -> None:
        """To the programs at the ports of all sub-devices of the group's device."""
        number = self._waiting()[0].device
        for sub in list(self._core.subdevices.values()):
            if sub.device == number:
                self._control(sub.name).send(message, self)
