"""What a domain has and takes right now, for who looks at it alone: figures that wait for the kernel or a disk."""

import dataclasses
from typing import Any

from insula.service.managed import ManagedDomain
from insula.service.overview import addresses_of, overview
from insula.storage.clones import Clone
from insula.storage.diskuse import used_below

_DISK_SECONDS = 0.5
"""For how long a writable layer is counted."""


def figures(managed: ManagedDomain, clone: Clone | None) -> dict[str, Any]:
    """Return them as JSON values, sizes in bytes, None for what it has not. clone: its writable layer."""
    seen, run = overview(managed), managed.run
    disk = None
    if clone is not None:
        disk = {"path": str(clone.directory), **dataclasses.asdict(used_below(clone.upper, _DISK_SECONDS))}
    return {
        "addresses": [] if run is None else addresses_of([run])[0],
        "memory_used": seen["memory"],
        "memory_limit": seen["memory_limit"],
        "image": seen["image"],
        "root": seen["root"],
        "disk": disk,
    }
