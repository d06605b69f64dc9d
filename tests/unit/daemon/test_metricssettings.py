"""Where metrics may be told."""

from pathlib import Path

import pytest

from insula.daemon.metricssettings import MetricsSettings, is_loopback, metrics_settings

ROOT = Path("/p")


@pytest.mark.parametrize("address", ["127.0.0.1:9177", "127.9.9.9:1", "[::1]:65535"])
def test_addresses_of_this_host_alone_are_taken(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0:9177",
        "[::]:9177",
        "10.0.0.1:80",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "localhost:9177",
        "::1:9",
        9,
    ],
)
def test_others_are_not(address: object) -> None:
    assert not is_loopback(address)


def test_an_address_is_told_apart_from_its_port_and_told_as_a_scraper_is_given_it() -> None:
    found = metrics_settings({"address": "[::1]:9177"}, ROOT)
    assert (found.host, found.port, str(found)) == ("::1", 9177, "http://[::1]:9177/metrics")
    assert str(MetricsSettings(host="127.0.0.1", port=5)) == "http://127.0.0.1:5/metrics"


def test_a_socket_is_below_the_prefix_and_has_mode_and_group() -> None:
    found = metrics_settings({"path": "run/m", "group": "wheel"}, ROOT)
    assert (found.path, found.mode, found.group, str(found)) == (Path("/p/run/m"), 0o660, "wheel", "/p/run/m")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "needs an 'address' or a 'path'"),
        ({"address": "[::1]:9", "path": "m"}, "needs an 'address' or a 'path'"),
        ({"address": "[::1]:9", "mode": 0o600}, "an address has no 'mode'"),
        ({"path": "x" * 120}, "too long"),
    ],
)
def test_what_does_not_go_together_is_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        metrics_settings(values, ROOT)
