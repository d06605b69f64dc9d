"""What is inside of domains: their names and addresses, processes, consoles, namespaces."""

from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.daemon.serverstreams import line_job
from insula.errors import InvalidArgumentError
from insula.model.numbers import AddressSource
from insula.rpc.codes.requestcodes import AddressType, ChannelFlags, ConsoleFlags
from insula.rpc.procedures import Lxc, Procedure, Remote
from insula.service.managed import ManagedDomain


async def _hostname(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    return (await request.services.guest.hostname(domain),)


async def _addresses(request: IncomingCall, domain: ManagedDomain, source: int, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    try:
        asked = AddressSource(source)
    except ValueError as error:
        raise InvalidArgumentError(f"unknown source {source} of interface addresses") from error
    interfaces = await request.services.guest.interfaces(domain, asked)
    return (
        [
            (each.name, each.mac or None, [(_family(one.address), one.address, one.prefix) for one in each.addresses])
            for each in interfaces
        ],
    )


def _family(address: str) -> AddressType:
    return AddressType.IPV6 if ":" in address else AddressType.IPV4


async def _send_signal(request: IncomingCall, domain: ManagedDomain, pid_value: int, signum: int, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    await request.services.guest.send_signal(domain, pid_value, signum)
    return None


def _open_console(request: IncomingCall, domain: ManagedDomain, dev_name: str | None, flags: int) -> Answer:
    request.allow_flags(flags, ConsoleFlags.FORCE | ConsoleFlags.SAFE)
    # SAFE asks that only one client may have the console: here that is always so
    force = bool(flags & ConsoleFlags.FORCE)
    request.job = line_job(request.services.consoles.open(domain, dev_name, force=force))
    return None


def _open_channel(request: IncomingCall, domain: ManagedDomain, name: str | None, flags: int) -> Answer:
    request.allow_flags(flags, ChannelFlags.FORCE)
    force = bool(flags & ChannelFlags.FORCE)
    request.job = line_job(request.services.channels.open(domain, name, force=force))
    return None


async def _open_namespace(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    """Descriptors of the guest's namespaces, in the order user, ipc, uts, net, pid, mnt: the client enters in that."""
    request.allow_flags(flags, 0)
    request.reply_fds = list(await request.services.guest.namespaces(domain))
    return None


HANDLERS: dict[Procedure, Handler] = {
    Remote.DOMAIN_GET_HOSTNAME: _hostname,
    Remote.DOMAIN_INTERFACE_ADDRESSES: _addresses,
    Remote.DOMAIN_SEND_PROCESS_SIGNAL: _send_signal,
    Remote.DOMAIN_OPEN_CONSOLE: _open_console,
    Remote.DOMAIN_OPEN_CHANNEL: _open_channel,
    Lxc.DOMAIN_OPEN_NAMESPACE: _open_namespace,
}
