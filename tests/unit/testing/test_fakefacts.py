"""A fake host's facts lead nobody to the real host."""

import os

from insula.kernel.cgroups import Mode
from insula.testing.fakefacts import FACTS


def test_no_group_of_the_real_host_is_named() -> None:
    assert FACTS.hierarchies.mode is Mode.V2
    assert not any(os.path.exists(each) for each in FACTS.hierarchies.mounts)
