"""The yardstick: the same exchanges over one kept-alive ``http.client`` connection, signed by hand."""

from __future__ import annotations

import http.client
import re
import sys

from work import BODY, EXACT, PATTERNS, headers, path

PATTERN_OF = {name: re.compile(pattern) for name, pattern in PATTERNS.items()}


def main(port: int, cases: int) -> None:
    """Play PUT and HEAD for each case and judge five headers of the answer to HEAD."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for number in range(cases):
        for method, body in (("PUT", BODY), ("HEAD", None)):
            connection.request(method, path(number), body, headers(method, number))
            answer = connection.getresponse()
            answer.read()
            if answer.status != http.client.OK:
                raise SystemExit(f"status {answer.status}")
        given = answer.headers
        if any(given[name] != value for name, value in EXACT.items()):
            raise SystemExit("wrong value")
        if not all(pattern.fullmatch(given[name] or "") for name, pattern in PATTERN_OF.items()):
            raise SystemExit("wrong shape")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
