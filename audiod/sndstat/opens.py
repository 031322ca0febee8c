"""Opens: the handles of sndstat, each with what an open file of /dev/sndstat has.

That is a snapshot, once it was asked for, and the devices that its program
provides.  `Opens` is the server's, `Desk` one connection's.  Invariant: a snapshot
is frozen until all of it was given away or it is dropped; devices are in
everybody's next snapshot as long as their handle, and no longer.  Control thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from audiod_protocol import validate
from audiod_protocol.errors import Code, Fault, FaultError
from audiod_protocol.limits import SNDSTAT_DEVICES, SNDSTAT_HANDLES

from audiod import log
from audiod.core import Row
from audiod.sndstat.listing import Listing
from audiod.sndstat.model import Snapshot, UserDevice
from audiod.sndstat.packed import PIECE_MAX, Packed, page, size_of
from audiod.sndstat.provided import taken
from audiod.sndstat.schema import Form

USERS_MAX = 4096  # devices provided by all programs: as many as streams, each is in every listing
USERS_BYTES_MAX = 4 << 20  # bytes that they take in a listing, or each of them would be a heavy one
SNAPSHOTS_BYTES_MAX = 64 << 20  # of all snapshots that wait: forty of a thousand streams


class _Taken:
    """A snapshot and the forms in which it was asked for."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._forms: dict[Form, Packed] = {}
        self.size = self.packed("final").size

    def packed(self, form: Form) -> Packed:
        if form not in self._forms:
            self._forms[form] = Packed(self.snapshot, form)
        return self._forms[form]


class _Open:
    """One handle."""

    def __init__(self, write: bool) -> None:
        self.write = write
        self.taken: _Taken | None = None
        self.users: list[UserDevice] = []


