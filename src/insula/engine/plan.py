"""The plan of a launch: every step with its reason, as a value that prints, compares, and survives JSON."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from insula.engine import codec
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.registry import STEP, decode_guest_step, encode_guest_step
from insula.engine.steps.host.hoststep import HostStep
from insula.engine.steps.host.registry import HOST_STEPS


@dataclass(frozen=True, kw_only=True, slots=True)
class Clone:
    """The birth of the guest's first process.

    namespaces: names below /proc/PID/ns of those made with it; shared: pairs of a name and the file of a namespace to
    be born in; owner: host uid and gid that the user namespace belongs to, None without one; numbered: its pid on the
    host is chosen, and is the domain's id.
    """

    namespaces: tuple[str, ...]
    shared: tuple[tuple[str, str], ...] = ()
    owner: tuple[int, int] | None = None
    numbered: bool = True

    def __str__(self) -> str:
        text = f"clone the first process into new namespaces: {', '.join(self.namespaces)}"
        if self.owner is not None:
            text += f"; the user namespace belongs to {self.owner[0]}:{self.owner[1]}"
        for kind, path in self.shared:
            text += f"; {kind} is that of {path}"
        return text


CLONE_REASON = "one call makes every namespace, so nothing of the guest ever runs outside them"


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchPlan:
    """outer: on the host, before the clone; early: by the child, as soon as it lives; between: on the host meanwhile;
    inner: by the child, once all that is done; staged: names of trees that reach it with their attributes locked."""

    outer: tuple[HostStep, ...]
    clone: Clone
    early: tuple[GuestStep, ...]
    between: tuple[HostStep, ...]
    inner: tuple[GuestStep, ...]
    staged: tuple[str, ...] = ()

    def lines(self) -> Iterator[tuple[str, str, str]]:
        """Yield a row for each step: where it is performed, what it does, and why."""
        for step in self.outer:
            yield "before", str(step), step.why
        yield "clone", str(self.clone), CLONE_REASON
        for first in self.early:
            yield "inside, meanwhile", str(first), first.why
        for step in self.between:
            yield "meanwhile", str(step), step.why
        for inner in self.inner:
            yield "inside", str(inner), inner.why

    def encode(self) -> dict[str, Any]:
        """Return the plan as JSON-able data."""
        return {
            "outer": [_encode_host_step(step) for step in self.outer],
            "clone": codec.encode(self.clone),
            "early": [encode_guest_step(step) for step in self.early],
            "between": [_encode_host_step(step) for step in self.between],
            "inner": [encode_guest_step(step) for step in self.inner],
            "staged": list(self.staged),
        }

    @staticmethod
    def decode(data: dict[str, Any]) -> "LaunchPlan":
        """Return the plan that `encode` made data from. Raises: ValueError, KeyError, TypeError if it is none."""
        return LaunchPlan(
            outer=tuple(_decode_host_step(step) for step in data["outer"]),
            clone=codec.decode(Clone, data["clone"]),
            early=tuple(decode_guest_step(step) for step in data["early"]),
            between=tuple(_decode_host_step(step) for step in data["between"]),
            inner=tuple(decode_guest_step(step) for step in data["inner"]),
            staged=tuple(data["staged"]),
        )


def _encode_host_step(step: HostStep) -> dict[str, Any]:
    encoded: dict[str, Any] = codec.encode(step)
    return {STEP: type(step).__name__, **encoded}


def _decode_host_step(data: dict[str, Any]) -> HostStep:
    fields = dict(data)
    name = fields.pop(STEP, "")
    kind = HOST_STEPS.get(name)
    if kind is None:
        raise ValueError(f"no such step: {name!r}")
    return codec.decode(kind, fields)
