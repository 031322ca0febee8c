"""What the first signal does, and the second."""

from __future__ import annotations

import signal

import pytest
from audiod_client.cli.interrupt import Interrupt


def test_a_signal_ends_a_read_and_no_other_begins() -> None:
    def read(word: str) -> str:
        signal.raise_signal(signal.SIGTERM)
        return word

    with Interrupt() as interrupt:
        assert interrupt.read(str.upper, "quiet") == "QUIET"
        assert interrupt.read(read, "went on") is None
        assert interrupt.caught == signal.SIGTERM
        assert interrupt.read(str.upper, "more") is None


def test_the_second_signal_ends_everything() -> None:
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        assert interrupt.caught == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_the_handlers_before_it_come_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupt():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
