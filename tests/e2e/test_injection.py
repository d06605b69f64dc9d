"""Every verb with the daemon or the keeper killed, and calls failing, at each of its system calls.

A sample, the same each time; another one by INSULA_TEST_SEED. With INSULA_TEST_FULL (scripts/test --full) every call
of every verb is met, in an order of chance unless there is a seed.
Afterwards, whatever happened: what was acknowledged holds and what was refused left nothing; the daemon that comes next
says what the one before said; a guest that lives is shown as such, once; all of it can be ended and leaves nothing.
"""

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import hosts
from tests.e2e.guests import insula
from tests.e2e.scene import BUILT, Scene
from tests.injection import Aim, Fault, Victim
from tests.testhost import TestHost

pytestmark = [pytest.mark.requires("virsh", "overlay.idmapped"), pytest.mark.timeout(14400)]

FULL = hosts.full()
_GIVEN = int(os.environ.get("INSULA_TEST_SEED", "0"))
SEED = _GIVEN or (random.SystemRandom().randrange(1, 1 << 32) if FULL else 6)
"""A usual run finds nothing by chance: what is wrong on one day is wrong on the day before."""
SAMPLE = 40
"""Trials of the sample, however long they take: what is met must not hang on how busy the host is."""

Command = Callable[[Scene], subprocess.CompletedProcess[str]]


def virsh(*words: str) -> Command:
    return lambda scene: scene.insulad.virsh(*(getattr(scene, each, each) for each in words), check=False, seconds=60)


