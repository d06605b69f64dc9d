"""The REMOTE program: every libvirt procedure that means something for a container, one line each.

Numbers, layouts, limits, priorities and streams are libvirt's remote_protocol.x (9.0.0, and 11.3.0 for what came
later); access is what libvirt's public API functions check on a read-only connection.
"""

from insula.rpc.frames import Program
from insula.rpc.procedure import BOTH, HIGH, READ, TO_CLIENT, TO_SERVER, WRITE, Table, call, event


class Remote(Table):
    """libvirt's own procedures."""

    program = Program.REMOTE

    # authentication
    AUTH_LIST = call(66, "", "types:i<20>", READ, HIGH)
    AUTH_SASL_INIT = call(67, "", "mechlist:s", READ, HIGH)
    AUTH_SASL_START = call(68, "mech:s nil:i data:c4<65536>", "complete:i nil:i data:c4<65536>", READ, HIGH)
    AUTH_SASL_STEP = call(69, "nil:i data:c4<65536>", "complete:i nil:i data:c4<65536>", READ, HIGH)
    AUTH_POLKIT = call(70, "", "complete:i", READ, HIGH)

    # connection and host
    CONNECT_OPEN = call(1, "name:s? flags:u", "", READ, HIGH)
    CONNECT_CLOSE = call(2, "", "", READ, HIGH)
    CONNECT_GET_TYPE = call(3, "", "type:s", READ, HIGH)
    CONNECT_GET_VERSION = call(4, "", "hv_ver:Q", READ, HIGH)
    CONNECT_GET_MAX_VCPUS = call(5, "type:s?", "max_vcpus:i", READ, HIGH)
    NODE_GET_INFO = call(6, "", "model:c4[32] memory:Q cpus:i mhz:i nodes:i sockets:i cores:i threads:i", READ, HIGH)
    CONNECT_GET_CAPABILITIES = call(7, "", "capabilities:s", READ)
    CONNECT_GET_HOSTNAME = call(59, "", "hostname:s", READ, HIGH)
    CONNECT_SUPPORTS_FEATURE = call(60, "feature:i", "supported:i", READ, HIGH)
    NODE_GET_CELLS_FREE_MEMORY = call(101, "startCell:i maxcells:i(1024)", "cells:Q<1024>", READ, HIGH)
    NODE_GET_FREE_MEMORY = call(102, "", "freeMem:Q", READ, HIGH)
    CONNECT_GET_URI = call(110, "", "uri:s", READ, HIGH)
    NODE_GET_SECURITY_MODEL = call(122, "", "model:c4<257> doi:c4<257>", READ, HIGH)
    CONNECT_IS_SECURE = call(149, "", "secure:i", READ, HIGH)
    CONNECT_GET_LIB_VERSION = call(157, "", "lib_ver:Q", READ, HIGH)
    CONNECT_COMPARE_CPU = call(158, "xml:s flags:u", "result:i", READ, HIGH)
    CONNECT_GET_SYSINFO = call(203, "flags:u", "sysinfo:s", READ, HIGH)
    NODE_GET_CPU_STATS = call(
        227, "cpuNum:i nparams:i(16) flags:u", "params:{field:s, value:Q}<16> nparams:i", READ, HIGH
    )
    NODE_GET_MEMORY_STATS = call(
        228, "nparams:i(16) cellNum:i flags:u", "params:{field:s, value:Q}<16> nparams:i", READ, HIGH
    )
    NODE_SUSPEND_FOR_DURATION = call(250, "target:u duration:Q flags:u", "", WRITE)
    NODE_SET_MEMORY_PARAMETERS = call(288, "params:P<64> flags:u", "", WRITE)
    NODE_GET_MEMORY_PARAMETERS = call(289, "nparams:i(64) flags:u", "params:P<64> nparams:i", READ)
    NODE_GET_CPU_MAP = call(293, "need_map:i need_online:i flags:u", "cpumap:opaque<2048> online:u ret:i", READ)
    CONNECT_GET_CPU_MODEL_NAMES = call(312, "arch:s need_results:i flags:u", "models:s<8192> ret:i", READ)
    NODE_GET_FREE_PAGES = call(
        340, "pages:u<1024> startCell:i cellCount:u(1024) flags:u pages*cellCount:1024", "counts:Q<1024>", READ, HIGH
    )
    CONNECT_GET_DOMAIN_CAPABILITIES = call(
        342, "emulatorbin:s? arch:s? machine:s? virttype:s? flags:u", "capabilities:s", WRITE
    )
    NODE_ALLOC_PAGES = call(
        347,
        "pageSizes:u<1024> pageCounts:Q<1024> startCell:i cellCount:u(1024) flags:u pageSizes*cellCount:1024",
        "ret:i",
        WRITE,
    )
    CONNECT_REGISTER_CLOSE_CALLBACK = call(360, "", "", READ, HIGH)
    CONNECT_UNREGISTER_CLOSE_CALLBACK = call(361, "", "", READ, HIGH)

    # domains
    DOMAIN_ATTACH_DEVICE = call(8, "dom:dom xml:s", "", WRITE)
    DOMAIN_CREATE = call(9, "dom:dom", "", WRITE)
    DOMAIN_CREATE_XML = call(10, "xml_desc:s flags:u", "dom:dom", WRITE)
    DOMAIN_DEFINE_XML = call(11, "xml:s", "dom:dom", WRITE, HIGH)
    DOMAIN_DESTROY = call(12, "dom:dom", "", WRITE, HIGH)
    DOMAIN_DETACH_DEVICE = call(13, "dom:dom xml:s", "", WRITE)
    DOMAIN_GET_XML_DESC = call(14, "dom:dom flags:u", "xml:s", READ, write_if=("flags", 0x9))
    DOMAIN_GET_AUTOSTART = call(15, "dom:dom", "autostart:i", READ, HIGH)
    DOMAIN_GET_INFO = call(16, "dom:dom", "state:c4 maxMem:Q memory:Q nrVirtCpu:u4 cpuTime:Q", READ)
    DOMAIN_GET_MAX_MEMORY = call(17, "dom:dom", "memory:Q", READ, HIGH)
    DOMAIN_GET_MAX_VCPUS = call(18, "dom:dom", "num:i", READ, HIGH)
    DOMAIN_GET_OS_TYPE = call(19, "dom:dom", "type:s", READ, HIGH)
    DOMAIN_GET_VCPUS = call(
        20,
        "dom:dom maxinfo:i(16384) maplen:i(8388608) maxinfo*maplen:8388608",
        "info:{number:u, state:i, cpu_time:Q, cpu:i}<> cpumaps:opaque<8388608>",
        READ,
        HIGH,
    )
    CONNECT_LIST_DEFINED_DOMAINS = call(21, "maxnames:i(16384)", "names:s<>", READ, HIGH)
    DOMAIN_LOOKUP_BY_ID = call(22, "id:i", "dom:dom", READ, HIGH)
    DOMAIN_LOOKUP_BY_NAME = call(23, "name:s", "dom:dom", READ, HIGH)
    DOMAIN_LOOKUP_BY_UUID = call(24, "uuid:uuid", "dom:dom", READ, HIGH)
    CONNECT_NUM_OF_DEFINED_DOMAINS = call(25, "", "num:i", READ, HIGH)
    DOMAIN_PIN_VCPU = call(26, "dom:dom vcpu:u cpumap:opaque<2048>", "", WRITE)
    DOMAIN_REBOOT = call(27, "dom:dom flags:u", "", WRITE)
    DOMAIN_RESUME = call(28, "dom:dom", "", WRITE)
    DOMAIN_SET_AUTOSTART = call(29, "dom:dom autostart:i", "", WRITE, HIGH)
    DOMAIN_SET_MAX_MEMORY = call(30, "dom:dom memory:Q", "", WRITE, HIGH)
    DOMAIN_SET_MEMORY = call(31, "dom:dom memory:Q", "", WRITE)
    DOMAIN_SET_VCPUS = call(32, "dom:dom nvcpus:u", "", WRITE)
    DOMAIN_SHUTDOWN = call(33, "dom:dom", "", WRITE)
    DOMAIN_SUSPEND = call(34, "dom:dom", "", WRITE)
    DOMAIN_UNDEFINE = call(35, "dom:dom", "", WRITE, HIGH)
    CONNECT_LIST_DOMAINS = call(37, "maxids:i(16384)", "ids:i<>", READ, HIGH)
    CONNECT_NUM_OF_DOMAINS = call(51, "", "num:i", READ, HIGH)
    DOMAIN_GET_SCHEDULER_TYPE = call(56, "dom:dom", "type:s nparams:i", READ)
    DOMAIN_GET_SCHEDULER_PARAMETERS = call(57, "dom:dom nparams:i(16)", "params:P<16>", READ)
    DOMAIN_SET_SCHEDULER_PARAMETERS = call(58, "dom:dom params:P<16>", "", WRITE)
    DOMAIN_BLOCK_STATS = call(64, "dom:dom path:s", "rd_req:q rd_bytes:q wr_req:q wr_bytes:q errs:q", READ)
    DOMAIN_INTERFACE_STATS = call(
        65,
        "dom:dom device:s",
        "rx_bytes:q rx_packets:q rx_errs:q rx_drop:q tx_bytes:q tx_packets:q tx_errs:q tx_drop:q",
        READ,
        HIGH,
    )
    DOMAIN_GET_SECURITY_LABEL = call(121, "dom:dom", "label:c4<4097> enforcing:i", READ, HIGH)
    CONNECT_DOMAIN_XML_FROM_NATIVE = call(135, "nativeFormat:s nativeConfig:s flags:u", "domainXml:s", WRITE)
    CONNECT_DOMAIN_XML_TO_NATIVE = call(136, "nativeFormat:s domainXml:s flags:u", "nativeConfig:s", WRITE)
    DOMAIN_IS_ACTIVE = call(150, "dom:dom", "active:i", READ, HIGH)
    DOMAIN_IS_PERSISTENT = call(151, "dom:dom", "persistent:i", READ, HIGH)
    DOMAIN_MEMORY_STATS = call(159, "dom:dom maxStats:u(1024) flags:u", "stats:{tag:i, val:Q}<1024>", READ)
    DOMAIN_ATTACH_DEVICE_FLAGS = call(160, "dom:dom xml:s flags:u", "", WRITE)
    DOMAIN_DETACH_DEVICE_FLAGS = call(161, "dom:dom xml:s flags:u", "", WRITE)
    DOMAIN_UPDATE_DEVICE_FLAGS = call(174, "dom:dom xml:s flags:u", "", WRITE)
    DOMAIN_GET_BLOCK_INFO = call(194, "dom:dom path:s flags:u", "allocation:Q capacity:Q physical:Q", READ)
    DOMAIN_CREATE_WITH_FLAGS = call(196, "dom:dom flags:u", "dom:dom", WRITE)
    DOMAIN_SET_MEMORY_PARAMETERS = call(197, "dom:dom params:P<16> flags:u", "", WRITE)
    DOMAIN_GET_MEMORY_PARAMETERS = call(198, "dom:dom nparams:i(16) flags:u", "params:P<16> nparams:i", READ)
    DOMAIN_SET_VCPUS_FLAGS = call(199, "dom:dom nvcpus:u flags:u", "", WRITE)
    DOMAIN_GET_VCPUS_FLAGS = call(200, "dom:dom flags:u", "num:i", READ, write_if=("flags", 0x8))
    DOMAIN_OPEN_CONSOLE = call(201, "dom:dom dev_name:s? flags:u", "", WRITE, stream=BOTH)
    DOMAIN_IS_UPDATED = call(202, "dom:dom", "updated:i", READ, HIGH)
    DOMAIN_SET_MEMORY_FLAGS = call(204, "dom:dom memory:Q flags:u", "", WRITE)
    DOMAIN_SET_BLKIO_PARAMETERS = call(205, "dom:dom params:P<16> flags:u", "", WRITE)
    DOMAIN_GET_BLKIO_PARAMETERS = call(206, "dom:dom nparams:i(16) flags:u", "params:P<16> nparams:i", READ)
    DOMAIN_GET_STATE = call(212, "dom:dom flags:u", "state:i reason:i", READ, HIGH)
    DOMAIN_SET_SCHEDULER_PARAMETERS_FLAGS = call(219, "dom:dom params:P<16> flags:u", "", WRITE)
    DOMAIN_GET_SCHEDULER_PARAMETERS_FLAGS = call(223, "dom:dom nparams:i(16) flags:u", "params:P<16>", READ)
    DOMAIN_PIN_VCPU_FLAGS = call(225, "dom:dom vcpu:u cpumap:opaque<2048> flags:u", "", WRITE)
    DOMAIN_GET_CONTROL_INFO = call(229, "dom:dom flags:u", "state:u details:u stateTime:Q", READ, HIGH)
    DOMAIN_GET_VCPU_PIN_INFO = call(
        230,
        "dom:dom ncpumaps:i(16384) maplen:i(8388608) flags:u ncpumaps*maplen:8388608",
        "cpumaps:opaque<8388608> num:i",
        READ,
    )
    DOMAIN_UNDEFINE_FLAGS = call(231, "dom:dom flags:u", "", WRITE, HIGH)
    DOMAIN_DESTROY_FLAGS = call(234, "dom:dom flags:u", "", WRITE, HIGH)
    DOMAIN_BLOCK_STATS_FLAGS = call(243, "dom:dom path:s nparams:i(16) flags:u", "params:P<16> nparams:i", READ)
    DOMAIN_RESET = call(245, "dom:dom flags:u", "", WRITE)
    DOMAIN_BLOCK_RESIZE = call(251, "dom:dom disk:s size:Q flags:u", "", WRITE)
    DOMAIN_SET_BLOCK_IO_TUNE = call(252, "dom:dom disk:s params:P<32> flags:u", "", WRITE)
    DOMAIN_GET_BLOCK_IO_TUNE = call(253, "dom:dom disk:s? nparams:i(32) flags:u", "params:P<32> nparams:i", READ)
    DOMAIN_SET_NUMA_PARAMETERS = call(254, "dom:dom params:P<16> flags:u", "", WRITE)
    DOMAIN_GET_NUMA_PARAMETERS = call(255, "dom:dom nparams:i(16) flags:u", "params:P<16> nparams:i", READ)
    DOMAIN_SET_INTERFACE_PARAMETERS = call(256, "dom:dom device:s params:P<16> flags:u", "", WRITE)
    DOMAIN_GET_INTERFACE_PARAMETERS = call(
        257, "dom:dom device:s nparams:i(16) flags:u", "params:P<16> nparams:i", READ
    )
    DOMAIN_SHUTDOWN_FLAGS = call(258, "dom:dom flags:u", "", WRITE)
    DOMAIN_GET_CPU_STATS = call(
        262, "dom:dom nparams:u(16) start_cpu:i ncpus:u(128) flags:u", "params:P<2048> nparams:i", READ
    )
    DOMAIN_GET_DISK_ERRORS = call(
        263, "dom:dom maxerrors:u(256) flags:u", "errors:{disk:s, error:i}<256> nerrors:i", READ
    )
    DOMAIN_SET_METADATA = call(264, "dom:dom type:i metadata:s? key:s? uri:s? flags:u", "", WRITE)
    DOMAIN_GET_METADATA = call(265, "dom:dom type:i uri:s? flags:u", "metadata:s", READ)
    CONNECT_LIST_ALL_DOMAINS = call(273, "need_results:i flags:u", "domains:dom<> ret:u", READ, HIGH)
    DOMAIN_GET_HOSTNAME = call(277, "dom:dom flags:u", "hostname:s", WRITE)
    DOMAIN_GET_SECURITY_LABEL_LIST = call(278, "dom:dom", "labels:{label:c4<4097>, enforcing:i}<64> ret:i", READ, HIGH)
    DOMAIN_FSTRIM = call(294, "dom:dom mountPoint:s? minimum:Q flags:u", "", WRITE)
    DOMAIN_SEND_PROCESS_SIGNAL = call(295, "dom:dom pid_value:q signum:u flags:u", "", WRITE)
    DOMAIN_OPEN_CHANNEL = call(296, "dom:dom name:s? flags:u", "", WRITE, stream=BOTH)
    DOMAIN_CREATE_XML_WITH_FILES = call(309, "xml_desc:s flags:u", "dom:dom", WRITE, fds=TO_SERVER)
    DOMAIN_CREATE_WITH_FILES = call(310, "dom:dom flags:u", "dom:dom", WRITE, fds=TO_SERVER)
    DOMAIN_FSFREEZE = call(335, "dom:dom mountpoints:s<256> flags:u", "filesystems:i", WRITE)
    DOMAIN_FSTHAW = call(336, "dom:dom mountpoints:s<256> flags:u", "filesystems:i", WRITE)
    DOMAIN_GET_TIME = call(337, "dom:dom flags:u", "seconds:q nseconds:u", WRITE)
    DOMAIN_SET_TIME = call(338, "dom:dom seconds:q nseconds:u flags:u", "", WRITE)
    CONNECT_GET_ALL_DOMAIN_STATS = call(
        344, "doms:dom<> stats:u flags:u", "retStats:{dom:dom, params:P<262144>}<>", READ
    )
    DOMAIN_GET_FSINFO = call(
        349, "dom:dom flags:u", "info:{mountpoint:s, name:s, fstype:s, dev_aliases:s<256>}<256> ret:u", WRITE
    )
    DOMAIN_DEFINE_XML_FLAGS = call(350, "xml:s flags:u", "dom:dom", WRITE, HIGH)
    DOMAIN_INTERFACE_ADDRESSES = call(
        353,
        "dom:dom source:u flags:u",
        "ifaces:{name:s, hwaddr:s?, addrs:{type:i, addr:s, prefix:u}<2048>}<2048>",
        READ,
        write_if=("source", 0x1),
    )
    DOMAIN_SET_USER_PASSWORD = call(357, "dom:dom user:s? password:s? flags:u", "", WRITE)
    DOMAIN_RENAME = call(358, "dom:dom new_name:s? flags:u", "retcode:i", WRITE)
    DOMAIN_GET_PERF_EVENTS = call(365, "dom:dom flags:u", "params:P<64>", READ)
    DOMAIN_GET_GUEST_VCPUS = call(371, "dom:dom flags:u", "params:P<64>", WRITE)
    DOMAIN_SET_GUEST_VCPUS = call(372, "dom:dom cpumap:s state:i flags:u", "", WRITE)
    DOMAIN_SET_LIFECYCLE_ACTION = call(390, "dom:dom type:u action:u flags:u", "", WRITE)
    DOMAIN_DETACH_DEVICE_ALIAS = call(392, "dom:dom alias:s flags:u", "", WRITE)
    DOMAIN_GET_GUEST_INFO = call(418, "dom:dom types:u flags:u", "params:P<2048>", WRITE)
    DOMAIN_AUTHORIZED_SSH_KEYS_GET = call(424, "dom:dom user:s flags:u", "keys:s<2048>", WRITE)
    DOMAIN_AUTHORIZED_SSH_KEYS_SET = call(425, "dom:dom user:s keys:s<2048> flags:u", "", WRITE)
    DOMAIN_GET_MESSAGES = call(426, "dom:dom flags:u", "msgs:s<2048>", READ)
    DOMAIN_FD_ASSOCIATE = call(443, "dom:dom name:s flags:u", "", WRITE, fds=TO_SERVER)
    DOMAIN_GET_AUTOSTART_ONCE = call(449, "dom:dom", "autostart:i", READ, HIGH)
    DOMAIN_SET_AUTOSTART_ONCE = call(450, "dom:dom autostart:i", "", WRITE, HIGH)

    # save, migration, jobs
    DOMAIN_RESTORE = call(54, "from_:s", "", WRITE)
    DOMAIN_SAVE = call(55, "dom:dom to:s", "", WRITE)
    DOMAIN_GET_JOB_INFO = call(
        163,
        "dom:dom",
        "type:i timeElapsed:Q timeRemaining:Q dataTotal:Q dataProcessed:Q dataRemaining:Q"
        " memTotal:Q memProcessed:Q memRemaining:Q fileTotal:Q fileProcessed:Q fileRemaining:Q",
        READ,
    )
    DOMAIN_ABORT_JOB = call(164, "dom:dom", "", WRITE)
    DOMAIN_MIGRATE_SET_MAX_DOWNTIME = call(166, "dom:dom downtime:Q flags:u", "", WRITE)
    DOMAIN_MANAGED_SAVE = call(182, "dom:dom flags:u", "", WRITE)
    DOMAIN_HAS_MANAGED_SAVE_IMAGE = call(183, "dom:dom flags:u", "result:i", READ)
    DOMAIN_MANAGED_SAVE_REMOVE = call(184, "dom:dom flags:u", "", WRITE)
    DOMAIN_MIGRATE_SET_MAX_SPEED = call(207, "dom:dom bandwidth:Q flags:u", "", WRITE)
    DOMAIN_MIGRATE_PERFORM3 = call(
        216,
        "dom:dom xmlin:s? cookie_in:opaque<4194304> dconnuri:s? uri:s? flags:Q dname:s? resource:Q",
        "cookie_out:opaque<4194304>",
        WRITE,
    )
    DOMAIN_SAVE_FLAGS = call(232, "dom:dom to:s dxml:s? flags:u", "", WRITE)
    DOMAIN_RESTORE_FLAGS = call(233, "from_:s dxml:s? flags:u", "", WRITE)
    DOMAIN_SAVE_IMAGE_GET_XML_DESC = call(235, "file:s flags:u", "xml:s", WRITE, HIGH)
    DOMAIN_SAVE_IMAGE_DEFINE_XML = call(236, "file:s dxml:s flags:u", "", WRITE, HIGH)
    DOMAIN_MIGRATE_GET_MAX_SPEED = call(242, "dom:dom flags:u", "bandwidth:Q", WRITE)
    DOMAIN_GET_JOB_STATS = call(298, "dom:dom flags:u", "type:i params:P<64>", READ)
    DOMAIN_MIGRATE_BEGIN3_PARAMS = call(302, "dom:dom params:P<64> flags:u", "cookie_out:opaque<4194304> xml:s", WRITE)
    DOMAIN_MIGRATE_PREPARE3_PARAMS = call(
        303, "params:P<64> cookie_in:opaque<4194304> flags:u", "cookie_out:opaque<4194304> uri_out:s?", WRITE
    )
    DOMAIN_MIGRATE_PREPARE_TUNNEL3_PARAMS = call(
        304, "params:P<64> cookie_in:opaque<4194304> flags:u", "cookie_out:opaque<4194304>", WRITE, stream=TO_SERVER
    )
    DOMAIN_MIGRATE_PERFORM3_PARAMS = call(
        305, "dom:dom dconnuri:s? params:P<64> cookie_in:opaque<4194304> flags:u", "cookie_out:opaque<4194304>", WRITE
    )
    DOMAIN_MIGRATE_FINISH3_PARAMS = call(
        306, "params:P<64> cookie_in:opaque<4194304> flags:u cancelled:i", "dom:dom cookie_out:opaque<4194304>", WRITE
    )
    DOMAIN_MIGRATE_CONFIRM3_PARAMS = call(
        307, "dom:dom params:P<64> cookie_in:opaque<4194304> flags:u cancelled:i", "", WRITE
    )
    DOMAIN_CORE_DUMP_WITH_FORMAT = call(334, "dom:dom to:s dumpformat:u flags:u", "", WRITE)
    DOMAIN_MIGRATE_GET_MAX_DOWNTIME = call(387, "dom:dom flags:u", "downtime:Q", READ)
    DOMAIN_MANAGED_SAVE_GET_XML_DESC = call(388, "dom:dom flags:u", "xml:s", READ, write_if=("flags", 0x1))
    DOMAIN_MANAGED_SAVE_DEFINE_XML = call(389, "dom:dom dxml:s? flags:u", "", WRITE)
    DOMAIN_SAVE_PARAMS = call(440, "dom:dom params:P<64> flags:u", "", WRITE)
    DOMAIN_RESTORE_PARAMS = call(441, "params:P<64> flags:u", "", WRITE)
    DOMAIN_ABORT_JOB_FLAGS = call(442, "dom:dom flags:u", "", WRITE)

    # snapshots, checkpoints, backups
    DOMAIN_SNAPSHOT_CREATE_XML = call(185, "dom:dom xml_desc:s flags:u", "snap:snap", WRITE)
    DOMAIN_SNAPSHOT_GET_XML_DESC = call(186, "snap:snap flags:u", "xml:s", READ, HIGH, write_if=("flags", 0x1))
    DOMAIN_SNAPSHOT_NUM = call(187, "dom:dom flags:u", "num:i", READ, HIGH)
    DOMAIN_SNAPSHOT_LIST_NAMES = call(188, "dom:dom maxnames:i(16384) flags:u", "names:s<>", READ, HIGH)
    DOMAIN_SNAPSHOT_LOOKUP_BY_NAME = call(189, "dom:dom name:s flags:u", "snap:snap", READ, HIGH)
    DOMAIN_HAS_CURRENT_SNAPSHOT = call(190, "dom:dom flags:u", "result:i", READ)
    DOMAIN_SNAPSHOT_CURRENT = call(191, "dom:dom flags:u", "snap:snap", READ)
    DOMAIN_REVERT_TO_SNAPSHOT = call(192, "snap:snap flags:u", "", WRITE)
    DOMAIN_SNAPSHOT_DELETE = call(193, "snap:snap flags:u", "", WRITE)
    DOMAIN_SNAPSHOT_GET_PARENT = call(244, "snap:snap flags:u", "snap:snap", READ, HIGH)
    DOMAIN_SNAPSHOT_NUM_CHILDREN = call(246, "snap:snap flags:u", "num:i", READ, HIGH)
    DOMAIN_SNAPSHOT_IS_CURRENT = call(271, "snap:snap flags:u", "current:i", READ)
    DOMAIN_SNAPSHOT_HAS_METADATA = call(272, "snap:snap flags:u", "metadata:i", READ)
    DOMAIN_LIST_ALL_SNAPSHOTS = call(274, "dom:dom need_results:i flags:u", "snapshots:snap<> ret:i", READ, HIGH)
    DOMAIN_SNAPSHOT_LIST_ALL_CHILDREN = call(
        275, "snapshot:snap need_results:i flags:u", "snapshots:snap<> ret:i", READ, HIGH
    )
    DOMAIN_CHECKPOINT_CREATE_XML = call(411, "dom:dom xml_desc:s flags:u", "checkpoint:ckpt", WRITE)
    DOMAIN_LIST_ALL_CHECKPOINTS = call(413, "dom:dom need_results:i flags:u", "checkpoints:ckpt<> ret:i", READ, HIGH)
    DOMAIN_BACKUP_BEGIN = call(421, "dom:dom backup_xml:s checkpoint_xml:s? flags:u", "", WRITE)

    # domain events
    CONNECT_DOMAIN_EVENT_REGISTER = call(105, "", "cb_registered:i", READ, HIGH)
    CONNECT_DOMAIN_EVENT_DEREGISTER = call(106, "", "cb_registered:i", READ, HIGH)
    DOMAIN_EVENT_LIFECYCLE = event(107, "dom:dom event:i detail:i")
    DOMAIN_EVENT_REBOOT = event(169, "dom:dom")
    DOMAIN_EVENT_BALLOON_CHANGE = event(276, "dom:dom actual:Q")
    DOMAIN_EVENT_DEVICE_REMOVED = event(311, "dom:dom devAlias:s")
    CONNECT_DOMAIN_EVENT_REGISTER_ANY = call(167, "eventID:i", "", READ, HIGH)
    CONNECT_DOMAIN_EVENT_DEREGISTER_ANY = call(168, "eventID:i", "", READ, HIGH)
    CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY = call(
        316, "eventID:i dom:dom?", "callbackID:i", READ, HIGH, api="virConnectDomainEventRegisterAny"
    )
    CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY = call(
        317, "callbackID:i", "", READ, HIGH, api="virConnectDomainEventDeregisterAny"
    )
    DOMAIN_EVENT_CALLBACK_LIFECYCLE = event(318, "callbackID:i msg:{dom:dom, event:i, detail:i}")
    DOMAIN_EVENT_CALLBACK_REBOOT = event(319, "callbackID:i msg:{dom:dom}")
    DOMAIN_EVENT_CALLBACK_BALLOON_CHANGE = event(331, "callbackID:i msg:{dom:dom, actual:Q}")
    DOMAIN_EVENT_CALLBACK_DEVICE_REMOVED = event(333, "callbackID:i msg:{dom:dom, devAlias:s}")
    DOMAIN_EVENT_CALLBACK_TUNABLE = event(346, "callbackID:i dom:dom params:P<2048>")
    DOMAIN_EVENT_CALLBACK_AGENT_LIFECYCLE = event(348, "callbackID:i dom:dom state:i reason:i")
    DOMAIN_EVENT_CALLBACK_DEVICE_ADDED = event(354, "callbackID:i dom:dom devAlias:s")
    DOMAIN_EVENT_CALLBACK_MIGRATION_ITERATION = event(359, "callbackID:i dom:dom iteration:i")
    CONNECT_EVENT_CONNECTION_CLOSED = event(362, "reason:i")
    DOMAIN_EVENT_CALLBACK_JOB_COMPLETED = event(363, "callbackID:i dom:dom params:P<64>")
    DOMAIN_EVENT_CALLBACK_DEVICE_REMOVAL_FAILED = event(367, "callbackID:i dom:dom devAlias:s")
    DOMAIN_EVENT_CALLBACK_METADATA_CHANGE = event(379, "callbackID:i dom:dom type:i nsuri:s?")

    # networks
    CONNECT_LIST_DEFINED_NETWORKS = call(36, "maxnames:i(16384)", "names:s<>", READ, HIGH)
    CONNECT_LIST_NETWORKS = call(38, "maxnames:i(16384)", "names:s<>", READ, HIGH)
    NETWORK_CREATE = call(39, "net:net", "", WRITE)
    NETWORK_CREATE_XML = call(40, "xml:s", "net:net", WRITE)
    NETWORK_DEFINE_XML = call(41, "xml:s", "net:net", WRITE, HIGH)
    NETWORK_DESTROY = call(42, "net:net", "", WRITE, HIGH)
    NETWORK_GET_XML_DESC = call(43, "net:net flags:u", "xml:s", READ, HIGH)
    NETWORK_GET_AUTOSTART = call(44, "net:net", "autostart:i", READ, HIGH)
    NETWORK_GET_BRIDGE_NAME = call(45, "net:net", "name:s", READ, HIGH)
    NETWORK_LOOKUP_BY_NAME = call(46, "name:s", "net:net", READ, HIGH)
    NETWORK_LOOKUP_BY_UUID = call(47, "uuid:uuid", "net:net", READ, HIGH)
    NETWORK_SET_AUTOSTART = call(48, "net:net autostart:i", "", WRITE, HIGH)
    NETWORK_UNDEFINE = call(49, "net:net", "", WRITE, HIGH)
    CONNECT_NUM_OF_DEFINED_NETWORKS = call(50, "", "num:i", READ, HIGH)
    CONNECT_NUM_OF_NETWORKS = call(52, "", "num:i", READ, HIGH)
    NETWORK_IS_ACTIVE = call(152, "net:net", "active:i", READ, HIGH)
    NETWORK_IS_PERSISTENT = call(153, "net:net", "persistent:i", READ, HIGH)
    CONNECT_LIST_ALL_NETWORKS = call(283, "need_results:i flags:u", "nets:net<> ret:u", READ, HIGH)
    NETWORK_UPDATE = call(291, "net:net command:u section:u parentIndex:i xml:s flags:u", "", WRITE, HIGH)
    CONNECT_NETWORK_EVENT_REGISTER_ANY = call(313, "eventID:i net:net?", "callbackID:i", READ, HIGH)
    CONNECT_NETWORK_EVENT_DEREGISTER_ANY = call(314, "callbackID:i", "", READ, HIGH)
    NETWORK_EVENT_LIFECYCLE = event(315, "callbackID:i net:net event:i detail:i")
    NETWORK_GET_DHCP_LEASES = call(
        341,
        "net:net mac:s? need_results:i flags:u",
        "leases:{iface:s, expirytime:q, type:i, mac:s?, iaid:s?, ipaddr:s, prefix:u, hostname:s?, clientid:s?}<65536>"
        " ret:u",
        READ,
    )
    NETWORK_LIST_ALL_PORTS = call(404, "network:net need_results:i flags:u", "ports:nport<> ret:u", READ, HIGH)
    NETWORK_PORT_CREATE_XML = call(406, "network:net xml:s flags:u", "port:nport", WRITE)
    NETWORK_PORT_DELETE = call(410, "port:nport flags:u", "", WRITE)
    NETWORK_DEFINE_XML_FLAGS = call(432, "xml:s flags:u", "net:net", WRITE, HIGH)
    NETWORK_CREATE_XML_FLAGS = call(437, "xml:s flags:u", "net:net", WRITE, HIGH)
    NETWORK_SET_METADATA = call(444, "network:net type:i metadata:s? key:s? uri:s? flags:u", "", WRITE)
    NETWORK_GET_METADATA = call(445, "network:net type:i uri:s? flags:u", "metadata:s", READ)

    # storage pools and volumes
    CONNECT_NUM_OF_STORAGE_POOLS = call(71, "", "num:i", READ, HIGH)
    CONNECT_LIST_STORAGE_POOLS = call(72, "maxnames:i(16384)", "names:s<>", READ, HIGH)
    CONNECT_NUM_OF_DEFINED_STORAGE_POOLS = call(73, "", "num:i", READ, HIGH)
    CONNECT_LIST_DEFINED_STORAGE_POOLS = call(74, "maxnames:i(16384)", "names:s<>", READ, HIGH)
    CONNECT_FIND_STORAGE_POOL_SOURCES = call(75, "type:s srcSpec:s? flags:u", "xml:s", WRITE)
    STORAGE_POOL_CREATE_XML = call(76, "xml:s flags:u", "pool:pool", WRITE)
    STORAGE_POOL_DEFINE_XML = call(77, "xml:s flags:u", "pool:pool", WRITE, HIGH)
    STORAGE_POOL_CREATE = call(78, "pool:pool flags:u", "", WRITE)
    STORAGE_POOL_BUILD = call(79, "pool:pool flags:u", "", WRITE)
    STORAGE_POOL_DESTROY = call(80, "pool:pool", "", WRITE, HIGH)
    STORAGE_POOL_DELETE = call(81, "pool:pool flags:u", "", WRITE)
    STORAGE_POOL_UNDEFINE = call(82, "pool:pool", "", WRITE, HIGH)
    STORAGE_POOL_REFRESH = call(83, "pool:pool flags:u", "", WRITE)
    STORAGE_POOL_LOOKUP_BY_NAME = call(84, "name:s", "pool:pool", READ, HIGH)
    STORAGE_POOL_LOOKUP_BY_UUID = call(85, "uuid:uuid", "pool:pool", READ, HIGH)
    STORAGE_POOL_LOOKUP_BY_VOLUME = call(86, "vol:vol", "pool:pool", READ, HIGH)
    STORAGE_POOL_GET_INFO = call(87, "pool:pool", "state:c4 capacity:Q allocation:Q available:Q", READ, HIGH)
    STORAGE_POOL_GET_XML_DESC = call(88, "pool:pool flags:u", "xml:s", READ, HIGH)
    STORAGE_POOL_GET_AUTOSTART = call(89, "pool:pool", "autostart:i", READ, HIGH)
    STORAGE_POOL_SET_AUTOSTART = call(90, "pool:pool autostart:i", "", WRITE, HIGH)
    STORAGE_POOL_NUM_OF_VOLUMES = call(91, "pool:pool", "num:i", READ, HIGH)
    STORAGE_POOL_LIST_VOLUMES = call(92, "pool:pool maxnames:i(16384)", "names:s<>", READ, HIGH)
    STORAGE_VOL_CREATE_XML = call(93, "pool:pool xml:s flags:u", "vol:vol", WRITE)
    STORAGE_VOL_DELETE = call(94, "vol:vol flags:u", "", WRITE)
    STORAGE_VOL_LOOKUP_BY_NAME = call(95, "pool:pool name:s", "vol:vol", READ, HIGH)
    STORAGE_VOL_LOOKUP_BY_KEY = call(96, "key:s", "vol:vol", READ, HIGH)
    STORAGE_VOL_LOOKUP_BY_PATH = call(97, "path:s", "vol:vol", READ, HIGH)
    STORAGE_VOL_GET_INFO = call(98, "vol:vol", "type:c4 capacity:Q allocation:Q", READ, HIGH)
    STORAGE_VOL_GET_XML_DESC = call(99, "vol:vol flags:u", "xml:s", READ, HIGH)
    STORAGE_VOL_GET_PATH = call(100, "vol:vol", "name:s", READ, HIGH)
    STORAGE_VOL_CREATE_XML_FROM = call(125, "pool:pool xml:s clonevol:vol flags:u", "vol:vol", WRITE)
    STORAGE_POOL_IS_ACTIVE = call(154, "pool:pool", "active:i", READ, HIGH)
    STORAGE_POOL_IS_PERSISTENT = call(155, "pool:pool", "persistent:i", READ, HIGH)
    STORAGE_VOL_WIPE = call(165, "vol:vol flags:u", "", WRITE)
    STORAGE_VOL_UPLOAD = call(208, "vol:vol offset:Q length:Q flags:u", "", WRITE, stream=TO_SERVER, sparse=0x1)
    STORAGE_VOL_DOWNLOAD = call(209, "vol:vol offset:Q length:Q flags:u", "", WRITE, stream=TO_CLIENT, sparse=0x1)
    STORAGE_VOL_WIPE_PATTERN = call(259, "vol:vol algorithm:u flags:u", "", WRITE)
    STORAGE_VOL_RESIZE = call(260, "vol:vol capacity:Q flags:u", "", WRITE)
    CONNECT_LIST_ALL_STORAGE_POOLS = call(281, "need_results:i flags:u", "pools:pool<> ret:u", READ, HIGH)
    STORAGE_POOL_LIST_ALL_VOLUMES = call(282, "pool:pool need_results:i flags:u", "vols:vol<> ret:u", READ, HIGH)
    CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY = call(368, "eventID:i pool:pool?", "callbackID:i", READ, HIGH)
    CONNECT_STORAGE_POOL_EVENT_DEREGISTER_ANY = call(369, "callbackID:i", "", READ, HIGH)
    STORAGE_POOL_EVENT_LIFECYCLE = event(370, "callbackID:i pool:pool event:i detail:i")
    STORAGE_POOL_EVENT_REFRESH = event(373, "callbackID:i pool:pool")
    STORAGE_VOL_GET_INFO_FLAGS = call(378, "vol:vol flags:u", "type:c4 capacity:Q allocation:Q", READ, HIGH)
    CONNECT_GET_STORAGE_POOL_CAPABILITIES = call(403, "flags:u", "capabilities:s", READ)

    # node devices
    NODE_NUM_OF_DEVICES = call(111, "cap:s? flags:u", "num:i", READ, HIGH)
    NODE_LIST_DEVICES = call(112, "cap:s? maxnames:i(65536) flags:u", "names:s<65536>", READ, HIGH)
    NODE_DEVICE_LOOKUP_BY_NAME = call(113, "name:s", "dev:ndev", READ, HIGH)
    NODE_DEVICE_GET_XML_DESC = call(114, "name:s flags:u", "xml:s", READ)
    NODE_DEVICE_GET_PARENT = call(115, "name:s", "parentName:s?", READ, HIGH)
    NODE_DEVICE_NUM_OF_CAPS = call(116, "name:s", "num:i", READ, HIGH)
    NODE_DEVICE_LIST_CAPS = call(117, "name:s maxnames:i(65536)", "names:s<65536>", READ, HIGH)
    NODE_DEVICE_DETTACH = call(118, "name:s", "", WRITE)
    NODE_DEVICE_RE_ATTACH = call(119, "name:s", "", WRITE)
    CONNECT_LIST_ALL_NODE_DEVICES = call(285, "need_results:i flags:u", "devices:ndev<65536> ret:u", READ, HIGH)
    CONNECT_NODE_DEVICE_EVENT_REGISTER_ANY = call(374, "eventID:i dev:ndev?", "callbackID:i", READ, HIGH)
    CONNECT_NODE_DEVICE_EVENT_DEREGISTER_ANY = call(375, "callbackID:i", "", READ, HIGH)
    NODE_DEVICE_EVENT_LIFECYCLE = event(376, "callbackID:i dev:ndev event:i detail:i")
    NODE_DEVICE_EVENT_UPDATE = event(377, "callbackID:i dev:ndev")
    NODE_DEVICE_IS_ACTIVE = call(436, "name:s", "active:i", READ, HIGH)

    # secrets
    SECRET_LOOKUP_BY_UUID = call(141, "uuid:uuid", "secret:secret", READ, HIGH)
    SECRET_DEFINE_XML = call(142, "xml:s flags:u", "secret:secret", WRITE, HIGH)
    SECRET_GET_XML_DESC = call(143, "secret:secret flags:u", "xml:s", READ, HIGH)
    SECRET_SET_VALUE = call(144, "secret:secret value:opaque<65536> flags:u", "", WRITE, HIGH)
    SECRET_GET_VALUE = call(145, "secret:secret flags:u", "value:opaque<65536>", WRITE, HIGH)
    SECRET_UNDEFINE = call(146, "secret:secret", "", WRITE, HIGH)
    SECRET_LOOKUP_BY_USAGE = call(147, "usageType:i usageID:s", "secret:secret", READ, HIGH)
    CONNECT_SECRET_EVENT_REGISTER_ANY = call(380, "eventID:i secret:secret?", "callbackID:i", READ, HIGH)
    CONNECT_SECRET_EVENT_DEREGISTER_ANY = call(381, "callbackID:i", "", READ, HIGH)
    SECRET_EVENT_LIFECYCLE = event(382, "callbackID:i secret:secret event:i detail:i")
    SECRET_EVENT_VALUE_CHANGED = event(383, "callbackID:i secret:secret")
    CONNECT_LIST_ALL_SECRETS = call(287, "need_results:i flags:u", "secrets:secret<> ret:u", READ, HIGH)

    # network filters
    NWFILTER_LOOKUP_BY_NAME = call(175, "name:s", "nwfilter:nwf", READ, HIGH)
    NWFILTER_LOOKUP_BY_UUID = call(176, "uuid:uuid", "nwfilter:nwf", READ, HIGH)
    NWFILTER_GET_XML_DESC = call(177, "nwfilter:nwf flags:u", "xml:s", READ, HIGH)
    CONNECT_NUM_OF_NWFILTERS = call(178, "", "num:i", READ, HIGH)
    CONNECT_LIST_NWFILTERS = call(179, "maxnames:i(16384)", "names:s<>", READ, HIGH)
    NWFILTER_DEFINE_XML = call(180, "xml:s", "nwfilter:nwf", WRITE, HIGH)
    NWFILTER_UNDEFINE = call(181, "nwfilter:nwf", "", WRITE, HIGH)
    CONNECT_LIST_ALL_NWFILTERS = call(286, "need_results:i flags:u", "filters:nwf<> ret:u", READ, HIGH)
    CONNECT_LIST_ALL_NWFILTER_BINDINGS = call(401, "need_results:i flags:u", "bindings:nwfb<> ret:u", READ, HIGH)

    # host interfaces
    INTERFACE_LOOKUP_BY_NAME = call(128, "name:s", "iface:iface", READ, HIGH)
    INTERFACE_GET_XML_DESC = call(130, "iface:iface flags:u", "xml:s", READ)
    INTERFACE_IS_ACTIVE = call(156, "iface:iface", "active:i", READ, HIGH)
    CONNECT_LIST_ALL_INTERFACES = call(284, "need_results:i flags:u", "ifaces:iface<> ret:u", READ, HIGH)
