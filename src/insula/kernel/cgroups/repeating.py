"""Limits that the group which a guest sees as the root of all says too: programs look for them there.

They bind in both places; a guest that may change what it sees has those above it all the same.
"""

from collections.abc import Collection, Iterable

from insula.kernel.cgroups import files

_QUOTA = "cpu.max"
_BURST = "cpu.max.burst"


def repeat(scope: str, payload: str, names: Iterable[str], controllers: Collection[str]) -> None:
    """Write what these files of the v2 group at scope say into those at payload. controllers: v2's. Raises: OSError."""
    wanted = {each for each in names if each.partition(".")[0] in controllers}
    if _QUOTA in wanted and files.exists(f"{payload}/{_BURST}"):
        files.write(f"{payload}/{_BURST}", "0")  # no quota may be below its burst, which comes behind it
    for name in sorted(wanted):
        limit = files.read_if_there(f"{scope}/{name}")
        if limit is not None and files.exists(f"{payload}/{name}"):
            files.write(f"{payload}/{name}", limit)
