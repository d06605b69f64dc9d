"""Instances of Incus that tests read."""

from insula.conversion.formats import ConvertedDomain
from tests.unit.conversion.conversions import converted

ROOT = "  root:\n    type: disk\n    path: /\n    pool: default\n"
TREE = "devices.root"
"""What every instance's root is named by."""


def instance(config: str = "", devices: str = "", tops: str = "", called: str | None = None) -> ConvertedDomain:
    """What becomes of an instance called web with these lines in its config, its devices, and beside them."""
    text = f"name: web\ntype: container\n{tops}\nconfig:\n{_in(config)}\ndevices:\n{ROOT}{_in(devices)}\n"
    return converted("incus", text, called=called)


def _in(lines: str) -> str:
    return "\n".join(f"  {line}" for line in lines.splitlines())
