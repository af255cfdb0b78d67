"""No secret is in anything that is written, wherever and however a server repeats it."""

import base64
import gzip
import json
import re
import subprocess
import tomllib
import zlib
from urllib.parse import quote, quote_plus, unquote
from xml.sax.saxutils import escape

import pytest
from commands import BIN, Outcome, reference_server
from middlebox import Middlebox, answer

NASTY = 'CANARY/"s3cr3t"+key&<of>\\the=other%account'
SELECTED = ("--select", "KMS-SAMPLE", "--select", "KMS-FORM-00", "--select", "KMS-OWNER-00", "--select", "KMS-URL-00")


def spellings(secret):
    """Every form in which an artefact is searched."""
    data = secret.encode()
    yield secret
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield quote(secret, safe="").replace("%2F", "%2f").replace("%2B", "%2b")
    yield json.dumps(secret)[1:-1]
    yield json.dumps(json.dumps(secret))[3:-3]
    yield escape(secret)
    yield repr(secret)[1:-1]
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + data).decode().rstrip("=")
        yield encoded[-(-shift * 4 // 3) : -1]


def texts_of(path):
    """An artefact, and whatever is packed inside it."""
    raw = path.read_bytes()
    yield raw
    for packed in re.findall(rb"[A-Za-z0-9+/]{64,}={0,2}", raw):
        yield from unpacked(base64.b64decode(packed[: len(packed) // 4 * 4]))
    if path.suffix == ".jsonl":
        for line in raw.splitlines():
            for text in strings(json.loads(line)):
                if text[:1] in "\x1fx":
                    yield from unpacked(text.encode("latin-1", "replace"))


def unpacked(data):
    yield data
    for window in (47, -15):
        try:
            yield zlib.decompressobj(window).decompress(data, 1 << 24)
        except zlib.error:
            continue


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


def leaks(folder, secrets):
    return [
        (path.name, spelling)
        for path in folder.rglob("*")
        if path.is_file()
        for text in texts_of(path)
        for secret in secrets
        for spelling in spellings(secret)
        if spelling.encode() in text
    ]


_SENT = re.compile(rb"OBS \w+:([^\r]+)|[?&]Signature=([^& ]+)|name=\"signature\"\r\n\r\n([^\r]+)")


class Parrot:
    """Answers with every secret it knows and the signature it is sent, in another place each time."""

    def __init__(self, secrets):
        self.secrets, self.signatures, self.count = secrets, set(), 0

    def __call__(self, seen, _):
        sent = [b"".join(found).decode() for found in _SENT.findall(seen.head + seen.body)]
        self.signatures.update(sent)
        if seen.path.count("/") < 2 or seen.method == "DELETE":
            return None
        self.count += 1
        keys = " ".join(self.secrets)
        told = " ".join([keys, *map(unquote, sent)])
        ways = (
            answer("403 Forbidden", f"<Error><Code>X</Code><Message>{escape(told)}</Message></Error>".encode()),
            answer("400 Bad Request", b"", f"x-obs-error-message: {quote(told)}", f"x-obs-echo: {told}"),
            answer("200 OK", json.dumps({"you said": told}).encode(), "Content-Type: application/json"),
            answer("200 OK", b"\n".join(base64.b64encode(b"x" * n + keys.encode()) for n in range(3))),
            answer("200 OK", gzip.compress(keys.encode()), "Content-Encoding: gzip"),
            answer("200 OK", zlib.compress(keys.encode()), "Content-Encoding: deflate"),
            answer("200 OK", b"z" * (2048 - 20) + self.secrets[0].encode() + b"z" * 100),
            answer(f"200 {told}"),
            answer("500 Oops", repr(ValueError(told)).encode(), f'ETag: "{quote_plus(told)}"'),
        )
        return ways[self.count % len(ways)]


@pytest.fixture
def parrot(tmp_path):
    """A target file whose server repeats the secrets, the secrets, and the parrot."""
    with reference_server(tmp_path) as (honest, _):
        text = honest.read_text()
        data = tomllib.loads(text)
        port = data["endpoint"].rpartition(":")[2]
        text = text.replace(f'"{data["identities"]["other_account"]["secret_key"]}"', json.dumps(NASTY))
        repeats = Parrot([data["identities"]["owner"]["secret_key"], NASTY])
        with Middlebox(int(port), instead=repeats).running() as box:
            path = tmp_path / "target.toml"
            path.write_text(text.replace(port, str(box)) + "\n[limits]\ntimeout_s = 2\n")
            path.chmod(0o600)
            yield path, repeats


def test_no_artefact_has_a_secret_or_a_signature_however_a_server_repeats_it(parrot, command, tmp_path):
    target, repeats = parrot
    out, known = tmp_path / "artefacts" / "out", tmp_path / "artefacts" / "known.yaml"
    done = command(
        "run", "--no-doctor", "--target", target, "--out", out, *SELECTED, "--write-baseline", known, "--owner", "kim"
    )
    outcome = Outcome(done, out)
    assert done.returncode == 1 or "Baseline" in done.stdout
    assert repeats.count > 9
    assert len(repeats.signatures) > 9
    (out / "stdout").write_text(done.stdout)
    (out / "stderr").write_text(done.stderr)
    formats = [part for name in ("json", "sarif", "har", "markdown", "badge") for part in ("--format", name)]
    report = command("report", out / "results.jsonl", "--out", tmp_path / "artefacts" / "again", *formats)
    assert report.returncode == 0
    assert len(list((tmp_path / "artefacts" / "again").iterdir())) > 6
    assert leaks(tmp_path / "artefacts", repeats.secrets) == []
    valid = {signature for signature in repeats.signatures if not signature.startswith("AAAA")}
    assert leaks(tmp_path / "artefacts", valid) == []
    assert "*" * 28 in json.dumps(outcome.lines)
    assert "fail" in outcome.rungs.values()


def test_the_search_would_find_a_leak(tmp_path):
    for number, spelling in enumerate(spellings(NASTY)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "a.html").write_bytes(b"<p>" + spelling.encode() + b"</p>")
        assert leaks(folder, [NASTY])
    (tmp_path / "b.html").write_bytes(base64.b64encode(gzip.compress(NASTY.encode() + bytes(range(256)))))
    assert ("b.html", NASTY) in leaks(tmp_path, [NASTY])


def test_the_pytest_front_end_keeps_secrets_too(parrot, tmp_path):
    target, repeats = parrot
    out = tmp_path / "artefacts"
    out.mkdir()
    done = subprocess.run(
        [
            BIN / "pytest",
            "-p",
            "no:cacheprovider",
            "--pyargs",
            "conformance",
            "--obs-target",
            target,
            "-k",
            "SAMPLE or FORM-00",
            "--obs-no-doctor",
            "--html",
            out / "p.html",
            "--self-contained-html",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    (out / "stdout").write_text(done.stdout)
    assert repeats.count > 5
    assert leaks(out, repeats.secrets) == []


def test_security_tokens_and_what_the_suite_itself_throws_are_redacted(tmp_path):
    from conformance.results import Redactor, ResultsFile
    from conformance.vocabulary import Case, CaseResult, Exchange, Played, Request, RequestTemplate, Step

    head = b"PUT /o?x-obs-security-token=T0KEN%2Fone&Signature=abc HTTP/1.1\r\nX-Obs-Security-Token: T0KEN/two\r\n\r\n"
    body = b'--b\r\nContent-Disposition: form-data; name="x-obs-security-token"\r\n\r\nT0KEN/three\r\n--b--'
    request = Request("PUT", head, body, False, "b", "o")
    exchange = Exchange(
        request, b"HTTP/1.1 200 OK\r\n\r\n", b'{"security-token": "T0KEN/four"}', None, repr(OSError(NASTY)), 1.0
    )
    played = Played((), (), (("step 1", exchange),), times=((0.0, 0.0),))
    step = Step("step", "step 1", RequestTemplate("PUT", "b", "o"), ())
    case = Case("KMS-X-1", "says", "x", "must", (), (), (step,), "f", 1)
    file = ResultsFile(tmp_path / "r.jsonl", Redactor([NASTY]))
    file.case(CaseResult(case, "harness_error", f"the suite failed: {RuntimeError(NASTY)!r}", played, 1.0))
    file.close()
    written = (tmp_path / "r.jsonl").read_text()
    assert "T0KEN" not in written
    assert leaks(tmp_path, [NASTY]) == []
    assert json.loads(written)["id"] == "KMS-X-1"
