"""What a caller may ask for besides the verb; what libvirt has numbers for is in the model's `numbers`."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from insula.model.domainstates import Happening


class Storage(Enum):
    """What becomes of a domain's writable layer when it is undefined."""

    KEEP = "keep"
    """It stays, and the same UUID finds it again."""
    DISCARD = "discard"


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """How a domain is started.

    paused: it stands still before its init's first instruction; owner: whose connection it dies with; fds: what its
    init inherits; restarts: how many quick ones came before, None when it is no restart; rebooted: it is a reboot or a
    reset, and nobody was told of its end.
    """

    paused: bool = False
    owner: object | None = None
    fds: Sequence[int] = ()
    restarts: int | None = None
    rebooted: bool = False

    @property
    def happening(self) -> Happening:
        """What its success is."""
        if self.rebooted:
            return Happening.REBOOTED_PAUSED if self.paused else Happening.REBOOTED
        return Happening.BOOTED_PAUSED if self.paused else Happening.BOOTED
