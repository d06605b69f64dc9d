"""The daemon's nouns, blocking: a host with its domains.

with open_host() as host:
    web = host.define(xml)
    web.start()
    print(web.state())
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Self

from insula.model.numbers import MetadataType
from insula.rpc.codes.events import DomainEventId
from insula.rpc.connection import Message
from insula.rpc.types import DomainRef
from insula.sdk import verbs
from insula.sdk.blocking import Blocking, connect
from insula.sdk.blocking_stream import BlockingStream
from insula.sdk.values import (
    STANDARD,
    ExecRequest,
    Json,
    Lifecycle,
    NodeInfo,
    Outcome,
    Started,
    State,
    Statistics,
    Usage,
    lifecycle_of,
    uuid_text,
)

if TYPE_CHECKING:
    from insula.layout import Layout
    from insula.relay.pump import Pump


def open_host(where: "str | os.PathLike[str] | Layout | None" = None, *, read_only: bool = False) -> "Host":
    """Connect to a daemon; arguments and errors are those of `blocking.connect`."""
    return Host(connect(where, read_only=read_only))


class Host:
    """A host, by way of its daemon; ends with its `with` block. client: for calls that have no verb here."""

    def __init__(self, client: Blocking) -> None:
        self.client = client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self.client.close()

    def domains(self, flags: int = 0) -> list["Domain"]:
        """The domains that match the filter (`ListDomains`), all without one."""
        return [Domain(self.client, ref) for ref in self.client.run(verbs.domains(flags))]

    def domain(self, name: str) -> "Domain":
        """Raises: DomainNotFoundError."""
        return Domain(self.client, self.client.run(verbs.by_name(name)))

    def domain_by_uuid(self, uuid: str | bytes) -> "Domain":
        """Raises: DomainNotFoundError; InvalidArgumentError if that is no UUID."""
        return Domain(self.client, self.client.run(verbs.by_uuid(uuid)))

    def domain_by_id(self, number: int) -> "Domain":
        """Raises: DomainNotFoundError if no running domain has that id."""
        return Domain(self.client, self.client.run(verbs.by_id(number)))

    def define(self, xml: str) -> "Domain":
        """Make a domain known for good, or change its definition."""
        return Domain(self.client, self.client.run(verbs.define(xml)))

    def create(self, xml: str, flags: int = 0) -> "Domain":
        """Start a domain that is forgotten when it stops."""
        return Domain(self.client, self.client.run(verbs.create(xml, flags)))

    def build_image(self, name: str, recipe: Json) -> BlockingStream:
        """Build an image; the stream tells the progress, a JSON object a line."""
        return self.client.stream_of(self.client.run(verbs.build_image(name, recipe)))

    def lifecycle(self, domain: DomainRef | None = None) -> "LifecycleWatch":
        """What happens from now on to a domain, or to all."""
        callback = self.client.run(verbs.register(DomainEventId.LIFECYCLE, domain))
        return LifecycleWatch(self.client, callback)

    def capabilities(self) -> str:
        """What the host and its driver can do, as libvirt's XML."""
        return self.client.run(verbs.capabilities())

    def hostname(self) -> str:
        """The host's name."""
        return self.client.run(verbs.hostname())

    def node_info(self) -> NodeInfo:
        """The host's hardware."""
        return self.client.run(verbs.node_info())

    def info(self) -> Json:
        """What the daemon tells of itself."""
        return self.client.run(verbs.daemon_info())

    def plan(self, xml: str) -> Json:
        """What starting a domain of this XML would do, step by step."""
        return self.client.run(verbs.plan_of(xml))

    def statistics(self, groups: int = 0, flags: int = 0) -> list[Statistics]:
        """Bulk statistics of the domains that match the filter, all groups without a choice."""
        return self.client.run(verbs.statistics((), groups, flags))

    def images(self) -> list[Json]:
        """The images there are."""
        return self.client.run(verbs.images())

    def remove_image(self, name: str) -> None:
        """Raises: ImageNotFoundError; ResourceBusyError if a domain uses it."""
        self.client.run(verbs.remove_image(name))


