"""Bundles of the OCI's runtime specification that tests read."""

import json
from typing import Any

from insula.conversion.formats import ConvertedDomain
from tests.unit.conversion.conversions import converted

PLAIN: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "root": {"path": "/srv/web"},
    "process": {"args": ["/sbin/init"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
    "linux": {
        "namespaces": [{"type": each} for each in ("pid", "mount", "network", "ipc", "uts", "user", "cgroup")],
        "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
        "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
    },
}


def bundle(path: str | None = None, called: str | None = "guest", **changes: Any) -> ConvertedDomain:
    """What becomes of the plain bundle with these changes, by places with `__` for dots."""
    tree = json.loads(json.dumps(PLAIN))
    for place, value in changes.items():
        *above, last = place.split("__")
        branch = tree
        for name in above:
            branch = branch.setdefault(name, {})
        branch[last] = value
    return converted("oci", json.dumps(tree), path=path, called=called)
