"""Writing down which ids of the host are for guests, so that nobody else gives them out: /etc/subuid, /etc/subgid.

    python -I -m insula.storage.idclaim (add | remove)

The Debian package calls it. `add` leaves alone what an administrator has written for `insula`; else the usual pools
become its, but for what is another's already. Whoever changes both files goes by the locks that usermod(8) has, and so
do we: by calling it. Sources: subuid(5), usermod(8).
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from insula.storage.idpools import DEFAULT_POOLS, OWNER, SIZE, others_subordinate_ids, subordinate_ids

Run = Callable[[Sequence[str]], None]


def claimable(etc: Path) -> list[range]:
    """Return what of the usual pools is nobody's, by the files below etc, in whole ranges of a guest's."""
    taken = others_subordinate_ids(etc / "subuid", etc / "subgid")
    taken += [range(each, each + 1) for name in ("passwd", "group") for each in _numbers(etc / name)]
    free = list(DEFAULT_POOLS)
    for other in taken:
        free = [part for each in free for part in _without(each, other)]
    whole = (range(-(-each.start // SIZE) * SIZE, each.stop // SIZE * SIZE) for each in free)
    return [each for each in whole if each]


def add(etc: Path, run: Run) -> list[range]:
    """Write down what is claimable unless something is written; return what was."""
    if any(OWNER in subordinate_ids(etc / name) for name in ("subuid", "subgid")):
        return []
    claimed = claimable(etc)
    for each in claimed:
        ids = f"{each.start}-{each.stop - 1}"
        run(["usermod", "--add-subuids", ids, "--add-subgids", ids, OWNER])
    return claimed


def remove(etc: Path, run: Run) -> None:
    """Take out what `add` may have written: ranges of the usual pools. An administrator's own stay."""
    users, groups = (subordinate_ids(etc / name).get(OWNER, []) for name in ("subuid", "subgid"))
    for each in users:
        if each in groups and any(each.start in pool and each.stop <= pool.stop for pool in DEFAULT_POOLS):
            ids = f"{each.start}-{each.stop - 1}"
            run(["usermod", "--del-subuids", ids, "--del-subgids", ids, OWNER])


def _numbers(file: Path) -> Iterable[int]:
    """The ids in a file of accounts; lines that are none are skipped."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        fields = line.split(":")
        if len(fields) > 2 and fields[2].isascii() and fields[2].isdecimal():
            yield int(fields[2])


def _without(whole: range, other: range) -> list[range]:
    """What is left of a range beside another."""
    parts = (range(whole.start, min(whole.stop, other.start)), range(max(whole.start, other.stop), whole.stop))
    return [each for each in parts if each] if other else [whole]


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says, on this host."""
    parser = argparse.ArgumentParser(description="Write down which ids of the host are for guests.")
    parser.add_argument("verb", choices=("add", "remove"))
    if parser.parse_args(arguments).verb == "remove":
        remove(Path("/etc"), _run)
        return
    for each in add(Path("/etc"), _run):
        sys.stdout.write(f"ids {each.start} to {each.stop - 1} are for guests of Insula\n")


if __name__ == "__main__":
    main()