class Opens:
    """All handles, in the order of their opening."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._opens: dict[_Open, None] = {}
        self._users = self._users_bytes = self._snapshots_bytes = 0

    def desk(self, logger: log.Logger) -> Desk:
        """What a connection has."""
        return Desk(self, logger)

    @property
    def strict(self) -> bool:
        return self._listing.style.strict

    def open(self, write: bool) -> _Open:
        made = _Open(write)
        self._opens[made] = None
        return made

    def close(self, one: _Open) -> None:
        self.drop(one)
        self.flush(one)
        del self._opens[one]

    # ---- snapshots ----

    def take(self, one: _Open) -> _Taken:
        """Its snapshot, made now if it has none."""
        if one.taken is None:
            found = self._listing.take()
            users = tuple(user for each in self._opens for user in each.users)
            made = _Taken(Snapshot(found.devices, users))
            if self._snapshots_bytes + made.size > SNAPSHOTS_BYTES_MAX:
                raise FaultError(
                    Fault(
                        Code.ENOMEM,
                        f"sndstat.get: more than {SNAPSHOTS_BYTES_MAX} bytes of listings wait to be read",
                        "read them to their end, or refresh or close their handles",
                    )
                )
            self._snapshots_bytes += made.size
            one.taken = made
        return one.taken

    def drop(self, one: _Open) -> None:
        if one.taken is not None:
            self._snapshots_bytes -= one.taken.size
            one.taken = None

    # ---- devices ----

    def add(self, one: _Open, found: tuple[UserDevice, ...]) -> None:
        size = sum(map(size_of, found))
        if (
            self._users + len(found) > USERS_MAX
            or self._users_bytes + size > USERS_BYTES_MAX
            or len(one.users) + len(found) > SNDSTAT_DEVICES
        ):
            raise FaultError(
                Fault(
                    Code.ENOMEM,
                    f"sndstat.add_user: a handle has at most {SNDSTAT_DEVICES} devices, "
                    f"all together at most {USERS_MAX}, in {USERS_BYTES_MAX} bytes",
                    "add fewer, or flush those of before",
                )
            )
        one.users += found
        self._users += len(found)
        self._users_bytes += size

    def flush(self, one: _Open) -> int:
        """Take away what it has added; how many there were."""
        count = len(one.users)
        self._users -= count
        self._users_bytes -= sum(map(size_of, one.users))
        one.users.clear()
        return count


class Desk:
    """The handles of one connection: the lowest free number is the next one's."""

    def __init__(self, opens: Opens, logger: log.Logger) -> None:
        self._opens = opens
        self._handles: dict[int, _Open] = {}
        self._log = logger
        self._methods: dict[str, Callable[[_Open, Any], Row]] = {
            "sndstat.refresh": self._refresh,
            "sndstat.get": self._get,
            "sndstat.add_user": self._add,
            "sndstat.flush_user": self._flush,
        }

    def answer(self, method: str, args: Any) -> Row:
        """The result of a request.  Raises FaultError."""
        if isinstance(args, validate.SndstatOpenArgs):
            return self._open(args.write)
        one = self._handles.get(args.handle)
        if one is None:
            raise FaultError(
                Fault(Code.EBADF, f"{method}: there is no handle {args.handle}", "sndstat.open gives one")
            )
        if method == "sndstat.close":
            self._close(args.handle)
            return {"handle": args.handle}
        return self._methods[method](one, args)

    def close(self) -> None:
        """The connection is gone, and everything with it."""
        for handle in list(self._handles):
            self._close(handle)

    def _open(self, write: bool) -> Row:
        if len(self._handles) == SNDSTAT_HANDLES:
            raise FaultError(
                Fault(Code.EMFILE, f"this connection has {SNDSTAT_HANDLES} handles", "close some of them")
            )
        handle = next(n for n in range(SNDSTAT_HANDLES) if n not in self._handles)
        self._handles[handle] = self._opens.open(write)
        return {"handle": handle}

    def _close(self, handle: int) -> None:
        one = self._handles.pop(handle)
        self._tell_gone(len(one.users))
        self._opens.close(one)

    def _refresh(self, one: _Open, args: Any) -> Row:
        self._opens.drop(one)
        return {"handle": args.handle}

    def _get(self, one: _Open, args: validate.SndstatGetArgs) -> Row:
        """The ioctl's four cases, and beyond them pages: what is left waits for `after`."""
        after = args.after or 0
        if after and one.taken is None:
            raise FaultError(
                Fault(Code.EINVAL, "sndstat.get: there is no listing to go on with", "begin without after")
            )
        taken = self._opens.take(one)
        packed = taken.packed(args.schema)
        size = packed.size
        if args.nbytes is not None and args.nbytes < size:
            return {"nbytes": 0 if args.nbytes else size}
        row: Row = {"nbytes": size}
        following: int | None
        if args.form == "nvlist":
            following = after + PIECE_MAX if after + PIECE_MAX < size else None
            row["nvlist"] = bytes(packed.data()[after : after + PIECE_MAX])
        else:
            row["dsps"], row["continues"], following = page(taken.snapshot, args.schema, after)
        row["next"] = following
        if following is None:
            self._opens.drop(one)
        return row

    def _writable(self, one: _Open, method: str) -> None:
        if not one.write:
            raise FaultError(
                Fault(Code.EPERM, f"{method}: this handle is open to read only", "open it with write: true")
            )

    def _add(self, one: _Open, args: validate.SndstatAddUserArgs) -> Row:
        self._writable(one, "sndstat.add_user")
        sent = args.nvlist if args.nvlist is not None else None if args.dsps is None else {"dsps": args.dsps}
        if sent is None or (args.nvlist is not None and args.dsps is not None):
            raise FaultError(
                Fault(Code.EINVAL, "sndstat.add_user: it takes one of nvlist and dsps", "send one of them")
            )
        strict = self._opens.strict if args.strict is None else args.strict
        found = taken(sent, strict=strict)
        self._opens.add(one, found)
        self._log.info("sndstat.add", devices=len(found), names=" ".join(one.nameunit for one in found)[:200])
        return {"handle": args.handle, "devices": len(one.users)}

    def _flush(self, one: _Open, args: Any) -> Row:
        self._writable(one, "sndstat.flush_user")
        self._tell_gone(self._opens.flush(one))
        return {"handle": args.handle}

    def _tell_gone(self, count: int) -> None:
        if count:
            self._log.info("sndstat.gone", devices=count)
