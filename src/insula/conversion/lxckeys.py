"""The table of LXC's keys, those of LXC 2 to 6: what each is of a domain, or why it is nothing of it.

Source: lxc.container.conf(5). Keys of networks: `lxcnetworks`.
"""

from collections.abc import Iterator

from insula.conversion.keytable import ForeignKey, KeyTable, anyway
from insula.conversion.lxclimits import (
    amount,
    clock_keys,
    cpu_keys,
    device_keys,
    kernel_setting_keys,
    memory_keys,
    pids_keys,
    read_block_weight,
    read_clock,
    read_cpu_max,
    read_cpus,
    read_device_rule,
    read_kernel_setting,
    read_period,
    read_pids,
    read_quota,
    read_resource_limit,
    read_shares,
    read_weight,
    resource_limit_keys,
    take_guarantee,
    take_memory,
    take_soft_memory,
    take_swap,
    take_total,
    weight_keys,
)
from insula.conversion.lxcmounts import lxc_mount_keys, read_automatic, read_mount_entry, read_root, root_keys
from insula.conversion.lxcnetworks import lxc_network_keys
from insula.conversion.lxcsettings import (
    architecture_keys,
    capability_keys,
    console_keys,
    directory_keys,
    idmap_keys,
    init_keys,
    name_keys,
    read_architecture,
    read_autostart,
    read_console_log,
    read_drop,
    read_ephemeral,
    read_hostname,
    read_idmap,
    read_init,
    read_keep,
    read_kept_namespaces,
    read_share,
    read_terminals,
    read_variable,
    share_keys,
    user_keys,
    variable_keys,
)
from insula.conversion.plainvalues import read_directory, read_group, read_nodes, read_user

_CONFINED = "who confines a guest is not chosen: id map, capabilities, Landlock and a filter of system calls are"
_HOOK = "no program of ours, or of the host, runs at a change of a guest's life"
_HOOK_ADVICE = "watch 'insula events' or libvirt's events, and act on them"
_BOOT, _BOOT_ADVICE = "it is said in other words", "<insula:autostart order='' delay='' group=''>"
_LOGGED = "what concerns a guest is in the daemon's log"


def _signal(what: str) -> ForeignKey:
    return ForeignKey(
        name=f"lxc.signal.{what}", why="a guest's init is asked in its own way, which is found out by what it is"
    )


def _hooks() -> Iterator[ForeignKey]:
    inside = ("pre-mount", "mount", "autodev", "start")
    outside = ("pre-start", "start-host", "stop", "post-stop", "clone", "destroy")
    yield ForeignKey(name="lxc.hook.version", why=_HOOK, advice=_HOOK_ADVICE)
    yield from (ForeignKey(name=f"lxc.hook.{each}", why=_HOOK, advice=_HOOK_ADVICE) for each in (*inside, *outside))


