"""A daemon killed before each of its changes to files and the host, in a life of networks; run by test_networklife.

    python -m tests.unit.service.networkkilling DIRECTORY STRIDE

As `killing`, for networks: for N = 1, 1 + STRIDE, … a child lives and dies, as of SIGKILL, right before its N-th change
below DIRECTORY/N, where the host is, too; then two daemons in a row take over and say what is wrong. It ends when a
life comes to its end unharmed, and prints N. The parent starts no thread and no loop, so that forking is safe.
"""

import asyncio
import itertools
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from insula.model.network import NetworkDefinition, dump_network, load_network
from insula.model.networknumbers import NetworkUpdateCommand, NetworkUpdateSection
from insula.model.numbers import Affect, MetadataType
from insula.model.xmlmap import Part
from insula.network.virtual.guestends import GuestEnd
from insula.network.virtual.networkrecord import NetworkRecord, Settled
from insula.network.virtual.performer import NO_PORTS
from insula.service.networkruns import NetworkRuns
from insula.testing import FakeNetworkPerformer
from tests.unit.service.fakes import Rig
from tests.unit.service.killing import CHANGES, Diary, in_child, writes
from tests.unit.service.networksofrig import LAN, WAN, network, registry_of, verbs_of

HOST = "hostnetworks"
"""Below the directory of a life: what there is on the host of each network, a bridge and a server."""
PARTS = ("bridge", "server")
BOTH = Affect.LIVE | Affect.CONFIG
DHCP_HOST = "<host mac='52:54:00:00:00:04' ip='10.9.0.4'/>"


