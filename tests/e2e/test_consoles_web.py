"""A console in a browser: typed at, resized, reloaded; who has not the address, or comes from elsewhere, is refused."""

import http.client
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests import browser
from tests.e2e.guests import domain_xml, inside, insula, insula_terminal
from tests.insulad import Insulad
from tests.waiting import patience, scaled, until

pytestmark = [pytest.mark.requires("virsh", "overlay.idmapped", "websockets", "xterm.js"), pytest.mark.timeout(240)]

SCREEN = "Array.from({length: terminal.rows}, (_, row) => terminal.buffer.active.getLine("
SCREEN += "terminal.buffer.active.viewportY + row)?.translateToString(true)).join('\\n')"


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path) -> str:
    insulad.define(domain_xml("bb", busybox_root))
    insulad.virsh("start", "bb")
    return "bb"


@contextmanager
def offered(insulad: Insulad, *words: str) -> Iterator[str]:
    """Give the address at which a console is offered."""
    with insula_terminal(insulad, "console", "--web", *words) as terminal:
        url = terminal.expect(r"http://\S+/", 30)
        terminal.expect("Ctrl-C ends it")
        yield url
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.end() == 0


@pytest.mark.requires("chromium")
def test_a_browser_logs_in_types_resizes_and_sees_the_guest_go_and_come(
    insulad: Insulad, guest: str, scratch: Path
) -> None:
    with offered(insulad, guest) as url, browser.opened(url, scratch) as page:

        def shows(pattern: str) -> None:
            until(lambda: re.search(pattern, str(page.value(SCREEN))), f"{pattern} on the page", 60)

        shows("login: ")
        page.type("root\n")
        shows("# ")
        page.type("echo grüße $((6*7))\n")
        shows("grüße 42")
        sizes = []
        for width, height in ((1000, 700), (600, 400)):
            page.resize(width, height)

            def told() -> bool:
                size = f"{page.value('terminal.rows')} {page.value('terminal.cols')}"
                seen = inside(insulad, guest, "sh", "-c", "stty size < /dev/console").strip()
                return size == seen and seen not in sizes

            until(told, "the guest's terminal being as large as the page", 60)
            sizes.append(inside(insulad, guest, "sh", "-c", "stty size < /dev/console").strip())
        page.ask("Page.reload")
        shows("grüße 42")  # what was printed is shown again
        insulad.kill()
        until(lambda: page.value("state.className") == "lost", "the page saying so", 60)
        insulad.start()
        until(lambda: page.value("state.className") == "on", "the page being back", 60)
        shows("grüße 42")
        page.type("echo and on $((6*8))\n")
        shows("and on 48")
        insulad.virsh("destroy", guest)
        until(lambda: "waiting for its start" in str(page.value("state.textContent")), "the page saying so", 60)
        insulad.virsh("start", guest)
        shows("login: ")
        page.type("root\n")
        shows("# ")


def status(url: str, path: str | None = None, **headers: str) -> int:
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.netloc, timeout=patience(20))
    try:
        connection.putrequest("GET", where.path if path is None else path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def test_without_the_address_or_from_elsewhere_nothing_is_answered(insulad: Insulad, guest: str) -> None:
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    with offered(insulad, guest) as url:
        local = urlsplit(url).netloc
        assert status(url) == 200 and status(url, Host=local) == 200
        for path in ("/", "/line", f"{urlsplit(url).path}../../etc/passwd", f"{urlsplit(url).path[:-2]}/"):
            assert status(url, path) == 404, path
        assert status(url, Host="evil.example:80") == 403
        assert status(url, Origin="http://evil.example") == 403
        line = url.replace("http://", "ws://") + "line"
        for origin in ("http://evil.example", "null", None):
            with pytest.raises(InvalidStatus, match="403"):
                connect(line, origin=origin, compression=None, open_timeout=scaled(20))
        with connect(line, origin=f"http://{local}", compression=None, open_timeout=scaled(20)) as ours:
            assert '"on"' in str(ours.recv(timeout=patience(20)))


def until_closed(page: Any) -> None:
    while True:
        page.recv(timeout=patience(20))


def test_a_page_that_shows_nothing_holds_the_guest_and_one_that_talks_nonsense_is_left(
    insulad: Insulad, guest: str
) -> None:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    with offered(insulad, guest) as url:
        line, origin = url.replace("http://", "ws://") + "line", f"http://{urlsplit(url).netloc}"
        with connect(line, origin=origin, compression=None, open_timeout=scaled(20)) as page:
            page.send("{")
            with pytest.raises(ConnectionClosed, match="not what the page says"):
                until_closed(page)
        with connect(line, origin=origin, compression=None, open_timeout=scaled(20)) as page:
            page.send('{"rows": 24, "columns": 80}')
            with connect(line, origin=origin, compression=None, open_timeout=scaled(20)) as other:
                with pytest.raises(ConnectionClosed, match="opened elsewhere"):
                    until_closed(page)
                assert '"on"' in str(other.recv(timeout=patience(20)))


def test_a_socket_and_what_others_reach_are_told_apart(insulad: Insulad, guest: str, scratch: Path) -> None:
    refused = insula(insulad, "console", "--web", "--listen", "192.0.2.1:80", guest, check=False)
    assert refused.returncode != 0 and "on the loopback only" in refused.stderr
    path = scratch / "web"
    with insula_terminal(insulad, "console", "--web", "--listen", str(path), guest) as terminal:
        terminal.expect("Ctrl-C ends it", 30)
        assert path.stat().st_mode & 0o777 == 0o600
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.end() == 0
    assert not path.exists()


def test_without_the_library_it_says_what_to_install(insulad: Insulad, guest: str) -> None:
    without = "import sys; sys.modules['websockets.asyncio.server'] = None; from insula.cli.main import main; main()"
    command = [sys.executable, "-c", without, "--prefix", str(insulad.prefix), "console", "--web", guest]
    refused = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience(60))
    assert refused.returncode != 0 and "pip install 'insula[web]'" in refused.stderr
