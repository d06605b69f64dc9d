"""The daemon's nouns, blocking: a host with its domains.

with insula.connect() as host:
    web = host.define(xml)
    web.start()
    print(web.state())
"""

from collections import deque
from collections.abc import Iterator, Sequence
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
from insula.sdk.blocking import Blocking
from insula.sdk.blocking_networks import Network
from insula.sdk.blocking_stream import BlockingStream
from insula.sdk.conversation import Answer
from insula.sdk.faces import host_verb, thing_verb
from insula.sdk.values import STANDARD, ExecRequest, Json, Lifecycle, Started, lifecycle_of, uuid_text

if TYPE_CHECKING:
    from insula.relay.pump import Pump


def _found(host: "Host", ref: DomainRef) -> "Domain":
    return Domain(host.client, ref)


def _each_domain(host: "Host", refs: tuple[DomainRef, ...]) -> list["Domain"]:
    return [Domain(host.client, ref) for ref in refs]


def _network(host: "Host", ref: NetworkRef) -> Network:
    return Network(host.client, ref)


def _each_network(host: "Host", refs: tuple[NetworkRef, ...]) -> list[Network]:
    return [Network(host.client, ref) for ref in refs]


def _watch(host: "Host", callback: int) -> "LifecycleWatch":
    return LifecycleWatch(host.client, callback)


def _host_stream(host: "Host", answer: Answer) -> BlockingStream:
    return host.client.stream_of(answer)


def _domain_stream(domain: "Domain", answer: Answer) -> BlockingStream:
    return domain._client.stream_of(answer)


