"""A host that has everything, for tests of the verbs."""

from pathlib import Path
from uuid import UUID

from insula.engine.interfacespec import Interface
from insula.engine.spec import ContainerSpec, DirectoryRoot, IdMap, InitKind, Root
from insula.errors import OperationFailedError, OperationInvalidError, UnsupportedConfigError
from insula.model.domain import DomainDefinition
from insula.model.interfaces import Interface as Card
from insula.network.guestnetwork import card_interface, without_networks
from insula.service.cdidirectories import CdiDirectories
from insula.service.containers import Remark, unheard
from insula.service.domainlimits import limits_of, overruled_limits
from insula.service.grantednodes import DeviceGrants
from insula.service.hostdevices import devices_of
from insula.service.translate import PidOf


class FakePreparation:
    """A host that has everything.

    storage: a file for each writable layer; marks: for those that vanish with a run; ids: for each domain's ids.
    """

    def __init__(self, directory: Path) -> None:
        self.storage, self.marks, self.ids = directory / "storage", directory / "marks", directory / "ids"
        for each in (self.storage, self.marks, self.ids):
            each.mkdir(parents=True, exist_ok=True)
        self.reserved: list[UUID] = []
        self.released: list[UUID] = []
        self.no_ids = False
        self.stopped_network = ""
        self.idmap: IdMap | None = None
        self.grants = DeviceGrants(CdiDirectories((directory / "cdi",)), directory / "dev", directory / "tty")
        self.consoles = 0
        """Of each guest, whatever its definition says."""

    def specify(self, domain: DomainDefinition, pid_of: PidOf, remark: Remark = unheard) -> ContainerSpec:
        if domain.root is None:
            raise UnsupportedConfigError("no root")
        (self.storage / str(domain.uuid)).touch()
        (self.ids / str(domain.uuid)).touch()
        for each in (*self.grants.resolve(domain.settings.grants).remarks, *overruled_limits(domain)):
            remark(each)
        return self.rehearse(domain, pid_of)

    def root(self, domain: DomainDefinition) -> tuple[Root, IdMap | None]:
        (self.storage / str(domain.uuid)).touch()
        return DirectoryRoot(path="/srv"), self.idmap

    def reserve(self, domain: DomainDefinition) -> IdMap | None:
        if self.no_ids:
            raise OperationFailedError("no ids are left")
        self.reserved.append(domain.uuid)
        (self.ids / str(domain.uuid)).touch()
        return self.idmap

    def is_ready(self, domain: DomainDefinition, idmap: IdMap | None) -> bool:
        return False

    def rehearse(self, domain: DomainDefinition, pid_of: PidOf, *, idmap: IdMap | None = None) -> ContainerSpec:
        return ContainerSpec(
            name=domain.name,
            uuid=str(domain.uuid),
            root=DirectoryRoot(path="/srv"),
            init_kind=InitKind.SYSTEMD,
            idmap=self.idmap,
            limits=limits_of(domain),
            consoles=self.consoles,
            channels=tuple(each.port for each in domain.devices.channels if each.port) if self.consoles else (),
            devices=self.grants.resolve(domain.settings.grants).beside(
                devices_of((each for each in domain.devices.host_devices if each.is_usb), ())
            ),
        )

    def require_networks(self, domain: DomainDefinition) -> None:
        if self.stopped_network:
            raise OperationInvalidError(f"network '{self.stopped_network}' is not active")

    def plug(self, card: Card, guest: str) -> Interface:
        return card_interface(card, guest, without_networks)

    def owns_storage(self, uuid: UUID) -> bool:
        return (self.storage / str(uuid)).exists()

    def keep(self, uuid: UUID, *, ephemeral: bool) -> None:
        mark = self.marks / str(uuid)
        mark.touch() if ephemeral else mark.unlink(missing_ok=True)

    def doomed(self, uuid: UUID) -> bool:
        return (self.marks / str(uuid)).exists()

    def all_doomed(self) -> frozenset[UUID]:
        return frozenset(UUID(mark.name) for mark in self.marks.iterdir())

    def discard(self, uuid: UUID) -> None:
        (self.storage / str(uuid)).unlink(missing_ok=True)
        self.keep(uuid, ephemeral=False)

    def release(self, uuid: UUID) -> None:
        self.released.append(uuid)
        (self.ids / str(uuid)).unlink(missing_ok=True)

    def release_others(self, domains: frozenset[UUID]) -> None:
        for each in self.ids.iterdir():
            if UUID(each.name) not in domains:
                self.release(UUID(each.name))

    def sweep(self, runs: frozenset[UUID]) -> None:
        for mark in self.marks.iterdir():
            if UUID(mark.name) not in runs:
                self.discard(UUID(mark.name))
