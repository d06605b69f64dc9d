"""Which service stands on which: the one place where the services are put together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from insula.daemon.incomingcall import Services
from insula.engine.launch.runningcontainer import boot_id
from insula.layout import Layout
from insula.service.autostart import MARK, Autostart
from insula.service.consoles import ConsoleVerbs
from insula.service.containers import ContainerEngine, Looking, Preparation
from insula.service.defining import DefinitionVerbs
from insula.service.definitionchanges import DefinitionChanges
from insula.service.devicechanges import DeviceVerbs
from insula.service.documents import Documents
from insula.service.domains import FORM, Domains, definitions_of
from insula.service.events import Events
from insula.service.guest import GuestVerbs
from insula.service.host import HostNode
from insula.service.images import Images
from insula.service.impact import Changes
from insula.service.incoming import IncomingDocuments
from insula.service.lifecycle import END_PATIENCE, LifecycleVerbs
from insula.service.lifecycleactions import LifecycleActionVerbs
from insula.service.livedevices import LiveDevices
from insula.service.memorytuning import MemoryVerbs
from insula.service.metadata import MetadataVerbs
from insula.service.partitions import BELOW_MACHINE, Partitions
from insula.service.pastruns import PastRuns
from insula.service.planning import PlanVerbs
from insula.service.processes import ProcessVerbs
from insula.service.recovery import Recovery
from insula.service.rundirectory import RunDirectory
from insula.service.runs import Runs
from insula.service.shutdown import TIME_LIMIT, ShutdownVerbs
from insula.service.statelock import LOCK_PATIENCE
from insula.service.tuning import TuningVerbs


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """Seconds: for another verb on the same domain, for a guest that was asked to stop, for all verbs at the end."""

    lock: float = LOCK_PATIENCE
    shutdown: float = TIME_LIMIT
    end: float = END_PATIENCE


@dataclass(frozen=True, kw_only=True, slots=True)
class Wiring:
    """The services, and what only the daemon itself does with them."""

    services: Services
    recovery: Recovery
    directory: RunDirectory
    patience: Patience

    async def keeper_replaced(self) -> None:
        """Give the guests to a keeper that has just begun, because the one before died."""
        await self.recovery.keeper_replaced()
        await self.services.guest.keeper_replaced()

    def process_ended(self, identity: str, status: int | None, *, held: bool = True) -> None:
        """Take the keeper's word that a program put into a guest is gone. Returns at once.

        held: whether the keeper is to be told to forget it.
        """
        self.services.guest.process_ended(identity, status)
        if held:
            self.services.lifecycle.spawn(self.services.guest.forget(identity), f"end of program {identity}")

    async def close(self) -> None:
        """Let what is under way come to its end, if that does not take too long. Guests stay."""
        self.services.shutdown.close()
        await self.recovery.close()
        await self.services.lifecycle.close(self.patience.end)
        self.directory.pay()
        self.services.documents.close()


def wire(
    *,
    layout: Layout,
    engine: ContainerEngine,
    preparation: Preparation,
    events: Events,
    host: HostNode,
    looker: Looking,
    images: Images,
    daemon_info: Callable[[], dict[str, Any]],
    patience: Patience = Patience(),
    partitions: Partitions = BELOW_MACHINE,
    boot: str | None = None,
) -> Wiring:
    """Return the services over an engine.

    preparation: makes files and ids ready for it; looker: looks into guests; boot: the id of the host's present boot,
    None to ask the kernel.
    """
    this_boot, directory = boot or boot_id(), RunDirectory(layout)
    definitions, documents, domains = (
        definitions_of(layout),
        Documents(),
        Domains(patience=patience.lock, events=events),
    )
    runs = Runs(
        engine=engine,
        directory=directory,
        past=PastRuns(layout.ends),
        preparation=preparation,
        pid_of=domains.pid_of,
        logs=layout.logs,
        boot_id=this_boot,
    )
    autostart = Autostart(layout.run / MARK, this_boot, word=FORM.word)
    lifecycle = LifecycleVerbs(registry=domains, runs=runs, autostart=autostart)
    changed = DefinitionChanges(FORM.word, definitions)
    defining = DefinitionVerbs(registry=domains, definitions=changed, runs=runs, events=events)
    changes = Changes(definitions=defining, runs=runs, documents=documents)
    devices = LiveDevices(engine, runs)
    services = Services(
        domains=domains,
        documents=documents,
        incoming=IncomingDocuments(
            documents=documents, registry=domains, partitions=partitions, architectures=host.architectures()
        ),
        definitions=defining,
        lifecycle=lifecycle,
        shutdown=ShutdownVerbs(runs=runs, looker=looker, time_limit=patience.shutdown),
        planning=PlanVerbs(engine=engine, preparation=preparation, pid_of=domains.pid_of),
        tuning=TuningVerbs(changes=changes, events=events),
        memory=MemoryVerbs(changes=changes, events=events),
        metadata=MetadataVerbs(changes=changes, events=events),
        lifecycle_actions=LifecycleActionVerbs(changes=changes),
        devices=DeviceVerbs(changes=changes, documents=documents, guests=devices, events=events),
        guest=GuestVerbs(engine, domains),
        processes=ProcessVerbs(looker),
        consoles=ConsoleVerbs(runs),
        host=host,
        events=events,
        images=images,
        daemon_info=daemon_info,
    )
    recovery = Recovery(
        registry=domains,
        definitions=definitions,
        directory=directory,
        engine=engine,
        runs=runs,
        preparation=preparation,
        lifecycle=lifecycle,
        shutdown=services.shutdown,
        devices=devices,
        boot_id=this_boot,
    )
    return Wiring(services=services, recovery=recovery, directory=directory, patience=patience)
