"""An explanation says whether it leaves doubt."""

from insula.engine.explain.verdict import Explanation, Layer, LayerVerdict
from tests.unit.engine.explain.failed import EPERM, failed


def test_one_verdict_that_nothing_has_to_settle_is_certain() -> None:
    sure = LayerVerdict(layer=Layer.FILTER, evidence="by its program")
    doubtful = LayerVerdict(layer=Layer.SECURITY_MODULE, evidence="there is one", settle="look at its log")
    call = failed("mount", EPERM)
    assert Explanation(call=call, verdicts=(sure,)).certain
    assert not Explanation(call=call, verdicts=(doubtful,)).certain
    assert not Explanation(call=call, verdicts=(sure, sure)).certain
