"""The daemon's settings: a TOML file, a table of known keys, and errors that name the line.

log_level = "info"           # debug, info, warning, error
max_clients = 5000
max_clients_per_user = 100   # of one user other than root
max_client_requests = 5      # a client's calls in flight before its socket is not read
shutdown_timeout = 60        # seconds a guest may take to stop
partitions = ["/machine"]    # where in the control groups domains may be
confine_vcpus = true         # a domain's number of virtual processors is how many of the host's it has
machine_view = false         # guests read of a machine of their own: processors, memory, load
mend_other_firewalls = false # add rules to Docker's, ufw's and others' that let networks be
max_anonymous_clients = 20   # clients that have not proved yet who they are
auth_unix_rw = "none"        # what sockets for changes ask for: none (root and the group), polkit, or sasl
auth_unix_ro = "none"        # the same, for read-only sockets
access_drivers = ["none"]    # who is asked about each call: none, polkit, or an installed driver's name
audit_level = 1              # records of what happens: 0 none, 1 in the kernel's audit or the log, 2 the former only
audit_logging = false        # whether they are in the log, too
listen_tls = false           # whether clients from other machines may come, by certificates
listen_addr = ""             # which of this host's addresses they reach, "" for all
tls_port = 16514
ca_file = "/etc/pki/CA/cacert.pem"
crl_file = "/etc/pki/CA/cacrl.pem"
cert_file = "/etc/pki/libvirt/servercert.pem"
key_file = "/etc/pki/libvirt/private/serverkey.pem"
tls_allowed_dn_list = []     # names of clients, with * and ?; all that the authority knows if there is none
tls_min_version = "1.2"
auth_tls = "none"            # what is asked for beside a certificate: none or sasl
listen_tcp = false           # whether clients may come without TLS, encrypted by Kerberos
tcp_port = 16509
auth_tcp = "sasl"            # or none, on this host alone
sasl_credentials = "/etc/insula/sasl-users"  # what is kept of passwords; insulad sasl-user writes it
sasl_keytab = "/etc/insula/krb5.keytab"      # our key in a realm of Kerberos; none without
sasl_allowed_username_list = []              # of whom may come, with * and ?; all that prove who they are without

[keepalive]
interval = 5                 # seconds; 0 switches it off
count = 5

[ids]                        # where the guests' id ranges are taken from
first = 1000000
count = 655360000

[console_log]                # of each console
file_bytes = 2097152         # size at which a file is rotated
old_files = 3                # rotated files that are kept

[memory]                     # all off unless given
idle_reclaim = false         # take idle memory from guests while the host is short of it
host_free_below = 10         # percent of the host's memory; with less available it is short
interval = 10                # seconds between two rounds
guarantees = false           # refuse what would guarantee guests more than the host has
host_reserve = 1024          # MiB of it that no guest is guaranteed

[metrics]                    # for Prometheus; off unless there is an address or a path
address = "127.0.0.1:9177"   # of the host itself only
path = "run/insula/metrics"  # a socket instead, with mode and group as below

[[socket]]                   # replaces the two usual ones
path = "run/insula/api"      # below the prefix unless absolute
mode = 0o660
group = "libvirt"
read_only = false
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any

from insula.daemon.memorysettings import NO_CARE, MemorySettings, memory_settings
from insula.daemon.metricssettings import MetricsSettings, is_loopback, metrics_settings
from insula.daemon.remotesettings import REMOTE_KEYS, Authenticating, RemoteSettings, remote_settings
from insula.daemon.settingkeys import MODE, NAMES, TABLE, TABLE_LIST, TEXT, TRUTH, SettingKey, one_of, whole
from insula.engine.console.consolelog import USUAL_LIMITS, LogLimits
from insula.errors import ConfigurationError
from insula.layout import UNIX_SOCKET_PATH_MAX, Layout

LIBVIRT_GROUP = "libvirt"
MACHINE_VIEW = False
"""Whether guests have a machine view where neither the settings nor their definitions say so."""


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
    confine_vcpus: bool = True
    machine_view: bool = MACHINE_VIEW
    mend_other_firewalls: bool = False
    max_anonymous_clients: int = 20
    auth_unix_rw: Authenticating = Authenticating.NONE
    auth_unix_ro: Authenticating = Authenticating.NONE
    access_drivers: tuple[str, ...] = ()
    keepalive: KeepaliveSettings = field(default_factory=KeepaliveSettings)
    console_log: LogLimits = USUAL_LIMITS
    ids: IdPool | None = None
    audit_level: int = 1
    audit_logging: bool = False
    remote: RemoteSettings = field(default_factory=RemoteSettings)
    metrics: MetricsSettings | None = None
    memory: MemorySettings = NO_CARE


def default_sockets(layout: Layout, auth_unix_rw: Authenticating = Authenticating.NONE) -> tuple[SocketSettings, ...]:
    """The two sockets where libvirt's own LXC daemon would listen, with its modes: whom we ask, all may come."""
    for_changes = SocketSettings(path=layout.socket, mode=0o660, group=LIBVIRT_GROUP, group_optional=True)
    if auth_unix_rw is not Authenticating.NONE:
        for_changes = SocketSettings(path=layout.socket, mode=0o666)
    return (
        for_changes,
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
            return parse("", layout)
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
    console_log = source.checked(document.get("console_log", {}), _CONSOLE_LOG, "console_log")
    ids = source.checked(document.get("ids", {}), _IDS, "ids")
    if ids and set(ids) != set(_IDS):
        raise ConfigurationError(f"{source.at('ids', None)}: the table 'ids' needs both 'first' and 'count'")
    auth = {key: Authenticating(document.get(key, "none")) for key in _AUTHENTICATING}
    return Settings(
        sockets=_sockets(document.get("socket", []), source, layout, auth["auth_unix_rw"]),
        remote=_remote(document, source, layout),
        access_drivers=tuple(each for each in document.get("access_drivers", []) if each != "none"),
        auth_unix_rw=auth["auth_unix_rw"],
        auth_unix_ro=auth["auth_unix_ro"],
        keepalive=KeepaliveSettings(**keepalive),
        console_log=LogLimits(**console_log),
        ids=IdPool(**ids) if ids else None,
        metrics=_metrics(document["metrics"], source, layout) if "metrics" in document else None,
        memory=memory_settings(source.checked(document.get("memory", {}), _MEMORY, "memory")),
        partitions=tuple(map(PurePosixPath, document.get("partitions", ["/machine"]))),
        **{
            key: value
            for key, value in top.items()
            if key not in (*_TABLES, *_AUTHENTICATING, *REMOTE_KEYS, "partitions", "access_drivers")
        },
    )


def _remote(document: Mapping[str, Any], source: "_Source", layout: Layout) -> RemoteSettings:
    try:
        return remote_settings(document, layout)
    except ValueError as error:
        text, key = error.args
        raise ConfigurationError(f"{source.at('', key)}: {text}") from error


def _metrics(table: dict[str, Any], source: "_Source", layout: Layout) -> MetricsSettings:
    try:
        return metrics_settings(source.checked(table, _METRICS, "metrics"), layout.root)
    except ValueError as error:
        raise ConfigurationError(f"{source.at('metrics', None)}: {error}") from error


def _sockets(
    entries: list[dict[str, Any]], source: "_Source", layout: Layout, auth_unix_rw: Authenticating
) -> tuple[SocketSettings, ...]:
    if not entries:
        return default_sockets(layout, auth_unix_rw)
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


def _is_partition(value: object) -> bool:
    return isinstance(value, str) and value.startswith("/") and bool({*value.split("/")} - {""}) and ".." not in value


_PARTITIONS = SettingKey(
    accepts=lambda value: isinstance(value, list) and bool(value) and all(map(_is_partition, value)),
    wanted='a list of paths below the root of the control groups, such as ["/machine"]',
)

_AUTHENTICATING = ("auth_unix_rw", "auth_unix_ro")
_TABLES: Mapping[str, SettingKey] = {
    "keepalive": TABLE,
    "console_log": TABLE,
    "ids": TABLE,
    "memory": TABLE,
    "metrics": TABLE,
    "socket": TABLE_LIST,
}
_TOP: Mapping[str, SettingKey] = {
    "log_level": one_of("debug", "info", "warning", "error"),
    "max_clients": whole(1, 100_000),
    "max_clients_per_user": whole(1, 100_000),
    "max_client_requests": whole(1, 1000),
    "shutdown_timeout": whole(1, 86_400),
    "partitions": _PARTITIONS,
    "confine_vcpus": TRUTH,
    "machine_view": TRUTH,
    "mend_other_firewalls": TRUTH,
    "max_anonymous_clients": whole(1, 100_000),
    **dict.fromkeys(_AUTHENTICATING, one_of("none", "polkit", "sasl")),
    "access_drivers": NAMES,
    "audit_level": whole(0, 2),
    "audit_logging": TRUTH,
    **{key: wanted for key, (_, wanted) in REMOTE_KEYS.items()},
    **_TABLES,
}
_KEEPALIVE: Mapping[str, SettingKey] = {"interval": whole(0, 86_400), "count": whole(1, 1000)}
_CONSOLE_LOG: Mapping[str, SettingKey] = {"file_bytes": whole(4096, 2**40), "old_files": whole(0, 1000)}
_IDS: Mapping[str, SettingKey] = {"first": whole(1, 2**32 - 2), "count": whole(65536, 2**32 - 2)}
_ADDRESS = SettingKey(accepts=is_loopback, wanted="a loopback address with a port: 127.0.0.1:9177 or [::1]:9177")
_METRICS: Mapping[str, SettingKey] = {"address": _ADDRESS, "path": TEXT, "mode": MODE, "group": TEXT}
_MEMORY: Mapping[str, SettingKey] = {
    "idle_reclaim": TRUTH,
    "host_free_below": whole(1, 100),
    "interval": whole(1, 3600),
    "guarantees": TRUTH,
    "host_reserve": whole(0, 2**30),
}
_SOCKET: Mapping[str, SettingKey] = {"path": TEXT, "mode": MODE, "group": TEXT, "read_only": TRUTH}


class _Source:
    """The file's text, to find the line that an error is about: tomllib keeps no positions."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._lines = text.splitlines()

    def checked(
        self, values: Mapping[str, Any], keys: Mapping[str, SettingKey], table: str, index: int = 0
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
