"""Who hears whom at a hub, what is kept for whom, and what is dropped."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from audiod.midi.hub import Hub
from audiod.midi.messages import SYSEX_MAX, Parser
from audiod.midi.outbox import BUFFER, Outbox
from audiod.midi.patchbay import Patchbay

NOTE = bytes.fromhex("903c40")
START = bytes.fromhex("f07f7f0602f7")


class Ear:
    """An end that keeps all that comes."""

    def __init__(self, room: int = BUFFER) -> None:
        self.heard: list[tuple[bytes, object]] = []
        self.room = room
        self.told = 0

    def take(self, messages: Sequence[bytes], source: object) -> None:
        self.heard += [(message, source) for message in messages]

    def relieved(self) -> None:
        self.told += 1

    @property
    def bytes(self) -> bytes:
        return b"".join(message for message, _ in self.heard)


def ends(hub: Hub, programs: int, ports: int = 0) -> list[Ear]:
    made = [Ear() for _ in range(programs + ports)]
    for number, end in enumerate(made):
        hub.join(end, port=number >= programs)
    return made


# ---- the hub ----


def test_all_others_hear_a_program_and_it_does_not_hear_itself() -> None:
    hub = Hub("midithru/0")
    a, b, c = ends(hub, 3)
    hub.pass_on([NOTE, START], a)
    assert (a.heard, b.bytes, c.bytes) == ([], NOTE + START, NOTE + START)
    assert {source for _, source in b.heard} == {a}


def test_programs_and_ports_hear_each_other_and_ports_do_not() -> None:
    hub = Hub("midithru/0")
    a, b, port, other = ends(hub, 2, 2)
    hub.send(NOTE, port)
    assert [end.bytes for end in (a, b, port, other)] == [NOTE, NOTE, b"", b""]
    hub.send(START, a)
    assert [end.bytes for end in (a, b, port, other)] == [NOTE, NOTE + START, START, START]


def test_programs_of_a_port_do_not_hear_each_other() -> None:
    hub = Hub("midi/0", thru=False)
    a, b, port = ends(hub, 2, 1)
    hub.send(NOTE, a)
    assert [end.bytes for end in (a, b, port)] == [b"", b"", NOTE]
    hub.send(START, port)
    assert [end.bytes for end in (a, b, port)] == [START, START, NOTE]
    hub.thru = True
    hub.send(NOTE, a)
    assert b.bytes == START + NOTE


def test_what_the_server_says_all_hear() -> None:
    hub = Hub("snd/default", thru=False)
    a, b, port = ends(hub, 2, 1)
    hub.send(START, "server")
    assert [end.bytes for end in (a, b, port)] == [START] * 3


def test_a_listener_is_told_of_whole_messages_with_their_source() -> None:
    hub = Hub("snd/default")
    (a,) = ends(hub, 1)
    told: list[tuple[bytes, object]] = []
    end = hub.listen(lambda message, source: told.append((message, source)))
    hub.pass_on(Parser().feed(NOTE + b"\xf0" + bytes(SYSEX_MAX) + b"\xf7" + START), a)
    assert told == [(NOTE, a), (START, a)]
    end()
    hub.send(NOTE, a)
    assert len(told) == 2


def test_a_listener_may_answer_and_may_cease_to_listen() -> None:
    hub = Hub("snd/default")
    (a,) = ends(hub, 1)

    def answer(message: bytes, source: object) -> None:
        end()
        hub.send(message[::-1], "server")

    end = hub.listen(answer)
    hub.send(NOTE, a)
    hub.send(NOTE, a)
    assert a.heard == [(NOTE[::-1], "server")]


def test_who_leaves_hears_no_more() -> None:
    hub = Hub("midithru/0")
    a, b = ends(hub, 2)
    hub.leave(b)
    hub.leave(b)
    hub.send(NOTE, a)
    assert b.heard == []


def test_a_sender_has_the_room_of_the_fullest_that_hears_it() -> None:
    hub = Hub("midithru/0")
    a, b, port = ends(hub, 2, 1)
    b.room, port.room = 100, 10
    assert hub.room(a) == 10
    assert hub.room(port) == 100
    hub.thru = False
    assert hub.room(b) == 10
    assert Hub("empty").room(a) == BUFFER


def test_ends_are_told_when_there_may_be_more_room() -> None:
    hub = Hub("midithru/0")
    a, b = ends(hub, 2)
    before = a.told
    hub.leave(b)
    assert a.told == before + 1


def test_the_patchbay_has_one_hub_for_each_name() -> None:
    bay = Patchbay()
    assert bay.thru(3) is bay.thru(3)
    assert bay.thru(0) is not bay.thru(1)
    assert bay.control("default") is bay.control("default")
    assert (bay.thru(3).name, bay.control("rear").name) == ("midithru/3", "snd/rear")


# ---- what waits ----


def test_messages_leave_whole_and_in_order() -> None:
    box = Outbox()
    box.put([NOTE, START, b"\xf8"], "a")
    assert (box.used, box.room) == (10, BUFFER - 10)
    assert box.take(8) == NOTE
    assert box.take(1) == START
    box.put([START], "a")
    assert box.take(1) == b"\xf8"
    assert box.take(100) == START
    assert (box.used, box.take(100)) == (0, b"")


def test_what_does_not_fit_is_dropped_whole() -> None:
    box = Outbox(7)
    box.put([NOTE, START, NOTE, b"\xf8", NOTE], "a")
    assert box.take(100) == NOTE + NOTE + b"\xf8"
    assert box.dropped == 2


def test_of_a_long_message_that_does_not_fit_nothing_more_comes() -> None:
    box = Outbox(SYSEX_MAX + 10)
    pieces = Parser().feed(b"\xf0" + bytes(3 * SYSEX_MAX) + b"\xf7")
    box.put(pieces[:1], "a")
    box.put([*pieces[1:], NOTE], "a")
    assert box.take(10000) == pieces[0] + NOTE
    assert box.dropped == 1


def test_another_sender_ends_a_long_message_and_the_clock_does_not() -> None:
    box = Outbox()
    first, second, third = Parser().feed(b"\xf0" + bytes(2 * SYSEX_MAX) + b"\xf7")
    box.put([first], "a")
    box.put([b"\xf8"], "b")
    box.put([second], "a")
    box.put([NOTE], "b")
    box.put([third, NOTE], "a")
    assert box.take(10000) == first + b"\xf8" + second + NOTE + NOTE


def test_the_rest_of_one_that_was_not_heard_from_its_beginning_is_not_heard() -> None:
    box = Outbox()
    _, second, third = Parser().feed(b"\xf0" + bytes(2 * SYSEX_MAX) + b"\xf7")
    box.put([second, third, NOTE], "a")
    assert box.take(10000) == NOTE


def test_clear_forgets_all_of_it() -> None:
    box = Outbox()
    first, second, _ = Parser().feed(b"\xf0" + bytes(2 * SYSEX_MAX) + b"\xf7")
    box.put([first], "a")
    box.clear()
    box.put([second, NOTE], "a")
    assert box.take(10000) == NOTE


CHUNK = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([NOTE, START, b"\xf8", b"\xf0" + bytes(30), b"\xf7", b"\x01\x02\x03"]),
)


@given(st.lists(st.tuples(st.integers(0, 2), CHUNK, st.integers(0, 60)), max_size=60), st.integers(20, 200))
def test_whatever_is_sent_the_box_holds_its_limit_and_what_comes_out_are_messages(
    sent: list[tuple[int, bytes, int]], size: int
) -> None:
    box, parsers, heard = Outbox(size), [Parser() for _ in range(3)], b""
    for source, chunk, most in sent:
        box.put(parsers[source].feed(chunk), source)
        assert 0 <= box.used <= size
        heard += box.take(most)
    heard += box.take(10000)
    assert b"".join(Parser().feed(heard)) == heard
