"""What a guest may do: features, capabilities, id maps, security labels."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from insula.engine.policy.apparmorprofiles import OWN_PREFIX
from insula.engine.policy.capabilities import CapabilityPolicy
from insula.model.scalars import OnOff, YesNo
from insula.model.xmlmap import Attribute, Element, Mapped, Name, always

ID_MAX = 2**32 - 1


class Capability(StrEnum):
    """The kernel's capabilities, without `CAP_`, in lower case. The last three, and audit_read, are not libvirt's.

    Source: capabilities(7).
    """

    AUDIT_CONTROL = "audit_control"
    AUDIT_READ = "audit_read"
    AUDIT_WRITE = "audit_write"
    BLOCK_SUSPEND = "block_suspend"
    CHOWN = "chown"
    DAC_OVERRIDE = "dac_override"
    DAC_READ_SEARCH = "dac_read_search"
    FOWNER = "fowner"
    FSETID = "fsetid"
    IPC_LOCK = "ipc_lock"
    IPC_OWNER = "ipc_owner"
    KILL = "kill"
    LEASE = "lease"
    LINUX_IMMUTABLE = "linux_immutable"
    MAC_ADMIN = "mac_admin"
    MAC_OVERRIDE = "mac_override"
    MKNOD = "mknod"
    NET_ADMIN = "net_admin"
    NET_BIND_SERVICE = "net_bind_service"
    NET_BROADCAST = "net_broadcast"
    NET_RAW = "net_raw"
    SETGID = "setgid"
    SETFCAP = "setfcap"
    SETPCAP = "setpcap"
    SETUID = "setuid"
    SYS_ADMIN = "sys_admin"
    SYS_BOOT = "sys_boot"
    SYS_CHROOT = "sys_chroot"
    SYS_MODULE = "sys_module"
    SYS_NICE = "sys_nice"
    SYS_PACCT = "sys_pacct"
    SYS_PTRACE = "sys_ptrace"
    SYS_RAWIO = "sys_rawio"
    SYS_RESOURCE = "sys_resource"
    SYS_TIME = "sys_time"
    SYS_TTY_CONFIG = "sys_tty_config"
    SYSLOG = "syslog"
    WAKE_ALARM = "wake_alarm"
    BPF = "bpf"
    CHECKPOINT_RESTORE = "checkpoint_restore"
    PERFMON = "perfmon"


@dataclass(frozen=True, kw_only=True, slots=True)
class CapabilityState(Mapped):
    """`<mknod state='on'/>`: one capability given or taken, whatever the policy; without a state, given."""

    capability: Annotated[Capability, Name()]
    state: Annotated[OnOff, Attribute("state")] = OnOff.ON


_CAPABILITIES = tuple(Capability)


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities(Mapped):
    """`<capabilities policy=''>`."""

    policy: Annotated[CapabilityPolicy, Attribute("policy")] = CapabilityPolicy.DEFAULT
    states: Annotated[tuple[CapabilityState, ...], Element(_CAPABILITIES[0], others=_CAPABILITIES[1:])] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Features(Mapped):
    """`<features>`. private_network: a network namespace of its own even without any interface."""

    private_network: Annotated[bool, Element("privnet")] = False
    capabilities: Annotated[Capabilities | None, Element("capabilities")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DefinedIdRange(Mapped):
    """`<uid start='0' target='100000' count='65536'/>`: count ids from start in the guest, from target on the host."""

    start: Annotated[int, Attribute("start", within=(0, ID_MAX))]
    target: Annotated[int, Attribute("target", within=(0, ID_MAX))]
    count: Annotated[int, Attribute("count", within=(1, ID_MAX))]


@dataclass(frozen=True, kw_only=True, slots=True)
class DefinedIdMap(Mapped):
    """`<idmap>`: the user namespace's maps, when the administrator chooses them."""

    uids: Annotated[tuple[DefinedIdRange, ...], Element("uid")] = ()
    gids: Annotated[tuple[DefinedIdRange, ...], Element("gid")] = ()


class LabelType(StrEnum):
    DYNAMIC = "dynamic"
    STATIC = "static"
    NONE = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class SecurityLabel(Mapped):
    """`<seclabel>`. model: `apparmor`, `selinux`, `dac` or `none`; label: what the guest runs under."""

    type: Annotated[LabelType, Attribute("type")] = LabelType.DYNAMIC
    model: Annotated[str | None, Attribute("model")] = None
    relabel: Annotated[YesNo | None, Attribute("relabel")] = None
    label: Annotated[str | None, Element("label")] = None
    image_label: Annotated[str | None, Element("imagelabel", live=always)] = None
    base_label: Annotated[str | None, Element("baselabel")] = None


def is_given_label(label: SecurityLabel) -> bool:
    """Whether a start has given that label: it names a profile of ours, and belongs to what runs alone."""
    return label.type is LabelType.DYNAMIC and (label.label or "").startswith(OWN_PREFIX)
