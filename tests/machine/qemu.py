"""The QEMU that runs the machine, and its command line."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import sideload
from tests.machine.image import Image

HOST_PROGRAM = "qemu-system-x86_64"


class NoQemuError(Exception):
    """There is no QEMU to be had."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Disk:
    """A disk that the machine may only read. name: its serial number, by which the guest finds it."""

    name: str
    file: Path


def program() -> Path:
    """Return a QEMU: Debian 13's, side-loaded, before the host's own.

    Raises: NoQemuError.
    """
    try:
        return sideload.fetched("qemu")
    except sideload.NotThereError as error:
        own = shutil.which(HOST_PROGRAM)
        if own is None:
            raise NoQemuError(f"{error}; and no {HOST_PROGRAM} is installed") from error
        return Path(own)


def command_line(
    image: Image, work: Path, *, memory: str, disks: Sequence[Disk], kernel_options: Sequence[str]
) -> list[str]:
    """Return the command that boots the image; work holds `job.tar`, `artifacts` and the files behind the ports.

    A panic ends QEMU (`panic=-1`, `-no-reboot`). The root disk is never written (`snapshot=on`).
    """
    qemu = program()
    kernel = ["console=ttyS0", "quiet", "panic=-1", "mitigations=off", *kernel_options]
    return [
        str(qemu), "-M", "pc", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", _processor(qemu),
        "-smp", "2", "-m", memory, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-serial", f"file:{work}/console",
        "-kernel", str(image.kernel), "-initrd", str(image.initramfs), "-append", " ".join(kernel),
        *_disk("root", image.disk, "format=raw,cache=unsafe,snapshot=on"),
        *_disk("job", work / "job.tar", "format=raw,readonly=on"),
        *_disk("artifacts", work / "artifacts", "format=raw,cache=unsafe"),
        *(word for disk in disks for word in _disk(disk.name, disk.file, "format=raw,readonly=on")),
        "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
        *_port("out", work / "out"), *_port("status", work / "status"),
    ]  # fmt: skip


def _disk(name: str, file: Path, options: str) -> list[str]:
    drive = f"file={file},if=none,id={name},{options}"
    return ["-drive", drive, "-device", f"virtio-blk-pci,drive={name},serial={name}"]


def _port(name: str, file: Path) -> list[str]:
    return ["-chardev", f"file,id={name},path={file}", "-device", f"virtserialport,chardev={name},name={name}"]


def _processor(qemu: Path) -> str:
    """Return the processor model. QEMU before 8 sets wrong flags after cmpxchg16b, which panics Linux under load."""
    answer = subprocess.run([qemu, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"version (\d+)\.", answer)
    return "max" if version and int(version[1]) >= 8 else "max,la57=off,cx16=off"
