"""A domain's share of the processors: schedinfo. Source of names and checks: libvirt's LXC and QEMU drivers."""

from dataclasses import replace

from insula.engine.launch.limits import only
from insula.engine.spec import Limits
from insula.errors import InvalidArgumentError
from insula.kernel.cgroups import Cgroup
from insula.model.domain import DomainDefinition
from insula.model.numbers import ParameterType
from insula.model.resourcetuning import PERIOD, QUOTA, SHARES, CpuTune
from insula.service.domainlimits import limits_of
from insula.service.parameters import Value
from insula.service.tuning import Family, Values

SCHEDULER = "posix"
"""What libvirt calls the kernel's usual scheduler."""

NO_QUOTA = -1
LEAST_QUOTA = 1000

_FIELDS = {
    "cpu_shares": ("cpu_shares",),
    "vcpu_period": ("cpu_period", "cpu_quota"),
    "vcpu_quota": ("cpu_period", "cpu_quota"),
}
"""The limits that a parameter is about."""

_RANGES = {"cpu_shares": SHARES, "vcpu_period": PERIOD, "vcpu_quota": (LEAST_QUOTA, QUOTA[1])}


def _defined(domain: DomainDefinition) -> Values:
    tune = domain.cpu_tune or CpuTune()
    return {"cpu_shares": tune.shares or 0, "vcpu_period": tune.period or 0, "vcpu_quota": tune.quota or 0}


def _live(cgroup: Cgroup, domain: DomainDefinition) -> Values:
    shares, quota, period = cgroup.cpu.held()
    return {"cpu_shares": shares, "vcpu_period": period, "vcpu_quota": NO_QUOTA if quota is None else quota}


def _changed(domain: DomainDefinition, values: Values) -> DomainDefinition:
    """0 leaves a value as it is, and a quota below 0 is none: as libvirt has it."""
    wanted = {name: _in_range(name, value) for name, value in values.items() if value != 0}
    if not wanted:
        return domain
    tune = domain.cpu_tune or CpuTune()
    tune = replace(
        tune,
        shares=wanted.get("cpu_shares", tune.shares),
        period=wanted.get("vcpu_period", tune.period),
        quota=wanted.get("vcpu_quota", tune.quota),
    )
    burst = domain.settings.cpu.burst if domain.settings.cpu is not None else None
    if burst is not None and tune.quota is not None and 0 < tune.quota < burst:
        raise InvalidArgumentError(f"a quota of {tune.quota} is below the domain's burst of {burst}: lower that first")
    return replace(domain, cpu_tune=tune)


def _limits(domain: DomainDefinition, values: Values) -> Limits:
    """What was 0 stays as it is; a quota is one of its period, so both go together."""
    names = {field for name, fields in _FIELDS.items() if values.get(name) for field in fields}
    return only(limits_of(domain), names)


def _in_range(name: str, value: Value) -> int:
    number = int(value)
    if name == "vcpu_quota" and number < 0:
        return NO_QUOTA
    lowest, highest = _RANGES[name]
    if not lowest <= number <= highest:
        raise InvalidArgumentError(f"value of '{name}' is out of range [{lowest}, {highest}]")
    return number


CPU = Family(
    name="scheduler parameters",
    table={
        "cpu_shares": ParameterType.ULLONG,
        "vcpu_period": ParameterType.ULLONG,
        "vcpu_quota": ParameterType.LLONG,
    },
    defined=_defined,
    live=_live,
    changed=_changed,
    limits=_limits,
    tunable="cputune.",
)
