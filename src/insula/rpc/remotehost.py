"""The REMOTE program: authentication, the connection, the host."""

from insula.rpc.frames import RpcProgram
from insula.rpc.permissions import FREE
from insula.rpc.procedure import HIGH, ProcedureTable, call


class HostRows(ProcedureTable):
    """What a client asks of the connection and of the host."""

    program = RpcProgram.REMOTE

    # authentication
    AUTH_LIST = call(66, "", "types:i<20>", FREE, HIGH)
    AUTH_SASL_INIT = call(67, "", "mechlist:s", FREE, HIGH)
    AUTH_SASL_START = call(68, "mech:s nil:i data:c4<65536>", "complete:i nil:i data:c4<65536>", FREE, HIGH)
    AUTH_SASL_STEP = call(69, "nil:i data:c4<65536>", "complete:i nil:i data:c4<65536>", FREE, HIGH)
    AUTH_POLKIT = call(70, "", "complete:i", FREE, HIGH)

    # connection and host
    CONNECT_OPEN = call(1, "name:s? flags:u", "", "connect:getattr", HIGH)
    CONNECT_CLOSE = call(2, "", "", FREE, HIGH)
    CONNECT_GET_TYPE = call(3, "", "type:s", "connect:getattr", HIGH)
    CONNECT_GET_VERSION = call(4, "", "hv_ver:Q", "connect:getattr", HIGH)
    CONNECT_GET_MAX_VCPUS = call(5, "type:s?", "max_vcpus:i", "connect:read", HIGH)
    NODE_GET_INFO = call(
        6, "", "model:c4[32] memory:Q cpus:i mhz:i nodes:i sockets:i cores:i threads:i", "connect:read", HIGH
    )
    CONNECT_GET_CAPABILITIES = call(7, "", "capabilities:s", "connect:read")
    CONNECT_GET_HOSTNAME = call(59, "", "hostname:s", "connect:getattr", HIGH)
    CONNECT_SUPPORTS_FEATURE = call(60, "feature:i", "supported:i", "connect:getattr", HIGH)
    NODE_GET_CELLS_FREE_MEMORY = call(101, "startCell:i maxcells:i(1024)", "cells:Q<1024>", "connect:read", HIGH)
    NODE_GET_FREE_MEMORY = call(102, "", "freeMem:Q", "connect:read", HIGH)
    CONNECT_GET_URI = call(110, "", "uri:s", "connect:getattr", HIGH)
    NODE_GET_SECURITY_MODEL = call(122, "", "model:c4<257> doi:c4<257>", "connect:read", HIGH)
    CONNECT_IS_SECURE = call(149, "", "secure:i", FREE, HIGH)
    CONNECT_GET_LIB_VERSION = call(157, "", "lib_ver:Q", "connect:getattr", HIGH)
    CONNECT_COMPARE_CPU = call(158, "xml:s flags:u", "result:i", "connect:read", HIGH)
    CONNECT_GET_SYSINFO = call(203, "flags:u", "sysinfo:s", "connect:read", HIGH)
    NODE_GET_CPU_STATS = call(
        227, "cpuNum:i nparams:i(16) flags:u", "params:{field:s, value:Q}<16> nparams:i", "connect:read", HIGH
    )
    NODE_GET_MEMORY_STATS = call(
        228, "nparams:i(16) cellNum:i flags:u", "params:{field:s, value:Q}<16> nparams:i", "connect:read", HIGH
    )
    NODE_SUSPEND_FOR_DURATION = call(250, "target:u duration:Q flags:u", "", "connect:pm_control")
    NODE_SET_MEMORY_PARAMETERS = call(288, "params:P<64> flags:u", "", "connect:write")
    NODE_GET_MEMORY_PARAMETERS = call(289, "nparams:i(64) flags:u", "params:P<64> nparams:i", "connect:read")
    NODE_GET_CPU_MAP = call(
        293, "need_map:i need_online:i flags:u", "cpumap:opaque<2048> online:u ret:i", "connect:read"
    )
    CONNECT_GET_CPU_MODEL_NAMES = call(312, "arch:s need_results:i flags:u", "models:s<8192> ret:i", "connect:read")
    NODE_GET_FREE_PAGES = call(
        340,
        "pages:u<1024> startCell:i cellCount:u(1024) flags:u pages*cellCount:1024",
        "counts:Q<1024>",
        "connect:read",
        HIGH,
    )
    CONNECT_GET_DOMAIN_CAPABILITIES = call(
        342, "emulatorbin:s? arch:s? machine:s? virttype:s? flags:u", "capabilities:s", "connect:write"
    )
    NODE_ALLOC_PAGES = call(
        347,
        "pageSizes:u<1024> pageCounts:Q<1024> startCell:i cellCount:u(1024) flags:u pageSizes*cellCount:1024",
        "ret:i",
        "connect:write",
    )
    CONNECT_REGISTER_CLOSE_CALLBACK = call(360, "", "", "connect:getattr", HIGH)
    CONNECT_UNREGISTER_CLOSE_CALLBACK = call(361, "", "", "connect:getattr", HIGH)
