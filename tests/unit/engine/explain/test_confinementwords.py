"""What holds a guest is told layer by layer, with where its XML has it."""

from insula.engine.explain.confinementwords import HeldBy, confinement
from insula.engine.explain.guestconfinement import GuestConfinement, Readings
from insula.engine.explain.verdict import Layer
from insula.engine.spec import Access, BindMount, Device, DeviceKind, ResourceLimit, Seccomp, SeccompProfile
from tests.unit.engine.explain.failed import guest


def by_layer(found: GuestConfinement) -> dict[Layer, HeldBy]:
    return {each.layer: each for each in confinement(found)}


def test_a_usual_guest_is_held_by_its_namespace_filter_capabilities_devices_and_paths() -> None:
    held = by_layer(guest())
    assert {Layer.USER_NAMESPACE, Layer.FILTER, Layer.CAPABILITY, Layer.DEVICES, Layer.READ_ONLY} == set(held)
    assert "0 to 65535" in held[Layer.USER_NAMESPACE].says and "sys_module" in held[Layer.CAPABILITY].says


def test_a_privileged_guest_has_covers_instead() -> None:
    held = by_layer(guest(privileged=True))
    assert "none of its own" in held[Layer.USER_NAMESPACE].says and "/proc/kcore" in held[Layer.MASK].says


def test_limits_are_told_with_how_often_they_said_no() -> None:
    readings = Readings(tasks=5, tasks_limit=20, tasks_refused=3, memory=1, memory_limit=2, oom_kills=1)
    held = by_layer(guest(readings=readings, resource_limits=(ResourceLimit(name="NOFILE", soft=1, hard=None),)))
    assert (held[Layer.PROCESS_LIMIT].refused, held[Layer.MEMORY_LIMIT].refused) == (3, 1)
    assert "NOFILE is at most unlimited" in held[Layer.RESOURCE_LIMIT].says


def test_what_the_definition_adds_is_told() -> None:
    disk = Device(kind=DeviceKind.BLOCK, major=8, minor=0, host="/dev/sda", guest="sda")
    shown = BindMount(source="/srv", target="/data", access=Access.READ_ONLY)
    wide = guest(devices=(disk,), mounts=(shown,), seccomp=Seccomp(families=("can",)))
    told = " ".join(each.says for each in confinement(wide))
    assert "sda" in told and "/data" in told and "family can" in told


def test_no_filter_and_every_capability_are_told() -> None:
    from insula.kernel.privileges import CAPABILITIES

    bare = guest(seccomp=Seccomp(profile=SeccompProfile.UNCONFINED), capabilities=frozenset(CAPABILITIES))
    held = by_layer(bare)
    assert held[Layer.FILTER].says.startswith("none") and held[Layer.CAPABILITY].says == "it has every capability"


def test_a_security_modules_label_is_told() -> None:
    labelled = GuestConfinement(spec=guest().spec, security_label="insula-web (enforce)")
    assert "insula-web" in by_layer(labelled)[Layer.SECURITY_MODULE].says
