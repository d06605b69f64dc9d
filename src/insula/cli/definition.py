"""Domain XML from the options of `create` and `run`: the few facts a newcomer gives, as libvirt writes them."""

import re
import uuid as uuids
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape

from insula.errors import InvalidArgumentError, UnsupportedConfigError, XmlError
from insula.model.xmlnamespaces import INSULA_NAMESPACE, LXC_NAMESPACE

_UNITS = {"": 1024**2, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
DEFAULT_MEMORY = "1g"
NO_LIMIT = "none"
_UNLIMITED_KIB = 9007199254740991
"""As `model.sizes` has it, which reads documents and costs a start of ours."""
CPU_PERIOD = 100_000
"""Microseconds in which a quota of processor time is spent: the kernel's default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What the command line asked for. memory: such as `512m`; cpus: processors' worth of time; image or root; binds:
    source, target, ro."""

    name: str
    image: str | None
    root: str | None
    init: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    cwd: str | None = None
    user: str | None = None
    memory: str = DEFAULT_MEMORY
    vcpus: int | None = None
    cpus: float | None = None
    pids: int | None = None
    bridges: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    binds: tuple[tuple[str, str, bool], ...] = ()
    privileged: bool = False
    share_network: bool = False
    addresses: tuple[str, ...] = ()
    ports: str | None = None


def kibibytes(text: str) -> int:
    """Read `512m`, `2g`, `65536k`; a bare number is mebibytes, `none` what libvirt says for no limit.

    Raises: InvalidArgumentError.
    """
    if text.lower() == NO_LIMIT:
        return _UNLIMITED_KIB
    number = text.rstrip("kKmMgGtTiIbB")
    suffix = text[len(number) :].lower().removesuffix("b").removesuffix("i")
    if not number.isdigit() or suffix not in _UNITS:
        raise InvalidArgumentError(
            f"'{text}' is no amount of memory; give a number with k, m, g or t, such as 512m, or none"
        )
    return int(number) * _UNITS[suffix] // 1024


def split_bind(text: str) -> tuple[str, str, bool]:
    """Read `SOURCE:TARGET[:ro]`.

    Raises: InvalidArgumentError.
    """
    parts = text.split(":")
    if len(parts) not in (2, 3) or (len(parts) == 3 and parts[2] not in ("ro", "rw")) or not all(parts):
        raise InvalidArgumentError(f"'{text}' is no bind mount; give SOURCE:TARGET or SOURCE:TARGET:ro")
    if not parts[0].startswith("/") or not parts[1].startswith("/"):
        raise InvalidArgumentError(f"'{text}' has a relative path; both ends of a bind mount are absolute")
    return parts[0], parts[1], len(parts) == 3 and parts[2] == "ro"


def split_env(text: str) -> tuple[str, str]:
    """Read `NAME=VALUE`.

    Raises: InvalidArgumentError.
    """
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise InvalidArgumentError(f"'{text}' is no environment variable; give NAME=VALUE")
    return name, value


_OPTIONS = (
    ("/domain/name", "the name"),
    ("/domain/memory", "--memory"),
    ("/domain/vcpu", "--vcpus"),
    ("/domain/os/initdir", "--cwd"),
    ("/domain/os/inituser", "--user"),
    ("/domain/os/initenv", "--env"),
    ("/domain/os/init", "the command"),
    ("/domain/metadata/insula:domain/insula:pids", "--pids"),
    ("/domain/devices/filesystem/source/@name", "--image"),
    ("/domain/devices/filesystem[1]/source", "--root"),
    ("/domain/devices/filesystem/source", "--root"),
    ("/domain/devices/filesystem", "--bind"),
    ("/domain/devices/interface/source/@network", "--network"),
    ("/domain/devices/interface", "--bridge"),
    ("/domain/metadata/insula:domain/insula:share-network", "--address"),
)
"""Where in the definition an option stands; the first that fits counts."""
_PLACE = re.compile(r"line \d+: (/domain\S*): (.*)", re.DOTALL)


@contextmanager
def told_by_options() -> Iterator[None]:
    """Tell what is wrong with a definition that the options made by them: nobody has seen its XML.

    Raises: InvalidArgumentError.
    """
    try:
        yield
    except (XmlError, UnsupportedConfigError, InvalidArgumentError) as error:
        found = _PLACE.fullmatch(str(error))
        if found is None:
            raise
        option = next((name for path, name in _OPTIONS if found[1].startswith(path)), "the domain")
        raise InvalidArgumentError(f"{option}: {found[2]}") from error


def domain_xml(wanted: Wanted) -> str:
    """Write the definition. Raises: InvalidArgumentError where the wishes contradict each other."""
    if (wanted.image is None) == (wanted.root is None):
        raise InvalidArgumentError("give either an image or --root: the domain needs one root file system")
    if wanted.init and "/" in wanted.init[0] and not wanted.init[0].startswith("/"):
        raise InvalidArgumentError(
            f"'{wanted.init[0]}' is a relative path: give the program's name, or all of its path, such as /bin/sh"
        )
    _check_network(wanted)
    if not wanted.name:
        raise InvalidArgumentError("the name is empty")
    parts = [
        f"<domain type='lxc' xmlns:insula='{INSULA_NAMESPACE}'"
        + (f" xmlns:lxc='{LXC_NAMESPACE}'" if wanted.share_network else "")
        + ">",
        f"  <name>{_text(wanted.name)}</name>",
        f"  <uuid>{uuids.uuid4()}</uuid>",
    ]
    settings = (
        _share(wanted)
        + (["<insula:privileged/>"] if wanted.privileged else [])
        + ([f"<insula:pids limit='{wanted.pids}'/>"] if wanted.pids is not None else [])
    )
    if settings:
        parts += ["  <metadata>", "    <insula:domain>"]
        parts += [f"      {each}" for each in settings]
        parts += ["    </insula:domain>", "  </metadata>"]
    parts += [
        f"  <memory unit='KiB'>{kibibytes(wanted.memory)}</memory>",
        *([f"  <vcpu>{wanted.vcpus}</vcpu>"] if wanted.vcpus is not None else []),
        *_cpu_time(wanted.cpus),
        "  <os>",
        "    <type>exe</type>",
        *_init(wanted),
        "  </os>",
        "  <devices>",
        *_root(wanted),
    ]
    for source, target, read_only in wanted.binds:
        parts += [
            "    <filesystem type='mount'>",
            f"      <source dir={_quoted(source)}/>",
            f"      <target dir={_quoted(target)}/>",
            *(["      <readonly/>"] if read_only else []),
            "    </filesystem>",
        ]
    for bridge in wanted.bridges:
        parts += ["    <interface type='bridge'>", f"      <source bridge={_quoted(bridge)}/>", "    </interface>"]
    for network in wanted.networks:
        parts += ["    <interface type='network'>", f"      <source network={_quoted(network)}/>", "    </interface>"]
    parts += ["    <console type='pty'/>", "  </devices>"]
    if wanted.share_network:
        parts += ["  <lxc:namespace>", "    <lxc:sharenet type='pid' value='1'/>", "  </lxc:namespace>"]
    parts += ["</domain>", ""]
    return "\n".join(parts)


def cpu_quota(cpus: float) -> int:
    """Microseconds a period for so many processors' worth of time. Raises: InvalidArgumentError below a hundredth."""
    if not 0.01 <= cpus <= 16384:
        raise InvalidArgumentError(f"{cpus:g} processors' worth of time cannot be given; give 0.01 or more")
    return round(cpus * CPU_PERIOD)


def _check_network(wanted: Wanted) -> None:
    """Raises: InvalidArgumentError for two networks."""
    networks = {
        "--share-network": wanted.share_network,
        "--address": bool(wanted.addresses),
        "--network" if wanted.networks else "--bridge": bool(wanted.bridges or wanted.networks),
    }
    given = [option for option, there in networks.items() if there]
    if len(given) > 1:
        raise InvalidArgumentError(f"{given[0]} and {given[1]} contradict each other")
    if wanted.ports is not None and not wanted.addresses:
        raise InvalidArgumentError("--ports belongs to --address: which of the host's addresses the guest shares")


def _share(wanted: Wanted) -> list[str]:
    if not wanted.addresses:
        return []
    ports = f" ports={_quoted(wanted.ports)}" if wanted.ports is not None else ""
    return [f"<insula:share-network addresses={_quoted(' '.join(wanted.addresses))}{ports}/>"]


def _cpu_time(cpus: float | None) -> list[str]:
    if cpus is None:
        return []
    return [
        "  <cputune>",
        f"    <period>{CPU_PERIOD}</period>",
        f"    <quota>{cpu_quota(cpus)}</quota>",
        "  </cputune>",
    ]


def _init(wanted: Wanted) -> list[str]:
    lines = []
    if wanted.init:
        lines.append(f"    <init>{_text(wanted.init[0])}</init>")
        lines += [f"    <initarg>{_text(each)}</initarg>" for each in wanted.init[1:]]
    lines += [f"    <initenv name={_quoted(name)}>{_text(value)}</initenv>" for name, value in wanted.env]
    if wanted.cwd:
        lines.append(f"    <initdir>{_text(wanted.cwd)}</initdir>")
    if wanted.user:
        lines.append(f"    <inituser>{_text(wanted.user)}</inituser>")
    return lines


def _root(wanted: Wanted) -> list[str]:
    if wanted.image is not None:
        kind, source = "template", f"<source name={_quoted(wanted.image)}/>"
    else:
        kind, source = "mount", f"<source dir={_quoted(wanted.root or '')}/>"
    return [f"    <filesystem type='{kind}'>", f"      {source}", "      <target dir='/'/>", "    </filesystem>"]


def _text(value: str) -> str:
    return escape(value, quote=False)


def _quoted(value: str) -> str:
    return f"'{escape(value, quote=True)}'"
