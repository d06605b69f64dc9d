"""Where cores are kept inside a guest: patterns of core(5)."""

import pytest

from insula.engine.coreplace import escaped, expanded, pattern_problem

VALUES = {"e": "nginx", "p": "7", "h": "web", "E": "!usr!sbin!nginx"}


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/var/crash/core.%e.%p", "/var/crash/core.nginx.7"),
        ("/c/%%e%%", "/c/%e%"),
        ("/c/%s%h", "/c/web"),
        ("/c/core%", "/c/core"),
    ],
)
def test_specifiers_become_what_the_kernel_would_make_of_them(pattern: str, path: str) -> None:
    assert expanded(pattern, VALUES) == path


@pytest.mark.parametrize(
    ("value", "part"),
    [("../../etc/shadow", "..!..!etc!shadow"), ("..", "!!"), (".", "!"), ("a\nb\x1b", "a_b_"), ("", ""), ("ä", "ä")],
)
def test_no_value_leads_elsewhere(value: str, part: str) -> None:
    assert escaped(value) == part
    assert expanded("/c/%e", {"e": value}) == f"/c/{part}"


def test_a_value_is_not_expanded_again() -> None:
    assert expanded("/c/%e", {"e": "%p", "p": "7"}) == "/c/%p"


@pytest.mark.parametrize("pattern", ["/var/crash/core", "/c/%e.%p.%t.%s.%u.%g.%h.%E.%f.%i.%I.%P.%d.%c.%C%%"])
def test_good_patterns_have_no_problem(pattern: str) -> None:
    assert pattern_problem(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("core", "no absolute path"),
        ("|/bin/sh", "no absolute path"),
        ("@/run/core.socket", "no absolute path"),
        ("/c/../core", "without '.' and '..'"),
        ("/c/", "no absolute path of a file"),
        ("/c/%x", "has %x"),
        ("/c/%", "has %,"),
        ("/c/" + "a" * 256, "longer than 255"),
        ("/c/\x07", "not printable"),
    ],
)
def test_what_is_wrong_with_a_pattern_is_said(pattern: str, problem: str) -> None:
    assert problem in (pattern_problem(pattern) or "")
