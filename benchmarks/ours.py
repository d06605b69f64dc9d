"""Insula, measured two ways: calls on an open connection, and virsh as a whole command."""

import compileall
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import insula
from benchmarks.peers import PROBE, Runtime, command, domain_xml, expect_lines, proportional
from insula.engine.keeper.protocol import VERSION
from insula.layout import Layout
from insula.rpc.procedures import Insula, Remote
from insula.rpc.wiretypes import DomainRef
from insula.sdk.blocking import Blocking, connect


@dataclass
class InsulaCalls(Runtime):
    """A daemon on a prefix of its own; each verb is a call on one open connection, as a management program makes it."""

    name: str = "insula"
    layout: Layout = field(default_factory=Layout.system)
    daemon: "subprocess.Popen[bytes] | None" = None
    client: Blocking | None = None
    root: Path = field(default_factory=Path)
    log: Path = field(default_factory=Path)
    own: threading.local = field(default_factory=threading.local)
    opened: list[Blocking] = field(default_factory=list)

    def missing(self) -> str | None:
        return None

    def prepare(self, root: Path, work: Path) -> None:
        self.root = root
        # As an installer leaves it: else each start of a daemon would compile its modules where nothing writes them.
        compileall.compile_dir(Path(insula.__file__).parent, quiet=2)
        self.layout = Layout.prefix(work / self.name.split()[0])
        run = self.layout.run.parent
        run.mkdir(parents=True)
        command("mount", "-t", "tmpfs", "tmpfs", run)  # as /run is on an installed system
        self.log = work / f"{self.layout.root.name}.log"
        self.begin()

    def begin(self) -> None:
        """Start the daemon, and return once it answers."""
        with self.log.open("ab") as log:
            self.daemon = subprocess.Popen(
                self.words(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 60
        while self.client is None:
            try:
                self.client = connect(self.layout)
            except Exception:
                if time.monotonic() > deadline or self.daemon.poll() is not None:
                    raise
                time.sleep(0.001)

    def words(self) -> list[str]:
        """The command that is the daemon."""
        beside = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        program = shutil.which("insulad", path=beside)
        if program is None:
            raise RuntimeError(f"there is no insulad in {beside}")
        return [program, "--prefix", str(self.layout.root)]

    def kill(self) -> None:
        """Kill the daemon; guests go on."""
        assert self.client is not None
        assert self.daemon is not None
        self.client.close()
        self.client = None
        self.daemon.kill()
        self.daemon.wait()

    @property
    def uri(self) -> str:
        return f"lxc:///system?socket={self.layout.socket}"

    def virsh(self, *arguments: str) -> str:
        return command("virsh", "-q", "-c", self.uri, *arguments)

    def worked(self) -> float:
        """Seconds of processor time of the daemon so far. Source: proc_pid_stat(5), fields 14 and 15."""
        assert self.daemon is not None
        fields = Path(f"/proc/{self.daemon.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def connection(self) -> Blocking:
        """The calling thread's connection."""
        if threading.current_thread() is threading.main_thread():
            assert self.client is not None
            return self.client
        if not hasattr(self.own, "client"):
            self.own.client = connect(self.layout)
            self.opened.append(self.own.client)
        client: Blocking = self.own.client
        return client

    def call(self, *arguments: object) -> object:
        return self.connection().call(*arguments)  # type: ignore[arg-type]

    def domain(self, name: str) -> DomainRef:
        return DomainRef(*self.connection().call(Remote.DOMAIN_LOOKUP_BY_NAME, name))

    def make(self, name: str) -> None:
        self.call(Remote.DOMAIN_DEFINE_XML, domain_xml(name, self.root))

    def forget(self, name: str) -> None:
        self.call(Remote.DOMAIN_UNDEFINE, self.domain(name))

    def start(self, name: str) -> None:
        self.call(Remote.DOMAIN_CREATE, self.domain(name))

    def settle(self, name: str) -> None:
        return

    def execute(self, name: str) -> None:
        assert self.client is not None
        with open(os.devnull, "r+b") as null:
            request = json.dumps({"argv": PROBE})
            started, _ = self.client.call_with_fds(
                Insula.DOMAIN_EXEC, self.domain(name), request, 0, fds=(null.fileno(),) * 3
            )
        if self.client.call(Insula.EXEC_WAIT, started.exec):
            raise RuntimeError("the command failed inside")

    def destroy(self, name: str) -> None:
        self.call(Remote.DOMAIN_DESTROY, self.domain(name))

    def listing(self, count: int) -> None:
        assert self.client is not None
        domains, _ = self.client.call(Remote.CONNECT_LIST_ALL_DOMAINS, 1, 0)
        expect_lines("\n".join(each.name for each in domains), count)

    def resident(self, names: Sequence[str]) -> int:
        """The daemon and the keeper: nothing else of ours is there."""
        assert self.daemon is not None
        return proportional([self.daemon.pid, keeper_pid(self.layout)])

    def finish(self) -> None:
        for client in (*self.opened, *([] if self.client is None else [self.client])):
            client.close()
        if self.daemon is not None:
            self.daemon.send_signal(signal.SIGTERM)
            self.daemon.wait(30)
            command("umount", self.layout.run.parent)
        shutil.rmtree(self.layout.root, ignore_errors=True)


@dataclass
class InsulaVirsh(InsulaCalls):
    """The same daemon program on another prefix, driven by virsh: whole commands, as libvirt-lxc is measured."""

    most: ClassVar[int] = 100
    name: str = "insula (virsh)"

    def prepare(self, root: Path, work: Path) -> None:
        (work / "virsh").mkdir()
        super().prepare(root, work / "virsh")

    def start(self, name: str) -> None:
        self.virsh("start", name)

    def execute(self, name: str) -> None:
        self.virsh("lxc-enter-namespace", name, "--noseclabel", "--", *PROBE)

    def destroy(self, name: str) -> None:
        self.virsh("destroy", name)

    def listing(self, count: int) -> None:
        expect_lines(self.virsh("list", "--all"), count)


def keeper_pid(layout: Layout) -> int:
    """The pid behind the keeper's socket, from the kernel (unix(7), SO_PEERCRED)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        probe.connect(str(layout.keeper_socket(VERSION)))
        pid, _, _ = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(pid)
