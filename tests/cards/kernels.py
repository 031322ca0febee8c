"""A kernel's files about its cards, in a folder: /proc/asound, /sys/class/sound and /dev/snd as they are."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from audiod.cards.kernel import Roots

PCI = "pci0000:00"
XHCI = "0000:00:14.0"


@dataclass
class FakeKernel:
    folder: Path
    proc: bool = True  # kernels may be built without /proc/asound

    @property
    def roots(self) -> Roots:
        return Roots(self.folder / "proc", self.folder / "dev", self.folder / "class")

    def plug(
        self,
        number: int,
        ident: str,
        place: str,
        *pcms: str,
        bus: str = "pci",
        driver: str = "HDA-Intel",
        usb: tuple[str, str] | None = None,
        nodes: bool = True,
    ) -> None:
        """A card whose device is `place` below /sys/devices; `pcms` such as "0p"; `usb`: id and serial."""
        device = self.folder / "devices" / place
        (device / "sound" / f"card{number}").mkdir(parents=True)
        (device / "subsystem").unlink(missing_ok=True)
        (device / "subsystem").symlink_to(f"../../bus/{bus}")
        if usb is not None:
            self._usb(device.parent, *usb)
        card = self._class(device / "sound" / f"card{number}", f"card{number}")
        (card / "device").symlink_to(device)
        (card / "id").write_text(f"{ident}\n")
        for pcm in pcms:
            self._pcm(number, device, pcm, nodes)
        if self.proc:
            folder = self.folder / "proc" / f"card{number}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "id").write_text(f"{ident}\n")
            with (self.folder / "proc/cards").open("a") as file:
                file.write(
                    f"{number:2} [{ident:15}]: {driver} - The {ident}\n" + " " * 22 + f"The {ident} at x\n"
                )

    def _usb(self, device: Path, usb_id: str, serial: str) -> None:
        vendor, product = usb_id.split(":")
        ports = device.name.partition("-")[2]
        for name, text in (
            ("idVendor", vendor),
            ("idProduct", product),
            ("devpath", ports),
            ("serial", serial),
        ):
            if text:
                (device / name).write_text(f"{text}\n")

    def _class(self, device: Path, name: str) -> Path:
        link = self.folder / "class" / name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(device)
        return device

    def _pcm(self, card: int, device: Path, pcm: str, nodes: bool) -> None:
        name = f"pcmC{card}D{pcm}"
        (device / "sound" / f"card{card}" / name).mkdir()
        self._class(device / "sound" / f"card{card}" / name, name)
        if nodes:
            (self.folder / "dev").mkdir(exist_ok=True)
            (self.folder / "dev" / name).touch()
        if self.proc:
            self.info(
                card, pcm, f"id: ALC {pcm}\nname: PCM {pcm} \nsubdevices_count: 1\nsubdevices_avail: 1\n"
            )

    def info(self, card: int, pcm: str, text: str) -> Path:
        folder = self.folder / "proc" / f"card{card}" / f"pcm{pcm}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "info").write_text(text)
        return folder

    def take(self, card: int, pcm: str, thread: int) -> None:
        """A thread has the PCM open, its only sub-device."""
        folder = self.info(card, pcm, "name: PCM\nsubdevices_count: 1\nsubdevices_avail: 0\n")
        (folder / "sub0").mkdir()
        (folder / "sub0/status").write_text(f"state: RUNNING\nowner_pid   : {thread}\ntrigger_time: 1.2\n")

    def unplug(self, number: int) -> None:
        for link in [*(self.folder / "class").glob(f"*C{number}D*"), self.folder / "class" / f"card{number}"]:
            shutil.rmtree(link.resolve(), ignore_errors=True)
            link.unlink()
        for node in (self.folder / "dev").glob(f"*C{number}D*"):
            node.unlink()
        if self.proc:
            (self.folder / "proc" / f"card{number}").rename(self.folder / f"gone{number}")
            cards = self.folder / "proc/cards"
            lines = cards.read_text().splitlines(keepends=True)
            at = next(i for i, line in enumerate(lines) if line.startswith(f"{number:2} ["))
            cards.write_text("".join(lines[:at] + lines[at + 2 :]))


def usb_place(port: str, bus: int = 1, controller: str = XHCI) -> str:
    """Where the interface of a USB device at `port` is in /sys/devices."""
    hubs = [f"{bus}-{'.'.join(port.split('.')[: n + 1])}" for n in range(port.count("."))]
    device = f"{bus}-{port}"
    return "/".join([PCI, controller, f"usb{bus}", *hubs, device, f"{device}:1.0"])
