"""How many processes and threads a domain may have. libvirt has no call for that, so the call is ours."""

from dataclasses import replace

from insula.engine.launch.limits import only
from insula.engine.spec import Limits
from insula.errors import InvalidArgumentError
from insula.kernel.cgroups import UNLIMITED, Cgroup
from insula.model.domain import DomainDefinition
from insula.model.extensions import PIDS_MAX, Metadata
from insula.model.numbers import ParameterType
from insula.service.domainlimits import limits_of
from insula.service.tuning import Family, Values


def _defined(domain: DomainDefinition) -> Values:
    limit = domain.settings.pids_limit
    return {} if limit is None else {"pids": limit}


def _live(cgroup: Cgroup, domain: DomainDefinition) -> Values:
    limit = cgroup.tasks.use().limit
    return {} if limit is None or limit >= UNLIMITED else {"pids": limit}


def _changed(domain: DomainDefinition, values: Values) -> DomainDefinition:
    limit = int(values["pids"]) if "pids" in values else domain.settings.pids_limit
    if limit is not None and not 1 <= limit <= PIDS_MAX:
        raise InvalidArgumentError(f"a domain can have 1 to {PIDS_MAX} processes and threads, not {limit}")
    metadata = domain.metadata or Metadata()
    return replace(domain, metadata=replace(metadata, settings=replace(domain.settings, pids_limit=limit)))


def _limits(domain: DomainDefinition, values: Values) -> Limits:
    return only(limits_of(domain), set(values))


PROCESSES = Family(
    name="limit of processes",
    table={"pids": ParameterType.UINT},
    defined=_defined,
    live=_live,
    changed=_changed,
    limits=_limits,
)
