"""Devices of the host by one word."""

from dataclasses import replace

import pytest

from insula.model.devicegrants import GRANTS_MAX, DeviceGrant, HookPolicy, grant_problems
from insula.model.devices import StartupPolicy
from insula.model.xmlreader import load
from insula.model.xmlwriter import dump

OURS = "xmlns:insula='https://insula.dev/xmlns/domain/1'"
GPU = DeviceGrant(device_class="gpu")
FIRST = DeviceGrant(cdi="vendor.com/gpu=0")


def test_a_grant_is_read_and_written() -> None:
    xml = f"<insula:device {OURS} cdi='vendor.com/gpu=0' hooks='skip' startupPolicy='optional'/>"
    grant = load(DeviceGrant, "insula:device", xml)
    assert grant == DeviceGrant(cdi="vendor.com/gpu=0", hooks=HookPolicy.SKIP, startup_policy=StartupPolicy.OPTIONAL)
    assert load(DeviceGrant, "insula:device", dump(grant, "insula:device", prefixes=["insula"])) == grant
    assert (grant.key, GPU.key, grant.alias) == ("cdi vendor.com/gpu=0", "class gpu", None)


@pytest.mark.parametrize("name", ["vendor.com/gpu=0", "nvidia.com/gpu=GPU-5a8f:1", "intel.com/gpu=card0-1", "a/b=all"])
def test_names_of_vendors_are_taken(name: str) -> None:
    assert list(grant_problems((DeviceGrant(cdi=name),), shares_network=False)) == []


@pytest.mark.parametrize(
    ("grants", "problem"),
    [
        ([DeviceGrant()], "either class or cdi"),
        ([replace(GPU, cdi="a/b=0")], "either class or cdi"),
        ([GPU, GPU], "the device class gpu is asked for twice"),
        ([DeviceGrant(device_class="memory")], "there is no device class 'memory'; choose of gpu, kvm"),
        ([DeviceGrant(cdi="gpu=0")], "'gpu=0' names no CDI device"),
        ([DeviceGrant(cdi="../etc/x=0")], "names no CDI device"),
        ([DeviceGrant(cdi=f"{'v' * 300}/gpu=0")], "names no CDI device"),
        ([replace(GPU, hooks=HookPolicy.SKIP)], "has no hooks"),
        ([DeviceGrant(cdi=f"a/b={number}") for number in range(GRANTS_MAX + 1)], "more than 64"),
    ],
)
def test_what_is_wrong_is_named(grants: list[DeviceGrant], problem: str) -> None:
    (found,) = grant_problems(tuple(grants), shares_network=False)
    assert problem in found


def test_tunnels_and_a_share_of_the_hosts_network_exclude_each_other() -> None:
    tunnels = (DeviceGrant(device_class="tun"),)
    assert list(grant_problems(tunnels, shares_network=False)) == []
    assert "would reach taps of the host" in next(grant_problems(tunnels, shares_network=True))
