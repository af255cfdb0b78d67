"""After ``mutmut run``: how many small changes of the judging functions were noticed, and which were not.

Exits 1 below the floor. Survivors that change nothing a test could see are argued in CONTRIBUTING.md.
"""

import json
import sys
from collections import Counter
from pathlib import Path

FLOOR = 0.95
NOTICED = frozenset({1, 3, 36, 37, 24, -24, 152, 255, -11, -9})
"""Exit codes that mutmut keeps for a mutant that failed a test, ran for too long, or brought the interpreter down."""


def main() -> int:
    """Count the outcomes that mutmut left behind."""
    outcomes: dict[str, int] = {}
    for file in sorted(Path("mutants/conformance").glob("*.meta")):
        outcomes |= json.loads(file.read_text("utf-8"))["exit_code_by_key"]
    if not outcomes:
        print("there are no outcomes; run mutmut first", file=sys.stderr)
        return 2
    noticed = sum(code in NOTICED for code in outcomes.values())
    per_module = Counter(name.rsplit(".", 1)[0].removeprefix("conformance.") for name in outcomes)
    print(f"{noticed} of {len(outcomes)} mutants noticed ({noticed / len(outcomes):.1%}); {dict(per_module)}")
    for name, code in outcomes.items():
        if code not in NOTICED:
            print(f"not noticed: {name}; mutmut show {name} tells what it changes")
    return 0 if noticed >= FLOOR * len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
