"""Device classes of guests that run: which nodes come and go, whatever they share."""

import errno
import json
from dataclasses import replace
from typing import Any

import pytest

from insula.engine.launch.runningcontainer import ContainerRecord
from insula.errors import InvalidArgumentError, OperationFailedError, UnsupportedConfigError
from insula.model.numbers import Affect, MetadataType
from insula.service.events import DomainIdentity, MetadataChange
from insula.service.rundirectory import RunDirectory
from insula.testing.fakechanges import FakeChanges
from tests.unit.service.fakes import Rig, domain_xml, until

pytestmark = pytest.mark.asyncio
NS = "https://insula.dev/xmlns/domain/1"
OURS = f"xmlns:insula='{NS}'"
ROOT = [0, 0, [0], "/root", "root", "/bin/sh"]


def grant(name: str) -> str:
    return f"<insula:device {OURS} cdi='v.com/x={name}'/>"


def describe(rig: Rig, **devices: list[str]) -> None:
    """Describe devices by the nodes of the host that each one is."""
    written = [
        {"name": name, "containerEdits": {"deviceNodes": [{"path": path} for path in paths]}}
        for name, paths in devices.items()
    ]
    write(rig, {"devices": written})


def write(rig: Rig, document: dict[str, Any]) -> None:
    directory = rig.directory / "cdi"
    directory.mkdir(exist_ok=True)
    text = json.dumps({"cdiVersion": "0.7.0", "kind": "v.com/x", **document})
    (directory / "v.json").write_text(text)


def of(rig: Rig, ref: DomainIdentity) -> set[str]:
    return {each.guest for each in rig.domains.of(ref).require_run().container.record.spec.devices}


async def running(rig: Rig, *names: str) -> DomainIdentity:
    settings = "".join(map(grant, names))
    metadata = f"<metadata><insula:domain {OURS}>{settings}</insula:domain></metadata>"
    xml = domain_xml().replace("<devices>", f"{metadata}<devices>")
    return await rig.domains.start(await rig.domains.define(xml))


async def test_a_grant_comes_and_goes_while_the_guest_runs(rig: Rig) -> None:
    describe(rig, a=["/dev/null", "/dev/zero"])
    ref = await running(rig)
    await rig.domains.attach_device(ref, grant("a"), Affect.LIVE | Affect.CONFIG)
    assert of(rig, ref) == {"null", "zero"}
    for described in (rig.domains.of(ref).current, rig.domains.of(ref).require_config()):
        assert "<insula:device cdi='v.com/x=a'/>" in described.dump()
    assert MetadataChange(domain=ref, kind=MetadataType.ELEMENT, uri=NS) in rig.told
    with pytest.raises(InvalidArgumentError, match=r"the class .cdi v.com/x=a. is there already"):
        await rig.domains.attach_device(ref, grant("a"), Affect.LIVE)

    await rig.domains.detach_device(ref, grant("a"), Affect.LIVE | Affect.CONFIG)
    assert of(rig, ref) == set()
    assert "insula:device" not in rig.domains.dump_xml(ref)
    with pytest.raises(InvalidArgumentError, match="there is no such device with the class"):
        await rig.domains.detach_device(ref, grant("a"), Affect.LIVE)


async def test_what_two_grants_share_stays_as_long_as_one_does(rig: Rig) -> None:
    describe(rig, a=["/dev/null", "/dev/zero"], b=["/dev/null", "/dev/full"])
    ref = await running(rig, "a")
    await rig.domains.attach_device(ref, grant("b"), Affect.LIVE)
    assert of(rig, ref) == {"null", "zero", "full"}
    await rig.domains.detach_device(ref, grant("a"), Affect.LIVE)
    assert of(rig, ref) == {"null", "full"}
    await rig.domains.detach_device(ref, grant("b"), Affect.LIVE)
    assert of(rig, ref) == {"null"}, "asked for by a alone, as far as the record knows"


async def test_what_is_no_more_described_still_goes(rig: Rig) -> None:
    describe(rig, a=["/dev/null"])
    ref = await running(rig, "a")
    (rig.directory / "cdi/v.json").unlink()
    await rig.domains.detach_device(ref, grant("a"), Affect.LIVE)
    assert of(rig, ref) == set()
    with pytest.raises(UnsupportedConfigError, match="describes the CDI device"):
        await rig.domains.attach_device(ref, grant("a"), Affect.LIVE)


async def test_a_node_belongs_to_the_guests_own_group(rig: Rig) -> None:
    node = {"path": "/dev/null", "gid": 29}
    write(rig, {"devices": [{"name": "a", "containerEdits": {"deviceNodes": [node]}}]})
    ref = await running(rig)
    rig.looker.sights = [[*ROOT[:1], 63, *ROOT[2:]]]
    await rig.domains.attach_device(ref, grant("a"), Affect.LIVE)
    (device,) = rig.domains.of(ref).require_run().container.record.spec.devices
    look, arguments = rig.looker.looks[-1]
    assert (device.gid, look, arguments["group"], arguments["user"]) == (63, "find-account", device.groups[0], "0")


