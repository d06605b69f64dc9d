"""What a setting's value may be: a check, and the words that say what is wanted."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingKey:
    """What a key's value must be: a check, and the words for it."""

    accepts: Callable[[Any], bool]
    wanted: str


def whole(least: int, most: int) -> SettingKey:
    """A number of a range."""
    return SettingKey(
        accepts=lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most,
        wanted=f"a whole number from {least} to {most}",
    )


def one_of(*words: str) -> SettingKey:
    """One of some words."""
    return SettingKey(accepts=lambda value: value in words, wanted=f"one of {', '.join(words)}")


TEXT = SettingKey(accepts=lambda value: isinstance(value, str) and bool(value), wanted="a text")
TRUTH = SettingKey(accepts=lambda value: isinstance(value, bool), wanted="true or false")
TABLE = SettingKey(accepts=lambda value: isinstance(value, dict), wanted="a table")
TABLE_LIST = SettingKey(
    accepts=lambda value: isinstance(value, list) and all(isinstance(each, dict) for each in value),
    wanted="a list of tables: [[socket]]",
)
MODE = SettingKey(accepts=whole(0, 0o777).accepts, wanted="permission bits such as 0o660")
NAMES = SettingKey(
    accepts=lambda value: isinstance(value, list) and all(isinstance(each, str) and each for each in value),
    wanted='a list of names, such as ["polkit"]',
)
FILE = SettingKey(
    accepts=lambda value: isinstance(value, str) and value.startswith("/") and "\0" not in value,
    wanted="an absolute path",
)
