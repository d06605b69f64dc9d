"""What the tests of the relay share: a caller's streams, and what a program in a guest would have."""

import contextlib
import os
import select
from collections.abc import Iterator

from insula.relay.relay import Relay

NULL = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)


def attend(relay: Relay) -> None:
    """Copy what can be copied now."""
    while ready := [each for some in select.select(relay.readable(), relay.writable(), (), 0.02) for each in some]:
        relay.attend(ready)


class Program:
    """What a program in a guest would have."""

    def __init__(self, relay: Relay) -> None:
        self.streams = [os.dup(each) for each in relay.passed]
        relay.passed_on()

    def close(self, *numbers: int) -> None:
        for number in numbers or (0, 1, 2):
            if self.streams[number] >= 0:
                os.close(self.streams[number])
                self.streams[number] = -1


@contextlib.contextmanager
def program(relay: Relay) -> Iterator[Program]:
    made = Program(relay)
    yield made
    made.close()
