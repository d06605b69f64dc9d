"""What this host can do, found out by trying: tests ask for capabilities, never for a host's name or a kernel version.

A probe returns why the capability is missing, or an empty string when it is there. `missing(name)` answers for one
name; members of a family (`cgroup2.memory`, `cap.sys_admin`, `link.macvlan`, `fs.btrfs`) need no entry each.
"""

import contextlib
import ctypes
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from insula.cli.webconsole import ASSETS
from insula.kernel.audit import KernelAudit
from tests import calls32, cgrouptree, debianpackage, libvirt_python, roots, sideload, spawnerbuild
from tests.enclosure import Reach, reach
from tests.golibvirt import GOPATH
from tests.hosts import MACHINES, profile
from tests.idmapped import overlay_on_idmapped_layers
from tests.machine import image
from tests.waiting import patience

Probe = Callable[[], str]

POLKITD = Path("/usr/lib/polkit-1/polkitd")


class UnknownCapabilityError(Exception):
    """A test asks for a capability that no probe knows."""


@functools.cache
def missing(name: str) -> str:
    """Return why the capability is missing here; empty when it is there. Each is tried once a session.

    Raises: UnknownCapabilityError if nobody knows how to find out.
    """
    if name in PROBES:
        return PROBES[name]()
    family, _, member = name.partition(".")
    if family in FAMILIES and member:
        return FAMILIES[family](member)
    raise UnknownCapabilityError(
        f"no probe for '{name}'; known: {', '.join(sorted(PROBES))}, {'.*, '.join(sorted(FAMILIES))}.*"
    )


def _succeeds(*command: str) -> str:
    """Return an empty string if the command ends well, else its last line."""
    if not shutil.which(command[0]):
        return f"no command '{command[0]}'"
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience(120))
    lines = (result.stderr + result.stdout).strip().splitlines() or ["no message"]
    return "" if result.returncode == 0 else f"'{' '.join(command)}' ended with {result.returncode}: {lines[-1]}"


def _command(name: str) -> Probe:
    return lambda: "" if shutil.which(name) else f"no command '{name}'"


def _xterm() -> str:
    return "" if (ASSETS / "xterm.js").exists() else "no xterm.js: scripts/build-web fetches it"


def _libvirt_filters() -> str:
    directory = Path("/usr/share/libvirt/nwfilter")
    return "" if directory.is_dir() else f"no {directory} (package libvirt-daemon-config-nwfilter)"


def _polkit() -> str:
    """Polkit, and libvirt's actions, which it must know to decide about them: they come with its daemon."""
    missing = next((f"no {each}" for each in (POLKITD, Path("/usr/bin/dbus-daemon")) if not each.exists()), "")
    return missing or _sideloaded("libvirtd")()


def _scram() -> str:
    """Cyrus' SASL with the plug-in for passwords, which libvirt's clients use."""
    return "" if any(Path("/usr/lib").glob("*/sasl2/libscram.so")) else "no libscram.so (libsasl2-modules)"


def _gssapi() -> str:
    """A KDC, the tools to fill it, tickets for virsh, and our daemon's library for them."""
    needed = [Path(f"/usr/sbin/{each}") for each in ("krb5kdc", "kadmin.local", "kdb5_util")]
    needed += [Path("/usr/bin/kinit"), Path("/usr/lib/python3/dist-packages/gssapi")]
    missing = [f"no {each}" for each in needed if not each.exists()]
    if not any(Path("/usr/lib").glob("*/sasl2/libgssapiv2.so")):
        missing.append("no libgssapiv2.so (libsasl2-modules-gssapi-mit)")
    return next(iter(missing), "")


def _audit() -> str:
    try:
        with contextlib.closing(KernelAudit()) as audit:
            return "" if audit.enabled in (False, True) else "it says nothing"
    except OSError as error:
        return f"the kernel's audit: {error.strerror}"


def _root() -> str:
    return "" if os.geteuid() == 0 else "not run as root"


