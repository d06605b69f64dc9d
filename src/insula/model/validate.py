"""What is wrong with a domain although its XML is right: small checks, each a function that names what it finds.

They look at the domain alone; what depends on the host (is there such a bridge, so many processors) is the service's.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import PurePosixPath

from insula.errors import InsulaError, MissingSourceError, UnsupportedConfigError, XmlError
from insula.model.devices import HostDevice, HostDeviceMode, HostDeviceType
from insula.model.domain import DEVICES_MAX, DomainDefinition
from insula.model.filesystems import ROOT, Filesystem, FilesystemType
from insula.model.foreign import ForeignElement
from insula.model.interfacechecks import (
    check_floors,
    check_interface_addresses,
    check_interface_names,
    check_interface_sources,
    check_network_share,
    check_port_forwards,
    check_shared_namespaces,
)
from insula.model.numbers import XmlFlags
from insula.model.repetition import repeated
from insula.model.security import ID_MAX, DefinedIdRange, LabelType
from insula.model.settingchecks import (
    check_allowances,
    check_clocks,
    check_core_dumps,
    check_dependencies,
    check_further_limits,
    check_grants,
    check_hostname,
    check_kernel_settings,
    check_limits,
    check_names,
    check_probes,
    check_settings,
    check_subordinate_ids,
)
from insula.model.titles import title_problems
from insula.model.xmlsource import parse

Check = Callable[[DomainDefinition], Iterator[str]]

_PORT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_ALIAS = re.compile(r"[A-Za-z0-9_-]+\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


UNREADABLE = "its document could not be read again"
"""How the problem of a domain begins whose document nobody could define."""


def problems(domain: DomainDefinition) -> tuple[str, ...]:
    """Return everything the checks find, in their order; empty for a domain that can be defined."""
    return domain.once(_found)


def _found(domain: DomainDefinition) -> tuple[str, ...]:
    return tuple(text for check in CHECKS for text in check(domain))


def validate(domain: DomainDefinition) -> None:
    """Raises: an error that names every problem; it is of the kind that libvirt has for the first of them."""
    if found := problems(domain):
        raise next(KINDS.get(check, UnsupportedConfigError) for check in CHECKS if any(check(domain)))("; ".join(found))


def check_document(domain: DomainDefinition) -> Iterator[str]:
    """A change may make a document too large that was not; what nobody could define again is not kept either."""
    try:
        parse(domain.dump(XmlFlags.INACTIVE | XmlFlags.SECURE))
        if domain.os.environment:  # what those are shown who may not see values has a mark on each
            parse(domain.dump(XmlFlags.LIVE))
    except InsulaError as error:
        yield f"{UNREADABLE}: {error}"


def check_title(domain: DomainDefinition) -> Iterator[str]:
    return title_problems(domain.title)


def check_memory(domain: DomainDefinition) -> Iterator[str]:
    if domain.memory == 0:
        yield "the memory is 0; give the domain some"
    tune = domain.memory_tune
    if tune is None or tune.hard_limit is None:
        return
    if tune.swap_hard_limit is not None and tune.swap_hard_limit < tune.hard_limit:
        yield "memtune's swap_hard_limit, which counts memory too, is below its hard_limit; raise it"


def check_vcpus(domain: DomainDefinition) -> Iterator[str]:
    vcpu = domain.vcpu
    if vcpu.current is not None and vcpu.current > vcpu.count:
        yield f"{vcpu.current} vcpus are to be in use, but there are only {vcpu.count}"
    single = domain.single_vcpus.each if domain.single_vcpus is not None else ()
    numbers = [each.number for each in single]
    if numbers and sorted(numbers) != list(range(vcpu.count)):
        yield f"<vcpus> names each of the {vcpu.count} vcpus from 0 on once"
    elif single and not domain.vcpus_in_use:
        yield "no vcpu is enabled"


def check_partition(domain: DomainDefinition) -> Iterator[str]:
    partition = domain.resource.partition if domain.resource is not None else None
    if partition is not None and ".." in partition.parts:
        yield f"the partition {partition} climbs with '..'; write the path it means, such as /machine"


def check_environment(domain: DomainDefinition) -> Iterator[str]:
    for each in domain.os.environment:
        if not _VARIABLE.match(each.name):
            yield f"'{each.name}' cannot name an environment variable"
        if each.is_hidden:
            yield (
                f"the value of the environment variable '{each.name}' is hidden in this document, and no domain of "
                "this UUID is known that has it; write it down, or dump the document with --security-info"
            )
    for name in repeated(each.name for each in domain.os.environment):
        yield f"the environment variable '{name}' is set twice"
    texts = (*domain.os.arguments, *(each.value for each in domain.os.environment))
    if any("\0" in text for text in texts):
        yield "an argument or variable of the init holds a zero byte"


def check_filesystem_sources(domain: DomainDefinition) -> Iterator[str]:
    for each in domain.devices.filesystems:
        wanted, value = _source(each)
        if value is None:
            yield f"the filesystem at {each.target} is of type {each.type} and has no source {wanted}"
        if each.type is FilesystemType.RAM and each.source.usage == 0:
            yield f"the ram filesystem at {each.target} has the size 0"


def _source(filesystem: Filesystem) -> tuple[str, object]:
    """Return which attributes of the source the type asks for, and what they say."""
    source = filesystem.source
    match filesystem.type:
        case FilesystemType.MOUNT | FilesystemType.BIND:
            return "dir", source.directory
        case FilesystemType.TEMPLATE:
            return "name", source.name
        case FilesystemType.FILE:
            return "file", source.file
        case FilesystemType.BLOCK:
            return "dev", source.device
        case FilesystemType.RAM:
            return "usage", source.usage
        case FilesystemType.VOLUME:
            return "pool and volume", source.pool and source.volume


def check_mount_targets(domain: DomainDefinition) -> Iterator[str]:
    targets = [each.target for each in domain.devices.filesystems]
    if targets.count(ROOT) > 1:
        yield "there are two filesystems for the root; keep one with the target /"
    for target in repeated(str(each) for each in targets if each != ROOT):
        yield f"there are two filesystems for the target {target}"
    for each in targets:
        if ".." in each.parts:
            yield f"the target {each} climbs with '..'; write the path it means"


def check_mapped_filesystems(domain: DomainDefinition) -> Iterator[str]:
    shown = (FilesystemType.MOUNT, FilesystemType.FILE, FilesystemType.BLOCK)
    for each in domain.devices.filesystems:
        if each.idmap is not None and each.type not in shown:
            yield f"the filesystem at {each.target}, of type {each.type}, has insula:idmap, which means nothing there"


def check_idmap(domain: DomainDefinition) -> Iterator[str]:
    if domain.idmap is None:
        return
    if domain.settings.privileged:
        yield "the domain is privileged and has an idmap; choose one"
    for kind, ranges in (("uid", domain.idmap.uids), ("gid", domain.idmap.gids)):
        if not any(each.start == 0 for each in ranges):
            yield f"the idmap has no {kind} range that starts at 0, so the guest would have no root"
        if any(each.start + each.count - 1 > ID_MAX or each.target + each.count - 1 > ID_MAX for each in ranges):
            yield f"a {kind} range of the idmap runs past {ID_MAX}"
        if _overlap(ranges, lambda each: each.start):
            yield f"two {kind} ranges of the idmap overlap in the guest"
        if _overlap(ranges, lambda each: each.target):
            yield f"two {kind} ranges of the idmap overlap on the host"


def _overlap(ranges: tuple[DefinedIdRange, ...], first: Callable[[DefinedIdRange], int]) -> bool:
    ordered = sorted(ranges, key=first)
    return any(first(low) + low.count > first(high) for low, high in pairwise(ordered))


def check_capabilities(domain: DomainDefinition) -> Iterator[str]:
    capabilities = domain.features.capabilities if domain.features is not None else None
    if capabilities is None:
        return
    for each in capabilities.foreign:
        if isinstance(each.item, ForeignElement):
            yield f"'{each.item.name}' is no capability; see capabilities(7), without the cap_"
    for name in repeated(each.capability.value for each in capabilities.states):
        yield f"the capability '{name}' is set twice"


def check_device_count(domain: DomainDefinition) -> Iterator[str]:
    devices = domain.devices
    listed = (devices.disks, devices.filesystems, devices.interfaces, devices.graphics, devices.host_devices)
    unknown = sum(isinstance(each.item, ForeignElement) for each in devices.foreign)
    number = sum(map(len, listed)) + max(1, len(devices.consoles)) + len(devices.channels) + unknown
    if number > DEVICES_MAX:
        yield f"the domain has {number} devices, more than the {DEVICES_MAX} that are accepted"


def check_aliases(domain: DomainDefinition) -> Iterator[str]:
    """Those that users choose; ours are made at start. Source: libvirt's domain XML format, "alias"."""
    devices = domain.devices
    listed = (devices.disks, devices.filesystems, devices.interfaces, devices.consoles, devices.host_devices)
    named = [each.alias for kind in (*listed, devices.channels) for each in kind]
    aliases = [alias for alias in named if alias and alias.startswith("ua-")]
    for alias in aliases:
        if not _ALIAS.match(alias):
            yield f"'{alias}' cannot be the alias of a device; take letters, digits, underscores and hyphens"
    for alias in repeated(aliases):
        yield f"two devices have the alias '{alias}'"


