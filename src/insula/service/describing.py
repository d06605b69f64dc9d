"""Everything there is to tell about a domain, for `insula info`: JSON values."""

from dataclasses import dataclass
from typing import Any

from insula.engine.codec import encode
from insula.engine.policy.unbound import unbound
from insula.service.managed import ManagedDomain, Run

_KIB = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class SecurityLabel:
    """What a domain runs under: nothing, where the host has no security model."""

    label: str = ""
    enforcing: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlInfo:
    """verb: what is changing the domain now, None when nothing is; seconds: for how long."""

    verb: str | None
    seconds: float


def described(managed: ManagedDomain) -> dict[str, Any]:
    """Return what a domain is and, while it runs, how the host has it: bytes, and nanoseconds since 1970."""
    return {
        "name": managed.name,
        "uuid": str(managed.uuid),
        "id": managed.id if managed.is_active else None,
        "state": managed.state.state.name.lower(),
        "reason": managed.state.reason.name.lower(),
        "persistent": managed.is_persistent,
        "autostart": managed.autostart,
        "memory": {"maximum": managed.current.memory * _KIB, "current": managed.current.memory_now * _KIB},
        "vcpus": managed.current.vcpu.count,
        "notices": list(managed.notices),
        "run": None if managed.run is None else _run(managed.run),
    }


def _run(run: Run) -> dict[str, Any]:
    container, spec = run.container, run.container.record.spec
    return {
        "pid": container.pid,
        "begun": int(run.record.begun * 1_000_000_000),
        "cgroup": container.record.group,
        "init": spec.init_kind.name.lower(),
        "argv": list(spec.init.argv),
        "privileged": spec.privileged,
        "idmap": None if spec.idmap is None else encode(spec.idmap),
        "hostname": spec.hostname,
        "consoles": len(container.consoles),
        "interfaces": [encode(each) for each in container.record.connected],
        "limits": encode(spec.limits),
        "unbound": list(unbound(spec, container.group.hierarchies)),
        "autodestroy": run.record.autodestroy,
        "ephemeral": run.record.ephemeral,
    }
