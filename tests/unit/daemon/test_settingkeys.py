"""What values of settings may be."""

import pytest

from insula.daemon import settingkeys
from insula.daemon.settingkeys import SettingKey, one_of, whole


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        (whole(1, 3), [1, 3], [0, 4, True, "1", 1.0, None]),
        (one_of("a", "b"), ["a", "b"], ["c", "", 1]),
        (settingkeys.TEXT, ["x"], ["", 1, None]),
        (settingkeys.TRUTH, [True, False], [0, 1, "true"]),
        (settingkeys.TABLE, [{}], [[], "x"]),
        (settingkeys.TABLE_LIST, [[], [{}]], [{}, ["x"]]),
        (settingkeys.MODE, [0, 0o777], [0o1000, "0o660"]),
        (settingkeys.NAMES, [[], ["a"]], ["a", [""], [1]]),
        (settingkeys.FILE, ["/a"], ["a", "", "/a\0b", 1]),
    ],
)
def test_each_takes_what_it_says(key: SettingKey, good: list[object], bad: list[object]) -> None:
    assert all(map(key.accepts, good)) and not any(map(key.accepts, bad))
    assert key.wanted
