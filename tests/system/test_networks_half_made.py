"""Virtual networks whose making fails, or whose daemon dies, at any step."""

import errno
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from insula.errors import OperationFailedError
from insula.kernel.processidentity import ended, lives
from insula.model.network import load_network
from insula.network.firewall.networkrules import NetworkRules
from insula.network.rtnetlink import Rtnetlink
from insula.network.virtual import dnsmasqprocess
from insula.network.virtual.dnsmasqlauncher import LAUNCHER, DnsmasqLaunch
from insula.network.virtual.dnsmasqprocess import DnsmasqProcess
from insula.network.virtual.hostnetworks import HostNetworkPerformer, NetworkPlaces
from insula.network.virtual.networkrecord import NetworkRecord
from insula.network.virtual.networksysctls import NetworkSysctls
from tests.madenetworks import NAT, Networks, RecordedFirewall
from tests.trees import everything_below
from tests.waiting import patience, scaled, until

pytestmark = [pytest.mark.requires("dnsmasq")]


def state(networks: Networks) -> tuple[str, list[Path], dict[str, NetworkRules], list[str]]:
    """What of a network can be left: links and addresses, files, rules, processes."""
    running = networks.scratch / "run"
    links = networks.host.run("ip", "-br", "link").stdout + networks.host.run("ip", "-o", "-4", "address").stdout
    commands = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(running) in command_of(path)]
    files = sorted(everything_below(running))
    return (
        links,
        files,
        networks.firewall.rules,
        [str(each) for each in commands],
    )


