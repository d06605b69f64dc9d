"""What there is to tell about a domain: in short, as its definition, and everything, for `insula info`."""

from dataclasses import dataclass
from typing import Any

from insula.engine.codec import encode
from insula.engine.policy.unbound import unbound
from insula.model.domainlabels import labels_of
from insula.model.domainstates import SPELLED, DomainState
from insula.model.numbers import XmlFlags
from insula.service import statistics
from insula.service.live import defined
from insula.service.managed import ManagedDomain, Run
from insula.service.unread import Description, UnreadDefinition

_KIB = 1024


OS_TYPE = "exe"
"""What libvirt calls the kind of operating system a container runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DomainInfo:
    """memory: what it uses now, or could when it is off; both in KiB; cpu_time: nanoseconds."""

    state: DomainState
    maximum_memory: int
    memory: int
    vcpus: int
    cpu_time: int


def info(managed: ManagedDomain) -> DomainInfo:
    """Return what `dominfo` shows."""
    used = statistics.used(managed)
    return DomainInfo(
        state=managed.state.state,
        maximum_memory=managed.current.memory,
        memory=managed.current.memory_now if used is None or used.memory is None else used.memory.usage // 1024,
        vcpus=managed.current.vcpu.count,
        cpu_time=used.cpu.total if used is not None and used.cpu is not None else 0,
    )


def xml(managed: ManagedDomain, *, inactive: bool = False, secure: bool = False) -> str:
    """Return the definition: of the present run, or (inactive) what the next one will be started from.

    A long one takes a good part of a second: see Documents.aside.
    """
    described, flags = _source(managed, inactive=inactive, secure=secure)
    source = described.value() if isinstance(described, UnreadDefinition) else described
    plain = source.once(defined) if XmlFlags.INACTIVE in flags and managed.config is None else source
    return plain.dump(flags)


def written_xml(managed: ManagedDomain, *, inactive: bool = False, secure: bool = False) -> str | None:
    """Return what `xml` would, if that was written already; it costs nothing."""
    source, flags = _source(managed, inactive=inactive, secure=secure)
    if isinstance(source, UnreadDefinition) or (XmlFlags.INACTIVE in flags and managed.config is None):
        return None
    return source.known_dump(flags)


def _source(managed: ManagedDomain, *, inactive: bool, secure: bool) -> tuple[Description, XmlFlags]:
    flags = XmlFlags.SECURE if secure else XmlFlags.LIVE
    if not inactive and managed.is_active:
        return managed.known_description, flags
    return managed.config or managed.known_description, flags | XmlFlags.INACTIVE


def described(managed: ManagedDomain) -> dict[str, Any]:
    """Return all of a domain and, while it runs, of how the host has it, as JSON values.

    Sizes are bytes, times nanoseconds since 1970.
    """
    past = managed.past
    return {
        "name": managed.name,
        "uuid": str(managed.uuid),
        "title": managed.current.title,
        "description": managed.current.description,
        "labels": labels_of(managed.current),
        "id": managed.id if managed.is_shown_active else None,
        "state": SPELLED[managed.state.state],
        "reason": managed.state.reason.name.lower().replace("_", " "),
        "persistent": managed.is_persistent,
        "autostart": managed.autostart,
        "memory": {"maximum": managed.current.memory * _KIB, "current": managed.current.memory_now * _KIB},
        "vcpus": managed.current.vcpu.count,
        "notices": list(managed.notices),
        "last_end": None if past.end is None else past.end.described(),
        "start_failure": None if past.failure is None else past.failure.described(),
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