def _controllers(version: int) -> frozenset[str]:
    return frozenset().union(*(each.controllers for each in cgrouptree.hierarchies() if each.version == version))


def _cgroup2(controller: str) -> str:
    if missing("cgroup2"):
        return missing("cgroup2")
    return "" if controller in _controllers(2) else f"the v2 hierarchy has no {controller} controller"


def _cgroup1(controller: str) -> str:
    return "" if controller in _controllers(1) else f"no v1 hierarchy of the {controller} controller is mounted"


def _cgroup_versions(*wanted: int) -> Probe:
    def probe() -> str:
        versions = {each.version for each in cgrouptree.hierarchies()}
        return "" if versions == set(wanted) else f"mounted cgroup versions: {sorted(versions) or 'none'}"

    return probe


def _has_cgroup2() -> str:
    return "" if any(each.version == 2 for each in cgrouptree.hierarchies()) else "no v2 hierarchy is mounted"


# Bit numbers of those that tests have a use for. Source: linux/capability.h.
_CAPABILITIES: Mapping[str, int] = {
    "linux_immutable": 9,
    "net_admin": 12,
    "sys_module": 16,
    "sys_ptrace": 19,
    "sys_admin": 21,
    "sys_resource": 24,
    "mknod": 27,
    "setfcap": 31,
    "bpf": 39,
    "checkpoint_restore": 40,
}


def _capability(name: str) -> str:
    if name not in _CAPABILITIES:
        raise UnknownCapabilityError(f"no bit known for the capability '{name}'")
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return (
        ""
        if int(status["CapEff"], 16) >> _CAPABILITIES[name] & 1
        else f"not among the effective capabilities {status['CapEff']}"
    )


def _file_system(name: str) -> str:
    if shutil.which("modprobe"):
        subprocess.run(["modprobe", "-qa", name], check=False, capture_output=True)
    known = {line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()}
    return "" if name in known else f"the kernel has no {name}"


def _link_type(name: str) -> str:
    return _succeeds("unshare", "--net", "ip", "link", "add", "probe0", "type", name)


_NETWORK_FEATURES = {
    "police": "ip link add near0 type veth peer name far0 && tc qdisc add dev near0 ingress && tc filter add dev near0 "
    "parent ffff: protocol all u32 match u32 0 0 police rate 1mbit burst 10k drop",
    "bridge-vlans": "ip link add near0 type bridge vlan_filtering 1 && ip link add link near0 name far0 type vlan id 7",
    "bridge-tracking": "nft add table bridge probe && nft add chain bridge probe chain0 "
    "'{ type filter hook prerouting priority 0; }' && nft add rule bridge probe chain0 ct state new",
    "bridge-table-limit": f"{sys.executable} -c 'from insula.network.virtual.bridges import *; "
    "from insula.network.rtnetlink import Rtnetlink; kernel = Rtnetlink(); "
    'kernel.perform(create_bridge(Bridge(name="near0", mac="52:54:00:00:00:01"))); '
    'raise SystemExit(bridge_named(kernel, "near0").learnt_most is None)\'',
    "openvswitch": "modprobe -q openvswitch; grep -q ' ovs_dp_process_packet' /proc/kallsyms",
    "ipvlan": "ip link add near0 type veth peer name far0 && ip link add link near0 name top0 type ipvlan mode l2",
}


def _open_vswitch() -> str:
    programs = ("ovs-vsctl", "ovsdb-tool", "ovsdb-server", "ovs-vswitchd")
    return next(filter(None, (_sideloaded(each)() for each in programs)), "")


def _network_feature(name: str) -> str:
    return _succeeds("unshare", "--net", "sh", "-c", _NETWORK_FEATURES[name])


def _user_namespaces() -> str:
    return _succeeds("unshare", "--user", "--map-root-user", "true")


def _landlock_scopes() -> str:
    """Ask landlock_create_ruleset(2), number 444, for the version: scopes came with 6."""
    version = ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1)
    return "" if version >= 6 else f"Landlock's version is {version}"


