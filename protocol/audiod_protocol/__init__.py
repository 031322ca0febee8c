"""The native protocol of audiod, without its sockets: `README.md` in code.

Values (`params`), events, framing, `Connection`, the stream's states.  Nothing
here waits, and nothing but `validate`, which is imported by itself, needs more
than the standard library and msgpack.
"""

from audiod_protocol.connection import NEED_DATA, Connection, NeedData, Role
from audiod_protocol.errors import (
    Breach,
    Code,
    Fault,
    FaultError,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    breach_fault,
)
from audiod_protocol.events import (
    NOTIFICATIONS,
    BadRequest,
    Event,
    Note,
    Notification,
    Request,
    Response,
)
from audiod_protocol.framing import (
    FrameReader,
    pack_error,
    pack_notification,
    pack_request,
    pack_response,
)
from audiod_protocol.limits import (
    ANSWER_MAX,
    BITS_MAX,
    BPS_MAX,
    DEPTH_MAX,
    ID_MAX,
    LIST_MAX,
    MSG_MAX,
    NAME_MAX,
    NCHAN_MAX,
    NSTREAMS,
    PROTOCOL_VERSION,
    RATE_MAX,
    RATE_MIN,
    ROWS_MAX,
    VOL_MAX,
    WRITE_MAX,
)
from audiod_protocol.negotiation import DeviceClock, initial, resolve
from audiod_protocol.params import CAP, SIO_BPS, Cap, Enc, Mode, Par, Xrun
from audiod_protocol.states import Act, State, advance, allowed, render_mermaid, render_table

__all__ = [
    "ANSWER_MAX",
    "BITS_MAX",
    "BPS_MAX",
    "CAP",
    "DEPTH_MAX",
    "ID_MAX",
    "LIST_MAX",
    "MSG_MAX",
    "NAME_MAX",
    "NCHAN_MAX",
    "NEED_DATA",
    "NOTIFICATIONS",
    "NSTREAMS",
    "PROTOCOL_VERSION",
    "RATE_MAX",
    "RATE_MIN",
    "ROWS_MAX",
    "SIO_BPS",
    "VOL_MAX",
    "WRITE_MAX",
    "Act",
    "BadRequest",
    "Breach",
    "Cap",
    "DeviceClock",
    "Code",
    "Connection",
    "Enc",
    "Event",
    "Fault",
    "FaultError",
    "FrameReader",
    "LocalProtocolError",
    "Mode",
    "NeedData",
    "Note",
    "Notification",
    "Par",
    "ProtocolError",
    "RemoteProtocolError",
    "Request",
    "Response",
    "Role",
    "State",
    "Xrun",
    "advance",
    "allowed",
    "breach_fault",
    "initial",
    "pack_error",
    "pack_notification",
    "pack_request",
    "pack_response",
    "render_mermaid",
    "render_table",
    "resolve",
]
