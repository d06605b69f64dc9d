"""Options as a verb's own parser makes them."""

import argparse
from collections.abc import Callable

from insula.cli.main import parse


def options_of(arguments: Callable[[argparse.ArgumentParser], None], *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    arguments(parser)
    return parse(parser, words)
