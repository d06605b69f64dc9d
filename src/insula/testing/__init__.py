"""A host, a keeper and an engine in memory, for tests of programs that use insula's rooms: no root, no kernel, no wait.

    host = FakeHost()                                    # outlives engines, as a host outlives daemons
    engine = FakeEngine(host=host, link=DirectLink(host))
    running = await engine.launch(spec)
    host.end(host.guests()[spec.uuid], 0)                # its init returns 0

The engine is the launcher itself: the host stands in for the kernel and for the keeper, and for nothing else. What the
kernel refuses is said by `FakeHost.before`, which is called with each change that is about to be made. `hoststore`
keeps a host in a directory, for daemons that are killed in earnest.
"""

from insula.testing.directlink import DirectLink
from insula.testing.fakeengine import FakeEngine
from insula.testing.fakegroups import FakeGroup
from insula.testing.fakehost import FakeHost
from insula.testing.fakekeeper import FakeKeeper
from insula.testing.fakelooker import FakeLooker
from insula.testing.fakenetworks import FakeNetworkPerformer
from insula.testing.fakeprocess import FakeProcess

__all__ = [
    "DirectLink",
    "FakeEngine",
    "FakeGroup",
    "FakeHost",
    "FakeKeeper",
    "FakeLooker",
    "FakeNetworkPerformer",
    "FakeProcess",
]
