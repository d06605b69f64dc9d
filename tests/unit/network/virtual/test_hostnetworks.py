"""What makes networks on the host; with real ones in tests/system/test_virtual_networks.py."""

from pathlib import Path

import pytest

from insula.errors import OperationFailedError
from insula.model.network import load_network
from insula.network.firewall.networkrules import NetworkRules
from insula.network.virtual.hostnetworks import HostNetworkPerformer, NetworkPlaces
from insula.network.virtual.networkrecord import NetworkRecord
from insula.network.virtual.performer import NetworkPerformer

LEASES = "0 52:54:00:00:00:07 192.168.122.7 web *\n"


class NoRules:
    """A firewall that refuses, and says so whatever is asked."""

    def apply(self, *networks: NetworkRules) -> None:
        raise OperationFailedError("no rules here")

    def remove(self, *names: str) -> None:
        raise OperationFailedError("no rules here")


@pytest.fixture
def performer(tmp_path: Path) -> HostNetworkPerformer:
    return HostNetworkPerformer(
        "insula", NetworkPlaces(running=tmp_path / "run", leases=tmp_path / "leases"), NoRules()
    )


def test_it_is_a_performer(performer: HostNetworkPerformer) -> None:
    as_declared: NetworkPerformer = performer
    assert as_declared is performer


def test_a_network_of_the_hosts_own_bridge_is_started_and_stopped_by_making_nothing(
    performer: HostNetworkPerformer,
) -> None:
    network = load_network("<network><name>n</name><forward mode='bridge'/><bridge name='br0'/></network>")
    planned, record = performer.plan(network, ())
    assert performer.start(planned, record) == record
    assert performer.settle(planned, record).mended == ()
    assert performer.leases(planned, record) == ()
    performer.stop(record)


def test_leases_are_read_whether_or_not_the_network_runs_and_forgotten_once(
    performer: HostNetworkPerformer, tmp_path: Path
) -> None:
    network = load_network(
        "<network><name>n</name><bridge name='b'/><ip address='192.168.122.1' prefix='24'/></network>"
    )
    record = NetworkRecord(name="n", uuid="u1", bridge="b", serves=True)
    (tmp_path / "leases").mkdir()
    performer.lease_file(record).write_text(LEASES)
    (lease,) = performer.leases(network, record)
    assert (lease.address, lease.prefix, lease.hostname) == ("192.168.122.7", 24, "web")
    performer.forget(record)
    performer.forget(record)
    assert performer.leases(network, record) == ()


def test_what_stays_behind_is_told_with_the_network(performer: HostNetworkPerformer) -> None:
    record = NetworkRecord(name="n", uuid="u1", bridge="no-such-bridge", made=True)
    with pytest.raises(
        OperationFailedError, match="network 'n': its firewall's rules may still be there: no rules here"
    ):
        performer.stop(record)
