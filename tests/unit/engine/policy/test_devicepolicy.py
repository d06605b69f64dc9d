from insula.engine.policy.devicepolicy import DEFAULT, device_rules
from insula.engine.spec import Device, DeviceKind


def test_every_container_may_use_what_every_program_expects() -> None:
    rules = [str(rule) for rule in device_rules(())]
    assert {"c 1:3 rwm", "c 1:5 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm"} <= set(rules)


def test_no_memory_disk_or_console_of_the_host_is_among_them() -> None:
    rules = [str(rule) for rule in device_rules(())]
    assert not [rule for rule in rules if rule.startswith(("b", "c 4:", "c *", "c 1:1 ", "c 1:4 ", "c 10:*"))]


def test_every_default_says_why() -> None:
    assert all(each.why for each in DEFAULT)


def test_a_device_of_the_spec_is_allowed_with_its_own_access() -> None:
    disk = Device(kind=DeviceKind.BLOCK, major=8, minor=1, host="/dev/sda1", guest="vda", access="r")
    shown_only = Device(kind=DeviceKind.CHARACTER, major=10, minor=1, host="/dev/psaux", guest="psaux", access="")
    rules = [str(rule) for rule in device_rules((disk, shown_only))]
    assert "b 8:1 r" in rules
    assert not [rule for rule in rules if "10:1 " in rule]