async def test_a_group_that_the_guest_has_not_leaves_the_vendors_number(rig: Rig) -> None:
    node = {"path": "/dev/null", "gid": 29}
    write(rig, {"devices": [{"name": "a", "containerEdits": {"deviceNodes": [node]}}]})
    ref = await running(rig)
    rig.looker.sights = [OSError(errno.ENOENT, "the guest has no group")]
    await rig.domains.attach_device(ref, grant("a"), Affect.LIVE)
    assert [each.gid for each in rig.domains.of(ref).require_run().container.record.spec.devices] == [29]


async def test_a_guest_whose_groups_cannot_be_read_gets_nothing(rig: Rig) -> None:
    node = {"path": "/dev/null", "gid": 29}
    write(rig, {"devices": [{"name": "a", "containerEdits": {"deviceNodes": [node]}}]})
    ref = await running(rig)
    rig.looker.sights = [OSError(errno.EIO, "Input/output error")]
    with pytest.raises(OperationFailedError, match="the group 'audio' of domain 'web' is not found out: Input/output"):
        await rig.domains.attach_device(ref, grant("a"), Affect.LIVE)
    assert of(rig, ref) == set()


async def test_files_of_the_host_come_and_go_with_a_device(rig: Rig) -> None:
    edits = {
        "deviceNodes": [{"path": "/dev/null"}],
        "mounts": [{"hostPath": "/etc/passwd", "containerPath": "/opt/v"}],
        "env": ["VENDOR=1"],
    }
    write(rig, {"devices": [{"name": "a", "containerEdits": edits}]})
    ref = await running(rig)
    await rig.domains.attach_device(ref, grant("a"), Affect.LIVE)
    spec = rig.domains.of(ref).require_run().container.record.spec
    assert [each.target for each in spec.mounts] == ["/opt/v"]
    assert list(rig.domains.messages(ref)) == ["its init does not have the variables VENDOR before its next start"]
    await rig.domains.detach_device(ref, grant("a"), Affect.LIVE)
    assert rig.domains.of(ref).require_run().container.record.spec.mounts == ()


async def test_metadata_that_grants_are_changed_in_change_the_guest(rig: Rig) -> None:
    describe(rig, a=["/dev/null"], b=["/dev/zero"])
    ref = await running(rig, "a")
    settings = "<domain><device cdi='v.com/x=b'/></domain>"
    await rig.domains.set_metadata(ref, MetadataType.ELEMENT, settings, key="insula", uri=NS, affect=Affect.LIVE)
    assert of(rig, ref) == {"zero"}
    before = rig.domains.dump_xml(ref)
    wrong = settings.replace("=b", "=none")
    with pytest.raises(UnsupportedConfigError):
        await rig.domains.set_metadata(ref, MetadataType.ELEMENT, wrong, key="insula", uri=NS, affect=Affect.LIVE)
    assert (rig.domains.dump_xml(ref), of(rig, ref)) == (before, {"zero"})


async def test_what_a_daemon_did_not_live_to_tell_of_is_taken_back(
    rig: Rig,
) -> None:
    describe(rig, a=["/dev/null"], b=["/dev/zero", "/dev/full"])
    ref = await running(rig, "a")
    run = rig.domains.of(ref).require_run()
    devices = rig.preparation.grants.resolve([replace(rig.domains.of(ref).current.settings.grants[0], cdi="v.com/x=b")])

    def note(record: ContainerRecord) -> None:
        RunDirectory(rig.layout).write(replace(run.record, container=record.encode(), attaching=True))

    await FakeChanges().attach_device(run.container, devices.devices[0], note)
    rig.die()
    successor = rig.successor()
    await successor.domains.recover()
    await until(lambda: of(successor, ref) == {"null"})
    assert "cdi='v.com/x=a'" in successor.domains.dump_xml(ref)
    await successor.domains.destroy(ref)
    await successor.close()


async def test_a_start_says_what_is_not_done_for_a_device(rig: Rig) -> None:
    hook = {"hookName": "createContainer", "path": "/usr/bin/nvidia-cdi-hook", "args": ["h", "update-ldcache"]}
    edits = {"deviceNodes": [{"path": "/dev/null"}], "hooks": [hook]}
    write(rig, {"devices": [{"name": "a", "containerEdits": edits}]})
    ref = await running(rig, "a")
    (message,) = rig.domains.messages(ref)
    assert "run ldconfig in the guest once" in message
