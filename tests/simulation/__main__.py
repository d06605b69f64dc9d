"""Walk seeds again and say what happens: `python -m tests.simulation SEED [COUNT] [--quiet]`."""

import argparse
import logging
import sys
import time

from tests.simulation.seeds import walked


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("count", type=int, nargs="?", default=1)
    parser.add_argument("--keep-going", action="store_true")
    options = parser.parse_args()
    alone = options.count == 1
    logging.basicConfig(
        level=logging.DEBUG if alone else logging.CRITICAL + 1, format="              %(message)s", stream=sys.stdout
    )
    if not alone:
        logging.disable(logging.CRITICAL)
    began, failed = time.process_time(), 0
    for seed in range(options.seed, options.seed + options.count):
        try:
            walked(seed, say=print if alone else None)
        except Exception as error:
            if not options.keep_going:
                raise
            failed += 1
            print(f"{seed}: {type(error).__name__} {str(error).splitlines()[0][:200]}")
    print(f"{options.count} walks, {failed} failed, {time.process_time() - began:.1f} s of processor time")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
