import pyseccomp
import pytest

from insula.kernel.callnumbers import CALL_NUMBERS, call_numbers

_ARCHITECTURES = {"x86_64": "X86_64", "aarch64": "AARCH64"}


@pytest.mark.parametrize("machine", _ARCHITECTURES)
def test_numbers_are_those_that_libseccomp_has(machine: str) -> None:
    architecture = int(getattr(pyseccomp.Arch, _ARCHITECTURES[machine]))
    for name, number in CALL_NUMBERS[machine].items():
        known = int(pyseccomp.resolve_syscall(architecture, name))
        assert known in (number, -1), name  # -1: newer than this libseccomp


def test_every_machine_has_the_same_calls() -> None:
    assert len({frozenset(numbers) for numbers in CALL_NUMBERS.values()}) == 1


def test_a_machine_without_a_table_is_named() -> None:
    with pytest.raises(OSError, match="pdp11"):
        call_numbers("pdp11")
