"""What the daemon does with a prefix that is its own; how it serves is tested with real clients, in tests/e2e."""

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.daemon.main import serve
from insula.errors import ConfigurationError
from insula.layout import Layout


@pytest.fixture(autouse=True)
def root_logger_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_settings_that_cannot_be_used_end_it_before_anything_is_made(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("log_level = 3\n")
    options = argparse.Namespace(config=settings, verbose=False, timeout=None)
    with pytest.raises(ConfigurationError, match=r"settings\.toml line 1"):
        serve(Layout.prefix(tmp_path), options, [])
    assert [each.name for each in tmp_path.iterdir()] == ["settings.toml"]
