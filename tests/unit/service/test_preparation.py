"""The host is made ready for a start, and gets back what it gave."""

import errno
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from insula.engine.codec import encode
from insula.engine.launch.runningcontainer import ContainerRecord
from insula.engine.spec import DirectoryRoot, IdMap, IdRange, InitKind, OverlayRoot
from insula.errors import ImageNotFoundError, OperationInvalidError, UnsupportedConfigError
from insula.layout import Layout
from insula.model.domain import DomainDefinition
from insula.model.interfaces import Interface
from insula.service.preparation import HostPreparation, maps_of_runs
from insula.service.rundirectory import RunDirectory
from insula.service.runrecord import RunPhase, RunRecord
from insula.storage.builders.imagebuilder import Recipe
from insula.storage.idranges import IdRanges
from insula.storage.imagestore import Image, ImageStore
from tests.unit.service.fakes import WEB, domain_xml

TEMPLATE = "<filesystem type='template'><source name='small'/><target dir='/'/></filesystem>"
POOL = range(1 << 20, (1 << 20) + 4 * 65536)


def pools() -> Sequence[range]:
    return [POOL]


def nobody(name: str) -> int:
    raise AssertionError(f"nobody asked for {name}")


def domain(root: str, more: str = "") -> DomainDefinition:
    xml = domain_xml(more=more)
    start = xml.index("<filesystem")
    return DomainDefinition.load(xml[:start] + root + xml[xml.index("</filesystem>") + len("</filesystem>") :])


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout.prefix(tmp_path / "p")
    rootfs = made.images / "small" / "rootfs"
    rootfs.mkdir(parents=True)
    image = Image(
        name="small",
        id="1",
        recipe=Recipe(builder="busybox"),
        created="2026-01-01T00:00:00+00:00",
        size=1,
        os="",
        distribution="",
        release="",
        architecture="x86_64",
    )
    (made.images / "small" / "image.json").write_text(json.dumps(encode(image)))
    return made


@pytest.fixture
def preparation(layout: Layout) -> HostPreparation:
    return HostPreparation(layout, ImageStore(layout), pools=pools)


def test_a_template_becomes_a_clone_and_ids_of_the_domains_own(layout: Layout, preparation: HostPreparation) -> None:
    spec = preparation.specify(domain(TEMPLATE), nobody)

    assert isinstance(spec.root, OverlayRoot)
    assert Path(spec.root.upper).is_dir()
    assert preparation.owns_storage(WEB)
    assert spec.idmap is not None
    assert spec.idmap.root_uid in POOL
    assert preparation.specify(domain(TEMPLATE), nobody) == spec


def test_a_directory_is_the_administrators_and_nothing_is_made(tmp_path: Path, preparation: HostPreparation) -> None:
    root = f"<filesystem type='mount'><source dir='{tmp_path}'/><target dir='/'/></filesystem>"
    spec = preparation.specify(domain(root), nobody)

    assert isinstance(spec.root, DirectoryRoot)
    assert not preparation.owns_storage(WEB)


def test_a_definition_reserves_the_ids_that_the_start_finds(layout: Layout, preparation: HostPreparation) -> None:
    preparation.reserve(domain(TEMPLATE))
    reserved = IdRanges(layout).find(WEB)
    assert not preparation.owns_storage(WEB)

    spec = preparation.specify(domain(TEMPLATE), nobody)
    assert spec.idmap is not None
    assert spec.idmap == reserved


