import json
import re
from contextlib import AbstractContextManager, nullcontext

import pytest

from insula.cli import imagecommands
from insula.errors import (
    ImageNotFoundError,
    InvalidArgumentError,
    OperationInvalidError,
    ResourceBusyError,
)
from insula.rpc.procedures import Insula
from insula.sdk.conversation import Answer
from tests.unit.cli.fake_client import FakeClient
from tests.unit.cli.options import options_of

IMAGE = {
    "name": "busybox",
    "id": "1",
    "recipe": {"builder": "busybox", "options": []},
    "os": "BusyBox 1.35.0",
    "architecture": "x86_64",
    "size": 2 << 20,
    "created": "2026-01-01T00:00:00+00:00",
}


def test_images_are_listed_with_their_size(capsys: pytest.CaptureFixture[str]) -> None:
    client = FakeClient({Insula.IMAGE_LIST: json.dumps([IMAGE])})
    imagecommands.RUN["image ls"](options_of(imagecommands.ARGUMENTS["image ls"]), client.host)
    assert "busybox  BusyBox 1.35.0  x86_64" in capsys.readouterr().out
    imagecommands.RUN["image ls"](options_of(imagecommands.ARGUMENTS["image ls"], "--json"), client.host)
    assert json.loads(capsys.readouterr().out) == [IMAGE]


def test_removing_goes_on_after_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    def remove(name: str, _flags: int) -> None:
        if name == "a":
            raise ImageNotFoundError("no image 'a'")

    client = FakeClient({Insula.IMAGE_REMOVE: remove})
    assert imagecommands.RUN["image rm"](options_of(imagecommands.ARGUMENTS["image rm"], "a", "b"), client.host) == 4
    assert len(client.calls) == 2 and "no image 'a'" in capsys.readouterr().err


def test_an_image_goes_behind_its_other_names_in_whatever_order_they_are_given(
    capsys: pytest.CaptureFixture[str],
) -> None:
    there = {"own", "tag"}

    def remove(name: str, _flags: int) -> None:
        if name == "own" and "tag" in there:
            raise ResourceBusyError("image 'own' has other names: tag")
        there.remove(name)

    client = FakeClient({Insula.IMAGE_REMOVE: remove})
    assert imagecommands.RUN["image rm"](options_of(imagecommands.ARGUMENTS["image rm"], "own"), client.host) == 3
    assert "has other names: tag" in capsys.readouterr().err and there == {"own", "tag"}
    arguments = options_of(imagecommands.ARGUMENTS["image rm"], "own", "tag")
    assert imagecommands.RUN["image rm"](arguments, client.host) == 0
    assert (there, capsys.readouterr().err) == (set(), "")


