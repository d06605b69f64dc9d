"""The table of clients names tests that are there, and all of those that try a client."""

import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[3]
TABLE = (CHECKOUT / "docs/reference/clients.md").read_text()

ABOUT_SOMETHING_ELSE = {"test_console_terminals.py", "test_soak.py"}
"""Those that use a client for one of several ways."""


def test_every_test_that_the_table_names_is_there() -> None:
    named = re.findall(r"`(tests/[a-z0-9_/]+\.py)`", TABLE)
    assert named
    assert [each for each in named if not (CHECKOUT / each).exists()] == []


def test_every_test_of_somebody_elses_client_is_in_the_table() -> None:
    strangers = re.compile(
        r'requires\([^)]*"(?:go-libvirt|virtinst|ruby-libvirt|perl-libvirt|libvirt-python|virsh-1\d)"'
    )
    tried = [path for path in sorted((CHECKOUT / "tests/e2e").glob("test_*.py")) if strangers.search(path.read_text())]
    assert len(tried) > 3
    assert [each.name for each in tried if each.name not in TABLE and each.name not in ABOUT_SOMETHING_ELSE] == []
