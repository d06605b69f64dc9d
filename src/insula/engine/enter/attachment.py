"""A process that enters a running container: born in its PID namespace, in its control groups before anything else."""

import os
from dataclasses import dataclass
from typing import NamedTuple

from insula.engine.facts import Facts
from insula.engine.fragments.environment import DEFAULT_PATH, MANAGER
from insula.engine.fragments.networkshare import SCOPED
from insula.engine.fragments.programlimits import limits_before_capabilities_go, limits_of_descriptors
from insula.engine.fragments.speccheck import own_network
from insula.engine.interfacespec import NetworkKind
from insula.engine.policy.capabilities import default_kept
from insula.engine.policy.resourcelimits import is_raised
from insula.engine.policy.syscalls import confined, filter_of
from insula.engine.program.late import late
from insula.engine.spec import ContainerSpec, Namespace, Process
from insula.engine.steps.guest import confinement, execution, namespaces, terminals, tracing
from insula.engine.steps.guest.gueststep import GuestStep
from insula.kernel.cgroups import Cgroup
from insula.kernel.fds import Fd, close_all

_SHELL = "/bin/sh"
"""Who has none in /etc/passwd has this. Source: passwd(5)."""
_LANG = "C.UTF-8"


@dataclass(frozen=True, kw_only=True, slots=True)
class Attachment:
    """How to enter. terminal: rows and columns of one to open inside, None to use streams that are passed.

    capabilities: None for those init was started with; no_new_privileges: None for as init; traced: it waits to be
    traced before anything of the guest's is looked up.
    """

    process: Process
    terminal: tuple[int, int] | None = None
    capabilities: frozenset[str] | None = None
    no_new_privileges: bool | None = None
    traced: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class EnteredProcess:
    """A process that was entered. id: what events call it; uuid: its container's; master: of its terminal, None without
    one. Owns the fds."""

    id: str
    uuid: str
    pid: int
    pidfd: Fd
    master: Fd | None


def entering_id(number: int, *, detached: bool, probing: bool = False) -> str:
    """Return what a process that enters is called, of a number that no other has.

    The keeper remembers nothing else that a later daemon could ask whether the process ends with its client, or is a
    probe, which only the daemon that began it waits for.
    """
    return str((2 * number + detached) * (-1 if probing else 1))


def is_probing(identity: str) -> bool:
    """Whether a process of that id is a probe of its daemon's, and is to end with that."""
    return int(identity) < 0


def is_detached(identity: str) -> bool:
    """Whether a process of that id goes on when its client does not."""
    return bool(int(identity) & 1)


def namespaces_of(spec: ContainerSpec) -> list[Namespace]:
    """Return the namespaces that the container does not share with the host; all but the PID one."""
    kinds = set(spec.namespaces) - {Namespace.PID, Namespace.USER, Namespace.TIME}
    if not own_network(spec):
        kinds.discard(Namespace.NETWORK)
    kinds |= {each.kind for each in spec.shared_namespaces}
    if spec.network is NetworkKind.HOST:
        kinds.discard(Namespace.NETWORK)
    if spec.idmap is not None:
        kinds.add(Namespace.USER)
    if spec.time_offsets is not None:
        kinds.add(Namespace.TIME)
    return [each for each in Namespace if each in kinds]


class Login(NamedTuple):
    """What of a user's account its programs are told. name, shell: empty where the guest has none."""

    name: str
    home: str
    shell: str


