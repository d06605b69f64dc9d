"""The daemon's settings: a TOML file, a table of known keys, and errors that name the line.

log_level = "info"           # debug, info, warning, error
max_clients = 5000
max_clients_per_user = 100   # of one user other than root
max_client_requests = 5      # a client's calls in flight before its socket is not read
shutdown_timeout = 60        # seconds a guest may take to stop
partitions = ["/machine"]    # where in the control groups domains may be

[keepalive]
interval = 5                 # seconds; 0 switches it off
count = 5

[ids]                        # where the guests' id ranges are taken from
first = 1000000
count = 655360000

[[socket]]                   # replaces the two usual ones
path = "run/insula/api"      # below the prefix unless absolute
mode = 0o660
group = "libvirt"
read_only = false
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any

from insula.errors import ConfigurationError
from insula.layout import UNIX_SOCKET_PATH_MAX, Layout

LIBVIRT_GROUP = "libvirt"


class SocketAccess(Enum):
    READ_WRITE = "read-write"
    READ_ONLY = "read-only"


@dataclass(frozen=True, kw_only=True, slots=True)
class SocketSettings:
    """A socket to listen on. group: may use it, besides root; group_optional: fine if the host has no such group."""

    path: Path
    mode: int = 0o660
    group: str | None = None
    group_optional: bool = False
    access: SocketAccess = SocketAccess.READ_WRITE


@dataclass(frozen=True, kw_only=True, slots=True)
class KeepaliveSettings:
    """interval: seconds of silence before a ping, 0 for none; count: unanswered pings before the client is given up."""

    interval: int = 5
    count: int = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class IdPool:
    """Host ids that guests' ranges are taken from."""

    first: int
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All settings, defaults filled in. shutdown_timeout: seconds."""

    sockets: tuple[SocketSettings, ...]
    log_level: str = "info"
    max_clients: int = 5000
    max_clients_per_user: int = 100
    max_client_requests: int = 5
    shutdown_timeout: int = 60
    partitions: tuple[PurePosixPath, ...] = (PurePosixPath("/machine"),)
    keepalive: KeepaliveSettings = field(default_factory=KeepaliveSettings)
    ids: IdPool | None = None


def default_sockets(layout: Layout) -> tuple[SocketSettings, ...]:
    """The two sockets where libvirt's own LXC daemon would listen, with the modes it has on a host without polkit."""
    return (
        SocketSettings(path=layout.socket, mode=0o660, group=LIBVIRT_GROUP, group_optional=True),
        SocketSettings(path=layout.socket_read_only, mode=0o666, access=SocketAccess.READ_ONLY),
    )


def load(layout: Layout, file: Path | None = None) -> Settings:
    """Return the settings of a file; the defaults if file is None and the usual one does not exist.

    Raises: ConfigurationError with the file, the line, and what is wanted instead.
    """
    path = file or layout.settings
    try:
        text = path.read_text()
    except FileNotFoundError as error:
        if file is None:
            return Settings(sockets=default_sockets(layout))
        raise ConfigurationError(f"the configuration file {path} does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the configuration file {path}: {error}") from error
    return parse(text, layout, name=str(path))


def parse(text: str, layout: Layout, *, name: str = "insulad.toml") -> Settings:
    """Return the settings in a file's text.

    Raises: ConfigurationError, naming the line.
    """
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # beside its own errors: numbers too long, arrays too deep
        raise ConfigurationError(f"{name}: {error}") from error
    source = _Source(name, text)
    top = source.checked(document, _TOP, "")
    keepalive = source.checked(document.get("keepalive", {}), _KEEPALIVE, "keepalive")
    ids = source.checked(document.get("ids", {}), _IDS, "ids")
    if ids and set(ids) != set(_IDS):
        raise ConfigurationError(f"{source.at('ids', None)}: the table 'ids' needs both 'first' and 'count'")
    return Settings(
        sockets=_sockets(document.get("socket", []), source, layout),
        keepalive=KeepaliveSettings(**keepalive),
        ids=IdPool(**ids) if ids else None,
        partitions=tuple(map(PurePosixPath, document.get("partitions", ["/machine"]))),
        **{key: value for key, value in top.items() if key not in (*_TABLES, "partitions")},
    )


