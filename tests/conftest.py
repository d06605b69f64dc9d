"""Hooks and fixtures of every test; README.md beside this file says how to use them."""

import pytest

from tests import capabilities_plugin, examples, garbage, termination
from tests.system_fixtures import (
    busybox_root,
    debian_root,
    failed_test_logs,
    hostnet,
    insulad,
    no_leaks,
    pytest_runtest_makereport,
    scratch,
    test_host,
    world,
)

__all__ = [
    "busybox_root",
    "debian_root",
    "failed_test_logs",
    "hostnet",
    "insulad",
    "no_leaks",
    "pytest_configure",
    "pytest_runtest_makereport",
    "scratch",
    "test_host",
    "world",
]

pytest_plugins = ("pytester",)


def pytest_configure(config: pytest.Config) -> None:
    capabilities_plugin.pytest_configure(config)
    config.pluginmanager.register(garbage.Garbage(), "insula-garbage")


examples.load_profile()
termination.end_as_if_interrupted()
