"""Every command of virsh on a container, in one life: asked in this order, each works or is refused in these words.

`WORDS => PART OF THE REFUSAL`. {d} is the domain, {NAME.xml} and the like are files of `FILES`. A virsh too old for
a command is not asked it. `NOTHING` is what a wait for events says that ends with its time; `OWN` are commands of an
interactive virsh alone, which ask the daemon nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

NOTHING = "nothing within the time"
OWN = ("cd",)
PARTLY = {
    "console": "at a terminal alone, which this test does not give it (`tests/e2e/test_consoles.py`)",
    "domfstrim": "file systems that are the guest's own",
    "domjobabort": "while there is a job (`tests/e2e/test_memory_jobs.py`)",
    "nwfilter-binding-dumpxml": "of a card with a filter (`tests/e2e/test_virsh_filters.py`)",
    "lxc-enter-namespace": "domains that permit it, by `<insula:opennamespace/>`",
}
"""What works in other circumstances than the table's."""

FILES = {
    "d.xml": "<domain type='lxc'><name>every</name><uuid>{uuid}</uuid><memory unit='MiB'>128</memory><vcpu>1</vcpu>"
    "<os><type>exe</type><init>/sbin/init</init></os><devices><filesystem type='mount'><source dir='{root}'/>"
    "<target dir='/'/></filesystem><console type='pty'/></devices></domain>",
    "brief.xml": "<domain type='lxc'><name>brief</name><memory unit='MiB'>64</memory><os><type>exe</type>"
    "<init>/sbin/init</init></os><devices><filesystem type='mount'><source dir='{root}'/><target dir='/'/></filesystem>"
    "</devices></domain>",
    "share.xml": "<filesystem type='mount'><source dir='{scratch}'/><target dir='/mnt'/><alias name='ua-share'/>"
    "</filesystem>",
    "card.xml": "<interface type='network'><mac address='52:54:00:00:00:07'/><source network='n'/></interface>",
    "net.xml": "<network><name>n</name><bridge name='every0'/><ip address='10.9.0.1' netmask='255.255.255.0'>"
    "<dhcp><range start='10.9.0.2' end='10.9.0.9'/></dhcp></ip></network>",
    "net2.xml": "<network><name>n2</name><bridge name='every1'/></network>",
    "filter.xml": "<filter name='f' chain='root'><rule action='drop' direction='in'><tcp/></rule></filter>",
    "lxc.conf": "lxc.uts.name = native\nlxc.rootfs.path = dir:{root}\n",
    "cpu.xml": "<cpu><arch>x86_64</arch><model>qemu64</model></cpu>",
    "any.xml": "<any/>",
    "secret.xml": "<secret ephemeral='no' private='no'><usage type='volume'><volume>/x</volume></usage></secret>",
    "pool.xml": "<pool type='dir'><name>p</name><target><path>{scratch}</path></target></pool>",
    "iface.xml": "<interface type='ethernet' name='e0'/>",
    "port.xml": "<networkport><owner><name>every</name><uuid>{uuid}</uuid></owner><mac address='52:54:00:00:00:09'/>"
    "</networkport>",
    "key.pub": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ every",
}

