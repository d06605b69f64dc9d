"""Making this host ready for a start: ids, the root, mounts, interfaces, device nodes; and giving them back."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from insula.engine import spec as engine
from insula.engine.guestroot import looked_through
from insula.engine.interfacespec import Interface as PluggedInterface
from insula.engine.launch.runningcontainer import ContainerRecord
from insula.engine.spec import ContainerSpec, IdMap, OverlayRoot, Root
from insula.errors import InsulaError
from insula.kernel.durable import make_mark, remove_file
from insula.layout import Layout
from insula.model.domain import DomainDefinition
from insula.model.filesystems import FilesystemType
from insula.model.interfaces import Interface
from insula.model.security import DefinedIdRange
from insula.network.guestnetwork import Resolver, card_interface, network_of, share_of, without_networks
from insula.network.shareaddresses import refuse_absent_addresses
from insula.service.containers import Remark, unheard
from insula.service.domainlimits import limits_of, overruled_limits
from insula.service.grantednodes import DeviceGrants, grants_of
from insula.service.hostdevices import devices_of
from insula.service.partitions import BELOW_MACHINE, Partitions
from insula.service.rundirectory import RunDirectory
from insula.service.translate import Fragments, PidOf, check, specification
from insula.storage.clones import UPPER, WORK
from insula.storage.filesystemmounts import mounts_of
from insula.storage.idpools import DEFAULT_POOLS, SIZE, usual_subordinate_ids
from insula.storage.idpools import pools as usual_pools
from insula.storage.idranges import IdRanges, fits, map_of
from insula.storage.imagestore import ImageStore
from insula.storage.roots import Roots

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Specified:
    """What a domain, and what the host's look at that moment, was translated to the last time."""

    domain: DomainDefinition
    fragments: Fragments
    spec: ContainerSpec


