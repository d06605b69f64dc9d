"""A browser without a screen, steered by its DevTools protocol over a WebSocket: types, looks, changes its window."""

import itertools
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.waiting import patience, scaled, until

_OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # the tests are root's
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-extensions",
    "--remote-debugging-port=0",
)


class RefusedCommandError(Exception):
    """The browser did not do what it was asked."""


class Page:
    """One page of the browser. connection: to its DevTools socket."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)

    def ask(self, method: str, **parameters: Any) -> Any:
        """Return the result of one command. Raises: RefusedCommandError."""
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            told = json.loads(self._connection.recv(timeout=patience(60)))
            if told.get("id") == number:
                if "error" in told:
                    raise RefusedCommandError(str(told["error"]))
                return told["result"]

    def value(self, expression: str) -> Any:
        """Return what an expression of the page's is; None while the page is loaded, or if it is nothing yet."""
        try:
            return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")
        except RefusedCommandError:
            return None

    def type(self, text: str) -> None:
        """Press keys; a line end is the enter key."""
        for piece in re.split(r"(\n)", text):
            if piece == "\n":
                for kind in ("keyDown", "keyUp"):
                    self.ask("Input.dispatchKeyEvent", type=kind, key="Enter", windowsVirtualKeyCode=13, text="\r")
            elif piece:
                self.ask("Input.insertText", text=piece)

    def resize(self, width: int, height: int) -> None:
        """Give the window another size, in pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", **size)


@contextmanager
def opened(url: str, directory: Path) -> Iterator[Page]:
    """Give the page at an address in a browser of its own, whose files are below directory."""
    from websockets.sync.client import connect

    log = (directory / "browser.log").open("wb")
    command = ("chromium", *_OPTIONS, f"--user-data-dir={directory / 'profile'}", "about:blank")
    browser = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        port_file = directory / "profile/DevToolsActivePort"
        until(lambda: port_file.exists() and "\n" in port_file.read_text(), "the browser's DevTools", 60)
        port = port_file.read_text().split()[0]
        target = _target(int(port), url)
        with connect(target, max_size=None, compression=None, open_timeout=scaled(30)) as connection:
            yield Page(connection)
    finally:
        browser.terminate()
        try:
            browser.wait(patience(20))
        except subprocess.TimeoutExpired:
            browser.kill()
            browser.wait()
        log.close()


def _target(port: int, url: str) -> str:
    """Open a page, and return the address of its DevTools socket."""
    from urllib.parse import quote
    from urllib.request import Request, urlopen

    request = Request(f"http://127.0.0.1:{port}/json/new?{quote(url, safe='')}", method="PUT")
    with urlopen(request, timeout=patience(60)) as answer:
        return str(json.load(answer)["webSocketDebuggerUrl"])