def test_what_the_host_has_for_a_domain_is_looked_at_anew_at_every_start(
    tmp_path: Path, preparation: HostPreparation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made of it the last time counts only as long as all of it is the same."""
    top = tmp_path / "root"
    (top / "sbin").mkdir(parents=True)
    init = top / "sbin" / "init"
    init.write_text("a program")
    init.chmod(0o755)
    web = domain(f"<filesystem type='mount'><source dir='{top}'/><target dir='/'/></filesystem>")
    spec = preparation.specify(web, nobody)
    assert preparation.specify(web, nobody) is spec
    assert (spec.init_kind, isinstance(spec.root, DirectoryRoot) and spec.root.idmapped) == (InitKind.PLAIN, True)
    init.write_text("/initctl")
    assert preparation.specify(web, nobody).init_kind is InitKind.SYSVINIT
    monkeypatch.setattr("insula.storage.roots.belongs_to", lambda path, idmap: True)
    mapped = preparation.specify(web, nobody)
    assert isinstance(mapped.root, DirectoryRoot) and not mapped.root.idmapped
    init.unlink()
    assert preparation.specify(web, nobody).init_kind is InitKind.PLAIN
    top.rename(tmp_path / "gone")
    with pytest.raises(UnsupportedConfigError, match="cannot be used"):
        preparation.specify(web, nobody)


def test_a_domain_is_ready_once_nothing_has_to_be_made_for_it(tmp_path: Path, preparation: HostPreparation) -> None:
    plain = domain(f"<filesystem type='mount'><source dir='{tmp_path}'/><target dir='/'/></filesystem>")
    assert preparation.is_ready(plain, preparation.reserve(plain))
    assert not preparation.is_ready(domain(TEMPLATE), preparation.reserve(domain(TEMPLATE)))
    preparation.specify(domain(TEMPLATE), nobody)
    assert preparation.is_ready(domain(TEMPLATE), preparation.reserve(domain(TEMPLATE)))


def test_what_was_reserved_for_a_domain_is_what_its_rehearsal_has(preparation: HostPreparation) -> None:
    reserved = preparation.reserve(domain(TEMPLATE))
    assert reserved is not None
    assert preparation.rehearse(domain(TEMPLATE), nobody, idmap=reserved).idmap == reserved
    assert preparation.rehearse(domain(TEMPLATE), nobody).idmap == reserved


def test_a_rehearsal_makes_nothing_and_says_the_same(layout: Layout, preparation: HostPreparation) -> None:
    rehearsed = preparation.rehearse(domain(TEMPLATE), nobody)
    assert not preparation.owns_storage(WEB)
    assert not (layout.state / "idranges.jsonl").exists()
    assert rehearsed.idmap is not None and rehearsed.idmap.root_uid == POOL.start

    specified = preparation.specify(domain(TEMPLATE), nobody)
    assert replace(specified, idmap=rehearsed.idmap) == rehearsed
    assert preparation.rehearse(domain(TEMPLATE), nobody) == specified


def test_a_rehearsal_looks_for_no_free_ids(
    layout: Layout, preparation: HostPreparation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(ranges: IdRanges, uuid: UUID) -> IdMap:
        raise AssertionError(f"ids were given to {uuid}")

    monkeypatch.setattr(IdRanges, "allocate", refused)
    monkeypatch.setattr(IdRanges, "release", refused)
    preparation.rehearse(domain(TEMPLATE), nobody)


def test_the_administrators_ids_are_taken_as_they_are(preparation: HostPreparation) -> None:
    ids = "<idmap><uid start='0' target='500000' count='10'/><gid start='0' target='600000' count='10'/></idmap>"
    spec = preparation.specify(domain(TEMPLATE, ids), nobody)

    assert spec.idmap == IdMap(
        uids=(IdRange(inside=0, outside=500000, count=10),), gids=(IdRange(inside=0, outside=600000, count=10),)
    )


def test_only_an_explicit_wish_makes_a_privileged_container(preparation: HostPreparation) -> None:
    wish = "<metadata><i:domain xmlns:i='https://insula.dev/xmlns/domain/1'><i:privileged/></i:domain></metadata>"

    assert preparation.specify(domain(TEMPLATE, wish), nobody).privileged
    assert not preparation.specify(domain(TEMPLATE), nobody).privileged


@pytest.mark.parametrize("source", ["/", "/proc/1/../.."])
def test_the_hosts_own_root_is_refused_however_it_is_spelled(preparation: HostPreparation, source: str) -> None:
    root = f"<filesystem type='mount'><source dir='{source}'/><target dir='/'/></filesystem>"
    with pytest.raises(UnsupportedConfigError, match="host's own"):
        preparation.specify(domain(root), nobody)


def test_an_image_that_is_not_there_is_named(preparation: HostPreparation) -> None:
    with pytest.raises(ImageNotFoundError, match="'large'"):
        preparation.specify(domain(TEMPLATE.replace("small", "large")), nobody)


def test_discarding_takes_the_clone_and_its_mark_away(layout: Layout, preparation: HostPreparation) -> None:
    preparation.specify(domain(TEMPLATE), nobody)
    preparation.keep(WEB, ephemeral=True)
    preparation.discard(WEB)
    preparation.release(WEB)

    assert not preparation.owns_storage(WEB)
    assert os.listdir(layout.clones) == []
    assert os.listdir(layout.state / "throwaways") == []


def test_what_was_to_vanish_with_a_run_that_a_reboot_ended_is_swept(preparation: HostPreparation) -> None:
    other = UUID(int=7)
    preparation.specify(domain(TEMPLATE), nobody)
    preparation.keep(WEB, ephemeral=True)
    preparation.sweep(frozenset({WEB}))
    assert preparation.owns_storage(WEB)

    preparation.sweep(frozenset({other}))

    assert not preparation.owns_storage(WEB)


def test_what_cannot_be_swept_is_named_and_keeps_nothing_else_back(
    layout: Layout, preparation: HostPreparation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    other = UUID(int=7)
    discard = preparation.discard

    def failing_for_one(uuid: UUID) -> None:
        if uuid == WEB:
            raise OSError(errno.ENOSPC, "no space")
        discard(uuid)

    for each in (WEB, other):
        preparation.keep(each, ephemeral=True)
    (layout.state / "throwaways" / "README").touch()
    monkeypatch.setattr(preparation, "discard", failing_for_one)
    preparation.sweep(frozenset())

    assert sorted(os.listdir(layout.state / "throwaways")) == [str(WEB), "README"]
    assert "no space" in caplog.text and "README' is left" in caplog.text


def test_images_that_cannot_be_swept_do_not_keep_the_daemon_from_starting(
    preparation: HostPreparation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(images: ImageStore) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(ImageStore, "sweep", full)
    preparation.sweep(frozenset())
    assert "no space" in caplog.text


def test_that_storage_is_kept_survives_a_loss_of_power(
    layout: Layout, preparation: HostPreparation, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    preparation.keep(WEB, ephemeral=True)
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    preparation.keep(WEB, ephemeral=False)

    assert synced == [str(layout.state / "throwaways")]


def test_a_kept_clone_is_not_swept(preparation: HostPreparation) -> None:
    preparation.specify(domain(TEMPLATE), nobody)
    preparation.keep(WEB, ephemeral=True)
    preparation.keep(WEB, ephemeral=False)
    preparation.sweep(frozenset())

    assert preparation.owns_storage(WEB)


def test_recorded_runs_tell_their_ids_when_the_list_is_lost(layout: Layout, preparation: HostPreparation) -> None:
    spec = preparation.specify(domain(TEMPLATE), nobody)
    assert spec.idmap is not None
    container = ContainerRecord(spec=spec, id=1, pid=1, born=1, boot="b", group="g")
    record = RunRecord(uuid=WEB, name="web", boot_id="b", phase=RunPhase.RUNNING, begun=0, container=container.encode())
    RunDirectory(layout).begin(record, domain(TEMPLATE))
    (layout.state / "idranges.jsonl").write_text("broken\n")

    assert maps_of_runs(RunDirectory(layout)) == {WEB: spec.idmap}
    assert preparation.specify(domain(TEMPLATE), nobody).idmap == spec.idmap


def test_ids_of_domains_that_are_no_more_are_given_back(preparation: HostPreparation, layout: Layout) -> None:
    preparation.reserve(domain(TEMPLATE))
    preparation.release_others(frozenset({WEB}))
    assert IdRanges(layout, pools=pools).find(WEB) is not None
    preparation.release_others(frozenset())
    assert IdRanges(layout, pools=pools).find(WEB) is None


def test_a_network_that_is_not_active_any_more_is_told(layout: Layout) -> None:
    def stopped(card: Interface) -> Interface:
        raise OperationInvalidError("network 'lan' is not active")

    card = "<interface type='network'><source network='lan'/></interface>"
    xml = domain_xml().replace("<devices>", f"<devices>{card}")
    preparation = HostPreparation(layout, ImageStore(layout), pools=pools, plugging=lambda: stopped)
    with pytest.raises(OperationInvalidError, match="network 'lan' is not active"):
        preparation.require_networks(DomainDefinition.load(xml))
    preparation.require_networks(domain(TEMPLATE))
