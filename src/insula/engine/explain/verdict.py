"""Who refused a call, why that is known, and what would change it: values."""

from dataclasses import dataclass
from enum import StrEnum

from insula.engine.explain.refusedcall import RefusedCall


class Layer(StrEnum):
    """What stands between a guest's program and the kernel's work, in the words that people are told."""

    FILTER = "system call filter"
    CAPABILITY = "capability"
    DEVICES = "device policy"
    READ_ONLY = "read-only path"
    MASK = "masked path"
    ID_MAP = "id map"
    USER_NAMESPACE = "user namespace"
    SECURITY_MODULE = "security module"
    RESOURCE_LIMIT = "resource limit"
    PROCESS_LIMIT = "limit of processes"
    MEMORY_LIMIT = "memory limit"
    OBJECT_QUOTA = "quota of kernel objects"
    NETWORK_SHARE = "network share"
    MOUNT_OPTION = "mount option"
    KERNEL = "kernel"
    GUEST = "the guest itself"
    TRACE = "the trace"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerVerdict:
    """One layer that said no, or may have. evidence: how that is known; change: the element of the domain's XML that
    would let it through, empty if there is none; advice: what to do besides, or why nothing can be done; settle: how to
    find out whether it was this layer, empty where that is known."""

    layer: Layer
    evidence: str
    change: str = ""
    advice: str = ""
    settle: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """A call with its verdicts: one, or all that the evidence leaves, the likeliest first."""

    call: RefusedCall
    verdicts: tuple[LayerVerdict, ...]

    @property
    def certain(self) -> bool:
        """Whether the evidence leaves one verdict only."""
        return len(self.verdicts) == 1 and not self.verdicts[0].settle