_MAYBE_LATER = "controllers of control groups have this beside what definitions say"
LXC_KEYS = KeyTable(
    (
        ForeignKey(name="lxc.uts.name", becomes="name, insula:hostname", read=read_hostname, write=name_keys),
        ForeignKey(name="lxc.arch", becomes="os/type/@arch", read=read_architecture, write=architecture_keys),
        ForeignKey(name="lxc.rootfs.path", becomes="filesystem with the target /", read=read_root, write=root_keys),
        ForeignKey(name="lxc.rootfs.options", becomes="filesystem/readonly", read=read_root),
        ForeignKey(
            name="lxc.rootfs.mount", why="where the root is put together concerns nobody", advice="take the line out"
        ),
        ForeignKey(name="lxc.rootfs.managed", why="a root that is given by directory is never removed"),
        ForeignKey(name="lxc.rootfs.backend", read=read_root, becomes="filesystem/@type"),
        ForeignKey(name="lxc.init.cmd", becomes="os/init, os/initarg", read=read_init, write=init_keys),
        ForeignKey(name="lxc.init.cwd", becomes="os/initdir", read=read_directory, write=directory_keys),
        ForeignKey(name="lxc.init.uid", becomes="os/inituser", read=read_user, write=user_keys),
        ForeignKey(name="lxc.init.gid", becomes="os/initgroup", read=read_group),
        ForeignKey(name="lxc.init.groups", why="the first process has the groups that its user has inside"),
        ForeignKey(name="lxc.execute.cmd", why="it is what lxc-execute runs", advice="name a program by lxc.init.cmd"),
        ForeignKey(name="lxc.environment", becomes="os/initenv", read=read_variable, write=variable_keys),
        ForeignKey(name="lxc.environment.runtime", becomes="os/initenv", read=read_variable),
        ForeignKey(name="lxc.environment.hooks", why=_HOOK, advice=_HOOK_ADVICE),
        ForeignKey(name="lxc.idmap", becomes="idmap", read=read_idmap, write=idmap_keys),
        ForeignKey(name="lxc.cap.drop", becomes="features/capabilities", read=read_drop, write=capability_keys),
        ForeignKey(name="lxc.cap.keep", becomes="features/capabilities with policy='deny'", read=read_keep),
        ForeignKey(
            name="lxc.tty.max",
            becomes="console, beside the first",
            read=read_terminals,
            write=console_keys,
        ),
        ForeignKey(name="lxc.console.logfile", becomes="console/log", read=read_console_log),
        ForeignKey(
            name="lxc.console.path",
            read=anyway(
                "auto", why="the console is a terminal of our own", advice="insula console DOMAIN attaches to it"
            ),
        ),
        ForeignKey(
            name="lxc.console.size", why="what a console said is kept and rotated by the daemon", advice="insulad.toml"
        ),
        ForeignKey(
            name="lxc.console.rotate",
            why="what a console said is kept and rotated by the daemon",
            advice="insulad.toml",
        ),
        ForeignKey(
            name="lxc.console.buffer.size", why="what a console said is kept by the daemon", advice="insula log DOMAIN"
        ),
        ForeignKey(
            name="lxc.console.buffer.logfile",
            why="what a console said is kept by the daemon",
            advice="insula log DOMAIN",
        ),
        ForeignKey(name="lxc.pty.max", why="a guest has a devpts of its own; the host's kernel.pty.max holds for all"),
        ForeignKey(name="lxc.tty.dir", why="terminals are where programs look for them: /dev/console and /dev/tty1"),
        ForeignKey(
            name="lxc.autodev", read=anyway("1", why="a guest's /dev is made for it, and holds what it was given")
        ),
        ForeignKey(name="lxc.autodev.tmpfs.size", why="a guest's /dev has a size of its own"),
        ForeignKey(name="lxc.mount.auto", becomes="what a guest finds mounted anyway", read=read_automatic),
        ForeignKey(name="lxc.mount.entry", becomes="filesystem, hostdev", read=read_mount_entry, write=lxc_mount_keys),
        ForeignKey(
            name="lxc.mount.fstab", becomes="as lxc.mount.entry, where the file is handed over", read=read_mount_entry
        ),
        ForeignKey(name="lxc.net.*", becomes="interface, hostdev of type net", write=lxc_network_keys, why=""),
        ForeignKey(name="lxc.network.*", becomes="as lxc.net.N", why=""),
        ForeignKey(name="lxc.cgroup2.memory.max", becomes="memory", read=amount(take_memory), write=memory_keys),
        ForeignKey(name="lxc.cgroup2.memory.high", becomes="memtune/soft_limit", read=amount(take_soft_memory)),
        ForeignKey(name="lxc.cgroup2.memory.min", becomes="memtune/min_guarantee", read=amount(take_guarantee)),
        ForeignKey(name="lxc.cgroup2.memory.swap.max", becomes="memtune/swap_hard_limit", read=amount(take_swap)),
        ForeignKey(name="lxc.cgroup.memory.limit_in_bytes", becomes="memory", read=amount(take_memory)),
        ForeignKey(
            name="lxc.cgroup.memory.soft_limit_in_bytes", becomes="memtune/soft_limit", read=amount(take_soft_memory)
        ),
        ForeignKey(
            name="lxc.cgroup.memory.memsw.limit_in_bytes", becomes="memtune/swap_hard_limit", read=amount(take_total)
        ),
        ForeignKey(name="lxc.cgroup2.cpuset.cpus", becomes="vcpu, vcpu/@cpuset", read=read_cpus, write=cpu_keys),
        ForeignKey(name="lxc.cgroup.cpuset.cpus", becomes="vcpu, vcpu/@cpuset", read=read_cpus),
        ForeignKey(name="lxc.cgroup2.cpuset.mems", becomes="numatune/memory/@nodeset", read=read_nodes),
        ForeignKey(name="lxc.cgroup.cpuset.mems", becomes="numatune/memory/@nodeset", read=read_nodes),
        ForeignKey(name="lxc.cgroup2.cpu.weight", becomes="cputune/shares", read=read_weight),
        ForeignKey(name="lxc.cgroup.cpu.shares", becomes="cputune/shares", read=read_shares),
        ForeignKey(name="lxc.cgroup2.cpu.max", becomes="cputune/quota, cputune/period", read=read_cpu_max),
        ForeignKey(name="lxc.cgroup.cpu.cfs_quota_us", becomes="cputune/quota", read=read_quota),
        ForeignKey(name="lxc.cgroup.cpu.cfs_period_us", becomes="cputune/period", read=read_period),
        ForeignKey(name="lxc.cgroup2.io.weight", becomes="blkiotune/weight", read=read_block_weight, write=weight_keys),
        ForeignKey(name="lxc.cgroup.blkio.weight", becomes="blkiotune/weight", read=read_block_weight),
        ForeignKey(name="lxc.cgroup2.pids.max", becomes="insula:pids", read=read_pids, write=pids_keys),
        ForeignKey(name="lxc.cgroup.pids.max", becomes="insula:pids", read=read_pids),
        ForeignKey(
            name="lxc.cgroup2.devices.*",
            becomes="what a guest may open anyway",
            read=read_device_rule,
            write=device_keys,
        ),
        ForeignKey(name="lxc.cgroup.devices.*", becomes="what a guest may open anyway", read=read_device_rule),
        ForeignKey(name="lxc.cgroup2.*", why=_MAYBE_LATER, advice="set it on the guest's group on the host"),
        ForeignKey(name="lxc.cgroup.*", why=_MAYBE_LATER, advice="set it on the guest's group on the host"),
        ForeignKey(
            name="lxc.cgroup.dir", why="groups are named by domain", advice="<resource><partition> is the group above"
        ),
        ForeignKey(
            name="lxc.cgroup.dir.*", why="groups are named by domain", advice="<resource><partition> is the group above"
        ),
        ForeignKey(
            name="lxc.cgroup.relative",
            why="groups are named by domain",
            advice="<resource><partition> is the group above",
        ),
        ForeignKey(name="lxc.prlimit.*", becomes="insula:rlimit", read=read_resource_limit, write=resource_limit_keys),
        ForeignKey(name="lxc.sysctl.*", becomes="insula:sysctl", read=read_kernel_setting, write=kernel_setting_keys),
        ForeignKey(name="lxc.proc.*", why="files below /proc/PID are the guest's own to write"),
        ForeignKey(name="lxc.time.offset.boot", becomes="insula:timens", read=read_clock, write=clock_keys),
        ForeignKey(name="lxc.time.offset.monotonic", becomes="insula:timens", read=read_clock),
        ForeignKey(name="lxc.namespace.share.*", becomes="lxc:namespace", read=read_share, write=share_keys),
        ForeignKey(name="lxc.namespace.keep", becomes="lxc:namespace with the host's", read=read_kept_namespaces),
        ForeignKey(
            name="lxc.namespace.clone", why="a guest has a namespace of its own of each kind that it does not share"
        ),
        ForeignKey(name="lxc.start.auto", read=read_autostart, becomes="nothing; see insula autostart"),
        ForeignKey(name="lxc.start.delay", why=_BOOT, advice=_BOOT_ADVICE),
        ForeignKey(name="lxc.start.order", why=_BOOT, advice=_BOOT_ADVICE),
        ForeignKey(name="lxc.group", why=_BOOT, advice=_BOOT_ADVICE),
        ForeignKey(name="lxc.ephemeral", read=read_ephemeral, becomes="nothing; see virsh create"),
        *map(_signal, ("halt", "reboot", "stop")),
        *_hooks(),
        ForeignKey(name="lxc.apparmor.*", why=_CONFINED),
        ForeignKey(name="lxc.selinux.*", why=_CONFINED),
        ForeignKey(name="lxc.seccomp.*", why=_CONFINED, advice="<insula:allow> lets more through"),
        ForeignKey(
            name="lxc.keyring.session", why="guests have no keyrings", advice="<insula:allow feature='keyrings'/>"
        ),
        ForeignKey(
            name="lxc.no_new_privs", why="set-user-id programs work in a guest", advice="drop capabilities instead"
        ),
        ForeignKey(name="lxc.sched.core", why="core scheduling is not asked for"),
        ForeignKey(name="lxc.log.*", why=_LOGGED, advice="log_level in insulad.toml"),
        ForeignKey(name="lxc.monitor.*", why="no process of ours stands beside a guest"),
        ForeignKey(
            name="lxc.include", why="the file that it names was not handed over", advice="insula config import reads it"
        ),
        ForeignKey(name="lxc.kmsg", read=anyway("0", why="a guest has no kernel log of the host's")),
    ),
    unknown="lxc.container.conf(5)",
)
