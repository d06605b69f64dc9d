"""Domains over an image: a clone of their own, kept or thrown away as their definition is."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from insula.engine.codec import encode
from insula.errors import ImageNotFoundError, ResourceBusyError, StepError
from insula.layout import Layout
from insula.service.images import Images
from insula.service.startoptions import Storage
from insula.storage.builders.imagebuilder import Recipe
from insula.storage.idranges import IdRanges
from insula.storage.imagestore import Image
from tests.services import UUID_OF_GUEST, Service, driven, guest_xml, layout_below, program, serving

pytestmark = pytest.mark.requires("userns", "busybox", "overlay.idmapped")

TEMPLATE = "<filesystem type='template'><source name='small'/><target dir='/'/></filesystem>"
WAITS = program("trap 'exit 0' TERM", "echo ready", "while :; do sleep 1000 & wait $!; done")


@pytest.fixture
def service(scratch: Path, busybox_root: Path) -> Iterator[Service]:
    """With an image `small`: the busybox tree."""
    layout = layout_below(scratch)
    directory = layout.images / "small"
    directory.mkdir(parents=True)
    subprocess.run(["cp", "-a", str(busybox_root), str(directory / "rootfs")], check=True)
    image = Image(
        name="small",
        id="1",
        recipe=Recipe(builder="busybox"),
        created="2026-01-01T00:00:00+00:00",
        size=1,
        os="",
        distribution="",
        release="",
        architecture="",
    )
    (directory / "image.json").write_text(json.dumps(encode(image)))
    with serving(layout) as opened:
        yield opened


@pytest.mark.machine("mounts")
@driven
async def test_what_a_defined_guest_writes_is_there_at_its_next_start_and_not_in_the_image(service: Service) -> None:
    ref = await service.domains.start(await service.domains.define(guest_xml(TEMPLATE, init=WAITS)))
    assert (await service.run(ref, "/bin/sh", "-c", "echo hello > /written; id -u")).text == "0\n"
    await service.domains.destroy(ref)
    await service.domains.start(ref)

    assert (await service.run(ref, "/bin/cat", "/written")).text == "hello\n"
    assert not (service.layout.images / "small/rootfs/written").exists()
    written = service.layout.clones / str(UUID_OF_GUEST) / "upper/written"
    assert (written.stat().st_uid, written.read_text()) == (0, "hello\n")


@driven
async def test_undefining_keeps_the_clone_for_the_same_uuid(service: Service) -> None:
    ref = await service.domains.start(await service.domains.define(guest_xml(TEMPLATE, init=WAITS)))
    await service.run(ref, "/bin/touch", "/kept")
    await service.domains.destroy(ref)
    await service.domains.undefine(ref)
    with pytest.raises(ResourceBusyError):
        await Images(service.store).remove("small")
    again = await service.domains.create_xml(guest_xml(TEMPLATE, init=WAITS))

    assert (await service.run(again, "/bin/ls", "/kept")).status == 0
    await service.domains.destroy(again)
    assert (service.layout.clones / str(UUID_OF_GUEST)).is_dir()


@driven
async def test_undefining_with_the_storage_leaves_nothing_of_it(service: Service) -> None:
    ref = await service.domains.start(await service.domains.define(guest_xml(TEMPLATE, init=WAITS)))
    await service.domains.destroy(ref)
    await service.domains.undefine(ref, storage=Storage.DISCARD)

    assert not list(service.layout.clones.iterdir())
    await Images(service.store).remove("small")
    assert not list(Images(service.store).list())


@driven
async def test_a_transient_guests_clone_goes_with_it(service: Service) -> None:
    ref = await service.domains.create_xml(guest_xml(TEMPLATE, init=WAITS))
    await service.console_says(ref, ["ready"])
    assert (service.layout.clones / str(UUID_OF_GUEST)).is_dir()
    await service.domains.shutdown(ref)
    await service.until_told("stopped shutdown")

    assert not list(service.layout.clones.iterdir())
    assert not list((service.layout.state / "throwaways").iterdir())


@driven
async def test_a_transient_guests_clone_goes_when_it_dies_with_the_daemon(service: Service) -> None:
    ref = await service.domains.create_xml(guest_xml(TEMPLATE, init=WAITS), owner=object())
    successor = await service.succeeded()

    assert list(successor.domains.list()) == []
    assert not list(successor.layout.clones.iterdir())
    assert ref.id > 0
    await successor.close()


@driven
async def test_two_guests_of_one_image_have_ids_and_files_of_their_own(service: Service) -> None:
    refs = [
        await service.domains.create_xml(guest_xml(TEMPLATE, name=f"g{number}", uuid=UUID(int=number), init=WAITS))
        for number in (1, 2)
    ]
    for ref in refs:
        await service.run(ref, "/bin/sh", "-c", f"echo {ref.name} > /whose")

    assert [(await service.run(ref, "/bin/cat", "/whose")).text for ref in refs] == ["g1\n", "g2\n"]
    maps = [service.domains.of(ref).require_run().container.record.spec.idmap for ref in refs]
    assert len({each.root_uid for each in maps if each is not None}) == 2


@driven
async def test_a_source_that_cannot_be_mapped_is_shown_as_it_is_where_that_is_asked_for(service: Service) -> None:
    shown = "<filesystem type='mount'{}><source dir='/proc/sys/kernel'/><target dir='/srv'/></filesystem>"
    with pytest.raises(StepError, match=r"cannot show files under other owners.*idmap='off'"):
        await service.domains.create_xml(guest_xml(TEMPLATE, devices=shown.format(""), init=WAITS))
    off = " xmlns:insula='https://insula.dev/xmlns/domain/1' insula:idmap='off'"
    ref = await service.domains.create_xml(guest_xml(TEMPLATE, devices=shown.format(off), init=WAITS))
    assert (await service.run(ref, "/bin/cat", "/srv/ostype")).text == "Linux\n"
    assert (await service.run(ref, "/bin/stat", "-c", "%u", "/srv/ostype")).text == "65534\n"
    await service.domains.destroy(ref)


@driven
async def test_a_source_that_cannot_be_mapped_and_is_only_read_is_shown_as_it_is(service: Service) -> None:
    shown = "<filesystem type='mount'><source dir='/proc/sys/kernel'/><target dir='/srv'/><readonly/></filesystem>"
    ref = await service.domains.create_xml(guest_xml(TEMPLATE, devices=shown, init=WAITS))
    assert (await service.run(ref, "/bin/stat", "-c", "%u", "/srv/ostype")).text == "65534\n"
    assert (await service.run(ref, "/bin/cat", "/srv/ostype")).text == "Linux\n"
    await service.domains.destroy(ref)


@driven
async def test_a_missing_image_is_named_and_nothing_is_made(service: Service) -> None:
    ref = await service.domains.define(guest_xml(TEMPLATE.replace("small", "large"), init=WAITS))
    with pytest.raises(ImageNotFoundError, match="'large'"):
        await service.domains.start(ref)

    assert not service.layout.clones.exists() or not list(service.layout.clones.iterdir())


@pytest.mark.parametrize("inside", [0, 1000, 65534])
def test_ids_that_a_process_uses_are_not_given_out_though_nobody_wrote_them_down(tmp_path: Path, inside: int) -> None:
    free = IdRanges(Layout.prefix(tmp_path / "a")).allocate(uuid4()).root_uid
    ranges = IdRanges(Layout.prefix(tmp_path / "a"), running=list)
    ranges.keep_only(())
    with subprocess.Popen(["sleep", "60"], user=free + inside, group=free) as process:
        try:
            assert ranges.allocate(uuid4()).root_uid != free
        finally:
            process.kill()
    ranges.keep_only(())
    assert ranges.allocate(uuid4()).root_uid == free
