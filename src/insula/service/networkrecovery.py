"""What a new daemon has to do about each network of the one before: decided from facts alone, performed elsewhere.

order of truth: the kernel (is it the same boot? which networks have bridges? what the performer finds when it settles
one), the run directory, the definitions
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

from insula.model.network import NetworkDefinition
from insula.network.virtual.networkrecord import NetworkRecord
from insula.service.networkruns import NetworkRun, RecordedNetworks
from insula.service.runrecord import RunPhase


@dataclass(frozen=True, kw_only=True, slots=True)
class SettleNetwork:
    """It is active: show it at once, then bring back what it misses."""

    run: NetworkRun


@dataclass(frozen=True, kw_only=True, slots=True)
class ClearNetwork:
    """A start that nobody was told of, or a stop, was cut short: take away what there is of it.

    defined: whether there is a definition, so that the network stays known; one without is forgotten then.
    """

    run: NetworkRun
    defined: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ForgetNetwork:
    """It was active in an earlier boot: nothing of it can be left but its record."""

    run: NetworkRun


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowNetwork:
    """It is there, and its record is lost: it is active, by its definition, or by what the host tells of it.

    found: what the host tells; defined: whether there is a definition, which counts then: it is settled by that. One
    without is shown, and otherwise left as it is.
    """

    found: NetworkDefinition
    record: NetworkRecord
    defined: bool


NetworkAction = SettleNetwork | ClearNetwork | ForgetNetwork | ShowNetwork

Found = tuple[NetworkDefinition, NetworkRecord]


def decide_networks(
    recorded: RecordedNetworks, *, boot_id: str, defined: Collection[UUID], found: Iterable[Found] = ()
) -> tuple[NetworkAction, ...]:
    """Return what to do, one action a network.

    boot_id: of this boot; defined: networks that have a definition; found: those that the host has bridges of.
    """
    known = {str(run.uuid) for run in recorded.runs} | recorded.later
    lost = [
        ShowNetwork(found=network, record=record, defined=network.uuid in defined)
        for network, record in found
        if record.uuid not in known
    ]
    return (*(_action(run, boot_id, defined) for run in recorded.runs), *lost)


def _action(run: NetworkRun, boot_id: str, defined: Collection[UUID]) -> NetworkAction:
    if run.boot_id != boot_id:
        return ForgetNetwork(run=run)
    if run.phase is RunPhase.RUNNING:
        return SettleNetwork(run=run)
    return ClearNetwork(run=run, defined=run.uuid in defined)
