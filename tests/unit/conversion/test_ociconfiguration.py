import json

import pytest

from insula.conversion.findings import Consequence, ConversionFinding
from insula.conversion.ociconfiguration import write_oci
from insula.errors import InvalidArgumentError
from tests.unit.conversion.bundles import bundle
from tests.unit.conversion.conversions import converted, keys_of


def test_a_root_is_beside_its_bundle_which_names_the_domain() -> None:
    found = bundle(path="/bundles/web/config.json", called=None, root={"path": "rootfs", "readonly": True})
    root = found.domain.root
    assert root is not None and str(root.source.directory) == "/bundles/web/rootfs" and root.read_only
    assert (found.domain.name, found.findings) == ("web", ())


def test_a_bundle_whose_place_is_not_known_says_so() -> None:
    assert keys_of(bundle(root={"path": "rootfs"}).findings) == {"root.path"}
    for root in (None, {"path": 1}, {"path": "/"}):
        found = bundle(root=root)
        assert found.domain.root is None and keys_of(found.findings) == {"root.path"}


def test_a_text_without_namespaces_shares_all_that_can_be_shared() -> None:
    found = converted("oci", json.dumps({"ociVersion": "1.0.0", "root": {"path": "/x"}}))
    lxc = found.domain.lxc
    assert lxc is not None and lxc.network == lxc.ipc == lxc.uts and lxc.uts is not None


def test_what_is_no_json_is_refused() -> None:
    for text in ("", "[]", "{", "lxc.uts.name = web"):
        with pytest.raises(InvalidArgumentError):
            converted("oci", text)


def test_findings_are_annotations_which_say_nothing_when_read_again() -> None:
    finding = ConversionFinding(consequence=Consequence.LOST, key="k", why="why")
    text = write_oci(bundle().domain, [finding])
    assert json.loads(text)["annotations"]["dev.insula.finding.1"] == "lost: k: why"
    assert keys_of(converted("oci", text).findings) == set()
