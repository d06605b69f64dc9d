"""The daemon's settings: defaults, values, and errors that name the line."""

from pathlib import Path, PurePosixPath

import pytest

from insula.daemon.config import SocketAccess, default_sockets, load, parse
from insula.daemon.memorysettings import NO_CARE
from insula.daemon.remotesettings import TlsSettings
from insula.engine.console.consolelog import LogLimits
from insula.errors import ConfigurationError
from insula.layout import Layout
from insula.service.idlereclaim import IdleReclaimSettings

LAYOUT = Layout.prefix(Path("/p"))


def test_an_empty_file_means_all_defaults() -> None:
    settings = parse("", LAYOUT)
    assert settings.sockets == default_sockets(LAYOUT)
    assert (settings.max_clients, settings.max_client_requests, settings.shutdown_timeout) == (5000, 5, 60)
    assert (settings.keepalive.interval, settings.keepalive.count) == (5, 5)
    assert settings.ids is None


def test_the_usual_sockets_are_where_libvirt_clients_look() -> None:
    usual, read_only = default_sockets(Layout.system())
    assert str(usual.path) == "/run/libvirt/virtlxcd-sock"
    assert str(read_only.path) == "/run/libvirt/virtlxcd-sock-ro"
    assert usual.mode & 0o007 == 0
    assert read_only.access is SocketAccess.READ_ONLY


def test_every_key_can_be_set() -> None:
    settings = parse(
        """
        log_level = "debug"
        max_clients = 7
        max_clients_per_user = 2
        max_client_requests = 3
        shutdown_timeout = 90
        [keepalive]
        interval = 0
        count = 9
        [console_log]
        file_bytes = 8192
        old_files = 0
        [ids]
        first = 2000000
        count = 655360
        [[socket]]
        path = "run/a"
        mode = 0o600
        [[socket]]
        path = "/elsewhere/b"
        group = "wheel"
        read_only = true
        """,
        LAYOUT,
    )
    assert (settings.log_level, settings.max_clients, settings.max_client_requests) == ("debug", 7, 3)
    assert (settings.shutdown_timeout, settings.max_clients_per_user) == (90, 2)
    assert (settings.keepalive.interval, settings.keepalive.count) == (0, 9)
    assert settings.console_log == LogLimits(file_bytes=8192, old_files=0)
    assert settings.ids is not None and (settings.ids.first, settings.ids.count) == (2_000_000, 655_360)
    first, second = settings.sockets
    assert (first.path, first.mode, first.access) == (Path("/p/run/a"), 0o600, SocketAccess.READ_WRITE)
    assert (second.path, second.group, second.access) == (Path("/elsewhere/b"), "wheel", SocketAccess.READ_ONLY)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("max_client = 5", 1, "unknown key 'max_client'; known here: log_level, max_clients"),
        ("\n\nlog_level = 'loud'", 3, "'log_level' must be one of debug"),
        ("max_clients = 0", 1, "a whole number from 1"),
        ("max_clients = true", 1, "a whole number"),
        ("[keepalive]\ninterval = 5\nintervall = 5", 3, "unknown key 'intervall'; known here: interval, count"),
        ("max_clients = 9\n[keepalive]\ncount = 'x'", 3, "'count' must be"),
        ("[nonsense]\na = 1", 1, "unknown key 'nonsense'"),
        ("[socket]\npath = 'a'", 1, "[[socket]]"),
        ("[[socket]]\npath = 'a'\n[[socket]]\nmode = 0o660", 3, "needs a 'path'"),
        ("[[socket]]\npath = 'a'\n[[socket]]\npath = 'b'\nmode = 'x'", 5, "'mode' must be permission bits"),
        ("[[socket]]\npath = 'a'\nmode = 0o1777", 3, "'mode' must be permission bits"),
        ("[[socket]]\npath = 'a'\n[[socket]]\npath = 'a'", 4, "occurs twice"),
        (f"[[socket]]\npath = '{'x' * 120}'", 2, "too long"),
        ("[ids]\nfirst = 5", 1, "needs both"),
        ("keepalive = 3", 1, "'keepalive' must be a table"),
        ("[metrics]\naddress = '0.0.0.0:9177'", 2, "'address' must be a loopback address with a port"),
        ("[memory]\nhost_free_below = 0", 2, "'host_free_below' must be a whole number from 1 to 100"),
        ("[memory]\n\nidle_reclaim = 1", 3, "'idle_reclaim' must be true or false"),
        ("[metrics]\nmode = 0o600", 1, "needs an 'address' or a 'path'"),
    ],
)
def test_a_mistake_is_reported_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, LAYOUT, name="insulad.toml")
    assert str(caught.value).startswith(f"insulad.toml line {line}: ")
    assert words in str(caught.value)