class HostPreparation:
    """What storage and network do for a domain. Its methods may wait for a disk: call them in a thread."""

    def __init__(
        self,
        layout: Layout,
        images: ImageStore,
        *,
        pools: Callable[[], Sequence[range]] = usual_pools,
        partitions: Partitions = BELOW_MACHINE,
        plugging: Callable[[], Callable[[Interface], Interface]] = lambda: without_networks,
        grants: DeviceGrants | None = None,
        machine_view: bool = False,
    ) -> None:
        """pools: the host's ids that domains may be given; partitions: where they may be; plugging: gives for one guest
        what `Resolver` has as actual; grants: what the host has for device classes, None for the layout's;
        machine_view: whether a domain that does not say so has one."""
        self.grants = grants if grants is not None else grants_of(layout)
        self._plugging = plugging
        self._machine_view = machine_view
        self._partitions = partitions
        self._images = images
        self._pools = pools
        self._roots = Roots(images)
        self._ranges = IdRanges(layout, recover=lambda: maps_of_runs(RunDirectory(layout)), pools=pools)
        self._throwaways = layout.state / "throwaways"
        self._latest: dict[UUID, _Specified] = {}

    def specify(self, domain: DomainDefinition, pid_of: PidOf, remark: Remark = unheard) -> ContainerSpec:
        """Return what the engine is to launch; the files and ids it needs are there. remark: see `Preparation`.

        Raises: UnsupportedConfigError, XmlError, ImageNotFoundError, OperationFailedError.
        """
        self._check(domain)
        if (share := share_of(domain)) is not None:
            refuse_absent_addresses(share)
        idmap = self._idmap(domain, idle=True)
        return self._specification(domain, idmap, self._roots.prepare(domain, idmap), pid_of, remark=remark)

    def root(self, domain: DomainDefinition) -> tuple[Root, IdMap | None]:
        """Return the root that a start would have, made if it is not there, and the domain's ids.

        Raises: as specify, as far as that is about the root.
        """
        self._roots.check(domain)
        idmap = self._idmap(domain, idle=True)
        return self._roots.prepare(domain, idmap), idmap

    def reserve(self, domain: DomainDefinition) -> IdMap | None:
        """Give a defined domain its ids: to find free ones means to look at every process of the host.

        Return them, None for a privileged one. Raises: OperationFailedError.
        """
        return self._idmap(domain, idle=False)

    def rehearse(self, domain: DomainDefinition, pid_of: PidOf, *, idmap: IdMap | None = None) -> ContainerSpec:
        """Return what specify would, with nothing made. The ids of a domain that has none yet are an example.

        idmap: what reserve returned, None if it was not called.
        """
        self._check(domain)
        idmap = idmap or self._own_idmap(domain)
        if idmap is None and not domain.settings.privileged:
            idmap = self._ranges.find(domain.uuid) or self._example_idmap(domain)
        return self._specification(domain, idmap, self._planned_root(domain, idmap), pid_of, mounting=False)

    def is_ready(self, domain: DomainDefinition, idmap: IdMap | None) -> bool:
        """Whether nothing has to be made for a start of a domain to which reserve gave these ids."""
        template = domain.root is not None and domain.root.type is FilesystemType.TEMPLATE
        enough = idmap is None or domain.idmap is not None or fits(idmap, domain.settings.subordinate_ids)
        return enough and (not template or self.owns_storage(domain.uuid))

    def _check(self, domain: DomainDefinition) -> None:
        check(domain)
        self._partitions.check(domain)
        self._roots.check(domain)

    def require_networks(self, domain: DomainDefinition) -> None:
        """See `Preparation`."""
        actual = self._plugging()
        for each in domain.devices.interfaces:
            actual(each)

    def plug(self, card: Interface, guest: str) -> PluggedInterface:
        """Return what the engine is to connect for one card of a running domain, under that name in the guest.

        Raises: UnsupportedConfigError; OperationFailedError for a network that has none to give.
        """
        return card_interface(card, guest, self._plugging())

    def owns_storage(self, uuid: UUID) -> bool:
        """Whether the domain has a writable layer that was made for it."""
        return self._images.clones.find(uuid) is not None

    def keep(self, uuid: UUID, *, ephemeral: bool) -> None:
        """Note whether the domain's storage is to vanish with its run; that survives us, and the host's reboot.

        Raises: OSError, and the note is as it was.
        """
        mark = self._throwaways / str(uuid)
        if ephemeral:
            self._throwaways.mkdir(mode=0o700, parents=True, exist_ok=True)
            commit = make_mark(mark)
        elif mark.exists():
            commit = remove_file(mark)
        else:
            return
        if commit.unsynced is not None:
            LOGGER.warning("what becomes of the storage of domain %s is noted, but %s", uuid, commit)

    def doomed(self, uuid: UUID) -> bool:
        """Whether the domain's storage is noted to vanish."""
        return (self._throwaways / str(uuid)).exists()

    def all_doomed(self) -> frozenset[UUID]:
        """Return all domains whose storage is noted to vanish."""
        found = set()
        for name in os.listdir(self._throwaways) if self._throwaways.is_dir() else ():
            with suppress(ValueError):  # what is no note of ours is told by `sweep`
                found.add(UUID(name))
        return frozenset(found)

    def discard(self, uuid: UUID) -> None:
        """Remove the writable layer, if there is one. Raises: OSError, and what is left stays marked."""
        self._roots.discard(uuid)
        self._latest.pop(uuid, None)
        self.keep(uuid, ephemeral=False)

    def release(self, uuid: UUID) -> None:
        """Let others have the ids of a domain that is no more."""
        self._latest.pop(uuid, None)
        self._ranges.release(uuid)

    def release_others(self, domains: frozenset[UUID]) -> None:
        """Let others have the ids of all domains that are not among these, which are no more."""
        self._ranges.keep_only(domains)

    def sweep(self, runs: frozenset[UUID]) -> None:
        """Remove what others left half done, and discard what was to vanish with runs that are not among these.

        What cannot be removed is named in the log, and tried again at the next start.
        """
        try:
            self._images.sweep()
        except (OSError, InsulaError) as error:
            LOGGER.error("what was left half done of images stays behind: %s", error)
        for name in sorted(os.listdir(self._throwaways)) if self._throwaways.is_dir() else ():
            try:
                self._sweep_one(UUID(name), runs)
            except (OSError, ValueError, InsulaError) as error:
                LOGGER.error("'%s' is left as it is: %s", self._throwaways / name, error)

    def _sweep_one(self, uuid: UUID, runs: frozenset[UUID]) -> None:
        if uuid not in runs:
            self.discard(uuid)
            self.release(uuid)

    def _specification(
        self,
        domain: DomainDefinition,
        idmap: IdMap | None,
        root: Root,
        pid_of: PidOf,
        *,
        mounting: bool = True,
        remark: Remark = unheard,
    ) -> ContainerSpec:
        granted = self.grants.resolve(domain.settings.grants)
        for each in (*granted.remarks, *overruled_limits(domain)):
            remark(each)
        fragments = Fragments(
            root=root,
            mounts=(*mounts_of(domain, idmap), *granted.mounts),
            idmap=idmap,
            network=network_of(domain, Resolver(pid_of=pid_of, actual=self._plugging())),
            devices=granted.beside(devices_of(domain.devices.host_devices, domain.shown_disks)),
            environment=granted.environment,
            limits=limits_of(domain),
            machine_view=self._machine_view,
        )
        known = self._latest.get(domain.uuid)
        if known is not None and known.domain is domain and known.fragments == fragments:
            former = known.spec
        else:
            former = specification(domain, fragments, pid_of)
        spec = looked_through(former, mounting=mounting)
        # One that shares namespaces of processes: these differ from start to start.
        if domain.lxc is None and (known is None or known.spec is not spec):
            self._latest[domain.uuid] = _Specified(domain=domain, fragments=fragments, spec=spec)
        return spec

    def _idmap(self, domain: DomainDefinition, *, idle: bool) -> IdMap | None:
        """The administrator's own ids, none for a privileged domain, else ids of the domain's own.

        idle: it is about to be started, so that nobody has the ids that it was given.
        """
        own = self._own_idmap(domain)
        if own is not None or domain.settings.privileged:
            return own
        return self._ranges.allocate(domain.uuid, domain.settings.subordinate_ids, idle=idle)

    def _own_idmap(self, domain: DomainDefinition) -> IdMap | None:
        if domain.idmap is None:
            return None
        return IdMap(uids=_ranges(domain.idmap.uids), gids=_ranges(domain.idmap.gids))

    def _example_idmap(self, domain: DomainDefinition) -> IdMap:
        """The first ids that domains may be given: to find free ones means to look at every process of the host."""
        pools = self._pools() or DEFAULT_POOLS
        wanted = domain.settings.subordinate_ids
        more = usual_subordinate_ids(pools, 0) if wanted is None else wanted
        return map_of(range(pools[0].start, pools[0].start + SIZE + more))

    def _planned_root(self, domain: DomainDefinition, idmap: IdMap | None) -> Root:
        """The root as it would be; only a clone that is not there yet would have to be made."""
        root = domain.root
        if root is None or root.type is not FilesystemType.TEMPLATE or self.owns_storage(domain.uuid):
            return self._roots.prepare(domain, idmap)
        directory = self._images.clones.directory / str(domain.uuid)
        access = engine.Access.READ_ONLY if root.read_only else engine.Access.READ_WRITE
        return OverlayRoot(
            lower=(str(self._images.rootfs(root.source.name or "")),),
            upper=str(directory / UPPER),
            work=str(directory / WORK),
            access=access,
        )


def maps_of_runs(directory: RunDirectory) -> Mapping[UUID, IdMap]:
    """Return the ids that recorded runs have: what is known when the list of ids is lost."""
    found: dict[UUID, IdMap] = {}
    for kept in directory.load():
        if kept.record.container is not None:
            idmap = ContainerRecord.decode(dict(kept.record.container)).spec.idmap
            if idmap is not None:
                found[kept.record.uuid] = idmap
    return found


def _ranges(ranges: tuple[DefinedIdRange, ...]) -> tuple[engine.IdRange, ...]:
    return tuple(engine.IdRange(inside=each.start, outside=each.target, count=each.count) for each in ranges)
