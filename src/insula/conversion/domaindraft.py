"""A domain while a reader finds out what it is: what each setting said so far, and what could not be carried over."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from uuid import UUID, uuid4

from insula.conversion.findings import Consequence, ConversionFinding
from insula.conversion.foreigndocument import ForeignEntry, quoted
from insula.engine.policy.capabilities import CapabilityPolicy
from insula.errors import InvalidArgumentError
from insula.model.boot import DEFAULT_INIT, CrashAction, InitVariable, OffAction, Os, OsType
from insula.model.devices import Console, Devices, HostDevice
from insula.model.domain import DEVICES_MAX, DomainDefinition, completed
from insula.model.extensions import (
    DefinedLimit,
    DefinedShare,
    InsulaSettings,
    KernelSetting,
    KnownHost,
    LxcNamespace,
    Metadata,
    ShareType,
    TimeNamespace,
)
from insula.model.filesystems import Disk, Filesystem
from insula.model.foreign import Markup
from insula.model.interfaces import Interface
from insula.model.resourcetuning import VCPU_MAX, BlkioTune, CpuTune, MemoryTune, NumaMemory, NumaTune, Vcpu
from insula.model.scalars import IpAddress, OnOff, ProgramPath, read_domain_name, read_path, read_program
from insula.model.security import (
    Capabilities,
    Capability,
    CapabilityState,
    DefinedIdMap,
    DefinedIdRange,
    Features,
)
from insula.model.sizes import UNLIMITED_KIB, Bytes, CpuSet, KiB, kib_of
from insula.model.visible import visible
from insula.model.xmlmap import Foreign, Place

UNNAMED = "unnamed"
"""What a domain is called whose document has no name, as libvirt calls it."""
FINDINGS_MAX = 1000
"""More tell nobody anything."""
NO_LIMIT = Bytes(UNLIMITED_KIB * 1024)
"""libvirt's word for no limit."""
HOST = DefinedShare(type=ShareType.PID, value="1")
"""The host's namespace of a kind: that of its first process."""


