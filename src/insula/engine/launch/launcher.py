"""One container, from a spec to a running init and back: the daemon's (or the SDK's) side of it.

    the plan's steps before ──► keeper: launch ──► the steps meanwhile; those that need no child while the keeper clones
        ──► keeper: go ──► Running

Two round trips to the keeper. The coroutines run over any `KeeperLink`; over a blocking one they never suspend.
"""

import errno
import resource
import secrets
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from insula.engine.enter.admittedstreams import check_inherited
from insula.engine.enter.attachment import (
    namespace_fds,
)
from insula.engine.facts import Facts
from insula.engine.interfaceperformer import InterfacePerformer
from insula.engine.keeper.link import KeeperLink
from insula.engine.keeper.protocol import Verb
from insula.engine.launch.attempt import LaunchAttempt, WhileInside, announced, named_failure
from insula.engine.launch.changes import RunningChanges
from insula.engine.launch.entrance import Entrance
from insula.engine.launch.guestlabels import label_guest
from insula.engine.launch.holdings import Remains
from insula.engine.launch.insidesteps import InsideSteps
from insula.engine.launch.interfacechanges import InterfaceChanges
from insula.engine.launch.mountchanges import MountChanges
from insula.engine.launch.nodechanges import NodeChanges
from insula.engine.launch.pids import Pids
from insula.engine.launch.programs import Programs
from insula.engine.launch.readyscopes import ReadyScopes
from insula.engine.launch.release import Release
from insula.engine.launch.runningcontainer import Running
from insula.engine.launch.succession import Succession
from insula.engine.launch.systemdscope import Manager, Scopes
from insula.engine.launch.teardown import Teardown, Unattended, attended
from insula.engine.launch.viewrenewal import ViewRenewal
from insula.engine.look.accountlook import AccountFinder, find_directly
from insula.engine.machineviews import MachineViews
from insula.engine.plan import planner
from insula.engine.plan.plan import LaunchPlan
from insula.engine.program.program import Program
from insula.engine.sameobject import SameObject
from insula.engine.spec import ContainerSpec
from insula.engine.steps.host.hoststep import Offload, inline
from insula.errors import (
    InsulaError,
    KeeperError,
    OperationFailedError,
    OperationInvalidError,
    StepError,
)
from insula.kernel.bpf import LoadedPrograms
from insula.kernel.cgroups import slice_name
from insula.kernel.fds import NO_FD, Fd, Reserve, close_all

WriteIntent = Callable[[Remains], None]

_PLANS_MAX = 1024
"""Plans that are kept, some ten kilobytes each."""
_NEEDED = 48
"""Descriptors that a start has open at once, with some to spare for its neighbours."""
_ATTEMPTS = 16
"""Pids to try before giving up on choosing one."""


