"""What clients send as JSON: an object, of bounded size and depth, of texts that can be written down."""

import json
from typing import Any

from insula.engine.codec import loads
from insula.errors import InvalidArgumentError

SIZE_MAX = 1024 * 1024
"""Characters; arguments and environment of a process have about as much from the kernel."""


def json_object(text: str, what: str) -> dict[str, Any]:
    """Return the object in text. what: how errors call it, such as `the recipe`. Raises: InvalidArgumentError."""
    if len(text) > SIZE_MAX:
        raise InvalidArgumentError(f"{what} has {len(text)} characters, more than {SIZE_MAX}")
    try:
        found = loads(text)
    except ValueError as error:
        raise InvalidArgumentError(f"{what} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise InvalidArgumentError(f"{what} is no JSON object")
    if "\\u" in text:
        try:
            json.dumps(found, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise InvalidArgumentError(f"{what} holds half a surrogate pair, which is no character") from error
    return found
