"""What we must know of an active network after anybody died: one file a network, below the run directory.

    <uuid>.json    where its run stands, its live definition, and what there may be of it on the host

The file is written before anything is made, and removed after everything is gone; it is replaced as a whole, so a
daemon killed at any instant leaves the state before or the state after. What is there is of this boot, or (on a host
that keeps /run) of an earlier one by its boot id.
"""

import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from insula.engine.codec import loads
from insula.errors import InsulaError
from insula.kernel.durable import Durability, remove_file, replace_file, sweep
from insula.model.network import NetworkDefinition, dump_network, load_network
from insula.model.xmlmap import Part
from insula.network.virtual.networkrecord import NetworkRecord
from insula.service.runrecord import LaterFormatError, RunPhase

LOGGER = logging.getLogger(__name__)

SUFFIX = ".json"
FORMAT = 1
"""The file's format; a daemon that finds a newer one leaves the network alone and says so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkRun:
    """One life of a network. network: its live definition; record: what there is, or may be, of it on the host; begun:
    seconds since the epoch."""

    boot_id: str
    phase: RunPhase
    begun: float
    network: NetworkDefinition
    record: NetworkRecord

    @property
    def uuid(self) -> UUID:
        return self.network.uuid

    @property
    def name(self) -> str:
        return self.network.name

    def to_json(self) -> str:
        return json.dumps(
            {
                "format": FORMAT,
                "boot_id": self.boot_id,
                "phase": self.phase,
                "begun": self.begun,
                "record": self.record.to_json(),
                "network": dump_network(self.network, Part.LIVE),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "NetworkRun":
        """Raises: ValueError, KeyError, TypeError or InsulaError for anything to_json never wrote."""
        values = loads(text)
        if not isinstance(values, dict):
            raise ValueError("it is no record of a network")
        if (found := values["format"]) != FORMAT:
            kind = LaterFormatError if isinstance(found, int) and found > FORMAT else ValueError
            raise kind(f"its format is {found}, and this daemon knows {FORMAT}")
        return cls(
            boot_id=str(values["boot_id"]),
            phase=RunPhase(values["phase"]),
            begun=float(values["begun"]),
            network=load_network(values["network"], Part.LIVE, bounded=False),
            record=NetworkRecord.from_json(values["record"]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedNetworks:
    """What is recorded. later: the UUIDs of the networks whose records a later insulad wrote: they are its own."""

    runs: tuple[NetworkRun, ...] = ()
    later: frozenset[str] = frozenset()


class NetworkRuns:
    """The files of active networks."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._over: set[UUID] = set()
        """Runs that are over, and whose files could not be removed yet."""

    def write(self, run: NetworkRun) -> None:
        """Keep where a run stands. Raises: OSError, and the file is as it was."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(self._file(run.uuid), run.to_json().encode(), Durability.PROCESS_DEATH)
        self._over.discard(run.uuid)
        self._pay()

    def write_if_possible(self, run: NetworkRun) -> None:
        """Keep where a run stands that goes on all the same; a later daemon finds what was written before."""
        try:
            self.write(run)
        except OSError as error:
            LOGGER.error("what there is of network '%s' cannot be written down anew: %s", run.name, error)

    def remove(self, uuid: UUID) -> None:
        """Forget a run; where that is not possible, any later write tries again."""
        self._over.add(uuid)
        self._pay()
        if uuid in self._over:
            LOGGER.error("the record '%s' of a network that is off stays behind for now", self._file(uuid))

    def _pay(self) -> None:
        for uuid in tuple(self._over):
            with suppress(OSError):
                remove_file(self._file(uuid), Durability.PROCESS_DEATH)
                self._over.discard(uuid)

    def load(self) -> "RecordedNetworks":
        """Return every run that is recorded, in the order of their files; what cannot be read is named, and stays."""
        with suppress(OSError):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            sweep(self._directory)
        try:
            paths = sorted(each for each in self._directory.iterdir() if each.suffix == SUFFIX)
        except OSError as error:
            LOGGER.error("the records of active networks cannot be read: %s", error)
            return RecordedNetworks()
        runs: list[NetworkRun] = []
        later: set[str] = set()
        for path in paths:
            try:
                runs.append(_read(path))
            except LaterFormatError as error:
                LOGGER.error("the record '%s' of a network is left alone: %s", path, error)
                later.add(path.stem)
            except (OSError, ValueError, KeyError, TypeError, InsulaError) as error:
                LOGGER.error("the record '%s' of a network cannot be read: %s", path, error)
        return RecordedNetworks(runs=tuple(runs), later=frozenset(later))

    def _file(self, uuid: UUID) -> Path:
        return self._directory / f"{uuid}{SUFFIX}"


def _read(path: Path) -> NetworkRun:
    run = NetworkRun.from_json(path.read_text())
    if path.stem != str(run.uuid):
        raise ValueError(f"it is about {run.uuid}")
    return run