class FilePerformer(FakeNetworkPerformer):
    """Makes networks of two files each, so that they outlive a daemon, and that one may die between the two."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory / HOST
        self._directory.mkdir(parents=True, exist_ok=True)
        for path in self._directory.glob(f"*.{PARTS[-1]}"):
            self.running[path.stem] = load_network(path.read_text(), Part.LIVE)

    def _make(self, network: NetworkDefinition, record: NetworkRecord) -> NetworkRecord:
        self._write(network, record)
        return super()._make(network, record)

    def update(self, network: NetworkDefinition, record: NetworkRecord) -> NetworkRecord:
        self._write(network, record)
        return super().update(network, record)

    def settle(
        self, network: NetworkDefinition, record: NetworkRecord, ports: Mapping[str, GuestEnd] = NO_PORTS
    ) -> Settled:
        self._write(network, record)
        return super().settle(network, record, ports)

    def stop(self, record: NetworkRecord) -> None:
        for part in reversed(PARTS):
            (self._directory / f"{record.uuid}.{part}").unlink(missing_ok=True)
        super().stop(record)

    def _write(self, network: NetworkDefinition, record: NetworkRecord) -> None:
        for part in PARTS:
            (self._directory / f"{record.uuid}.{part}").write_text(dump_network(network, Part.LIVE))

    def there(self) -> set[str]:
        """The networks of which there is anything."""
        return {each.stem for each in self._directory.iterdir()}


async def life(directory: Path, number: int) -> None:
    """Define, start, change, stop, forget, and die before the change of that number."""
    rig, diary = Rig(directory, performer=FilePerformer(directory)), Diary(directory / "diary")
    die_before_change(number, directory)
    verbs = verbs_of(rig)
    await diary.during("recover", rig.domains.recover())
    lan = await diary.during("define", verbs.define(network()))
    await diary.during("autostart", verbs.set_autostart(lan, on=True))
    await diary.during("start", verbs.start(lan))
    command, section = NetworkUpdateCommand.ADD_LAST, NetworkUpdateSection.IP_DHCP_HOST
    update = verbs.update(lan, command, section, parent_index=-1, xml=DHCP_HOST, affect=BOTH)
    await diary.during("update", update)
    title = verbs.set_metadata(lan, MetadataType.TITLE, "new", key=None, uri=None, affect=BOTH)
    await diary.during("set title", title)
    wan = await diary.during("create", verbs.create(network("wan", WAN, "<ip address='10.8.0.1' prefix='24'/>")))
    await diary.during("destroy wan", verbs.destroy(wan))
    await diary.during("destroy", verbs.destroy(lan))
    await diary.during("start again", verbs.start(lan))
    await diary.during("undefine", verbs.undefine(lan))
    await diary.during("destroy for good", verbs.destroy(lan))


def die_before_change(number: int, directory: Path) -> None:
    """Arm this process."""
    left, prefix = number, str(directory)

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event not in CHANGES and not (event == "open" and writes(arguments)):
            return
        if arguments and str(arguments[0]).startswith(prefix) and not str(arguments[0]).endswith("diary"):
            left -= 1
            if left == 0:
                os._exit(9)

    sys.addaudithook(audit)


async def successor(directory: Path) -> None:
    """Take over and check that nothing is lost and nothing is left. Raises: AssertionError."""
    lines = (directory / "diary").read_text().splitlines() if (directory / "diary").exists() else []
    begun = [each.removeprefix("begun ") for each in lines if each.startswith("begun ")]
    done = [each.removeprefix("done ") for each in lines if each.startswith("done ")]
    for again in range(2):
        performer = FilePerformer(directory)
        rig = Rig(directory, performer=performer)
        await rig.domains.recover()
        _check_network_promises(rig, begun, done)
        _check_network_order(rig, performer)
        if again:
            await _check_networks_usable(rig, performer)
        await rig.close()


def _check_network_promises(rig: Rig, begun: list[str], done: list[str]) -> None:
    there = {each.name: each for each in registry_of(rig)}
    lan, wan = there.get("lan"), there.get("wan")
    if "define" in done and "undefine" not in begun:
        assert lan is not None and lan.config is not None, "a definition is lost"
    if "destroy for good" in done:
        assert lan is None, "an undefined network is back"
    if "autostart" in done and "undefine" not in begun:
        assert lan is not None and lan.autostart, "autostart is lost"
    if ("start" in done and "destroy" not in begun) or ("start again" in done and "destroy for good" not in begun):
        assert lan is not None and lan.is_active, "a started network is lost"
    if "destroy" in done and "start again" not in begun:
        assert lan is not None and not lan.is_active, "a destroyed network is back"
    for word, mark in (("update", "10.9.0.4"), ("set title", "<title>new</title>")):
        if word in done and "undefine" not in begun:
            assert lan is not None and lan.config is not None
            assert mark in dump_network(lan.config, Part.DEFINITION), f"{word}: a persistent change is lost"
        if word in done and "destroy" not in begun:
            assert lan is not None and mark in dump_network(lan.current, Part.LIVE), f"{word}: a live change is lost"
    if "create" in done and "destroy wan" not in begun:
        assert wan is not None and wan.is_active, "a transient network is lost"
    if "destroy wan" in done:
        assert wan is None, "a destroyed transient network is back"


def _check_network_order(rig: Rig, performer: FilePerformer) -> None:
    active = {str(each.uuid) for each in registry_of(rig) if each.is_active}
    assert performer.there() == active, "networks of the host and active networks differ"
    for each in registry_of(rig):
        if each.run is not None:
            assert performer.running[str(each.uuid)] == each.run.network, "what is there is not what is live"
    recorded = {str(each.uuid) for each in NetworkRuns(rig.layout.running_networks).load().runs}
    assert recorded == active, "records and active networks differ"
    files = {each.name for each in rig.layout.network_definitions.glob("*.xml")}
    assert files == {f"{each.name}.xml" for each in registry_of(rig) if each.is_persistent}, f"definitions: {files}"
    links = {each.name for each in rig.layout.network_autostart.iterdir()}
    assert links <= files, "an autostart link points nowhere"


async def _check_networks_usable(rig: Rig, performer: FilePerformer) -> None:
    verbs = verbs_of(rig)
    for each in registry_of(rig):
        if each.is_active:
            await verbs.destroy(each)
    for each in registry_of(rig):
        await verbs.start(each)
        await verbs.destroy(each)
        await verbs.undefine(each)
    assert not len(registry_of(rig))
    assert not performer.there()
    assert {UUID(each) for each in performer.forgotten} <= {LAN, WAN}


def main(base: Path, stride: int) -> None:
    """Live until a life comes to its end."""
    for number in itertools.count(1, stride):
        directory = base / str(number)
        directory.mkdir(parents=True)
        status = in_child(lambda place=directory, count=number: asyncio.run(life(place, count)))
        if status not in (0, 9):
            sys.exit(f"life {number} itself failed: {status}")
        if in_child(lambda place=directory: asyncio.run(successor(place))) != 0:
            sys.exit(f"after a kill before change {number}: see above")
        shutil.rmtree(directory)
        if status == 0:
            print(number)
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
