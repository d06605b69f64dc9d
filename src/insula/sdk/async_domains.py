"""The daemon's nouns, async: a host with its domains. The twin of `domains`, method by method.

async with await open_host() as host:
    web = await host.define(xml)
    await web.start()
    print(await web.state())
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Self

from insula.model.numbers import MetadataType
from insula.rpc.codes.events import DomainEventId
from insula.rpc.connection import Message
from insula.rpc.types import DomainRef
from insula.sdk import verbs
from insula.sdk.client import Client, connect
from insula.sdk.client_stream import ClientStream
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


async def open_host(where: "str | os.PathLike[str] | Layout | None" = None, *, read_only: bool = False) -> "AsyncHost":
    """Connect to a daemon; arguments and errors are those of `blocking.connect`."""
    return AsyncHost(await connect(where, read_only=read_only))


class AsyncHost:
    """A host, by way of its daemon; ends with its `async with` block. client: for calls that have no verb here."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self.client.close()

    async def domains(self, flags: int = 0) -> list["AsyncDomain"]:
        """The domains that match the filter (`ListDomains`), all without one."""
        return [AsyncDomain(self.client, ref) for ref in await self.client.run(verbs.domains(flags))]

    async def domain(self, name: str) -> "AsyncDomain":
        """Raises: DomainNotFoundError."""
        return AsyncDomain(self.client, await self.client.run(verbs.by_name(name)))

    async def domain_by_uuid(self, uuid: str | bytes) -> "AsyncDomain":
        """Raises: DomainNotFoundError; InvalidArgumentError if that is no UUID."""
        return AsyncDomain(self.client, await self.client.run(verbs.by_uuid(uuid)))

    async def domain_by_id(self, number: int) -> "AsyncDomain":
        """Raises: DomainNotFoundError if no running domain has that id."""
        return AsyncDomain(self.client, await self.client.run(verbs.by_id(number)))

    async def define(self, xml: str) -> "AsyncDomain":
        """Make a domain known for good, or change its definition."""
        return AsyncDomain(self.client, await self.client.run(verbs.define(xml)))

    async def create(self, xml: str, flags: int = 0) -> "AsyncDomain":
        """Start a domain that is forgotten when it stops."""
        return AsyncDomain(self.client, await self.client.run(verbs.create(xml, flags)))

    async def build_image(self, name: str, recipe: Json) -> ClientStream:
        """Build an image; the stream tells the progress, a JSON object a line."""
        return self.client.stream_of(await self.client.run(verbs.build_image(name, recipe)))

    async def lifecycle(self, domain: DomainRef | None = None) -> "AsyncLifecycleWatch":
        """What happens from now on to a domain, or to all."""
        callback = await self.client.run(verbs.register(DomainEventId.LIFECYCLE, domain))
        return AsyncLifecycleWatch(self.client, callback)

    async def capabilities(self) -> str:
        """What the host and its driver can do, as libvirt's XML."""
        return await self.client.run(verbs.capabilities())

    async def hostname(self) -> str:
        """The host's name."""
        return await self.client.run(verbs.hostname())

    async def node_info(self) -> NodeInfo:
        """The host's hardware."""
        return await self.client.run(verbs.node_info())

    async def info(self) -> Json:
        """What the daemon tells of itself."""
        return await self.client.run(verbs.daemon_info())

    async def plan(self, xml: str) -> Json:
        """What starting a domain of this XML would do, step by step."""
        return await self.client.run(verbs.plan_of(xml))

    async def statistics(self, groups: int = 0, flags: int = 0) -> list[Statistics]:
        """Bulk statistics of the domains that match the filter, all groups without a choice."""
        return await self.client.run(verbs.statistics((), groups, flags))

    async def images(self) -> list[Json]:
        """The images there are."""
        return await self.client.run(verbs.images())

    async def remove_image(self, name: str) -> None:
        """Raises: ImageNotFoundError; ResourceBusyError if a domain uses it."""
        await self.client.run(verbs.remove_image(name))


