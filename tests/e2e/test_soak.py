"""A soak: random verbs on many guests by several clients at once, amid deaths; afterwards nothing is left over.

With --full alone: two hours of 50 guests, or as many minutes as INSULA_SOAK_MINUTES says.
"""

import os
from pathlib import Path

import pytest

from tests import hosts
from tests.e2e.soak import INTERNAL, Measure, Soak, held
from tests.insulad import Insulad
from tests.waiting import scaled

SEED = int(os.environ.get("INSULA_TEST_SEED", "1"))
MINUTES = float(os.environ.get("INSULA_SOAK_MINUTES", "120"))
GUESTS, CLIENTS = 50, 8
GROWTH = 48 * 1024
"""KiB that a process may hold more than before it had its first guest, however long it has had them."""
SPARE = 12
"""Descriptors that the daemon may hold more than before its first guest: what it opens once."""
PROGRAMS = 64
"""Files of programs (`soak.KEPT_PROGRAM`) that it keeps at most."""

__test__ = hosts.full()

pytestmark = [
    pytest.mark.requires("virsh", "nft", "dnsmasq", "libvirt-python"),
    pytest.mark.timeout(scaled(MINUTES * 60 + 900)),
]


def test_nothing_is_left_of_many_guests_and_all_that_was_asked_of_them(
    insulad: Insulad, busybox_root: Path, scratch: Path
) -> None:
    """The leak check, the daemon's log, the files that it keeps, and what daemon and keeper hold."""
    daemon = Measure.of(insulad.pid)
    print(f"seed {SEED}, {MINUTES:g} minutes, {GUESTS} guests, {CLIENTS} clients; the daemon at first: {daemon}")
    soak = Soak(insulad, busybox_root, scratch, guests=GUESTS, seed=SEED)
    soak.run(MINUTES * 60, clients=CLIENTS)
    for title, counter in (("asked", soak.asked), ("refused", soak.refused), ("died", soak.deaths)):
        print(
            f"-- {title}: {sum(counter.values())}",
            *(f"{number:6} {text}" for text, number in counter.most_common()),
            sep="\n",
        )
    soak.settle()
    kept = soak.run_files()
    after = Measure.at_rest(insulad.pid, at_most=daemon.descriptors + SPARE)
    keeper = insulad.keeper_pid()
    print(f"the daemon at last: {after}: {held(insulad.pid)}; kept: {kept}")
    if keeper is not None:
        print(f"the keeper: {Measure.of(keeper)}: {held(keeper)}")

    log = insulad.log.read_text(errors="replace")
    assert "Traceback" not in log, log[max(0, log.index("Traceback") - 3000) :][:6000]
    assert not soak.trouble, "\n".join(soak.trouble)
    odd = [text for text in soak.refused if INTERNAL.search(text)]
    assert not odd, "\n".join(odd)
    assert not soak.groups() and not kept
    assert after.descriptors <= daemon.descriptors + SPARE
    assert after.programs <= PROGRAMS
    assert after.memory < daemon.memory + GROWTH
