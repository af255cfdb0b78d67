"""The yardstick: the same exchanges over one kept-alive ``http.client`` connection, signed by hand."""

from __future__ import annotations

import base64
import hmac
import http.client
import sys
from email.utils import formatdate

MODE = "x-obs-server-side-encryption"
BODY = bytes(5242)


def main(port: int, cases: int) -> None:
    """Play PUT and HEAD for each case and look at five headers of the answer to HEAD."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for number in range(cases):
        for method, body in (("PUT", BODY), ("HEAD", None)):
            date = formatdate(usegmt=True)
            mode = f"{MODE}:kms\n" if body else ""
            text = f"{method}\n\n\n{date}\n{mode}/bucket/o{number}"
            signature = base64.b64encode(hmac.digest(b"secret", text.encode(), "sha1")).decode()
            headers = {"Date": date, "Authorization": f"OBS AK:{signature}", **({MODE: "kms"} if body else {})}
            connection.request(method, f"/bucket/o{number}", body, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != http.client.OK:
                raise SystemExit(f"status {answer.status}")
        if answer.headers[MODE] != "kms" or not all(
            answer.headers[name] for name in ("Server", "ETag", "x-obs-request-id", f"{MODE}-kms-key-id")
        ):
            raise SystemExit("wrong answer")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
