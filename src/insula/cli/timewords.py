"""A moment as people type it: how long ago, or by date and time as here."""

import argparse
import re
import time
from datetime import datetime, timedelta

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_AGO = re.compile(r"(?:\d+(?:s|min|m|h|d|w))+")
_PART = re.compile(r"(\d+)(s|min|m|h|d|w)")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?")
_EPOCH = re.compile(r"@\d{1,12}(?:\.\d{1,9})?")


def since(text: str) -> float:
    """Return the moment in seconds since the epoch. For argparse, which tells what is wrong.

    Raises: argparse.ArgumentTypeError.
    """
    try:
        return moment_of(text.strip(), time.time())
    except (ValueError, OverflowError, OSError) as error:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no time: give how long ago, such as 10m, 1h30m or 2d, or a time or date, such as 14:05, "
            "2026-11-30 or '2026-11-30 14:05'"
        ) from error


def moment_of(text: str, now: float) -> float:
    """The same, at a given moment. Raises: ValueError, OverflowError or OSError for what is none."""
    here = datetime.fromtimestamp(now)  # noqa: DTZ006 - as people here read the clock, summer time or not
    today = here.replace(hour=0, minute=0, second=0, microsecond=0)
    if text in ("now", "today", "yesterday"):
        return now if text == "now" else (today - timedelta(days=text == "yesterday")).timestamp()
    if _AGO.fullmatch(ago := text.removeprefix("-").removesuffix(" ago").replace(" ", "")):
        return max(now - sum(int(amount) * _UNITS[unit] for amount, unit in _PART.findall(ago)), 0.0)
    if _EPOCH.fullmatch(text):
        return float(text[1:])
    if _CLOCK.fullmatch(text):
        hour, minute, *seconds = map(int, text.split(":"))
        return today.replace(hour=hour, minute=minute, second=seconds[0] if seconds else 0).timestamp()
    return datetime.fromisoformat(text).timestamp()
