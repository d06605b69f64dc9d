import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.kernel.cgroups.devicecontroller import DeviceRule, V1Devices, device_program
from tests.ebpf import Machine

NULL = DeviceRule(kind="c", major=1, minor=3)
ANY_BLOCK = DeviceRule(kind="b", major=None, minor=None, access="m")


def test_a_rule_is_written_as_the_kernel_reads_it() -> None:
    assert str(NULL) == "c 1:3 rwm"
    assert str(ANY_BLOCK) == "b *:* m"
    assert str(DeviceRule(kind="c", major=136, minor=None, access="rw")) == "c 136:* rw"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    record: list[str] = []

    def write(path: str, *values: str) -> None:
        record.extend(f"{path.rpartition('.')[2]} {value}" for value in values)

    monkeypatch.setattr("insula.kernel.cgroups.files.write", write)
    return record


def test_a_fresh_group_refuses_everything_before_it_allows(tmp_path: Path, written: list[str]) -> None:
    (tmp_path / "devices.list").write_text("a *:* rwm\n")
    V1Devices(str(tmp_path)).allow((NULL, ANY_BLOCK))
    assert written == ["deny a", "allow c 1:3 rwm", "allow b *:* m"]


def test_a_policy_in_force_is_changed_by_its_difference_additions_first(tmp_path: Path, written: list[str]) -> None:
    (tmp_path / "devices.list").write_text("c 1:3 rwm\nc 5:0 rw\nc 10:229 rwm\n")
    V1Devices(str(tmp_path)).allow((NULL, ANY_BLOCK, DeviceRule(kind="c", major=5, minor=0, access="r")))
    assert written == ["allow b *:* m", "deny c 5:0 w", "deny c 10:229 rwm"]


KINDS = {"b": 1, "c": 2}
LETTERS = {"m": 1, "r": 2, "w": 4}


def answer(program: bytes, kind: str, access: str, major: int, minor: int) -> int:
    """Run a device program as the kernel would."""
    wanted = KINDS[kind] | sum(LETTERS[letter] for letter in access) << 16
    return Machine(bytearray(struct.pack("=III", wanted, major, minor))).run(program)


ACCESSES = st.sets(st.sampled_from("rwm"), min_size=1).map(lambda letters: "".join(sorted(letters)))
NUMBERS = st.integers(min_value=0, max_value=3)
RULES = st.builds(
    DeviceRule,
    kind=st.sampled_from("bc"),
    major=st.none() | NUMBERS,
    minor=st.none() | NUMBERS,
    access=ACCESSES,
)


def allowed(rules: Sequence[DeviceRule], kind: str, access: str, major: int, minor: int) -> bool:
    """The meaning of a policy, in words of the rules themselves: one node's rules count together."""
    nodes: dict[tuple[str, int | None, int | None], set[str]] = {}
    for rule in rules:
        nodes.setdefault((rule.kind, rule.major, rule.minor), set()).update(rule.access)
    return any(
        kind == its_kind and its_major in (None, major) and its_minor in (None, minor) and set(access) <= letters
        for (its_kind, its_major, its_minor), letters in nodes.items()
    )


@given(st.lists(RULES, max_size=6), st.sampled_from("bc"), ACCESSES, NUMBERS, NUMBERS)
def test_the_program_answers_what_the_rules_mean(
    rules: list[DeviceRule], kind: str, access: str, major: int, minor: int
) -> None:
    expected = int(allowed(rules, kind, access, major, minor))
    assert answer(device_program(tuple(rules)), kind, access, major, minor) == expected


def test_no_rule_refuses_everything() -> None:
    assert answer(device_program(()), "c", "r", 1, 3) == 0
