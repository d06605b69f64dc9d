"""The stand-in for what makes networks."""

import pytest

from insula.errors import OperationFailedError
from insula.model.network import NetworkDefinition, load_network
from insula.network.virtual.networkrecord import Lease
from insula.testing.fakenetworks import FakeNetworkPerformer

XML = """<network><name>{}</name><forward/><ip address='192.168.122.1' prefix='24'>
  <dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp></ip></network>"""


def network(name: str = "default") -> NetworkDefinition:
    return load_network(XML.format(name))


def test_a_bridges_name_is_chosen_and_no_other_networks() -> None:
    performer = FakeNetworkPerformer()
    first, record = performer.plan(network(), ())
    second, _ = performer.plan(network("other"), (first,))
    assert (first.bridge_name, record.bridge, second.bridge_name) == ("virbr0", "virbr0", "virbr1")


def test_a_network_is_there_from_its_start_to_its_stop() -> None:
    performer = FakeNetworkPerformer()
    planned, record = performer.plan(network(), ())
    made = performer.start(planned, record)
    assert made.index is not None
    assert made.dnsmasq is not None
    assert performer.settle(planned, made).mended == ()
    performer.stop(made)
    assert performer.running == {}
    assert performer.settle(planned, made).mended == ("it was made anew",)


def test_what_it_is_told_to_refuse_it_refuses_by_name() -> None:
    performer = FakeNetworkPerformer()
    performer.refusals["start"] = "no bridge today"
    planned, record = performer.plan(network(), ())
    with pytest.raises(OperationFailedError, match="network 'default': no bridge today"):
        performer.start(planned, record)
    assert performer.running == {}


def test_leases_are_those_that_were_given_until_they_are_forgotten() -> None:
    performer = FakeNetworkPerformer()
    planned, record = performer.plan(network(), ())
    lease = Lease(address="192.168.122.7", prefix=24, version=4, expiry=0, mac="52:54:00:00:00:07")
    performer.given[record.uuid] = (lease,)
    assert performer.leases(planned, record) == (lease,)
    performer.forget(record)
    assert performer.leases(planned, record) == ()
