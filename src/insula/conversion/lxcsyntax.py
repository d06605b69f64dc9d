"""LXC's configuration files: lines of `key = value`, what they include, and the names that keys had before LXC 3.

Source: lxc.container.conf(5), and lxc-update-config(1) for the former names.
"""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from insula.conversion.foreigndocument import ForeignDocument, ForeignEntry, bounded, fault_at, quoted
from insula.errors import InvalidArgumentError

INCLUDE = "lxc.include"
INCLUDES_MAX = 64
"""Files that one document includes, each time counted."""
CLEARINGS_MAX = 256
"""Settings without a value, each of which takes back others."""

FORMER_KEYS: Mapping[str, str] = {
    "lxc.aa_allow_incomplete": "lxc.apparmor.allow_incomplete",
    "lxc.aa_profile": "lxc.apparmor.profile",
    "lxc.console": "lxc.console.path",
    "lxc.devttydir": "lxc.tty.dir",
    "lxc.haltsignal": "lxc.signal.halt",
    "lxc.id_map": "lxc.idmap",
    "lxc.init_cmd": "lxc.init.cmd",
    "lxc.init_gid": "lxc.init.gid",
    "lxc.init_uid": "lxc.init.uid",
    "lxc.logfile": "lxc.log.file",
    "lxc.loglevel": "lxc.log.level",
    "lxc.mount": "lxc.mount.fstab",
    "lxc.pts": "lxc.pty.max",
    "lxc.rebootsignal": "lxc.signal.reboot",
    "lxc.rootfs": "lxc.rootfs.path",
    "lxc.se_context": "lxc.selinux.context",
    "lxc.seccomp": "lxc.seccomp.profile",
    "lxc.stopsignal": "lxc.signal.stop",
    "lxc.syslog": "lxc.log.syslog",
    "lxc.tty": "lxc.tty.max",
    "lxc.utsname": "lxc.uts.name",
}
"""Keys of LXC before 2.1, and what they are called since."""
_FORMER_BEGINNINGS = {"lxc.limit.": "lxc.prlimit."}
FORMER_NETWORK, NETWORK = "lxc.network.", "lxc.net."
_FORMER_NETWORK_KEYS = {"ipv4": "ipv4.address", "ipv6": "ipv6.address"}


def lxc_entries(document: ForeignDocument) -> tuple[ForeignEntry, ...]:
    """Return the settings of a document and of what it includes, in order, those that a later line cleared left out.

    Keys have the names of today, as each entry's `key` is looked up by `present_key`; an `lxc.include` that nothing is
    known of stays as it is.
    Raises: InvalidArgumentError with the line, for one that is no setting, and for includes without an end.
    """
    kept: list[ForeignEntry] = []
    clearings = 0
    for entry in bounded(_flat(document)):
        if entry.value or entry.key == INCLUDE:
            kept.append(entry)
            continue
        # Without a value it takes back what was said so far, of this key and of those below it.
        clearings += 1
        if clearings > CLEARINGS_MAX:
            raise InvalidArgumentError(f"more than {CLEARINGS_MAX} settings have no value")
        cleared = present_key(entry.key)
        kept = [each for each in kept if not _is_of(present_key(each.key), cleared)]
    return tuple(kept)


def _is_of(key: str, cleared: str) -> bool:
    return key == cleared or key.startswith(f"{cleared.removesuffix('.path')}.")


def present_key(key: str) -> str:
    """Return what a key is called since LXC 2.1; keys of networks stay as they are."""
    if key in FORMER_KEYS:
        return FORMER_KEYS[key]
    for former, present in _FORMER_BEGINNINGS.items():
        if key.startswith(former):
            return present + key.removeprefix(former)
    return "lxc.net" if key == "lxc.network" else key


def lxc_files(text: str) -> tuple[str, ...]:
    """Return what a document names that its reader should be handed: files, directories, patterns, as written."""
    wanted = (INCLUDE, "lxc.mount.fstab", "lxc.mount")
    settings = (line.partition("=") for line in text.split("\n"))
    named = (_unquoted(value.strip()) for key, _, value in settings if key.strip() in wanted)
    return tuple(filter(None, named))


def _flat(document: ForeignDocument) -> Iterator[ForeignEntry]:
    number = 0

    def walk(text: str, file: str, open_files: tuple[str, ...]) -> Iterator[ForeignEntry]:
        nonlocal number
        for entry in _lines(text, file):
            found = included(document, entry.value) if entry.key == INCLUDE and entry.value else ()
            if not found:
                yield entry
            for path in found:
                number += 1
                if path in open_files:
                    raise fault_at(entry.line, f"{quoted(path)} includes itself; take one of both lines out", file)
                if number > INCLUDES_MAX:
                    raise InvalidArgumentError(f"more than {INCLUDES_MAX} files are included")
                yield from walk(document.others[path], path, (*open_files, path))

    own = (str(document.path),) if document.path is not None else ()
    yield from walk(document.text, "", own)


def included(document: ForeignDocument, wanted: str) -> tuple[str, ...]:
    """Return the files at hand that an include means: a file, a directory's that end in .conf, or by a pattern."""
    base = document.path.parent if document.path is not None else PurePosixPath("/")
    path = base / wanted
    if str(path) in document.others:
        return (str(path),)
    return tuple(
        each
        for each in sorted(document.others)
        if (PurePosixPath(each).parent == path and each.endswith(".conf")) or fnmatchcase(each, str(path))
    )


def _lines(text: str, file: str) -> Iterator[ForeignEntry]:
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        key, equals, value = stripped.partition("=")
        if not equals:
            raise fault_at(number, f"{quoted(stripped)} is no setting; expected KEY = VALUE", file)
        yield ForeignEntry(key=key.strip(), value=_unquoted(value.strip()), line=number, file=file)


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value


def lxc_networks(entries: tuple[ForeignEntry, ...]) -> Iterator[tuple[str, dict[str, list[ForeignEntry]]]]:
    """Yield each network by what its keys begin with, and its settings by their names of today.

    Before LXC 2.1 networks had no numbers: each `lxc.network.type` began one.
    """
    networks: dict[str, dict[str, list[ForeignEntry]]] = {}
    number = -1
    for entry in entries:
        if entry.key.startswith(FORMER_NETWORK):
            name = entry.key.removeprefix(FORMER_NETWORK)
            index, _, rest = name.partition(".")
            if index.isdigit():
                label, name = f"{FORMER_NETWORK}{int(index[:9])}", rest
            else:
                number += name == "type"
                label = f"{FORMER_NETWORK}{max(number, 0)}"
            name = _FORMER_NETWORK_KEYS.get(name, name)
        elif entry.key.startswith(NETWORK):
            index, _, name = entry.key.removeprefix(NETWORK).partition(".")
            label = f"{NETWORK}{index}"
        else:
            continue
        networks.setdefault(label, {}).setdefault(name, []).append(entry)
    yield from networks.items()


def is_of_network(entry: ForeignEntry) -> bool:
    return entry.key.startswith((NETWORK, FORMER_NETWORK))
