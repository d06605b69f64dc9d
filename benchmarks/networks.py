"""Measure what each way into a network costs, beside the bare host, in one run.

    unshare -m -n --propagation private .venv/bin/python -m benchmarks.networks
        [--rounds N] [--seconds S] [--only NAME]… [--json F] [--document F]

Everything happens in network namespaces of the benchmark's own: a host, and a machine beyond it at the far end of three
links. A program in the guest, entered as `insula exec` enters, is the client; its server is beyond the host. Ways are
measured in turns, so that what else the machine does falls on all alike. CPU is that of the whole machine, the server's
side included, so a part of it is the same for all. *Start added* is what a start takes longer than one of a guest that
has nothing but lo. --document: put the figures between the marks of a document.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from benchmarks import processor
from benchmarks.ours import InsulaCalls
from benchmarks.peers import command
from insula.kernel.process import CloneFlag, setns
from insula.rpc.procedures import Remote

PORT = 4711
_CHUNK = 1 << 17
_LEAST = 200
"""Questions, for the slowest hundredth to be something."""
_FIGURES = ("throughput", "CPU a byte", "connections", "latency p50", "latency p99", "start added")
_BEGIN, _END = "<!-- figures: networks -->\n", "<!-- end of figures -->\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """One way into a network. domain: what its definition has, None for no guest at all; server: whom the client calls;
    before: what has to be there; isolates: what of the network is the guest's own."""

    name: str
    devices: str | None
    settings: str = ""
    server: str
    isolates: str
    needs: str = ""


def _card(body: str, address: str, gateway: str | None = None, kind: str = "bridge") -> str:
    route = f"<route address='0.0.0.0' prefix='0' gateway='{gateway}'/>" if gateway else ""
    return f"<interface type='{kind}'>{body}<ip address='{address}' prefix='24'/>{route}<guest dev='eth0'/></interface>"


NOTHING = Way(name="nothing but lo", devices="", server="", isolates="")
WAYS = (
    Way(name="bare host", devices=None, server="198.18.0.1", isolates="nothing: no guest"),
    Way(
        name="share of the host's",
        devices="",
        settings="<insula:share-network addresses='198.18.0.3'/>",
        server="198.18.0.1",
        isolates="addresses, ports, loopback",
    ),
    Way(
        name="routed pair",
        devices=(
            "<interface type='ethernet'><source><ip address='169.254.1.1' prefix='32'/>"
            "<route address='198.18.0.4' prefix='32' gateway='198.18.0.4'/></source>"
            "<ip address='198.18.0.4' prefix='32'/>"
            "<route address='0.0.0.0' prefix='0' gateway='169.254.1.1'/><guest dev='eth0'/></interface>"
        ),
        server="198.18.0.1",
        isolates="interfaces, routes, rules, ports",
    ),
    Way(
        name="pair on a bridge",
        devices=_card("<source bridge='br0'/>", "198.18.1.5"),
        server="198.18.1.1",
        isolates="the same, in the LAN's Ethernet",
    ),
    Way(
        name="macvlan",
        devices=_card("<source dev='up2' mode='bridge'/>", "198.18.2.6", kind="direct"),
        server="198.18.2.1",
        isolates="the same; not reached from the host",
    ),
    Way(
        name="virtual network, NAT",
        devices=_card("<source network='bench'/>", "198.18.9.7", "198.18.9.1", kind="network"),
        server="198.18.0.1",
        isolates="the same, behind one address of the host",
    ),
    Way(
        name="Open vSwitch",
        devices=_card("<source bridge='ovs0'/><virtualport type='openvswitch'/>", "198.18.3.8"),
        server="198.18.3.1",
        isolates="as on a bridge",
        needs="ovs-vsctl",
    ),
)

NETWORK = """<network><name>bench</name><forward mode='nat'/><bridge stp='off'/>
<ip address='198.18.9.1' prefix='24'/></network>"""


def definition(name: str, way: Way, root: Path) -> str:
    """Return the domain that is plugged in that way."""
    return f"""<domain type='lxc' xmlns:insula='https://insula.dev/xmlns/domain/1'><name>{name}</name>
<metadata><insula:domain>{way.settings}</insula:domain></metadata><memory unit='MiB'>128</memory>
<os><type>exe</type><init>/bin/sleep</init><initarg>100000</initarg></os><devices>
<filesystem type='mount'><source dir='{root}'/><target dir='/'/></filesystem>{way.devices or ""}
<console type='pty'/></devices></domain>"""


