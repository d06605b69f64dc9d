"""The writable layer of a domain that was made from an image: it lives as long as somebody wants it."""

import json
import os
from pathlib import Path

import pytest

from insula.engine.codec import encode
from insula.storage.builders.imagebuilder import Recipe
from insula.storage.imagestore import Image
from tests.e2e.guests import inside, insula
from tests.insulad import Insulad

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped")


@pytest.fixture
def image(insulad: Insulad, busybox_root: Path) -> str:
    """An image that was built elsewhere."""
    directory = insulad.layout.images / "small"
    directory.mkdir(parents=True)
    busybox_root.rename(directory / "rootfs")
    described = Image(
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
    (directory / "image.json").write_text(json.dumps(encode(described)))
    return "small"


def test_removing_a_domain_takes_its_clone_away(insulad: Insulad, image: str) -> None:
    insula(insulad, "create", "web", "-i", image, "--start")
    inside(insulad, "web", "touch", "/written")
    assert len(os.listdir(insulad.layout.clones)) == 1

    insula(insulad, "rm", "--force", "web")

    assert os.listdir(insulad.layout.clones) == []


def test_a_domain_that_is_only_undefined_finds_its_clone_again(insulad: Insulad, image: str, scratch: Path) -> None:
    insula(insulad, "create", "web", "-i", image, "--start")
    inside(insulad, "web", "touch", "/written")
    definition = scratch / "web.xml"
    definition.write_text(insulad.virsh("dumpxml", "--inactive", "web").stdout)
    insulad.virsh("destroy", "web")
    insulad.virsh("undefine", "web")

    insulad.virsh("define", str(definition))
    insulad.virsh("start", "web")

    assert inside(insulad, "web", "ls", "/written") == "/written\n"
    insula(insulad, "rm", "--force", "web")


def test_what_undefined_domains_left_is_pruned_and_nothing_else(insulad: Insulad, image: str) -> None:
    for name in ("left", "stays", "runs"):
        insula(insulad, "create", name, "-i", image, "--start")
    insulad.virsh("destroy", "stays")
    insulad.virsh("destroy", "left")
    left = insulad.virsh("domuuid", "left").stdout.strip()
    insulad.virsh("undefine", "left")
    insulad.virsh("undefine", "runs")
    assert left in insula(insulad, "image", "rm", image, check=False).stderr

    assert json.loads(insula(insulad, "image", "prune", "--json", "--yes").stdout) == [{"uuid": left, "image": image}]

    assert len(os.listdir(insulad.layout.clones)) == 2
    assert insula(insulad, "image", "prune").stdout == ""
    insula(insulad, "rm", "--force", "stays", "runs")