class Launcher:
    """Launches, enters and ends containers.

    interfaces: who makes network interfaces, None where nobody does; offload: performs what may block for long;
    installation: names whose guests these are, on their control groups; reserve: descriptors for taking things back;
    find_account: looks into running guests for who their users are; entering: the link to the keeper that clones what
    enters, if that is one of several; unattended: does what nobody need wait for; programs: compiles what processes
    play; release: takes away what runs hold on the host; keeper_ends: what keepers write down before they end;
    stops_told: whether somebody shuts guests down whose scopes systemd is to stop (`scopestops`); views: serve machine
    views, None where nobody does.
    """

    def __init__(
        self,
        *,
        facts: Facts,
        link: KeeperLink,
        interfaces: InterfacePerformer | None = None,
        offload: Offload = inline,
        installation: str | None = None,
        reserve: Reserve | None = None,
        find_account: AccountFinder = find_directly,
        entering: KeeperLink | None = None,
        unattended: Unattended = attended,
        programs: Programs | None = None,
        release: Release | None = None,
        keeper_ends: Path | None = None,
        stops_told: bool = False,
        views: MachineViews | None = None,
    ) -> None:
        self._facts = facts
        # A plan is a function of the spec, and of facts that stay.
        self._plans = lru_cache(_PLANS_MAX)(lambda spec: planner.plan(spec.value, facts))
        self._installation = installation
        self._reserve = reserve or Reserve(0)
        self._link = link
        self._interfaces = interfaces
        self._views = views
        self._unattended = unattended
        self._offload = offload
        self._scopes = Scopes(stops_told=stops_told)
        self._ready_scopes = ReadyScopes(self._scopes, facts.hierarchies)
        self._loaded = LoadedPrograms()
        self._release = release or Release(
            hierarchies=facts.hierarchies, interfaces=interfaces, scopes=self._scopes, offload=offload
        )
        self.teardown = Teardown(
            facts=facts,
            link=link,
            release=self._release,
            reserve=self._reserve,
            offload=offload,
            unattended=unattended,
            views=views,
        )
        """Ends what runs, and takes away what is left of it."""
        self.succession = Succession(
            facts=facts, link=link, installation=installation or "", scopes=self._scopes, ends=keeper_ends, views=views
        )
        """Finds again what runs after a daemon's death, or a keeper's."""
        self._programs = programs or Programs()
        self.entrance = Entrance(
            facts=facts,
            link=entering or link,
            programs=self._programs,
            find_account=find_account,
            permitted=lambda: self.succession.permitted,
        )
        """Starts processes inside what runs."""
        self.changes = RunningChanges(
            facts=facts,
            inside=InsideSteps(facts=facts, link=link, programs=self._programs),
            release=self._release,
            interfaces=interfaces,
            permitted=lambda: self.succession.permitted,
            offload=offload,
        )
        """Changes what runs."""
        self.mounts = MountChanges(facts=facts, changes=self.changes, offload=offload)
        """Changes which mounts running guests have."""
        self.nodes = NodeChanges(facts=facts, changes=self.changes)
        """Changes which device nodes running guests have."""
        self.interfaces = InterfaceChanges(changes=self.changes, interfaces=interfaces, offload=offload)
        """Changes which interfaces run with guests."""
        self.views = ViewRenewal(facts=facts, changes=self.changes, offload=offload)
        """Renews what running guests see of the host."""
        self._pids = Pids(facts.pids_max)

    def close(self) -> None:
        """Let go of what later calls would make anew: files, scopes, and the connection to the host's systemd."""
        self._ready_scopes.close()
        self._scopes.close()
        self.entrance.close()
        self._loaded.close()

    @property
    def facts(self) -> Facts:
        return self._facts

    def scope_stopped(self, unit: str) -> None:
        """Let go of a scope that stands ready, if it is one that systemd is to stop."""
        self._ready_scopes.drop(unit)

    def plan(self, spec: ContainerSpec) -> LaunchPlan:
        """Return what `launch` would do. Raises: as `planner.plan`."""
        return self._plans(SameObject(spec))

    def program(self, spec: ContainerSpec) -> Program:
        """Return what the first process of `launch` would play. Raises: as `planner.plan`; StepError."""
        return self._programs.start(spec, self.plan(spec), permitted=self.succession.permitted, hold=False)

    def get_ready(self, spec: ContainerSpec) -> None:
        """Do what a first start would have to do else. Raises: as `program`."""
        self.program(spec)
        if self._facts.manager is not Manager.NONE:
            self._ready_scopes.prepare(slice_name(spec.cgroup.partition))

    # Beginnings

    async def launch(
        self,
        spec: ContainerSpec,
        *,
        inherited: Sequence[int] = (),
        paused: bool = False,
        processors: str | None = None,
        write_intent: WriteIntent | None = None,
        while_inside: WhileInside | None = None,
    ) -> Running:
        """Start the container and return once its init is executed.

        inherited: fds for init, from 3 on; they stay the caller's. paused: leave it frozen right before init executes;
        the first `resume` lets it. processors: those of the host that a seated one has, such as `0-1`; None,
        empty: all. write_intent: writes down, before anything is made, what there may be of it should we die on the
        way, for `take_away`. while_inside: is given what is returned, without any fds yet, while the steps inside are
        performed, for what need not wait for them.
        Raises: StepError naming the step, everything undone; what `plan` raises, before anything is done.
        """
        check_inherited(inherited)
        if len(inherited) != spec.inherited_fds:
            raise OperationInvalidError(f"init is to get {spec.inherited_fds} fd(s), and {len(inherited)} are passed")
        self._check_descriptors(spec)
        plan = self.plan(spec)
        program = self._programs.start(spec, plan, permitted=self.succession.permitted, hold=paused)

        def meanwhile(running: Running) -> None:
            self._label(running)
            if while_inside is not None:
                while_inside(running)

        for _ in range(_ATTEMPTS):
            identity, launch = self._pids.next(), secrets.token_hex(8)
            if write_intent is not None:
                write_intent(Remains(uuid=spec.uuid, launch=launch, holdings=announced(plan, identity)))
            attempt = self._launching(plan, program, spec, identity, launch, processors)
            try:
                running = await attempt.run(inherited, hold=paused, while_inside=meanwhile)
                break
            except StepError as error:
                taken = error.errno == errno.EEXIST and error.step == str(plan.clone)
                # What is left behind is known by its intent, which the next one would take the place of.
                if not (taken and plan.clone.numbered) or attempt.left_behind:
                    raise
        else:
            raise StepError(f"no free process id was found in {_ATTEMPTS} attempts", step=str(plan.clone))
        if paused:
            await self._freeze_newborn(running)
        if running.view:
            await self._unattended(self.succession.keep_if_possible(running))
        return running

    def _label(self, running: Running) -> None:
        if self._installation is not None:
            label_guest(running.group, running.record, self._installation)

    def _check_descriptors(self, spec: ContainerSpec) -> None:
        """Refuse early what could neither be done nor be taken back."""
        try:
            self._reserve.check(_NEEDED)
        except OSError as error:
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            raise OperationFailedError(
                f"'{spec.name}' cannot be started: {error.strerror}; this process may have {most} descriptors: end "
                "some guests or clients, or let it have more (LimitNOFILE= of its unit, ulimit -n)"
            ) from error

    async def _freeze_newborn(self, running: Running) -> None:
        """Freeze a container that is held. Raises: StepError if that fails, and then it is taken away again."""
        try:
            await self._offload(running.group.freeze)
        except OSError as error:
            text = f"cannot freeze {running.name} before its init: {error.strerror}"
            failure = StepError(text, errno=error.errno or 0)
            await self._take_back(running, failure)
            raise failure from error
        except BaseException as error:
            await self._take_back(running, error)
            raise

    async def _take_back(self, running: Running, failure: BaseException) -> None:
        """Destroy what was launched. What cannot be undone is added to the failure's notes."""
        try:
            await self.teardown.destroy(running)
        except InsulaError as error:
            failure.add_note(f"taking back failed too: {error}")

    def _launching(
        self,
        plan: LaunchPlan,
        program: Program,
        spec: ContainerSpec,
        identity: int,
        launch: str,
        processors: str | None,
    ) -> LaunchAttempt:
        return LaunchAttempt(
            launch=launch,
            reserve=self._reserve,
            plan=plan,
            program=program,
            spec=spec,
            facts=self._facts,
            link=self._link,
            interfaces=self._interfaces,
            identity=identity,
            processors=processors,
            release=self._release,
            scopes=self._ready_scopes,
            loaded=self._loaded,
            views=self._views,
            offload=self._offload,
        )

    async def suspend(self, running: Running) -> None:
        """Stop every process of the container; return once all stand still."""
        running.group.freeze()

    async def resume(self, running: Running) -> None:
        """Let the container's processes run again, or for the first time.

        Raises: StepError if its init cannot be executed, of one that was launched paused: it has ended then.
        """
        if not running.awaiting_exec:
            running.group.thaw()
            return
        number = self._link.ask(Verb.PROCEED, {"uuid": running.uuid}, {})
        running.group.thaw()
        try:
            (await self._link.answer(number)).close()
        except KeeperError:
            # Whether it has heard that is known to the next keeper, which is handed its channel.
            (await self._link.answer(self._link.ask(Verb.PROCEED, {"uuid": running.uuid}, {}))).close()
        except StepError as error:
            running.awaiting_exec = False
            raise self._last_words(running, error) from error
        running.awaiting_exec = False
        close_all([] if running.channel < 0 else [running.channel])
        running.channel = NO_FD

    def _last_words(self, running: Running, error: StepError) -> StepError:
        """Return why an init that was held could not be executed, by the program that it was surely given.

        Another version's may have been another one: then the record is no part of the last step.
        """
        spec = running.record.spec
        plan = self.plan(spec)
        named = named_failure(error, self._programs.start(spec, plan, permitted=self.succession.permitted, hold=True))
        return named if named.step == str(plan.inside[-1]) else error

    # While it runs

    async def signal(self, running: Running, number: int) -> None:
        """Send a signal to init. Raises: OperationInvalidError if it has ended."""
        try:
            running.signal(number)
        except ProcessLookupError as error:
            raise OperationInvalidError(f"{running.name} has ended") from error

    async def namespaces(self, running: Running) -> list[Fd]:
        """Return fds of init's namespaces: user, ipc, uts, net, pid, mnt; the caller closes them."""
        try:
            fds = namespace_fds(running.pid)
            # Still the same process: its pid was not free as long as it is not reaped.
            running.signal(0)
        except (FileNotFoundError, ProcessLookupError) as error:
            raise OperationInvalidError(f"{running.name} has ended") from error
        return fds
