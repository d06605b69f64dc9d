"""What is wrong with our own settings of a domain although their XML is right: checks as those of `validate`."""

import re
from collections.abc import Iterator

from insula.engine.coreplace import pattern_problem
from insula.engine.fragments.speccheck import NAMESPACED_SETTINGS, namespace_of_setting, setting_path
from insula.engine.policy.resourcelimits import ENOUGH
from insula.engine.policy.socketpolicy import FAMILIES, NETLINK, TRANSPORTS
from insula.kernel.cgroups.groupkeys import is_limit
from insula.model.devicegrants import grant_problems
from insula.model.domain import DomainDefinition
from insula.model.foreign import ForeignElement
from insula.model.guestlimits import ControlFile
from insula.model.probes import probe_problems
from insula.model.repetition import repeated
from insula.model.resourcetuning import CpuTune
from insula.model.scalars import UNLIMITED, unprintable
from insula.model.xmlnamespaces import INSULA_NAMESPACE

SOCKET_WORDS = {"family": FAMILIES, "netlink": NETLINK, "transport": TRANSPORTS}
"""What <insula:allow> may name, by attribute."""

_HOSTNAME = re.compile(
    r"(?=.{1,64}\Z)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\Z"
)
IDS_OF_USER = 65536
"""Subordinate ids come in ranges of so many: SUB_UID_COUNT of login.defs(5)."""
SAID_ELSEWHERE = {
    **dict.fromkeys(("memory.max", "memory.limit_in_bytes"), "<memory>, or <hard_limit> of <memtune>,"),
    **dict.fromkeys(("memory.high", "memory.soft_limit_in_bytes"), "<soft_limit> of <memtune>"),
    "memory.min": "<min_guarantee> of <memtune>",
    **dict.fromkeys(("memory.swap.max", "memory.memsw.limit_in_bytes"), "<swap_hard_limit> of <memtune>"),
    **dict.fromkeys(("memory.zswap.max", "memory.zswap.writeback"), "<insula:zswap>"),
    **dict.fromkeys(("cpu.weight", "cpu.weight.nice", "cpu.shares"), "<shares> of <cputune>"),
    **dict.fromkeys(("cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us"), "<quota> and <period> of <cputune>"),
    **dict.fromkeys(("cpu.max.burst", "cpu.cfs_burst_us", "cpu.idle"), "<insula:cpu>"),
    **dict.fromkeys(("cpuset.cpus", "cpuset.mems"), "<vcpu cpuset=''>, or <numatune>,"),
    **dict.fromkeys(("io.max", "io.weight", "io.bfq.weight", "blkio.bfq.weight"), "<blkiotune>"),
    "io.latency": "<insula:latency>",
    "pids.max": "<insula:pids>",
    "misc.max": "<insula:misc>",
}
"""Control files that other parts of a definition are about: two truths about one would be none."""
FURTHER_MAX = 64
_RESOURCE = re.compile(r"[A-Za-z0-9_]{1,64}\Z")
NAMES_MAX, HOSTS_MAX, DEPENDENCIES_MAX = 32, 1024, 64
_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\Z")
_SETTING_SIZE = 1024
"""Bytes of a setting's value: more than any of the kernel's takes."""


def check_hostname(domain: DomainDefinition) -> Iterator[str]:
    hostname = domain.settings.hostname
    if hostname is not None and not _HOSTNAME.match(hostname):
        yield f"'{hostname}' cannot be a host name; take letters, digits, dots and hyphens, at most 64"


def check_names(domain: DomainDefinition) -> Iterator[str]:
    settings = domain.settings
    for each in settings.search_domains:
        if not _NAME.match(each):
            yield f"names cannot be looked for in '{each}'; take letters, digits, dots, hyphens and underscores"
    for name in repeated(settings.search_domains):
        yield f"names are looked for in '{name}' twice"
    if len(settings.nameservers) > NAMES_MAX or len(settings.search_domains) > NAMES_MAX:
        yield f"there are more than {NAMES_MAX} nameservers or domains that names are looked for in"
    if len(settings.hosts) > HOSTS_MAX:
        yield f"there are more than {HOSTS_MAX} hosts"
    for host in settings.hosts:
        odd = [name for name in host.names.split() if not _NAME.match(name)]
        if odd or not host.names.split():
            yield f"the host {host.address} needs names of letters, digits, dots, hyphens and underscores"


def check_clocks(domain: DomainDefinition) -> Iterator[str]:
    wanted = domain.settings.time_namespace
    if wanted is not None and any(each and each.nanoseconds for each in (wanted.monotonic, wanted.boot_time)):
        yield "a clock's shift is in whole seconds: nanoseconds cannot be had"


def check_subordinate_ids(domain: DomainDefinition) -> Iterator[str]:
    wanted = domain.settings.subordinate_ids
    if wanted is None:
        return
    if wanted % IDS_OF_USER:
        yield f"{wanted} subordinate ids are no multiple of {IDS_OF_USER}, which is what one user has"
    if domain.settings.privileged or domain.idmap is not None:
        yield "the domain has no ids of its own to which subordinate ones could be added; take <insula:subordinate> out"


def check_limits(domain: DomainDefinition) -> Iterator[str]:
    for each in domain.settings.limits:
        if each.name.upper() not in ENOUGH or not each.name.islower():
            yield f"there is no resource limit '{each.name}'; choose of {', '.join(map(str.lower, ENOUGH))}"
        soft, hard = each.bounds
        if each.soft is None and each.hard is None:
            yield f"the resource limit '{each.name}' says neither soft nor hard"
        elif hard != UNLIMITED and (soft == UNLIMITED or soft > hard):
            yield f"the resource limit '{each.name}' is above its hard one"
    for name in repeated(each.name for each in domain.settings.limits):
        yield f"the resource limit '{name}' is set twice"


