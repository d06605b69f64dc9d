"""What one client may cost: bytes that wait for it, bytes it sends at once, calls, and processor time."""

from dataclasses import dataclass, field

from insula.daemon.config import KeepaliveSettings

BACKLOG_HIGH = 1024 * 1024
"""Bytes sent and not taken by the client at which its calls are not read any more."""
BACKLOG_LIMIT = 64 * 1024 * 1024
"""Bytes sent and not taken at which a client is given up: events for somebody who does not read must end somewhere. Two
of the largest packets fit."""
FLUSH_SIZE = 64 * 1024
"""Bytes of answers that are sent before the next call of the same read is looked at."""
PACKET_LIMIT_UNOPENED = 64 * 1024
"""Bytes of a packet from a client that has not opened the connection; real ones send some hundred."""
PACKET_LIMIT_READ_ONLY = 256 * 1024
"""Bytes of a packet from a read-only client; the largest real one names some thousand domains to ask statistics of."""
STALL = 0.05
"""Seconds of processor time in one handler that are worth a line in the log: meanwhile nobody is served."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionLimits:
    """calls: usual calls of one client at once."""

    calls: int = 5
    keepalive: KeepaliveSettings = field(default_factory=KeepaliveSettings)
