import json
import re
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import pytest

from insula.cli import images
from insula.errors import ImageNotFoundError, InvalidArgumentError
from insula.rpc.procedure import Procedure
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


class BuildClient:
    """Remembers the recipe of an image that is built at once."""

    recipe: dict[str, object]

    def open_stream(
        self, procedure: Procedure, name: str, recipe: str, flags: int
    ) -> AbstractContextManager[list[bytes]]:
        assert (procedure, name, flags) == (Insula.IMAGE_BUILD, "web", 0)
        self.recipe = json.loads(recipe)
        return nullcontext([])


def test_a_recipes_options_are_passed_on(capsys: pytest.CaptureFixture[str]) -> None:
    client = BuildClient()
    words = ("web", "--recipe", "debian-13", "--include", "vim", "--option", "slim=yes", "-o", "mirror=http://m/?a=b")
    options = options_of(images.ARGUMENTS["image build"], *words)
    assert images.RUN["image build"](options, cast("Blocking", client)) == 0
    assert client.recipe == {"recipe": "debian-13", "packages": ["vim"], "slim": "yes", "mirror": "http://m/?a=b"}
    assert capsys.readouterr().out == "web\n"


@pytest.mark.parametrize("text", ["slim", "=yes", "slim=", "recipe=debian-12", "packages=vim"])
def test_what_is_no_option_of_a_recipe_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=re.escape(text.removesuffix("=debian-12").removesuffix("=vim"))):
        images.split_option(text)
