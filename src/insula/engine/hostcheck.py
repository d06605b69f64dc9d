"""What was checked of a host: what there is, or what is lacking, what that costs, and what to do."""

from dataclasses import dataclass
from enum import StrEnum


class Gravity(StrEnum):
    """How much a check weighs. ERROR: guests do not start, or what is promised does not hold; WARNING: something that
    may be asked for does not work; NOTE: worth knowing; OK: it is there."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True, slots=True)
class HostCheck:
    """One thing that was checked. id: stable, such as `programs.nft`; found: what there is; costs, remedy: empty if it
    is as it should be."""

    id: str
    gravity: Gravity
    found: str
    costs: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        return "; ".join(filter(None, (f"{self.found}: {self.costs}" if self.costs else self.found, self.remedy)))


def fine(id_: str, found: str) -> HostCheck:
    """A check that found what it should."""
    return HostCheck(id=id_, gravity=Gravity.OK, found=found)
