"""The fields of a request to the keeper, as they must be.

All raise KeyError for a missing one, and RefusalError for one of another kind.
"""

import math
from typing import Any

from insula.engine.keeper.clients import RefusalError
from insula.engine.keeper.protocol import Message
from insula.kernel.fds import check_room as check_descriptors

_NAME_MAX = 200


def name_of(message: Message, field: str) -> str:
    """Return a name that may be a file's."""
    value = message.body[field]
    if not isinstance(value, str) or not 0 < len(value.encode(errors="replace")) <= _NAME_MAX:
        raise _wrong(field, "a text", value)
    if value.startswith(".") or not value.isprintable() or "/" in value:
        raise _wrong(field, "a name", value)
    return value


def number_of(message: Message, field: str) -> int:
    """Return a number that is not negative, and fits 63 bits."""
    value = message.body[field]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise _wrong(field, "a number", value)
    return value


def seconds_of(message: Message, otherwise: float) -> float:
    """Return the time in `seconds`, or otherwise."""
    value = message.body.get("seconds", otherwise)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise _wrong("seconds", "a time", value)
    return float(value)


def boolean(message: Message, field: str, *, default: bool) -> bool:
    value = message.body.get(field, default)
    if not isinstance(value, bool):
        raise _wrong(field, "true or false", value)
    return value


def _wrong(field: str, wanted: str, value: Any) -> RefusalError:
    return RefusalError(f"{field} is to be {wanted}: {str(value)[:100]!r}")


def check_room() -> None:
    """Refuse a launch that would meet the limit of descriptors half-way. Raises: RefusalError."""
    try:
        check_descriptors(_LAUNCH_NEEDS)
    except OSError as error:
        raise RefusalError(
            f"the keeper has no descriptors left for another guest ({error.strerror}): end some guests, or let insulad "
            "have more (LimitNOFILE= of its unit, ulimit -n)"
        ) from error


_LAUNCH_NEEDS = 32
"""Descriptors that a launch passes through the keeper at once, with some to spare."""