LINES = """
# the connection and the host
version --daemon
uri
hostname
nodeinfo
nodecpumap
nodecpustats
nodememstats
nodesevinfo => virNodeGetSEVInfo
nodesuspend mem 60 => virNodeSuspendForDuration
node-memory-tune
sysinfo
capabilities
domcapabilities
maxvcpus
freecell
freepages --all
allocpages 2048 1 => virNodeAllocPages
cpu-models x86_64 => virConnectGetCPUModelNames
cpu-baseline {cpu.xml} => virConnectBaselineCPU
cpu-compare {cpu.xml} => virConnectCompareCPU
hypervisor-cpu-baseline --file {cpu.xml} => virConnectBaselineHypervisorCPU
hypervisor-cpu-compare {cpu.xml} => virConnectCompareHypervisorCPU
hypervisor-cpu-models
connect {uri}
pwd
echo word
help list
exit
quit
# a definition
define {d.xml}
net-define {net.xml}
net-start n
list --all
dominfo {d}
domstate {d} --reason
domid {d}
domname {uuid}
domuuid {d}
dumpxml {d}
dumpxml {d} --xpath /domain/name
desc {d} words
desc {d} --title title
metadata {d} urn:every --key k --set <a/>
metadata {d} urn:every
autostart {d}
autostart {d} --disable
edit {d}
domrename {d} other
domrename other {d}
domxml-from-native lxc-tools {lxc.conf}
domxml-to-native lxc-tools --domain {d}
setmaxmem {d} 256M --config
setmem {d} 128M --config
setvcpus {d} 2 --config --maximum
setvcpus {d} 1 --config
attach-disk {d} {disk.img} vdc --config
detach-disk {d} vdc --config
domdisplay {d} => Domain is not running
vncdisplay {d} => Domain is not running
create {brief.xml}
destroy brief
# a run
start {d}
domid {d}
domstate {d} --reason
domcontrol {d}
domhostname {d}
guestinfo {d}
domfsinfo {d}
domfsfreeze {d}
domfsthaw {d}
domfstrim {d} => shares the host's file systems
domtime {d}
domifaddr {d} --source agent
set-user-password {d} root word
set-user-sshkeys {d} root {key.pub}
get-user-sshkeys {d} root
guest-agent-timeout {d} --timeout 5 => virDomainAgentSetResponseTimeout
send-process-signal {d} 1 winch
lxc-enter-namespace {d} /bin/true => <insula:opennamespace/>
ttyconsole {d}
console {d} => Cannot run interactive console without a controlling TTY
suspend {d}
resume {d}
reset {d}
attach-device {d} {share.xml} --live
detach-device {d} {share.xml} --live
attach-device {d} {share.xml} --live
detach-device-alias {d} ua-share --live
attach-disk {d} {disk.img} vdb --live
domblklist {d}
domblkinfo {d} vdb
domblkstat {d} vdb
domblkerror {d}
domblkthreshold {d} vdb 1 => virDomainSetBlockThreshold
blockresize {d} vdb 16M
blkdeviotune {d} vdb => virDomainGetBlockIoTune
blockcommit {d} vdb => virDomainBlockCommit
blockcopy {d} vdb --dest {scratch}/copy => virDomainBlockRebase
blockjob {d} vdb => virDomainGetBlockJobInfo
blockpull {d} vdb => virDomainBlockPull
change-media {d} vdb --eject => No disk found whose source path or target is vdb
detach-disk {d} vdb --live
attach-interface {d} network n --mac 52:54:00:00:00:08 --live
domiflist {d}
domif-getlink {d} 52:54:00:00:00:08
domif-setlink {d} 52:54:00:00:00:08 down
domif-setlink {d} 52:54:00:00:00:08 up
domiftune {d} 52:54:00:00:00:08
domifstat {d} 52:54:00:00:00:08
domifannounce {d} => virDomainAnnounceInterface
detach-interface {d} network --mac 52:54:00:00:00:08 --live
attach-device {d} {card.xml} --live
update-device {d} {card.xml} --live
update-memory-device {d} --requested-size 1 => no memory device found
memtune {d}
blkiotune {d}
schedinfo {d}
numatune {d}
numatune {d} --nodeset 0 --live
perf {d} => virDomainGetPerfEvents
setmem {d} 120M --live
setvcpus {d} 1 --live
setvcpu {d} 0 --enable
guestvcpus {d}
vcpucount {d}
vcpuinfo {d}
vcpupin {d}
emulatorpin {d}
iothreadinfo {d} => virDomainGetIOThreadInfo
iothreadpin {d} 1 0 => virDomainPinIOThread
iothreadadd {d} 1 => virDomainAddIOThread
iothreadset {d} 1 --poll-max-ns 1 => virDomainSetIOThreadParams
iothreaddel {d} 1 => virDomainDelIOThread
cpu-stats {d}
dommemstat {d}
domstats {d}
domdirtyrate-calc {d} => virDomainStartDirtyRateCalc
domjobinfo {d}
domjobabort {d} => no job is active on the domain
set-lifecycle-action {d} poweroff destroy --live
dump {d} {scratch}/dump
event --all --timeout 1 => nothing within the time
await {d} --condition domain-inactive --timeout 1 => nothing within the time
domthrottlegroupset {d} g => virDomainSetThrottleGroup
domthrottlegroupdel {d} g => virDomainDelThrottleGroup
domthrottlegroupinfo {d} g
domthrottlegrouplist {d}
dom-fd-associate {d} name 0 => virDomainFDAssociate
domdisplay-reload {d} => virDomainGraphicsReload
domlaunchsecinfo {d} => virDomainGetLaunchSecurityInfo
domsetlaunchsecstate {d} --secrethdr {key.pub} --secret {key.pub} => virDomainSetLaunchSecurityState
dompmsuspend {d} mem => virDomainPMSuspendForDuration
dompmwakeup {d} => virDomainPMWakeup
inject-nmi {d} => virDomainInjectNMI
send-key {d} KEY_A => virDomainSendKey
screenshot {d} {scratch}/screen => virDomainScreenshot
save {d} {scratch}/saved => virDomainSave
restore {scratch}/saved => virDomainRestore
save-image-define {key.pub} {d.xml} => virDomainSaveImageDefineXML
save-image-dumpxml {key.pub} => virDomainSaveImageGetXMLDesc
save-image-edit {key.pub} => virDomainSaveImageGetXMLDesc
managedsave {d} => virDomainManagedSave
managedsave-remove {d}
managedsave-edit {d} => virDomainManagedSaveGetXMLDesc
managedsave-dumpxml {d} => virDomainManagedSaveGetXMLDesc
managedsave-define {d} {d.xml} => virDomainManagedSaveDefineXML
migrate {d} {uri} --live => virDomainMigrate
migrate-setmaxdowntime {d} 1 => virDomainMigrateSetMaxDowntime
migrate-getmaxdowntime {d} => virDomainMigrateGetMaxDowntime
migrate-compcache {d} => virDomainMigrateGetCompressionCache
migrate-setspeed {d} 1 => virDomainMigrateSetMaxSpeed
migrate-getspeed {d} => virDomainMigrateGetMaxSpeed
migrate-postcopy {d} => virDomainMigrateStartPostCopy
qemu-attach 1 => virDomainQemuAttach
qemu-monitor-command {d} x => virDomainQemuMonitorCommand
qemu-monitor-event --domain {d} --timeout 1 => virConnectDomainQemuMonitorEventRegister
qemu-agent-command {d} x => virDomainQemuAgentCommand
checkpoint-create {d} => virDomainCheckpointCreateXML
checkpoint-create-as {d} c => virDomainCheckpointCreateXML
checkpoint-delete {d} c => virDomainCheckpointLookupByName
checkpoint-dumpxml {d} c => virDomainCheckpointLookupByName
checkpoint-edit {d} c => virDomainCheckpointLookupByName
checkpoint-info {d} c => virDomainCheckpointLookupByName
checkpoint-list {d}
checkpoint-parent {d} c => virDomainCheckpointLookupByName
snapshot-create {d} => virDomainSnapshotCreateXML
snapshot-create-as {d} s => virDomainSnapshotCreateXML
snapshot-current {d} => has no current snapshot
snapshot-delete {d} s => no domain snapshot with matching name
snapshot-dumpxml {d} s => no domain snapshot with matching name
snapshot-edit {d} s => no domain snapshot with matching name
snapshot-info {d} s => no domain snapshot with matching name
snapshot-list {d}
snapshot-parent {d} s => no domain snapshot with matching name
snapshot-revert {d} s => no domain snapshot with matching name
backup-begin {d} => virDomainBackupBegin
backup-dumpxml {d} => virDomainBackupGetXMLDesc
# networks and packet filters
net-list --all
net-info n
net-name {network}
net-uuid n
net-dumpxml n
net-desc n words
net-metadata n urn:every --key k --set <a/>
net-autostart n
net-autostart n --disable
net-edit n
net-dhcp-leases n
net-event --event lifecycle --timeout 1 => nothing within the time
net-update n add ip-dhcp-host <host\\ mac='52:54:00:00:00:08'\\ ip='10.9.0.5'/> --live
net-port-list n
net-port-dumpxml n {port}
net-port-create n {port.xml} => virNetworkPortCreateXML
net-port-delete n {port}
net-create {net2.xml}
net-destroy n2
nwfilter-list
nwfilter-define {filter.xml}
nwfilter-dumpxml f
nwfilter-edit f
nwfilter-undefine f
nwfilter-binding-list
nwfilter-binding-dumpxml vnet0 => no nwfilter binding for port dev
nwfilter-binding-create {any.xml} => virNWFilterBindingCreateXML
nwfilter-binding-delete vnet0 => no nwfilter binding for port dev
# what belongs to other daemons of libvirt's
iface-list --all
iface-begin => virInterfaceChangeBegin
iface-bridge e0 b0 => no interface with matching
iface-commit => virInterfaceChangeCommit
iface-define {iface.xml} => virInterfaceDefineXML
iface-destroy e0 => no interface with matching
iface-dumpxml e0 => no interface with matching
iface-edit e0 => no interface with matching
iface-mac e0 => no interface with matching
iface-name 52:54:00:00:00:01 => no interface with matching
iface-rollback => virInterfaceChangeRollback
iface-start e0 => no interface with matching
iface-unbridge b0 => no interface with matching
iface-undefine e0 => no interface with matching
nodedev-list
nodedev-create {any.xml} => virNodeDeviceCreateXML
nodedev-define {any.xml} => virNodeDeviceDefineXML
nodedev-destroy x => no node device with matching name
nodedev-detach x => no node device with matching name
nodedev-dumpxml x => no node device with matching name
nodedev-reattach x => no node device with matching name
nodedev-reset x => no node device with matching name
nodedev-event --event lifecycle --timeout 1 => nothing within the time
nodedev-undefine x => no node device with matching name
nodedev-start x => no node device with matching name
nodedev-autostart x => no node device with matching name
nodedev-info x => no node device with matching name
nodedev-update x {any.xml} => no node device with matching name
secret-list
secret-define {secret.xml} => virSecretDefineXML
secret-dumpxml {uuid} => no secret with matching uuid
secret-event --event lifecycle --timeout 1 => nothing within the time
secret-get-value {uuid} => no secret with matching uuid
secret-set-value {uuid} --base64 YQ== => no secret with matching uuid
secret-undefine {uuid} => no secret with matching uuid
find-storage-pool-sources-as dir => virConnectFindStoragePoolSources
find-storage-pool-sources dir => virConnectFindStoragePoolSources
pool-list --all
pool-autostart p => no storage pool with matching name
pool-build p => no storage pool with matching name
pool-create-as p dir --target {scratch} => virStoragePoolCreateXML
pool-create {pool.xml} => virStoragePoolCreateXML
pool-define-as p dir --target {scratch} => virStoragePoolDefineXML
pool-define {pool.xml} => virStoragePoolDefineXML
pool-delete p => no storage pool with matching name
pool-destroy p => no storage pool with matching name
pool-dumpxml p => no storage pool with matching name
pool-edit p => no storage pool with matching name
pool-info p => no storage pool with matching name
pool-name p => failed to get pool 'p'
pool-refresh p => no storage pool with matching name
pool-start p => no storage pool with matching name
pool-undefine p => no storage pool with matching name
pool-uuid p => no storage pool with matching name
pool-event --event lifecycle --timeout 1 => nothing within the time
pool-capabilities => virConnectGetStoragePoolCapabilities
vol-clone v w p => no storage pool with matching name
vol-create-as p v 1M => no storage pool with matching name
vol-create p {any.xml} => no storage pool with matching name
vol-create-from p {any.xml} v => no storage pool with matching name
vol-delete v p => no storage pool with matching name
vol-download v {scratch}/v p => no storage pool with matching name
vol-dumpxml v p => no storage pool with matching name
vol-info v p => no storage pool with matching name
vol-key v p => no storage pool with matching name
vol-list p => no storage pool with matching name
vol-name {scratch}/v => no storage vol with matching path
vol-path v p => no storage pool with matching name
vol-pool {scratch}/v => no storage vol with matching path
vol-resize v 1M p => no storage pool with matching name
vol-upload v {key.pub} p => no storage pool with matching name
vol-wipe v p => no storage pool with matching name
# its end
reboot {d}
shutdown {d}
destroy {d}
undefine {d}
net-destroy n
net-undefine n
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A command of virsh. words: its own first, files in braces; refusal: a part of it, empty where it works."""

    words: tuple[str, ...]
    refusal: str


def asked() -> Iterator[Asked]:
    """Yield every line of the table; the blanks in a word stand behind a backslash."""
    for line in LINES.strip().splitlines():
        if not line.startswith("#"):
            said, _, refusal = line.partition(" => ")
            words = (each.replace("\\ ", " ") for each in re.findall(r"(?:\\.|[^ ])+", said))
            yield Asked(words=tuple(words), refusal=refusal)
