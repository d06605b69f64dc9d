"""Which nodes the words for devices stand for."""

from insula.engine.policy.deviceclasses import DEVICE_CLASSES


def test_every_pattern_is_below_dev_and_stands_once() -> None:
    paths = [each.path for patterns in DEVICE_CLASSES.values() for each in patterns]
    assert len(set(paths)) == len(paths)
    assert not [path for path in paths if path.startswith(("/", "..")) or "//" in path]


def test_what_is_not_for_everybody_belongs_to_a_group_of_the_guests() -> None:
    patterns = [each for patterns in DEVICE_CLASSES.values() for each in patterns]
    assert all(bool(each.groups) == (each.mode == 0o660) for each in patterns)


def test_nothing_acts_on_the_host_itself() -> None:
    paths = {each.path for patterns in DEVICE_CLASSES.values() for each in patterns}
    forbidden = {"uinput", "input/*", "mem", "port", "kmsg", "tty*", "ttyS*0", "console", "sd*", "loop*", "vfio/*", "*"}
    assert not paths & forbidden
