"""What a container may use."""

from insula.engine.codec import decode, encode
from insula.engine.limitspec import Limits, Microseconds
from insula.kernel.cgroups import GroupKey, HugePageLimit, MiscLimit


def test_limits_survive_json_and_what_is_not_said_takes_no_place() -> None:
    limits = Limits(
        cpu_burst=Microseconds(5),
        cpu_idle=False,
        huge_pages=(HugePageLimit(size=2 << 20, limit=0),),
        misc=(MiscLimit(name="sev", limit=1),),
        keys=(GroupKey(key="memory.oom.group", value=None),),
    )
    written = encode(limits)
    assert set(written) == {"cpu_burst", "cpu_idle", "huge_pages", "misc", "keys"}
    assert decode(Limits, written) == limits
    assert encode(Limits()) == {}
