"""From a spec and facts to a plan: pure functions, so a plan can be read, compared and tested before it happens."""

from insula.engine.facts import Facts
from insula.engine.fragments.defaultlimits import limits_of
from insula.engine.fragments.environment import init_environment
from insula.engine.fragments.guestdevices import device_tree
from insula.engine.fragments.guestmounts import ROOT, is_fetched, root_is_read_only, root_tree, spec_mounts
from insula.engine.fragments.kernelfiles import (
    early_filesystems,
    group_filesystem,
    kernel_filesystems,
    locks,
    network_settings,
    own_boot,
    protections,
    runtime_directory,
    sees_named_hierarchy,
)
from insula.engine.fragments.machineview import machine_view
from insula.engine.fragments.networkshare import SCOPED, loopback_of
from insula.engine.fragments.notification import notification
from insula.engine.fragments.premounts import mounts_nothing_new, premounts
from insula.engine.fragments.programlimits import limits_before_capabilities_go, limits_of_descriptors
from insula.engine.fragments.speccheck import check, own_network
from insula.engine.fragments.toldnames import names_told
from insula.engine.guestinit import starts_system
from insula.engine.interfacespec import UserInterface
from insula.engine.launch.systemdscope import Manager
from insula.engine.plan.plan import CloneOptions, LaunchPlan
from insula.engine.policy.capabilities import default_kept
from insula.engine.policy.devicepolicy import device_rules
from insula.engine.policy.resourcelimits import is_raised
from insula.engine.policy.socketpolicy import option_refusals
from insula.engine.policy.syscalls import confined, filter_of
from insula.engine.program.late import Late
from insula.engine.spec import ContainerSpec, Limits, Namespace, SeccompProfile
from insula.engine.steps.guest import channelports, confinement, execution, namespaces, roottree, terminals
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.host import childsetup, groups, namedgroup, scopes
from insula.engine.steps.host.hoststep import HostStep
from insula.kernel.cgroups.namedhierarchy import SYSTEMD


def plan(spec: ContainerSpec, facts: Facts) -> LaunchPlan:
    """Return how the container is to be launched on a host with these facts.

    Raises: InvalidArgumentError, UnsupportedConfigError for what cannot or should not be done.
    """
    check(spec, facts)
    before, groups_meanwhile = _groups(spec, facts)
    devices, device_mounts = device_tree(spec, facts)
    kernel_trees, kernel_mounts = kernel_filesystems(spec)
    trees_of_host, mounts, fetched = spec_mounts(spec, facts)
    listening, told = notification(spec)
    connecting, viewed = machine_view(spec, facts)
    meanwhile = [
        *devices,
        *groups_meanwhile,
        *_belongings(spec, facts),
        *root_tree(spec, facts),
        *kernel_trees,
        *trees_of_host,
        *listening,
        *connecting,
        *_account(spec),
        *_interfaces(spec, facts),
    ]
    laid_out = [
        *device_mounts,
        *own_boot(spec),
        *viewed,
        *runtime_directory(spec, facts),
        *told,
        *premounts(spec, facts),
        *_consoles(spec),
    ]
    grouped = [*_own_groups(spec, facts), *group_filesystem(spec, facts)]
    asked_for = [*mounts, *names_told(spec)]
    pivot = roottree.PivotRoot(why="the host's tree is out of reach for good, unlike after chroot")
    guarded = [*kernel_mounts, *_settings(spec), *protections(spec)]
    locking = locks(spec, facts)
    # What is locked is copied as seen from the root, so that must be the guest's by then; what follows is not locked.
    if locking:
        tree = [*guarded, *grouped, pivot, *locking, *laid_out, *asked_for]
    else:
        tree = [*guarded, *laid_out, *grouped, *asked_for, pivot]
    staged = _staged(spec, fetched)
    inner = [*_arrival(spec, facts, staged), *tree, *_sharing(spec), *_confinement(spec, facts)]
    return LaunchPlan(
        before=tuple(before),
        clone=_clone(spec, facts),
        child_early=tuple(_early(spec)),
        # What needs no child first, so that as much as possible is done while it is being born; the order stays else.
        meanwhile=tuple(sorted(meanwhile, key=lambda step: step.needs_child)),
        inside=tuple(inner),
        staged=staged,
    )