def command_of(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


class Failing:
    """Fails the call of that number, counted over all that a start does."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            self.left -= 1
            if self.left == 0:
                raise OSError(errno.EIO, "it broke")
            return real(*arguments, **named)

        return call


STEPS = (
    (Rtnetlink, "perform"),
    (NetworkSysctls, "_set"),
    (RecordedFirewall, "apply"),
    (DnsmasqProcess, "_write"),
    (DnsmasqProcess, "_give_leases"),
    (DnsmasqProcess, "start"),
)


def failures_of(
    networks: Networks, monkeypatch: pytest.MonkeyPatch, start: Callable[[], NetworkRecord], after: Callable[[], None]
) -> list[str]:
    """Let a start fail at each of its steps in turn, and return how; after: called between, with nothing failing."""
    failures: list[str] = []
    for number in count(1):
        failing = Failing(number)
        with monkeypatch.context() as patch:
            for owner, name in STEPS:
                patch.setattr(owner, name, failing(getattr(owner, name)))
            try:
                networks.records.append(networks.host.inside(start))
                break
            except OperationFailedError as failure:
                failures.append(str(failure))
        after()
    return failures


def test_a_start_that_fails_at_any_step_leaves_nothing(networks: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    network, record = networks.planned(NAT)
    (networks.scratch / "run").mkdir()
    before = state(networks)

    def nothing_is_left() -> None:
        assert state(networks) == before

    start = partial(networks.performer.start, network, record)
    failures = failures_of(networks, monkeypatch, start, nothing_is_left)
    assert len(failures) > 10
    assert [each for each in failures if not (each.startswith("network 'default': ") and "it broke" in each)] == []


def test_what_a_daemon_that_died_at_any_step_left_is_taken_away_by_what_it_wrote_before(
    networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, announced = networks.planned(NAT)
    (networks.scratch / "run").mkdir()
    before = state(networks)

    def start() -> NetworkRecord:
        """Die where it fails: nobody takes anything back."""
        return networks.performer.settle(network, announced).record

    def next_daemon() -> None:
        networks.host.inside(partial(networks.performer.stop, announced))
        assert state(networks) == before

    assert len(failures_of(networks, monkeypatch, start, next_daemon)) > 10
    next_daemon()
    networks.records.clear()


def test_a_later_daemon_completes_what_one_left_half_made(networks: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    network, announced = networks.planned(NAT)

    def start() -> NetworkRecord:
        return networks.performer.settle(network, announced).record

    assert len(failures_of(networks, monkeypatch, start, lambda: None)) > 5
    (record,) = networks.records
    assert lives(record.dnsmasq)
    assert networks.settle(network, record) == ()


def test_two_installations_share_a_host_without_sharing_anything(networks: Networks) -> None:
    network, record = networks.start(NAT)
    places = NetworkPlaces(running=networks.scratch / "run2", leases=networks.scratch / "leases2")
    other = HostNetworkPerformer("insula-other", places, networks.firewall)
    second = load_network(NAT.replace("192.168.122", "192.168.123").replace("fd00:122", "fd00:123"))
    with pytest.raises(OperationFailedError, match=r"192\.168\.122\.0/24 collides"):
        networks.host.inside(lambda: other.plan(load_network(NAT), ()))
    planned, announced = networks.host.inside(lambda: other.plan(second, ()))
    assert planned.bridge_name == "virbr1"
    made = networks.host.inside(lambda: other.start(planned, announced))
    # As if the other had a network of the very same name, bridge and UUID, which it has not made.
    networks.host.inside(lambda: other.stop(record))
    assert lives(record.dnsmasq)
    assert networks.settle(network, record) == ()
    networks.host.inside(lambda: other.stop(made))
    assert networks.settle(network, record) == ()


@pytest.mark.parametrize("far", [False, True], ids=["at its launcher", "at its program"])
def test_what_a_daemon_that_died_was_starting_is_taken_away_with_the_network(
    networks: Networks, monkeypatch: pytest.MonkeyPatch, far: bool
) -> None:
    """far: it is its program's turn, which begins slowly; else its launcher does not get the processor."""
    monkeypatch.setattr(dnsmasqprocess, "ended", partial(ended, patience=scaled(0.5)))
    network, record = networks.planned(NAT)
    (networks.scratch / "run").mkdir()
    before = state(networks)
    networks.records.append(networks.host.inside(partial(networks.performer.start, network, record)))
    directory, leases = networks.scratch / "run" / record.uuid, networks.scratch / "leases" / record.uuid
    networks.host.inside(DnsmasqProcess(directory, leases).end)
    slow = networks.scratch / "programs" / "dnsmasq"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\nsleep {scaled(1)}\nexec dnsmasq "$@"\n')
    slow.chmod(0o755)
    launch = DnsmasqLaunch(
        program=str(slow),
        directory=str(directory),
        configuration=str(directory / "dnsmasq.conf"),
        leases=str(leases),
        shown=(str(slow.parent),),
    )
    former = networks.host.start(*LAUNCHER, launch.to_json(), stdout=subprocess.DEVNULL)

    def commands() -> list[str]:
        return [command_of(Path(each)) for each in state(networks)[3]]

    try:
        word = f"{slow}\0--conf-file=" if far else launch.to_json()
        until(lambda: any(word in each for each in commands()), "what is on its way")
        if not far:
            former.send_signal(signal.SIGSTOP)
        networks.stop()
        assert state(networks) == before
    finally:
        former.send_signal(signal.SIGCONT)
        former.wait(timeout=patience(30))
    assert state(networks) == before


def test_another_users_process_that_passes_for_a_networks_dnsmasq_is_left_alone(networks: Networks) -> None:
    network, record = networks.planned(NAT)
    configuration = networks.scratch / "run" / record.uuid / "dnsmasq.conf"
    configuration.parent.mkdir(parents=True)
    configuration.write_text("port=0\nuser=root\npid-file=\nkeep-in-foreground\n")
    stranger = networks.host.start("dnsmasq", f"--conf-file={configuration}")
    try:
        until(lambda: command_of(Path(f"/proc/{stranger.pid}/cmdline")).startswith("dnsmasq\0"), "the stranger")
        networks.records.append(networks.host.inside(partial(networks.performer.start, network, record)))
        networks.stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
