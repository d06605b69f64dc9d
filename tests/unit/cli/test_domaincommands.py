from pathlib import Path
from types import SimpleNamespace

import pytest

from insula.cli import consolecommands, domaincommands
from insula.errors import (
    DomainExistsError,
    DomainNotFoundError,
    ImageNotFoundError,
    InsulaError,
    InvalidArgumentError,
    NetworkNotFoundError,
    StepError,
)
from insula.rpc.codes.nativecodes import ImageFlags
from insula.rpc.procedures import Insula, Remote
from insula.sdk.values import uuid_text
from tests.unit.cli.fake_client import WEB, FakeClient
from tests.unit.cli.options import options_of

IMAGES = '[{"name": "busybox"}, {"name": "debian-12"}]'


def _run(verb: str, client: FakeClient, *words: str) -> int:
    return domaincommands.RUN[verb](options_of(domaincommands.ARGUMENTS[verb], *words), client.host)


def test_create_defines_what_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    client = FakeClient({Remote.DOMAIN_DEFINE_XML_FLAGS: WEB, Insula.IMAGE_LIST: IMAGES})
    assert (
        _run("create", client, "web", "-i", "busybox", "-m", "64m", "-v", "/srv:/data:ro", "--", "/bin/sh", "-c") == 0
    )
    xml = client.made(Remote.DOMAIN_DEFINE_XML_FLAGS)[0][0]
    assert "<memory unit='KiB'>65536</memory>" in xml and "<initarg>-c</initarg>" in xml and "<readonly/>" in xml
    assert capsys.readouterr().out == "web\n"


@pytest.mark.parametrize(("there", "expected"), [(WEB, DomainExistsError), (DomainNotFoundError("web"), StepError)])
def test_create_tells_a_name_that_is_taken_from_other_failures(there: object, expected: type[InsulaError]) -> None:
    client = FakeClient(
        {
            Remote.DOMAIN_DEFINE_XML_FLAGS: StepError("refused"),
            Remote.DOMAIN_LOOKUP_BY_NAME: there,
            Insula.IMAGE_LIST: IMAGES,
        }
    )
    with pytest.raises(expected, match="refused"):
        _run("create", client, "web", "-i", "busybox")


def test_create_can_only_show_the_xml(capsys: pytest.CaptureFixture[str]) -> None:
    client = FakeClient({})
    assert _run("create", client, "web", "-r", "/srv/root", "--xml") == 0
    assert capsys.readouterr().out.startswith("<domain type='lxc'") and not client.calls


def test_a_running_domain_is_not_removed_unless_forced(capsys: pytest.CaptureFixture[str]) -> None:
    client = FakeClient(
        {
            Remote.DOMAIN_LOOKUP_BY_NAME: WEB,
            Remote.DOMAIN_IS_ACTIVE: 1,
            Remote.DOMAIN_IS_PERSISTENT: 1,
            Remote.DOMAIN_DESTROY_FLAGS: None,
            Insula.DOMAIN_REMOVE: None,
        }
    )
    assert _run("rm", client, "web") == 3
    assert "--force" in capsys.readouterr().err and not client.made(Insula.DOMAIN_REMOVE)
    assert _run("rm", client, "-f", "web") == 0
    assert client.made(Remote.DOMAIN_DESTROY_FLAGS)
    assert client.made(Insula.DOMAIN_REMOVE) == [(WEB, 0)]


@pytest.mark.parametrize("clone", [None, ImageNotFoundError("no domain left a clone")])
def test_a_domain_that_was_undefined_while_it_ran_leaves_no_clone(clone: InsulaError | None) -> None:
    client = FakeClient(
        {
            Remote.DOMAIN_LOOKUP_BY_NAME: WEB,
            Remote.DOMAIN_IS_ACTIVE: 1,
            Remote.DOMAIN_IS_PERSISTENT: 0,
            Remote.DOMAIN_DESTROY_FLAGS: None,
            Insula.IMAGE_REMOVE: clone,
        }
    )
    assert _run("rm", client, "-f", "web") == 0
    assert client.made(Insula.IMAGE_REMOVE) == [(uuid_text(WEB.uuid), ImageFlags.CLONES)]


