"""Listening sockets: right from the first moment, stale ones replaced, others' respected, removed at the end."""

import asyncio
import os
import resource
import socket
from pathlib import Path

import pytest

from insula.daemon.activation import PassedSocket
from insula.daemon.config import Settings, SocketAccess, SocketSettings
from insula.daemon.listener import Endpoint, Listener, close_endpoints, lasts, open_endpoints, readmission, readmitted
from insula.daemon.peers import Peer
from insula.daemon.remotesettings import RemoteSettings, TlsSettings
from insula.errors import ConfigurationError
from tests.waiting import patience


def settings_for(*paths: Path, mode: int = 0o660) -> Settings:
    return Settings(sockets=tuple(SocketSettings(path=each, mode=mode) for each in paths))


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    return client


def test_a_socket_has_its_mode_and_accepts(tmp_path: Path) -> None:
    endpoints = open_endpoints(settings_for(tmp_path / "s", mode=0o640), [])
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o640
    connect(tmp_path / "s").close()
    close_endpoints(endpoints)
    assert not (tmp_path / "s").exists()


def test_the_umask_is_put_back(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        close_endpoints(open_endpoints(settings_for(tmp_path / "s"), []))
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_a_file_that_is_no_socket_is_no_stale_one(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")
    with pytest.raises(ConfigurationError, match=r"cannot listen on .*in use"):
        open_endpoints(settings_for(tmp_path / "s"), [])
    assert (tmp_path / "s").read_text() == "precious"


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(tmp_path / "s"))
    endpoints = open_endpoints(settings_for(tmp_path / "s"), [])
    connect(tmp_path / "s").close()
    close_endpoints(endpoints)


def test_a_living_daemon_keeps_its_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "s"))
        other.listen()
        with pytest.raises(ConfigurationError, match="another daemon serves"):
            open_endpoints(settings_for(tmp_path / "s"), [])
        connect(tmp_path / "s").close()


