import re
from pathlib import Path

from insula.engine.policy.capabilities import CapabilityPolicy
from insula.model.domain import DomainDefinition
from insula.model.foreign import ForeignElement
from insula.model.scalars import OnOff
from insula.model.security import (
    Capability,
    DefinedIdMap,
    DefinedIdRange,
    Features,
    LabelType,
    SecurityLabel,
)
from insula.model.xmlmap import Part
from insula.model.xmlreader import load
from insula.model.xmlwriter import dump
from tests.unit.service.fakes import domain_xml


def test_a_policy_and_single_capabilities_are_read_by_name() -> None:
    features = load(
        Features,
        "features",
        "<features><privnet/><capabilities policy='deny'>"
        "<net_admin state='on'/><kill state='off'/></capabilities></features>",
    )
    assert features.private_network
    assert features.capabilities is not None
    assert features.capabilities.policy is CapabilityPolicy.DENY
    assert {each.capability: each.state for each in features.capabilities.states} == {
        Capability.NET_ADMIN: OnOff.ON,
        Capability.KILL: OnOff.OFF,
    }


def test_a_capability_nobody_knows_is_kept_for_the_checks_to_name() -> None:
    features = load(Features, "features", "<features><capabilities><fly state='on'/></capabilities></features>")
    assert features.capabilities is not None
    assert [each.item for each in features.capabilities.foreign] == [
        ForeignElement(name="fly", attributes=(("state", "on"),))
    ]


def test_the_kernel_has_no_capability_that_we_lack() -> None:
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    assert last < len(Capability)
    assert all(re.fullmatch("[a-z_]+", each) for each in Capability)


def test_ranges_of_ids_keep_their_order() -> None:
    xml = "<idmap><uid start='0' target='9' count='1'/><uid start='1' target='5' count='2'/></idmap>"
    assert load(DefinedIdMap, "idmap", xml).uids == (
        DefinedIdRange(start=0, target=9, count=1),
        DefinedIdRange(start=1, target=5, count=2),
    )


def test_the_label_of_images_is_only_of_the_running_domain() -> None:
    xml = "<seclabel type='dynamic' model='selinux' relabel='yes'><imagelabel>x</imagelabel></seclabel>"
    assert load(SecurityLabel, "seclabel", xml).image_label is None
    label = load(SecurityLabel, "seclabel", xml, Part.LIVE)
    assert (label.type, label.image_label) == (LabelType.DYNAMIC, "x")
    assert "imagelabel" not in dump(label, "seclabel")


def test_a_label_that_a_start_gave_is_not_read_into_a_definition_and_any_other_is() -> None:
    given = "<seclabel type='dynamic' model='apparmor'><label>insula-guest-1</label></seclabel>"
    kept = "<seclabel type='static' model='apparmor'><label>insula-guest-mine</label></seclabel>"
    for label, count in ((given, 0), (kept, 1)):
        text = domain_xml().replace("</domain>", f"{label}</domain>")
        assert len(DomainDefinition.load(text).security_labels) == count
