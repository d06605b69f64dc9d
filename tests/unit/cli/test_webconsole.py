"""What a console in a browser needs, and the place it listens at."""

import asyncio
import builtins
import os
import re
import signal
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from insula.cli import webconsole
from insula.cli.webconsole import ASSETS, WebConsole, listening, require_parts
from insula.cli.webgate import FILES, ListeningPlace
from insula.errors import UnsupportedConfigError


def test_what_is_missing_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("websockets", "websockets.asyncio", "websockets.asyncio.server"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(webconsole, "ASSETS", tmp_path)
    (tmp_path / "page.html").touch()
    with pytest.raises(UnsupportedConfigError, match=r"page\.css, page\.js, xterm.*scripts/build-web"):
        require_parts()
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("websockets"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UnsupportedConfigError, match=r"pip install 'insula\[web\]'"):
        require_parts()


def test_the_page_loads_nothing_but_what_is_offered() -> None:
    page = (ASSETS / "page.html").read_text()
    assert set(re.findall(r'(?:src|href)="([^"]*)"', page)) == {*FILES} - {""}
    assert "<script>" not in page and "http" not in page + (ASSETS / "page.css").read_text()


def test_each_console_has_a_token_of_its_own_that_cannot_be_guessed() -> None:
    tokens = {WebConsole("/s", "web", None, force=False)._token for _ in range(10)}
    assert len(tokens) == 10 and all(re.fullmatch(r"[A-Za-z0-9_-]{43}", each) for each in tokens)


def test_a_path_is_for_its_owner_alone_and_what_is_there_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    for _ in range(2):  # the second time in the place of one that was left
        with listening(ListeningPlace(path=str(path))) as bound:
            assert bound.family == socket.AF_UNIX and path.stat().st_mode & 0o777 == 0o600
    path.unlink()
    path.write_text("precious")
    with pytest.raises(OSError, match="in use"):
        listening(ListeningPlace(path=str(path)))
    assert path.read_text() == "precious"


@pytest.mark.parametrize("waiting", [0, 1])
def test_where_somebody_listens_nobody_else_does(tmp_path: Path, waiting: int) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as other, socket.socket(socket.AF_UNIX) as client:
        other.bind(path)
        other.listen(0)
        if waiting:
            client.connect(path)  # which leaves no room for a second one
        with pytest.raises(OSError, match="in use"):
            listening(ListeningPlace(path=path))
        assert (tmp_path / "s").is_socket()


@pytest.mark.requires("websockets")
@pytest.mark.parametrize("replaced", [False, True])
def test_at_its_end_it_removes_what_it_made_and_nothing_else(
    tmp_path: Path, replaced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s"
    console = WebConsole("/nowhere", "web", None, force=False)

    def told(text: str, *, now: bool = False) -> None:
        if replaced and path.is_socket():
            path.unlink()
            path.write_text("another's")
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(webconsole, "show_line", told)
    asyncio.run(console.serve(ListeningPlace(path=str(path))))
    assert path.exists() is replaced


def test_a_port_is_bound_on_the_loopback() -> None:
    with listening(ListeningPlace()) as bound:
        assert bound.getsockname()[0] == "127.0.0.1" and bound.getsockname()[1] > 0