@dataclass(kw_only=True, slots=True)
class DomainDraft:
    """What is known so far. vcpus: how many processors the host has, for a document that names none.

    Memory is bytes, None without a limit; swap_total counts memory and swap, swap what is beside memory, NO_LIMIT where
    neither is limited; has_hosts_ids: it had no user namespace, so the owners of its files are what they are; settings
    hold what only our own elements say, but for what there may be very much of: that, from limits to hosts, is added to
    by itself, as every change of a tuple would copy it.
    """

    vcpus: int = 1
    name: str | None = None
    hostname: str | None = None
    uuid: UUID | None = None
    title: str | None = None
    description: str | None = None
    arch: str | None = None
    init: ProgramPath = DEFAULT_INIT
    arguments: tuple[str, ...] = ()
    directory: PurePosixPath | None = None
    user: str | None = None
    group: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    memory: Bytes | None = None
    memory_soft: Bytes | None = None
    memory_guarantee: Bytes | None = None
    swap_total: Bytes | None = None
    swap: Bytes | None = None
    cpus: CpuSet | None = None
    vcpu_count: int | None = None
    cpu: CpuTune = field(default_factory=CpuTune)
    weight: int | None = None
    nodes: CpuSet | None = None
    pids: int | None = None
    uids: list[DefinedIdRange] = field(default_factory=list)
    gids: list[DefinedIdRange] = field(default_factory=list)
    policy: CapabilityPolicy = CapabilityPolicy.DEFAULT
    capabilities: dict[Capability, bool] = field(default_factory=dict)
    network_share: DefinedShare | None = None
    ipc_share: DefinedShare | None = None
    uts_share: DefinedShare | None = None
    private_network: bool = False
    settings: InsulaSettings = field(default_factory=InsulaSettings)
    limits: dict[str, DefinedLimit] = field(default_factory=dict)
    kernel_settings: dict[str, KernelSetting] = field(default_factory=dict)
    nameservers: dict[IpAddress, None] = field(default_factory=dict)
    search_domains: dict[str, None] = field(default_factory=dict)
    hosts: list[KnownHost] = field(default_factory=list)
    on_poweroff: OffAction = OffAction.DESTROY
    on_reboot: OffAction = OffAction.RESTART
    on_crash: CrashAction = CrashAction.DESTROY
    has_hosts_ids: bool = False
    root: Filesystem | None = None
    filesystems: list[Filesystem] = field(default_factory=list)
    interfaces: list[Interface] = field(default_factory=list)
    consoles: list[Console] = field(default_factory=lambda: [Console()])
    disks: list[Disk] = field(default_factory=list)
    host_devices: list[HostDevice] = field(default_factory=list)
    findings: list[ConversionFinding] = field(default_factory=list)

    # What is found out

    def lost(self, entry: ForeignEntry, why: str, advice: str = "") -> None:
        """Note that a setting has no equivalent."""
        self._find(Consequence.LOST, entry, why, advice)

    def changed(self, entry: ForeignEntry, why: str, advice: str = "") -> None:
        """Note that the equivalent of a setting is not the same."""
        self._find(Consequence.CHANGED, entry, why, advice)

    def unknown(self, entry: ForeignEntry, why: str, advice: str = "") -> None:
        """Note that nobody knows what a setting means."""
        self._find(Consequence.UNKNOWN, entry, why, advice)

    def _find(self, consequence: Consequence, entry: ForeignEntry, why: str, advice: str) -> None:
        if len(self.findings) == FINDINGS_MAX:
            raise InvalidArgumentError(f"more than {FINDINGS_MAX} settings of the document cannot be carried over")
        key = visible(entry.key[:120])
        self.findings.append(
            ConversionFinding(
                consequence=consequence, key=key, line=entry.line, file=entry.file, why=why, advice=advice
            )
        )

    # What several formats say alike

    def limit(self, name: str, limit: DefinedLimit | None) -> None:
        """Set a resource limit, or take back what was set."""
        self.limits.pop(name, None)
        if limit is not None:
            self.limits[name] = limit

    def kernel_setting(self, setting: KernelSetting) -> None:
        self.kernel_settings.pop(setting.name, None)
        self.kernel_settings[setting.name] = setting

    def time_namespace(self, wanted: TimeNamespace) -> None:
        self.settings = replace(self.settings, time_namespace=wanted)

    def nameserver(self, address: IpAddress) -> None:
        self.nameservers[address] = None

    def search_domain(self, domain: str) -> None:
        self.search_domains[domain] = None

    def known_host(self, host: KnownHost) -> None:
        self.hosts.append(host)

    def command(self, entry: ForeignEntry, words: Iterable[str]) -> None:
        """Take the first program and its arguments."""
        program, *arguments = tuple(words) or ("",)
        try:
            self.init = read_program(program)
        except ValueError:
            self.lost(entry, f"{quoted(program)} is neither an absolute path nor the name of a program")
            return
        self.arguments = tuple(arguments)

    def path(self, entry: ForeignEntry, text: str) -> PurePosixPath | None:
        """Return the absolute path that a setting names; None, and a finding, if it is none."""
        try:
            path = read_path(text)
        except ValueError:
            self.lost(entry, f"{quoted(text)} is not an absolute path", "write the whole path")
            return None
        if ".." in path.parts:
            self.lost(entry, f"{quoted(text)} climbs with '..'", "write the path it means")
            return None
        return path

    def drop_capability(self, entry: ForeignEntry, word: str, *, on: bool = False) -> None:
        """Take a capability away, or give one (on), by its name with or without CAP_."""
        try:
            self.capabilities[Capability(word.lower().removeprefix("cap_"))] = on
        except ValueError:
            self.unknown(entry, f"there is no capability {quoted(word)}", "see capabilities(7)")

    # What comes of it

    def domain(self, *, commented: bool = False) -> DomainDefinition:
        """Return the domain, with libvirt's defaults filled in. commented: it begins with the findings as comments.

        Raises: InvalidArgumentError for a name that no domain can have, or too many devices.
        """
        count = len(self.filesystems) + len(self.interfaces) + len(self.consoles) + len(self.host_devices)
        if count + len(self.disks) + 1 > DEVICES_MAX:
            raise InvalidArgumentError(f"the document has {count} devices, more than the {DEVICES_MAX} of a domain")
        name = self.name or self.hostname or UNNAMED
        try:
            known = read_domain_name(name)
        except ValueError as error:
            raise InvalidArgumentError(f"{visible(str(error))}; give another name") from error
        hostname = self.hostname if self.hostname != name else None
        settings = replace(
            self.settings,
            hostname=hostname,
            pids_limit=self.pids,
            limits=tuple(self.limits.values()),
            kernel_settings=tuple(self.kernel_settings.values()),
            nameservers=tuple(self.nameservers),
            search_domains=tuple(self.search_domains),
            hosts=tuple(self.hosts),
        )
        return completed(
            DomainDefinition(
                name=known,
                uuid=self.uuid or uuid4(),
                title=self.title,
                description=self.description,
                metadata=None if settings == InsulaSettings() else Metadata(settings=settings),
                memory=KiB(UNLIMITED_KIB) if self.memory is None else max(KiB(1), kib_of(self.memory)),
                memory_tune=self._memory_tune(),
                blkio_tune=None if self.weight is None else BlkioTune(weight=self.weight),
                vcpu=Vcpu(
                    cpus=self.cpus,
                    count=self.vcpu_count or (min(len(self.cpus), VCPU_MAX) if self.cpus else self.vcpus),
                ),
                cpu_tune=None if self.cpu == CpuTune() else self.cpu,
                numa_tune=None if self.nodes is None else NumaTune(memory=NumaMemory(nodes=self.nodes)),
                os=Os(
                    type=OsType(arch=self.arch),
                    init=self.init,
                    arguments=self.arguments,
                    environment=tuple(InitVariable(name=name, value=text) for name, text in self.environment.items()),
                    directory=self.directory,
                    user=self.user,
                    group=self.group,
                ),
                idmap=DefinedIdMap(uids=tuple(self.uids), gids=tuple(self.gids)),
                features=self._features(),
                on_poweroff=self.on_poweroff,
                on_reboot=self.on_reboot,
                on_crash=self.on_crash,
                devices=Devices(
                    disks=tuple(self.disks),
                    filesystems=(*filter(None, (self.root,)), *self._mounts()),
                    interfaces=tuple(self.interfaces),
                    consoles=tuple(self.consoles),
                    host_devices=tuple(self.host_devices),
                ),
                lxc=self._namespace(),
                foreign=tuple(map(_comment, self.findings)) if commented else (),
            )
        )

    def _vcpus(self) -> int:
        if self.vcpu_count is not None:
            return self.vcpu_count
        return min(len(self.cpus), VCPU_MAX) if self.cpus else self.vcpus

    def _mounts(self) -> Iterable[Filesystem]:
        """Return the mounts; one that showed the host's owners showed the guest's where both are the same."""
        return (replace(each, idmap=None) if self.has_hosts_ids else each for each in self.filesystems)

    def _total(self) -> KiB | None:
        """Return how much memory and swap there are together; None: no swap, as in a domain that does not say."""
        total = self.swap_total
        if total is None and self.swap is not None:
            total = NO_LIMIT if self.memory is None or self.swap == NO_LIMIT else Bytes(self.memory + self.swap)
        if total is None or self.memory is None or total <= self.memory:
            return None
        return min(KiB(UNLIMITED_KIB), kib_of(total))

    def _memory_tune(self) -> MemoryTune | None:
        tune = MemoryTune(
            soft_limit=None if self.memory_soft is None else kib_of(self.memory_soft),
            min_guarantee=None if self.memory_guarantee is None else kib_of(self.memory_guarantee),
            swap_hard_limit=self._total(),
        )
        return None if tune == MemoryTune() else tune

    def _features(self) -> Features | None:
        states = tuple(
            CapabilityState(capability=each, state=OnOff.ON if on else OnOff.OFF)
            for each, on in sorted(self.capabilities.items())
        )
        named = states or self.policy is not CapabilityPolicy.DEFAULT
        features = Features(
            private_network=self.private_network,
            capabilities=Capabilities(policy=self.policy, states=states) if named else None,
        )
        return None if features == Features() else features

    def _namespace(self) -> LxcNamespace | None:
        shares = LxcNamespace(network=self.network_share, ipc=self.ipc_share, uts=self.uts_share)
        return None if shares == LxcNamespace() else shares


def _comment(finding: ConversionFinding) -> Foreign:
    """Return a comment that says what was found; two hyphens would end it."""
    text = visible(str(finding)).replace("--", "- -")
    return Foreign(Place(), Markup(f"<!-- {text} -->"))
