"""Who stands before ports, and drops what guests may not send: the host's packet filter, as far as it is ours."""

from typing import Protocol

from insula.errors import UnsupportedConfigError
from insula.network.firewall.portrules import PortRules


class PortGuard(Protocol):
    """See `network.firewall.firewall.Firewall`."""

    def protect(self, *ports: PortRules) -> None:
        """Have these filters before these ports, all or none. Raises: InsulaError naming the port and the rule."""
        ...

    def release(self, *hosts: str) -> None:
        """Have no filter before these ports any more; unknown ones count as done."""
        ...


class NoGuard:
    """Where nobody filters: what asks for it is refused."""

    def protect(self, *ports: PortRules) -> None:
        first = ports[0]
        wanted = first.protection.filter
        raise UnsupportedConfigError(f"nobody filters what goes through '{first.host}': '{wanted}' would not hold")

    def release(self, *hosts: str) -> None:
        """Nothing was protected."""
