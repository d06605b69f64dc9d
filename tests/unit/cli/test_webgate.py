"""Who may come in at the web console, and where it may listen."""

import pytest

from insula.cli.webgate import ListeningPlace, WebRefusal, WebRequest, admitted, place_of
from insula.errors import InvalidArgumentError, UnsupportedConfigError

TOKEN = "secret"
HOST = "127.0.0.1:8080"


@pytest.mark.parametrize("host", [HOST, "localhost:1", "localhost", "[::1]:8080", "127.0.0.5:8080"])
@pytest.mark.parametrize("name", ["", "page.js", "xterm.css"])
def test_who_has_the_address_gets_the_page(host: str, name: str) -> None:
    assert admitted(TOKEN, f"/{TOKEN}/{name}", host, None) == WebRequest(name)
    assert admitted(TOKEN, f"/{TOKEN}/{name}", host, f"http://{host}") == WebRequest(name)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "//",
        f"/{TOKEN}",
        f"/{TOKEN}x/",
        f"/{TOKEN}/../x",
        f"/{TOKEN}/page.html",
        f"/{TOKEN}/?a",
        "/wrong/",
        "/\udcff/",
    ],
)
def test_any_other_path_is_no_address_of_a_console(path: str) -> None:
    assert admitted(TOKEN, path, HOST, None) is WebRefusal.NOT_FOUND


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "127.0.0.1:x",
        "127.0.0.1:99999",
        "127.0.0.1:8080/x",
        "127.0.0.1@evil.example",
        "user@127.0.0.1",
        "[::1",
        "192.0.2.1:80",
    ],
)
def test_a_name_that_was_made_to_mean_this_host_is_refused(host: str | None) -> None:
    assert admitted(TOKEN, f"/{TOKEN}/", host, None) is WebRefusal.FORBIDDEN


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", f"https://{HOST}", "http://localhost:8080"])
def test_the_line_is_for_our_own_page_alone(origin: str | None) -> None:
    assert admitted(TOKEN, f"/{TOKEN}/line", HOST, origin) is WebRefusal.FORBIDDEN
    assert admitted(TOKEN, f"/{TOKEN}/line", HOST, f"http://{HOST}") == WebRequest("line")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (None, ListeningPlace()),
        ("8080", ListeningPlace(port=8080)),
        ("127.0.0.5:0", ListeningPlace(address="127.0.0.5")),
        ("localhost:80", ListeningPlace(port=80)),
        ("[::1]:80", ListeningPlace(address="::1", port=80)),
        ("/run/web", ListeningPlace(path="/run/web")),
    ],
)
def test_it_listens_on_the_loopback_or_at_a_path(text: str | None, place: ListeningPlace) -> None:
    assert place_of(text) == place


@pytest.mark.parametrize("text", ["", "x", "65536", "-1", "host:80", "run/web", "127.0.0.1:"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="to listen at"):
        place_of(text)


@pytest.mark.parametrize("text", ["0.0.0.0:80", "[::]:80", "192.0.2.1:80"])
def test_where_others_could_reach_it_it_does_not_listen(text: str) -> None:
    with pytest.raises(UnsupportedConfigError, match="on the loopback only"):
        place_of(text)
