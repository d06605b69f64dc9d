"""What there is to tell about a domain: in short, as its definition, and everything, for `insula info`."""

from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from insula.engine.codec import encode
from insula.engine.policy.capabilities import default_kept
from insula.engine.policy.unbound import unbound
from insula.engine.securitymodule import NO_MODEL, UNCONFINED, security_model
from insula.model.devices import ChannelDevice, ChannelState, ConsoleSource
from insula.model.domain import DomainDefinition
from insula.model.domainlabels import labels_of
from insula.model.domainstates import SPELLED, DomainState
from insula.model.numbers import XmlFlags
from insula.service import jobs, statistics
from insula.service.channelhosts import OpenChannel
from insula.service.guestreadiness import ReadyState, ready_state
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
        vcpus=len(managed.current.vcpus_in_use),
        cpu_time=used.cpu.total if used is not None and used.cpu is not None else 0,
    )


def xml(managed: ManagedDomain, *, inactive: bool = False, secure: bool = False) -> str:
    """Return the definition: of the present run, or (inactive) what the next one will be started from.

    A long one takes a good part of a second: see Documents.aside.
    """
    described, flags = _source(managed, inactive=inactive, secure=secure)
    source = described.value() if isinstance(described, UnreadDefinition) else described
    plain = source.once(defined) if XmlFlags.INACTIVE in flags and managed.config is None else source
    return _with_channels(plain, managed.run).dump(flags) if _tells_channels(managed, flags) else plain.dump(flags)


def written_xml(managed: ManagedDomain, *, inactive: bool = False, secure: bool = False) -> str | None:
    """Return what `xml` would, if that was written already; it costs nothing."""
    source, flags = _source(managed, inactive=inactive, secure=secure)
    if _tells_channels(managed, flags):
        return None
    if isinstance(source, UnreadDefinition) or (XmlFlags.INACTIVE in flags and managed.config is None):
        return None
    return source.known_dump(flags)


def _tells_channels(managed: ManagedDomain, flags: XmlFlags) -> bool:
    """Whether the document has channels of a run, whose state changes without anybody's telling."""
    return managed.run is not None and bool(managed.run.channels) and XmlFlags.INACTIVE not in flags


def _with_channels(domain: DomainDefinition, run: Run | None) -> DomainDefinition:
    """Return domain with what its channels are just now."""
    opened = {each.name: each for each in run.channels} if run is not None else {}
    shown = tuple(
        _shown_channel(each, opened[each.port]) if each.port in opened else each for each in domain.devices.channels
    )
    return replace(domain, devices=replace(domain.devices, channels=shown))


def _shown_channel(channel: ChannelDevice, opened: OpenChannel) -> ChannelDevice:
    assert channel.target is not None
    state = ChannelState.CONNECTED if opened.line.connected else ChannelState.DISCONNECTED
    source = channel.source
    if source is None and opened.path is not None:
        source = ConsoleSource(mode="bind", path=PurePosixPath(opened.path))
    return replace(channel, source=source, target=replace(channel.target, state=state))


def _source(managed: ManagedDomain, *, inactive: bool, secure: bool) -> tuple[Description, XmlFlags]:
    flags = XmlFlags.SECURE if secure else XmlFlags.LIVE
    if not inactive and managed.is_active:
        return managed.known_description, flags
    return managed.config or managed.known_description, flags | XmlFlags.INACTIVE


def described(managed: ManagedDomain) -> dict[str, Any]:
    """Return all of a domain and, while it runs, of how the host has it, as JSON values.

    Sizes are bytes, times nanoseconds since 1970.
    """
    past, kept = managed.past, managed.ended_record
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
        "autostart_once": managed.autostart_once,
        "memory": {"maximum": managed.current.memory * _KIB, "current": managed.current.memory_now * _KIB},
        "job": None if managed.lock.job is None else jobs.described(managed.lock.job),
        "last_job": None if managed.lock.last_job is None else jobs.described(managed.lock.last_job),
        "vcpus": len(managed.current.vcpus_in_use),
        "notices": list(managed.notices),
        "last_end": None if past.end is None else past.end.described(),
        "start_failure": None if past.failure is None else past.failure.described(),
        "restart_at": None if kept is None or not kept.due else int(kept.due * 1_000_000_000),
        "readiness": _readiness(managed),
        "health": _health(managed),
        "run": None if managed.run is None else _run(managed.run),
    }


def security_label(managed: ManagedDomain) -> str | None:
    """Return what the host's security module calls a running guest, None where there is none or the guest is off."""
    if managed.run is None or security_model() == NO_MODEL:
        return None
    return managed.run.container.record.spec.profile or UNCONFINED


def _readiness(managed: ManagedDomain) -> dict[str, Any] | None:
    """How a domain that runs stands; since: in nanoseconds since 1970, None for not ready; says: its init's words."""
    state, run = ready_state(managed), managed.run
    if state is None or run is None:
        return None
    since = run.record.ready or run.record.begun
    return {
        "state": state.value,
        "since": int(since * 1_000_000_000) if state is ReadyState.READY else None,
        "says": run.says or run.record.says or None,
    }


def _health(managed: ManagedDomain) -> dict[str, Any] | None:
    """How a domain is that is looked after; restarts: how often in a row it was restarted for that."""
    condition = None if managed.run is None else managed.run.condition
    if condition is None:
        return None
    unhealthy = managed.past.unhealthy
    return {**condition.described(), "restarts": 0 if unhealthy is None else unhealthy.count}


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
        "profile": spec.profile or None,
        "seccomp": spec.seccomp.profile.value,
        "capabilities": sorted(
            default_kept(privileged=spec.idmap is None) if spec.capabilities is None else spec.capabilities
        ),
        "hostname": spec.hostname,
        "consoles": container.console_count,
        "channels": {each.name: each.line.connected for each in run.channels},
        "interfaces": [encode(each) for each in container.record.connected],
        "limits": encode(spec.limits),
        "oom_kills": run.oom_kills,
        "oom_victims": [
            {"program": each.program, "pid": each.pid, "at": int(each.at * 1_000_000_000)} for each in run.oom_victims
        ],
        "reclaimed_memory": run.reclaimed,
        "unbound": list(unbound(spec, container.group.hierarchies)),
        "autodestroy": run.record.autodestroy,
        "ephemeral": run.record.ephemeral,
    }
