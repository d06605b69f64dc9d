"""Limits as `insula set DOMAIN LIMIT=VALUE` names them: by which call each is set, and how its value is written."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from insula.cli.definition import NO_LIMIT, kibibytes
from insula.errors import InvalidArgumentError
from insula.model.numbers import Affect
from insula.sdk.blocking_domains import Domain

Values = dict[str, int | str]
Reader = Callable[[str], int | str]
Call = Callable[[Domain, Values, Affect], None]


def _count(none: int, least: int = 0, most: int = (1 << 32) - 1) -> Reader:
    """Return what reads a number. none: what takes the limit away; least, most: what the call has room for."""

    def read(text: str) -> int:
        if text.lower() in ("", NO_LIMIT):
            return none
        if not text.removeprefix("-").isdecimal():
            raise InvalidArgumentError(f"'{text}' is no number; give one, or none")
        if not least <= int(text) <= most:
            raise InvalidArgumentError(f"{text} is out of range; give a number from {least} to {most}, or none")
        return int(text)

    return read


def _truth(text: str) -> int:
    words = {"yes": 1, "on": 1, "1": 1, "no": 0, "off": 0, "0": 0}
    if text.lower() not in words:
        raise InvalidArgumentError(f"'{text}' is neither yes nor no")
    return words[text.lower()]


def _size(none: str) -> Reader:
    """Return what reads an amount of memory as KiB. none: the amount that takes the limit away."""
    return lambda text: kibibytes(none if text.lower() in ("", NO_LIMIT) else text)


def _memory(found: Domain, values: Any, affect: Affect) -> None:
    found.set_memory_tuning(values, affect)


def _scheduling(found: Domain, values: Any, affect: Affect) -> None:
    found.set_scheduling(values, affect)


def _blocks(found: Domain, values: Any, affect: Affect) -> None:
    found.set_block_tuning(values, affect)


def _numa(found: Domain, values: Any, affect: Affect) -> None:
    found.set_numa_tuning(values, affect)


def _mode(text: str) -> int:
    """Source: virDomainNumatuneMemMode in libvirt's public domain header."""
    modes = ("strict", "preferred", "interleave", "restrictive")
    if text.lower() not in modes:
        raise InvalidArgumentError(f"'{text}' is no NUMA mode; there are {', '.join(modes)}")
    return modes.index(text.lower())


def _own(found: Domain, values: Any, affect: Affect) -> None:
    found.set_limits(values, affect)


LIMIT_WORDS: Mapping[str, tuple[Call, Reader]] = {
    "hard_limit": (_memory, _size(NO_LIMIT)),
    "soft_limit": (_memory, _size(NO_LIMIT)),
    "swap_hard_limit": (_memory, _size(NO_LIMIT)),
    "min_guarantee": (_memory, _size("0")),
    "cpu_shares": (_scheduling, _count(1024)),
    "vcpu_period": (_scheduling, _count(100_000)),
    "vcpu_quota": (_scheduling, _count(-1, -1, (1 << 63) - 1)),
    "numa_mode": (_numa, _mode),
    "numa_nodeset": (_numa, lambda text: "" if text.lower() == NO_LIMIT else text),
    "weight": (_blocks, _count(0)),
    "device_weight": (_blocks, str),
    "device_read_bytes_sec": (_blocks, str),
    "device_write_bytes_sec": (_blocks, str),
    "device_read_iops_sec": (_blocks, str),
    "device_write_iops_sec": (_blocks, str),
    "device_latency": (_own, str),
    "pids": (_own, _count(0)),
    "cpu_burst": (_own, _count(0)),
    "cpu_idle": (_own, _truth),
    "zswap_limit": (_own, _size(NO_LIMIT)),
    "zswap_writeback": (_own, _truth),
    "hugepages": (_own, str),
    "misc": (_own, str),
}
"""Each limit by its name: libvirt's where it has one."""

SHOWN_WORDS: Mapping[str, str] = {
    "memory_soft": "soft_limit",
    "memory_guarantee": "min_guarantee",
    "memory_and_swap": "swap_hard_limit",
    "zswap": "zswap_limit",
    "cpu_quota": "vcpu_quota",
    "cpu_period": "vcpu_period",
    "memory_nodes": "numa_nodeset",
    "block_weight": "weight",
}
"""Limits that `insula limits` shows under another name, which means the same here."""

_ELSEWHERE: Mapping[str, str] = {
    "memory": "--memory SIZE sets it, or hard_limit=SIZE below that",
    "cpus": "--vcpus NUMBER sets how many there are, virsh vcpupin which",
    "groups": "the number of control groups is bounded by Insula, and not to be set",
}


def limit_changes(found: Domain, settings: Iterable[str]) -> list[Callable[[Affect], None]]:
    """Return the changes that texts of `LIMIT=VALUE` mean, one for each call that takes them.

    Raises: InvalidArgumentError for a text that is none, before anything is changed.
    """
    calls: dict[Call, Values] = {}
    files: list[str] = []
    for each in settings:
        name, equals, text = each.partition("=")
        word = SHOWN_WORDS.get(name, name)
        if not equals:
            raise InvalidArgumentError(f"'{each}' is no LIMIT=VALUE, such as pids=512")
        if word in LIMIT_WORDS:
            call, read = LIMIT_WORDS[word]
            calls.setdefault(call, {})[word] = read(text)
        elif "." in word:
            files.append(f"{word}={'' if text.lower() == NO_LIMIT else text}")
        elif word in _ELSEWHERE:
            raise InvalidArgumentError(f"'{word}' is no LIMIT of LIMIT=VALUE: {_ELSEWHERE[word]}")
        else:
            raise InvalidArgumentError(f"there is no limit '{word}'; there are {', '.join(LIMIT_WORDS)}")
    if files:
        calls.setdefault(_own, {})["cgroup"] = "\n".join(files)
    return [_bound(call, found, values) for call, values in calls.items()]


def _bound(call: Call, found: Domain, values: Values) -> Callable[[Affect], None]:
    return lambda affect: call(found, values, affect)
