"""A caller's standard streams, relayed through private pipes, since a program in a guest must hold none of them.

What a guest may hold, and why, is told in `engine.enter.admittedstreams`. Whoever runs the relay waits with select(2)
for what `readable` and `writable` name, and calls `attend` with what is ready.
"""

import os
import select
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from insula.errors import InvalidArgumentError, OperationFailedError
from insula.kernel.filekinds import FileKind, access_mode, kind_of
from insula.kernel.standardstreams import NAMES, is_open
from insula.relay.input import Input
from insula.relay.output import Output, Screen

_RELAYED = (FileKind.FILE, FileKind.PIPE, FileKind.NAMED_PIPE, FileKind.SOCKET, FileKind.DEVICE)


class Relay:
    """The streams that are relayed. passed: what the program is to be given, closed by `passed_on` where it is ours."""

    def __init__(self, streams: Sequence[int] = (), screen: Callable[[], Screen] | None = None) -> None:
        """streams: standard input, output and error, which stay the caller's; none, and nothing is relayed.

        screen: makes what is said fit for a terminal, where that is where it goes.
        Raises: InvalidArgumentError for a stream that can be no program's.
        """
        self._input: Input | None = None
        self._outputs: list[Output] = []
        self._null: int | None = None
        self._screen = screen
        self.passed: tuple[int, ...] = ()
        try:
            self.passed = tuple(self._end(number, stream) for number, stream in enumerate(streams))
        except BaseException:
            self.close()
            raise

    def _end(self, number: int, stream: int) -> int:
        kind = kind_of(stream) if is_open(stream) else FileKind.NULL
        if kind is FileKind.NULL:
            return self._own_null()
        _check(number, stream, kind)
        if number == 0:
            self._input = Input(stream)
            return self._input.theirs
        for other in self._outputs:
            if os.path.sameopenfile(stream, other.target):
                return other.theirs  # one pipe keeps the order
        screen = self._screen() if self._screen and os.isatty(stream) else None
        self._outputs.append(Output(number, stream, screen))
        return self._outputs[-1].theirs

    def _own_null(self) -> int:
        if self._null is None:
            self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        return self._null

    def passed_on(self) -> None:
        """The program has its ends; only then can ours tell that it has closed them."""
        for each in self._all():
            each.passed_on()
        if self._null is not None:
            os.close(self._null)
        self.passed, self._null = (), None

    def _all(self) -> list[Input | Output]:
        return [*([self._input] if self._input is not None else []), *self._outputs]

    def readable(self) -> list[int]:
        """What to read next."""
        reading = [each.source for each in self._outputs if each.source is not None]
        return [*reading, *([self._input.source] if self._input is not None and self._input.wants_more else [])]

    def writable(self) -> list[int]:
        """What to write next, as far as it takes something."""
        return [each.sink for each in self._all() if each.sink is not None]

    @property
    def patience(self) -> float | None:
        """Seconds after which to look again, whatever happens."""
        return None if self._input is None else self._input.patience

    @property
    def busy(self) -> bool:
        """Whether there is output that may still come."""
        return any(each.open for each in self._outputs)

    def attend(self, ready: Collection[object]) -> None:
        """Copy what can be copied without waiting."""
        for each in self._outputs:
            if each.sink is not None and each.sink in ready:
                each.write()
            elif each.source is not None and each.source in ready:
                each.read()
        source = self._input
        if source is not None and source.open:
            if source.wants_more and source.source in ready:
                source.read()
            elif source.sink is not None and source.sink in ready:
                source.feed()

    def turn(self, waker: int, *, ended: bool) -> bool:
        """Wait until something can be copied, and copy it; return whether there is more to do.

        waker: a descriptor that becomes readable to end the waiting; ended: the program has ended.
        """
        if ended:
            self.ended()
        if not self.busy and (ended or self._input is None or not self._input.open):
            return False
        poll = select.poll()
        poll.register(waker, select.POLLIN)
        for each in self.readable():
            poll.register(each, select.POLLIN)
        for each in self.writable():
            poll.register(each, select.POLLOUT)
        ready = poll.poll(None if self.patience is None else self.patience * 1000)
        if any(each == waker for each, _ in ready):
            os.read(waker, 4096)
        self.attend([each for each, _ in ready])
        return True

    def ended(self) -> None:
        """The program has ended: no more is taken for it, and `busy` lasts until what it had said has gone out.

        What its children say later is nobody's.
        """
        if self._input is not None:
            self._input.give_back()
        for each in self._outputs:
            each.ended()

    def close(self) -> None:
        """Give back every descriptor. May be called again."""
        self.passed_on()
        if self._input is not None:
            self._input.give_back()
        for each in self._outputs:
            each.close()

    def check(self) -> None:
        """Raises: OperationFailedError if what the program said could not be written where it should go."""
        for each in self._outputs:
            if each.failure is not None:
                raise OperationFailedError(f"{NAMES[each.number]} cannot be written: {each.failure.strerror}")


def _check(number: int, stream: int, kind: FileKind) -> None:
    if kind not in _RELAYED:
        raise InvalidArgumentError(f"{NAMES[number]} is {kind.value}: give a file, a pipe, a socket or a terminal")
    if access_mode(stream) not in (os.O_RDWR, os.O_WRONLY if number else os.O_RDONLY):
        raise InvalidArgumentError(f"{NAMES[number]} is not open for {'writing' if number else 'reading'}")


@contextmanager
def relayed(*streams: int, screen: Callable[[], Screen] | None = None) -> Iterator[Relay]:
    """Give a relay for these streams until the block ends."""
    relay = Relay(streams, screen)
    try:
        yield relay
    finally:
        relay.close()