def test_nothing_is_done_about_the_memory_of_all_guests_unless_asked_for() -> None:
    assert parse("", LAYOUT).memory == parse("[memory]", LAYOUT).memory == NO_CARE
    found = parse("[memory]\nidle_reclaim = true\ninterval = 3\nguarantees = true", LAYOUT).memory
    assert found.idle == IdleReclaimSettings(interval=3) and found.guaranteed_reserve == 1024 * 1024


def test_metrics_are_told_nowhere_unless_asked_for() -> None:
    assert parse("", LAYOUT).metrics is None
    found = parse("[metrics]\npath = 'run/m'", LAYOUT).metrics
    assert found is not None and found.path == Path("/p/run/m")


def test_broken_toml_is_reported_with_the_place_the_parser_tells() -> None:
    with pytest.raises(ConfigurationError, match=r"insulad.toml: .*line 2"):
        parse("a = 1\nb = = 2", LAYOUT, name="insulad.toml")


@pytest.mark.parametrize("text", ["max_clients = " + "1" * 5000, "x = " + "[" * 3000], ids=["digits", "depth"])
def test_what_the_parser_itself_does_not_survive_is_reported_like_a_mistake(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"insulad\.toml"):
        parse(text, LAYOUT)


def test_the_usual_file_may_be_missing_and_a_named_one_may_not(tmp_path: Path) -> None:
    layout = Layout.prefix(tmp_path)
    assert load(layout).sockets == default_sockets(layout)
    with pytest.raises(ConfigurationError, match="does not exist"):
        load(layout, tmp_path / "other.toml")


def test_the_usual_file_is_read_when_it_is_there(tmp_path: Path) -> None:
    layout = Layout.prefix(tmp_path)
    layout.settings.parent.mkdir(parents=True)
    layout.settings.write_text("max_clients = 3\n")
    assert load(layout).max_clients == 3


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=str(tmp_path)):
        load(Layout.prefix(tmp_path), tmp_path)


def test_partitions_are_paths_and_not_the_root() -> None:
    assert parse("", LAYOUT).partitions == (PurePosixPath("/machine"),)
    settings = parse('partitions = ["/machine", "/customers/a"]', LAYOUT)
    assert settings.partitions == (PurePosixPath("/machine"), PurePosixPath("/customers/a"))


@pytest.mark.parametrize("value", ["'/machine'", "[]", "['machine']", "['/']", "['//']", "['/a/../b']", "[1]"])
def test_what_is_no_partition_is_refused_with_its_line(value: str) -> None:
    with pytest.raises(ConfigurationError, match="line 1: 'partitions' must be a list of paths"):
        parse(f"partitions = {value}", LAYOUT)


def test_settings_for_clients_from_afar_have_libvirts_names() -> None:
    read = parse(
        'listen_tls = true\nlisten_addr = "127.0.0.1"\ntls_port = 1\nca_file = "/a"\ncrl_file = "/b"\n'
        'cert_file = "/c"\nkey_file = "/d"\ntls_allowed_dn_list = ["CN=*"]\ntls_min_version = "1.3"\n'
        "tls_no_verify_certificate = false\n",
        LAYOUT,
    ).remote.tls
    assert read == TlsSettings(
        listen=True,
        address="127.0.0.1",
        port=1,
        authority=Path("/a"),
        revocations=Path("/b"),
        revocations_optional=False,
        certificate=Path("/c"),
        key=Path("/d"),
        allowed_names=("CN=*",),
        minimum="1.3",
    )
    assert parse("", LAYOUT).remote.tls == TlsSettings() and not TlsSettings().listen


def test_clients_without_certificates_cannot_be_asked_for() -> None:
    with pytest.raises(ConfigurationError, match=r"line 2: whoever connects without a certificate is nobody"):
        parse('log_level = "info"\ntls_no_verify_certificate = true\n', LAYOUT)
