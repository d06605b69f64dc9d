"""The REMOTE program: what there is beside domains, from networks to host interfaces."""

from insula.rpc.frames import RpcProgram
from insula.rpc.procedure import HIGH, TO_CLIENT, TO_SERVER, ProcedureTable, call, event


class ObjectRows(ProcedureTable):
    """What there is to do with other objects."""

    program = RpcProgram.REMOTE

    # networks
    CONNECT_LIST_DEFINED_NETWORKS = call(36, "maxnames:i(16384)", "names:s<>", "connect:search_networks", HIGH)
    CONNECT_LIST_NETWORKS = call(38, "maxnames:i(16384)", "names:s<>", "connect:search_networks", HIGH)
    NETWORK_CREATE = call(39, "net:net", "", "network:start")
    NETWORK_CREATE_XML = call(40, "xml:s", "net:net", "network:write network:start")
    NETWORK_DEFINE_XML = call(41, "xml:s", "net:net", "network:write network:save", HIGH)
    NETWORK_DESTROY = call(42, "net:net", "", "network:stop", HIGH)
    NETWORK_GET_XML_DESC = call(43, "net:net flags:u", "xml:s", "network:read", HIGH)
    NETWORK_GET_AUTOSTART = call(44, "net:net", "autostart:i", "network:read", HIGH)
    NETWORK_GET_BRIDGE_NAME = call(45, "net:net", "name:s", "network:read", HIGH)
    NETWORK_LOOKUP_BY_NAME = call(46, "name:s", "net:net", "network:getattr", HIGH)
    NETWORK_LOOKUP_BY_UUID = call(47, "uuid:uuid", "net:net", "network:getattr", HIGH)
    NETWORK_SET_AUTOSTART = call(48, "net:net autostart:i", "", "network:write", HIGH)
    NETWORK_UNDEFINE = call(49, "net:net", "", "network:delete", HIGH)
    CONNECT_NUM_OF_DEFINED_NETWORKS = call(50, "", "num:i", "connect:search_networks", HIGH)
    CONNECT_NUM_OF_NETWORKS = call(52, "", "num:i", "connect:search_networks", HIGH)
    NETWORK_IS_ACTIVE = call(152, "net:net", "active:i", "network:read", HIGH)
    NETWORK_IS_PERSISTENT = call(153, "net:net", "persistent:i", "network:read", HIGH)
    CONNECT_LIST_ALL_NETWORKS = call(283, "need_results:i flags:u", "nets:net<> ret:u", "connect:search_networks", HIGH)
    NETWORK_UPDATE = call(
        291,
        "net:net command:u section:u parentIndex:i xml:s flags:u",
        "",
        "network:write network:save?flags&0x2 network:save?flags!0x3",
        HIGH,
    )
    CONNECT_NETWORK_EVENT_REGISTER_ANY = call(
        313, "eventID:i net:net?", "callbackID:i", "connect:search_networks", HIGH
    )
    CONNECT_NETWORK_EVENT_DEREGISTER_ANY = call(314, "callbackID:i", "", "connect:read", HIGH)
    NETWORK_EVENT_LIFECYCLE = event(315, "callbackID:i net:net event:i detail:i")
    NETWORK_GET_DHCP_LEASES = call(
        341,
        "net:net mac:s? need_results:i flags:u",
        "leases:{iface:s, expirytime:q, type:i, mac:s?, iaid:s?, ipaddr:s, prefix:u, hostname:s?, clientid:s?}<65536>"
        " ret:u",
        "network:read",
    )
    NETWORK_LIST_ALL_PORTS = call(
        404, "network:net need_results:i flags:u", "ports:nport<> ret:u", "network:search_ports", HIGH
    )
    NETWORK_PORT_LOOKUP_BY_UUID = call(405, "network:net uuid:uuid", "port:nport", "network_port:getattr", HIGH)
    NETWORK_PORT_CREATE_XML = call(406, "network:net xml:s flags:u", "port:nport", "network_port:create")
    NETWORK_PORT_GET_PARAMETERS = call(407, "port:nport unset:i flags:u", "params:P<16> nparams:i", "network_port:read")
    NETWORK_PORT_SET_PARAMETERS = call(408, "port:nport params:P<16> flags:u", "", "network_port:write")
    NETWORK_PORT_GET_XML_DESC = call(409, "port:nport flags:u", "xml:s", "network_port:read")
    NETWORK_PORT_DELETE = call(410, "port:nport flags:u", "", "network_port:delete")
    NETWORK_DEFINE_XML_FLAGS = call(432, "xml:s flags:u", "net:net", "network:write network:save", HIGH)
    NETWORK_CREATE_XML_FLAGS = call(437, "xml:s flags:u", "net:net", "network:write network:start", HIGH)
    NETWORK_SET_METADATA = call(
        444,
        "network:net type:i metadata:s? key:s? uri:s? flags:u",
        "",
        "network:write network:save?flags&0x2 network:save?flags!0x3",
    )
    NETWORK_GET_METADATA = call(445, "network:net type:i uri:s? flags:u", "metadata:s", "network:read")
    NETWORK_EVENT_CALLBACK_METADATA_CHANGE = event(446, "callbackID:i net:net type:i nsuri:s?")

    # storage pools and volumes
    CONNECT_NUM_OF_STORAGE_POOLS = call(71, "", "num:i", "connect:search_storage_pools", HIGH)
    CONNECT_LIST_STORAGE_POOLS = call(72, "maxnames:i(16384)", "names:s<>", "connect:search_storage_pools", HIGH)
    CONNECT_NUM_OF_DEFINED_STORAGE_POOLS = call(73, "", "num:i", "connect:search_storage_pools", HIGH)
    CONNECT_LIST_DEFINED_STORAGE_POOLS = call(
        74, "maxnames:i(16384)", "names:s<>", "connect:search_storage_pools", HIGH
    )
    CONNECT_FIND_STORAGE_POOL_SOURCES = call(75, "type:s srcSpec:s? flags:u", "xml:s", "connect:detect_storage_pools")
    STORAGE_POOL_CREATE_XML = call(76, "xml:s flags:u", "pool:pool", "storage_pool:start storage_pool:write")
    STORAGE_POOL_DEFINE_XML = call(77, "xml:s flags:u", "pool:pool", "storage_pool:write storage_pool:save", HIGH)
    STORAGE_POOL_CREATE = call(78, "pool:pool flags:u", "", "storage_pool:start")
    STORAGE_POOL_BUILD = call(79, "pool:pool flags:u", "", "storage_pool:format")
    STORAGE_POOL_DESTROY = call(80, "pool:pool", "", "storage_pool:stop", HIGH)
    STORAGE_POOL_DELETE = call(81, "pool:pool flags:u", "", "storage_pool:format")
    STORAGE_POOL_UNDEFINE = call(82, "pool:pool", "", "storage_pool:delete", HIGH)
    STORAGE_POOL_REFRESH = call(83, "pool:pool flags:u", "", "storage_pool:refresh")
    STORAGE_POOL_LOOKUP_BY_NAME = call(84, "name:s", "pool:pool", "storage_pool:getattr", HIGH)
    STORAGE_POOL_LOOKUP_BY_UUID = call(85, "uuid:uuid", "pool:pool", "storage_pool:getattr", HIGH)
    STORAGE_POOL_LOOKUP_BY_VOLUME = call(86, "vol:vol", "pool:pool", "storage_pool:getattr", HIGH)
    STORAGE_POOL_GET_INFO = call(
        87, "pool:pool", "state:c4 capacity:Q allocation:Q available:Q", "storage_pool:read", HIGH
    )
    STORAGE_POOL_GET_XML_DESC = call(88, "pool:pool flags:u", "xml:s", "storage_pool:read", HIGH)
    STORAGE_POOL_GET_AUTOSTART = call(89, "pool:pool", "autostart:i", "storage_pool:read", HIGH)
    STORAGE_POOL_SET_AUTOSTART = call(90, "pool:pool autostart:i", "", "storage_pool:write", HIGH)
    STORAGE_POOL_NUM_OF_VOLUMES = call(91, "pool:pool", "num:i", "storage_pool:search_storage_vols", HIGH)
    STORAGE_POOL_LIST_VOLUMES = call(
        92, "pool:pool maxnames:i(16384)", "names:s<>", "storage_pool:search_storage_vols", HIGH
    )
    STORAGE_VOL_CREATE_XML = call(93, "pool:pool xml:s flags:u", "vol:vol", "storage_vol:create")
    STORAGE_VOL_DELETE = call(94, "vol:vol flags:u", "", "storage_vol:delete")
    STORAGE_VOL_LOOKUP_BY_NAME = call(95, "pool:pool name:s", "vol:vol", "storage_vol:getattr", HIGH)
    STORAGE_VOL_LOOKUP_BY_KEY = call(96, "key:s", "vol:vol", "storage_vol:getattr", HIGH)
    STORAGE_VOL_LOOKUP_BY_PATH = call(97, "path:s", "vol:vol", "storage_vol:getattr", HIGH)
    STORAGE_VOL_GET_INFO = call(98, "vol:vol", "type:c4 capacity:Q allocation:Q", "storage_vol:read", HIGH)
    STORAGE_VOL_GET_XML_DESC = call(99, "vol:vol flags:u", "xml:s", "storage_vol:read", HIGH)
    STORAGE_VOL_GET_PATH = call(100, "vol:vol", "name:s", "storage_vol:read", HIGH)
    STORAGE_VOL_CREATE_XML_FROM = call(125, "pool:pool xml:s clonevol:vol flags:u", "vol:vol", "storage_vol:create")
    STORAGE_POOL_IS_ACTIVE = call(154, "pool:pool", "active:i", "storage_pool:read", HIGH)
    STORAGE_POOL_IS_PERSISTENT = call(155, "pool:pool", "persistent:i", "storage_pool:read", HIGH)
    STORAGE_VOL_WIPE = call(165, "vol:vol flags:u", "", "storage_vol:format")
    STORAGE_VOL_UPLOAD = call(
        208, "vol:vol offset:Q length:Q flags:u", "", "storage_vol:data_write", stream=TO_SERVER, sparse=0x1
    )
    STORAGE_VOL_DOWNLOAD = call(
        209, "vol:vol offset:Q length:Q flags:u", "", "storage_vol:data_read", stream=TO_CLIENT, sparse=0x1
    )
    STORAGE_VOL_WIPE_PATTERN = call(259, "vol:vol algorithm:u flags:u", "", "storage_vol:format")
    STORAGE_VOL_RESIZE = call(260, "vol:vol capacity:Q flags:u", "", "storage_vol:resize")
    CONNECT_LIST_ALL_STORAGE_POOLS = call(
        281, "need_results:i flags:u", "pools:pool<> ret:u", "connect:search_storage_pools", HIGH
    )
    STORAGE_POOL_LIST_ALL_VOLUMES = call(
        282, "pool:pool need_results:i flags:u", "vols:vol<> ret:u", "storage_pool:search_storage_vols", HIGH
    )
    CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY = call(
        368, "eventID:i pool:pool?", "callbackID:i", "connect:search_storage_pools", HIGH
    )
    CONNECT_STORAGE_POOL_EVENT_DEREGISTER_ANY = call(369, "callbackID:i", "", "connect:read", HIGH)
    STORAGE_POOL_EVENT_LIFECYCLE = event(370, "callbackID:i pool:pool event:i detail:i")
    STORAGE_POOL_EVENT_REFRESH = event(373, "callbackID:i pool:pool")
    STORAGE_VOL_GET_INFO_FLAGS = call(
        378, "vol:vol flags:u", "type:c4 capacity:Q allocation:Q", "storage_vol:read", HIGH
    )
    CONNECT_GET_STORAGE_POOL_CAPABILITIES = call(403, "flags:u", "capabilities:s", "connect:read")

    # node devices
    NODE_NUM_OF_DEVICES = call(111, "cap:s? flags:u", "num:i", "connect:search_node_devices", HIGH)
    NODE_LIST_DEVICES = call(
        112, "cap:s? maxnames:i(65536) flags:u", "names:s<65536>", "connect:search_node_devices", HIGH
    )
    NODE_DEVICE_LOOKUP_BY_NAME = call(113, "name:s", "dev:ndev", "node_device:getattr", HIGH)
    NODE_DEVICE_GET_XML_DESC = call(114, "name:s flags:u", "xml:s", "node_device:read")
    NODE_DEVICE_GET_PARENT = call(115, "name:s", "parentName:s?", "node_device:read", HIGH)
    NODE_DEVICE_NUM_OF_CAPS = call(116, "name:s", "num:i", "node_device:read", HIGH)
    NODE_DEVICE_LIST_CAPS = call(117, "name:s maxnames:i(65536)", "names:s<65536>", "node_device:read", HIGH)
    NODE_DEVICE_DETTACH = call(118, "name:s", "", "node_device:detach")
    NODE_DEVICE_RE_ATTACH = call(119, "name:s", "", "node_device:detach")
    CONNECT_LIST_ALL_NODE_DEVICES = call(
        285, "need_results:i flags:u", "devices:ndev<65536> ret:u", "connect:search_node_devices", HIGH
    )
    CONNECT_NODE_DEVICE_EVENT_REGISTER_ANY = call(
        374, "eventID:i dev:ndev?", "callbackID:i", "connect:search_node_devices", HIGH
    )
    CONNECT_NODE_DEVICE_EVENT_DEREGISTER_ANY = call(375, "callbackID:i", "", "connect:read", HIGH)
    NODE_DEVICE_EVENT_LIFECYCLE = event(376, "callbackID:i dev:ndev event:i detail:i")
    NODE_DEVICE_EVENT_UPDATE = event(377, "callbackID:i dev:ndev")
    NODE_DEVICE_IS_ACTIVE = call(436, "name:s", "active:i", "node_device:read", HIGH)

    # secrets
    CONNECT_NUM_OF_SECRETS = call(139, "", "num:i", "connect:search_secrets", HIGH)
    CONNECT_LIST_SECRETS = call(140, "maxuuids:i(16384)", "uuids:s<>", "connect:search_secrets", HIGH)
    SECRET_LOOKUP_BY_UUID = call(141, "uuid:uuid", "secret:secret", "secret:getattr", HIGH)
    SECRET_DEFINE_XML = call(142, "xml:s flags:u", "secret:secret", "secret:write secret:save", HIGH)
    SECRET_GET_XML_DESC = call(143, "secret:secret flags:u", "xml:s", "secret:read", HIGH)
    SECRET_SET_VALUE = call(144, "secret:secret value:opaque<65536> flags:u", "", "secret:write", HIGH)
    SECRET_GET_VALUE = call(145, "secret:secret flags:u", "value:opaque<65536>", "secret:read_secure", HIGH)
    SECRET_UNDEFINE = call(146, "secret:secret", "", "secret:delete", HIGH)
    SECRET_LOOKUP_BY_USAGE = call(147, "usageType:i usageID:s", "secret:secret", "secret:getattr", HIGH)
    CONNECT_SECRET_EVENT_REGISTER_ANY = call(
        380, "eventID:i secret:secret?", "callbackID:i", "connect:search_secrets", HIGH
    )
    CONNECT_SECRET_EVENT_DEREGISTER_ANY = call(381, "callbackID:i", "", "connect:read", HIGH)
    SECRET_EVENT_LIFECYCLE = event(382, "callbackID:i secret:secret event:i detail:i")
    SECRET_EVENT_VALUE_CHANGED = event(383, "callbackID:i secret:secret")
    CONNECT_LIST_ALL_SECRETS = call(
        287, "need_results:i flags:u", "secrets:secret<> ret:u", "connect:search_secrets", HIGH
    )

    # network filters
    NWFILTER_LOOKUP_BY_NAME = call(175, "name:s", "nwfilter:nwf", "nwfilter:getattr", HIGH)
    NWFILTER_LOOKUP_BY_UUID = call(176, "uuid:uuid", "nwfilter:nwf", "nwfilter:getattr", HIGH)
    NWFILTER_GET_XML_DESC = call(177, "nwfilter:nwf flags:u", "xml:s", "nwfilter:read", HIGH)
    CONNECT_NUM_OF_NWFILTERS = call(178, "", "num:i", "connect:search_nwfilters", HIGH)
    CONNECT_LIST_NWFILTERS = call(179, "maxnames:i(16384)", "names:s<>", "connect:search_nwfilters", HIGH)
    NWFILTER_DEFINE_XML = call(180, "xml:s", "nwfilter:nwf", "nwfilter:write nwfilter:save", HIGH)
    NWFILTER_UNDEFINE = call(181, "nwfilter:nwf", "", "nwfilter:delete", HIGH)
    NWFILTER_DEFINE_XML_FLAGS = call(431, "xml:s flags:u", "nwfilter:nwf", "nwfilter:write nwfilter:save", HIGH)
    NWFILTER_BINDING_LOOKUP_BY_PORT_DEV = call(397, "name:s", "nwfilter:nwfb", "nwfilter_binding:getattr", HIGH)
    NWFILTER_BINDING_GET_XML_DESC = call(398, "nwfilter:nwfb flags:u", "xml:s", "nwfilter_binding:read", HIGH)
    CONNECT_LIST_ALL_NWFILTERS = call(
        286, "need_results:i flags:u", "filters:nwf<> ret:u", "connect:search_nwfilters", HIGH
    )
    CONNECT_LIST_ALL_NWFILTER_BINDINGS = call(
        401, "need_results:i flags:u", "bindings:nwfb<> ret:u", "connect:search_nwfilter_bindings", HIGH
    )

    # host interfaces
    CONNECT_NUM_OF_INTERFACES = call(126, "", "num:i", "connect:search_interfaces", HIGH)
    CONNECT_LIST_INTERFACES = call(127, "maxnames:i(16384)", "names:s<>", "connect:search_interfaces", HIGH)
    CONNECT_NUM_OF_DEFINED_INTERFACES = call(137, "", "num:i", "connect:search_interfaces", HIGH)
    CONNECT_LIST_DEFINED_INTERFACES = call(138, "maxnames:i(16384)", "names:s<>", "connect:search_interfaces", HIGH)
    INTERFACE_LOOKUP_BY_MAC_STRING = call(
        129, "mac:s", "iface:iface", "interface:getattr", HIGH, api="virInterfaceLookupByMACString"
    )
    INTERFACE_LOOKUP_BY_NAME = call(128, "name:s", "iface:iface", "interface:getattr", HIGH)
    INTERFACE_GET_XML_DESC = call(130, "iface:iface flags:u", "xml:s", "interface:read")
    INTERFACE_IS_ACTIVE = call(156, "iface:iface", "active:i", "interface:read", HIGH)
    CONNECT_LIST_ALL_INTERFACES = call(
        284, "need_results:i flags:u", "ifaces:iface<> ret:u", "connect:search_interfaces", HIGH
    )
