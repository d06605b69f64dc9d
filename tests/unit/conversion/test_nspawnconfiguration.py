from insula.conversion.nspawnconfiguration import write_nspawn
from tests.unit.conversion.conversions import converted, keys_of

TREE = "(the file's name)"


def test_a_container_is_called_by_its_file_and_its_tree_by_that() -> None:
    found = converted("nspawn", "[Exec]\nBoot=yes\n", path="/etc/systemd/nspawn/web.nspawn", called=None)
    assert found.domain.name == "web"
    assert str(found.domain.root and found.domain.root.source.directory) == "/var/lib/machines/web"
    assert keys_of(found.findings) == {TREE}


def test_a_text_alone_is_called_by_its_host_name() -> None:
    assert converted("nspawn", "[Exec]\nHostname=web\n", called=None).domain.name == "web"
    assert converted("nspawn", "", called=None).domain.name == "unnamed"


def test_what_is_written_begins_with_the_files_name() -> None:
    text = write_nspawn(converted("nspawn", "").domain, ())
    assert text.startswith("# guest.nspawn, ") and "[Exec]\nBoot=yes\n" in text
