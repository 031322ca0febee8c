"""A control client of sndio's on a House: what it is told, message by message, and what it then knows."""

from __future__ import annotations

from typing import Any

from audiod_protocol import NEED_DATA
from audiod_protocol.sndio import messages as m
from audiod_protocol.sndio.control import Changed, ControlClient, Described, Event, Removed, Synced
from audiod_protocol.sndio.descriptors import Descriptor
from house import ME, House, Peer

HELLO = 0x300


class Desk:
    """`old`: as libsndio 1.9."""

    def __init__(
        self,
        house: House,
        opt: str = "default",
        *,
        devnum: int = m.NO_DEVNUM,
        old: bool = False,
        peer: Peer = ME,
    ) -> None:
        self.client = ControlClient(old=old)
        self.conn = house.sndio(peer)
        self._read = 0
        self.say(self.client.hello(bytes(16), devnum, opt, 7, "desk"))

    def say(self, *data: bytes) -> list[str]:
        """Messages of 40 bytes each; what it is told, in words, until nothing more happens."""
        for one in data:
            self.conn.send(*(one[at : at + m.MSG_SIZE] for at in range(0, len(one), m.MSG_SIZE)))
        self.conn.house.settle()
        return self.told()

    def told(self) -> list[str]:
        """What has come since it looked last."""
        sent = self.conn.conn.sent[self._read :]
        self._read += len(sent)
        for one in sent:
            self.client.receive_data(one if isinstance(one, bytes) else m.encode(one))  # type: ignore[arg-type]
        found = []
        while (event := self.client.next_event()) is not NEED_DATA:
            found.append(in_words(event))
        return found

    def watch(self) -> list[str]:
        """Be told of everything."""
        return self.say(self.client.subscribe(desc=True, val=True))

    def find(self, name: str) -> Descriptor:
        (found,) = (one for one in self.client.controls.values() if name_of(one) == name)
        return found

    def set(self, name: str, value: int) -> list[str]:
        return self.say(self.client.set(self.find(name).addr, value))

    def knows(self) -> dict[str, int]:
        return {name_of(one): one.value for one in self.client.controls.values()}

    @property
    def closed(self) -> bool:
        return self.conn.closed


def name_of(control: Descriptor) -> str:
    """As sndioctl writes it."""
    group = f"{control.group}/" if control.group else ""
    node = control.node0.name + (f"[{control.node0.unit}]" if control.node0.unit >= 0 else "")
    which = f"[{control.node1.name}]" if control.node1.name else ""
    return f"{group}{node}.{control.func}{which}"


def in_words(event: Event) -> str:
    match event:
        case Described(control):
            return f"{name_of(control)}={control.value}"
        case Removed(control):
            return f"-{name_of(control)}"
        case Changed(control):
            return f"{name_of(control)}:{control.value}"
        case Synced():
            return "sync"
        case _:
            return "ack"


def rows(house: House) -> dict[tuple[str, Any], int]:
    """What native clients are told there is."""
    found = house.connect().call("controls")["controls"]
    return {(r["name"], r["subdevice"] or r["device"]): r["value"] for r in found}
