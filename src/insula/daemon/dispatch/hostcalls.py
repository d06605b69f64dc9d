"""Connection and host: who we are, what the host has."""

from collections.abc import Sequence

from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.daemon.wire import counted, cpu_bits, text
from insula.errors import InvalidArgumentError, OperationInvalidError
from insula.rpc.codes.connectioncodes import Feature, OpenFlags
from insula.rpc.procedures import Procedure, Remote

LIBVIRT_VERSION = 11_003_000
"""The libvirt whose API level we claim; some clients refuse a server older than they need."""
URI = "lxc:///system"

_FEATURES = frozenset(
    {
        Feature.TYPED_PARAM_STRING,
        Feature.PROGRAM_KEEPALIVE,
        Feature.REMOTE_EVENT_CALLBACK,
        Feature.REMOTE_CLOSE_CALLBACK,
        Feature.NETWORK_UPDATE_HAS_CORRECT_ORDER,
    }
)
"""What we say yes to. Real LXC has no migration either, and no feature of it."""
_NAMES = frozenset({"", "/", "/system", "/session"})
_SCHEMES = frozenset({"lxc", "insula"})


def _supports_feature(request: IncomingCall, feature: int) -> Answer:
    if feature == Feature.PROGRAM_KEEPALIVE:
        request.client.start_keepalive()
    if feature == Feature.FD_PASSING:
        return (int(request.client.passes_fds),)
    return (int(feature in _FEATURES),)


def _open(request: IncomingCall, name: str | None, flags: int) -> Answer:
    request.allow_flags(flags, OpenFlags.RO | OpenFlags.NO_ALIASES)
    uri = (name or "").partition("?")[0]
    scheme, colon, rest = uri.partition("://")
    if uri and (not colon or scheme.partition("+")[0] not in _SCHEMES or rest not in _NAMES):
        raise InvalidArgumentError(f"unexpected connection name '{uri}', try {URI}")
    request.client.open(read_only=bool(flags & OpenFlags.RO))
    return None


def _close(request: IncomingCall) -> Answer:
    request.client.close_soon()
    return None


def _register_close(request: IncomingCall) -> Answer:
    if request.client.close_callback:
        raise OperationInvalidError("a close callback is already registered")
    request.client.close_callback = True
    return None


def _unregister_close(request: IncomingCall) -> Answer:
    if not request.client.close_callback:
        raise OperationInvalidError("a close callback is not registered")
    request.client.close_callback = False
    return None


def _node_info(request: IncomingCall) -> Answer:
    info = request.services.host.node_info()
    model = info.model.encode()[:31]
    return (model, info.memory, info.cpus, info.mhz, info.nodes, info.sockets, info.cores, info.threads)


def _sysinfo(request: IncomingCall, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    return (request.services.host.sysinfo(),)


def _domain_capabilities(
    request: IncomingCall,
    emulatorbin: str | None,
    arch: str | None,
    machine: str | None,
    virttype: str | None,
    flags: int,
) -> Answer:
    request.allow_flags(flags, 1)  # bit 0: leave out what is deprecated; nothing is
    capabilities = request.services.host.domain_capabilities
    return (capabilities(emulator=emulatorbin, architecture=arch, machine=machine, virtualization=virttype),)


def _security_model(request: IncomingCall) -> Answer:
    security = request.services.host.security_model()
    return text(security.model), text(security.doi)


def _cpu_stats(request: IncomingCall, cpu_num: int, nparams: int, flags: int) -> Answer:
    return counted(list(request.services.host.cpu_stats(cpu_num).items()), nparams)


def _memory_stats(request: IncomingCall, nparams: int, cell_num: int, flags: int) -> Answer:
    return counted(list(request.services.host.memory_stats(cell_num).items()), nparams)


def _cpu_map(request: IncomingCall, need_map: int, need_online: int, flags: int) -> Answer:
    cpus = request.services.host.cpu_map()
    length = (cpus.present + 7) // 8
    return (
        cpu_bits(cpus.online, length) if need_map else b"",
        len(cpus.online) if need_online else 0,
        cpus.present,
    )


def _type(request: IncomingCall) -> Answer:
    return ("LXC",)


def _version(request: IncomingCall) -> Answer:
    return (request.services.host.version(),)


def _lib_version(request: IncomingCall) -> Answer:
    return (LIBVIRT_VERSION,)


def _hostname(request: IncomingCall) -> Answer:
    return (request.services.host.hostname(),)


def _uri(request: IncomingCall) -> Answer:
    return (URI,)


def _is_secure(request: IncomingCall) -> Answer:
    return (1,)


def _maximum_vcpus(request: IncomingCall, type_: str | None) -> Answer:
    return (request.services.host.maximum_vcpus(type_),)


def _capabilities(request: IncomingCall) -> Answer:
    return (request.services.host.capabilities(),)


def _free_memory(request: IncomingCall) -> Answer:
    return (request.services.host.free_memory(),)


def _cells_free_memory(request: IncomingCall, start_cell: int, maxcells: int) -> Answer:
    return (request.services.host.cells_free_memory(start_cell, maxcells),)


def _free_pages(request: IncomingCall, pages: Sequence[int], start_cell: int, cell_count: int, flags: int) -> Answer:
    return (request.services.host.free_pages(list(pages), start_cell, cell_count),)


def _memory_parameters(request: IncomingCall, nparams: int, flags: int) -> Answer:
    return counted(request.services.host.memory_parameters(), nparams)


HANDLERS: dict[Procedure, Handler] = {
    Remote.CONNECT_SUPPORTS_FEATURE: _supports_feature,
    Remote.CONNECT_OPEN: _open,
    Remote.CONNECT_CLOSE: _close,
    Remote.CONNECT_REGISTER_CLOSE_CALLBACK: _register_close,
    Remote.CONNECT_UNREGISTER_CLOSE_CALLBACK: _unregister_close,
    Remote.CONNECT_GET_TYPE: _type,
    Remote.CONNECT_GET_VERSION: _version,
    Remote.CONNECT_GET_LIB_VERSION: _lib_version,
    Remote.CONNECT_GET_HOSTNAME: _hostname,
    Remote.CONNECT_GET_URI: _uri,
    Remote.CONNECT_IS_SECURE: _is_secure,
    Remote.CONNECT_GET_MAX_VCPUS: _maximum_vcpus,
    Remote.CONNECT_GET_CAPABILITIES: _capabilities,
    Remote.CONNECT_GET_DOMAIN_CAPABILITIES: _domain_capabilities,
    Remote.CONNECT_GET_SYSINFO: _sysinfo,
    Remote.NODE_GET_INFO: _node_info,
    Remote.NODE_GET_SECURITY_MODEL: _security_model,
    Remote.NODE_GET_CPU_STATS: _cpu_stats,
    Remote.NODE_GET_MEMORY_STATS: _memory_stats,
    Remote.NODE_GET_CPU_MAP: _cpu_map,
    Remote.NODE_GET_FREE_MEMORY: _free_memory,
    Remote.NODE_GET_CELLS_FREE_MEMORY: _cells_free_memory,
    Remote.NODE_GET_FREE_PAGES: _free_pages,
    Remote.NODE_GET_MEMORY_PARAMETERS: _memory_parameters,
}
