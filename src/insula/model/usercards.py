"""What a card of type `user` says of the helper that carries its traffic: `<backend>` and `<portForward>`."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from insula.model.scalars import PORT, IpAddress, YesNo
from insula.model.xmlmap import Attribute, Element, Mapped


class BackendType(StrEnum):
    """Which helper there is."""

    DEFAULT = "default"
    PASST = "passt"


@dataclass(frozen=True, kw_only=True, slots=True)
class InterfaceBackend(Mapped):
    """`<backend>`: the helper, None or default for one that the host has; log_file: where it writes to."""

    type: Annotated[BackendType | None, Attribute("type")] = None
    log_file: Annotated[str | None, Attribute("logFile")] = None


class ForwardProtocol(StrEnum):
    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, kw_only=True, slots=True)
class UserPortRange(Mapped):
    """`<range>`: ports of the host, or those of other ranges that are left out.

    end: the last of several, None only start; to: the first of the guest's, None the same as the host's.
    """

    start: Annotated[int, Attribute("start", within=PORT)]
    end: Annotated[int | None, Attribute("end", within=PORT)] = None
    to: Annotated[int | None, Attribute("to", within=PORT)] = None
    exclude: Annotated[YesNo | None, Attribute("exclude")] = None

    @property
    def last(self) -> int:
        """The last port."""
        return self.start if self.end is None else self.end


@dataclass(frozen=True, kw_only=True, slots=True)
class UserPortForward(Mapped):
    """`<portForward>`: what comes to ports of the host goes to the guest. address, device: of the host, None any."""

    protocol: Annotated[ForwardProtocol, Attribute("proto")]
    address: Annotated[IpAddress | None, Attribute("address")] = None
    device: Annotated[str | None, Attribute("dev")] = None
    ranges: Annotated[tuple[UserPortRange, ...], Element("range")] = ()

    def parts(self) -> Iterator[tuple[int, int, int]]:
        """Yield what is forwarded: the first and last of ports of the host, and the first of as many of the guest's."""
        left_out = sorted((each.start, each.last) for each in self.ranges if each.exclude is YesNo.YES)
        for each in self.ranges:
            if each.exclude is YesNo.YES:
                continue
            to = (each.start if each.to is None else each.to) - each.start
            first = each.start
            for start, last in left_out:
                if first < start <= each.last:
                    yield first, start - 1, first + to
                if start <= each.last and last >= first:
                    first = last + 1
            if first <= each.last:
                yield first, each.last, first + to