def attachment_steps(spec: ContainerSpec, facts: Facts, attachment: Attachment, login: Login) -> tuple[GuestStep, ...]:
    """Return what the process does once it is born: it is confined as the container's init, unless told otherwise."""
    process = attachment.process
    kinds = [each.value for each in namespaces_of(spec)]
    steps: list[GuestStep] = [
        namespaces.JoinGroups(
            why="before anything else, so that nothing of it ever runs outside the limits",
            count=len(facts.hierarchies.v1),
        ),
        *_raised(spec),
        namespaces.EnterContainer(why="all at once, by init's pidfd: nothing of the guest is looked up", kinds=kinds),
    ]
    if facts.keyrings:
        steps.append(confinement.JoinFreshKeyring(why="the session's keys are the host's"))
    if attachment.terminal is not None:
        rows, columns = attachment.terminal
        steps.append(namespaces.BecomeRoot(why="so that the terminal belongs to an id of the guest"))
        steps.append(terminals.MakeTerminal(why="a terminal that exists inside too", rows=rows, columns=columns))
        steps.append(terminals.TakeTerminal(why="its terminal", controlling=True))
    else:
        steps.append(terminals.TakeStreams(why="the streams that were passed"))
    user = "0" if process.user is None else process.user
    steps.append(confinement.LearnAccount(why="found in the guest's files before, by who can wait for them", user=user))
    if attachment.traced:
        steps.append(tracing.AwaitTracer(why="what it asks of the kernel is to be explained"))
    steps.append(execution.PassDescriptors(why="no other fd of ours reaches the guest", count=0))
    if spec.network_share is not None and facts.socket_scopes:
        steps.append(confinement.ScopeSockets(why=SCOPED))
    if spec.profile:
        steps.append(confinement.TakeProfile(why="the same as init's", profile=spec.profile))
    if confined(spec.seccomp):
        steps.append(confinement.LoadFilters(why="the same as init's", seccomp=filter_of(spec)))
    steps.append(confinement.BecomeUser(why="as the guest names it", user=user, group=process.group))
    steps += limits_before_capabilities_go(spec, "as for init")
    steps.append(confinement.KeepCapabilities(why="no more than init's", names=sorted(_kept(spec, attachment))))
    refuse = spec.no_new_privileges if attachment.no_new_privileges is None else attachment.no_new_privileges
    if refuse:
        steps.append(confinement.RefuseNewPrivileges(why="as for init" if spec.no_new_privileges else "asked for"))
    environment = {"PATH": DEFAULT_PATH, "container": MANAGER, **_of_login(login), **dict(process.env)}
    steps += [
        execution.EnterDirectory(
            why="with its own rights",
            path=login.home if process.cwd is None else process.cwd,
            else_root=process.cwd is None,
        ),
        *limits_of_descriptors(spec.resource_limits, "as for init; nothing of ours opens a file any more"),
        execution.Execute(
            why="from here on it is the guest's own",
            argv=[process.argv[0], *map(late, process.argv[1:])],
            env=[list(variable) for variable in environment.items()],
            home=True,
        ),
    ]
    return tuple(steps)


def _raised(spec: ContainerSpec) -> list[GuestStep]:
    """Return the steps that no process can take any more which has entered a user namespace."""
    if spec.idmap is None:
        return []
    why = "what was inherited may be lower, and inside nobody may raise it"
    limits = filter(is_raised, spec.resource_limits)
    return [confinement.RaiseLimit(why=why, name=each.name, hard=each.hard) for each in limits]


def _of_login(login: Login) -> dict[str, str]:
    """Return what login programs tell: login(1), environ(7). Every guest of today has UTF-8 without a package."""
    user = {"USER": login.name, "LOGNAME": login.name} if login.name else {}
    return {**user, "SHELL": login.shell or _SHELL, "LANG": _LANG}


def _kept(spec: ContainerSpec, attachment: Attachment) -> frozenset[str]:
    inits = spec.capabilities if spec.capabilities is not None else default_kept(privileged=spec.idmap is None)
    return inits if attachment.capabilities is None else attachment.capabilities & inits


def group_fds(group: Cgroup) -> dict[str, Fd]:
    """Return the fds by which a process is born into a container's groups; the caller closes them."""
    fds: dict[str, Fd] = {}
    try:
        into = group.exec_fd()
        if into is not None:
            fds["cgroup"] = Fd(into)
        for number, fd in enumerate(group.join_fds()):
            fds[f"join{number}"] = Fd(fd)
    except BaseException:
        close_all(fds.values())
        raise
    return fds


def namespace_fds(pid: int) -> list[Fd]:
    """Return a process's namespaces in libvirt's order (user, ipc, uts, net, pid, mnt); the caller closes them.

    Source: libvirt's virDomainLxcOpenNamespace, whose callers enter them in this order.
    """
    fds: list[Fd] = []
    try:
        fds.extend(
            Fd(os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC))
            for kind in ("user", "ipc", "uts", "net", "pid", "mnt")
        )
    except BaseException:
        close_all(fds)
        raise
    return fds