class BuildStream:
    """Tells of progress in pieces, the last of which takes a while."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    @property
    def ended(self) -> bool:
        return not self.pieces

    def take(self) -> bytes | None:
        if self.pieces[:1] == [b""]:
            return None
        return self.pieces.pop(0) if self.pieces else None


class BuildClient(FakeClient):
    """Builds an image while it tells of it."""

    waited = 0

    def stream_of(self, _answer: Answer) -> AbstractContextManager[BuildStream]:
        line = json.dumps({"phase": "installing", "text": "it", "fraction": 0.5, "received": 0}).encode() + b"\n"
        self.stream = BuildStream([line[:9], line[9:], b"", line])
        return nullcontext(self.stream)

    def receive(self, _seconds: float) -> None:
        self.waited += 1
        self.stream.pieces.pop(0)


def test_a_recipes_options_are_passed_on(capsys: pytest.CaptureFixture[str]) -> None:
    client = BuildClient({Insula.IMAGE_BUILD: None})
    words = ("web", "--recipe", "debian-13", "--include", "vim", "--option", "slim=yes", "-o", "mirror=http://m/?a=b")
    options = options_of(imagecommands.ARGUMENTS["image build"], *words)
    assert imagecommands.RUN["image build"](options, client.host) == 0
    ((name, recipe, flags),) = client.made(Insula.IMAGE_BUILD)
    assert (name, flags) == ("web", 0)
    assert json.loads(recipe) == {"recipe": "debian-13", "packages": ["vim"], "slim": "yes", "mirror": "http://m/?a=b"}
    told = capsys.readouterr()
    assert told.out == "web\n" and told.err.startswith("installing: it (") and client.waited == 1


@pytest.mark.parametrize("text", ["slim", "=yes", "slim=", "recipe=debian-12", "packages=vim"])
def test_what_is_no_option_of_a_recipe_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=re.escape(text.removesuffix("=debian-12").removesuffix("=vim"))):
        imagecommands.split_option(text)


def test_what_was_pruned_is_told_and_a_failure_is_no_end(capsys: pytest.CaptureFixture[str]) -> None:
    clones = [{"uuid": "a", "image": "busybox"}, {"uuid": "b", "image": "debian-12"}]

    def remove(uuid: str, flags: int) -> None:
        assert flags == 1
        if uuid == "a":
            raise ResourceBusyError("it was defined again")

    client = FakeClient({Insula.IMAGE_LIST: json.dumps(clones), Insula.IMAGE_REMOVE: remove})
    prune, arguments = imagecommands.RUN["image prune"], imagecommands.ARGUMENTS["image prune"]
    assert prune(options_of(arguments, "--yes"), client.host) == 3
    told = capsys.readouterr()
    assert told.out.split() == ["CLONE", "IMAGE", "b", "debian-12"] and "a: it was defined again" in told.err
    assert prune(options_of(arguments, "--json", "-y"), client.host) == 3
    assert json.loads(capsys.readouterr().out) == clones[1:]
    assert client.made(Insula.IMAGE_LIST)[0] == (1,)


@pytest.mark.parametrize("answer", [True, False])
def test_who_prunes_is_shown_what_goes_and_asked(
    answer: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def confirmed(question: str) -> bool:
        asked.append(question)
        return answer

    monkeypatch.setattr(imagecommands, "confirmed", confirmed)
    client = FakeClient({Insula.IMAGE_LIST: json.dumps([{"uuid": "a", "image": "busybox"}]), Insula.IMAGE_REMOVE: None})
    options = options_of(imagecommands.ARGUMENTS["image prune"])
    with nullcontext() if answer else pytest.raises(OperationInvalidError, match="--yes"):
        assert imagecommands.RUN["image prune"](options, client.host) == 0
    assert client.made(Insula.IMAGE_REMOVE) == ([("a", 1)] if answer else [])
    assert "a, a clone of busybox" in capsys.readouterr().err
    assert asked == ["Remove it with all that was written there?"]


def test_nothing_to_prune_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    client = FakeClient({Insula.IMAGE_LIST: "[]"})
    options = options_of(imagecommands.ARGUMENTS["image prune"])
    assert imagecommands.RUN["image prune"](options, client.host) == 0
    assert capsys.readouterr().out == ""


def test_an_image_is_told_with_its_other_names_and_the_domains_on_it(capsys: pytest.CaptureFixture[str]) -> None:
    another = {**IMAGE, "name": "small"}
    domains = [{"name": "web", "image": "small"}, {"name": "db", "image": "busybox"}, {"name": "x", "image": None}]
    client = FakeClient({Insula.IMAGE_LIST: json.dumps([IMAGE, another]), Insula.DOMAIN_LIST: json.dumps(domains)})
    options = options_of(imagecommands.ARGUMENTS["image info"], "busybox", "--json")
    assert imagecommands.RUN["image info"](options, client.host) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["other names"] == ["small"] and told["domains"] == ["web", "db"]
    with pytest.raises(ImageNotFoundError, match="there are busybox, small"):
        imagecommands.RUN["image info"](options_of(imagecommands.ARGUMENTS["image info"], "big"), client.host)


def test_an_image_gets_another_name() -> None:
    client = FakeClient({Insula.IMAGE_TAG: None})
    options = options_of(imagecommands.ARGUMENTS["image tag"], "busybox", "small")
    assert imagecommands.RUN["image tag"](options, client.host) == 0
    assert client.made(Insula.IMAGE_TAG) == [("busybox", "small", 0)]
