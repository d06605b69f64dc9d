"""How libvirt words the refusal of a call: what this driver does not have, and what a read-only connection may not.

Clients probe by calling: they look at the number and the domain of such an error, and show its text as it is.
Sources: libvirt's virerror.h (virReportUnsupportedError and virReportRestrictedError); VIR_FROM_THIS of libvirt-*.c;
remote_protocol.x and qemu_protocol.x for the numbers.
"""

from typing import Final

from insula.errorcodes import ErrorDomain
from insula.errors import NoSupportError, ReadOnlyError
from insula.rpc.absentreasons import ABSENT_REASONS
from insula.rpc.frames import RpcProgram

_SUBJECTS: Final = (
    ("NWFilter", ErrorDomain.NWFILTER),
    ("Network", ErrorDomain.NETWORK),
    ("Storage", ErrorDomain.STORAGE),
    ("NodeDevice", ErrorDomain.NODEDEV),
    ("NodeNumOfDevices", ErrorDomain.NODEDEV),
    ("NodeListDevices", ErrorDomain.NODEDEV),
    ("Secret", ErrorDomain.SECRET),
    ("Interface", ErrorDomain.INTERFACE),
)
"""The word in a public API's name that says which part of libvirt it belongs to; all others belong to domains."""

_DOMAIN_SUBJECTS: Final = (
    ("Snapshot", ErrorDomain.DOMAIN_SNAPSHOT),
    ("Checkpoint", ErrorDomain.DOMAIN_CHECKPOINT),
)
"""The same, for the APIs of a domain."""


def not_supported(api: str) -> NoSupportError:
    """The error for an API that this driver does not have, with why if that is known.

    api: its public name, such as `virDomainScreenshot`.
    """
    reason = ABSENT_REASONS.get(api)
    error = NoSupportError(api if reason is None else f"{api}: {reason}")
    error.domain = _subject(api)
    return error


def forbidden_read_only(api: str) -> ReadOnlyError:
    """The error for an API that a read-only connection may not use. api: its public name."""
    error = ReadOnlyError(f"read only access prevents {api}")
    error.domain = _subject(api)
    return error


def _subject(api: str) -> ErrorDomain:
    if "Qemu" in api:
        return ErrorDomain.NONE  # as libvirt-qemu.c has it
    subjects = _DOMAIN_SUBJECTS if api.startswith("virDomain") else _SUBJECTS
    return next((domain for word, domain in subjects if word in api), ErrorDomain.DOMAIN)


ABSENT: Final[dict[int, dict[int, str]]] = {
    RpcProgram.REMOTE: {
        61: "virDomainMigratePrepare",
        62: "virDomainMigratePerform",
        63: "virDomainMigrateFinish",
        103: "virDomainBlockPeek",
        104: "virDomainMemoryPeek",
        108: "virDomainMigratePrepare2",
        109: "virDomainMigrateFinish2",
        120: "virNodeDeviceReset",
        123: "virNodeDeviceCreateXML",
        124: "virNodeDeviceDestroy",
        131: "virInterfaceDefineXML",
        132: "virInterfaceUndefine",
        133: "virInterfaceCreate",
        134: "virInterfaceDestroy",
        148: "virDomainMigratePrepareTunnel",
        162: "virConnectBaselineCPU",
        210: "virDomainInjectNMI",
        211: "virDomainScreenshot",
        213: "virDomainMigrateBegin3",
        214: "virDomainMigratePrepare3",
        215: "virDomainMigratePrepareTunnel3",
        217: "virDomainMigrateFinish3",
        218: "virDomainMigrateConfirm3",
        220: "virInterfaceChangeBegin",
        221: "virInterfaceChangeCommit",
        222: "virInterfaceChangeRollback",
        226: "virDomainSendKey",
        237: "virDomainBlockJobAbort",
        238: "virDomainGetBlockJobInfo",
        239: "virDomainBlockJobSetSpeed",
        240: "virDomainBlockPull",
        247: "virDomainSnapshotListChildrenNames",
        249: "virDomainOpenGraphics",
        261: "virDomainPMSuspendForDuration",
        266: "virDomainBlockRebase",
        267: "virDomainPMWakeup",
        290: "virDomainBlockCommit",
        297: "virNodeDeviceLookupSCSIHostByWWN",
        299: "virDomainMigrateGetCompressionCache",
        300: "virDomainMigrateSetCompressionCache",
        301: "virNodeDeviceDetachFlags",
        343: "virDomainOpenGraphicsFD",
        345: "virDomainBlockCopy",
        351: "virDomainGetIOThreadInfo",
        352: "virDomainPinIOThread",
        355: "virDomainAddIOThread",
        356: "virDomainDelIOThread",
        364: "virDomainMigrateStartPostCopy",
        366: "virDomainSetPerfEvents",
        386: "virDomainSetBlockThreshold",
        391: "virStoragePoolLookupByTargetPath",
        393: "virConnectCompareHypervisorCPU",
        394: "virConnectBaselineHypervisorCPU",
        395: "virNodeGetSEVInfo",
        396: "virDomainGetLaunchSecurityInfo",
        399: "virNWFilterBindingCreateXML",
        400: "virNWFilterBindingDelete",
        402: "virDomainSetIOThreadParams",
        412: "virDomainCheckpointGetXMLDesc",
        414: "virDomainCheckpointListAllChildren",
        415: "virDomainCheckpointLookupByName",
        416: "virDomainCheckpointGetParent",
        417: "virDomainCheckpointDelete",
        419: "virConnectSetIdentity",
        420: "virDomainAgentSetResponseTimeout",
        422: "virDomainBackupGetXMLDesc",
        427: "virDomainStartDirtyRateCalc",
        428: "virNodeDeviceDefineXML",
        429: "virNodeDeviceUndefine",
        430: "virNodeDeviceCreate",
        433: "virNodeDeviceGetAutostart",
        434: "virNodeDeviceSetAutostart",
        435: "virNodeDeviceIsPersistent",
        439: "virDomainSetLaunchSecurityState",
        447: "virNodeDeviceUpdate",
        448: "virDomainGraphicsReload",
        451: "virDomainSetThrottleGroup",
        452: "virDomainDelThrottleGroup",
        456: "virDomainAnnounceInterface",
    },
    RpcProgram.QEMU: {
        1: "virDomainQemuMonitorCommand",
        2: "virDomainQemuAttach",
        3: "virDomainQemuAgentCommand",
        4: "virConnectDomainQemuMonitorEventRegister",
        5: "virConnectDomainQemuMonitorEventDeregister",
        7: "virDomainQemuMonitorCommandWithFiles",
    },
}
"""The procedures of libvirt's programs that have no row in our tables: program, number, their public API's name."""
