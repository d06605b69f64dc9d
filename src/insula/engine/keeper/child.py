"""A process of a guest, from its clone in the keeper's image to the exec of its program.

It is a fork of the keeper: it imports nothing, plays its program (`engine.program`), and never returns.
"""

import os
import resource
import signal
import socket
from typing import NoReturn

from insula.engine.keeper.children import forget_children
from insula.engine.keeper.protocol import IMAGE, Message
from insula.engine.passednumbers import FIRST_PASSED_FD, LAST_PASSED_FD
from insula.engine.program import player
from insula.engine.program.image import BEFORE_ANY_RECORD, FAILED
from insula.kernel.fds import keep_only

Limits = tuple[int, int]
"""Soft and hard limit of fds, as they were before the keeper raised its own."""


def play(channel: socket.socket, request: Message, limits: Limits) -> NoReturn:
    """Play the program that came with the request; whatever else it needs comes through the channel."""
    image, said = request.fds[IMAGE], channel.detach()
    try:
        # Should the keeper die, its socket must not live on in us, nor others' channels; and a directory of the host's
        # is a way out for names that the guest chooses. What occupies the numbers that passed descriptors will get
        # stays: nothing of ours may come to lie there.
        keep_only((said, image, *range(FIRST_PASSED_FD, LAST_PASSED_FD + 1)))
        # The keeper's log is a file of the host's.
        os.dup2(0, 2)
        forget_children()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    except BaseException as error:
        player.say_failed(said, BEFORE_ANY_RECORD, getattr(error, "errno", None) or 0)
        os._exit(FAILED)
    player.live(image, said)
