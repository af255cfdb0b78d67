"""The pre-flight from outside: each wrong set-up has one diagnosis with a remedy, and a wrong server has none."""

import contextlib
import datetime as dt
import json
import socket
import ssl
import subprocess
import sys
import threading
import tomllib
from dataclasses import replace
from types import SimpleNamespace

import pytest
from commands import reference_server
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from middlebox import Middlebox, answer, error, without

from conformance.doctor import Doctor, diagnosis
from conformance.journal import Journal
from conformance.selftest import Rig, ServiceTransport
from conformance.world import World
from reference_server.defects import DEFECTS

SKEWED = """\
import sys, time
real = time.time
time.time = lambda: real() - 3600
from reference_server.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("honest")
    with reference_server(folder) as (target, _):
        data = tomllib.loads(target.read_text())
        yield SimpleNamespace(text=target.read_text(), port=int(data["endpoint"].rpartition(":")[2]), data=data)


@pytest.fixture
def set_up(honest, tmp_path):
    """The honest server's target file with replacements, and its path."""

    def write(*replacements, port=None):
        text = honest.text
        for old, new in ((str(honest.port), str(port or honest.port)), *replacements):
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "target.toml"
        path.write_text(text + "\n[limits]\ntimeout_s = 1\n")
        path.chmod(0o600)
        return path

    return write


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, and certificates for 127.0.0.1, for another name and for a client."""
    folder = tmp_path_factory.mktemp("certificates")
    now = dt.datetime.now(dt.UTC)
    keys = {}

    def write(name, alternative, issuer=None):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer_name, issuer_key = issuer or (subject, key)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        )
        made = builder.sign(issuer_key, hashes.SHA256())
        key_bytes = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = folder / f"{name}.pem"
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key_bytes)
        keys[name] = (subject, key)
        return path

    import ipaddress

    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    paths = {"authority": write("authority", x509.DNSName("authority"))}
    paths["server"] = write("server", loopback, keys["authority"])
    paths["other"] = write("other", x509.DNSName("elsewhere.example"), keys["authority"])
    paths["client"] = write("client", x509.DNSName("client"), keys["authority"])
    return paths


@contextlib.contextmanager
def tls_front(upstream, certificate, *, asks_for=None):
    """A TLS listener in front of a plain server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if asks_for:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(asks_for)
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source, sink):
        with contextlib.suppress(OSError, ValueError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def relay(plain):
        with (
            contextlib.suppress(OSError),
            context.wrap_socket(plain, server_side=True) as client,
            socket.create_connection(("127.0.0.1", upstream)) as server,
        ):
            threading.Thread(target=pump, args=(server, client), daemon=True).start()
            pump(client, server)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=relay, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def diagnosed(conformance, target, name, says, remedy):
    """A run stops at this one diagnosis, says what to do, and judges no case."""
    outcome = conformance("--target", target, "--select", "SAMPLE")
    log = outcome.lines[0]["doctor"]
    stops = [check for check in log if check["state"] == "stop"]
    assert [check["check"] for check in stops] == [name], log
    assert says in stops[0]["says"]
    assert remedy in stops[0]["remedy"]
    assert outcome.code == 3
    assert set(outcome.rungs.values()) == {"not_run"}
    assert f"Nothing was measured: {name}: " in outcome.stdout
    assert f"Remedy: {stops[0]['remedy']}" in outcome.stdout
    return outcome


@pytest.fixture
def diagnose(conformance):
    return lambda *arguments: diagnosed(conformance, *arguments)


def test_a_good_set_up_has_no_diagnosis_and_leaves_nothing(command, conformance, set_up, tmp_path):
    done = command("doctor", "--target", set_up())
    assert done.returncode == 0
    assert done.stdout.rstrip().endswith("Ready: nothing stands in the way of a run.")
    assert "bucket and objects of the pre-flight are deleted again" in done.stdout
    assert list((tmp_path / "conformance-results").iterdir()) == []
    outcome = conformance("--target", set_up(), "--select", "SAMPLE-001")
    assert [check["check"] for check in outcome.lines[0]["doctor"]][-1] == "clean-up"
    assert outcome.rungs == {"KMS-SAMPLE-001": "pass"}


def test_the_pre_flight_can_be_skipped(conformance, set_up):
    outcome = conformance("--target", set_up(), "--select", "SAMPLE-001", "--no-doctor")
    assert (outcome.lines[0]["doctor"], outcome.rungs) == ([], {"KMS-SAMPLE-001": "pass"})


def test_the_doctor_alone_says_the_same(command, set_up):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = command("doctor", "--target", set_up(port=port))
    assert done.returncode == 3
    assert done.stdout.count("STOP") == done.stdout.count("STOP  connect ") == done.stdout.count("remedy: ") == 1
    assert done.stdout.rstrip().endswith("Not ready: connect.")


def test_a_name_that_does_not_resolve(diagnose, set_up):
    diagnose(set_up(("http://127.0.0.1", "http://obs.invalid")), "name-resolution", "obs.invalid", "typing error")


def test_a_closed_port(diagnose, set_up):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    diagnose(set_up(port=port), "connect", f"port {port} of 127.0.0.1 cannot be reached", "firewall")


def test_a_server_that_never_answers(diagnose, set_up):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = set_up(port=listener.getsockname()[1])
        diagnose(target, "answer", "no complete answer within 1 s", "limits.timeout_s")


def test_something_that_is_no_http_server(diagnose, set_up, honest):
    with Middlebox(honest.port, instead=lambda *_: b"SSH-2.0-OpenSSH_9.6\r\n").running() as port:
        diagnose(set_up(port=port), "answer", "not HTTP/1.1", "host and port")


def test_https_to_a_port_that_speaks_http(diagnose, set_up):
    diagnose(set_up(("http://", "https://")), "tls", "no TLS connection", "write http://")


def test_http_to_a_port_that_speaks_tls(diagnose, set_up, honest, certificates):
    with tls_front(honest.port, certificates["server"]) as port:
        diagnose(set_up(port=port), "answer", "no HTTP answer", "")


def test_an_authority_that_nobody_knows(diagnose, set_up, honest, certificates):
    with tls_front(honest.port, certificates["server"]) as port:
        diagnose(set_up(("http://", "https://"), port=port), "tls", "not trusted", "[tls] ca_bundle")


def test_a_certificate_for_another_name(diagnose, set_up, honest, certificates):
    with tls_front(honest.port, certificates["other"]) as port:
        target = set_up(
            ("http://", "https://"), ("[keys]", f'[tls]\nca_bundle = "{certificates["authority"]}"\n[keys]'), port=port
        )
        diagnose(target, "tls", "not trusted: IP address mismatch", "the name that the certificate is for")


def test_a_client_certificate_that_is_not_given_and_then_is(diagnose, conformance, set_up, honest, certificates):
    with tls_front(honest.port, certificates["server"], asks_for=certificates["authority"]) as port:
        trusted = f'[tls]\nca_bundle = "{certificates["authority"]}"\n'
        target = set_up(("http://", "https://"), ("[keys]", f"{trusted}[keys]"), port=port)
        diagnose(target, "tls", "ends the TLS connection as soon as it is made", "[tls] client_certificate")
        given = f'{trusted}client_certificate = "{certificates["client"]}"\n'
        target = set_up(("http://", "https://"), ("[keys]", f"{given}[keys]"), port=port)
        outcome = conformance("--target", target, "--select", "SAMPLE-001")
    assert outcome.rungs == {"KMS-SAMPLE-001": "pass"}
    assert "TLSv1.3, certificate for 127.0.0.1 verified" in json.dumps(outcome.lines[0]["doctor"])


@pytest.mark.parametrize("word", ["ca_bundle", "client_certificate"])
def test_certificates_that_cannot_be_read_are_a_usage_error(command, set_up, tmp_path, word):
    target = set_up(("http://", "https://"), ("[keys]", f'[tls]\n{word} = "{tmp_path}/none.pem"\n[keys]'))
    done = command("run", "--target", target)
    assert done.returncode == 2
    assert f"tls.{word} {tmp_path}/none.pem: not a PEM file" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_endpoint_that_sends_callers_elsewhere(diagnose, set_up, honest):
    away = answer("307 Temporary Redirect", b"", "Location: https://obs.region-2.example/")
    with Middlebox(honest.port, instead=lambda *_: away).running() as port:
        diagnose(set_up(port=port), "answer", "https://obs.region-2.example/ (status 307)", "write that address")


def test_clocks_an_hour_apart(diagnose, tmp_path):
    target = tmp_path / "skewed.toml"
    command = [sys.executable, "-c", SKEWED, "--target-file", target, "--exit-with-parent"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        server.stdout.readline()
        diagnose(target, "clock", "the endpoint's clock is 36", "NTP")
        server.kill()


def test_a_secret_key_that_is_not_the_access_keys(diagnose, set_up, honest):
    secret = honest.data["identities"]["owner"]["secret_key"]
    wrong = secret[:-1] + ("A" if secret[-1] != "A" else "B")
    outcome = diagnose(
        set_up((secret, wrong)), "credentials", "identities.owner: the signature", "belongs to the access key"
    )
    assert secret not in outcome.stdout


def test_a_secret_key_of_a_second_identity_that_is_wrong(diagnose, set_up, honest):
    key = honest.data["identities"]["other_account"]["access_key"]
    diagnose(
        set_up((key, "NOBODYHASTHISKEY0000")),
        "credentials",
        "identities.other_account: the endpoint does not know",
        "access_key",
    )


def test_an_owner_who_may_not_create_buckets(diagnose, set_up, honest):
    def refuse(seen, _):
        bucket = seen.method == "PUT" and seen.path.count("/") == 1
        return error("403 Forbidden", "AccessDenied") if bucket else None

    with Middlebox(honest.port, instead=refuse).running() as port:
        diagnose(set_up(port=port), "bucket-rights", "may not create buckets", "right to create")


def test_an_account_that_has_all_its_buckets(diagnose, set_up, honest):
    refuse = lambda seen, _: error("400 Bad Request", "TooManyBuckets") if seen.method == "PUT" else None  # noqa: E731
    with Middlebox(honest.port, instead=refuse).running() as port:
        diagnose(set_up(port=port), "bucket-rights", "all the buckets it may have", "sweep")


def test_an_owner_who_may_not_delete(diagnose, set_up, honest):
    refuse = lambda seen, _: error("403 Forbidden", "AccessDenied") if seen.method == "DELETE" else None  # noqa: E731
    with Middlebox(honest.port, instead=refuse).running() as port:
        diagnose(set_up(port=port), "bucket-rights", "may not delete: deleting object", "right to delete")


def test_a_proxy_that_takes_headers_out_of_requests(diagnose, set_up, honest):
    with Middlebox(honest.port, request_head=without("x-obs-")).running() as port:
        diagnose(set_up(port=port), "headers", "removes x-obs-* headers from requests", "let the proxy")


def test_a_proxy_that_takes_headers_out_of_answers(diagnose, set_up, honest):
    strip = without("x-obs-")
    with Middlebox(honest.port, answer=lambda _, head, body: strip(head) + body).running() as port:
        diagnose(set_up(port=port), "headers", "removes x-obs-* headers from answers", "let the proxy")


@pytest.mark.parametrize(
    ("instead", "code"), [("unknown", "KMS.NotFoundException"), ("disabled", "KMS.DisabledException")]
)
def test_a_key_that_cannot_be_used(diagnose, set_up, honest, instead, code):
    keys = honest.data["keys"]
    diagnose(set_up((f'custom = "{keys["custom"]}"', f'custom = "{keys[instead]}"')), "keys", code, "is enabled")


def test_path_style_to_an_endpoint_that_wants_the_bucket_in_the_host(diagnose, set_up, honest):
    def refuse(seen, _):
        styled = b"\r\nHost: obsc-" in seen.head or seen.path == "/"
        return None if styled else error("403 Forbidden", "VirtualHostDomainRequired")

    with Middlebox(honest.port, instead=refuse).running() as port:
        diagnose(set_up(port=port), "addressing", "does not understand path", 'addressing = "virtual-host"')


def test_virtual_host_style_to_an_endpoint_that_wants_the_bucket_in_the_path(diagnose, set_up, honest):
    refuse = lambda seen, _: error("400 Bad Request", "InvalidURI") if b"\r\nHost: obsc-" in seen.head else None  # noqa: E731
    with Middlebox(honest.port, instead=refuse).running() as port:
        target = set_up(('addressing = "path"', 'addressing = "virtual-host"'), port=port)
        diagnose(target, "addressing", "does not understand virtual-host", 'addressing = "path"')


def test_a_web_server_that_is_no_object_storage(diagnose, set_up, honest):
    page = answer("404 Not Found", b"<html>no such page</html>", "Content-Type: text/html")
    with Middlebox(honest.port, instead=lambda *_: page).running() as port:
        diagnose(set_up(port=port), "service", "is no object storage", "login page")


# ---- a wrong server is not a wrong set-up ---------------------------------------------------------------------------

REFUSES_EVERYTHING = {"answers-403-to-everything", "http-date-refused"}


@pytest.mark.parametrize("name", DEFECTS)
def test_no_planted_defect_of_a_server_is_called_a_wrong_set_up(name, tmp_path):
    rig = Rig()
    journal = Journal(tmp_path / "journal.jsonl", "in process")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = replace(rig.target, endpoint=f"http://127.0.0.1:{listener.getsockname()[1]}")
        transport = ServiceTransport(rig.serve(DEFECTS[name].seams()))
        stop = diagnosis(tuple(Doctor(target, World.from_seed(1), journal, transport).examine()))
    journal.close()
    assert (stop is not None) == (name in REFUSES_EVERYTHING), stop
