"""The files of active networks: whole, one each, read back as they were written."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from insula.kernel.processidentity import ProcessIdentity
from insula.network.virtual.networkrecord import NetworkRecord
from insula.service.networkruns import NetworkRun, NetworkRuns, RecordedNetworks
from insula.service.runrecord import RunPhase
from tests.unit.service.networksofrig import LAN, network

RUN = NetworkRun(
    boot_id="now",
    phase=RunPhase.RUNNING,
    begun=12.5,
    network=replace(network(more="<forward mode='nat'/><bridge name='virbr7'/>"), connections=3),
    record=NetworkRecord(
        name="lan", uuid=str(LAN), bridge="virbr7", made=True, index=9, dnsmasq=ProcessIdentity(pid=7, started=8)
    ),
)


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    NetworkRuns(tmp_path / "networks").write(RUN)
    assert NetworkRuns(tmp_path / "networks").load().runs == (RUN,)
    assert (RUN.name, RUN.uuid) == ("lan", LAN)


def test_a_run_that_is_over_is_not_there(tmp_path: Path) -> None:
    runs = NetworkRuns(tmp_path)
    runs.write(RUN)
    runs.remove(LAN)
    runs.remove(LAN)
    assert runs.load().runs == ()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 0}', '{"format": 1, "boot_id": "x"}', RUN.to_json().replace("running", "odd")]
)
def test_what_makes_no_sense_is_named_and_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str) -> None:
    (tmp_path / f"{LAN}.json").write_text(text)
    assert NetworkRuns(tmp_path).load().runs == ()
    assert f"the record '{tmp_path}/{LAN}.json' of a network cannot be read" in caplog.text
    assert (tmp_path / f"{LAN}.json").exists()


def test_what_a_later_insulad_wrote_is_told_apart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / f"{LAN}.json").write_text('{"format": 2}')
    assert NetworkRuns(tmp_path).load() == RecordedNetworks(later=frozenset({str(LAN)}))
    assert "is left alone: its format is 2, and this daemon knows 1" in caplog.text


def test_a_file_about_another_network_is_no_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "other.json").write_text(RUN.to_json())
    assert NetworkRuns(tmp_path).load().runs == ()
    assert f"it is about {LAN}" in caplog.text


def test_what_others_keep_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "lan.conf").write_text("theirs")
    NetworkRuns(tmp_path).write(RUN)
    assert len(NetworkRuns(tmp_path).load().runs) == 1
    assert (tmp_path / "lan.conf").read_text() == "theirs"


def test_a_record_that_cannot_be_removed_is_removed_by_a_later_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runs = NetworkRuns(tmp_path)
    runs.write(RUN)
    with monkeypatch.context() as failing:
        failing.setattr("insula.service.networkruns.remove_file", _refuse)
        runs.remove(LAN)
    assert "stays behind for now" in caplog.text
    other = replace(RUN, network=network("wan", LAN.__class__(int=5)))
    runs.write(other)
    assert runs.load().runs == (other,)


def test_what_cannot_be_written_anew_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.rmtree(tmp_path)
    tmp_path.write_text("no directory")
    NetworkRuns(tmp_path).write_if_possible(RUN)
    assert "what there is of network 'lan' cannot be written down anew" in caplog.text


def _refuse(*words: object) -> None:
    raise OSError(30, "Read-only file system")
