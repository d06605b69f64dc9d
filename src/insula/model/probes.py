"""When a guest counts as ready: settings of ours in `<insula:domain>`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from insula.model.commandwords import words_of
from insula.model.scalars import IpAddress, YesNo
from insula.model.xmlmap import Attribute, Mapped

SECONDS_MAX = 86400
PORT_MAX = 65535


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe(Mapped):
    """One thing to try inside a guest. port: takes connections of TCP, at address, None for the guest's loopback;
    command: ends with 0, words as a shell's, which no shell reads; interval: seconds from one try to the next."""

    port: Annotated[int | None, Attribute("port", within=(1, PORT_MAX))] = None
    address: Annotated[IpAddress | None, Attribute("address")] = None
    command: Annotated[str | None, Attribute("command")] = None

    @property
    def words(self) -> tuple[str, ...]:
        """The command's words. Raises: ValueError if its quotes have no end."""
        return words_of(self.command or "")

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the port is tried."""
        return ("127.0.0.1", "::1") if self.address is None else (str(self.address),)

    def __str__(self) -> str:
        if self.port is None:
            return f"command '{self.command}'"
        return f"port {self.port}" if self.address is None else f"port {self.port} of {self.address}"


@dataclass(frozen=True, kw_only=True, slots=True)
class DefinedReadiness(Probe):
    """`<insula:readiness notify='yes'/>`, `port=''` or `command=''`: by what a guest is known to be ready.

    notify: its init says so: sd_notify(3); interval: seconds from one try to the next; timeout: seconds from its start
    that those wait that depend on it.
    """

    notify: Annotated[YesNo | None, Attribute("notify")] = None
    interval: Annotated[int, Attribute("interval", within=(1, SECONDS_MAX))] = 1
    timeout: Annotated[int, Attribute("timeout", within=(1, SECONDS_MAX))] = 90

    @property
    def notifies(self) -> bool:
        return self.notify is YesNo.YES


def probe_problems(probe: Probe, what: str, *others: bool) -> Iterator[str]:
    """What is wrong with a probe that is called what. others: whether each other way to know is asked for."""
    if [probe.port is not None, probe.command is not None, *others].count(True) != 1:
        yield f"the {what} is known in one way: choose one of {'notify, ' if others else ''}port and command"
    if probe.address is not None and probe.port is None:
        yield f"the {what} has an address and no port to try there"
    if probe.command is None:
        return
    try:
        words = probe.words
    except ValueError as error:
        yield f"the command of the {what} cannot be read: {str(error).lower()}"
        return
    if not words or "\0" in probe.command:
        yield f"the command of the {what} names no program"