def _groups(spec: ContainerSpec, facts: Facts) -> tuple[list[HostStep], list[HostStep]]:
    """Return the steps that set up the control group: as little as the clone needs before it, the rest after."""
    before: list[HostStep] = []
    after: list[HostStep] = []
    owner = None if spec.idmap is None else (spec.idmap.root_uid, spec.idmap.root_gid)
    partition, name = spec.cgroup.partition, spec.cgroup.name
    if facts.manager is not Manager.NONE:
        why = "the tree is systemd's, of which we may divide only what it delegates: it makes scopes for us beforehand"
        before.append(
            scopes.TakeScope(why=why, manager=facts.manager, partition=partition, domain=spec.name, owner=owner)
        )
    else:
        if facts.hierarchies.v2 is not None:
            why = "every process of the container is held and killed together, from its birth on"
            before.append(groups.MakeGroup(why=why, partition=partition, domain=spec.name, name=name, owner=owner))
        if facts.hierarchies.v1:
            why = "the controllers that the unified hierarchy does not have"
            after.append(
                groups.MakeControllerGroups(why=why, partition=partition, domain=spec.name, name=name, owner=owner)
            )
    if sees_named_hierarchy(spec):
        if facts.hierarchies.v1_mount(f"name={SYSTEMD}") is None:
            why = "its init knows no unified hierarchy, and this host has no other"
            after.append(namedgroup.JoinNamedGroup(why=why, owner=owner))
        elif owner is not None:
            after.append(namedgroup.HandOverNamedGroup(why="its init knows no unified hierarchy", owner=owner))
    limits = limits_of(spec, facts)
    if limits != Limits():
        after.append(groups.LimitGroup(why="in force before any program of the guest runs", limits=limits))
    if spec.seated and "cpuset" in facts.hierarchies.controllers():
        after.append(groups.SeatGroup(why="as many as it has virtual ones, so that all programs inside count the same"))
    rules = device_rules(spec.devices, tunnels=spec.network_share is None)
    after.append(groups.AllowDevices(why="a node alone is no right to use it", rules=rules))
    options = option_refusals(spec.seccomp)
    if options and facts.socket_programs and spec.seccomp.profile is not SeccompProfile.UNCONFINED:
        after.append(groups.RefuseSocketOptions(why="the filter does not see into socketcall", options=options))
    if spec.network_share is not None:
        why = "the network is the host's, and this is the guest's share of it"
        after.append(groups.HoldToAddresses(why=why, share=spec.network_share, loopback=loopback_of(spec)))
    return before, after


def _clone(spec: ContainerSpec, facts: Facts) -> CloneOptions:
    shared = tuple((each.kind.value, each.path) for each in spec.shared_namespaces)
    # The cgroup namespace is made once the groups are joined, the network's while the host prepares the rest.
    made = set(spec.namespaces) - {Namespace.CGROUP, Namespace.TIME, Namespace.USER, Namespace.NETWORK}
    made -= {each.kind for each in spec.shared_namespaces}
    if spec.idmap is not None:
        made.add(Namespace.USER)
    return CloneOptions(
        namespaces=tuple(each.value for each in Namespace if each in made),
        shared=shared,
        owner=None if spec.idmap is None else (spec.idmap.root_uid, spec.idmap.root_gid),
        numbered=facts.chosen_pids,
    )