def _renewed(domain: "Domain", ref: DomainRef) -> None:
    domain.ref = ref


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

    domains = host_verb(verbs.domains, _each_domain)
    domain = host_verb(verbs.by_name, _found)
    domain_by_uuid = host_verb(verbs.by_uuid, _found)
    domain_by_id = host_verb(verbs.by_id, _found)
    define = host_verb(verbs.define, _found)
    create = host_verb(verbs.create, _found)
    build_image = host_verb(verbs.build_image, _host_stream)
    lifecycle = host_verb(verbs.watch_lifecycle, _watch)
    stop_order = host_verb(bootverbs.stop_order)
    capabilities = host_verb(verbs.capabilities)
    hostname = host_verb(verbs.hostname)
    node_info = host_verb(verbs.node_info)
    info = host_verb(verbs.daemon_info)
    device_classes = host_verb(verbs.device_classes)
    examine = host_verb(explainverbs.examine)
    plan = host_verb(verbs.plan_of)
    read_config = host_verb(conversionverbs.read_config)
    write_config = host_verb(conversionverbs.write_config)
    statistics = host_verb(verbs.statistics)
    overview = host_verb(verbs.overview)
    images = host_verb(verbs.images)
    remove_image = host_verb(verbs.remove_image)
    tag_image = host_verb(verbs.tag_image)
    networks = host_verb(networkconversations.networks, _each_network)
    network = host_verb(networkconversations.network_by_name, _network)
    network_by_uuid = host_verb(networkconversations.network_by_uuid, _network)
    network_overview = host_verb(networkconversations.network_overview)
    offer_network = host_verb(networkconversations.offer_network)
    define_network = host_verb(networkconversations.define_network, _network)
    create_network = host_verb(networkconversations.create_network, _network)


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

    start = thing_verb(verbs.start, _renewed)
    start_with_dependencies = thing_verb(bootverbs.start_with_dependencies, _renewed)

    def execute(
        self, request: ExecRequest, fds: Sequence[int] = STANDARD, *, detached: bool = False, traced: bool = False
    ) -> "Execution":
        """Run a program in it, with these descriptors as its standard ones, unless it is to have a terminal.

        It never holds them: a thread relays what it reads and writes, until `wait` has returned or this program ends.
        It ends with this connection, unless it is detached. traced: its `explanation` tells what was refused to it.
        """
        if request.tty:
            started = self._client.run(verbs.execute(self.ref, request, (), detached=detached, traced=traced))
            return Execution(self._client, started, None)
        from insula.relay.pump import Pump  # only who executes pays for threads

        pump = Pump(fds)
        try:
            started = self._client.run(verbs.execute(self.ref, request, pump.passed, detached=detached, traced=traced))
        except BaseException:
            pump.close()
            raise
        pump.start()
        return Execution(self._client, started, pump)

    console = thing_verb(verbs.console, _domain_stream)
    log = thing_verb(verbs.log, _domain_stream)
    shutdown = thing_verb(verbs.shutdown)
    reboot = thing_verb(verbs.reboot)
    reset = thing_verb(verbs.reset)
    destroy = thing_verb(verbs.destroy)
    suspend = thing_verb(verbs.suspend)
    resume = thing_verb(verbs.resume)
    signal_init = thing_verb(verbs.signal_init)
    rename = thing_verb(verbs.rename)
    undefine = thing_verb(verbs.undefine)
    remove = thing_verb(verbs.remove)
    wait = thing_verb(verbs.wait)
    wait_ready = thing_verb(bootverbs.wait_ready)
    state = thing_verb(verbs.state)
    usage = thing_verb(verbs.usage)
    xml = thing_verb(verbs.xml)
    is_active = thing_verb(verbs.is_active)
    is_persistent = thing_verb(verbs.is_persistent)
    autostart = thing_verb(bootverbs.autostart)
    set_autostart = thing_verb(bootverbs.set_autostart)
    autostart_once = thing_verb(bootverbs.autostart_once)
    set_autostart_once = thing_verb(bootverbs.set_autostart_once)
    set_memory = thing_verb(verbs.set_memory)
    set_maximum_memory = thing_verb(limitverbs.set_maximum_memory)
    vcpus = thing_verb(limitverbs.vcpus)
    set_vcpus = thing_verb(limitverbs.set_vcpus)
    pin_vcpu = thing_verb(limitverbs.pin_vcpu)
    set_scheduling = thing_verb(limitverbs.set_scheduling)
    set_block_tuning = thing_verb(limitverbs.set_block_tuning)
    set_memory_tuning = thing_verb(limitverbs.set_memory_tuning)
    set_numa_tuning = thing_verb(limitverbs.set_numa_tuning)
    set_limits = thing_verb(limitverbs.set_limits)
    limits = thing_verb(limitverbs.limits)
    control_file = thing_verb(limitverbs.control_file)
    set_control_file = thing_verb(limitverbs.set_control_file)
    set_password = thing_verb(accessverbs.set_password)
    authorized_keys = thing_verb(accessverbs.authorized_keys)
    authorize = thing_verb(accessverbs.authorize)
    guest_info = thing_verb(guestverbs.guest_info)
    system_state = thing_verb(guestverbs.system_state)
    filesystems = thing_verb(guestverbs.filesystems)
    quiesce = thing_verb(guestverbs.quiesce)
    unquiesce = thing_verb(guestverbs.unquiesce)
    trim = thing_verb(guestverbs.trim)
    dump = thing_verb(guestverbs.dump)
    metadata = thing_verb(verbs.metadata)
    set_metadata = thing_verb(verbs.set_metadata)
    attach = thing_verb(verbs.attach)
    detach = thing_verb(verbs.detach)
    info = thing_verb(verbs.info)
    processes = thing_verb(verbs.processes)
    plan = thing_verb(verbs.plan)
    confinement = thing_verb(explainverbs.confinement)
    resize_console = thing_verb(verbs.resize_console)


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

    def explanation(self) -> Json:
        """Return what was refused to it, once it has ended, if it was traced; it is told once: see `explainverbs`."""
        return self._client.run(explainverbs.explanation(self._handle))


class LifecycleWatch:
    """What happens to domains; ends with its `with` block."""

    def __init__(self, client: Blocking, callback: int) -> None:
        self._client = client
        self._callback = callback
        self._queue: deque[Notification] = client.watch(callback)

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
