"""What soundlab needs of the host: its tools, and the cached image (kernel, modules, busybox).

`lacking` says in words what this host can never have, `setup` installs and
downloads the rest from Debian's packages, `initramfs` packs what boots.
"""

import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "soundlab"
IMAGE = CACHE / "image"

QEMU = "qemu-system-x86_64"
HOST_TOOLS = {QEMU: "qemu-system-x86", "modprobe": "kmod", "depmod": "kmod", "aplay": "alsa-utils"}

# What the initramfs must load to reach the host's root, and what of the kernel
# package is kept (the whole of it is 400 MB).
BOOT_MODULES = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay")
KEPT = ("sound", "net/9p", "fs/9p", "fs/netfs", "fs/fscache", "fs/overlayfs",
        "drivers/char", "drivers/leds", "drivers/media/mc", "drivers/usb", "drivers/virtio")  # fmt: skip


class Failure(Exception):
    """Something to tell the user in one line."""


def missing_tools():
    """Debian packages of the tools that are not there."""
    return sorted({package for tool, package in HOST_TOOLS.items() if not shutil.which(tool)})


def lacking():
    """Why this host cannot run the lab, whatever is installed; empty if it can."""
    if os.geteuid() != 0:
        return "it needs root"
    if platform.machine() != "x86_64":
        return f"it emulates x86-64, this machine is {platform.machine()}"
    namespace = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    if namespace.returncode != 0:
        return "mount namespaces are not permitted here (unshare --mount)"
    missing = missing_tools()
    if (missing or not IMAGE.exists()) and not shutil.which("apt-get"):
        return f"{', '.join(missing) or 'its kernel'} is not there, and no apt-get that could bring it"
    return ""


def apt(*args, **options):
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", *args], env=env,
                          stdout=sys.stderr, check=False, **options)  # fmt: skip
    if done.returncode != 0:
        raise Failure(f"apt-get {' '.join(args)} failed (status {done.returncode}): is there a network?")


def setup(force=False):
    """Install the host's tools and fill the cache; does nothing where both are there."""
    why = lacking()
    if why:
        raise Failure(why)
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "setup.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = missing_tools()
        if IMAGE.exists() and not missing and not force:
            return
        apt("update")
        if missing:
            apt("install", "-y", "--no-install-recommends", *missing)
        if force or not IMAGE.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as work:
                _make_image(Path(work))


def _make_image(work):
    shown = subprocess.run(
        ["apt-cache", "depends", "linux-image-amd64"], check=True, capture_output=True, text=True
    )
    found = re.search(r"Depends: (linux-image-\S+)", shown.stdout)
    if not found:
        raise Failure("Debian's package linux-image-amd64 is not known here")
    kernel = found[1]
    release = kernel.removeprefix("linux-image-")
    apt("download", "-o", "APT::Sandbox::User=root", kernel, "busybox-static", cwd=work)

    def extract(package, *members):
        (archive,) = work.glob(f"{package}_*.deb")
        tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", archive], check=True, stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", new, "--wildcards", *members], input=tar.stdout, check=True)

    new = work / "image"
    new.mkdir()
    modules = f"./lib/modules/{release}"
    extract("busybox-static", "./bin/busybox")
    extract(kernel, "./boot/vmlinuz-*", f"{modules}/modules.*", *(f"{modules}/kernel/{k}" for k in KEPT))
    subprocess.run(["depmod", "-b", new, release], check=True)
    command = ["modprobe", "-S", release, "-d", new, "-a", "--show-depends", *BOOT_MODULES]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    needed = [str(Path(line.split()[1]).relative_to(new)) for line in lines if line.startswith("insmod ")]
    (new / "boot-modules").write_text("\n".join(dict.fromkeys(needed)) + "\n")
    shutil.rmtree(IMAGE, ignore_errors=True)
    new.rename(IMAGE)


def initramfs():
    """A newc cpio archive of busybox, the boot modules and guest/init."""
    names = (IMAGE / "boot-modules").read_text().split()
    entries = [("init", 0o100755, (HERE / "guest/init").read_bytes()),
               ("busybox", 0o100755, (IMAGE / "bin/busybox").read_bytes()),
               ("modules", 0o040755, b"")]  # fmt: skip
    entries += [(f"modules/{i:02}.ko", 0o100644, (IMAGE / n).read_bytes()) for i, n in enumerate(names)]
    archive = bytearray()
    for inode, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        path = name.encode() + b"\0"
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
        archive += b"070701" + b"".join(b"%08x" % f for f in fields)
        for part in (path, data):
            archive += part
            archive += bytes(-len(archive) % 4)
    return bytes(archive)
