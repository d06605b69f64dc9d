import json
from typing import cast

import pytest

from insula.cli import images
from insula.errors import ImageNotFoundError
from insula.rpc.procedures import Insula
from insula.sdk.blocking import Blocking
from tests.unit.cli.fake_client import FakeClient
from tests.unit.cli.options import options_of

IMAGE = {
    "name": "busybox",
    "os": "BusyBox 1.35.0",
    "architecture": "x86_64",
    "size": 2 << 20,
    "created": "2026-01-01T00:00:00+00:00",
}


def test_images_are_listed_with_their_size(capsys: pytest.CaptureFixture[str]) -> None:
    client = FakeClient({Insula.IMAGE_LIST: json.dumps([IMAGE])})
    images.RUN["image ls"](options_of(images.ARGUMENTS["image ls"]), cast("Blocking", client))
    assert "busybox  BusyBox 1.35.0  x86_64" in capsys.readouterr().out
    images.RUN["image ls"](options_of(images.ARGUMENTS["image ls"], "--json"), cast("Blocking", client))
    assert json.loads(capsys.readouterr().out) == [IMAGE]


def test_removing_goes_on_after_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    def remove(name: str, _flags: int) -> None:
        if name == "a":
            raise ImageNotFoundError("no image 'a'")

    client = FakeClient({Insula.IMAGE_REMOVE: remove})
    assert images.RUN["image rm"](options_of(images.ARGUMENTS["image rm"], "a", "b"), cast("Blocking", client)) == 4
    assert len(client.calls) == 2 and "no image 'a'" in capsys.readouterr().err