def _is_given(domain: DomainDefinition, path: PurePosixPath) -> bool:
    """Whether a path of the host is in a directory that the guest has."""
    trees = [each.source.directory for each in domain.devices.filesystems if each.source is not None]
    return any(tree is not None and path.is_relative_to(tree) for tree in trees)


def check_consoles(domain: DomainDefinition) -> Iterator[str]:
    logs = [each.log.file for each in domain.devices.consoles if each.log is not None]
    for path in repeated(map(str, logs)):
        yield f"two consoles have the log '{path}'"
    for log in logs:
        if ".." in log.parts or not log.name:
            yield f"the log '{log}' of a console must be the path of a file, without '..'"
        if _is_given(domain, log):
            yield f"the log '{log}' of a console is in a directory that the guest has: put it elsewhere"


def check_channels(domain: DomainDefinition) -> Iterator[str]:
    ports = [each for each in domain.devices.channels if each.port is not None]
    for name in repeated(str(each.port) for each in ports):
        yield f"two channels have the name '{name}'"
    for each in ports:
        if not _PORT.fullmatch(str(each.port)):
            yield f"'{each.port}' cannot be the name of a channel; take letters, digits, '.', '_' and '-', 128 at most"
        path = each.source.path if each.source is not None else None
        if path is not None and (".." in path.parts or _is_given(domain, path)):
            yield f"the socket '{path}' of a channel must be a path without '..', outside what the guest has"


