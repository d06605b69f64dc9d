"""Programs of another Debian suite beside the host's own, without touching the system.

`python -m tests.sideload NAME` unpacks NAME's packages with all their libraries, libc included, into the tests' cache,
and prints the path of a wrapper that runs it. Downloads go through the host's own apt configuration with another suite.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests import cache
from tests.debian_mirror import Mirror, NoMirrorError, host_mirror


class NotThereError(Exception):
    """The program is neither side-loaded nor installed in a fitting version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A program to side-load.

    packages: what apt resolves; program: its path inside them; suites: tried in this order; version: what the output of
    `--version` must match, for a program that the host has already; arguments and environment: what leads the program
    to its own files, `{root}` being where they are; asked: what has it say its version and end.
    """

    packages: tuple[str, ...]
    program: str
    suites: tuple[str, ...]
    version: str
    arguments: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    asked: str = field(default="--version", repr=False)  # changes nothing in what is built


TARGETS: Mapping[str, Target] = {
    "qemu": Target(
        packages=("qemu-system-x86",),
        program="usr/bin/qemu-system-x86_64",
        suites=("trixie",),
        version=r"version (8|9|1\d)\.",
        arguments=("-L", "{root}/usr/share/qemu", "-L", "{root}/usr/share/seabios", "-L", "{root}/usr/lib/ipxe/qemu"),
        environment=("QEMU_MODULE_DIR={root}/usr/lib/{triplet}/qemu",),
    ),
    # 4.1 cannot dump inet sockets on kernels of 6.16 and newer (SO_PASSCRED answers EOPNOTSUPP there).
    "criu": Target(packages=("criu",), program="usr/sbin/criu", suites=("sid", "trixie"), version=r"Version: [4-9]\."),
    "virt-ssh-helper": Target(
        packages=("libvirt-daemon-common",),
        program="usr/bin/virt-ssh-helper",
        suites=("trixie",),
        version=r" \d+\.",
    ),
    "libvirtd": Target(
        packages=("libvirt-daemon", "libvirt-daemon-driver-qemu"),
        program="usr/sbin/libvirtd",
        suites=("trixie",),
        version=r"^1[1-9]\.",
        environment=("LIBVIRT_DRIVER_DIR={root}/usr/lib/{triplet}/libvirt/connection-driver",),
    ),
    "ansible": Target(
        packages=("ansible", "ansible-core"),
        program="usr/bin/python3.13",
        suites=("trixie",),
        version=r"^no Python of the host's",
        arguments=("{root}/usr/bin/ansible-playbook",),
        environment=("PYTHONHOME={root}/usr",),
    ),
    **{
        Path(program).name: Target(
            packages=("openvswitch-switch",), program=program, suites=("trixie",), version=r"Open vSwitch\) 3\."
        )
        for program in (
            "usr/bin/ovs-vsctl",
            "usr/bin/ovsdb-tool",
            "usr/sbin/ovsdb-server",
            "usr/lib/openvswitch-switch/ovs-vswitchd",
        )
    },
    **{
        name: Target(packages=("prometheus",), program=f"usr/bin/{name}", suites=("trixie",), version=r"version 2\.")
        for name in ("prometheus", "promtool")
    },
    "virt-top": Target(packages=("virt-top",), program="usr/bin/virt-top", suites=("trixie",), version=r"\b1\.1"),
    "libvirt-dbus": Target(
        packages=("libvirt-dbus",),
        program="usr/sbin/libvirt-dbus",
        suites=("trixie",),
        version=r"^none says it",
        asked="--help",
    ),
    "collectd": Target(
        packages=("collectd-core", "libvirt0"),
        program="usr/sbin/collectd",
        suites=("trixie",),
        version=r"^no collectd of the host's, whose plugin may miss its library",
        asked="-h",
    ),
    "prometheus-libvirt-exporter": Target(
        packages=("prometheus-libvirt-exporter",),
        program="usr/bin/prometheus-libvirt-exporter",
        suites=("trixie",),
        version=r"^none says it",
        asked="--help",
    ),
    "virsh-11": Target(packages=("libvirt-clients",), program="usr/bin/virsh", suites=("trixie",), version=r"^11\."),
    "virsh-12": Target(packages=("libvirt-clients",), program="usr/bin/virsh", suites=("sid",), version=r"^1[2-9]\."),
}


def found(name: str) -> Path:
    """Return the program's path: side-loaded earlier, or the host's own if its version fits. Nothing is downloaded.

    Raises: NotThereError.
    """
    target = TARGETS[name]
    for suite in target.suites:
        wrapper = place_of(name, suite)
        if wrapper.exists():
            return wrapper
    own = shutil.which(Path(target.program).name)
    if own and re.search(target.version, _version(own)):
        return Path(own)
    raise NotThereError(f"{name} is not side-loaded (python -m tests.sideload {name}) and the host has no such version")


def place_of(name: str, suite: str) -> Path:
    """Return where the wrapper of a program from that suite is, or would be."""
    target = TARGETS[name]
    return _wrapper(cache.place(f"sideload-{name}", _recipe(target, suite)), target)


def fetched(name: str) -> Path:
    """Return the program's path, side-loading it from the first suite that gives it if it is not there yet.

    Raises: NotThereError with apt's words if no suite gives it.
    """
    try:
        return found(name)
    except NotThereError:
        pass
    target = TARGETS[name]
    problems = []
    for suite in target.suites:
        recipe = _recipe(target, suite)
        try:
            prefix = cache.built(f"sideload-{name}", recipe, lambda work, final: _build(target, suite, work, final))  # noqa: B023
        except (subprocess.CalledProcessError, NoMirrorError) as error:
            problems.append(f"{suite}: {getattr(error, 'stderr', None) or error}".strip())
        else:
            return _wrapper(prefix, target)
    raise NotThereError(f"{name} cannot be side-loaded: {'; '.join(problems)}")


def download(mirror: Mirror, suite: str, packages: tuple[str, ...], work: Path) -> list[Path]:
    """Return the .deb files of the packages and of everything they depend on, fetched from another suite.

    apt gets a state of its own with an empty list of installed packages, so that it resolves the whole closure.
    """
    options = _private_apt(mirror, suite, work)
    _run("apt-get", *options, "update")
    _run("apt-get", *options, "-oAPT::Install-Recommends=0", "--download-only", "install", *packages)
    return sorted((work / "archives").glob("*.deb"))


def download_dependency(mirror: Mirror, suite: str, package: str, prefix: str, work: Path) -> Path:
    """Return the .deb file that a metapackage depends on, told by its name's prefix, without what that depends on."""
    options = _private_apt(mirror, suite, work)
    _run("apt-get", *options, "update")
    answer = _run("apt-cache", *options[2:], "depends", package)
    names = [line.split(": ", 1)[1] for line in answer.splitlines() if f"Depends: {prefix}" in line]
    _run("apt-get", *options, "download", names[0], cwd=work / "archives")
    return next((work / "archives").glob("*.deb"))


