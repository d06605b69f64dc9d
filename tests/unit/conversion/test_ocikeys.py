from typing import Any

import pytest

from insula.conversion.domaindraft import HOST
from insula.conversion.ocikeys import OCI_KEYS
from insula.engine.policy.capabilities import CapabilityPolicy, default_kept
from insula.kernel.privileges import CAPABILITIES
from insula.model.extensions import DefinedShare, ShareType
from insula.model.security import Capability
from tests.unit.conversion.bundles import PLAIN, bundle
from tests.unit.conversion.conversions import keys_of
from tests.unit.conversion.foreignkeys import documented, repeated_rows, unanswered


def test_every_documented_place_is_mapped_or_says_why_not() -> None:
    assert unanswered(OCI_KEYS, documented("oci")) == []
    assert repeated_rows(OCI_KEYS) == []


def test_a_process_is_what_runs_first() -> None:
    found = bundle(
        process__args=["sh", "-c", "a b"],
        process__env=["A=b=c", "B"],
        process__cwd="/srv",
        process__user={"uid": 7, "gid": 8, "additionalGids": [9]},
        process__terminal=True,
    )
    system = found.domain.os
    assert (str(system.init), system.arguments, str(system.directory)) == ("sh", ("-c", "a b"), "/srv")
    assert [(each.name, each.value) for each in system.environment] == [("A", "b=c"), ("B", "")]
    assert (system.user, system.group, keys_of(found.findings)) == ("7", "8", {"process.user.additionalGids"})


@pytest.mark.parametrize(
    ("names", "policy", "states"),
    [
        (["chown", "kill"], CapabilityPolicy.DENY, {Capability.CHOWN: "on", Capability.KILL: "on"}),
        (sorted(default_kept(privileged=False)), CapabilityPolicy.DEFAULT, {}),
        (sorted(default_kept(privileged=False) - {"sys_boot"}), CapabilityPolicy.DEFAULT, {Capability.SYS_BOOT: "off"}),
        (sorted(set(CAPABILITIES) - {"mknod"}), CapabilityPolicy.ALLOW, {Capability.MKNOD: "off"}),
    ],
)
def test_capabilities_are_the_policy_that_says_least(
    names: list[str], policy: CapabilityPolicy, states: dict[Capability, str]
) -> None:
    domain = bundle(process__capabilities={"bounding": [f"CAP_{each.upper()}" for each in names]}).domain
    features = domain.features.capabilities if domain.features is not None else None
    found = {each.capability: each.state.value for each in features.states} if features is not None else {}
    assert found == states
    assert (features.policy if features is not None else CapabilityPolicy.DEFAULT) is policy


def test_namespaces_are_its_own_shared_or_the_hosts() -> None:
    shared = [{"type": each} for each in ("pid", "mount", "user", "uts")]
    shared += [{"type": "network", "path": "/run/netns/red"}, {"type": "ipc", "path": "/proc/42/ns/ipc"}]
    lxc = bundle(linux__namespaces=shared).domain.lxc
    assert lxc is not None and lxc.uts is None
    assert lxc.network == DefinedShare(type=ShareType.NETNS, value="red")
    assert lxc.ipc == DefinedShare(type=ShareType.PID, value="42")
    found = bundle(linux__namespaces=[{"type": "mount"}, {"type": "user"}])
    assert found.domain.lxc is not None and found.domain.lxc.network == HOST
    assert keys_of(found.findings) == {"linux.namespaces"}


def test_a_container_without_ids_of_its_own_was_privileged_which_a_domain_is_not() -> None:
    found = bundle(linux={"namespaces": PLAIN["linux"]["namespaces"][:5]})
    assert not found.domain.settings.privileged and keys_of(found.findings) == {"linux.namespaces"}


def test_annotations_of_ours_are_who_it_is_and_others_are_named() -> None:
    notes = {"dev.insula.title": "t", "dev.insula.uuid": "4f4f0a7e-5b1e-4c17-9e6b-0e0b6f2a7a17", "org.x": "y"}
    found = bundle(annotations={**notes, "dev.insula.finding.1": "lost"})
    assert (found.domain.title, str(found.domain.uuid)) == ("t", notes["dev.insula.uuid"])
    assert keys_of(found.findings) == {"annotations.org.x"}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("ociVersion", "2.0"),
        ("hostname", 7),
        ("process__args", "init"),
        ("process__env", [1]),
        ("process__cwd", "srv"),
        ("process__terminal", 3),
        ("process__capabilities", {"bounding": ["CAP_FLYING"]}),
        ("process__noNewPrivileges", True),
        ("process__apparmorProfile", "x"),
        ("linux__uidMappings", [{"containerID": -1}]),
        ("linux__namespaces", [7]),
        ("linux__seccomp", {"defaultAction": "SCMP_ACT_ERRNO"}),
        ("linux__personality", {"domain": "LINUX99"}),
        ("linux__resources__memory__kernel", 1),
        ("linux__resources__hugepageLimits", []),
        ("annotations", {"a": 1}),
        ("hooks", {"prestart": [{"path": "/x"}]}),
        ("nonsense", {"x": 1}),
        ("linux__nonsense", 1),
    ],
)
def test_what_cannot_be_is_named(place: str, value: Any) -> None:
    found = keys_of(bundle(**{place: value}).findings)
    assert any(each.startswith(place.replace("__", ".")) for each in found), found