def test_an_image_may_stand_alone(capsys: pytest.CaptureFixture[str]) -> None:
    client = FakeClient({Remote.DOMAIN_DEFINE_XML_FLAGS: WEB, Insula.IMAGE_LIST: IMAGES})
    assert _run("create", client, "web", "debian-12", "--", "sh") == 0
    xml = client.made(Remote.DOMAIN_DEFINE_XML_FLAGS)[0][0]
    assert "<source name='debian-12'/>" in xml and "<init>sh</init>" in xml


def test_an_image_that_is_not_there_is_refused_with_those_that_are() -> None:
    client = FakeClient({Insula.IMAGE_LIST: IMAGES})
    with pytest.raises(
        ImageNotFoundError, match="no image is called 'debian'; there are busybox, debian-12; build one with"
    ):
        _run("create", client, "web", "debian")
    with pytest.raises(ImageNotFoundError, match="there is none yet"):
        _run("create", FakeClient({Insula.IMAGE_LIST: "[]"}), "web", "debian")


def test_a_root_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("missing", "file", "file/below"):
        with pytest.raises(InvalidArgumentError, match="--root: there is no directory"):
            _run("create", FakeClient({}), "web", "-r", str(tmp_path / name))
    with pytest.raises(InvalidArgumentError, match="type='file'"):
        _run("create", FakeClient({}), "web", "-r", str(tmp_path / "file"))


def test_the_hosts_own_root_is_refused_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/")
    for name in ("/", "/usr/..", str(tmp_path / "link")):
        with pytest.raises(InvalidArgumentError, match="--root: the host's own root"):
            _run("create", FakeClient({}), "web", "-r", name)


@pytest.mark.parametrize(
    ("words", "image", "command"),
    [
        (["busybox"], "busybox", ()),
        (["busybox", "sh", "-c", "true"], "busybox", ("sh", "-c", "true")),
        (["-i", "busybox", "sh", "-c", "true"], "busybox", ("sh", "-c", "true")),
        (["--rm", "busybox", "--", "-x"], "busybox", ("-x",)),
        (["-it", "--rm", "busybox", "sh"], "busybox", ("sh",)),
        (["-i", "t", "sh"], "t", ("sh",)),
        (["-r", "/srv", "sh", "-l"], None, ("sh", "-l")),
        (["-r", "/srv", "--", "sh"], None, ("sh",)),
    ],
)
def test_words_are_an_image_and_a_command(words: list[str], image: str | None, command: tuple[str, ...]) -> None:
    options = options_of(consolecommands.ARGUMENTS["run"], *words)
    assert domaincommands.image_and_command(options) == (image, command)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [(["busybox", "--rm"], "stands behind the image"), (["busybox", "sh", "--", "ls"], "there are two commands")],
)
def test_what_can_only_be_a_slip_is_refused(words: list[str], complaint: str) -> None:
    with pytest.raises(InvalidArgumentError, match=complaint):
        domaincommands.image_and_command(options_of(consolecommands.ARGUMENTS["run"], *words))


def test_a_network_that_is_not_there_is_refused_and_the_hosts_is_had_otherwise() -> None:
    client = FakeClient(
        {
            Remote.NETWORK_LOOKUP_BY_NAME: NetworkNotFoundError("no network with matching name"),
            Remote.CONNECT_LIST_ALL_NETWORKS: SimpleNamespace(nets=()),
        }
    )
    for name, complaint in (("lan", "make one with: insula network create lan"), ("host", "--share-network shares")):
        options = options_of(domaincommands.ARGUMENTS["create"], "web", "busybox", "--network", name)
        with pytest.raises(NetworkNotFoundError, match=complaint):
            domaincommands.RUN["create"](options, client.host)