class Beyond:
    """The machine at the far end of the links, and its servers."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(["unshare", "-n", "sleep", "1000000"])
        while os.readlink(f"/proc/{self.process.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            time.sleep(0.01)
        for number in range(4):
            command("ip", "link", "add", f"up{number}", "type", "veth", "peer", "name", f"down{number}")
            command("ip", "link", "set", f"down{number}", "netns", str(self.process.pid))
            self.run("ip", "address", "add", f"198.18.{number}.1/24", "dev", f"down{number}")
            self.run("ip", "link", "set", f"down{number}", "up")
            command("ip", "link", "set", f"up{number}", "up")
        # A process of its own, so that no client waits for the interpreter of its server.
        self.server = os.fork()
        if self.server == 0:
            with open(f"/proc/{self.process.pid}/ns/net") as namespace:
                setns(namespace.fileno(), CloneFlag.NEWNET)
            _serve(socket.create_server(("", PORT), backlog=4096))

    def run(self, *words: str) -> None:
        command("nsenter", f"--net=/proc/{self.process.pid}/ns/net", *words)

    def close(self) -> None:
        os.kill(self.server, signal.SIGKILL)
        os.waitpid(self.server, 0)
        self.process.kill()
        self.process.wait()


def _serve(listening: socket.socket) -> NoReturn:
    while True:
        accepted, _ = listening.accept()
        threading.Thread(target=_answer, args=(accepted,), daemon=True).start()


def _answer(accepted: socket.socket) -> None:
    """Do what the first byte asks for: swallow all that comes (b"s"), or answer each byte by one (b"e")."""
    room = bytearray(_CHUNK)
    with accepted:
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wish = accepted.recv(1)
        try:
            if wish == b"s":
                while accepted.recv_into(room):
                    pass
            elif wish == b"e":
                while byte := accepted.recv(1):
                    accepted.sendall(byte)
        except OSError:
            return


def measure(server: str, seconds: float) -> dict[str, float]:
    """Return a client's figures: bytes and connections a second, milliseconds of a question and its answer."""
    found: dict[str, float] = {}
    block = bytes(_CHUNK)
    with socket.create_connection((server, PORT)) as stream:
        stream.sendall(b"s")
        sent, began, worked = 0, time.perf_counter(), processor.used()
        while (passed := time.perf_counter() - began) < seconds:
            sent += stream.send(block)
        found["throughput"] = sent / passed
        found["CPU a byte"] = (processor.used() - worked) / sent
    number, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        socket.create_connection((server, PORT)).close()
        number += 1
    found["connections"] = number / passed
    taken: list[float] = []
    with socket.create_connection((server, PORT)) as asking:
        asking.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asking.sendall(b"e")
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end or len(taken) < _LEAST:
            asking.sendall(b"?")
            asking.recv(1)
            taken.append((time.perf_counter() - began) * 1000)
    cuts = statistics.quantiles(taken, n=100)
    found["latency p50"], found["latency p99"] = cuts[49], cuts[98]
    return found


