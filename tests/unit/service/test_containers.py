"""The engine's launcher is what the verbs take for an engine."""

from collections.abc import Callable

from insula.engine.launch.launcher import Launcher
from insula.service.containers import ContainerEngine

FITS: Callable[[Launcher], ContainerEngine] = lambda launcher: launcher  # noqa: E731 - read by the type checker
"""Fails to type-check when the launcher no longer fits."""


def test_the_launcher_has_every_verb_that_the_service_calls() -> None:
    wanted = {name for name in vars(ContainerEngine) if not name.startswith("_")}

    parts = {"facts", "teardown", "succession", "entrance", "changes", "mounts", "nodes", "views", "interfaces"}
    assert wanted - parts <= set(dir(Launcher))
    assert len(wanted) > 10
