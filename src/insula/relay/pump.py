"""A relay in a thread of its own, for programs that have no loop to run it in."""

import os
import threading
import time
from collections.abc import Sequence

from insula.errors import OperationTimeoutError
from insula.kernel.standardstreams import is_open
from insula.relay.relay import Relay


class Pump:
    """Relays a program's standard streams from `start` on. passed: what the program is to be given.

    It has the streams on its own, so the caller may close its descriptors.
    """

    def __init__(self, streams: Sequence[int]) -> None:
        """streams: standard input, output and error. Raises: InvalidArgumentError for one that can be no program's."""
        self._own = [os.dup(each) if is_open(each) else -1 for each in streams]
        try:
            self._relay = Relay(self._own)
        except BaseException:
            self._close_own()
            raise
        self.passed = self._relay.passed
        self._told, self._teller = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._ended = False
        self._given_up = False
        self._lock = threading.Lock()
        self._open = True
        self._thread = threading.Thread(target=self._run, name="relay of a guest's streams", daemon=True)
        self._started = False

    def start(self) -> None:
        """The program has its ends: begin."""
        self.passed = ()
        self._relay.passed_on()
        self._started = True
        self._thread.start()

    def finish(self, timeout: float | None = None) -> None:
        """The program has ended: return once what it had said by then is where it should go.

        Raises: OperationTimeoutError if that does not take it in time; OperationFailedError if it cannot be written.
        """
        if not self._started:
            return
        deadline = None if timeout is None else time.monotonic() + timeout
        self._ended = True
        self._tell()
        self._thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            raise OperationTimeoutError("it has ended, and its output is not taken")
        self._relay.check()

    def close(self) -> None:
        """Relay no longer. May be called again."""
        self._given_up = True
        if self._started:
            self._tell()
            self._thread.join()
        else:
            self._let_go()

    def _tell(self) -> None:
        with self._lock:
            if self._open:
                os.write(self._teller, b"\0")

    def _run(self) -> None:
        try:
            while not self._given_up and self._relay.turn(self._told, ended=self._ended):
                pass
        finally:
            self._let_go()

    def _let_go(self) -> None:
        with self._lock:
            if self._open:
                self._open = False
                os.close(self._told)
                os.close(self._teller)
                self._relay.close()
                self._close_own()

    def _close_own(self) -> None:
        for each in self._own:
            if each >= 0:
                os.close(each)
