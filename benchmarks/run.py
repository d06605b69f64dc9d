"""Measure Insula beside its peers, in one run, on one root file system, and print medians and ratios.

    .venv/bin/python -m benchmarks.run [--install] [--rounds 30] [--many 20] [--only NAME]… [--json FILE]

Rounds are interleaved, so that what else the machine does falls on all alike, with a pause before each, so that the
kernel's clearing up after one (network namespaces are removed later) does not fall on the next. `start` ends when the
guest's init has been executed; a peer's figure is the whole command. What is measured for us is named in the row: a
call on an open connection to the socket (as a management program makes it), or the whole command. `start among` is the
median of the last ten of --many containers, one right after the other; `list` a list of them all.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.ours import InsulaCalls, InsulaVirsh
from benchmarks.peers import Crun, LibvirtLxc, Lxc, Runtime

PACKAGES = ("crun", "lxc", "libvirt-daemon", "libvirt-daemon-driver-lxc", "libvirt-clients", "busybox-static")
VERBS = ("start", "exec", "destroy")
PAUSE = 0.1
"""Seconds."""
Samples = dict[str, list[float]]


def install() -> None:
    """Install the peers without starting any of their services (a policy of ours answers 101 meanwhile)."""
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "-qq", "update"], check=True)
        subprocess.run(["apt-get", "-qq", "install", "-y", "--no-install-recommends", *PACKAGES], check=True, env=env)
    finally:
        if ours:
            policy.unlink()


def busybox_root(directory: Path) -> Path:
    """A root with static busybox and its applets, enough for every runtime measured."""
    for each in ("bin", "dev", "etc", "proc", "sys", "tmp", "run", "root", "var"):
        (directory / each).mkdir(parents=True)
    shutil.copy2("/bin/busybox", directory / "bin/busybox")
    for applet in ("sh", "sleep", "true"):
        (directory / "bin" / applet).symlink_to("busybox")
    (directory / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (directory / "etc/group").write_text("root:x:0:\n")
    return directory


@contextmanager
def usable(runtimes: list[Runtime], root: Path, work: Path) -> Iterator[list[Runtime]]:
    """Those runtimes that are installed and come up; the others are named on stderr with the reason."""
    ready: list[Runtime] = []
    try:
        for runtime in runtimes:
            reason = runtime.missing()
            if reason is None:
                ready.append(runtime)
                runtime.prepare(root, work)
            else:
                print(f"not measured: {runtime.name}: {reason}", file=sys.stderr)
        yield ready
    finally:
        for runtime in ready:
            runtime.finish()


def timed(action: Callable[[], object]) -> float:
    """Milliseconds that an action took."""
    begin = time.perf_counter()
    action()
    return (time.perf_counter() - begin) * 1000


def one_round(runtime: Runtime, name: str, samples: Samples) -> None:
    runtime.make(name)
    samples["start"].append(timed(lambda: runtime.start(name)))
    try:
        runtime.settle(name)
        samples["exec"].append(timed(lambda: runtime.execute(name)))
    finally:
        samples["destroy"].append(timed(lambda: runtime.destroy(name)))


def crowd(runtime: Runtime, count: int) -> dict[str, float]:
    """What count containers at once cost: MiB of the runtime's own processes, milliseconds of a start and of a list."""
    names = [f"m{index}" for index in range(count)]
    started: list[str] = []
    starts = []
    try:
        for name in names:
            runtime.make(name)
            starts.append(timed(partial(runtime.start, name)))
            started.append(name)
        listed = statistics.median(timed(lambda: runtime.listing(count)) for _ in range(5))
        mebibytes = runtime.resident(names) / 1024**2
        return {"memory": mebibytes, "among": statistics.median(starts[-10:]), "list": listed}
    finally:
        for name in started:
            runtime.destroy(name)


def measure(runtimes: list[Runtime], rounds: int, many: int) -> dict[str, dict[str, float]]:
    """Medians in milliseconds, and what `crowd` tells, by runtime."""
    samples: dict[str, Samples] = {each.name: {verb: [] for verb in VERBS} for each in runtimes}
    for number in range(rounds + 1):
        for runtime in runtimes:
            unused: Samples = {verb: [] for verb in VERBS}
            time.sleep(PAUSE)
            one_round(runtime, f"b{number}", samples[runtime.name] if number else unused)  # round 0 warms up
    result = {name: {verb: statistics.median(values[verb]) for verb in VERBS} for name, values in samples.items()}
    for runtime in runtimes:
        result[runtime.name] |= crowd(runtime, many)
    return result


def show(result: dict[str, dict[str, float]], many: int) -> None:
    """Print the figures, then ours as a part of each peer's."""
    heads = ("start ms", "exec ms", "destroy ms", f"start among {many}", f"list {many} ms", f"MiB at {many}")
    print(f"{'':16}" + "".join(f"{head:>17}" for head in heads))
    for name, row in result.items():
        figures = (row[key] for key in (*VERBS, "among", "list", "memory"))
        print(f"{name:16}" + "".join(f"{figure:>17.2f}" for figure in figures))
    for ours in ("insula", "insula (virsh)"):
        for peer in ("crun", "lxc", "libvirt-lxc"):
            if ours in result and peer in result:
                ratios = ", ".join(f"{verb} {result[ours][verb] / result[peer][verb]:.2f}" for verb in VERBS)
                print(f"{ours} / {peer}: {ratios}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.run", description="Insula beside crun, lxc and libvirt-lxc.")
    parser.add_argument("--install", action="store_true", help="install the peers with apt first")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--many", type=int, default=20, help="containers that run at once at the end")
    parser.add_argument("--only", action="append", metavar="NAME", help="measure these runtimes, by their names")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    arguments = parser.parse_args()
    if arguments.install:
        install()
    with tempfile.TemporaryDirectory(prefix="ib-", dir="/var/tmp") as directory:
        work = Path(directory)
        work.chmod(0o755)
        root = busybox_root(work / "root")
        runtimes: list[Runtime] = [InsulaCalls(), InsulaVirsh(), Crun(), Lxc(), LibvirtLxc()]
        if arguments.only:
            runtimes = [each for each in runtimes if each.name in arguments.only]
        with usable(runtimes, root, work) as ready:
            result = measure(ready, arguments.rounds, arguments.many)
    show(result, arguments.many)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
