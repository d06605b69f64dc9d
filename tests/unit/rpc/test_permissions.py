"""What calls need to be allowed: every row says it, in libvirt's words, and read-only connections only look."""

import pytest

from insula.rpc.permissions import CHANGE, FREE, Need, Permission, needs
from insula.rpc.procedures import PROGRAMS, Insula, Lxc, Procedure, Remote

OBJECTS = {
    "connect", "domain", "interface", "network", "network_port", "node_device", "nwfilter", "nwfilter_binding",
    "secret", "storage_pool", "storage_vol",
}  # fmt: skip
FOR_ANYBODY = {"CONNECT_CLOSE", "CONNECT_IS_SECURE", "AUTH_LIST", "AUTH_POLKIT"} | {
    f"AUTH_SASL_{each}" for each in ("INIT", "START", "STEP")
}
LOOKS = frozenset(
    {
        "AUTH_LIST", "AUTH_POLKIT", "AUTH_SASL_INIT", "AUTH_SASL_START", "AUTH_SASL_STEP", "CONNECT_CLOSE",
        "CONNECT_COMPARE_CPU", "CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY",
        "CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY", "CONNECT_DOMAIN_EVENT_DEREGISTER",
        "CONNECT_DOMAIN_EVENT_DEREGISTER_ANY", "CONNECT_DOMAIN_EVENT_REGISTER",
        "CONNECT_DOMAIN_EVENT_REGISTER_ANY", "CONNECT_GET_ALL_DOMAIN_STATS", "CONNECT_GET_CAPABILITIES",
        "CONNECT_GET_CPU_MODEL_NAMES", "CONNECT_GET_HOSTNAME", "CONNECT_GET_LIB_VERSION", "CONNECT_GET_MAX_VCPUS",
        "CONNECT_GET_STORAGE_POOL_CAPABILITIES", "CONNECT_GET_SYSINFO", "CONNECT_GET_TYPE", "CONNECT_GET_URI",
        "CONNECT_GET_VERSION", "CONNECT_IS_SECURE", "CONNECT_LIST_ALL_DOMAINS", "CONNECT_LIST_ALL_INTERFACES",
        "CONNECT_LIST_ALL_NETWORKS", "CONNECT_LIST_ALL_NODE_DEVICES", "CONNECT_LIST_ALL_NWFILTERS",
        "CONNECT_LIST_ALL_NWFILTER_BINDINGS", "CONNECT_LIST_ALL_SECRETS", "CONNECT_LIST_ALL_STORAGE_POOLS",
        "CONNECT_LIST_DEFINED_DOMAINS", "CONNECT_LIST_DEFINED_INTERFACES", "CONNECT_LIST_DEFINED_NETWORKS",
        "CONNECT_LIST_DEFINED_STORAGE_POOLS", "CONNECT_LIST_INTERFACES", "CONNECT_LIST_SECRETS",
        "CONNECT_LIST_DOMAINS", "CONNECT_LIST_NETWORKS", "CONNECT_LIST_NWFILTERS", "CONNECT_LIST_STORAGE_POOLS",
        "CONNECT_NETWORK_EVENT_DEREGISTER_ANY", "CONNECT_NETWORK_EVENT_REGISTER_ANY",
        "CONNECT_NODE_DEVICE_EVENT_DEREGISTER_ANY", "CONNECT_NODE_DEVICE_EVENT_REGISTER_ANY",
        "CONNECT_NUM_OF_DEFINED_DOMAINS", "CONNECT_NUM_OF_DEFINED_INTERFACES", "CONNECT_NUM_OF_DEFINED_NETWORKS",
        "CONNECT_NUM_OF_INTERFACES", "CONNECT_NUM_OF_SECRETS",
        "CONNECT_NUM_OF_DEFINED_STORAGE_POOLS", "CONNECT_NUM_OF_DOMAINS", "CONNECT_NUM_OF_NETWORKS",
        "CONNECT_NUM_OF_NWFILTERS", "CONNECT_NUM_OF_STORAGE_POOLS", "CONNECT_OPEN",
        "DOMAIN_GET_EMULATOR_PIN_INFO",
        "CONNECT_REGISTER_CLOSE_CALLBACK", "CONNECT_SECRET_EVENT_DEREGISTER_ANY",
        "CONNECT_SECRET_EVENT_REGISTER_ANY", "CONNECT_STORAGE_POOL_EVENT_DEREGISTER_ANY",
        "CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY", "CONNECT_SUPPORTS_FEATURE",
        "CONNECT_UNREGISTER_CLOSE_CALLBACK", "DOMAIN_BLOCK_STATS", "DOMAIN_BLOCK_STATS_FLAGS",
        "DOMAIN_GET_AUTOSTART", "DOMAIN_GET_AUTOSTART_ONCE", "DOMAIN_GET_BLKIO_PARAMETERS",
        "DOMAIN_GET_BLOCK_INFO", "DOMAIN_GET_BLOCK_IO_TUNE", "DOMAIN_GET_CONTROL_INFO", "DOMAIN_GET_CPU_STATS",
        "DOMAIN_GET_DISK_ERRORS", "DOMAIN_GET_INFO", "DOMAIN_GET_INTERFACE_PARAMETERS", "DOMAIN_GET_JOB_INFO",
        "DOMAIN_GET_JOB_STATS", "DOMAIN_GET_MAX_MEMORY", "DOMAIN_GET_MAX_VCPUS", "DOMAIN_GET_MEMORY_PARAMETERS",
        "DOMAIN_GET_MESSAGES", "DOMAIN_GET_METADATA", "DOMAIN_GET_NUMA_PARAMETERS", "DOMAIN_GET_OS_TYPE",
        "DOMAIN_GET_PERF_EVENTS", "DOMAIN_GET_SCHEDULER_PARAMETERS", "DOMAIN_GET_SCHEDULER_PARAMETERS_FLAGS",
        "DOMAIN_GET_SCHEDULER_TYPE", "DOMAIN_GET_SECURITY_LABEL", "DOMAIN_GET_SECURITY_LABEL_LIST",
        "DOMAIN_GET_STATE", "DOMAIN_GET_VCPUS", "DOMAIN_GET_VCPUS_FLAGS", "DOMAIN_GET_VCPU_PIN_INFO",
        "DOMAIN_GET_XML_DESC", "DOMAIN_HAS_CURRENT_SNAPSHOT", "DOMAIN_HAS_MANAGED_SAVE_IMAGE",
        "DOMAIN_INTERFACE_ADDRESSES", "DOMAIN_INTERFACE_STATS", "DOMAIN_IS_ACTIVE", "DOMAIN_IS_PERSISTENT",
        "DOMAIN_IS_UPDATED", "DOMAIN_LIST_ALL_CHECKPOINTS", "DOMAIN_LIST_ALL_SNAPSHOTS", "DOMAIN_LOOKUP_BY_ID",
        "DOMAIN_LOOKUP_BY_NAME", "DOMAIN_LOOKUP_BY_UUID", "DOMAIN_MANAGED_SAVE_GET_XML_DESC",
        "DOMAIN_MEMORY_STATS", "DOMAIN_SNAPSHOT_CURRENT", "DOMAIN_SNAPSHOT_GET_PARENT",
        "DOMAIN_SNAPSHOT_GET_XML_DESC", "DOMAIN_SNAPSHOT_HAS_METADATA", "DOMAIN_SNAPSHOT_IS_CURRENT",
        "DOMAIN_SNAPSHOT_LIST_ALL_CHILDREN", "DOMAIN_SNAPSHOT_LIST_NAMES", "DOMAIN_SNAPSHOT_LOOKUP_BY_NAME",
        "DOMAIN_SNAPSHOT_NUM", "DOMAIN_SNAPSHOT_NUM_CHILDREN", "INTERFACE_GET_XML_DESC", "INTERFACE_IS_ACTIVE",
        "INTERFACE_LOOKUP_BY_MAC_STRING",
        "INTERFACE_LOOKUP_BY_NAME", "NETWORK_GET_AUTOSTART", "NETWORK_GET_BRIDGE_NAME", "NETWORK_GET_DHCP_LEASES",
        "NETWORK_GET_METADATA", "NETWORK_GET_XML_DESC", "NETWORK_IS_ACTIVE", "NETWORK_IS_PERSISTENT",
        "NETWORK_LIST_ALL_PORTS", "NETWORK_LOOKUP_BY_NAME", "NETWORK_LOOKUP_BY_UUID", "NETWORK_PORT_GET_PARAMETERS",
        "NETWORK_PORT_GET_XML_DESC", "NETWORK_PORT_LOOKUP_BY_UUID", "NODE_DEVICE_GET_PARENT",
        "NODE_DEVICE_GET_XML_DESC", "NODE_DEVICE_IS_ACTIVE", "NODE_DEVICE_LIST_CAPS",
        "NODE_DEVICE_LOOKUP_BY_NAME", "NODE_DEVICE_NUM_OF_CAPS", "NODE_GET_CELLS_FREE_MEMORY", "NODE_GET_CPU_MAP",
        "NODE_GET_CPU_STATS", "NODE_GET_FREE_MEMORY", "NODE_GET_FREE_PAGES", "NODE_GET_INFO",
        "NODE_GET_MEMORY_PARAMETERS", "NODE_GET_MEMORY_STATS", "NODE_GET_SECURITY_MODEL", "NODE_LIST_DEVICES",
        "NODE_NUM_OF_DEVICES", "NWFILTER_BINDING_GET_XML_DESC", "NWFILTER_BINDING_LOOKUP_BY_PORT_DEV",
        "NWFILTER_GET_XML_DESC", "NWFILTER_LOOKUP_BY_NAME", "NWFILTER_LOOKUP_BY_UUID",
        "SECRET_GET_XML_DESC", "SECRET_LOOKUP_BY_USAGE", "SECRET_LOOKUP_BY_UUID", "STORAGE_POOL_GET_AUTOSTART",
        "STORAGE_POOL_GET_INFO", "STORAGE_POOL_GET_XML_DESC", "STORAGE_POOL_IS_ACTIVE",
        "STORAGE_POOL_IS_PERSISTENT", "STORAGE_POOL_LIST_ALL_VOLUMES", "STORAGE_POOL_LIST_VOLUMES",
        "STORAGE_POOL_LOOKUP_BY_NAME", "STORAGE_POOL_LOOKUP_BY_UUID", "STORAGE_POOL_LOOKUP_BY_VOLUME",
        "STORAGE_POOL_NUM_OF_VOLUMES", "STORAGE_VOL_GET_INFO", "STORAGE_VOL_GET_INFO_FLAGS",
        "STORAGE_VOL_GET_PATH", "STORAGE_VOL_GET_XML_DESC", "STORAGE_VOL_LOOKUP_BY_KEY",
        "STORAGE_VOL_LOOKUP_BY_NAME", "STORAGE_VOL_LOOKUP_BY_PATH",
    }
)  # fmt: skip
"""What read-only connections have always been allowed to call."""
NOT_WITH = {
    "DOMAIN_GET_XML_DESC": ("flags", 9),
    "DOMAIN_GET_VCPUS_FLAGS": ("flags", 8),
    "DOMAIN_INTERFACE_ADDRESSES": ("source", 1),
    "DOMAIN_MANAGED_SAVE_GET_XML_DESC": ("flags", 1),
    "DOMAIN_SNAPSHOT_GET_XML_DESC": ("flags", 1),
}
"""But not with these bits of that argument."""


