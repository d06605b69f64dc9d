"""What end-to-end tests say to guests through virsh: definitions, states, consoles, commands inside."""

import asyncio
import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import insula as insula_sdk
from insula.engine.codec import encode
from insula.storage.builders.imagebuilder import Recipe
from insula.storage.imagestore import Image
from tests.insulad import Insulad
from tests.waiting import patience, scaled, until, until_heard


def domain_xml(
    name: str, root: Path, *, init: str = "/sbin/init", memory: int = 512, extra: str = "", settings: str = ""
) -> str:
    """A domain on a writable copy or tree of the test's own. memory: MiB; settings: our elements in the metadata."""
    ours = f"<insula:domain xmlns:insula='https://insula.dev/xmlns/domain/1'>{settings}</insula:domain>"
    return (
        f"<domain type='lxc'><name>{name}</name>{f'<metadata>{ours}</metadata>' if settings else ''}"
        f"<memory unit='MiB'>{memory}</memory>"
        f"<os><type>exe</type><init>{init}</init></os><devices>"
        f"<filesystem type='mount'><source dir='{root}'/><target dir='/'/></filesystem>"
        f"<console type='pty'/>{extra}</devices></domain>"
    )


def state(insulad: Insulad, name: str, *, reason: bool = False) -> str:
    """The domain's state as virsh prints it, `running` or `shut off (destroyed)`."""
    words = ("domstate", name, "--reason") if reason else ("domstate", name)
    return insulad.virsh(*words).stdout.strip()


def domain_id(insulad: Insulad, name: str) -> int | None:
    """The id virsh prints, None while it does not run."""
    text = insulad.virsh("domid", name).stdout.strip()
    return int(text) if text.isdigit() else None


def image_of(insulad: Insulad, root: Path) -> Path:
    """Make a tree the image `small`, as if it was built elsewhere; return its root's new place."""
    directory = insulad.layout.images / "small"
    directory.mkdir(parents=True)
    root.rename(directory / "rootfs")
    described = Image(
        name="small",
        id="1",
        recipe=Recipe(builder="busybox"),
        created="2026-01-01T00:00:00+00:00",
        size=1,
        os="",
        distribution="",
        release="",
        architecture="x86_64",
    )
    (directory / "image.json").write_text(json.dumps(encode(described)))
    return directory / "rootfs"


def insula(insulad: Insulad, *words: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run our command line against the test's daemon."""
    result = subprocess.run(
        [sys.executable, "-m", "insula.cli.main", "--prefix", str(insulad.prefix), *words],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(120),
    )
    if check and result.returncode:
        raise AssertionError(
            f"insula {' '.join(words)} ended with {result.returncode}:\n{result.stdout}{result.stderr}\n"
            f"insulad's log:\n{insulad.log_text()}"
        )
    return result


def inside(insulad: Insulad, name: str, *command: str, check: bool = True) -> str:
    """Run a command in the guest by our command line; return its output."""
    return insula(insulad, "exec", name, "--", *command, check=check).stdout


class Terminal:
    """A program at a terminal of its own, as a person would use it."""

    def __init__(self, *command: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def expect(self, pattern: str, seconds: float = 15) -> str:
        """Read until the pattern has come; return what matched, and forget everything up to its end."""
        deadline = time.monotonic() + patience(seconds)
        while not (match := re.search(pattern, self.seen)):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._master], [], [], left)[0]:
                raise AssertionError(f"'{pattern}' did not come; seen: {self.seen[-2000:]!r}")
            try:
                self.seen += os.read(self._master, 65536).decode(errors="replace")
            except OSError as error:
                raise AssertionError(f"the program ended before '{pattern}'; seen: {self.seen[-2000:]!r}") from error
        self.seen = self.seen[match.end() :]
        return match.group()

    def end(self) -> int:
        """Wait for the program to end by itself; return its exit status."""
        deadline = time.monotonic() + patience(15)
        while self.process.poll() is None:
            self._see()
            assert time.monotonic() < deadline, f"it did not end; seen: {self.seen[-2000:]!r}"
        return self.process.returncode

    def leave(self) -> int:
        """Leave `virsh console` as a person does, by Ctrl-] until it ends; return its exit status.

        It knows the key only as the first byte of what it reads at once.
        """
        deadline = time.monotonic() + patience(15)
        while self.process.poll() is None:
            self.type("\x1d")
            pause = time.monotonic() + scaled(0.5)
            while self.process.poll() is None and time.monotonic() < pause:
                self._see()
            assert time.monotonic() < deadline, f"it did not end; seen: {self.seen[-2000:]!r}"
        return self.process.returncode

    def _see(self) -> None:
        """Take in what comes within a moment."""
        if select.select([self._master], [], [], 0.05)[0]:
            with contextlib.suppress(OSError):
                self.seen += os.read(self._master, 65536).decode(errors="replace")

    def hang_up(self) -> None:
        """Let the terminal vanish, as when its window is closed, and wait for the program to notice."""
        os.close(self._master)
        self._master = -1
        self.process.wait(timeout=patience(15))

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self._master >= 0:
            os.close(self._master)


@contextlib.contextmanager
def virsh_console(insulad: Insulad, name: str, *options: str) -> Iterator[Terminal]:
    """`virsh console` at a terminal; Ctrl-] leaves."""
    terminal = Terminal("virsh", "-c", insulad.uri, "console", name, *options)
    try:
        terminal.expect("Connected to domain")
        yield terminal
    finally:
        terminal.close()


@contextlib.contextmanager
def insula_terminal(insulad: Insulad, *words: str) -> Iterator[Terminal]:
    """Our command line at a terminal."""
    terminal = Terminal(sys.executable, "-m", "insula.cli.main", "--prefix", str(insulad.prefix), *words)
    try:
        yield terminal
    finally:
        terminal.close()


def copy_tree(source: Path, target: Path) -> Path:
    """A writable copy of a shared root, owners and links kept, by reflink where the file system can."""
    subprocess.run(["cp", "-a", "--reflink=auto", f"{source}/.", str(target)], check=True)
    return target


def wait_state(insulad: Insulad, name: str, wanted: str, seconds: float = 30) -> None:
    until(lambda: state(insulad, name) == wanted, f"domain '{name}' being {wanted}", seconds)


def until_init_listens(pid: int | None) -> None:
    """Wait until busybox's init has said what it does for which signal, so that none is lost which ends the guest.

    It catches SIGTSTP then, and waits for the others. pid: the domain's id.
    """
    assert pid is not None
    until_heard(pid, signal.SIGTSTP)
    stat = Path(f"/proc/{pid}/stat")
    until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "S", f"the init {pid} waiting for signals")


def until_booted(insulad: Insulad, name: str) -> None:
    """Wait for the login prompt of a busybox guest, before which its init scripts have given it its host name."""
    log = insulad.layout.logs / f"{name}.console0.log"
    until(lambda: log.exists() and b"login:" in log.read_bytes(), f"the login prompt of '{name}'", 20)


def seen_by_both_faces(uri: str) -> list[str]:
    """Return the names of the domains that the SDK sees there, by its blocking face as by its other one."""

    async def ask() -> list[str]:
        async with await insula_sdk.connect_async(uri) as host:
            return [each.name for each in await host.domains()]

    with insula_sdk.connect(uri) as host:
        blocking = [each.name for each in host.domains()]
    assert asyncio.run(ask()) == blocking
    return blocking
