"""A dnsmasq's process: found by who it is, never by its number alone."""

from pathlib import Path

import pytest

from insula.errors import OperationUnsupportedError
from insula.network.virtual.dnsmasq import DnsmasqFiles
from insula.network.virtual.dnsmasqprocess import DnsmasqProcess, installed_dnsmasq

FILES = DnsmasqFiles(configuration="one\n", guests="two\n", names="three\n")


def test_lists_are_written_while_it_runs_and_a_new_configuration_is_told(tmp_path: Path) -> None:
    process = DnsmasqProcess(tmp_path / "n", tmp_path / "leases")
    assert process.changed(FILES), "nothing was written yet"
    (tmp_path / "n").mkdir()
    process.configuration.write_text("one\n")
    assert not process.same(FILES)
    assert not process.changed(FILES)
    assert process.same(FILES)
    assert process.changed(DnsmasqFiles(configuration="else\n", guests="", names=""))
    process.remove()
    assert not (tmp_path / "n").exists()
    process.remove()


def test_a_host_without_dnsmasq_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_args, **_options: None)
    with pytest.raises(OperationUnsupportedError, match="install dnsmasq-base"):
        installed_dnsmasq()