def _bpf_cgroup_device() -> str:
    return _bpf_program(15, 0)


def _bpf_cgroup_addresses() -> str:
    """The latest of those that hold sockets to addresses: BPF_PROG_TYPE_CGROUP_SOCK_ADDR at getsockname, of IPv6."""
    return _bpf_program(18, 32)


def _bpf_program(kind: int, attach: int) -> str:
    """Load a program that allows everything: `mov r0, 1; exit`. Source: bpf(2), linux/bpf.h (BPF_PROG_LOAD is 5)."""
    program = (ctypes.c_uint64 * 2)(0x00000001_000000B7, 0x00000000_00000095)
    licence = ctypes.create_string_buffer(b"GPL")
    attributes = (ctypes.c_uint64 * 16)()
    attributes[0] = kind | 2 << 32  # two instructions
    attributes[1] = ctypes.addressof(program)
    attributes[2] = ctypes.addressof(licence)
    attributes[8] = attach << 32  # expected_attach_type
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(321, 5, ctypes.byref(attributes), ctypes.sizeof(attributes))
    if fd < 0:
        return f"bpf(BPF_PROG_LOAD): {os.strerror(ctypes.get_errno())}"
    os.close(fd)
    return missing("cgroup2")


def _overlay_idmapped() -> str:
    if missing("root") or missing("fs.overlay"):
        return missing("root") or missing("fs.overlay")
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="it-probe-") as directory:
        try:
            overlay_on_idmapped_layers(Path(directory))
        except OSError as error:
            return str(error)
    return ""


def _mounts_beneath() -> str:
    """Attach a file system beneath another one, which Linux 6.5 can. Source: linux/mount.h (MOVE_MOUNT_BENEATH)."""
    return missing("root") or _succeeds("unshare", "--mount", "--propagation=private", sys.executable, "-c", _BENEATH)


_BENEATH = """
import ctypes, os
from insula.kernel.mounts import attach, make_filesystem
libc = ctypes.CDLL(None)
attach(make_filesystem("tmpfs", []), os.open("/tmp", os.O_PATH))
if libc.syscall(429, make_filesystem("tmpfs", []), b"", os.open("/tmp", os.O_PATH), b"", 0x4 | 0x40 | 0x200):
    raise SystemExit("nothing can be attached beneath a mount")
"""


def _systemd_host() -> str:
    if reach() is not Reach.NOTHING:
        return "the tests run in an enclosure, away from the host's systemd"
    return "" if Path("/run/systemd/system").is_dir() else "process 1 is not systemd"


def _machined() -> str:
    return _systemd_host() or _succeeds("busctl", "--quiet", "call", "org.freedesktop.machine1", *_MACHINED_PING)


_MACHINED_PING = ("/org/freedesktop/machine1", "org.freedesktop.DBus.Peer", "Ping")


def _own_kernel() -> str:
    return "" if profile() in MACHINES else "settings of the whole kernel are changed in the emulated machine alone"


def _own_cgroup_root() -> str:
    return "" if reach() is Reach.EVERYTHING else "the tests share the cgroup root with the host"


def _apparmor() -> str:
    switch = Path("/sys/module/apparmor/parameters/enabled")
    if not switch.exists() or switch.read_text().strip() != "Y":
        return "AppArmor is not enabled in the kernel"
    if not Path("/sys/kernel/security/apparmor").is_dir():
        return "no securityfs at /sys/kernel/security"
    return "" if shutil.which("apparmor_parser") and shutil.which("aa-exec") else "no apparmor_parser and aa-exec"


def _loop() -> str:
    return "" if Path("/dev/loop-control").exists() else "no /dev/loop-control"


def _libvirt_python() -> str:
    try:
        libvirt_python.load()
    except ImportError as error:
        return str(error)
    return ""


def _prometheus() -> str:
    return _sideloaded("prometheus")() or _sideloaded("promtool")()


def _lxml_of_the_hosts() -> str:
    """Tell whether the distribution's Python has what Ansible's modules for libvirt read XML with."""
    return _succeeds("/usr/bin/python3", "-c", "import lxml.etree")


