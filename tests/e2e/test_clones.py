"""The writable layer of a domain that was made from an image: it lives as long as somebody wants it."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.guests import image_of, inside, insula
from tests.insulad import Insulad

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped")


@pytest.fixture
def image(insulad: Insulad, busybox_root: Path) -> str:
    """An image that was built elsewhere."""
    image_of(insulad, busybox_root)
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


def test_a_copy_with_the_others_layer_beside_it_has_what_the_other_wrote(insulad: Insulad, image: str) -> None:
    insula(insulad, "create", "web", "-i", image, "--start")
    inside(insulad, "web", "sh", "-c", "echo written > /file; chown 33:34 /file; rm /etc/group")
    insula(insulad, "stop", "-f", "web")
    insula(insulad, "create", "copied", "-i", image)
    web, copied = (insulad.virsh("domuuid", each).stdout.strip() for each in ("web", "copied"))
    clones = insulad.layout.clones
    subprocess.run(["cp", "-a", str(clones / web), str(clones / copied)], check=True)
    insula(insulad, "start", "web", "copied")
    for each in ("web", "copied"):
        assert inside(insulad, each, "sh", "-c", "cat /file; stat -c %u:%g /file; ls /etc/group 2>&1 | wc -l") == (
            "written\n33:34\n1\n"
        )
    inside(insulad, "copied", "rm", "/file")
    assert inside(insulad, "web", "cat", "/file") == "written\n"


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
