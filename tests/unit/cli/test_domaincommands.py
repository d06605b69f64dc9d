import pytest

from insula.cli import domaincommands
from insula.errors import DomainExistsError, DomainNotFoundError, ImageNotFoundError, InsulaError, StepError
from insula.rpc.procedures import Insula, Remote
from tests.unit.cli.fake_client import WEB, FakeClient
from tests.unit.cli.options import options_of

IMAGES = '[{"name": "busybox"}]'


def _run(verb: str, client: FakeClient, *words: str) -> int:
    return domaincommands.RUN[verb](options_of(domaincommands.ARGUMENTS[verb], *words), client.host)


def test_create_defines_what_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    client = FakeClient({Insula.IMAGE_LIST: IMAGES, Remote.DOMAIN_DEFINE_XML_FLAGS: WEB})
    assert (
        _run("create", client, "web", "-i", "busybox", "-m", "64m", "-v", "/srv:/data:ro", "--", "/bin/sh", "-c") == 0
    )
    xml = client.made(Remote.DOMAIN_DEFINE_XML_FLAGS)[0][0]
    assert "<memory unit='KiB'>65536</memory>" in xml and "<initarg>-c</initarg>" in xml and "<readonly/>" in xml
    assert capsys.readouterr().out == "web\n"


@pytest.mark.parametrize(("there", "expected"), [(WEB, DomainExistsError), (DomainNotFoundError("web"), StepError)])
def test_create_tells_a_name_that_is_taken_from_other_failures(there: object, expected: type[InsulaError]) -> None:
    refused = StepError("refused")
    client = FakeClient(
        {
            Insula.IMAGE_LIST: IMAGES,
            Remote.DOMAIN_DEFINE_XML_FLAGS: refused,
            Remote.DOMAIN_LOOKUP_BY_NAME: there,
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


def test_a_transient_domain_is_gone_once_destroyed() -> None:
    client = FakeClient(
        {
            Remote.DOMAIN_LOOKUP_BY_NAME: WEB,
            Remote.DOMAIN_IS_ACTIVE: 1,
            Remote.DOMAIN_IS_PERSISTENT: 0,
            Remote.DOMAIN_DESTROY_FLAGS: None,
        }
    )
    assert _run("rm", client, "-f", "web") == 0


def test_an_image_that_there_is_not_is_refused_with_those_there_are() -> None:
    client = FakeClient({Insula.IMAGE_LIST: IMAGES})
    with pytest.raises(ImageNotFoundError, match="no image is called 'debian'; there are busybox; build one with"):
        _run("create", client, "web", "-i", "debian")
    assert client.made(Remote.DOMAIN_DEFINE_XML_FLAGS) == []
    with pytest.raises(ImageNotFoundError, match="there is none yet"):
        _run("create", FakeClient({Insula.IMAGE_LIST: "[]"}), "web", "-i", "debian")
