"""What a caller may ask for besides the verb; what libvirt has numbers for is in the model's `numbers`."""

from enum import Enum


class Storage(Enum):
    """What becomes of a domain's writable layer when it is undefined."""

    KEEP = "keep"
    """It stays, and the same UUID finds it again."""
    DISCARD = "discard"
