"""``pytest --pyargs conformance`` over a generated library: the first argument is its folder, the rest is pytest's.

Loads no plugin but ours and those that are named, as in an environment that has nothing else.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

import pytest

from conformance import casefile


def main(folder: Path, arguments: list[str]) -> int:
    """Put the folder in place of the library that is installed, and hand over to pytest."""
    casefile.load_library = functools.partial(casefile.load_library, folder)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    ours = ("-p", "conformance.pytest_plugin", "-p", "no:cacheprovider")
    return int(pytest.main(["-q", *ours, "--pyargs", "conformance", *arguments]))


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), sys.argv[2:]))
