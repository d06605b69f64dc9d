import io
import os
import socket
import tarfile
from pathlib import Path

import pytest

from insula.cli import copycommand
from insula.cli.copycommand import _end, _send
from insula.errors import InvalidArgumentError
from tests.unit.cli.fake_client import FakeClient
from tests.unit.cli.options import options_of


@pytest.mark.parametrize(
    ("text", "guest", "path"),
    [
        ("web:/etc", "web", "/etc"),
        ("web:/srv/./x/../y/", "web", "/srv/y/"),
        ("web:/", "web", "/"),
        ("/srv/a:b", None, "/srv/a:b"),
        ("./a:b", None, "./a:b"),
        ("plain", None, "plain"),
    ],
)
def test_an_end_is_a_guests_or_the_hosts(text: str, guest: str | None, path: str) -> None:
    assert _end(text) == (guest, path)


@pytest.mark.parametrize(
    ("words", "reason"),
    [(("a", "b"), "DOMAIN:PATH"), (("a:/x", "b:/y"), "DOMAIN:PATH"), (("web:x", "."), "relative path")],
)
def test_what_is_no_copy_between_host_and_guest_is_refused(words: tuple[str, str], reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        copycommand.RUN["cp"](options_of(copycommand.ARGUMENTS["cp"], *words), FakeClient({}).host)


def test_what_is_sent_belongs_to_root_and_gives_no_rights(tmp_path: Path) -> None:
    source = tmp_path / "tree"
    source.mkdir()
    (source / "program").write_text("x")
    (source / "program").chmod(0o6755)
    (source / "link").symlink_to("program")
    os.mkfifo(source / "pipe")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(source / "sock"))
    sent = io.BytesIO()
    assert _send(sent, source, "new") == 1  # what is a socket, the library leaves out by itself
    listening.close()
    sent.seek(0)
    with tarfile.open(fileobj=sent) as archive:
        found = {each.name: each for each in archive.getmembers()}
    assert set(found) == {"new", "new/program", "new/link"}
    assert found["new/program"].mode == 0o755 and found["new/link"].linkname == "program"
    assert {(each.uid, each.gid, each.uname) for each in found.values()} == {(0, 0, "")}


def test_a_link_that_is_named_itself_is_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    sent = io.BytesIO()
    _send(sent, tmp_path / "link", "link")
    sent.seek(0)
    with tarfile.open(fileobj=sent) as archive:
        assert archive.getmember("link").isreg()


@pytest.mark.parametrize("ends", [("web:/etc", "-"), ("-", "web:/etc"), ("web:-", "-")])
def test_a_dash_is_no_file_by_accident(ends: tuple[str, str]) -> None:
    with pytest.raises(InvalidArgumentError, match=r"a file called - is ./- here; .* insula exec DOMAIN -- tar"):
        copycommand.RUN["cp"](options_of(copycommand.ARGUMENTS["cp"], *ends), FakeClient({}).host)