def _sockets(entries: list[dict[str, Any]], source: "_Source", layout: Layout) -> tuple[SocketSettings, ...]:
    if not entries:
        return default_sockets(layout)
    sockets: list[SocketSettings] = []
    for index, entry in enumerate(entries):
        values = source.checked(entry, _SOCKET, "socket", index)
        if "path" not in values:
            raise ConfigurationError(f"{source.at('socket', None, index)}: a socket needs a 'path'")
        path = layout.root / values["path"]
        if len(bytes(path)) > UNIX_SOCKET_PATH_MAX or path in [each.path for each in sockets]:
            raise ConfigurationError(
                f"{source.at('socket', 'path', index)}: the socket path {path} occurs twice or is too long: "
                f"at most {UNIX_SOCKET_PATH_MAX} bytes"
            )
        access = SocketAccess.READ_ONLY if values.get("read_only") else SocketAccess.READ_WRITE
        sockets.append(
            SocketSettings(path=path, mode=values.get("mode", 0o660), group=values.get("group"), access=access)
        )
    return tuple(sockets)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Key:
    """What a key's value must be: a check, and the words for it."""

    accepts: Callable[[Any], bool]
    wanted: str


def _whole(least: int, most: int) -> _Key:
    return _Key(
        accepts=lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most,
        wanted=f"a whole number from {least} to {most}",
    )


def _one_of(*words: str) -> _Key:
    return _Key(accepts=lambda value: value in words, wanted=f"one of {', '.join(words)}")


def _is_partition(value: object) -> bool:
    return isinstance(value, str) and value.startswith("/") and bool({*value.split("/")} - {""}) and ".." not in value


_TEXT = _Key(accepts=lambda value: isinstance(value, str) and bool(value), wanted="a text")
_TRUTH = _Key(accepts=lambda value: isinstance(value, bool), wanted="true or false")
_TABLE = _Key(accepts=lambda value: isinstance(value, dict), wanted="a table")
_TABLE_LIST = _Key(
    accepts=lambda value: isinstance(value, list) and all(isinstance(each, dict) for each in value),
    wanted="a list of tables: [[socket]]",
)
_MODE = _Key(accepts=_whole(0, 0o777).accepts, wanted="permission bits such as 0o660")

_PARTITIONS = _Key(
    accepts=lambda value: isinstance(value, list) and bool(value) and all(map(_is_partition, value)),
    wanted='a list of paths below the root of the control groups, such as ["/machine"]',
)

_TABLES: Mapping[str, _Key] = {"keepalive": _TABLE, "ids": _TABLE, "socket": _TABLE_LIST}
_TOP: Mapping[str, _Key] = {
    "log_level": _one_of("debug", "info", "warning", "error"),
    "max_clients": _whole(1, 100_000),
    "max_clients_per_user": _whole(1, 100_000),
    "max_client_requests": _whole(1, 1000),
    "shutdown_timeout": _whole(1, 86_400),
    "partitions": _PARTITIONS,
    **_TABLES,
}
_KEEPALIVE: Mapping[str, _Key] = {"interval": _whole(0, 86_400), "count": _whole(1, 1000)}
_IDS: Mapping[str, _Key] = {"first": _whole(1, 2**32 - 2), "count": _whole(65536, 2**32 - 2)}
_SOCKET: Mapping[str, _Key] = {"path": _TEXT, "mode": _MODE, "group": _TEXT, "read_only": _TRUTH}


class _Source:
    """The file's text, to find the line that an error is about: tomllib keeps no positions."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._lines = text.splitlines()

    def checked(
        self, values: Mapping[str, Any], keys: Mapping[str, _Key], table: str, index: int = 0
    ) -> dict[str, Any]:
        """Return values as they are, each key known and its value acceptable."""
        for key, value in values.items():
            known = keys.get(key)
            if known is None:
                raise ConfigurationError(
                    f"{self.at(table, key, index)}: unknown key '{key}'; known here: {', '.join(keys)}"
                )
            if not known.accepts(value):
                raise ConfigurationError(f"{self.at(table, key, index)}: '{key}' must be {known.wanted}")
        return dict(values)

    def at(self, table: str, key: str | None, index: int = 0) -> str:
        """Return `file line N` for a key in a table's index-th occurrence, or for the table's head."""
        current, occurrence = "", {"": 0}
        for number, line in enumerate(self._lines, 1):
            if head := re.match(r"\s*\[{1,2}\s*([^\]\s]+)\s*\]{1,2}", line):
                current = head[1].strip("\"'")
                occurrence[current] = occurrence.get(current, -1) + 1
            inside = current == table and occurrence[current] == index
            found = head if key is None else re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line)
            if (inside and found) or (not table and key == current and head):
                return f"{self._name} line {number}"
        return self._name