def _early(spec: ContainerSpec) -> list[GuestStep]:
    """Return what the child can do before anything is ready for it."""
    steps: list[GuestStep] = []
    if spec.time_offsets is not None:
        steps.append(namespaces.MakeTime(why="asked for; the host sets its offsets before it is entered"))
    if own_network(spec):
        why = "it takes longer than all other namespaces together"
        steps.append(namespaces.MakeNetwork(why=why, netlink=bool(spec.interfaces)))
        why = "every program expects it, and plain ones do not do it themselves"
        steps.append(namespaces.BringUpLoopback(why=why))
    if Namespace.UTS in spec.namespaces and Namespace.UTS not in {each.kind for each in spec.shared_namespaces}:
        why = "asked for" if spec.hostname else "the domain's name, as long as the guest has no other"
        steps.append(namespaces.SetHostname(why=why, name=Late(spec.hostname or spec.name[:64])))
    return [*steps, *early_filesystems(spec)]


def _belongings(spec: ContainerSpec, facts: Facts) -> list[HostStep]:
    steps: list[HostStep] = []
    if spec.idmap is not None:
        why = "the guest's root is nobody of importance on the host"
        steps.append(childsetup.MapIds(why=why, uids=spec.idmap.uids, gids=spec.idmap.gids))
        why = "what it inherits may be lower, and inside nobody may raise it"
        limits = filter(is_raised, spec.resource_limits)
        steps += [childsetup.AllowLimit(why=why, name=each.name, hard=each.hard) for each in limits]
    if spec.time_offsets is not None:
        monotonic, boottime = spec.time_offsets
        steps.append(childsetup.SetClockOffsets(why="asked for", monotonic=monotonic, boottime=boottime))
    steps.append(childsetup.ResetOutOfMemoryScore(why="the keeper's own protection is not the guest's"))
    return steps


def init_user(spec: ContainerSpec) -> str | None:
    """Return the name or number of the user that init becomes, None if it stays root."""
    if spec.init.user is None and spec.init.group is None:
        return None
    return "0" if spec.init.user is None else spec.init.user


def _account(spec: ContainerSpec) -> list[HostStep]:
    """Return the step that finds out who init's user is, after all trees are there."""
    user = init_user(spec)
    if user is None:
        return []
    shown = [(f"mount{number}", mount.target) for number, mount in enumerate(spec.mounts)]
    fetched = tuple(pair for pair, mount in zip(shown, spec.mounts, strict=True) if is_fetched(mount))
    why = "the guest's own files name its users"
    return [childsetup.FindAccount(why=why, user=user, group=spec.init.group, root=ROOT, mounts=fetched)]


def _interfaces(spec: ContainerSpec, facts: Facts) -> list[HostStep]:
    if not spec.interfaces:
        return []
    guest = None
    if facts.manager is Manager.NONE and any(isinstance(each, UserInterface) for each in spec.interfaces):
        guest = groups.GroupRequest(partition=spec.cgroup.partition, domain=spec.name, name=spec.cgroup.name)
    return [
        childsetup.FetchNetlink(why="who configures interfaces inside need not go inside"),
        childsetup.ConnectInterfaces(why="asked for", interfaces=spec.interfaces, guest=guest),
    ]


def _staged(spec: ContainerSpec, fetched: list[str]) -> tuple[str, ...]:
    """Return the trees whose attributes the guest's root could change, were they not locked on their way."""
    if spec.idmap is None:
        return ()
    return (*((ROOT,) if root_is_read_only(spec) else ()), *fetched)


def _arrival(spec: ContainerSpec, facts: Facts, staged: tuple[str, ...]) -> list[GuestStep]:
    steps: list[GuestStep] = []
    if facts.hierarchies.v1:
        steps.append(
            namespaces.JoinGroups(why="a process that moves itself waits for nobody", count=len(facts.hierarchies.v1))
        )
    if spec.idmap is not None:
        steps.append(namespaces.BecomeRoot(why="until now its ids were those of nobody"))
    else:
        steps.append(namespaces.BecomeRoot(why="until now it has the groups of whoever started us"))
    if spec.time_offsets is not None:
        steps.append(namespaces.EnterTime(why="its offsets are set, and it may be entered only once they are"))
    return [
        *steps,
        roottree.KeepMountsPrivate(why="what is mounted from here on is nobody else's business"),
        *_staging(staged),
        roottree.AttachRoot(why="everything below is reached through it, and only downwards", source=ROOT),
    ]


