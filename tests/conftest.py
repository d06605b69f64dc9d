"""Hooks and fixtures of every test; README.md beside this file says how to use them."""

from tests import capabilities_plugin, examples, termination
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
pytest_configure = capabilities_plugin.pytest_configure
examples.load_profile()
termination.end_as_if_interrupted()
