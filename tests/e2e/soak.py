"""A soak: many guests in one daemon, several clients at once that ask whatever a seed has them ask, and deaths.

`VIRSH` and `INSULA` are the tables of what is asked; {g} is a guest's UUID. Any answer will do that is an answer: who
is asked to pause what does not run may refuse. What may not be is judged by tests/e2e/test_soak.py.
"""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from insula.engine.launch.guestlabels import guest_labels
from insula.kernel.cgroups import Hierarchies
from tests import truth, virshjobs
from tests.e2e.guests import Terminal, copy_tree
from tests.insulad import Insulad
from tests.waiting import scaled, until

NETWORKS = {
    "soak": "<network><name>soak</name><bridge name='soak0'/><forward mode='nat'/><ip address='10.77.0.1' "
    "netmask='255.255.255.0'><dhcp><range start='10.77.0.2' end='10.77.0.250'/></dhcp></ip></network>",
    "brief": "<network><name>brief</name><bridge name='brief0'/><ip address='10.78.0.1' netmask='255.255.255.0'/>"
    "</network>",
}
HANGS = 150.0
"""Seconds of a usual host within which whatever is asked is answered."""
LIFE = ("start", "start --paused", "destroy", "shutdown", "reboot", "reset", "suspend", "resume")
VIRSH = (
    *(f"{verb} {{g}}" for verb in LIFE),
    *(f"{verb} {{g}}" for verb in ("start", "start", "start", "resume", "resume")),  # so that most of them run
    "setmem {g} {mib}MiB --live", "setmem {g} {mib}MiB --config", "memtune {g} --hard-limit {mib}MiB",
    "domjobabort {g}", "setvcpus {g} 1 --live", "setvcpus {g} 2 --live", "setvcpus {g} 2 --config",
    "vcpupin {g} 0 {cpu} --live", "schedinfo {g} --set cpu_shares={mib} --live", "blkiotune {g} --weight 300",
    "emulatorpin {g} {cpu} --live", "attach-device {g} {directory} --live",
    "attach-device {g} {directory} --live --config", "detach-device {g} {directory} --live",
    "detach-device {g} {directory} --config", "attach-device {g} {null} --live", "detach-device {g} {null} --live",
    "attach-disk {g} {image} vdb --live", "detach-disk {g} vdb --live",
    "attach-interface {g} network soak --mac {mac} --live", "detach-interface {g} network --mac {mac} --live",
    "attach-interface {g} network brief --mac {mac} --config", "detach-interface {g} network --mac {mac} --config",
    "domif-setlink {g} {mac} down", "domif-setlink {g} {mac} up", "domiftune {g} {mac} --inbound 1000 --live",
    "net-destroy brief", "net-start brief", "net-start brief", "net-list --all", "net-dhcp-leases soak",
    "net-dumpxml soak", "net-update soak add ip-dhcp-host <host\\ mac='{mac}'\\ ip='10.77.0.9'/> --live",
    "net-update soak delete ip-dhcp-host <host\\ mac='{mac}'/> --live", "autostart {g}", "autostart {g} --disable",
    "set-lifecycle-action {g} reboot restart --live", "desc {g} --title t{mib}",
    "metadata {g} urn:soak --key k --set <a>{mib}</a>", "domrename {g} {other}", "undefine {g}",
    "define {definition}", "define {definition}", "dumpxml {g}", "dominfo {g}", "domstats", "domstats {g}",
    "domstats --nowait --vcpu --balloon", "guestinfo {g}", "domfsinfo {g}", "domifaddr {g} --source agent",
    "domiflist {g}", "domblklist {g}", "vcpuinfo {g}", "cpu-stats {g}", "dommemstat {g}", "domjobinfo {g}",
    "domtime {g}", "domfsfreeze {g}", "domfsthaw {g}", "domfsthaw {g}", "list --all", "domstate {g} --reason",
    "nodeinfo", "send-process-signal {g} 1 winch", "dump {g} {dump}", "set-user-password {g} root secret",
    "event --all --timeout 1",
)  # fmt: skip
INSULA = (
    "ls --all", "ps {g}", "info {g}", "stats", "network ls", "plan {g}", "log {g}", "pause {g}", "resume {g}",
    "start {g}", "start {g}", "kill {g}", "stop {g} --time 3", "set {g} --pids 300", "exec {g} -- true",
    "exec {g} -- ls /", "exec --detach {g} -- sleep 30", "exec {g} -- reboot -f", "exec {g} -- poweroff -f",
    "exec {g} -- reboot", "exec {g} -- kill -9 -1",
    "exec {g} -- sh -c 'dd if=/dev/zero of=/tmp/f bs=1M count=8; sync; rm /tmp/f'",
    "exec {g} -- sh -c 'x=0; while [ $x -lt 20 ]; do sleep 20 & x=$((x+1)); done'",
    "exec {g} -- sh -c 'udhcpc -nq -t 2 -i eth0'",
)  # fmt: skip
_DEATH = r"client socket is closed|received hangup"
"""What libvirt's library calls an internal error is the death of the daemon."""
KEPT_PROGRAM = "/memfd:insula-entering"
"""Files of programs that the daemon keeps for those who enter in the same way again (`engine.launch.entrance`)."""
INTERNAL = re.compile(rf"internal error(?!: ({_DEATH}))|Traceback|unexpected|unknown", re.IGNORECASE)
"""Words by which a fault of ours would show itself among the answers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Guest:
    """One of the guests of a soak. number: from 1; definition: the file of its document."""

    number: int
    uuid: UUID
    definition: Path

    @property
    def mac(self) -> str:
        return f"52:54:00:77:00:{self.number:02x}"


class Soak:
    """A daemon with its guests and those who ask. trouble: what was seen that may never be."""

    def __init__(self, insulad: Insulad, root: Path, scratch: Path, *, guests: int, seed: int) -> None:
        self._insulad, self._scratch, self.seed = insulad, scratch, seed
        self.trouble: list[str] = []
        self.asked: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.deaths: Counter[str] = Counter()
        self._begun = time.monotonic()
        self._over, self._served = threading.Event(), threading.Event()
        self._served.set()
        self._lock = threading.Lock()
        self.guests = [self._guest(root, number) for number in range(1, guests + 1)]
        self._files = self._devices()
        for name, document in NETWORKS.items():
            file = scratch / f"{name}.xml"
            file.write_text(document)
            insulad.virsh("net-define", str(file))
            insulad.virsh("net-start", name)
        for guest in self.guests:
            insulad.virsh("define", str(guest.definition))

    def _guest(self, root: Path, number: int) -> Guest:
        tree = copy_tree(root, self._scratch / f"root{number}")
        uuid = UUID(int=0x50AC0000_0000_4000_8000_000000000000 + number)
        file = self._scratch / f"guest{number}.xml"
        file.write_text(
            f"<domain type='lxc'><name>g{number}</name><uuid>{uuid}</uuid><memory unit='MiB'>128</memory>"
            f"<vcpu>2</vcpu><os><type>exe</type><init>/sbin/init</init></os><devices>"
            f"<filesystem type='mount'><source dir='{tree}'/><target dir='/'/></filesystem>"
            f"<interface type='network'><source network='soak'/>"
            f"<mac address='52:54:00:78:00:{number:02x}'/></interface>"
            "<console type='pty'/></devices></domain>"
        )
        return Guest(number=number, uuid=uuid, definition=file)

    def _devices(self) -> dict[str, str]:
        shown = self._scratch / "shown"
        shown.mkdir()
        documents = {
            "directory": f"<filesystem type='mount'><source dir='{shown}'/><target dir='/mnt'/></filesystem>",
            "null": "<hostdev mode='capabilities' type='misc'><source><char>/dev/null</char></source></hostdev>",
        }
        for name, document in documents.items():
            (self._scratch / f"{name}.xml").write_text(document)
        image = self._scratch / "disk.img"
        image.write_bytes(b"")
        os.truncate(image, 8 << 20)
        return {name: str(self._scratch / f"{name}.xml") for name in documents} | {"image": str(image)}

    # Who asks

    def run(self, seconds: float, *, clients: int) -> None:
        """Have clients ask and processes die for so long; return once all of them have got their last answer."""
        asking: list[Callable[[random.Random], None]] = [self._by_virsh] * (clients - clients // 2)
        asking += [self._by_insula] * (clients // 4) + [self._by_console]
        threads = [
            threading.Thread(target=self._ask, args=(each, random.Random(f"{self.seed}/{number}")))
            for number, each in enumerate(asking)
        ]
        threads.append(threading.Thread(target=self._kill_guests, args=(random.Random(f"{self.seed}/guests"),)))
        bound = subprocess.Popen(
            ["/usr/bin/python3", str(Path(__file__).with_name("soakclient.py")), self._insulad.uri, str(self.seed)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.PIPE,
        )  # fmt: skip
        for thread in threads:
            thread.start()
        try:
            self._kill_daemons(random.Random(f"{self.seed}/daemons"), seconds)
        finally:
            self._over.set()
            self._served.set()
            for thread in threads:
                thread.join()
            try:
                said = bound.communicate("", timeout=scaled(HANGS))[0]
            except subprocess.TimeoutExpired:
                bound.kill()
                said = f"TROUBLE libvirt-python got no answer\n{bound.communicate()[0]}"
        if bound.returncode or "TROUBLE" in said:
            self._tell(f"libvirt-python: {said[-1900:]}")
        for line in said.splitlines():
            kind, _, text = line.partition(" ")
            number, _, text = text.partition(" ")
            if kind in ("asked", "refused"):
                (self.asked if kind == "asked" else self.refused)[f"libvirt-python {text}"] += int(number)

    def _tell(self, text: str) -> None:
        """Take down what may never be, and show it at once: a soak is long."""
        self.trouble.append(text[:2000])
        print(f"{time.monotonic() - self._begun:.0f} s: {text[:2000]}", flush=True)

    def _ask(self, one: Callable[[random.Random], None], chance: random.Random) -> None:
        while not self._over.is_set():
            self._served.wait()
            try:
                one(chance)
            except Exception as error:  # whatever it is, it is told, and the others go on
                self._tell(f"{one.__name__}: {error!r}")
                time.sleep(1)

    def _words(self, chance: random.Random, table: tuple[str, ...]) -> list[str]:
        guest, line = chance.choice(self.guests), chance.choice(table)
        filled = {
            **self._files, "g": guest.uuid, "mac": guest.mac, "definition": guest.definition,
            "mib": chance.choice((8, 24, 48, 96, 128, 200)), "cpu": chance.choice(("0", "0-1", "1")),
            "other": f"g{guest.number}{chance.choice(('', 'x'))}",
            "dump": self._scratch / f"dump{threading.get_ident()}",
        }  # fmt: skip
        return [each.format(**filled) for each in _split(line)]

    def _by_virsh(self, chance: random.Random) -> None:
        words = self._words(chance, VIRSH)
        self._run(["virsh", "-q", "-c", self._insulad.uri, *words], f"virsh {words[0]}")

    def _by_insula(self, chance: random.Random) -> None:
        words = self._words(chance, INSULA)
        program = [sys.executable, "-m", "insula.cli.main", "--prefix", str(self._insulad.prefix)]
        self._run([*program, *words], f"insula {words[0]}")

    def _run(self, command: list[str], title: str) -> None:
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=scaled(HANGS), check=False, stdin=subprocess.DEVNULL,
                env={**os.environ, "LC_ALL": "C", **virshjobs.environment(command)}, start_new_session=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            self._tell(f"no answer within {scaled(HANGS):g} s: {' '.join(command[3:])}")
            return
        said = done.stderr.decode(errors="replace")
        with self._lock:
            self.asked[title] += 1
            if done.returncode:
                self.refused[f"{title}: {_plain(said)}"] += 1
        if done.returncode < 0 and done.returncode != -signal.SIGPIPE:  # virsh's way if the daemon dies under it
            self._tell(f"{title} was ended by signal {-done.returncode}: {said[-500:]}")

    def _by_console(self, chance: random.Random) -> None:
        """Look at a console, type, and go away in one of the ways that there are."""
        guest = chance.choice(self.guests)
        terminal = Terminal(
            "virsh", "-q", "-c", self._insulad.uri, "console", str(guest.uuid), *["--force"] * chance.randint(0, 1)
        )
        try:
            time.sleep(chance.random())
            with contextlib.suppress(OSError):
                terminal.type("root\rps\r")
            time.sleep(chance.random())
            if chance.random() < 0.3:
                terminal.hang_up()
        finally:
            terminal.close()
        self.asked["virsh console"] += 1

    # Who dies

    def _kill_guests(self, chance: random.Random) -> None:
        while not self._over.wait(chance.uniform(3, 8)):
            with contextlib.suppress(OSError):
                living = truth.living(self._insulad.layout)
                if living:
                    os.kill(chance.choice(living).pid, signal.SIGKILL)
                    self.deaths["a guest's init"] += 1

    def _kill_daemons(self, chance: random.Random, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, chance.uniform(10, 40)))
            what = chance.choices(("kill", "stop", "keeper"), (6, 3, 1))[0]
            self.deaths[what] += 1
            if what == "keeper":
                if keeper := self._insulad.keeper_pid():
                    os.kill(keeper, signal.SIGKILL)
                continue
            self._served.clear()
            try:
                self._insulad.kill() if what == "kill" else self._insulad.stop()
            except AssertionError as error:
                self._tell(str(error))
            self._insulad.start()
            self._served.set()

    # What is left

    def settle(self) -> None:
        """See that what is shown is true; then remove all guests and networks. Raises: AssertionError."""
        truth.check(self._insulad.layout, seconds=60)
        self._insulad.virsh("list", "--all")
        for guest in self.guests:
            self._insulad.virsh("destroy", str(guest.uuid), check=False, seconds=HANGS)
            self._insulad.virsh("undefine", str(guest.uuid), check=False)
        left = self._insulad.virsh("list", "--all", "--name").stdout.split()
        assert not left, f"these are still there: {left}"
        for name in NETWORKS:
            self._insulad.virsh("net-destroy", name, check=False)
            self._insulad.virsh("net-undefine", name)

    def run_files(self) -> set[str]:
        """Return what the daemon keeps that is named after a guest: files of its run, its state and definitions."""
        layout = self._insulad.layout
        places = (layout.run, layout.state, layout.definitions, layout.network_definitions)
        found = (file for place in places if place.exists() for file in place.rglob("*"))
        named = {name for each in self.guests for name in (f"g{each.number}", f"g{each.number}x", str(each.uuid))}
        return {str(file) for file in found if named & {file.name, file.stem}}

    def groups(self) -> int:
        """Return how many control groups there are that belong to this installation's guests."""
        hierarchies = Hierarchies.detect()
        return len(guest_labels(hierarchies, str(self._insulad.layout.root)).living)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """What a process holds. descriptors: but for programs; programs: files of those kept; memory: KiB, resident."""

    descriptors: int
    programs: int
    threads: int
    memory: int

    @classmethod
    def of(cls, pid: int) -> "Measure":
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        programs = sum(name.startswith(KEPT_PROGRAM) for name in _open_files(pid))
        return cls(
            descriptors=len(os.listdir(f"/proc/{pid}/fd")) - programs,
            programs=programs,
            threads=int(status["Threads"]),
            memory=int(status["VmRSS"].split()[0]),
        )

    @classmethod
    def at_rest(cls, pid: int, *, at_most: int) -> "Measure":
        """Measure a process once it has no more descriptors than that, or the grace is over."""
        with contextlib.suppress(TimeoutError):
            until(lambda: cls.of(pid).descriptors <= at_most, "descriptors", 15)
        return cls.of(pid)


def held(pid: int) -> str:
    """Return what a process has open, in words: how often each."""
    found = Counter(re.sub(r"\d+", "N", name) for name in _open_files(pid))
    return ", ".join(f"{number} {name}" for name, number in found.most_common())


def _open_files(pid: int) -> Iterator[str]:
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            yield str(entry.readlink())


def _split(line: str) -> Iterator[str]:
    """Split at blanks but for those in quotes and behind a backslash."""
    for word in re.findall(r"(?:\\.|'[^']*'(?= |$)|[^ ])+", line):
        bare = word[1:-1] if word.startswith("'") and word.endswith("'") else word
        yield bare.replace("\\ ", " ")


def _plain(said: str) -> str:
    """Reduce an answer to its words: no UUIDs, no numbers, no paths."""
    last = [line for line in said.strip().splitlines() if line.strip()] or [""]
    return re.sub(
        r"/[\w./-]+", "PATH", re.sub(r"\b[0-9a-f]{8}-[0-9a-f-]{27}|\bg\d+x?\b|\d+", "N", " | ".join(last[-2:]))
    )[:300]
