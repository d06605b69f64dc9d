"""The same steps, chosen by hypothesis: it finds the shortest way to what must not be."""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests import hosts
from tests.simulation.lastly import end
from tests.simulation.seeds import new_walk
from tests.simulation.steps import STEPS, Kind, Step
from tests.simulation.walk import UUIDS
from tests.waiting import scaled

EXAMPLES = 2000 if hosts.full() else 60

names = st.sampled_from(sorted(UUIDS))
turns = st.sampled_from((0, 1, 3, 10, 30, 100))


def steps(kind: Kind) -> st.SearchStrategy[Step]:
    return st.sampled_from([each for each in STEPS if each.kind is kind])


class Life(RuleBasedStateMachine):
    """Defined, running, daemon, keeper and disk: hypothesis moves all of them, the model says what may be seen."""

    @initialize(seed=st.integers(0, 1 << 16))
    def a_host(self, seed: int) -> None:
        self.walk = new_walk(seed)
        with self.walk.kernel.installed():
            self.walk.begin_daemon()
            self.walk.run(turns=1000)

    @rule(step=steps(Kind.VERB), name=names, turns=turns)
    def a_client_asks(self, step: Step, name: str, turns: int) -> None:
        self._take(step, name, turns)

    @rule(step=steps(Kind.GUEST), name=names, turns=turns)
    def a_guest_acts(self, step: Step, name: str, turns: int) -> None:
        self._take(step, name, turns)

    @rule(step=steps(Kind.DISASTER), turns=turns)
    def something_breaks(self, step: Step, turns: int) -> None:
        self._take(step, "web", turns)

    @rule(step=steps(Kind.TIME))
    def time_goes_by(self, step: Step) -> None:
        self._take(step, "web", 0)

    def _take(self, step: Step, name: str, turns: int) -> None:
        with self.walk.kernel.installed():
            step.take(self.walk, name)
            self.walk.run(turns=turns)

    def teardown(self) -> None:
        if not hasattr(self, "walk"):
            return
        try:
            with self.walk.kernel.installed():
                end(self.walk)
        finally:
            with self.walk.kernel.installed():
                self.walk.close()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(scaled(14400 if EXAMPLES > 60 else 600))
def test_no_life_that_hypothesis_thinks_of_breaks_a_promise() -> None:
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=20,
            deadline=None,
            derandomize=EXAMPLES == 60,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