def test_if_one_socket_fails_the_others_are_given_back(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot listen on .*missing"):
        open_endpoints(settings_for(tmp_path / "s", tmp_path / "missing" / "s"), [])
    assert not (tmp_path / "s").exists()


def test_a_file_that_stands_where_a_socket_is_to_be_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")
    with pytest.raises(ConfigurationError, match=r"cannot listen on .*in use"):
        open_endpoints(settings_for(tmp_path / "s"), [])
    assert (tmp_path / "s").read_text() == "precious"


def test_a_socket_that_somebody_replaced_is_not_removed(tmp_path: Path) -> None:
    endpoints = open_endpoints(settings_for(tmp_path / "s"), [])
    (tmp_path / "s").rename(tmp_path / "old")
    (tmp_path / "s").write_text("somebody else's")
    close_endpoints(endpoints)
    assert (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("file", "name", "access"),
    [
        ("virtlxcd-sock", "virtlxcd.socket", SocketAccess.READ_WRITE),
        ("virtlxcd-sock-ro", "virtlxcd-ro.socket", SocketAccess.READ_ONLY),
        ("odd", "virtlxcd-ro.socket", SocketAccess.READ_ONLY),
        ("configured", "any.socket", SocketAccess.READ_ONLY),
    ],
)
def test_systemds_sockets_replace_the_configured_ones_and_stay(
    tmp_path: Path, file: str, name: str, access: SocketAccess
) -> None:
    settings = Settings(
        sockets=(
            SocketSettings(path=tmp_path / "unused"),
            SocketSettings(path=tmp_path / "configured", access=SocketAccess.READ_ONLY),
        )
    )
    passed = socket.socket(socket.AF_UNIX)
    passed.bind(str(tmp_path / file))
    passed.listen()
    (endpoint,) = open_endpoints(settings, [PassedSocket(passed, name)])
    assert endpoint.access is access and endpoint.path == tmp_path / file
    close_endpoints([endpoint])
    assert (tmp_path / file).exists() and not (tmp_path / "unused").exists()


def test_mode_and_group_of_a_socket_of_ours_follow_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "s"
    (endpoint,) = open_endpoints(Settings(sockets=(SocketSettings(path=path, mode=0o666),)), [])
    somebody = Peer(pid=1, uid=1000, gid=1000)
    assert endpoint.admission.permits(somebody)
    narrower = Settings(sockets=(SocketSettings(path=path, mode=0o640),))
    found = readmission(endpoint, narrower)
    assert path.stat().st_mode & 0o777 == 0o666, "not before all else of the settings is known to be right"
    now = readmitted(endpoint, found)
    assert path.stat().st_mode & 0o777 == 0o640 and not now.admission.permits(somebody)
    with pytest.raises(ConfigurationError, match=r"the group 'no-such-group' of the socket .* does not exist"):
        readmission(now, Settings(sockets=(SocketSettings(path=path, group="no-such-group"),)))
    close_endpoints([now])
    assert not path.exists()


def test_a_socket_that_the_settings_do_not_name_or_that_is_systemds_stays_as_it_is(tmp_path: Path) -> None:
    passed = socket.socket(socket.AF_UNIX)
    passed.bind(str(tmp_path / "s"))
    passed.listen()
    settings = Settings(sockets=(SocketSettings(path=tmp_path / "s", mode=0o600),))
    (endpoint,) = open_endpoints(settings, [PassedSocket(passed, "virtlxcd.socket")])
    assert readmission(endpoint, settings) is None
    assert readmitted(endpoint, None) is endpoint
    close_endpoints([endpoint])
    (ours,) = open_endpoints(Settings(sockets=(SocketSettings(path=tmp_path / "o"),)), [])
    assert readmission(ours, settings) is None
    close_endpoints([ours])


@pytest.mark.asyncio
async def test_clients_wait_while_the_listener_is_paused(tmp_path: Path) -> None:
    endpoints = open_endpoints(settings_for(tmp_path / "s"), [])
    accepted: asyncio.Queue[socket.socket] = asyncio.Queue()

    def take(connection: socket.socket, endpoint: Endpoint) -> None:
        assert endpoint is endpoints[0]
        accepted.put_nowait(connection)

    listener = Listener(endpoints[0], take)
    with connect(tmp_path / "s"):
        await asyncio.sleep(0.02)
        assert accepted.empty()
        listener.resume()
        (await asyncio.wait_for(accepted.get(), patience(5))).close()
    listener.pause()
    with connect(tmp_path / "s"):
        await asyncio.sleep(0.02)
        assert accepted.empty()
    close_endpoints(endpoints)


@pytest.mark.asyncio
async def test_running_out_of_descriptors_is_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("insula.daemon.listener._EXHAUSTED_PAUSE", 0.05)
    endpoints = open_endpoints(settings_for(tmp_path / "s"), [])
    accepted: asyncio.Queue[socket.socket] = asyncio.Queue()
    listener = Listener(endpoints[0], lambda connection, _: accepted.put_nowait(connection))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with connect(tmp_path / "s"):
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            listener.resume()
            async with asyncio.timeout(patience(5)):
                while "cannot accept" not in caplog.text:  # noqa: ASYNC110 - the log is the event
                    await asyncio.sleep(0.005)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        (await asyncio.wait_for(accepted.get(), patience(5))).close()
    listener.pause()
    close_endpoints(endpoints)


def test_clients_from_afar_come_by_a_port_of_ours_or_of_systemds(tmp_path: Path) -> None:
    probe = socket.create_server(("127.0.0.1", 0))
    with probe:
        port = probe.getsockname()[1]
        taken = Settings(
            sockets=(), remote=RemoteSettings(tls=TlsSettings(listen=True, address="127.0.0.1", port=port))
        )
        with pytest.raises(ConfigurationError, match=f"cannot listen for TLS at 127.0.0.1, port {port}"):
            open_endpoints(taken, [])
        passed = [PassedSocket(probe.dup(), "virtlxcd-tls.socket")]
        (endpoint,) = open_endpoints(taken, passed)
        assert endpoint.path is None and str(endpoint) == f"127.0.0.1:{port} (TLS)"
        assert not lasts([endpoint], passed), "systemd would start us again"
        close_endpoints([endpoint])
        with pytest.raises(ConfigurationError, match="from afar clients come by TLS only"):
            open_endpoints(Settings(sockets=()), [PassedSocket(probe, "virtlxcd-tcp.socket")])
    (endpoint,) = open_endpoints(taken, [])
    assert endpoint.socket.getsockname()[1] == port and lasts([endpoint], [])
    close_endpoints([endpoint])