def arguments(row: Procedure, field: str | None = None, value: int = 0) -> list[int]:
    return [value if name == field else 0 for name in row.arguments.names]


def test_every_row_of_every_program_says_what_it_needs() -> None:
    silent = {row.name for table in PROGRAMS.values() for row in table.rows.values() if not row.permissions_notation}
    events = {row.name for table in PROGRAMS.values() for row in table.rows.values() if row.is_event}
    assert silent - events == FOR_ANYBODY
    assert not events - silent


@pytest.mark.parametrize("row", [row for table in (Remote, Lxc, Insula) for row in table.rows.values()], ids=repr)
def test_a_rows_permissions_are_of_objects_that_libvirt_knows_and_look_at_arguments_that_are_there(
    row: Procedure,
) -> None:
    for need in needs(row.permissions_notation):
        assert need.permission.object in OBJECTS
        assert need.field is None or need.field in row.arguments.names


@pytest.mark.parametrize("row", [row for row in Remote.rows.values() if not row.is_event], ids=repr)
def test_a_read_only_connection_may_call_what_it_always_could(row: Procedure) -> None:
    assert row.only_looks(arguments(row)) is (row.name in LOOKS)
    field, bits = NOT_WITH.get(row.name, (None, 0))
    if field is not None:
        for bit in (1 << number for number in range(8)):
            assert row.only_looks(arguments(row, field, bit)) is not bool(bit & bits)


