"""Which settings a reload leaves as they are, and that it says so."""

from dataclasses import fields

import pytest

from insula.daemon.config import Settings, parse
from insula.daemon.reloading import APPLIED, APPLIED_AFAR, tell_unapplied, unapplied
from insula.daemon.remotesettings import REMOTE_KEYS
from insula.layout import Layout

LAYOUT = Layout.system()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("max_clients = 7\nmax_anonymous_clients = 3", []),
        ('tls_allowed_dn_list = ["CN=anna"]', []),
        ('access_drivers = ["polkit"]\nauth_unix_rw = "polkit"\nauth_unix_ro = "sasl"', []),
        ('[[socket]]\npath = "run/other"', ["[[socket]]"]),
        ('auth_tcp = "none"\nlisten_addr = "127.0.0.1"', ["listen_addr", "auth_tcp"]),
        ("audit_level = 2\nlisten_tls = true", ["audit_level", "listen_tls"]),
        ("tls_port = 7", ["tls_port"]),
        ('sasl_allowed_username_list = ["anna"]', []),
        ('auth_tls = "sasl"\nsasl_credentials = "/u"\nsasl_keytab = "/k"', []),
    ],
)
def test_what_counts_only_from_the_next_start_on_is_named(
    text: str, names: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    former, settings = parse("", LAYOUT), parse(text, LAYOUT)
    assert unapplied(former, settings) == names
    tell_unapplied(former, settings)
    assert ("count once insulad is started again" in caplog.text) is bool(names)
    assert all(each in caplog.text for each in names)


def test_what_counts_at_once_is_a_setting() -> None:
    assert {each.name for each in fields(Settings)} >= APPLIED
    assert set(REMOTE_KEYS) >= APPLIED_AFAR