def check_disks(domain: DomainDefinition) -> Iterator[str]:
    for name in repeated(each.target.device for each in domain.devices.disks):
        yield f"two disks are called '{name}' in the guest"
    root = domain.root_disk
    if root is not None and (root.source is None or not (root.source.file or root.source.device)):
        yield f"the disk '{root.target.device}', from which a machine would boot, has no source"


def check_host_devices(domain: DomainDefinition) -> Iterator[str]:
    for number, each in enumerate(domain.devices.host_devices, start=1):
        if not _is_complete(each):
            yield f"hostdev {number}, mode {each.mode}, type {each.type}, does not name the device its type asks for"


def _is_complete(device: HostDevice) -> bool:
    """Those of other types are kept as they came, and refused when the domain is started."""
    source = device.source
    match device.mode, device.type:
        case HostDeviceMode.CAPABILITIES, HostDeviceType.STORAGE:
            return source.block is not None
        case HostDeviceMode.CAPABILITIES, HostDeviceType.MISC:
            return source.character is not None
        case HostDeviceMode.CAPABILITIES, HostDeviceType.NET:
            return bool(source.interface)
        case HostDeviceMode.SUBSYSTEM, HostDeviceType.USB:
            return source.address is not None or (source.vendor is not None and source.product is not None)
    return device.mode is HostDeviceMode.SUBSYSTEM


def check_security_labels(domain: DomainDefinition) -> Iterator[str]:
    for each in domain.security_labels:
        if each.type is LabelType.STATIC and each.model != "none" and not each.label:
            yield f"the static security label of model '{each.model}' has no label"
    for model in repeated(each.model for each in domain.security_labels if each.model):
        yield f"there are two security labels of model '{model}'"


CHECKS: tuple[Check, ...] = (
    check_document,
    check_title,
    check_memory,
    check_vcpus,
    check_partition,
    check_environment,
    check_filesystem_sources,
    check_mount_targets,
    check_mapped_filesystems,
    check_idmap,
    check_capabilities,
    check_device_count,
    check_aliases,
    check_interface_sources,
    check_interface_names,
    check_interface_addresses,
    check_floors,
    check_port_forwards,
    check_consoles,
    check_channels,
    check_disks,
    check_host_devices,
    check_shared_namespaces,
    check_network_share,
    check_security_labels,
    check_hostname,
    check_names,
    check_clocks,
    check_subordinate_ids,
    check_limits,
    check_further_limits,
    check_kernel_settings,
    check_core_dumps,
    check_allowances,
    check_grants,
    check_dependencies,
    check_probes,
    check_settings,
)
"""Every check, in the order their texts appear."""

KINDS: Mapping[Check, type[InsulaError]] = {
    check_title: XmlError,
    check_filesystem_sources: MissingSourceError,
    check_interface_sources: XmlError,
    check_interface_addresses: XmlError,
    check_host_devices: XmlError,
    check_security_labels: XmlError,
}
"""What libvirt says is wrong with the XML; all else it counts as a configuration that is not supported."""
