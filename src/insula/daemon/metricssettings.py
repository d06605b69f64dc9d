"""Where metrics are told: what the settings may say of it."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insula.layout import UNIX_SOCKET_PATH_MAX

_ADDRESS = re.compile(r"(?:\[([0-9a-f:]+)\]|([0-9.]+)):([0-9]{1,5})")


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricsSettings:
    """At a loopback address, or at a socket with a path if there is one. mode, group: of that, as of other sockets."""

    host: str = ""
    port: int = 0
    path: Path | None = None
    mode: int = 0o660
    group: str | None = None

    def __str__(self) -> str:
        if self.path is not None:
            return str(self.path)
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/metrics"


def is_loopback(value: object) -> bool:
    """Whether it is an address of this host alone, with a port."""
    found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    try:
        return (
            found is not None and ipaddress.ip_address(found[1] or found[2]).is_loopback and 0 < int(found[3]) < 65536
        )
    except ValueError:
        return False


def metrics_settings(values: Mapping[str, Any], root: Path) -> MetricsSettings:
    """Return what the keys of the table say, each acceptable by itself. Raises: ValueError in words if not together."""
    if ("address" in values) == ("path" in values):
        raise ValueError("the table 'metrics' needs an 'address' or a 'path'")
    if "address" in values:
        if "mode" in values or "group" in values:
            raise ValueError("an address has no 'mode' and no 'group', a path has")
        host, _, port = values["address"].rpartition(":")
        return MetricsSettings(host=host.strip("[]"), port=int(port))
    path = root / values["path"]
    if len(bytes(path)) > UNIX_SOCKET_PATH_MAX:
        raise ValueError(f"the socket path {path} is too long: at most {UNIX_SOCKET_PATH_MAX} bytes")
    return MetricsSettings(path=path, mode=values.get("mode", 0o660), group=values.get("group"))
