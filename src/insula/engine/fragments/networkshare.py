"""A share of the host's network: what has to be so that it can be held, and its loopback addresses."""

from insula.engine.facts import Facts
from insula.engine.interfacespec import NetworkKind
from insula.engine.policy.socketpolicy import USUAL_FAMILIES
from insula.engine.spec import ContainerSpec, SeccompProfile
from insula.errors import InvalidArgumentError, UnsupportedConfigError

SCOPED = "those in a network are reached by whoever is in it, and it is the host's"

_MAKERS = {"socket", "socketpair", "socketcall", "io_uring_setup"}
"""System calls that make sockets of any family, or have them made."""
_LOOPBACK_SIZE = 256
_IDS_OF_ONE = 65536


def loopback_of(spec: ContainerSpec) -> str:
    """Return the /24 of 127.0.0.0/8 that a share's 127.0.0.x are on the host: another for each container.

    Ids that are not given by hand are no other container's, so nobody has the same number of their first one by the
    thousands. 127.0.x.y stays the host's, and 127.255.255.y too: the last of it is heard by everybody.
    """
    assert spec.idmap is not None
    number = spec.idmap.root_uid // _IDS_OF_ONE + _LOOPBACK_SIZE
    return f"127.{number // _LOOPBACK_SIZE}.{number % _LOOPBACK_SIZE}.0/24"


def check_share(spec: ContainerSpec, facts: Facts) -> None:
    """Raise InvalidArgumentError or UnsupportedConfigError if a container cannot be held to its share."""
    share = spec.network_share
    if share is None:
        return
    if spec.network is not NetworkKind.HOST:
        raise InvalidArgumentError("a share of the host's network needs the host's network: NetworkKind.HOST")
    for problem in share.problems():
        raise InvalidArgumentError(problem)
    if spec.idmap is None:
        raise UnsupportedConfigError(
            "a privileged container cannot be held to a share of the host's network: its root may configure it"
        )
    if spec.idmap.root_uid < _IDS_OF_ONE or spec.idmap.root_uid // _IDS_OF_ONE >= _IDS_OF_ONE - _LOOPBACK_SIZE - 1:
        raise UnsupportedConfigError("a share of the host's network needs ids of the host from 65536 on")
    if spec.seccomp.profile is SeccompProfile.UNCONFINED:
        raise UnsupportedConfigError("a share of the host's network needs the filter that keeps other families away")
    if allowed := sorted({*spec.seccomp.allow} & _MAKERS):
        raise UnsupportedConfigError(
            f"a share of the host's network needs the filter for '{allowed[0]}': do not allow it with all arguments"
        )
    if further := sorted({*spec.seccomp.families} - {*USUAL_FAMILIES}):
        raise UnsupportedConfigError(
            f"sockets of the family '{further[0]}' would use the host's network beside the share: do not allow them"
        )
    if not facts.address_programs:
        raise UnsupportedConfigError(
            "this host cannot hold a container to a share of its network: that takes programs on a group of the "
            "unified hierarchy (Linux 5.12, CONFIG_CGROUP_BPF); give it a network of its own"
        )
