"""One boot of the emulated machine: a command in it, its output as it comes, its exit status and artefacts."""

import importlib.metadata
import io
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from tests.debian_mirror import NoMirrorError
from tests.hosts import Profile
from tests.machine.image import CHECKOUT, image, root_disk
from tests.machine.qemu import Disk, NoQemuError, command_line

FAILED = 125
"""The exit status that says: the machine failed, not the command, as container tools use it."""

TIME_SCALE = 15
"""How much slower than its host the machine is, measured on interpreter starts and process creation."""


class Boot(StrEnum):
    """How the machine comes up: a minimal init in three seconds, or Debian's systemd in eight."""

    MINIMAL = "minimal"
    SYSTEMD = "systemd"


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What to run. roots: guest roots that the machine gets as disks; artifacts: where to put the files it leaves.

    timeout: seconds of the host's clock for the whole boot.
    """

    command: Sequence[str]
    boot: Boot = Boot.MINIMAL
    roots: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    artifacts: Path | None = None
    timeout: float = 2400
    memory: str = "3G"


class MachineError(Exception):
    """The machine did not come to an exit status; the text holds the end of its console."""


def run(job: Job, output: BinaryIO) -> int:
    """Boot, run the job with its output copied to output as it comes, and return its exit status.

    Raises: MachineError if the machine panics, hangs or never runs the command.
    """
    with _work_directory() as work:
        _write_job(job, work / "job.tar")
        for name in ("out", "status", "console"):
            (work / name).touch()
        (work / "artifacts").touch()
        os.truncate(work / "artifacts", 256 << 20)
        _boot(job, work, output)
        status = (work / "status").read_text().strip()
        if not status:
            raise MachineError(f"the machine ended without an exit status; its console:\n{_console_tail(work)}")
        if job.artifacts is not None:
            _unpack_artifacts(work / "artifacts", job.artifacts)
        return int(status)


def _boot(job: Job, work: Path, output: BinaryIO) -> None:
    disks = [Disk(name=f"root-{name}", file=root_disk(name)) for name in job.roots]
    # setpriv: the machine must not outlive a test run that is killed.
    command = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        *command_line(image(), work, memory=job.memory, disks=disks, kernel_options=_kernel_options(job.boot)),
    ]
    deadline = time.monotonic() + job.timeout
    environment = {**os.environ, "TMPDIR": str(work)}  # where QEMU keeps what the guest writes to its disk
    with (
        (work / "qemu.log").open("wb") as log,
        (work / "out").open("rb") as out,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment) as machine,
    ):
        try:
            while machine.poll() is None:
                _copy(out, output)
                if time.monotonic() > deadline:
                    raise MachineError(f"the machine ran for {job.timeout:g} s; its console:\n{_console_tail(work)}")
                time.sleep(0.05)
            _copy(out, output)
        finally:
            machine.kill()
    if machine.returncode:
        raise MachineError(f"QEMU ended with {machine.returncode}: {(work / 'qemu.log').read_text(errors='replace')}")


def _copy(source: BinaryIO, target: BinaryIO) -> None:
    while block := source.read(65536):
        target.write(block)
        target.flush()


def _kernel_options(boot: Boot) -> list[str]:
    if boot is Boot.MINIMAL:
        return ["r.init=/opt/insula/init"]
    return ["r.init=/sbin/init", "systemd.wants=insula-test.service", *(f"systemd.mask={unit}" for unit in _NOT_NEEDED)]


_NOT_NEEDED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "serial-getty@ttyS0.service",
    "systemd-random-seed.service",
    "systemd-timesyncd.service",
    "systemd-update-utmp.service",
)
"""Units that only make the boot longer."""

_PROFILES: Mapping[Boot, tuple[Profile, str]] = {
    Boot.MINIMAL: (Profile.MACHINE, "mounts-and-network"),
    Boot.SYSTEMD: (Profile.MACHINE_SYSTEMD, "nothing"),
}


def _script(job: Job) -> str:
    """Return the shell script that the machine runs: environment, place, command."""
    profile, enclosure = _PROFILES[job.boot]
    environment = {
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "INSULA_TEST_HOST": profile.value,
        "INSULA_TEST_ENCLOSURE": enclosure,
        "INSULA_TEST_TIME_SCALE": str(TIME_SCALE),
        "INSULA_TEST_ROOTS": "/srv/roots",
        "INSULA_TEST_CACHE": "/var/cache/insula-tests",
        "INSULA_TEST_ARTIFACTS": "/srv/artifacts",
        **job.environment,
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    if job.boot is Boot.SYSTEMD:
        lines.append("systemctl is-system-running --wait >/dev/null")
    return "\n".join((*lines, "cd /srv/job/checkout", f"exec {shlex.join(job.command)}", ""))


def _write_job(job: Job, archive: Path) -> None:
    """Pack the command, the checkout as it is now, and the metadata that makes the package known by name."""
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        _add_text(tar, "command", _script(job))
        for name in _checkout_files():
            tar.add(CHECKOUT / name, f"checkout/{name}", recursive=False)
        distribution = importlib.metadata.distribution("insula")
        for name in ("METADATA", "entry_points.txt"):
            text = distribution.read_text(name)
            if text is not None:
                _add_text(tar, f"metadata/insula-{distribution.version}.dist-info/{name}", text)


def _checkout_files() -> list[str]:
    """Return the checkout's files, whether or not committed yet; ignored ones are left out."""
    answer = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [name for name in answer.split("\0") if name and os.path.lexists(CHECKOUT / name)]


def _add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    content = text.encode()
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _unpack_artifacts(disk: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-C", str(target), "-xf", str(disk)], check=True)


@contextmanager
def _work_directory() -> Iterator[Path]:
    work = Path(tempfile.mkdtemp(prefix=f"it-{os.getpid()}-machine-", dir="/var/tmp"))
    try:
        yield work
    finally:
        shutil.rmtree(work)


def _console_tail(work: Path, lines: int = 40) -> str:
    """Return what the kernel wrote from its first complaint on, else its last lines."""
    text = (work / "console").read_text(errors="replace").splitlines()
    complaints = [number for number, line in enumerate(text) if "Kernel panic" in line or "BUG:" in line]
    return "\n".join(text[complaints[0] :] if complaints else text[-lines:])


def main(job: Job) -> int:
    """Run the job with its output on ours and return the exit status, FAILED if the machine itself failed."""
    try:
        return run(job, sys.stdout.buffer)
    except (MachineError, NoQemuError, NoMirrorError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return FAILED