def ours(*words: str) -> Command:
    return lambda scene: insula(scene.insulad, *words, check=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verb:
    """before: what makes ready for it; command: what is watched, whose words may name documents of the scene.

    after: what there is then, see `View.brief`; fallen: what there may be as well if it fails midway. calls: about how
    many each victim makes, for the sample's choice.
    """

    name: str
    before: tuple[Command, ...] = ()
    command: Command
    after: tuple[str, bool, bool, int, bool]
    calls: tuple[int, int]
    fallen: tuple[str, bool, bool, int, bool] | None = None


DEFINE, START, CLONE = virsh("define", "document"), virsh("start", "g"), virsh("define", "cloned")
BUILD = ours("image", "build", BUILT, "--recipe", "busybox")
RUNNING = (DEFINE, START)
NOTHING = ("", False, False, 0)
OFF, ON = ("shut off", True, False, 64), ("running", True, False, 64)
TRANSIENT = ("running", False, False, 64)

VERBS = (
    Verb(name="define", command=DEFINE, after=(*OFF, False), calls=(16, 1)),
    Verb(
        name="redefine",
        before=(DEFINE,),
        command=virsh("define", "another"),
        after=("shut off", True, False, 48, False),
        calls=(9, 1),
    ),
    Verb(name="define of a clone", command=CLONE, after=(*OFF, False), calls=(16, 1)),
    Verb(name="start of a clone", before=(CLONE,), command=START, after=(*ON, False), calls=(150, 38)),
    Verb(name="create", command=virsh("create", "document"), after=(*TRANSIENT, False), calls=(150, 38)),
    Verb(name="start", before=(DEFINE,), command=START, after=(*ON, False), calls=(170, 38)),
    Verb(
        name="suspend",
        before=RUNNING,
        command=virsh("suspend", "g"),
        after=("paused", True, False, 64, False),
        calls=(3, 1),
    ),
    Verb(
        name="resume",
        before=(*RUNNING, virsh("suspend", "g")),
        command=virsh("resume", "g"),
        after=(*ON, False),
        calls=(12, 1),
    ),
    Verb(
        name="setmem",
        before=RUNNING,
        command=virsh("setmem", "g", "32M", "--live", "--config"),
        after=("running", True, False, 32, False),
        calls=(17, 1),
    ),
    Verb(
        name="setmem below what is in use",
        before=(*RUNNING, ours("exec", "g", "--", "dd", "if=/dev/zero", "of=/large", "bs=1M", "count=40")),
        command=virsh("setmem", "g", "16M", "--live", "--config"),
        after=("running", True, False, 16, False),
        calls=(60, 1),
    ),
    Verb(
        name="autostart",
        before=(DEFINE,),
        command=virsh("autostart", "g"),
        after=("shut off", True, True, 64, False),
        calls=(3, 1),
    ),
    Verb(name="live undefine", before=RUNNING, command=virsh("undefine", "g"), after=(*TRANSIENT, False), calls=(4, 1)),
    Verb(name="undefine", before=(DEFINE,), command=virsh("undefine", "g"), after=(*NOTHING, False), calls=(12, 1)),
    Verb(
        name="reset",
        before=RUNNING,
        command=virsh("reset", "g"),
        after=(*ON, False),
        calls=(190, 43),
        fallen=(*OFF, False),
    ),
    Verb(name="destroy", before=RUNNING, command=virsh("destroy", "g"), after=(*OFF, False), calls=(27, 5)),
    Verb(
        name="removal of a clone",
        before=(CLONE, START, virsh("destroy", "g")),
        command=ours("rm", "g"),
        after=(*NOTHING, False),
        calls=(29, 1),
    ),
    Verb(name="image build", command=BUILD, after=(*NOTHING, True), calls=(400, 1)),
    Verb(name="image rm", before=(BUILD,), command=ours("image", "rm", BUILT), after=(*NOTHING, False), calls=(400, 1)),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one trial came to. calls: those that were counted."""

    calls: tuple[str, ...]
    hit: str
    problems: tuple[str, ...]


@pytest.fixture
def scene(test_host: TestHost, scratch: Path, busybox_root: Path, failed_test_logs: dict[str, Path]) -> Iterator[Scene]:
    made = Scene(test_host, scratch, busybox_root)
    failed_test_logs["insulad"] = made.insulad.log
    failed_test_logs["the keeper"] = made.insulad.layout.logs / "keeper.log"
    yield made
    made.insulad.close()
    made.insulad.join()


def trial(scene: Scene, verb: Verb, aim: Aim, baseline: set[str]) -> Outcome:
    """Perform a verb with something happening on the way, and look at what came of it; all is removed then."""
    for each in verb.before:
        result = each(scene)
        assert result.returncode == 0, result.stderr
    before = scene.view()
    with scene.insulad.aimed(aim):
        result = verb.command(scene)
    problems = []
    to_die = bool(aim.hit) and aim.fault is Fault.KILL and aim.victim is Victim.DAEMON
    died = scene.died(killed=to_die)
    if died and not to_die:
        problems.append("the daemon died")
    said = None if died else scene.view()
    if not died and (status := scene.insulad.stop()) != 0:
        problems.append(f"the daemon ended with {status}")
    scene.begin()
    after = scene.view()
    if said is not None and said != after:
        problems.append(f"the daemon said [{said}], the next one says [{after}]")
    if result.returncode == 0 and after.brief != verb.after:
        problems.append(f"acknowledged, but it is [{after}]")
    elif result.returncode and not died and after != before and after.brief != verb.fallen:
        problems.append(f"refused ({result.stderr.strip()[-200:]}), but it is [{after}] instead of [{before}]")
    elif after.brief not in (before.brief, verb.after, verb.fallen):
        problems.append(f"it is [{after}], neither as before nor as after")
    living = len(scene.inits())
    if living != (after.state in ("running", "paused")):
        problems.append(f"{living} guests live, and it is said to be '{after.state}'")
    problems += scene.clean(baseline)
    return Outcome(calls=tuple(aim.seen), hit=aim.hit, problems=tuple(problems))


@pytest.mark.parametrize("name", [each.name for each in VERBS] if FULL else ["a sample of all"])
def test_whatever_fails_or_dies_on_the_way_nothing_is_lost_left_or_told_wrong(scene: Scene, name: str) -> None:
    print(f"INSULA_TEST_SEED={SEED}")
    started = time.monotonic()
    failures: list[str] = []
    scene.begin()
    baseline = quiet(scene)
    done = 0
    for verb, aim in every(scene, name, baseline) if FULL else sampled():
        reads = aim.fault is Fault.NO_DESCRIPTORS
        if reads != scene.reads:
            scene.reads = reads
            scene.insulad.stop()
            scene.begin()
        outcome = trial(scene, verb, aim, baseline)
        done += 1
        failures += [
            f"{verb.name}: {aim.victim.value} {aim.fault.value} at call {aim.at} ({outcome.hit}): {each}"
            for each in outcome.problems
        ]
        if outcome.problems:
            print(failures[-1], flush=True)
            baseline = baseline | scene.left()
    print(f"{name}: {done} trials in {time.monotonic() - started:.0f} s, {len(failures)} failures")
    assert not failures, "\n".join(failures)


def quiet(scene: Scene) -> set[str]:
    """Return what a daemon leaves that has done nothing out of the way; every directory is there then."""
    verbs = {each.name: each for each in VERBS}
    for name in ("start of a clone", "image rm", "autostart"):
        trial(scene, verbs[name], Aim(victim=Victim.DAEMON, fault=Fault.KILL), set())
    return scene.left()


def sampled() -> Iterator[tuple[Verb, Aim]]:
    """Yield some of all there is, by the seed alone; those that need a slower start come last."""
    chance = random.Random(SEED)
    order = list(VERBS) * 3
    chance.shuffle(order)
    chosen = []
    kept = [each for each in VERBS if each.calls[1] > 1]
    for number, each in enumerate(order[:SAMPLE]):
        victim = Victim.KEEPER if number % 3 == 1 else Victim.DAEMON
        verb = chance.choice(kept) if victim is Victim.KEEPER else each
        fault = chance.choice((Fault.KILL, Fault.KILL, Fault.NO_SPACE, Fault.IO_ERROR, Fault.IO_ERROR))
        if chance.random() < 0.1:
            fault = Fault.NO_DESCRIPTORS
        most = verb.calls[0 if victim is Victim.DAEMON else 1]
        chosen.append((verb, Aim(victim=victim, fault=fault, at=chance.randint(1, most))))
    yield from sorted(chosen, key=lambda each: each[1].fault is Fault.NO_DESCRIPTORS)


def every(scene: Scene, name: str, baseline: set[str]) -> Iterator[tuple[Verb, Aim]]:
    """Yield one verb with every fault at each of the calls that it makes when nothing disturbs it."""
    (verb,) = (each for each in VERBS if each.name == name)
    chance = random.Random(SEED)
    for faults in ((Fault.KILL, Fault.NO_SPACE, Fault.IO_ERROR), (Fault.NO_DESCRIPTORS,)):
        for victim in Victim:
            count = Aim(victim=victim, fault=faults[0])
            yield verb, count
            calls = [
                (fault, at)
                for fault in faults
                for at in range(1, 1 + sum(each in fault.calls.values() for each in count.seen))
            ]
            chance.shuffle(calls)  # who stops it early has seen some of everything
            for fault, at in calls:
                yield verb, Aim(victim=victim, fault=fault, at=at)
