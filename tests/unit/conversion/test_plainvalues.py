"""Readers that several formats share; each format's own tests name the keys."""

from uuid import UUID

import pytest

from tests.unit.conversion.conversions import converted

SHARED = """lxc.rootfs.path = /srv/web
lxc.init.uid = web
lxc.init.gid = 33
lxc.init.cwd = /srv
lxc.cgroup2.cpuset.mems = 0-1
"""
ID = "d0f6c0c4-3f4f-45e2-bb2d-2d9b0a3a7a16"


def test_what_stands_there_is_the_domains() -> None:
    domain = converted("lxc-tools", SHARED).domain
    assert (domain.os.user, domain.os.group, str(domain.os.directory)) == ("web", "33", "/srv")
    assert domain.numa_tune is not None
    assert domain.numa_tune.memory is not None
    assert domain.numa_tune.memory.nodes == frozenset({0, 1})


def test_a_uuid_is_the_domains() -> None:
    assert converted("openvz", f"VE_PRIVATE=/srv/web\nUUID={ID}\n").domain.uuid == UUID(ID)


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        ("openvz", "VE_PRIVATE=/srv/web\nUUID=web\n", "no UUID"),
        ("lxc-tools", "lxc.rootfs.path = /srv/web\nlxc.cgroup2.cpuset.mems = a\n", "no list of NUMA nodes"),
    ],
)
def test_what_is_none_is_told(kind: str, text: str, why: str) -> None:
    assert any(why in each.why for each in converted(kind, text).findings)
