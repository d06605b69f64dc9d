"""Measure Insula beside its peers and beside the kernel's own share, in one run, on one root file system.

    unshare -m --propagation private .venv/bin/python -m benchmarks.run [--install] [--only NAME]…
        [--rounds N] [--together N] [--grow N] [--defined N] [--json F] [--plot F] [--readme F]

--rounds: each verb is measured twice. *In turns*, a runtime after the other with a pause before each, so that what else
the machine does falls on all alike and the kernel's clearing up after one falls on none; and *one after the other*, a
runtime's rounds without a pause. A domain's first start after its definition is *cold*; the other figures are of
domains that have run before. `start` ends when the guest's init has been executed; a peer's figure is the whole
command. What is measured for us is named in the row: a call on an open connection to the socket (as a management
program makes it), or the whole command. CPU is that of the whole host while the verb was performed, kernel threads
included. `kernel floor` is a C program that makes the system calls of ours. `insula (own groups)` is the same daemon
on a host that systemd runs, which does not find systemd: what systemd's scopes cost is the difference.
--together: so many starts are under way at any time.
--grow: more and more containers run, up to so many (or as many as are worth the time of a peer). At 10, 100, … and
last at 10 again: the verbs, a list, bulk statistics, lookups, the memory of the runtime's own processes, and for ours
how long a killed daemon's successor takes. The kernel floor's rows tell how much of what grows is the kernel's own.
--defined: so many domains are defined with Insula and with libvirt's own daemon; each definition and each question.
Each of the four is left out unless it is asked for. Peers that are not installed are named, and left out.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import plot, readme, table
from benchmarks.defined import defined
from benchmarks.floor import Floor
from benchmarks.growing import grown
from benchmarks.measuring import in_turns, one_after_the_other, together
from benchmarks.nspawn import Nspawn
from benchmarks.oci import Oci
from benchmarks.ours import InsulaCalls, InsulaVirsh
from benchmarks.owngroups import InsulaOwnGroups
from benchmarks.peers import LibvirtLxc, Lxc, Runtime, Served

PACKAGES = (
    *("crun", "runc", "lxc", "systemd-container", "gcc", "libc6-dev", "busybox-static"),
    *("libvirt-daemon", "libvirt-daemon-driver-lxc", "libvirt-clients", "python3-libvirt"),
)


_ROUNDS = 20
"""Of verbs among many, unless --rounds says otherwise."""


def runtimes() -> list[Runtime]:
    """All that can be measured."""
    return [
        InsulaCalls(),
        InsulaOwnGroups(),
        InsulaVirsh(),
        Floor(),
        Oci("crun"),
        Oci("runc"),
        Lxc(),
        LibvirtLxc(),
        Nspawn(),
    ]


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
    for each in ("pts", "shm", "mqueue"):
        (directory / "dev" / each).mkdir()
    shutil.copy2("/bin/busybox", directory / "bin/busybox")
    for applet in ("sh", "sleep", "true"):
        (directory / "bin" / applet).symlink_to("busybox")
    (directory / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (directory / "etc/group").write_text("root:x:0:\n")
    return directory


@contextmanager
def usable(wanted: list[Runtime], root: Path, work: Path) -> Iterator[list[Runtime]]:
    """Those runtimes that are installed and come up; the others are named on stderr with the reason."""
    ready: list[Runtime] = []
    try:
        for runtime in wanted:
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


def measured(ready: Sequence[Runtime], wanted: argparse.Namespace, root: Path, work: Path) -> dict[str, Any]:
    """Return what was asked for, by the way of measuring."""
    result: dict[str, Any] = {}
    if wanted.rounds:
        result["in turns"] = in_turns(ready, wanted.rounds)
        result["one after the other"] = {each.name: one_after_the_other(each, wanted.rounds) for each in ready}
    if width := wanted.together:
        result["together"] = {each.name: together(each, width, 10 * width) for each in ready if each.parallel}
    if wanted.defined:
        daemons = [each for each in ready if isinstance(each, Served) and not isinstance(each, InsulaVirsh)]
        result["defined"] = {"count": wanted.defined, **defined(daemons, wanted.defined, root, work)}
    if wanted.grow:
        result["growing"] = {each.name: grown(each, wanted.grow, wanted.rounds or _ROUNDS) for each in ready}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.run", description="Insula beside its peers and the kernel.")
    parser.add_argument("--install", action="store_true", help="install the peers with apt first")
    parser.add_argument("--only", action="append", metavar="NAME", help="measure these runtimes, by their names")
    parser.add_argument("--rounds", type=int, metavar="N", help="measure each verb so often, in turns and in a row")
    parser.add_argument("--together", type=int, metavar="N", help="measure N starts at once, ten times as many in all")
    parser.add_argument("--grow", type=int, metavar="N", help="measure among more and more containers, up to N")
    parser.add_argument("--defined", type=int, metavar="N", help="measure with N domains defined")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--plot", type=Path, help="draw the starts of --grow there, as SVG")
    parser.add_argument("--readme", type=Path, help="put the figures between the marks of this file")
    arguments = parser.parse_args()
    for written in filter(None, (arguments.json, arguments.plot)):  # before what takes an hour
        written.parent.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # containers are destroyed, and all is removed, then too
    if arguments.install:
        install()
    chosen = [each for each in runtimes() if not arguments.only or each.name in arguments.only]
    with tempfile.TemporaryDirectory(prefix="ib-", dir="/var/tmp") as directory:
        work = Path(directory)
        work.chmod(0o755)
        root = busybox_root(work / "root")
        with usable(chosen, root, work) as ready:
            result = measured(ready, arguments, root, work)
    print(table.text(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    if arguments.plot and "growing" in result:
        arguments.plot.write_text(plot.svg({name: each["starts"] for name, each in result["growing"].items()}))
    if arguments.readme:
        readme.fill(arguments.readme, result)


if __name__ == "__main__":
    main()