def _prometheus_client() -> str:
    """Tell whether the distribution's Python has the library that reads metrics."""
    return _succeeds("/usr/bin/python3", "-c", "import prometheus_client")


def _go_libvirt() -> str:
    """Tell whether a Go program that speaks the protocol by itself, without libvirt's library, can be built."""
    if not (GOPATH / "src/github.com/digitalocean/go-libvirt").is_dir():
        return f"no go-libvirt below {GOPATH} (package golang-github-digitalocean-go-libvirt-dev)"
    return _command("go")()


def _libvirt_schemas() -> str:
    schema = Path("/usr/share/libvirt/schemas/domain.rng")
    return "" if schema.exists() else f"no {schema} (package libvirt0)"


def _criu() -> str:
    try:
        return _succeeds(str(sideload.found("criu")), "check")
    except sideload.NotThereError as error:
        return str(error)


def _sideloaded(name: str) -> Probe:
    def probe() -> str:
        try:
            return "" if sideload.found(name) else "unreachable"
        except sideload.NotThereError as error:
            return str(error)

    return probe


def _built(is_there: Callable[[str], bool], release: str) -> Probe:
    """Tell whether a root of a release is built, or can be."""
    return lambda: "" if is_there(release) else missing("mmdebstrap")


def _machine_image() -> str:
    return missing("qemu") or (
        "" if image.image_is_there() else "the machine is not built (python -m tests.machine build)"
    )


def _pidfd_info() -> str:
    """Ask a pidfd about its process. Source: linux/pidfd.h, PIDFD_GET_INFO on 64 bytes, since Linux 6.13."""
    fd = os.pidfd_open(os.getpid())
    try:
        answer = (ctypes.c_uint64 * 8)()
        libc = ctypes.CDLL(None, use_errno=True)
        libc.ioctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p]
        if libc.ioctl(fd, 3 << 30 | 64 << 16 | 0xFF << 8 | 11, answer) < 0:
            return f"PIDFD_GET_INFO: {os.strerror(ctypes.get_errno())}"
        return ""
    finally:
        os.close(fd)


def _spawner_compiler(machine: str) -> str:
    """Tell whether the compiler and linker that the spawner's bytes for a machine were built with are here."""
    lines = (spawnerbuild.SOURCE / "BUILT_WITH").read_text().splitlines()
    wanted = next(line for line in lines if line.startswith(f"{machine} "))
    found = spawnerbuild.builders().get(machine, f"{machine}: no compiler")
    return "" if found == wanted else f"'{found}' is not '{wanted}'"


