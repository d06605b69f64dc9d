"""Which definitions a change is about, as the services have it."""

from insula.model.numbers import Affect
from tests.simulation.model import Where

AFFECT = {
    Where.CURRENT: Affect.CURRENT,
    Where.LIVE: Affect.LIVE,
    Where.CONFIG: Affect.CONFIG,
    Where.BOTH: Affect.LIVE | Affect.CONFIG,
}