class AsyncDomain:
    """A domain. ref: how the wire refers to it; its id is of the last `start` seen here."""

    def __init__(self, client: Client, ref: DomainRef) -> None:
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

    async def start(self, flags: int = 0) -> None:
        """Start it (`StartFlags`)."""
        self.ref = await self._client.run(verbs.start(self.ref, flags))

    async def execute(self, request: ExecRequest, fds: Sequence[int] = STANDARD) -> "AsyncExecution":
        """Run a program in it, with these descriptors as its standard ones, unless it is to have a terminal.

        It never holds them: a thread relays what it reads and writes, until `wait` has returned or this program ends.
        """
        if request.tty:
            return AsyncExecution(self._client, await self._client.run(verbs.execute(self.ref, request, ())), None)
        from insula.relay.pump import Pump  # only who executes pays for threads

        pump = Pump(fds)
        try:
            started = await self._client.run(verbs.execute(self.ref, request, pump.passed))
        except BaseException:
            pump.close()
            raise
        pump.start()
        return AsyncExecution(self._client, started, pump)

    async def console(self, device: str | None = None, flags: int = 0) -> ClientStream:
        """Open a console, the first without a device's name (`ConsoleFlags`)."""
        return self._client.stream_of(await self._client.run(verbs.console(self.ref, device, flags)))

    async def log(self, source: str, *, follow: bool = False) -> ClientStream:
        """Read a log of it; follow: go on as it grows."""
        return self._client.stream_of(await self._client.run(verbs.log(self.ref, source, follow=follow)))

    async def shutdown(self) -> None:
        """Ask the guest to shut down; it may take its time, or refuse."""
        await self._client.run(verbs.shutdown(self.ref))

    async def reboot(self) -> None:
        """Ask the guest to reboot."""
        await self._client.run(verbs.reboot(self.ref))

    async def destroy(self) -> None:
        """Stop it at once, whatever the guest is doing."""
        await self._client.run(verbs.destroy(self.ref))

    async def suspend(self) -> None:
        """Freeze all its processes."""
        await self._client.run(verbs.suspend(self.ref))

    async def resume(self) -> None:
        """Thaw them."""
        await self._client.run(verbs.resume(self.ref))

    async def undefine(self, flags: int = 0) -> None:
        """Forget its definition."""
        await self._client.run(verbs.undefine(self.ref, flags))

    async def wait(self) -> Outcome:
        """Return once it has stopped, and how."""
        return await self._client.run(verbs.wait(self.ref))

    async def state(self) -> State:
        """What it is doing, and why."""
        return await self._client.run(verbs.state(self.ref))

    async def usage(self) -> Usage:
        """What it has and takes."""
        return await self._client.run(verbs.usage(self.ref))

    async def xml(self, flags: int = 0) -> str:
        """Its XML: of the running domain, unless INACTIVE asks for the definition."""
        return await self._client.run(verbs.xml(self.ref, flags))

    async def is_active(self) -> bool:
        """Whether it runs."""
        return await self._client.run(verbs.is_active(self.ref))

    async def is_persistent(self) -> bool:
        """Whether it has a definition."""
        return await self._client.run(verbs.is_persistent(self.ref))

    async def autostart(self) -> bool:
        """Whether it starts with the daemon."""
        return await self._client.run(verbs.autostart(self.ref))

    async def set_autostart(self, *, wanted: bool) -> None:
        """Let it start with the daemon, or not."""
        await self._client.run(verbs.set_autostart(self.ref, wanted=wanted))

    async def set_memory(self, kib: int, flags: int = 0) -> None:
        """Change what memory it may use. kib: KiB."""
        await self._client.run(verbs.set_memory(self.ref, kib, flags))

    async def metadata(self, kind: MetadataType, uri: str | None = None, flags: int = 0) -> str:
        """Its title, description, or the element of a name space. Raises: MetadataNotFoundError."""
        return await self._client.run(verbs.metadata(self.ref, kind, uri, flags))

    async def attach(self, device: str, flags: int = 0) -> None:
        """Add a device. device: its XML."""
        await self._client.run(verbs.attach(self.ref, device, flags))

    async def detach(self, device: str, flags: int = 0) -> None:
        """Take a device away. device: its XML."""
        await self._client.run(verbs.detach(self.ref, device, flags))

    async def info(self) -> Json:
        """All that the daemon knows about it."""
        return await self._client.run(verbs.info(self.ref))

    async def plan(self) -> Json:
        """What its start would do, step by step."""
        return await self._client.run(verbs.plan(self.ref))

    async def resize_console(self, rows: int, columns: int, device: str | None = None) -> None:
        """Tell a console how large the terminal at our end is."""
        await self._client.run(verbs.resize_console(self.ref, device, rows, columns))


class AsyncExecution:
    """A program running in a domain. terminal: its master, the caller's to close; None without one."""

    def __init__(self, client: Client, started: Started, pump: "Pump | None") -> None:
        self._client = client
        self._handle = started.handle
        self._pump = pump
        self.pid = started.pid
        self.terminal = started.terminal

    async def wait(self) -> int:
        """Return once it has ended, and what it said is where it should go: its raw wait status.

        Raises: OperationFailedError if what it said could not be written there.
        """
        status = await self._client.run(verbs.exec_status(self._handle))
        if self._pump is not None:
            await asyncio.to_thread(self._pump.finish)
        return status

    async def signal(self, number: int) -> None:
        """Send it a signal."""
        await self._client.run(verbs.exec_signal(self._handle, number))


class AsyncLifecycleWatch:
    """What happens to domains; ends with its `async with` block."""

    def __init__(self, client: Client, callback: int) -> None:
        self._client = client
        self._callback = callback
        self._queue: deque[Message] = client.watch(callback)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def __aiter__(self) -> AsyncIterator[Lifecycle]:
        while True:
            await self._client.wait_for(lambda: bool(self._queue))
            if (happened := lifecycle_of(self._queue.popleft())) is not None:
                yield happened

    async def close(self) -> None:
        """Watch no longer."""
        self._client.unwatch(self._callback)
        await self._client.run(verbs.deregister(self._callback))