class Domain:
    """A domain. ref: how the wire refers to it; its id is of the last `start` seen here."""

    def __init__(self, client: Blocking, ref: DomainRef) -> None:
        self._client = client
        self.ref = ref

    def __repr__(self) -> str:
        return f"<domain '{self.name}' {self.uuid}>"

    @property
    def name(self) -> str:
        return self.ref.name

    @property
    def uuid(self) -> str:
        return uuid_text(self.ref.uuid)

    def start(self, flags: int = 0) -> None:
        """Start it (`StartFlags`)."""
        self.ref = self._client.run(verbs.start(self.ref, flags))

    def execute(self, request: ExecRequest, fds: Sequence[int] = STANDARD) -> "Execution":
        """Run a program in it, with these descriptors as its standard ones, unless it is to have a terminal.

        It never holds them: a thread relays what it reads and writes, until `wait` has returned or this program ends.
        """
        if request.tty:
            return Execution(self._client, self._client.run(verbs.execute(self.ref, request, ())), None)
        from insula.relay.pump import Pump  # only who executes pays for threads

        pump = Pump(fds)
        try:
            started = self._client.run(verbs.execute(self.ref, request, pump.passed))
        except BaseException:
            pump.close()
            raise
        pump.start()
        return Execution(self._client, started, pump)

    def console(self, device: str | None = None, flags: int = 0) -> BlockingStream:
        """Open a console, the first without a device's name (`ConsoleFlags`)."""
        return self._client.stream_of(self._client.run(verbs.console(self.ref, device, flags)))

    def log(self, source: str, *, follow: bool = False) -> BlockingStream:
        """Read a log of it; follow: go on as it grows."""
        return self._client.stream_of(self._client.run(verbs.log(self.ref, source, follow=follow)))

    def shutdown(self) -> None:
        """Ask the guest to shut down; it may take its time, or refuse."""
        self._client.run(verbs.shutdown(self.ref))

    def reboot(self) -> None:
        """Ask the guest to reboot."""
        self._client.run(verbs.reboot(self.ref))

    def destroy(self) -> None:
        """Stop it at once, whatever the guest is doing."""
        self._client.run(verbs.destroy(self.ref))

    def suspend(self) -> None:
        """Freeze all its processes."""
        self._client.run(verbs.suspend(self.ref))

    def resume(self) -> None:
        """Thaw them."""
        self._client.run(verbs.resume(self.ref))

    def undefine(self, flags: int = 0) -> None:
        """Forget its definition."""
        self._client.run(verbs.undefine(self.ref, flags))

    def wait(self) -> Outcome:
        """Return once it has stopped, and how."""
        return self._client.run(verbs.wait(self.ref))

    def state(self) -> State:
        """What it is doing, and why."""
        return self._client.run(verbs.state(self.ref))

    def usage(self) -> Usage:
        """What it has and takes."""
        return self._client.run(verbs.usage(self.ref))

    def xml(self, flags: int = 0) -> str:
        """Its XML: of the running domain, unless INACTIVE asks for the definition."""
        return self._client.run(verbs.xml(self.ref, flags))

    def is_active(self) -> bool:
        """Whether it runs."""
        return self._client.run(verbs.is_active(self.ref))

    def is_persistent(self) -> bool:
        """Whether it has a definition."""
        return self._client.run(verbs.is_persistent(self.ref))

    def autostart(self) -> bool:
        """Whether it starts with the daemon."""
        return self._client.run(verbs.autostart(self.ref))

    def set_autostart(self, *, wanted: bool) -> None:
        """Let it start with the daemon, or not."""
        self._client.run(verbs.set_autostart(self.ref, wanted=wanted))

    def set_memory(self, kib: int, flags: int = 0) -> None:
        """Change what memory it may use. kib: KiB."""
        self._client.run(verbs.set_memory(self.ref, kib, flags))

    def metadata(self, kind: MetadataType, uri: str | None = None, flags: int = 0) -> str:
        """Its title, description, or the element of a name space. Raises: MetadataNotFoundError."""
        return self._client.run(verbs.metadata(self.ref, kind, uri, flags))

    def attach(self, device: str, flags: int = 0) -> None:
        """Add a device. device: its XML."""
        self._client.run(verbs.attach(self.ref, device, flags))

    def detach(self, device: str, flags: int = 0) -> None:
        """Take a device away. device: its XML."""
        self._client.run(verbs.detach(self.ref, device, flags))

    def info(self) -> Json:
        """All that the daemon knows about it."""
        return self._client.run(verbs.info(self.ref))

    def plan(self) -> Json:
        """What its start would do, step by step."""
        return self._client.run(verbs.plan(self.ref))

    def resize_console(self, rows: int, columns: int, device: str | None = None) -> None:
        """Tell a console how large the terminal at our end is."""
        self._client.run(verbs.resize_console(self.ref, device, rows, columns))


class Execution:
    """A program running in a domain. terminal: its master, the caller's to close; None without one."""

    def __init__(self, client: Blocking, started: Started, pump: "Pump | None") -> None:
        self._client = client
        self._handle = started.handle
        self._pump = pump
        self.pid = started.pid
        self.terminal = started.terminal

    def wait(self) -> int:
        """Return once it has ended, and what it said is where it should go: its raw wait status.

        Raises: OperationFailedError if what it said could not be written there.
        """
        status = self._client.run(verbs.exec_status(self._handle))
        if self._pump is not None:
            self._pump.finish()
        return status

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._client.run(verbs.exec_signal(self._handle, number))


class LifecycleWatch:
    """What happens to domains; ends with its `with` block."""

    def __init__(self, client: Blocking, callback: int) -> None:
        self._client = client
        self._callback = callback
        self._queue: deque[Message] = client.watch(callback)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Lifecycle]:
        while True:
            if (happened := self.next()) is not None:
                yield happened

    def next(self, timeout: float | None = None) -> Lifecycle | None:
        """Wait for the next, timeout seconds at most; None if there was none that we know."""
        if not self._client.wait_for(lambda: bool(self._queue), timeout):
            return None
        return lifecycle_of(self._queue.popleft())

    def close(self) -> None:
        """Watch no longer."""
        self._client.unwatch(self._callback)
        self._client.run(verbs.deregister(self._callback))
