"""Where a domain's memory comes from: numatune. Source of names and checks: libvirt's QEMU driver."""

from dataclasses import replace

from insula.engine.launch.limits import only
from insula.engine.spec import Limits
from insula.errors import InvalidArgumentError, OperationInvalidError
from insula.kernel.cgroups import Cgroup
from insula.model.domain import DomainDefinition
from insula.model.numbers import ParameterType
from insula.model.resourcetuning import NumaMemory, NumaMode, NumaTune
from insula.model.sizes import format_cpuset, parse_cpuset
from insula.service.domainlimits import limits_of
from insula.service.parameters import Value
from insula.service.tuning import Family, Values

MODES = (NumaMode.STRICT, NumaMode.PREFERRED, NumaMode.INTERLEAVE, NumaMode.RESTRICTIVE)
"""By libvirt's numbers. Source: virDomainNumatuneMemMode in its public domain header."""


def _memory(domain: DomainDefinition) -> NumaMemory:
    return (domain.numa_tune.memory if domain.numa_tune is not None else None) or NumaMemory()


def _defined(domain: DomainDefinition) -> Values:
    memory = _memory(domain)
    nodes = "" if memory.nodes is None else format_cpuset(memory.nodes)
    return {"numa_mode": MODES.index(memory.mode), "numa_nodeset": nodes}


def _live(cgroup: Cgroup, domain: DomainDefinition) -> Values:
    """Where the nodes are preferred, not demanded, only the definition knows them."""
    _, nodes = cgroup.cpuset.held()
    defined = _defined(domain)
    return {**defined, "numa_nodeset": nodes} if _memory(domain).pins else defined


def _changed(domain: DomainDefinition, values: Values) -> DomainDefinition:
    memory = _memory(domain)
    if "numa_mode" in values:
        memory = replace(memory, mode=_mode(values["numa_mode"]))
    if "numa_nodeset" in values:
        text = str(values["numa_nodeset"])
        try:
            memory = replace(memory, nodes=parse_cpuset(text) if text else None, placement=None)
        except ValueError as error:
            raise InvalidArgumentError(f"'{text}' is no list of NUMA nodes, such as 0-1: {error}") from error
    tune = replace(domain.numa_tune or NumaTune(), memory=None if memory == NumaMemory() else memory)
    return replace(domain, numa_tune=None if tune == NumaTune() else tune)


def _mode(value: Value) -> NumaMode:
    if int(value) not in range(len(MODES)):
        known = ", ".join(f"{number} ({mode})" for number, mode in enumerate(MODES))
        raise InvalidArgumentError(f"there is no NUMA mode {value}; there are {known}")
    return MODES[int(value)]


def _limits(domain: DomainDefinition, values: Values) -> Limits:
    memory = _memory(domain)
    if not memory.pins:
        raise OperationInvalidError(
            f"the mode '{memory.mode}' is a policy that programs inherit, so those that run keep theirs: change the "
            "definition (--config), from the next start on"
        )
    return only(limits_of(domain), {"memory_nodes"})


NUMA = Family(
    name="NUMA parameters",
    table={"numa_mode": ParameterType.INT, "numa_nodeset": ParameterType.STRING},
    defined=_defined,
    live=_live,
    changed=_changed,
    limits=_limits,
)