def _private_apt(mirror: Mirror, suite: str, work: Path) -> list[str]:
    """Lay out a private state for apt in work and return the options that make apt use it. Source: apt.conf(5)."""
    for name in ("lists/partial", "archives/partial", "empty"):
        (work / name).mkdir(parents=True, exist_ok=True)
    (work / "sources.list").write_text(mirror.source(suite) + "\n")
    (work / "status").touch()
    settings = {
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::State::lists": work / "lists",
        "Dir::State::status": work / "status",
        "Dir::State::extended_states": work / "extended_states",
        "Dir::Cache::archives": work / "archives",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "DPkg::Post-Invoke::": "",
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "root",  # the cache need not be readable for apt's own user
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
    }
    return ["-qq", "-y", *(f"-o{name}={value}" for name, value in settings.items())]


def _build(target: Target, suite: str, work: Path, final: Path) -> None:
    for package in download(host_mirror(), suite, (*target.packages, "libc6"), work / "apt"):
        _run("dpkg-deb", "-x", str(package), str(work / "root"))
    shutil.rmtree(work / "apt")
    wrapper = _wrapper(work, target)
    wrapper.parent.mkdir()
    wrapper.write_text(_wrapper_text(target, work / "root", final / "root"))
    wrapper.chmod(0o755)
    _run(str(_tried_in_place(wrapper, work, final)), target.asked)


def _tried_in_place(wrapper: Path, work: Path, final: Path) -> Path:
    """Return a copy of the wrapper that works before the directory has its final name."""
    trial = work / "trial"
    trial.write_text(wrapper.read_text().replace(str(final), str(work)))
    trial.chmod(0o755)
    return trial


def _wrapper_text(target: Target, root: Path, final_root: Path) -> str:
    """Return a shell script that runs the program by its own dynamic loader with its own libraries: ld.so(8)."""
    loader = next(path for path in sorted(root.glob("usr/lib*/ld-linux*.so.*"))).relative_to(root)
    triplet = next(root.glob("usr/lib/*/libc.so.6")).parent.name
    fill = {"root": str(final_root), "triplet": triplet}
    assignments = "".join(f"export {each.format(**fill)}\n" for each in target.environment)
    arguments = "".join(f" {each.format(**fill)}" for each in target.arguments)
    name = Path(target.program).name
    return (
        f"#!/bin/sh\n{assignments}"
        f"exec {final_root}/{loader} --library-path {final_root}/usr/lib/{triplet} --argv0 {name}"
        f' {final_root}/{target.program}{arguments} "$@"\n'
    )


def _wrapper(prefix: Path, target: Target) -> Path:
    return prefix / "bin" / Path(target.program).name


def _recipe(target: Target, suite: str) -> str:
    return f"{suite} {target!r} format 1"


def _version(program: str) -> str:
    result = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return result.stdout + result.stderr


def _run(*command: str, cwd: Path | None = None) -> str:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=cwd).stdout


def main() -> int:
    """Print the path of each program named on the command line, side-loading it first where needed."""
    names = sys.argv[1:]
    unknown = [name for name in names if name not in TARGETS]
    if unknown or not names:
        print(f"usage: python -m tests.sideload NAME...; names: {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    for name in names:
        try:
            print(fetched(name))
        except NotThereError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