def _own_groups(spec: ContainerSpec, facts: Facts) -> list[GuestStep]:
    steps: list[GuestStep] = []
    if Namespace.CGROUP in spec.namespaces:
        steps.append(namespaces.RootTheGroups(why="made after it has joined its groups, so they are the root it sees"))
    return steps


def _staging(staged: tuple[str, ...]) -> list[GuestStep]:
    if not staged:
        return []
    why = "from there they come with attributes that nobody inside can change"
    return [roottree.OpenStaged(why=why, names=list(staged))]


def _consoles(spec: ContainerSpec) -> list[GuestStep]:
    if not spec.consoles:
        return []
    made: list[GuestStep] = [terminals.MakeConsoles(why="their masters go to the keeper", count=spec.consoles)]
    if spec.channels:
        made.append(channelports.MakeChannels(why="asked for", names=spec.channels, terminals=spec.consoles))
    return made


def _settings(spec: ContainerSpec) -> list[GuestStep]:
    steps: list[GuestStep] = []
    why = "users of a system may send echo requests, as its systemd has it where it can"
    for reason, settings in ((why, network_settings(spec)), ("asked for; they are the namespaces' own", spec.sysctls)):
        if settings:
            listed = [[name.replace(".", "/"), value] for name, value in settings]
            steps.append(roottree.WriteSettings(why=reason, settings=listed))
    return steps


def _sharing(spec: ContainerSpec) -> list[GuestStep]:
    """Return the step that shares the guest's mounts, unless it may make no mount namespace that could see them.

    systemd moves its credentials' mounts then, which it can below private mounts only.
    """
    if mounts_nothing_new(spec):
        return []
    why = "systemd leaves that to whoever runs it; without, its services see no mount that comes later"
    return [roottree.ShareMounts(why=why)]


def _confinement(spec: ContainerSpec, facts: Facts) -> list[GuestStep]:
    steps: list[GuestStep] = []
    if facts.keyrings:
        steps.append(confinement.JoinFreshKeyring(why="the session's keys are the host's"))
    steps.append(terminals.TakeTerminal(why="init's console", controlling=not starts_system(spec.init.argv)))
    user = init_user(spec)
    if user is not None:
        why = "found in the guest's files before"
        steps.append(confinement.LearnAccount(why=why, user=user))
    why = "no other fd of ours reaches the guest"
    steps.append(execution.PassDescriptors(why=why, count=spec.inherited_fds))
    if spec.network_share is not None and facts.socket_scopes:
        steps.append(confinement.ScopeSockets(why=SCOPED))
    if spec.profile:
        why = "no other layer has to be right for it to hold, and no profile of the host is attached by a path"
        steps.append(confinement.TakeProfile(why=why, profile=spec.profile))
    if confined(spec.seccomp):
        why = "loaded while the capability for it is there, before the others go"
        steps.append(confinement.LoadFilters(why=why, seccomp=filter_of(spec)))
    if user is not None:
        steps.append(confinement.BecomeUser(why="asked for", user=user, group=spec.init.group))
    steps += limits_before_capabilities_go(spec, "asked for")
    kept = spec.capabilities if spec.capabilities is not None else default_kept(privileged=spec.idmap is None)
    why = "the others mean something for the host only" if spec.capabilities is None else "asked for"
    steps.append(confinement.KeepCapabilities(why=why, names=sorted(kept)))
    if spec.no_new_privileges:
        steps.append(confinement.RefuseNewPrivileges(why="asked for"))
    steps += [
        execution.EnterDirectory(why="with init's own rights", path=spec.init.cwd or "/"),
        *limits_of_descriptors(spec.resource_limits, "asked for; nothing of ours opens a file any more"),
        execution.Execute(
            why="from here on it is the guest's own",
            argv=list(spec.init.argv),
            env=[list(variable) for variable in init_environment(spec)],
        ),
    ]
    return steps