def test_what_a_change_needs_follows_its_flags() -> None:
    row = Remote.DOMAIN_SET_MEMORY_FLAGS
    assert row.permissions_notation == CHANGE
    saving = [str(each) for each in row.permissions((0, 0, 2))]
    assert saving == [str(each) for each in row.permissions((0, 0, 0))] == ["domain:write", "domain:save"]
    assert [str(each) for each in row.permissions((0, 0, 1))] == ["domain:write"]


@pytest.mark.parametrize(
    ("row", "needed"),
    [
        (Remote.DOMAIN_CREATE, "domain:start"),
        (Remote.DOMAIN_DESTROY, "domain:stop"),
        (Remote.DOMAIN_OPEN_CONSOLE, "domain:open_device"),
        (Remote.DOMAIN_SHUTDOWN, "domain:init_control"),
        (Lxc.DOMAIN_OPEN_NAMESPACE, "domain:open_namespace"),
        (Insula.DOMAIN_EXEC, "domain:open_namespace"),
        (Remote.CONNECT_GET_DOMAIN_CAPABILITIES, "connect:write"),
    ],
)
def test_a_call_needs_what_libvirt_calls_it(row: Procedure, needed: str) -> None:
    assert " ".join(map(str, row.permissions(arguments(row)))) == needed


def test_the_notation_says_always_with_bits_and_without_them() -> None:
    assert needs("a:read b:write?flags&0x9 c:save?flags!0x3") == (
        Need(Permission("a", "read")),
        Need(Permission("b", "write"), "flags", 9),
        Need(Permission("c", "save"), "flags", 3, clear=True),
    )
    assert needs(FREE) == ()


@pytest.mark.parametrize("word", ["domain", "domain:", "domain:write?flags", "domain:write?flags&9", "Domain:write"])
def test_what_means_nothing_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="is no permission"):
        needs(word)
