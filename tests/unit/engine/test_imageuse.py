"""Images as the ground below a program's own containers."""

import json
from pathlib import Path

import pytest

from insula import Container, TmpfsRoot
from insula.engine.imageuse import ImageUse, image_root
from insula.errors import ImageNotFoundError, ResourceBusyError
from insula.layout import PREFIX_VARIABLE, Layout
from insula.storage.imagestore import ImageStore


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """An installation with one image."""
    monkeypatch.setenv(PREFIX_VARIABLE, str(tmp_path))
    layout = Layout.prefix(tmp_path)
    layout.image_root("debian-12").mkdir(parents=True)
    layout.image_description("debian-12").write_text(json.dumps(DESCRIPTION))
    return layout


DESCRIPTION = {
    "name": "debian-12",
    "id": "1",
    "recipe": {"builder": "busybox"},
    "created": "2026-01-01T00:00:00+00:00",
    "size": 1,
    "os": "",
    "distribution": "",
    "release": "",
    "architecture": "x86_64",
}


def test_an_image_is_the_ground_below_what_the_guest_writes_in_memory(layout: Layout) -> None:
    root = str(layout.image_root("debian-12"))
    assert image_root("debian-12") == root
    assert Container(image="debian-12").spec.root == TmpfsRoot(lower=(root,))


def test_an_unknown_image_is_told_with_those_there_are(layout: Layout) -> None:
    with pytest.raises(ImageNotFoundError, match="no image named 'web'; there are debian-12; build it with"):
        Container(image="web")
    with pytest.raises(ImageNotFoundError, match="no image named 'web'"):
        ImageUse("web", layout)


def test_an_image_in_use_is_not_removed_and_one_that_is_removed_is_not_used(layout: Layout) -> None:
    store = ImageStore(layout)
    use, other = ImageUse("debian-12", layout), ImageUse("debian-12", layout)
    use.close()
    with pytest.raises(ResourceBusyError, match="'debian-12' is used by a container of a program's own"):
        store.remove("debian-12")
    other.close()
    store.remove("debian-12")
    with pytest.raises(ImageNotFoundError):
        ImageUse("debian-12", layout)
