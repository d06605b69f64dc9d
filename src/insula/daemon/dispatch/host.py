"""Connection and host: who we are, what the host has."""

from typing import Any

from insula.daemon.request import Answer, Handler, Request
from insula.daemon.wire import counted, cpu_bits, text
from insula.errors import AuthenticationError, InvalidArgumentError, OperationInvalidError
from insula.rpc.codes.connection import AuthType, Feature, OpenFlags
from insula.rpc.procedures import Procedure, Remote

LIBVIRT_VERSION = 11_003_000
"""The libvirt whose API level we claim; some clients refuse a server older than they need."""
URI = "lxc:///system"

_FEATURES = frozenset(
    {
        Feature.FD_PASSING,
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


def _auth_list(request: Request, arguments: Any) -> Answer:
    return ((AuthType.NONE,),)


def _no_authentication(request: Request, arguments: Any) -> Answer:
    raise AuthenticationError("no authentication is offered on this socket, and none is needed")


def _supports_feature(request: Request, arguments: Any) -> Answer:
    if arguments.feature == Feature.PROGRAM_KEEPALIVE:
        request.client.start_keepalive()
    return (int(arguments.feature in _FEATURES),)


def _open(request: Request, arguments: Any) -> Answer:
    request.allow_flags(arguments.flags, OpenFlags.RO | OpenFlags.NO_ALIASES)
    name = (arguments.name or "").partition("?")[0]
    scheme, colon, rest = name.partition("://")
    if name and (not colon or scheme.partition("+")[0] not in _SCHEMES or rest not in _NAMES):
        raise InvalidArgumentError(f"unexpected connection name '{name}', try {URI}")
    request.client.open(read_only=bool(arguments.flags & OpenFlags.RO))
    return None


def _close(request: Request, arguments: Any) -> Answer:
    request.client.close_soon()
    return None


def _register_close(request: Request, arguments: Any) -> Answer:
    if request.client.close_callback:
        raise OperationInvalidError("a close callback is already registered")
    request.client.close_callback = True
    return None


def _unregister_close(request: Request, arguments: Any) -> Answer:
    if not request.client.close_callback:
        raise OperationInvalidError("a close callback is not registered")
    request.client.close_callback = False
    return None


def _node_info(request: Request, arguments: Any) -> Answer:
    info = request.services.host.node_info()
    model = info.model.encode()[:31]
    return (model, info.memory, info.cpus, info.mhz, info.nodes, info.sockets, info.cores, info.threads)


def _sysinfo(request: Request, arguments: Any) -> Answer:
    request.allow_flags(arguments.flags, 0)
    return (request.services.host.sysinfo(),)


def _domain_capabilities(request: Request, arguments: Any) -> Answer:
    request.allow_flags(arguments.flags, 1)  # bit 0: leave out what is deprecated; nothing is
    return (
        request.services.host.domain_capabilities(
            emulator=arguments.emulatorbin,
            architecture=arguments.arch,
            machine=arguments.machine,
            virtualization=arguments.virttype,
        ),
    )


def _security_model(request: Request, arguments: Any) -> Answer:
    security = request.services.host.security_model()
    return text(security.model), text(security.doi)


def _cpu_stats(request: Request, arguments: Any) -> Answer:
    return counted(list(request.services.host.cpu_stats(arguments.cpuNum).items()), arguments.nparams)


def _memory_stats(request: Request, arguments: Any) -> Answer:
    return counted(list(request.services.host.memory_stats(arguments.cellNum).items()), arguments.nparams)


def _cpu_map(request: Request, arguments: Any) -> Answer:
    cpus = request.services.host.cpu_map()
    length = (cpus.present + 7) // 8
    return (
        cpu_bits(cpus.online, length) if arguments.need_map else b"",
        len(cpus.online) if arguments.need_online else 0,
        cpus.present,
    )


HANDLERS: dict[Procedure, Handler] = {
    Remote.AUTH_LIST: _auth_list,
    Remote.AUTH_SASL_INIT: _no_authentication,
    Remote.AUTH_SASL_START: _no_authentication,
    Remote.AUTH_SASL_STEP: _no_authentication,
    Remote.AUTH_POLKIT: _no_authentication,
    Remote.CONNECT_SUPPORTS_FEATURE: _supports_feature,
    Remote.CONNECT_OPEN: _open,
    Remote.CONNECT_CLOSE: _close,
    Remote.CONNECT_REGISTER_CLOSE_CALLBACK: _register_close,
    Remote.CONNECT_UNREGISTER_CLOSE_CALLBACK: _unregister_close,
    Remote.CONNECT_GET_TYPE: lambda request, arguments: ("LXC",),
    Remote.CONNECT_GET_VERSION: lambda request, arguments: (request.services.host.version(),),
    Remote.CONNECT_GET_LIB_VERSION: lambda request, arguments: (LIBVIRT_VERSION,),
    Remote.CONNECT_GET_HOSTNAME: lambda request, arguments: (request.services.host.hostname(),),
    Remote.CONNECT_GET_URI: lambda request, arguments: (URI,),
    Remote.CONNECT_IS_SECURE: lambda request, arguments: (1,),
    Remote.CONNECT_GET_MAX_VCPUS: lambda request, arguments: (request.services.host.maximum_vcpus(),),
    Remote.CONNECT_GET_CAPABILITIES: lambda request, arguments: (request.services.host.capabilities(),),
    Remote.CONNECT_GET_DOMAIN_CAPABILITIES: _domain_capabilities,
    Remote.CONNECT_GET_SYSINFO: _sysinfo,
    Remote.NODE_GET_INFO: _node_info,
    Remote.NODE_GET_SECURITY_MODEL: _security_model,
    Remote.NODE_GET_CPU_STATS: _cpu_stats,
    Remote.NODE_GET_MEMORY_STATS: _memory_stats,
    Remote.NODE_GET_CPU_MAP: _cpu_map,
    Remote.NODE_GET_FREE_MEMORY: lambda request, arguments: (request.services.host.free_memory(),),
    Remote.NODE_GET_CELLS_FREE_MEMORY: lambda request, arguments: (
        request.services.host.cells_free_memory(arguments.startCell, arguments.maxcells),
    ),
    Remote.NODE_GET_FREE_PAGES: lambda request, arguments: (
        request.services.host.free_pages(list(arguments.pages), arguments.startCell, arguments.cellCount),
    ),
    Remote.NODE_GET_MEMORY_PARAMETERS: lambda request, arguments: counted(
        request.services.host.memory_parameters(), arguments.nparams
    ),
}
