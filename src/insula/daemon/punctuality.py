"""How long a client may take: to open the connection, and to send a packet it has begun.

Who does neither holds a descriptor and a buffer of ours for nothing.
"""

import asyncio
from collections.abc import Callable

OPENING_SECONDS = 30.0
"""From connecting to a successful CONNECT_OPEN; a client does that first, without asking anybody anything."""
PROVING_SECONDS = 150.0
"""From the beginning of authentication to a successful CONNECT_OPEN: somebody may have to type a password."""
PACKET_SECONDS = 60.0
"""From a packet's first byte to its last: 32 MiB over the slowest of tunnels that anybody may have."""


class Punctuality:
    """Two clocks of one client. reading: whether its socket is read now; late: called with what it failed to do."""

    def __init__(self, *, reading: Callable[[], bool], late: Callable[[str], None]) -> None:
        self._reading = reading
        self._late = late
        self._loop = asyncio.get_running_loop()
        self._opening: asyncio.TimerHandle | None = None
        self._packet: asyncio.TimerHandle | None = None
        self._packets = 0
        self._began = 0.0

    def connected(self) -> None:
        """The time for opening runs."""
        self._opening = self._loop.call_later(
            OPENING_SECONDS, self._late, f"it did not open the connection within {OPENING_SECONDS:g} s"
        )

    def proving(self) -> None:
        """The client proves who it is, for which a person may have to type: there is more time from now on."""
        if self._opening is not None:
            self._opening.cancel()
            self._opening = self._loop.call_later(
                PROVING_SECONDS, self._late, f"it did not prove who it is within {PROVING_SECONDS:g} s"
            )

    def opened(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None

    def heard(self, *, packets: int, unfinished: bool) -> None:
        """Bytes came. packets: how many have come whole so far; unfinished: whether another has begun."""
        if packets != self._packets or self._packet is None:
            self._packets = packets
            self._began = self._loop.time()
        if unfinished and self._packet is None:
            self._packet = self._loop.call_later(PACKET_SECONDS, self._look)
        elif not unfinished and self._packet is not None:
            self._packet.cancel()
            self._packet = None

    def close(self) -> None:
        self.opened()
        if self._packet is not None:
            self._packet.cancel()
            self._packet = None

    def _look(self) -> None:
        """Time may be up; but while we do not read, the client cannot go on."""
        self._packet = None
        now = self._loop.time()
        if not self._reading():
            self._began = now
        left = self._began + PACKET_SECONDS - now
        if left > 0:
            self._packet = self._loop.call_later(left, self._look)
        else:
            self._late(f"it did not finish a packet within {PACKET_SECONDS:g} s")
