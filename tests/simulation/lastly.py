"""The end of a walk: every domain is taken away, and nothing may be left."""

from tests import invariants
from tests.simulation.model import Run
from tests.simulation.walk import DESTROY, UNDEFINE, UUIDS, Walk


def end(walk: Walk) -> None:
    """Take every domain away, end the daemon, and see that nothing is left."""
    walk.rest()
    for name, known in walk.models.items():
        (state,) = known.states()
        if state.run is not Run.OFF:  # a kept one too
            walk.verb(name, DESTROY, lambda daemon, uuid=UUIDS[name]: daemon.destroy(uuid))  # type: ignore[misc]
            walk.run(seconds=5)
        if state.defined is not None:
            walk.verb(name, UNDEFINE, lambda daemon, uuid=UUIDS[name]: daemon.undefine(uuid, discard=True))  # type: ignore[misc]
            walk.run(seconds=5)
    for name in walk.networks.models:
        (seen,) = walk.networks.models[name].states()
        if seen.live is not None:
            walk.networks.destroy(name)
            walk.run(seconds=5)
        if seen.defined is not None:
            walk.networks.undefine(name)
            walk.run(seconds=5)
    walk.check_at_rest()
    daemon = walk.daemon
    assert daemon is not None
    assert not daemon.shown(), f"still there: {list(daemon.shown())}"
    walk.stop_daemon()
    walk.run(seconds=60)
    invariants.nothing_is_left(
        {
            "processes": walk.host.processes.values(),
            "control groups": walk.host.groups,
            "statuses": walk.host.ended,
            "keepers": [] if walk.host.keeper is None else [walk.host.keeper],
            "descriptors": daemon.leaked,
            **walk.networks.left(),
            **{kind: files for kind, files in daemon.files().items() if kind != "storage" or not walk.storage_stays},
        }
    )
