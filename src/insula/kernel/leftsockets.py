"""Files of sockets that a process left which was killed: nobody listens at them, and they are in the next one's way."""

import os
import socket
import stat


def remove_left_socket(path: str | os.PathLike[str]) -> bool:
    """Remove a socket that nobody listens at any more; return whether somebody listens, though maybe accepts nobody.

    A file that is no socket stays. connect(2) is refused there as it is at a socket that was left. Raises: OSError.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as probe:
        try:
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                return False
            probe.connect(os.fspath(path))
        except FileNotFoundError:
            return False
        except ConnectionRefusedError:
            os.unlink(path)
            return False
        except BlockingIOError:  # as many wait there as may: unix(7)
            pass
    return True