def _device(name: str) -> str:
    try:
        os.close(os.open(f"/dev/{name}", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"/dev/{name}: {error.strerror}"
    return ""


PROBES: Mapping[str, Probe] = {
    "root": _root,
    "polkit": _polkit,
    "audit": _audit,
    "sasl.scram": _scram,
    "sasl.gssapi": _gssapi,
    "userns": _user_namespaces,
    "two-processors": lambda: "" if len(os.sched_getaffinity(0)) > 1 else "one processor only",
    "ia32": calls32.unsupported,
    "timens": lambda: "" if Path("/proc/self/ns/time").exists() else "no time namespaces",
    "memfd-noexec": lambda: "" if Path("/proc/sys/vm/memfd_noexec").exists() else "no vm.memfd_noexec",
    "numa": lambda: "" if Path("/proc/self/numa_maps").exists() else "the kernel has no NUMA policies",
    "cgroup2": _has_cgroup2,
    "cgroup.hybrid": _cgroup_versions(1, 2),
    "cgroup.unified": _cgroup_versions(2),
    "overlay.idmapped": _overlay_idmapped,
    "mounts.beneath": _mounts_beneath,
    "bpf.cgroup_device": _bpf_cgroup_device,
    "landlock.scopes": _landlock_scopes,
    "bpf.cgroup_addresses": _bpf_cgroup_addresses,
    "pidfd.info": _pidfd_info,
    "loop": _loop,
    "apparmor": _apparmor,
    "own-cgroup-root": _own_cgroup_root,
    "own-kernel": _own_kernel,
    "systemd-host": _systemd_host,
    "machined": _machined,
    "virsh": _command("virsh"),
    "openssl": _command("openssl"),
    "virt-ssh-helper": _sideloaded("virt-ssh-helper"),
    "virsh-11": _sideloaded("virsh-11"),
    "virsh-12": _sideloaded("virsh-12"),
    "ansible": _sideloaded("ansible"),
    "virt-top": _sideloaded("virt-top"),
    "libvirt-dbus": _sideloaded("libvirt-dbus"),
    "collectd": _sideloaded("collectd"),
    "prometheus-libvirt-exporter": _sideloaded("prometheus-libvirt-exporter"),
    "prometheus": _prometheus,
    "prometheus-client": _prometheus_client,
    "python3-lxml": _lxml_of_the_hosts,
    "desktop-12": _built(roots.desktop_is_there, "12"),
    "desktop-13": _built(roots.desktop_is_there, "13"),
    "host-13": _built(roots.host_is_there, "13"),
    "stress-12": _built(roots.stress_is_there, "12"),
    "packaging-12": _built(roots.packaging_is_there, "12"),
    "packaging-13": _built(roots.packaging_is_there, "13"),
    "packages-13": _built(debianpackage.versions_are_there, "13"),
    "libvirt-python": _libvirt_python,
    "libvirt-schemas": _libvirt_schemas,
    "go-libvirt": _go_libvirt,
    "virtinst": _command("virt-install"),
    "chromium": _command("chromium"),
    "websockets": lambda: _succeeds(sys.executable, "-c", "import websockets.asyncio.server"),
    "xterm.js": _xterm,
    "ruby-libvirt": lambda: _succeeds("ruby", "-e", "require 'libvirt'"),
    "perl-libvirt": lambda: _succeeds("perl", "-e", "use Sys::Virt"),
    "criu": _criu,
    "qemu": _sideloaded("qemu"),
    "libvirtd": _sideloaded("libvirtd"),
    "openvswitch": _open_vswitch,
    "machine-image": _machine_image,
    "mmdebstrap": _command("mmdebstrap"),
    "debian-12-image": _built(roots.debian_is_there, "12"),
    "debian-13-image": _built(roots.debian_is_there, "13"),
    "busybox": lambda: "" if Path("/bin/busybox").exists() else "no /bin/busybox (package busybox-static)",
    "iproute2": _command("ip"),
    "tc": _command("tc"),
    "nft": _command("nft"),
    "iptables": _command("iptables"),
    "libvirt.nwfilters": _libvirt_filters,
    "newuidmap": _command("newuidmap"),
    "btrfs-tools": _command("mkfs.btrfs"),
    "sfdisk": _command("sfdisk"),
    "strace": _command("strace"),
    "crun": _command("crun"),
    "lxc-tools": _command("lxc-start"),
    "nspawn": _command("systemd-nspawn"),
    "compiler": _command("gcc"),
    "gdb": _command("gdb"),
    "procps": _command("free"),
    "qemu-aarch64": _command("qemu-aarch64-static"),
    "dnsmasq": _command("dnsmasq"),
    "passt": _command("pasta"),
    "slirp4netns": _command("slirp4netns"),
    "zsh": _command("zsh"),
    "fish": _command("fish"),
    "groff": _command("groff"),
}

FAMILIES: Mapping[str, Callable[[str], str]] = {
    "cap": _capability,
    "cgroup1": _cgroup1,
    "cgroup2": _cgroup2,
    "device": _device,
    "fs": _file_system,
    "link": _link_type,
    "net": _network_feature,
    "spawner-compiler": _spawner_compiler,
}
"""First words whose second word is looked up as it is: a capability, a controller, a device, a file system, …"""


if __name__ == "__main__":
    print(json.dumps({name: missing(name) or "here" for name in PROBES}, indent=2))
