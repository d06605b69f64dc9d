"""The plan of a launch: every step with its reason, as a value that prints, compares, and survives JSON."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from insula.engine import codec
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.gueststeptable import GUEST_STEPS
from insula.engine.steps.host.hoststep import HostStep
from insula.engine.steps.host.hoststeptable import HOST_STEPS
from insula.engine.steps.step import Step


@dataclass(frozen=True, kw_only=True, slots=True)
class CloneOptions:
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
    """before: on the host, before the clone; child_early: by the child, as soon as it lives; meanwhile: on the host;
    inside: by the child, once what is meanwhile is done; staged: names of trees that reach it with their attributes
    locked."""

    before: tuple[HostStep, ...]
    clone: CloneOptions
    child_early: tuple[GuestStep, ...]
    meanwhile: tuple[HostStep, ...]
    inside: tuple[GuestStep, ...]
    staged: tuple[str, ...] = ()

    def lines(self) -> Iterator[tuple[str, str, str]]:
        """Yield a row for each step: where it is performed, what it does, and why."""
        for step in self.before:
            yield "before", str(step), step.why
        yield "clone", str(self.clone), CLONE_REASON
        for first in self.child_early:
            yield "inside, meanwhile", str(first), first.why
        for step in self.meanwhile:
            yield "meanwhile", str(step), step.why
        for inner in self.inside:
            yield "inside", str(inner), inner.why

    def encode(self) -> dict[str, Any]:
        """Return the plan as JSON-able data."""
        return {
            "before": [_encoded(step) for step in self.before],
            "clone": codec.encode(self.clone),
            "child_early": [_encoded(step) for step in self.child_early],
            "meanwhile": [_encoded(step) for step in self.meanwhile],
            "inside": [_encoded(step) for step in self.inside],
            "staged": list(self.staged),
        }

    @staticmethod
    def decode(data: dict[str, Any]) -> "LaunchPlan":
        """Return the plan that `encode` made data from. Raises: ValueError, KeyError, TypeError if it is none."""
        return LaunchPlan(
            before=tuple(_decoded(HOST_STEPS, step) for step in data["before"]),
            clone=codec.decode(CloneOptions, data["clone"]),
            child_early=tuple(_decoded(GUEST_STEPS, step) for step in data["child_early"]),
            meanwhile=tuple(_decoded(HOST_STEPS, step) for step in data["meanwhile"]),
            inside=tuple(_decoded(GUEST_STEPS, step) for step in data["inside"]),
            staged=tuple(data["staged"]),
        )


_STEP = "step"
"""The key that names a step among its fields."""
_Kind = TypeVar("_Kind", bound=Step)


def _encoded(step: Step) -> dict[str, Any]:
    encoded: dict[str, Any] = codec.encode(step)
    return {_STEP: type(step).__name__, **encoded}


def _decoded(kinds: Mapping[str, type[_Kind]], data: dict[str, Any]) -> _Kind:
    fields = dict(data)
    name = fields.pop(_STEP, "")
    kind = kinds.get(name)
    if kind is None:
        raise ValueError(f"no such step: {name!r}")
    return codec.decode(kind, fields)