def check_further_limits(domain: DomainDefinition) -> Iterator[str]:
    settings, tune = domain.settings, domain.cpu_tune or CpuTune()
    quota = tune.quota if tune.quota is not None else tune.global_quota
    burst = settings.cpu.burst if settings.cpu is not None else None
    if burst is not None and quota is not None and 0 < quota < burst:
        yield f"a burst of {burst} microseconds is above the quota of {quota}, which the kernel refuses; lower it"
    for each in settings.misc:
        if not _RESOURCE.match(each.resource):
            yield f"the misc controller counts no '{each.resource}'; its names stand in the host's misc.capacity"
    for control in settings.control_files:
        yield from control_file_problems(control)
    several = {
        "latency of": [str(each.device) for each in settings.latencies],
        "limit of huge pages of": [f"{each.size} KiB" for each in settings.huge_pages],
        "limit of": [each.resource for each in settings.misc],
        "control file": [each.key for each in settings.control_files],
    }
    for what, names in several.items():
        for name in repeated(names):
            yield f"the {what} {name} is set twice"
        if len(names) > FURTHER_MAX:
            yield f"there are more than {FURTHER_MAX} of one kind of limit"


def control_file_problems(control: ControlFile) -> Iterator[str]:
    """Yield what keeps a control file of the guest's group from being written by a definition."""
    if not is_limit(control.key):
        yield f"'{control.key}' is no control file of a limit, such as memory.oom.group"
    elif control.key in SAID_ELSEWHERE:
        yield f"'{control.key}' is what {SAID_ELSEWHERE[control.key]} is for; take that"
    fits = 0 < len(control.value) <= _SETTING_SIZE and control.value.isascii() and not unprintable(control.value)
    if not fits:
        yield f"the value of the control file '{control.key}' is not one line of 1 to {_SETTING_SIZE} letters of ASCII"


def check_kernel_settings(domain: DomainDefinition) -> Iterator[str]:
    paths = []
    for each in domain.settings.kernel_settings:
        path = setting_path(each.name)
        if path is None:
            yield f"'{each.name}' is no kernel setting; write it as sysctl(8) does, such as net.ipv4.ip_forward"
            continue
        paths.append(path)
        if namespace_of_setting(path) is None:
            kinds = ", ".join(prefix.replace("/", ".") for prefix, _ in NAMESPACED_SETTINGS)
            yield f"the kernel setting '{each.name}' is the whole host's; a guest has its own of those below {kinds}"
        if not each.value or len(each.value.encode()) > _SETTING_SIZE or unprintable(each.value, allowed="\t"):
            yield f"the value of the kernel setting '{each.name}' is not one line of 1 to {_SETTING_SIZE} bytes"
    for name in repeated(paths):
        yield f"the kernel setting '{name.replace('/', '.')}' is set twice"


def check_allowances(domain: DomainDefinition) -> Iterator[str]:
    for each in domain.settings.allowed:
        words = {"family": each.family, "netlink": each.netlink, "transport": each.transport, "feature": each.feature}
        given = [(attribute, word) for attribute, word in words.items() if word is not None]
        if len(given) != 1:
            yield f"<insula:allow> has one of {', '.join(words)}; write one element for each"
        for attribute, word in given:
            if attribute in SOCKET_WORDS and word not in SOCKET_WORDS[attribute]:
                yield f"there is no {attribute} '{word}' to allow; choose of {', '.join(SOCKET_WORDS[attribute])}"


def check_core_dumps(domain: DomainDefinition) -> Iterator[str]:
    wanted = domain.settings.core_dumps
    if wanted is None:
        return
    if (problem := pattern_problem(wanted.pattern)) is not None:
        yield f"the pattern '{wanted.pattern}' of core dumps {problem}"
    if wanted.limit == 0:
        yield "the limit of core dumps is 0; leave <insula:coredumps> out, and none is kept"


def check_grants(domain: DomainDefinition) -> Iterator[str]:
    return grant_problems(domain.settings.grants, shares_network=domain.settings.network_share is not None)


def check_dependencies(domain: DomainDefinition) -> Iterator[str]:
    for name in repeated(each.domain for each in domain.settings.depends_on):
        yield f"the domain depends on '{name}' twice"
    if len(domain.settings.depends_on) > DEPENDENCIES_MAX:
        yield f"the domain depends on more than {DEPENDENCIES_MAX} others"


def check_probes(domain: DomainDefinition) -> Iterator[str]:
    readiness = domain.settings.readiness
    if readiness is not None:
        yield from probe_problems(readiness, "readiness", readiness.notifies)
    if domain.settings.health is not None:
        yield from probe_problems(domain.settings.health, "health")


def check_settings(domain: DomainDefinition) -> Iterator[str]:
    """Whatever else stands in our own namespace is a slip of the pen, and must not be passed over in silence."""
    if domain.metadata is None:
        return
    for each in domain.metadata.foreign:
        if isinstance(each.item, ForeignElement) and each.item.namespace == INSULA_NAMESPACE:
            yield f"<{each.item.name}> stands alone in the metadata; put it into <insula:domain>"
    for each in domain.settings.foreign:
        if isinstance(each.item, ForeignElement) and each.item.namespace == INSULA_NAMESPACE:
            yield f"<{each.item.name}> in <insula:domain> is no setting of ours"
