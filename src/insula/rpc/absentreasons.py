"""Why there is no such call for containers, and what to use instead: what a refusal says behind the API's name.

One line a call of libvirt's that nobody answers here, be it about domains or their host; `docs/reference/refusals.md`
is made of them.
"""

from collections.abc import Mapping
from typing import Final

_NOT_SAVED: Final = (
    "what a container has in memory is not saved; suspend keeps it while the host is up, else shut it down"
)
_NO_IMAGE: Final = "no saved image of a container exists, as none can be made"
_STAYS: Final = "a running container stays on its host; shut it down, copy its root, define its XML on the other"
_NO_SNAPSHOT: Final = "a container has no snapshots; take them of its root, while it is off, by its file system"
_NO_CHECKPOINT: Final = "checkpoints are bitmaps of a hypervisor's disk images; copy the container's root instead"
_NO_BLOCK_JOB: Final = "no process of ours stands between a container and its disks, so none of them has block jobs"
_NO_EMULATOR: Final = "no emulator stands behind a container, so there is none to be asked"
_NO_IOTHREADS: Final = "a container's input and output are the host kernel's own, without I/O threads"
_NO_SCREEN: Final = "a container has no screen and no graphics; `virsh console` shows what it prints"
_NO_POWER: Final = "a container has no power management; `virsh suspend` and `resume` stop it and let it go on"
_NO_FIRMWARE: Final = "the host can read a container's memory: there is nothing to attest, or to launch with a secret"
_NO_DIRTY: Final = "the kernel counts no pages that a container writes; `virsh domstats --balloon` tells what it has"
_BLKIO: Final = "a container's disks are limited by device of the host, all together: `virsh blkiotune`"
_NO_POOLS: Final = "there are no storage pools yet; a definition names files and devices of the host themselves"
_NO_SECRETS: Final = "no secrets are kept, as no disk of a container's wants one; open what is encrypted on the host"
_CARDS_OF_THE_HOST: Final = "the host sets up its cards by its own means; `virsh net-define` makes networks for guests"
_DEVICES_OF_THE_HOST: Final = "the host's devices stay with its own drivers; a definition names their nodes (<hostdev>)"
_PERF: Final = "the host's perf counts for a container by its control group: `perf stat --cgroup`"

