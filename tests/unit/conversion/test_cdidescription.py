"""Vendors' descriptions of devices are read: their shapes are those of the interface's specification."""

import json
from typing import Any

import pytest

from insula.conversion.cdidescription import CdiHook, CdiMount, CdiNode, read_cdi
from insula.errors import InvalidArgumentError
from tests.unit.conversion.cdidocuments import ACCELERATORS, GRAPHICS, GRAPHICS_YAML, NETWORK_CARDS, minimal


def wrong(change: dict[str, Any]) -> str:
    with pytest.raises(InvalidArgumentError) as raised:
        read_cdi(json.dumps(minimal() | change), yaml=False)
    return str(raised.value)


def edited(**edits: Any) -> dict[str, Any]:
    return {"devices": [{"name": "0", "containerEdits": edits}]}


def test_a_graphics_cards_own_nodes_come_with_those_that_all_share() -> None:
    found = read_cdi(json.dumps(GRAPHICS), yaml=False)
    assert (found.kind, found.version, list(found.devices)) == ("vendor.com/gpu", "0.5.0", ["0", "all"])
    first = found.devices["0"]
    assert [each.path for each in first.nodes] == ["/dev/vendorctl", "/dev/vendor0", "/dev/dri/card1"]
    assert first.nodes[1] == CdiNode(path="/dev/vendor0", host="/dev/vendor0", kind="c", major=195, minor=0, mode=0o666)
    assert first.environment == (("VENDOR_VISIBLE_DEVICES", "void"),)
    assert first.mounts == (
        CdiMount(host="/usr/lib/libv.so.1", inside="/usr/lib/libv.so.1", options=("ro", "nosuid", "nodev", "bind")),
    )
    assert first.hooks == (
        CdiHook(moment="createContainer", argv=("/usr/bin/nvidia-cdi-hook", "update-ldcache", "--folder", "/usr/lib")),
    )
    assert len(found.devices["all"].nodes) == 3


def test_yaml_says_the_same_as_json() -> None:
    assert read_cdi(GRAPHICS_YAML, yaml=True) == read_cdi(json.dumps(GRAPHICS), yaml=False)


def test_accelerators_of_the_processors_vendors_are_read() -> None:
    (device,) = read_cdi(json.dumps(ACCELERATORS), yaml=False).devices.values()
    assert device.nodes[0].host == "/dev/accel/accel0" and device.nodes[0].path == "/dev/accel0"
    assert (device.nodes[0].uid, device.nodes[0].gid, device.nodes[0].access) == (0, 44, "rw")
    assert device.groups == (44, 109)


def test_what_is_not_known_or_not_had_is_told_by_name() -> None:
    (device,) = read_cdi(json.dumps(NETWORK_CARDS), yaml=False).devices.values()
    assert device.unmet == ("'netDevices', which is not known", "a class of the processor's cache (intelRdt)")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"cdiVersion": "2.0.0"}, "version '2.0.0' of the interface is not known"),
        ({"cdiVersion": 1}, "cdiVersion: it is missing, or no text"),
        ({"kind": "gpu"}, "'gpu' is no kind"),
        ({"devices": []}, "describes no device"),
        ({"devices": {}}, "devices: it is no list"),
        ({"devices": [{"name": "../0", "containerEdits": {}}]}, "devices[0]: '../0' is no name"),
        ({"devices": [{"name": "0", "containerEdits": {}}] * 2}, "devices[1]: the device '0' stands twice"),
        ({"surprise": 1}, "'surprise' is not known"),
        (edited(deviceNodes=[{"path": "/dev/../etc/passwd"}]), "is no absolute path"),
        (edited(deviceNodes=[{"path": "/etc/passwd"}]), "would be outside of the guest's /dev"),
        (edited(deviceNodes=[{"path": "/dev/x", "hostPath": "x"}]), "hostPath: 'x' is no absolute path"),
        (edited(deviceNodes=[{"path": "/dev/x", "type": "p"}]), "of type 'p' is no device"),
        (edited(deviceNodes=[{"path": "/dev/x", "major": -1}]), "major: it is no whole number"),
        (edited(deviceNodes=[{"path": "/dev/x", "major": True}]), "major: it is no whole number"),
        (edited(deviceNodes=[{"path": "/dev/x", "permissions": "rwx"}]), "'rwx' are no permissions"),
        (edited(deviceNodes=[{"path": "/dev/x", "gid": 2**32 - 1}]), "gid: it is no whole number"),
        (edited(mounts=[{"hostPath": "/a\u001b", "containerPath": "/b"}]), "'/a\\u001b' is no absolute path"),
        (edited(mounts=[{"hostPath": "/a"}]), "containerPath: it is missing"),
        (edited(hooks=[{"hookName": "createContainer", "path": "hook"}]), "path: 'hook' is no absolute path"),
        (edited(env=["nothing"]), "env[0]: it is no variable"),
        (edited(env=["A=b\nC=d"]), "env[0]: it is no variable"),
        (edited(env=["A=b"] * 1025), "it has 1025 members, more than 1024"),
        (edited(additionalGids=[None]), "it is no number"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(change: dict[str, Any], problem: str) -> None:
    assert problem in wrong(change)


@pytest.mark.parametrize("text", ["", "[]", "nonsense", "[" * 100_000, '"text"', "{", '{"kind": 1e999}'])
def test_no_document_is_no_description(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        read_cdi(text, yaml=False)


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: *b", "<<: {}", "- 1", "a: 1\n---\nb: 1\n", "a: [" * 40])
def test_cycles_and_depths_of_yaml_end(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        read_cdi(text, yaml=True)


def test_a_huge_document_is_refused_unread() -> None:
    with pytest.raises(InvalidArgumentError, match="more than 1048576"):
        read_cdi(" " * (1024 * 1024 + 1), yaml=False)


def test_a_mode_in_yaml_may_be_octal() -> None:
    document = "cdiVersion: 0.6.0\nkind: v.com/x\ndevices: [{name: a, containerEdits: {deviceNodes: [%s]}}]\n"
    modes = [
        read_cdi(document % f"{{path: /dev/x, fileMode: {mode}}}", yaml=True).devices["a"].nodes[0].mode
        for mode in ("0660", "432", "0o4660")
    ]
    assert modes == [0o660, 0o660, 0o660]
