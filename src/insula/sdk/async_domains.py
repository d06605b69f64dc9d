"""The daemon's nouns, async: a host with its domains. The twin of `domains`, verb by verb.

async with await insula.connect_async() as host:
    web = await host.define(xml)
    await web.start()
    print(await web.state())
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Self

from insula.rpc.connection import Notification
from insula.rpc.wiretypes import DomainRef, NetworkRef
from insula.sdk import (
    accessverbs,
    bootverbs,
    conversionverbs,
    explainverbs,
    guestverbs,
    limitverbs,
    networkconversations,
    verbs,
)
from insula.sdk.async_networks import AsyncNetwork
from insula.sdk.client import Client
from insula.sdk.client_stream import ClientStream
from insula.sdk.conversation import Answer
from insula.sdk.faces import async_host_verb, async_thing_verb
from insula.sdk.values import STANDARD, ExecRequest, Json, Lifecycle, Started, lifecycle_of, uuid_text

if TYPE_CHECKING:
    from insula.relay.pump import Pump


def _found(host: "AsyncHost", ref: DomainRef) -> "AsyncDomain":
    return AsyncDomain(host.client, ref)


def _each_domain(host: "AsyncHost", refs: tuple[DomainRef, ...]) -> list["AsyncDomain"]:
    return [AsyncDomain(host.client, ref) for ref in refs]


def _network(host: "AsyncHost", ref: NetworkRef) -> AsyncNetwork:
    return AsyncNetwork(host.client, ref)


def _each_network(host: "AsyncHost", refs: tuple[NetworkRef, ...]) -> list[AsyncNetwork]:
    return [AsyncNetwork(host.client, ref) for ref in refs]


def _watch(host: "AsyncHost", callback: int) -> "AsyncLifecycleWatch":
    return AsyncLifecycleWatch(host.client, callback)


def _host_stream(host: "AsyncHost", answer: Answer) -> ClientStream:
    return host.client.stream_of(answer)


def _domain_stream(domain: "AsyncDomain", answer: Answer) -> ClientStream:
    return domain._client.stream_of(answer)


def _renewed(domain: "AsyncDomain", ref: DomainRef) -> None:
    domain.ref = ref


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

    domains = async_host_verb(verbs.domains, _each_domain)
    domain = async_host_verb(verbs.by_name, _found)
    domain_by_uuid = async_host_verb(verbs.by_uuid, _found)
    domain_by_id = async_host_verb(verbs.by_id, _found)
    define = async_host_verb(verbs.define, _found)
    create = async_host_verb(verbs.create, _found)
    build_image = async_host_verb(verbs.build_image, _host_stream)
    lifecycle = async_host_verb(verbs.watch_lifecycle, _watch)
    stop_order = async_host_verb(bootverbs.stop_order)
    capabilities = async_host_verb(verbs.capabilities)
    hostname = async_host_verb(verbs.hostname)
    node_info = async_host_verb(verbs.node_info)
    info = async_host_verb(verbs.daemon_info)
    device_classes = async_host_verb(verbs.device_classes)
    examine = async_host_verb(explainverbs.examine)
    plan = async_host_verb(verbs.plan_of)
    read_config = async_host_verb(conversionverbs.read_config)
    write_config = async_host_verb(conversionverbs.write_config)
    statistics = async_host_verb(verbs.statistics)
    overview = async_host_verb(verbs.overview)
    images = async_host_verb(verbs.images)
    remove_image = async_host_verb(verbs.remove_image)
    tag_image = async_host_verb(verbs.tag_image)
    networks = async_host_verb(networkconversations.networks, _each_network)
    network = async_host_verb(networkconversations.network_by_name, _network)
    network_by_uuid = async_host_verb(networkconversations.network_by_uuid, _network)
    network_overview = async_host_verb(networkconversations.network_overview)
    offer_network = async_host_verb(networkconversations.offer_network)
    define_network = async_host_verb(networkconversations.define_network, _network)
    create_network = async_host_verb(networkconversations.create_network, _network)


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

    start = async_thing_verb(verbs.start, _renewed)
    start_with_dependencies = async_thing_verb(bootverbs.start_with_dependencies, _renewed)

    async def execute(
        self, request: ExecRequest, fds: Sequence[int] = STANDARD, *, detached: bool = False, traced: bool = False
    ) -> "AsyncExecution":
        """Run a program in it, with these descriptors as its standard ones, unless it is to have a terminal.

        It never holds them: a thread relays what it reads and writes, until `wait` has returned or this program ends.
        It ends with this connection, unless it is detached. traced: its `explanation` tells what was refused to it.
        """
        if request.tty:
            started = await self._client.run(verbs.execute(self.ref, request, (), detached=detached, traced=traced))
            return AsyncExecution(self._client, started, None)
        from insula.relay.pump import Pump  # only who executes pays for threads

        pump = Pump(fds)
        try:
            started = await self._client.run(
                verbs.execute(self.ref, request, pump.passed, detached=detached, traced=traced)
            )
        except BaseException:
            pump.close()
            raise
        pump.start()
        return AsyncExecution(self._client, started, pump)

    console = async_thing_verb(verbs.console, _domain_stream)
    log = async_thing_verb(verbs.log, _domain_stream)
    shutdown = async_thing_verb(verbs.shutdown)
    reboot = async_thing_verb(verbs.reboot)
    reset = async_thing_verb(verbs.reset)
    destroy = async_thing_verb(verbs.destroy)
    suspend = async_thing_verb(verbs.suspend)
    resume = async_thing_verb(verbs.resume)
    signal_init = async_thing_verb(verbs.signal_init)
    rename = async_thing_verb(verbs.rename)
    undefine = async_thing_verb(verbs.undefine)
    remove = async_thing_verb(verbs.remove)
    wait = async_thing_verb(verbs.wait)
    wait_ready = async_thing_verb(bootverbs.wait_ready)
    state = async_thing_verb(verbs.state)
    usage = async_thing_verb(verbs.usage)
    xml = async_thing_verb(verbs.xml)
    is_active = async_thing_verb(verbs.is_active)
    is_persistent = async_thing_verb(verbs.is_persistent)
    autostart = async_thing_verb(bootverbs.autostart)
    set_autostart = async_thing_verb(bootverbs.set_autostart)
    autostart_once = async_thing_verb(bootverbs.autostart_once)
    set_autostart_once = async_thing_verb(bootverbs.set_autostart_once)
    set_memory = async_thing_verb(verbs.set_memory)
    set_maximum_memory = async_thing_verb(limitverbs.set_maximum_memory)
    vcpus = async_thing_verb(limitverbs.vcpus)
    set_vcpus = async_thing_verb(limitverbs.set_vcpus)
    pin_vcpu = async_thing_verb(limitverbs.pin_vcpu)
    set_scheduling = async_thing_verb(limitverbs.set_scheduling)
    set_block_tuning = async_thing_verb(limitverbs.set_block_tuning)
    set_memory_tuning = async_thing_verb(limitverbs.set_memory_tuning)
    set_numa_tuning = async_thing_verb(limitverbs.set_numa_tuning)
    set_limits = async_thing_verb(limitverbs.set_limits)
    limits = async_thing_verb(limitverbs.limits)
    control_file = async_thing_verb(limitverbs.control_file)
    set_control_file = async_thing_verb(limitverbs.set_control_file)
    set_password = async_thing_verb(accessverbs.set_password)
    authorized_keys = async_thing_verb(accessverbs.authorized_keys)
    authorize = async_thing_verb(accessverbs.authorize)
    guest_info = async_thing_verb(guestverbs.guest_info)
    system_state = async_thing_verb(guestverbs.system_state)
    filesystems = async_thing_verb(guestverbs.filesystems)
    quiesce = async_thing_verb(guestverbs.quiesce)
    unquiesce = async_thing_verb(guestverbs.unquiesce)
    trim = async_thing_verb(guestverbs.trim)
    dump = async_thing_verb(guestverbs.dump)
    metadata = async_thing_verb(verbs.metadata)
    set_metadata = async_thing_verb(verbs.set_metadata)
    attach = async_thing_verb(verbs.attach)
    detach = async_thing_verb(verbs.detach)
    info = async_thing_verb(verbs.info)
    processes = async_thing_verb(verbs.processes)
    plan = async_thing_verb(verbs.plan)
    confinement = async_thing_verb(explainverbs.confinement)
    resize_console = async_thing_verb(verbs.resize_console)


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

    async def explanation(self) -> Json:
        """Return what was refused to it, once it has ended, if it was traced; it is told once: see `explainverbs`."""
        return await self._client.run(explainverbs.explanation(self._handle))


class AsyncLifecycleWatch:
    """What happens to domains; ends with its `async with` block."""

    def __init__(self, client: Client, callback: int) -> None:
        self._client = client
        self._callback = callback
        self._queue: deque[Notification] = client.watch(callback)

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
