"""Where in the tree of control groups domains may be: below the partitions that the administrator allows.

Elsewhere are the host's own services, whose limits and whose names would be a guest's.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath

from insula.errors import UnsupportedConfigError
from insula.kernel.cgroups import partition_path
from insula.model.domain import DomainDefinition

DEFAULT = PurePosixPath("/machine")


@dataclass(frozen=True, kw_only=True, slots=True)
class Partitions:
    """allowed: these, and all below them."""

    allowed: tuple[PurePosixPath, ...] = (DEFAULT,)

    def check(self, domain: DomainDefinition) -> None:
        """Raises: UnsupportedConfigError if the domain wants to be elsewhere."""
        wanted = domain.resource.partition if domain.resource is not None else None
        if wanted is None or any(_is_below(wanted, each) for each in self.allowed):
            return
        listed = ", ".join(map(str, self.allowed))
        raise UnsupportedConfigError(
            f"the partition {wanted} is not below {listed}; take one that is, or allow it in insulad.toml (partitions)"
        )


BELOW_MACHINE = Partitions()
"""What holds unless the administrator says otherwise."""


def _is_below(partition: PurePosixPath, allowed: PurePosixPath) -> bool:
    """Whether a partition is another or below it, however the two are spelled."""
    try:
        there, here = (PurePosixPath(partition_path(str(each))) for each in (partition, allowed))
    except OSError:
        return False
    return there.is_relative_to(here)
