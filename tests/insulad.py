"""A running insulad for a test: private prefix, private host, the real virsh and libvirt-python against it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from insula.engine.keeper.protocol import VERSION
from insula.layout import Layout
from tests import leaks, libvirt_python, truth, virshjobs
from tests.testhost import TestHost
from tests.waiting import patience, until

START = """
import sys
try:
    from insula.daemon.entry import main
except ImportError:  # a recorded build of before
    from insula.daemon.main import main
sys.exit(main())
"""


class Insulad:
    """One daemon below a prefix. It may be killed and started again; `close` removes all that it runs."""

    def __init__(self, *, host: TestHost, prefix: Path) -> None:
        self.host = host
        self.prefix = prefix
        self.layout = Layout.prefix(prefix)
        self.log = prefix.with_name(f"{prefix.name}.log")
        self.process: subprocess.Popen[bytes] | None = None
        self._there_before = {process.pid for process in leaks.descendants()}
        prefix.mkdir(exist_ok=True)

    @property
    def socket(self) -> Path:
        """The read-write socket."""
        return self.layout.socket

    @property
    def uri(self) -> str:
        return f"lxc+unix:///system?socket={self.layout.socket}"

    @property
    def uri_read_only(self) -> str:
        return f"lxc+unix:///system?socket={self.layout.socket_read_only}"

    @property
    def pid(self) -> int:
        """The daemon's process. Raises: AssertionError if it is not running."""
        assert self.process is not None, "insulad is not running"
        return self.process.pid

    def start(self, *options: str, python: str | Path = sys.executable) -> None:
        """Start the daemon and return once its socket accepts. python: an interpreter that finds another version."""
        assert self.process is None, "insulad runs already"
        with self.log.open("ab") as log:
            self.process = self.host.start(
                str(python), "-c", START, "--prefix", str(self.prefix), *options,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        until(self.answers, f"insulad accepting on {self.socket}", 10)

    def answers(self) -> bool:
        """Whether the daemon accepts. Raises: AssertionError if it has ended."""
        assert self.process is not None
        status = self.process.poll()
        assert status is None, f"insulad ended with {status} before it listened:\n{self.log_text()}"
        with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            client.connect(str(self.socket))
            return True
        return False

    def stop(self) -> int:
        """End the daemon politely and return its exit status; guests and keeper stay."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the daemon at once; guests and keeper stay."""
        self._end(signal.SIGKILL)

    def restart(self, *options: str) -> None:
        """Stop the daemon politely and start it again."""
        self.stop()
        self.start(*options)

    def reload(self, told: str = "the settings were read again") -> None:
        """Have the daemon read its settings and certificates again, and wait until it says what it did."""
        before = self.log_text(1 << 20).count(told)
        os.kill(self.pid, signal.SIGHUP)
        until(lambda: self.log_text(1 << 20).count(told) > before, f"the log's '{told}'", 30)

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None, "insulad is not running"
        self.process.send_signal(number)
        allowed = patience(15)
        try:
            return self.process.wait(timeout=allowed)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"insulad outlived {number.name} for {allowed:g} s:\n{self.log_text()}") from None
        finally:
            self.process = None

    def keeper_pid(self, version: int = VERSION) -> int | None:
        """Return the process that holds the listening socket of a version's keeper; None if nobody does.

        SO_PEERCRED would tell who called listen(2), which may have been the daemon, for the keeper it then started.
        """
        return self._listener_at(self.layout.keeper_socket(version))

    def view_pid(self) -> int | None:
        """Return the process of the machine view; None if there is none."""
        return self._listener_at(self.layout.view_socket)

    def _listener_at(self, path: Path) -> int | None:
        holders = [process for process in leaks.descendants() if _listens(process.pid, path)]
        others = [process for process in holders if process.pid != (self.process.pid if self.process else None)]
        return min(others, key=lambda process: int(process.started)).pid if others else None

    def virsh(
        self,
        *words: str,
        check: bool = True,
        read_only: bool = False,
        stdin: str | None = None,
        program: str | Path = "virsh",
        seconds: float = 30,
    ) -> subprocess.CompletedProcess[str]:
        """Run virsh against this daemon and return its result as text.

        program: another virsh (`sideload.found("virsh-12")`); seconds: on a usual host, stretched by the scale.
        Raises: AssertionError with both outputs and the daemon's log if check is on and virsh fails.
        """
        mode = ("--readonly", "-c", self.uri_read_only) if read_only else ("-c", self.uri)
        result = subprocess.run(
            [str(program), *mode, *words],
            input=stdin if stdin is not None else "",
            capture_output=True, text=True, check=False, timeout=patience(seconds),
            env={**os.environ, "LC_ALL": "C", **virshjobs.environment(words)},
        )  # fmt: skip
        if check and result.returncode:
            raise AssertionError(
                f"virsh {' '.join(words)} ended with {result.returncode}:\n{result.stdout}{result.stderr}\n"
                f"insulad's log:\n{self.log_text()}"
            )
        return result

    def define(self, xml: str) -> None:
        """Define a domain from XML with virsh."""
        file = self.prefix / "definition.xml"
        file.write_text(xml)
        self.virsh("define", str(file))
        file.unlink()

    def connect(self, *, read_only: bool = False) -> Any:
        """Return a libvirt-python connection (virConnect); the test closes it.

        Raises: ImportError where the distribution's libvirt-python is not built for this interpreter.
        """
        libvirt = libvirt_python.load()
        return libvirt.openReadOnly(self.uri_read_only) if read_only else libvirt.open(self.uri)

    def log_text(self, last: int = 8000) -> str:
        """Return the end of what the daemon and its children wrote to stdout and stderr."""
        return self.log.read_text(errors="replace")[-last:] if self.log.exists() else ""

    def close(self) -> None:
        """See that what is shown is true; destroy domains and networks, stop daemon and keeper, and see them gone.

        Raises: AssertionError if the daemon or its keeper could not do it; whatever is left has been killed by then.
        """
        try:
            if self.process is None:
                self.start()
            truth.check(self.layout)
            for name in self.virsh("list", "--name").stdout.split():
                self.virsh("destroy", name, check=False)  # it may end by itself meanwhile
            assert not (left := self.virsh("list", "--name").stdout.split()), f"still running after destroy: {left}"
            for name in self.virsh("net-list", "--name").stdout.split():
                self.virsh("net-destroy", name)
            ours = {"keeper": self.keeper_pid(), "view": self.view_pid()}
            self.stop()
            for what, pid in ours.items():
                if pid is not None:
                    self._end_process(what, pid)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Kill all that was started since this object was made, and not yet gone."""
        for process in leaks.descendants():
            if process.pid not in self._there_before:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
            self.process = None

    def _end_process(self, what: str, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        until(lambda: leaks.is_gone(pid), f"the end of the {what} {pid} after SIGTERM")


def _listens(pid: int, path: Path) -> bool:
    """Return whether a process holds the socket that listens at path. Source: proc_pid_net(5), "unix"."""
    listening, held = set[str](), set[str]()
    with contextlib.suppress(OSError):
        table = [line.split() for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()]
        listening = {f"socket:[{row[6]}]" for row in table if row[-1] == str(path) and row[3] == "00010000"}
        for fd in os.listdir(f"/proc/{pid}/fd") if listening else ():
            with contextlib.suppress(FileNotFoundError):  # closed since it was listed
                held.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return bool(listening & held)
