"""Verbs of networks with insulad killed, and calls failing, at some of its system calls: all of it, or nothing.

A sample, the same each time; another one by INSULA_TEST_SEED. Afterwards, whatever happened: what was acknowledged
holds, what was refused changed nothing, the next daemon says what there is, and all of it can be taken away.
"""

import contextlib
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import hosts, leaks
from tests.injection import Aim, Fault, Victim, WatchedInsulad
from tests.testhost import TestHost
from tests.waiting import patience, until

pytestmark = [pytest.mark.requires("virsh", "nft", "dnsmasq"), pytest.mark.timeout(7200)]

XML = """
<network><name>lan</name><bridge name='lan0'/>
<ip address='10.9.0.1' netmask='255.255.255.0'><dhcp><range start='10.9.0.2' end='10.9.0.9'/></dhcp></ip></network>
"""
HOST = "<host mac='52:54:00:00:00:05' ip='10.9.0.5'/>"
NETWORK_SEED = int(os.environ.get("INSULA_TEST_SEED", "0")) or 6
TRIALS = 400 if hosts.full() else 18


class Shown(NamedTuple):
    """What a daemon says of the network; hosts: how many of its two documents have the host."""

    active: bool
    persistent: bool
    hosts: int


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkVerb:
    """before: what makes ready for it; words: what is watched, `FILE` being the document; calls: about how many."""

    before: tuple[tuple[str, ...], ...]
    words: tuple[str, ...]
    after: Shown
    calls: int


DEFINE, START = ("net-define", "FILE"), ("net-start", "lan")
UPDATE = ("net-update", "lan", "add", "ip-dhcp-host", HOST, "--live", "--config")
VERBS = (
    NetworkVerb(before=(), words=DEFINE, after=Shown(False, True, 0), calls=14),
    NetworkVerb(before=(DEFINE,), words=START, after=Shown(True, True, 0), calls=60),
    NetworkVerb(before=(), words=("net-create", "FILE"), after=Shown(True, False, 0), calls=60),
    NetworkVerb(before=(DEFINE, START), words=UPDATE, after=Shown(True, True, 2), calls=30),
    NetworkVerb(before=(DEFINE, START), words=("net-undefine", "lan"), after=Shown(True, False, 0), calls=5),
    NetworkVerb(before=(DEFINE, START), words=("net-destroy", "lan"), after=Shown(False, True, 0), calls=30),
)


@pytest.fixture
def watched(test_host: TestHost, scratch: Path, failed_test_logs: dict[str, Path]) -> Iterator[WatchedInsulad]:
    made = WatchedInsulad(host=test_host, prefix=scratch / "p")
    failed_test_logs["insulad"] = made.log
    yield made
    made.close()
    made.join()


def shown(insulad: WatchedInsulad) -> Shown:
    names = [insulad.virsh("net-list", "--name", *each).stdout.split() for each in ((), ("--all", "--persistent"))]
    documents = [
        insulad.virsh("net-dumpxml", "lan", *each, check=False).stdout if any(names) else ""
        for each in ((), ("--inactive",))
    ]
    return Shown("lan" in names[0], "lan" in names[1], sum("10.9.0.5" in each for each in documents))


def on_the_host(insulad: WatchedInsulad) -> list[str]:
    """What there is of the network: its bridge with its address, its dnsmasq, its rules, its record."""
    bridge = insulad.host.run("ip", "-o", "address", "show", "dev", "lan0", check=False).stdout
    found = ["bridge"] * bool(bridge) + ["address"] * ("10.9.0.1/24" in bridge)
    for each in leaks.descendants():
        with contextlib.suppress(OSError):
            if f"{insulad.layout.running_networks}/" in Path(f"/proc/{each.pid}/cmdline").read_text():
                found.append("dnsmasq")
    found += ["rules"] * ("lan0" in insulad.host.run("nft", "list", "ruleset").stdout)
    return found + ["record"] * bool(list(insulad.layout.running_networks.glob("*.json")))


WHOLE = ["bridge", "address", "dnsmasq", "rules", "record"]


def perform(insulad: WatchedInsulad, file: Path, words: tuple[str, ...]) -> int:
    given = [str(file) if each == "FILE" else each for each in words]
    return insulad.virsh(*given, check=False, seconds=60).returncode


def trial(insulad: WatchedInsulad, file: Path, verb: NetworkVerb, aim: Aim) -> list[str]:
    """Perform a verb with something happening on the way; return what is wrong afterwards. All is removed then."""
    for each in verb.before:
        assert perform(insulad, file, each) == 0
    before = shown(insulad)
    with insulad.aimed(aim):
        status = perform(insulad, file, verb.words)
    died = aim.fault is Fault.KILL and bool(aim.hit)
    if died:
        assert insulad.process is not None
        insulad.process.wait(timeout=patience(30))
        insulad.process = None
    else:
        insulad.stop()
    insulad.start_watched(reads=False)
    after = shown(insulad)
    problems = []
    if status == 0 and after != verb.after:
        problems.append(f"acknowledged, but it is {after}")
    if status and not died and after != before:
        problems.append(f"refused, but it is {after} instead of {before}")
    if after not in (before, verb.after) and not (verb.words is UPDATE and after._replace(hosts=0) == before):
        problems.append(f"it is {after}, neither as before nor as after")
    wanted, there = WHOLE if after.active else [], list[str]()

    def is_settled() -> bool:
        """What is looked at once more may be about to be made anew: a daemon settles behind its first answers."""
        there[:] = on_the_host(insulad)
        return there == wanted

    with contextlib.suppress(TimeoutError):
        until(is_settled, "the network being settled", 20)
    if there != wanted:
        problems.append(f"it is {after}, and of it there is {there}")
    if after.active:
        insulad.virsh("net-destroy", "lan")
    if after.persistent:
        insulad.virsh("net-undefine", "lan")
    if left := on_the_host(insulad):
        problems.append(f"left behind: {left}")
    return problems


def test_whatever_fails_or_dies_on_the_way_a_network_is_whole_or_not_there(
    watched: WatchedInsulad, scratch: Path
) -> None:
    file = scratch / "lan.xml"
    file.write_text(XML)
    chance = random.Random(NETWORK_SEED)
    watched.start_watched(reads=False)
    failures, hits = [], []
    for number in range(TRIALS):
        verb = VERBS[number % len(VERBS)]
        fault = chance.choice((Fault.KILL, Fault.KILL, Fault.KILL, Fault.NO_SPACE, Fault.IO_ERROR))
        aim = Aim(victim=Victim.DAEMON, fault=fault, at=chance.randint(1, verb.calls))
        found = trial(watched, file, verb, aim)
        hits += [f"{verb.words[0]} {fault.value} at {aim.hit}"] if aim.hit else []
        failures += [f"{verb.words[0]}: {fault.value} at call {aim.at} ({aim.hit}): {each}" for each in found]
    print("\n".join(hits))
    assert not failures, "\n".join(failures)
    assert len(hits) >= TRIALS // 2, "most verbs make fewer calls than is thought"
