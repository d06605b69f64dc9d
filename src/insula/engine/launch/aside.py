"""Steps of a launch that are performed aside: on a thread, while the child performs its own and at last waits for them.

So what others take their time with (the host's systemd, to make a scope) costs a start only what is longer than all
that the child does meanwhile.
"""

import os
import threading
from collections.abc import Callable, Sequence

from insula.engine.keeper.link import completed
from insula.engine.launch.holdings import Holding
from insula.engine.steps.host.hoststep import HostContext, HostStep
from insula.kernel.fds import Fd

DONE = b"1"
"""What the child reads once all is done; the end of the file says that it never will be."""


class AsideSteps:
    """The steps under way.

    word: what the child reads from, for whoever made this to close. done: the child is told that all is done;
    holdings, underway: what they have made, and what the one that was cut short may have; failure: why they ended
    early. Those three are of worth once it is done, or has ended.
    """

    def __init__(
        self, steps: Sequence[HostStep], context: HostContext, failed: Callable[[HostStep, OSError], Exception]
    ) -> None:
        """Begin. None of the steps may suspend. failed: makes the error of a step that the kernel refused.

        Raises: OSError without descriptors, RuntimeError without a thread.
        """
        self.done = False
        self.holdings: list[Holding] = []
        self.underway: tuple[Holding, ...] = ()
        self.failure: Exception | None = None
        self._steps = steps
        self._context = context
        self._failed = failed
        self._given_up = False
        word, self._say = os.pipe2(os.O_CLOEXEC)
        self.word = Fd(word)
        self._thread = threading.Thread(target=self._work, name="aside", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            os.close(self._say)
            os.close(word)
            raise

    def give_up(self) -> None:
        """Have the child not told to go on, if it is not yet."""
        self._given_up = True

    def end(self) -> None:
        """Wait until it has ended; that blocks."""
        self._thread.join()

    def _work(self) -> None:
        try:
            for step in self._steps:
                self._perform(step)
            if not self._given_up:
                self.done = True
                os.write(self._say, DONE)
        except Exception as error:
            self.failure = error
        finally:
            os.close(self._say)

    def _perform(self, step: HostStep) -> None:
        try:
            self.underway = step.announce(self._context.identity)
            made = completed(step.perform(self._context))
        except OSError as error:
            raise self._failed(step, error) from error
        self.holdings += [each for each in made if each not in self.holdings]
        self.underway = ()
