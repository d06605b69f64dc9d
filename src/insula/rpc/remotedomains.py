"""The REMOTE program: domains, their snapshots and events."""

from insula.rpc.frames import RpcProgram
from insula.rpc.permissions import CHANGE
from insula.rpc.procedure import BOTH, HIGH, TO_SERVER, ProcedureTable, call, event


class DomainRows(ProcedureTable):
    """What there is to do with domains."""

    program = RpcProgram.REMOTE

    # domains
    DOMAIN_ATTACH_DEVICE = call(8, "dom:dom xml:s", "", "domain:write")
    DOMAIN_CREATE = call(9, "dom:dom", "", "domain:start")
    DOMAIN_CREATE_XML = call(10, "xml_desc:s flags:u", "dom:dom", "domain:write domain:start")
    DOMAIN_DEFINE_XML = call(11, "xml:s", "dom:dom", "domain:write domain:save", HIGH)
    DOMAIN_DESTROY = call(12, "dom:dom", "", "domain:stop", HIGH)
    DOMAIN_DETACH_DEVICE = call(13, "dom:dom xml:s", "", "domain:write")
    DOMAIN_GET_XML_DESC = call(14, "dom:dom flags:u", "xml:s", "domain:read domain:read_secure?flags&0x9")
    DOMAIN_GET_AUTOSTART = call(15, "dom:dom", "autostart:i", "domain:read", HIGH)
    DOMAIN_GET_INFO = call(16, "dom:dom", "state:c4 maxMem:Q memory:Q nrVirtCpu:u4 cpuTime:Q", "domain:read")
    DOMAIN_GET_MAX_MEMORY = call(17, "dom:dom", "memory:Q", "domain:read", HIGH)
    DOMAIN_GET_MAX_VCPUS = call(18, "dom:dom", "num:i", "domain:read", HIGH)
    DOMAIN_GET_OS_TYPE = call(19, "dom:dom", "type:s", "domain:read", HIGH)
    DOMAIN_GET_VCPUS = call(
        20,
        "dom:dom maxinfo:i(16384) maplen:i(8388608) maxinfo*maplen:8388608",
        "info:{number:u, state:i, cpu_time:Q, cpu:i}<> cpumaps:opaque<8388608>",
        "domain:read",
        HIGH,
    )
    CONNECT_LIST_DEFINED_DOMAINS = call(21, "maxnames:i(16384)", "names:s<>", "connect:search_domains", HIGH)
    DOMAIN_LOOKUP_BY_ID = call(22, "id:i", "dom:dom", "domain:getattr", HIGH)
    DOMAIN_LOOKUP_BY_NAME = call(23, "name:s", "dom:dom", "domain:getattr", HIGH)
    DOMAIN_LOOKUP_BY_UUID = call(24, "uuid:uuid", "dom:dom", "domain:getattr", HIGH)
    CONNECT_NUM_OF_DEFINED_DOMAINS = call(25, "", "num:i", "connect:search_domains", HIGH)
    DOMAIN_PIN_VCPU = call(26, "dom:dom vcpu:u cpumap:opaque<2048>", "", "domain:write")
    DOMAIN_REBOOT = call(27, "dom:dom flags:u", "", "domain:init_control domain:write?flags&0x2")
    DOMAIN_RESUME = call(28, "dom:dom", "", "domain:suspend")
    DOMAIN_SET_AUTOSTART = call(29, "dom:dom autostart:i", "", "domain:write", HIGH)
    DOMAIN_SET_MAX_MEMORY = call(30, "dom:dom memory:Q", "", "domain:write", HIGH)
    DOMAIN_SET_MEMORY = call(31, "dom:dom memory:Q", "", "domain:write")
    DOMAIN_SET_VCPUS = call(32, "dom:dom nvcpus:u", "", "domain:write")
    DOMAIN_SHUTDOWN = call(33, "dom:dom", "", "domain:init_control")
    DOMAIN_SUSPEND = call(34, "dom:dom", "", "domain:suspend")
    DOMAIN_UNDEFINE = call(35, "dom:dom", "", "domain:delete", HIGH)
    CONNECT_LIST_DOMAINS = call(37, "maxids:i(16384)", "ids:i<>", "connect:search_domains", HIGH)
    CONNECT_NUM_OF_DOMAINS = call(51, "", "num:i", "connect:search_domains", HIGH)
    DOMAIN_GET_SCHEDULER_TYPE = call(56, "dom:dom", "type:s nparams:i", "domain:read")
    DOMAIN_GET_SCHEDULER_PARAMETERS = call(57, "dom:dom nparams:i(16)", "params:P<16>", "domain:read")
    DOMAIN_SET_SCHEDULER_PARAMETERS = call(58, "dom:dom params:P<16>", "", "domain:write")
    DOMAIN_BLOCK_STATS = call(64, "dom:dom path:s", "rd_req:q rd_bytes:q wr_req:q wr_bytes:q errs:q", "domain:read")
    DOMAIN_INTERFACE_STATS = call(
        65,
        "dom:dom device:s",
        "rx_bytes:q rx_packets:q rx_errs:q rx_drop:q tx_bytes:q tx_packets:q tx_errs:q tx_drop:q",
        "domain:read",
        HIGH,
    )
    DOMAIN_GET_SECURITY_LABEL = call(121, "dom:dom", "label:c4<4097> enforcing:i", "domain:read", HIGH)
    CONNECT_DOMAIN_XML_FROM_NATIVE = call(135, "nativeFormat:s nativeConfig:s flags:u", "domainXml:s", "connect:write")
    CONNECT_DOMAIN_XML_TO_NATIVE = call(136, "nativeFormat:s domainXml:s flags:u", "nativeConfig:s", "connect:write")
    DOMAIN_IS_ACTIVE = call(150, "dom:dom", "active:i", "domain:read", HIGH)
    DOMAIN_IS_PERSISTENT = call(151, "dom:dom", "persistent:i", "domain:read", HIGH)
    DOMAIN_MEMORY_STATS = call(159, "dom:dom maxStats:u(1024) flags:u", "stats:{tag:i, val:Q}<1024>", "domain:read")
    DOMAIN_ATTACH_DEVICE_FLAGS = call(160, "dom:dom xml:s flags:u", "", CHANGE)
    DOMAIN_DETACH_DEVICE_FLAGS = call(161, "dom:dom xml:s flags:u", "", CHANGE)
    DOMAIN_UPDATE_DEVICE_FLAGS = call(174, "dom:dom xml:s flags:u", "", CHANGE)
    DOMAIN_GET_BLOCK_INFO = call(194, "dom:dom path:s flags:u", "allocation:Q capacity:Q physical:Q", "domain:read")
    DOMAIN_CREATE_WITH_FLAGS = call(196, "dom:dom flags:u", "dom:dom", "domain:start")
    DOMAIN_SET_MEMORY_PARAMETERS = call(197, "dom:dom params:P<16> flags:u", "", CHANGE)
    DOMAIN_GET_MEMORY_PARAMETERS = call(198, "dom:dom nparams:i(16) flags:u", "params:P<16> nparams:i", "domain:read")
    DOMAIN_SET_VCPUS_FLAGS = call(199, "dom:dom nvcpus:u flags:u", "", CHANGE)
    DOMAIN_GET_VCPUS_FLAGS = call(200, "dom:dom flags:u", "num:i", "domain:read domain:write?flags&0x8")
    DOMAIN_OPEN_CONSOLE = call(201, "dom:dom dev_name:s? flags:u", "", "domain:open_device", stream=BOTH)
    DOMAIN_IS_UPDATED = call(202, "dom:dom", "updated:i", "domain:read", HIGH)
    DOMAIN_SET_MEMORY_FLAGS = call(204, "dom:dom memory:Q flags:u", "", CHANGE)
    DOMAIN_SET_BLKIO_PARAMETERS = call(205, "dom:dom params:P<16> flags:u", "", CHANGE)
    DOMAIN_GET_BLKIO_PARAMETERS = call(206, "dom:dom nparams:i(16) flags:u", "params:P<16> nparams:i", "domain:read")
    DOMAIN_GET_STATE = call(212, "dom:dom flags:u", "state:i reason:i", "domain:read", HIGH)
    DOMAIN_SET_SCHEDULER_PARAMETERS_FLAGS = call(219, "dom:dom params:P<16> flags:u", "", CHANGE)
    DOMAIN_GET_SCHEDULER_PARAMETERS_FLAGS = call(223, "dom:dom nparams:i(16) flags:u", "params:P<16>", "domain:read")
    DOMAIN_PIN_VCPU_FLAGS = call(225, "dom:dom vcpu:u cpumap:opaque<2048> flags:u", "", CHANGE)
    DOMAIN_GET_CONTROL_INFO = call(229, "dom:dom flags:u", "state:u details:u stateTime:Q", "domain:read", HIGH)
    DOMAIN_GET_VCPU_PIN_INFO = call(
        230,
        "dom:dom ncpumaps:i(16384) maplen:i(8388608) flags:u ncpumaps*maplen:8388608",
        "cpumaps:opaque<8388608> num:i",
        "domain:read",
    )
    DOMAIN_UNDEFINE_FLAGS = call(231, "dom:dom flags:u", "", "domain:delete", HIGH)
    DOMAIN_DESTROY_FLAGS = call(234, "dom:dom flags:u", "", "domain:stop", HIGH)
    DOMAIN_BLOCK_STATS_FLAGS = call(
        243, "dom:dom path:s nparams:i(16) flags:u", "params:P<16> nparams:i", "domain:read"
    )
    DOMAIN_RESET = call(245, "dom:dom flags:u", "", "domain:reset")
    DOMAIN_BLOCK_RESIZE = call(251, "dom:dom disk:s size:Q flags:u", "", "domain:block_write")
    DOMAIN_SET_BLOCK_IO_TUNE = call(252, "dom:dom disk:s params:P<32> flags:u", "", CHANGE)
    DOMAIN_GET_BLOCK_IO_TUNE = call(
        253, "dom:dom disk:s? nparams:i(32) flags:u", "params:P<32> nparams:i", "domain:read"
    )
    DOMAIN_SET_NUMA_PARAMETERS = call(254, "dom:dom params:P<16> flags:u", "", CHANGE)
    DOMAIN_GET_NUMA_PARAMETERS = call(255, "dom:dom nparams:i(16) flags:u", "params:P<16> nparams:i", "domain:read")
    DOMAIN_SET_INTERFACE_PARAMETERS = call(256, "dom:dom device:s params:P<16> flags:u", "", CHANGE)
    DOMAIN_GET_INTERFACE_PARAMETERS = call(
        257, "dom:dom device:s nparams:i(16) flags:u", "params:P<16> nparams:i", "domain:read"
    )
    DOMAIN_SHUTDOWN_FLAGS = call(258, "dom:dom flags:u", "", "domain:init_control domain:write?flags&0x2")
    DOMAIN_GET_CPU_STATS = call(
        262, "dom:dom nparams:u(16) start_cpu:i ncpus:u(128) flags:u", "params:P<2048> nparams:i", "domain:read"
    )
    DOMAIN_GET_DISK_ERRORS = call(
        263, "dom:dom maxerrors:u(256) flags:u", "errors:{disk:s, error:i}<256> nerrors:i", "domain:read"
    )
    DOMAIN_SET_METADATA = call(264, "dom:dom type:i metadata:s? key:s? uri:s? flags:u", "", CHANGE)
    DOMAIN_GET_METADATA = call(265, "dom:dom type:i uri:s? flags:u", "metadata:s", "domain:read")
    CONNECT_LIST_ALL_DOMAINS = call(
        273, "need_results:i flags:u", "domains:dom<> ret:u", "connect:search_domains", HIGH
    )
    DOMAIN_GET_HOSTNAME = call(277, "dom:dom flags:u", "hostname:s", "domain:write")
    DOMAIN_GET_SECURITY_LABEL_LIST = call(
        278, "dom:dom", "labels:{label:c4<4097>, enforcing:i}<64> ret:i", "domain:read", HIGH
    )
    DOMAIN_PIN_EMULATOR = call(279, "dom:dom cpumap:opaque<2048> flags:u", "", CHANGE)
    DOMAIN_GET_EMULATOR_PIN_INFO = call(
        280, "dom:dom maplen:i(8388608) flags:u", "cpumaps:opaque<8388608> ret:i", "domain:read"
    )
    DOMAIN_FSTRIM = call(294, "dom:dom mountPoint:s? minimum:Q flags:u", "", "domain:fs_trim")
    DOMAIN_SEND_PROCESS_SIGNAL = call(295, "dom:dom pid_value:q signum:u flags:u", "", "domain:send_signal")
    DOMAIN_OPEN_CHANNEL = call(296, "dom:dom name:s? flags:u", "", "domain:open_device", stream=BOTH)
    DOMAIN_CREATE_XML_WITH_FILES = call(
        309, "xml_desc:s flags:u", "dom:dom", "domain:write domain:start", fds=TO_SERVER
    )
    DOMAIN_CREATE_WITH_FILES = call(310, "dom:dom flags:u", "dom:dom", "domain:start", fds=TO_SERVER)
    DOMAIN_FSFREEZE = call(335, "dom:dom mountpoints:s<256> flags:u", "filesystems:i", "domain:fs_freeze")
    DOMAIN_FSTHAW = call(336, "dom:dom mountpoints:s<256> flags:u", "filesystems:i", "domain:fs_freeze")
    DOMAIN_GET_TIME = call(337, "dom:dom flags:u", "seconds:q nseconds:u", "domain:write")
    DOMAIN_SET_TIME = call(338, "dom:dom seconds:q nseconds:u flags:u", "", "domain:set_time")
    CONNECT_GET_ALL_DOMAIN_STATS = call(
        344, "doms:dom<> stats:u flags:u", "retStats:{dom:dom, params:P<262144>}<>", "connect:search_domains"
    )
    DOMAIN_GET_FSINFO = call(
        349,
        "dom:dom flags:u",
        "info:{mountpoint:s, name:s, fstype:s, dev_aliases:s<256>}<256> ret:u",
        "domain:fs_freeze",
    )
    DOMAIN_DEFINE_XML_FLAGS = call(350, "xml:s flags:u", "dom:dom", "domain:write domain:save", HIGH)
    DOMAIN_INTERFACE_ADDRESSES = call(
        353,
        "dom:dom source:u flags:u",
        "ifaces:{name:s, hwaddr:s?, addrs:{type:i, addr:s, prefix:u}<2048>}<2048>",
        "domain:read domain:write?source&0x1",
    )
    DOMAIN_SET_USER_PASSWORD = call(357, "dom:dom user:s? password:s? flags:u", "", "domain:set_password")
    DOMAIN_RENAME = call(358, "dom:dom new_name:s? flags:u", "retcode:i", "domain:write domain:save")
    DOMAIN_GET_PERF_EVENTS = call(365, "dom:dom flags:u", "params:P<64>", "domain:read")
    DOMAIN_GET_GUEST_VCPUS = call(371, "dom:dom flags:u", "params:P<64>", "domain:write")
    DOMAIN_SET_GUEST_VCPUS = call(372, "dom:dom cpumap:s state:i flags:u", "", "domain:write")
    DOMAIN_SET_VCPU = call(384, "dom:dom cpumap:s state:i flags:u", "", CHANGE)
    DOMAIN_SET_LIFECYCLE_ACTION = call(390, "dom:dom type:u action:u flags:u", "", "domain:write")
    DOMAIN_DETACH_DEVICE_ALIAS = call(392, "dom:dom alias:s flags:u", "", CHANGE)
    DOMAIN_GET_GUEST_INFO = call(418, "dom:dom types:u flags:u", "params:P<2048>", "domain:write")
    DOMAIN_AUTHORIZED_SSH_KEYS_GET = call(424, "dom:dom user:s flags:u", "keys:s<2048>", "domain:write")
    DOMAIN_AUTHORIZED_SSH_KEYS_SET = call(425, "dom:dom user:s keys:s<2048> flags:u", "", "domain:write")
    DOMAIN_GET_MESSAGES = call(426, "dom:dom flags:u", "msgs:s<2048>", "domain:read")
    DOMAIN_FD_ASSOCIATE = call(443, "dom:dom name:s flags:u", "", "domain:write", fds=TO_SERVER)
    DOMAIN_GET_AUTOSTART_ONCE = call(449, "dom:dom", "autostart:i", "domain:read", HIGH)
    DOMAIN_SET_AUTOSTART_ONCE = call(450, "dom:dom autostart:i", "", "domain:write", HIGH)

    # save, migration, jobs
    DOMAIN_RESTORE = call(54, "from_:s", "", "domain:start domain:write")
    DOMAIN_SAVE = call(55, "dom:dom to:s", "", "domain:hibernate")
    DOMAIN_GET_JOB_INFO = call(
        163,
        "dom:dom",
        "type:i timeElapsed:Q timeRemaining:Q dataTotal:Q dataProcessed:Q dataRemaining:Q"
        " memTotal:Q memProcessed:Q memRemaining:Q fileTotal:Q fileProcessed:Q fileRemaining:Q",
        "domain:read",
    )
    DOMAIN_ABORT_JOB = call(164, "dom:dom", "", "domain:write")
    DOMAIN_MIGRATE_SET_MAX_DOWNTIME = call(166, "dom:dom downtime:Q flags:u", "", "domain:migrate")
    DOMAIN_MANAGED_SAVE = call(182, "dom:dom flags:u", "", "domain:hibernate")
    DOMAIN_HAS_MANAGED_SAVE_IMAGE = call(183, "dom:dom flags:u", "result:i", "domain:read")
    DOMAIN_MANAGED_SAVE_REMOVE = call(184, "dom:dom flags:u", "", "domain:hibernate")
    DOMAIN_MIGRATE_SET_MAX_SPEED = call(207, "dom:dom bandwidth:Q flags:u", "", "domain:migrate")
    DOMAIN_MIGRATE_PERFORM3 = call(
        216,
        "dom:dom xmlin:s? cookie_in:opaque<4194304> dconnuri:s? uri:s? flags:Q dname:s? resource:Q",
        "cookie_out:opaque<4194304>",
        "domain:migrate",
    )
    DOMAIN_SAVE_FLAGS = call(232, "dom:dom to:s dxml:s? flags:u", "", "domain:hibernate")
    DOMAIN_RESTORE_FLAGS = call(233, "from_:s dxml:s? flags:u", "", "domain:start domain:write")
    DOMAIN_SAVE_IMAGE_GET_XML_DESC = call(235, "file:s flags:u", "xml:s", "domain:write", HIGH)
    DOMAIN_SAVE_IMAGE_DEFINE_XML = call(236, "file:s dxml:s flags:u", "", "domain:write domain:hibernate", HIGH)
    DOMAIN_MIGRATE_GET_MAX_SPEED = call(242, "dom:dom flags:u", "bandwidth:Q", "domain:migrate")
    DOMAIN_GET_JOB_STATS = call(298, "dom:dom flags:u", "type:i params:P<64>", "domain:read")
    DOMAIN_MIGRATE_BEGIN3_PARAMS = call(
        302, "dom:dom params:P<64> flags:u", "cookie_out:opaque<4194304> xml:s", "domain:migrate"
    )
    DOMAIN_MIGRATE_PREPARE3_PARAMS = call(
        303,
        "params:P<64> cookie_in:opaque<4194304> flags:u",
        "cookie_out:opaque<4194304> uri_out:s?",
        "domain:migrate domain:start domain:write",
    )
    DOMAIN_MIGRATE_PREPARE_TUNNEL3_PARAMS = call(
        304,
        "params:P<64> cookie_in:opaque<4194304> flags:u",
        "cookie_out:opaque<4194304>",
        "domain:migrate domain:start domain:write",
        stream=TO_SERVER,
    )
    DOMAIN_MIGRATE_PERFORM3_PARAMS = call(
        305,
        "dom:dom dconnuri:s? params:P<64> cookie_in:opaque<4194304> flags:u",
        "cookie_out:opaque<4194304>",
        "domain:migrate",
    )
    DOMAIN_MIGRATE_FINISH3_PARAMS = call(
        306,
        "params:P<64> cookie_in:opaque<4194304> flags:u cancelled:i",
        "dom:dom cookie_out:opaque<4194304>",
        "domain:migrate",
    )
    DOMAIN_MIGRATE_CONFIRM3_PARAMS = call(
        307, "dom:dom params:P<64> cookie_in:opaque<4194304> flags:u cancelled:i", "", "domain:migrate"
    )
    DOMAIN_CORE_DUMP = call(53, "dom:dom to:s flags:u", "", "domain:core_dump")
    DOMAIN_CORE_DUMP_WITH_FORMAT = call(334, "dom:dom to:s dumpformat:u flags:u", "", "domain:core_dump")
    DOMAIN_MIGRATE_GET_MAX_DOWNTIME = call(387, "dom:dom flags:u", "downtime:Q", "domain:migrate")
    DOMAIN_MANAGED_SAVE_GET_XML_DESC = call(388, "dom:dom flags:u", "xml:s", "domain:read domain:read_secure?flags&0x1")
    DOMAIN_MANAGED_SAVE_DEFINE_XML = call(389, "dom:dom dxml:s? flags:u", "", "domain:write domain:hibernate")
    DOMAIN_SAVE_PARAMS = call(440, "dom:dom params:P<64> flags:u", "", "domain:hibernate")
    DOMAIN_RESTORE_PARAMS = call(441, "params:P<64> flags:u", "", "domain:start domain:write")
    DOMAIN_ABORT_JOB_FLAGS = call(442, "dom:dom flags:u", "", "domain:write")

    # snapshots, checkpoints, backups
    DOMAIN_SNAPSHOT_CREATE_XML = call(
        185, "dom:dom xml_desc:s flags:u", "snap:snap", "domain:snapshot domain:fs_freeze?flags&0x40"
    )
    DOMAIN_SNAPSHOT_GET_XML_DESC = call(
        186, "snap:snap flags:u", "xml:s", "domain:read domain:read_secure?flags&0x1", HIGH
    )
    DOMAIN_SNAPSHOT_NUM = call(187, "dom:dom flags:u", "num:i", "domain:read", HIGH)
    DOMAIN_SNAPSHOT_LIST_NAMES = call(188, "dom:dom maxnames:i(16384) flags:u", "names:s<>", "domain:read", HIGH)
    DOMAIN_SNAPSHOT_LOOKUP_BY_NAME = call(189, "dom:dom name:s flags:u", "snap:snap", "domain:read", HIGH)
    DOMAIN_HAS_CURRENT_SNAPSHOT = call(190, "dom:dom flags:u", "result:i", "domain:read")
    DOMAIN_SNAPSHOT_CURRENT = call(191, "dom:dom flags:u", "snap:snap", "domain:read")
    DOMAIN_REVERT_TO_SNAPSHOT = call(192, "snap:snap flags:u", "", "domain:snapshot")
    DOMAIN_SNAPSHOT_DELETE = call(193, "snap:snap flags:u", "", "domain:snapshot")
    DOMAIN_SNAPSHOT_GET_PARENT = call(244, "snap:snap flags:u", "snap:snap", "domain:read", HIGH)
    DOMAIN_SNAPSHOT_NUM_CHILDREN = call(246, "snap:snap flags:u", "num:i", "domain:read", HIGH)
    DOMAIN_SNAPSHOT_IS_CURRENT = call(271, "snap:snap flags:u", "current:i", "domain:read")
    DOMAIN_SNAPSHOT_HAS_METADATA = call(272, "snap:snap flags:u", "metadata:i", "domain:read")
    DOMAIN_SET_MEMORY_STATS_PERIOD = call(308, "dom:dom period:i flags:u", "", CHANGE)
    DOMAIN_LIST_ALL_SNAPSHOTS = call(
        274, "dom:dom need_results:i flags:u", "snapshots:snap<> ret:i", "domain:read", HIGH
    )
    DOMAIN_SNAPSHOT_LIST_ALL_CHILDREN = call(
        275, "snapshot:snap need_results:i flags:u", "snapshots:snap<> ret:i", "domain:read", HIGH
    )
    DOMAIN_CHECKPOINT_CREATE_XML = call(
        411, "dom:dom xml_desc:s flags:u", "checkpoint:ckpt", "domain:checkpoint domain:fs_freeze?flags&0x2"
    )
    DOMAIN_LIST_ALL_CHECKPOINTS = call(
        413, "dom:dom need_results:i flags:u", "checkpoints:ckpt<> ret:i", "domain:read", HIGH
    )
    DOMAIN_BACKUP_BEGIN = call(
        421, "dom:dom backup_xml:s checkpoint_xml:s? flags:u", "", "domain:checkpoint domain:block_write"
    )

    # domain events
    CONNECT_DOMAIN_EVENT_REGISTER = call(105, "", "cb_registered:i", "connect:search_domains", HIGH)
    CONNECT_DOMAIN_EVENT_DEREGISTER = call(106, "", "cb_registered:i", "connect:read", HIGH)
    DOMAIN_EVENT_LIFECYCLE = event(107, "dom:dom event:i detail:i")
    DOMAIN_EVENT_REBOOT = event(169, "dom:dom")
    DOMAIN_EVENT_WATCHDOG = event(171, "dom:dom action:i")
    DOMAIN_EVENT_BALLOON_CHANGE = event(276, "dom:dom actual:Q")
    DOMAIN_EVENT_DEVICE_REMOVED = event(311, "dom:dom devAlias:s")
    CONNECT_DOMAIN_EVENT_REGISTER_ANY = call(167, "eventID:i", "", "connect:search_domains", HIGH)
    CONNECT_DOMAIN_EVENT_DEREGISTER_ANY = call(168, "eventID:i", "", "connect:read", HIGH)
    CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY = call(
        316,
        "eventID:i dom:dom?",
        "callbackID:i",
        "connect:search_domains",
        HIGH,
        api="virConnectDomainEventRegisterAny",
    )
    CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY = call(
        317, "callbackID:i", "", "connect:read", HIGH, api="virConnectDomainEventDeregisterAny"
    )
    DOMAIN_EVENT_CALLBACK_LIFECYCLE = event(318, "callbackID:i msg:{dom:dom, event:i, detail:i}")
    DOMAIN_EVENT_CALLBACK_REBOOT = event(319, "callbackID:i msg:{dom:dom}")
    DOMAIN_EVENT_CALLBACK_WATCHDOG = event(321, "callbackID:i msg:{dom:dom, action:i}")
    DOMAIN_EVENT_CALLBACK_BALLOON_CHANGE = event(331, "callbackID:i msg:{dom:dom, actual:Q}")
    DOMAIN_EVENT_CALLBACK_DEVICE_REMOVED = event(333, "callbackID:i msg:{dom:dom, devAlias:s}")
    DOMAIN_EVENT_CALLBACK_TUNABLE = event(346, "callbackID:i dom:dom params:P<2048>")
    DOMAIN_EVENT_CALLBACK_AGENT_LIFECYCLE = event(348, "callbackID:i dom:dom state:i reason:i")
    DOMAIN_EVENT_CALLBACK_DEVICE_ADDED = event(354, "callbackID:i dom:dom devAlias:s")
    DOMAIN_EVENT_CALLBACK_MIGRATION_ITERATION = event(359, "callbackID:i dom:dom iteration:i")
    CONNECT_EVENT_CONNECTION_CLOSED = event(362, "reason:i")
    DOMAIN_EVENT_CALLBACK_JOB_COMPLETED = event(363, "callbackID:i dom:dom params:P<64>")
    DOMAIN_EVENT_CALLBACK_DEVICE_REMOVAL_FAILED = event(367, "callbackID:i dom:dom devAlias:s")
    DOMAIN_EVENT_MEMORY_FAILURE = event(423, "callbackID:i dom:dom recipient:i action:i flags:u")
    DOMAIN_EVENT_VCPU_REMOVED = event(454, "callbackID:i dom:dom vcpuid:u")
    DOMAIN_EVENT_CALLBACK_METADATA_CHANGE = event(379, "callbackID:i dom:dom type:i nsuri:s?")