def in_guest(pid: int, server: str, seconds: float) -> dict[str, float]:
    """Measure from within a guest: in its control groups, which hold a share, and its network."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
                number, names, path = line.split(":", 2)
                mounts = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"] if number == "0" else [f"/sys/fs/cgroup/{names}"]
                group = next((each for each in mounts if os.path.exists(f"{each}{path}/cgroup.procs")), None)
                if group is not None and number == "0":
                    Path(f"{group}{path}/cgroup.procs").write_text(str(os.getpid()))
            with open(f"/proc/{pid}/ns/net") as namespace:
                setns(namespace.fileno(), CloneFlag.NEWNET)
            os.write(writing, json.dumps(measure(server, seconds)).encode())
        except BaseException as error:
            os.write(writing, json.dumps({"error": repr(error)}).encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as answer:
        found: dict[str, Any] = json.load(answer)
    os.waitpid(child, 0)
    if "error" in found:
        raise RuntimeError(found["error"])
    return found


@contextmanager
def host() -> Iterator[tuple[InsulaCalls, Path]]:
    """Yield our daemon and a root for guests, with a machine beyond."""
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        command("ip", "link", "set", "lo", "up")
        beyond = Beyond()
        command("ip", "address", "add", "198.18.0.2/24", "dev", "up0")
        command("ip", "address", "add", "198.18.0.3/32", "dev", "up0")
        command("ip", "link", "add", "br0", "up", "type", "bridge")
        command("ip", "link", "set", "up1", "master", "br0")
        command("sysctl", "-q", "net.ipv4.ip_forward=1", "net.ipv4.conf.up0.proxy_arp=1")
        root = work / "root"
        for name in ("bin", "dev", "etc", "proc", "run", "sys", "tmp"):
            (root / name).mkdir(parents=True)
        shutil.copy(shutil.which("busybox") or "/bin/busybox", root / "bin/busybox")
        (root / "bin/sleep").symlink_to("busybox")
        ours = InsulaCalls()
        ours.prepare(root, work)
        ours.call(Remote.NETWORK_CREATE_XML, NETWORK)
        try:
            yield ours, root
        finally:
            network = ours.call(Remote.NETWORK_LOOKUP_BY_NAME, "bench")
            ours.call(Remote.NETWORK_DESTROY, network)
            ours.finish()
            beyond.close()


def run(ways: tuple[Way, ...], rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    """Return medians by way; a start's is of the ways' own domains."""
    taken: dict[str, dict[str, list[float]]] = {way.name: {} for way in (NOTHING, *ways)}
    with host() as (ours, root):
        for way in (NOTHING, *ways):
            if way.devices is not None:
                ours.call(Remote.DOMAIN_DEFINE_XML, definition(_domain(way), way, root))
        for number in range(rounds + 1):
            for way in (NOTHING, *ways):
                figures = _round(ours, way, seconds if number else min(seconds, 0.2))
                for figure, value in figures.items() if number else ():
                    taken[way.name].setdefault(figure, []).append(value)
        for way in (NOTHING, *ways):
            if way.devices is not None:
                ours.forget(_domain(way))
    medians = {name: {what: statistics.median(all_) for what, all_ in each.items()} for name, each in taken.items()}
    least = medians.pop(NOTHING.name)["start"]
    for each in medians.values():
        if "start" in each:
            each["start added"] = each.pop("start") - least
    return medians


def _round(ours: InsulaCalls, way: Way, seconds: float) -> dict[str, float]:
    if way.devices is None:
        return measure(way.server, seconds)
    name = _domain(way)
    time.sleep(0.1)
    began = time.perf_counter()
    ours.start(name)
    figures = {"start": (time.perf_counter() - began) * 1000}
    try:
        if way.server:
            figures |= in_guest(ours.domain(name).id, way.server, seconds)
    finally:
        ours.destroy(name)
    return figures


def _domain(way: Way) -> str:
    return re.sub(r"\W+", "-", way.name)


def table(medians: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Yield the figures as parts of the bare host's, and a start's as milliseconds."""
    bare = medians[WAYS[0].name]
    ways = {each.name: each for each in WAYS}
    heads = (
        "way",
        "throughput",
        "CPU a byte",
        "connections",
        "latency p50",
        "p99",
        "start added, ms",
        "the guest's own",
    )
    yield f"| {' | '.join(heads)} |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, each in medians.items():
        cells = [f"{each[figure] / bare[figure]:.2f}" for figure in _FIGURES[:-1]]
        cells.append(f"{each['start added']:.1f}" if "start added" in each else "")
        yield f"| {name} | {' | '.join(cells)} | {ways[name].isolates} |"
    gigabits, thousands = bare["throughput"] * 8 / 1e9, bare["connections"] / 1000
    yield ""
    yield (
        f"1.00 is {gigabits:.1f} Gbit/s, {bare['CPU a byte'] * 1e6:.2f} ns of processor time a byte, "
        f"{thousands:.1f} thousand connections a second, {bare['latency p50'] * 1000:.0f} and "
        f"{bare['latency p99'] * 1000:.0f} µs."
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--only", action="append", default=[], help="a way by name; several times")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--document", type=Path)
    options = parser.parse_args()
    if len(socket.if_nameindex()) > 1:
        sys.exit("benchmarks.networks: run it in a network namespace of its own, by unshare -n")
    missing = [each for each in WAYS if each.needs and shutil.which(each.needs) is None]
    for each in missing:
        print(f"{each.name} is left out: there is no {each.needs}")
    ways = tuple(each for each in WAYS if each not in missing and (not options.only or each.name in options.only))
    medians = run(ways, options.rounds, options.seconds)
    lines = list(table(medians))
    print("\n".join(lines))
    if options.json:
        options.json.write_text(json.dumps(medians, indent=1))
    if options.document:
        text = options.document.read_text()
        before, first, rest = text.partition(_BEGIN)
        _, last, after = rest.partition(_END)
        if not first or not last:
            sys.exit(f"benchmarks.networks: '{options.document}' has no place for the figures: {_BEGIN}{_END}")
        options.document.write_text(before + first + "\n".join(lines) + "\n" + last + after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
