"""Whether a port of a guest's takes connections, tried from inside it: by its own addresses, rules and limits."""

import os
import socket
from collections.abc import Mapping
from typing import Any

from insula.engine.look.visit import visit
from insula.kernel.fds import Fd


def connect_port(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> str | None:
    """as `visit`; addresses, port, seconds → None if one of them takes a connection, else why the last does not."""
    os.close(visit(arguments, fds))
    reason = None
    for address in arguments["addresses"]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as tried:
                tried.settimeout(arguments["seconds"] / len(arguments["addresses"]))
                tried.connect((address, arguments["port"]))
                return None
        except TimeoutError:
            reason = "no answer"
        except OSError as error:
            reason = error.strerror or str(error)
    return reason
