from insula.conversion.openvzconfiguration import PRIVATE, write_openvz
from tests.unit.conversion.conversions import converted, keys_of


def test_the_containers_number_is_its_files_name() -> None:
    text = 'VE_PRIVATE="/vz/private/${VEID}"\nVE_ROOT="/vz/root/$VEID"\n'
    found = converted("openvz", text, path="/etc/vz/conf/101.conf", called=None)
    assert found.domain.name == "101"
    assert str(found.domain.root and found.domain.root.source.directory) == "/vz/private/101"
    assert keys_of(found.findings) == {"VE_ROOT"}


def test_without_the_files_name_its_number_is_named_as_missing() -> None:
    found = converted("openvz", 'VE_PRIVATE="/vz/private/$VEID"\n')
    assert found.domain.root is None and keys_of(found.findings) == {"VE_PRIVATE"}


def test_what_only_the_global_file_says_is_taken_and_named() -> None:
    found = converted("openvz", 'PHYSPAGES="0:1024"', path="/etc/vz/conf/7.conf", called=None)
    assert str(found.domain.root and found.domain.root.source.directory) == PRIVATE.replace("$VEID", "7")
    assert keys_of(found.findings) == {"VE_PRIVATE"}


def test_what_is_written_begins_with_what_it_is_of() -> None:
    domain = converted("openvz", 'VE_PRIVATE="/x"').domain
    text = write_openvz(domain, ())
    assert text.startswith("# guest, ") and 'VE_PRIVATE="/x"\n' in text
