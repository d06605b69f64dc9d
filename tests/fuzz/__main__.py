"""The long run: `scripts/fuzz MINUTES [TARGET...]`. Ends with 1 if anything was found."""

import argparse
import os
import random
import sys
from pathlib import Path

from tests.fuzz.campaign import run
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS, target

FOUND = Path(__file__).parents[2] / "build/fuzz"


def main() -> int:
    options = _parser().parse_args()
    words: list[str] = options.words
    seconds = None
    if options.inputs is None:
        if not words:
            _parser().error("say how many minutes, or how many --inputs")
        seconds = float(words.pop(0)) * 60
    chosen = [target(each) for each in words] or [each for each in TARGETS if _possible(each)]
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    finds = 0
    for each in chosen:
        share = None if seconds is None else seconds / len(chosen)
        result = run(each, seed, count=options.inputs, seconds=share)
        print(result, flush=True)
        for find in result.finds.values():
            finds += 1
            print(f"    input {find.number}: {find.place}: {find.text}\n    kept in {find.save(FOUND)}", flush=True)
    return 1 if finds else 0


def _possible(each: Target) -> bool:
    if each.enclosed and os.geteuid() != 0:
        print(f"{each.name:12} left out: it needs root", flush=True)
        return False
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description="Fuzz what reads what others wrote.")
    parser.add_argument(
        "words", nargs="*", metavar="MINUTES TARGET", help="minutes in all (not with --inputs); targets"
    )
    parser.add_argument("--inputs", type=int, help="inputs of each target, instead of minutes")
    parser.add_argument("--seed", type=int, help="what chance begins with; else another each time")
    return parser


if __name__ == "__main__":
    sys.exit(main())
