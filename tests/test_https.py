"""The suite against the reference server over HTTPS, with the certificate that the server made for itself."""

from commands import reference_server


def test_samples_pass_over_https_where_encrypted_objects_need_it(conformance, tmp_path):
    with reference_server(tmp_path, "--tls", "--require-https-for-sse") as (target, _):
        outcome = conformance("--target", target, "--select", "KMS-SAMPLE-001")
    assert outcome.rungs
    assert set(outcome.rungs.values()) == {"pass"}


def test_samples_are_refused_over_http_where_encrypted_objects_need_https(conformance, tmp_path):
    with reference_server(tmp_path, "--require-https-for-sse") as (target, _):
        outcome = conformance("--target", target, "--select", "KMS-SAMPLE-001")
    assert outcome.rungs
    assert "pass" not in outcome.rungs.values()
