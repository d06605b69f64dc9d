from typing import Any

import pytest

from insula.conversion.ocimounts import MASKED, READ_ONLY
from insula.model.devices import HostDeviceType
from insula.model.filesystems import FilesystemType
from insula.model.scalars import OnOff
from tests.unit.conversion.bundles import PLAIN, bundle
from tests.unit.conversion.conversions import keys_of


def test_mounts_are_file_systems_with_the_owners_that_they_show() -> None:
    found = bundle(
        mounts=[
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
            {"destination": "/a", "type": "bind", "source": "/srv/a", "options": ["rbind", "ro"]},
            {"destination": "/b", "type": "bind", "source": "/srv/b", "options": ["bind", "idmap"]},
            {"destination": "/c", "source": "/srv/c", "options": ["bind"], "uidMappings": [{}]},
            {"destination": "/t", "type": "tmpfs", "source": "tmpfs", "options": ["size=8m"]},
            {"destination": "/dev/fuse", "type": "bind", "source": "/dev/fuse", "options": ["bind"]},
        ]
    )
    _, first, second, third, memory = found.domain.devices.filesystems
    assert [each.idmap for each in (first, second, third)] == [OnOff.OFF, None, None]
    assert first.read_only and memory.type is FilesystemType.RAM and memory.source.usage == 8192
    assert str(found.domain.devices.host_devices[0].source.character) == "/dev/fuse"
    assert found.findings == ()


def test_without_ids_of_its_own_all_owners_are_what_they_are() -> None:
    mounts = [{"destination": "/a", "type": "bind", "source": "/srv/a"}]
    found = bundle(linux={"namespaces": PLAIN["linux"]["namespaces"][:5]}, mounts=mounts)
    assert found.domain.devices.filesystems[1].idmap is None


def test_sources_are_beside_the_bundle() -> None:
    mounts = [{"destination": "/a", "type": "bind", "source": "data"}]
    found = bundle(path="/bundles/web/config.json", mounts=mounts)
    assert str(found.domain.devices.filesystems[1].source.directory) == "/bundles/web/data"


def test_nodes_are_the_hosts_of_the_same_name() -> None:
    found = bundle(
        linux__devices=[
            {"path": "/dev/fuse", "type": "c"},
            {"path": "/dev/vdb", "type": "b"},
            {"path": "/x", "type": "c"},
        ]
    )
    kinds = [each.type for each in found.domain.devices.host_devices]
    assert kinds == [HostDeviceType.MISC, HostDeviceType.STORAGE] and keys_of(found.findings) == {"linux.devices"}


def test_rules_for_what_every_guest_has_and_what_is_covered_anyway_say_nothing() -> None:
    rules = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
        {"allow": True, "type": "c", "access": "m"},
    ]
    found = bundle(
        linux__resources__devices=rules, linux__maskedPaths=list(MASKED), linux__readonlyPaths=list(READ_ONLY)
    )
    assert found.findings == ()


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("mounts", "x"),
        ("mounts", [{"destination": "/"}]),
        ("mounts", [{"destination": "/../x", "type": "bind", "source": "/x"}]),
        ("mounts", [{"destination": 7}]),
        ("mounts", [{"destination": "/x", "type": "overlay", "source": "overlay"}]),
        ("linux__devices", [{"path": "/dev/x", "type": "p"}]),
        ("linux__devices", [1]),
        ("linux__resources__devices", [{"allow": True, "access": "rwm"}]),
        ("linux__resources__devices", [{"allow": True, "major": "x"}]),
        ("linux__maskedPaths", ["/etc"]),
        ("linux__maskedPaths", "/etc"),
    ],
)
def test_what_cannot_be_is_named(place: str, value: Any) -> None:
    found = keys_of(bundle(**{place: value}).findings)
    assert any(each.startswith(place.replace("__", ".")) for each in found), found
