"""The kernel's settings that networks need, below a directory that stands for /proc/sys/net."""

from pathlib import Path

import pytest

from insula.network.virtual.networksysctls import NetworkSysctls

DEVICES = ("all", "default", "lo", "eth0", "eth1", "virbr0")


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A host that forwards nothing, whose eth0 listens to router advertisements, on a kernel before
    force_forwarding."""
    for name in DEVICES:
        for family in ("ipv4", "ipv6"):
            (tmp_path / family / "conf" / name).mkdir(parents=True)
            (tmp_path / family / "conf" / name / "forwarding").write_text("0\n")
        for setting in ("accept_ra", "autoconf", "disable_ipv6"):
            (tmp_path / "ipv6/conf" / name / setting).write_text("0\n")
    (tmp_path / "ipv6/conf/eth0/accept_ra").write_text("1\n")
    (tmp_path / "ipv6/conf/virbr0/accept_ra").write_text("1\n")
    (tmp_path / "ipv4/ip_forward").write_text("0\n")
    return tmp_path


def read(settings: Path, name: str) -> str:
    return (settings / name).read_text().strip()


def test_a_bridge_listens_to_no_guest_and_without_ipv6_has_none(settings: Path) -> None:
    NetworkSysctls(settings).keep_quiet("virbr0", ipv6=False)
    assert read(settings, "ipv6/conf/virbr0/accept_ra") == "0"
    assert read(settings, "ipv6/conf/virbr0/disable_ipv6") == "1"
    NetworkSysctls(settings).keep_quiet("virbr0", ipv6=True)
    assert read(settings, "ipv6/conf/virbr0/disable_ipv6") == "0"


def test_where_devices_are_named_no_other_forwards(settings: Path) -> None:
    changed = NetworkSysctls(settings).forward("virbr0", ["eth0"], ipv6=False)
    forwarding = [name for name in DEVICES if read(settings, f"ipv4/conf/{name}/forwarding") == "1"]
    assert forwarding == ["eth0", "virbr0"]
    assert read(settings, "ipv4/ip_forward") == "0"
    assert len(changed) == 2


def test_a_device_that_the_host_has_not_is_named_and_nothing_forwards(settings: Path) -> None:
    with pytest.raises(OSError, match="the host has no interface 'eth7': change <forward dev=''/>"):
        NetworkSysctls(settings).forward("virbr0", ["eth0", "eth7"], ipv6=False)
    assert read(settings, "ipv4/conf/eth0/forwarding") == "0"


def test_where_none_is_named_all_forward(settings: Path) -> None:
    NetworkSysctls(settings).forward("virbr0", [], ipv6=False)
    assert read(settings, "ipv4/ip_forward") == "1"


def test_who_took_routes_from_routers_goes_on_doing_so_once_all_forward_ipv6(settings: Path) -> None:
    changed = NetworkSysctls(settings).forward("virbr0", ["eth0"], ipv6=True)
    assert read(settings, "ipv6/conf/all/forwarding") == "1"
    assert read(settings, "ipv6/conf/eth0/accept_ra") == "2"
    assert read(settings, "ipv6/conf/eth1/accept_ra") == "0"
    assert any("eth0.accept_ra is 2" in each for each in changed)


def test_a_kernel_that_can_forwards_ipv6_without_becoming_a_router_everywhere(settings: Path) -> None:
    for name in DEVICES:
        (settings / "ipv6/conf" / name / "force_forwarding").write_text("0\n")
    NetworkSysctls(settings).forward("virbr0", ["eth0"], ipv6=True)
    forced = [name for name in DEVICES if read(settings, f"ipv6/conf/{name}/force_forwarding") == "1"]
    assert forced == ["eth0", "virbr0"]
    assert read(settings, "ipv6/conf/all/forwarding") == "0"
    assert read(settings, "ipv6/conf/eth0/accept_ra") == "1"
    assert read(settings, "ipv6/conf/virbr0/forwarding") == "1", "guests forget a router that does not say it is one"


def test_what_is_right_is_not_written(settings: Path) -> None:
    (settings / "ipv4/ip_forward").write_text("1\n")
    (settings / "ipv4/ip_forward").chmod(0o400)
    assert NetworkSysctls(settings).forward("virbr0", [], ipv6=False) == ()


def test_a_setting_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "ipv4").mkdir()
    (tmp_path / "ipv4/ip_forward").mkdir()
    with pytest.raises(OSError, match="directory") as failure:
        NetworkSysctls(tmp_path).forward("virbr0", [], ipv6=False)
    assert "ip_forward" in str(failure.value.filename)