ABSENT_REASONS: Final[Mapping[str, str]] = {
    "virDomainAddIOThread": _NO_IOTHREADS,
    "virDomainAgentSetResponseTimeout": "no agent is asked in a container; what looks inside has limits of its own",
    "virDomainAnnounceInterface": "a bridge knows a container's card from the moment it is plugged in",
    "virDomainBackupBegin": "a container's disks are directories and devices of the host: back those up there",
    "virDomainBackupGetXMLDesc": "there is no backup job of a container",
    "virDomainBlockCommit": _NO_BLOCK_JOB,
    "virDomainBlockCopy": _NO_BLOCK_JOB,
    "virDomainBlockJobAbort": _NO_BLOCK_JOB,
    "virDomainBlockJobSetSpeed": _NO_BLOCK_JOB,
    "virDomainBlockPeek": "a container's disks are the host's: read what its definition names",
    "virDomainBlockPull": _NO_BLOCK_JOB,
    "virDomainBlockRebase": _NO_BLOCK_JOB,
    "virDomainCheckpointCreateXML": _NO_CHECKPOINT,
    "virDomainCheckpointDelete": _NO_CHECKPOINT,
    "virDomainCheckpointGetParent": _NO_CHECKPOINT,
    "virDomainCheckpointGetXMLDesc": _NO_CHECKPOINT,
    "virDomainCheckpointListAllChildren": _NO_CHECKPOINT,
    "virDomainCheckpointLookupByName": _NO_CHECKPOINT,
    "virDomainDelIOThread": _NO_IOTHREADS,
    "virDomainDelThrottleGroup": _BLKIO,
    "virDomainFDAssociate": "descriptors reach a container's init by `virsh start --pass-fds`, and no other way",
    "virDomainGetBlockIoTune": _BLKIO,
    "virDomainGetBlockJobInfo": _NO_BLOCK_JOB,
    "virDomainGetIOThreadInfo": _NO_IOTHREADS,
    "virDomainGetLaunchSecurityInfo": _NO_FIRMWARE,
    "virDomainGetPerfEvents": _PERF,
    "virDomainGraphicsReload": _NO_SCREEN,
    "virDomainInjectNMI": "a container has no kernel of its own; `virsh send-process-signal` signals its processes",
    "virDomainManagedSave": _NOT_SAVED,
    "virDomainManagedSaveDefineXML": _NO_IMAGE,
    "virDomainManagedSaveGetXMLDesc": _NO_IMAGE,
    "virDomainManagedSaveRemove": _NO_IMAGE,
    "virDomainMemoryPeek": "a container has no physical memory of its own; `virsh dump` has that of its processes",
    "virDomainMigrateBegin3": _STAYS,
    "virDomainMigrateBegin3Params": _STAYS,
    "virDomainMigrateConfirm3": _STAYS,
    "virDomainMigrateConfirm3Params": _STAYS,
    "virDomainMigrateFinish": _STAYS,
    "virDomainMigrateFinish2": _STAYS,
    "virDomainMigrateFinish3": _STAYS,
    "virDomainMigrateFinish3Params": _STAYS,
    "virDomainMigrateGetCompressionCache": _STAYS,
    "virDomainMigrateGetMaxDowntime": _STAYS,
    "virDomainMigrateGetMaxSpeed": _STAYS,
    "virDomainMigratePerform": _STAYS,
    "virDomainMigratePerform3": _STAYS,
    "virDomainMigratePerform3Params": _STAYS,
    "virDomainMigratePrepare": _STAYS,
    "virDomainMigratePrepare2": _STAYS,
    "virDomainMigratePrepare3": _STAYS,
    "virDomainMigratePrepare3Params": _STAYS,
    "virDomainMigratePrepareTunnel": _STAYS,
    "virDomainMigratePrepareTunnel3": _STAYS,
    "virDomainMigratePrepareTunnel3Params": _STAYS,
    "virDomainMigrateSetCompressionCache": _STAYS,
    "virDomainMigrateSetMaxDowntime": _STAYS,
    "virDomainMigrateSetMaxSpeed": _STAYS,
    "virDomainMigrateStartPostCopy": _STAYS,
    "virDomainOpenGraphics": _NO_SCREEN,
    "virDomainOpenGraphicsFD": _NO_SCREEN,
    "virDomainPMSuspendForDuration": _NO_POWER,
    "virDomainPMWakeup": _NO_POWER,
    "virDomainPinIOThread": _NO_IOTHREADS,
    "virDomainQemuAgentCommand": "no agent runs in a container; `virsh guestinfo` and its like work without one",
    "virDomainQemuAttach": _NO_EMULATOR,
    "virDomainQemuMonitorCommand": _NO_EMULATOR,
    "virDomainQemuMonitorCommandWithFiles": _NO_EMULATOR,
    "virConnectDomainQemuMonitorEventDeregister": _NO_EMULATOR,
    "virConnectDomainQemuMonitorEventRegister": _NO_EMULATOR,
    "virDomainRestore": _NO_IMAGE,
    "virDomainRestoreFlags": _NO_IMAGE,
    "virDomainRestoreParams": _NO_IMAGE,
    "virDomainRevertToSnapshot": _NO_SNAPSHOT,
    "virDomainSave": _NOT_SAVED,
    "virDomainSaveFlags": _NOT_SAVED,
    "virDomainSaveImageDefineXML": _NO_IMAGE,
    "virDomainSaveImageGetXMLDesc": _NO_IMAGE,
    "virDomainSaveParams": _NOT_SAVED,
    "virDomainScreenshot": _NO_SCREEN,
    "virDomainSendKey": "a container has no keyboard; type at its console, by `virsh console`",
    "virDomainSetBlockIoTune": _BLKIO,
    "virDomainSetBlockThreshold": _NO_BLOCK_JOB,
    "virDomainSetIOThreadParams": _NO_IOTHREADS,
    "virDomainSetLaunchSecurityState": _NO_FIRMWARE,
    "virDomainSetPerfEvents": _PERF,
    "virDomainSetThrottleGroup": _BLKIO,
    "virDomainSnapshotCreateXML": _NO_SNAPSHOT,
    "virDomainSnapshotDelete": _NO_SNAPSHOT,
    "virDomainSnapshotGetParent": _NO_SNAPSHOT,
    "virDomainSnapshotGetXMLDesc": _NO_SNAPSHOT,
    "virDomainSnapshotHasMetadata": _NO_SNAPSHOT,
    "virDomainSnapshotIsCurrent": _NO_SNAPSHOT,
    "virDomainSnapshotListAllChildren": _NO_SNAPSHOT,
    "virDomainSnapshotListChildrenNames": _NO_SNAPSHOT,
    "virDomainSnapshotNumChildren": _NO_SNAPSHOT,
    "virDomainStartDirtyRateCalc": _NO_DIRTY,
    "virConnectFindStoragePoolSources": _NO_POOLS,
    "virStoragePoolCreateXML": _NO_POOLS,
    "virStoragePoolDefineXML": _NO_POOLS,
    "virSecretDefineXML": _NO_SECRETS,
    "virInterfaceChangeBegin": _CARDS_OF_THE_HOST,
    "virInterfaceChangeCommit": _CARDS_OF_THE_HOST,
    "virInterfaceChangeRollback": _CARDS_OF_THE_HOST,
    "virInterfaceDefineXML": _CARDS_OF_THE_HOST,
    "virNodeDeviceCreateXML": _DEVICES_OF_THE_HOST,
    "virNodeDeviceDefineXML": _DEVICES_OF_THE_HOST,
    "virNodeDeviceDettach": _DEVICES_OF_THE_HOST,
    "virNodeDeviceDetachFlags": _DEVICES_OF_THE_HOST,
    "virNodeDeviceReAttach": _DEVICES_OF_THE_HOST,
    "virNodeDeviceReset": _DEVICES_OF_THE_HOST,
    "virNodeAllocPages": "huge pages are the host's to set aside: `sysctl vm.nr_hugepages=NUMBER`",
    "virNodeSuspendForDuration": "the host is suspended by its own means: `systemctl suspend`, rtcwake(8) for a while",
}
"""By the call's public name."""
