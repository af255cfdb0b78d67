"""Calls of the key service: their bytes, their signature, and what a case makes of a refusal."""

import json

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

from conformance import keyservice
from conformance.casefile import load_library
from conformance.play import Scene, play
from conformance.vocabulary import ANSWERED, Exchange, Identity, KeyService, Response, Target

OWNER = Identity("AKEXAMPLE", "secret of an example")
SERVICE = KeyService("http://kms.example.com:8443", "5f2a")
KEY = "522d6070-5ad3-4765-9737-9312ddc72cdb"
NOW = 1_528_276_101.0
TARGET = Target("t", "http://obs.example.com", {"owner": OWNER}, {"switched": KEY, "custom": KEY}, kms=SERVICE)


def test_a_call_has_exactly_these_bytes():
    asked = keyservice.request("schedule-key-deletion", SERVICE, OWNER, KEY, NOW)
    head, _, rest = asked.head.decode().partition("Authorization: ")
    assert head == (
        "POST /v1.0/5f2a/kms/schedule-key-deletion HTTP/1.1\r\nHost: kms.example.com:8443\r\n"
        "X-Sdk-Date: 20180606T090821Z\r\n"
    )
    assert rest.partition("\r\n")[2] == "Content-Type: application/json\r\nContent-Length: 71\r\n\r\n"
    assert json.loads(asked.body) == {"key_id": KEY, "pending_days": "7"}
    assert json.loads(keyservice.request("enable-key", SERVICE, OWNER, KEY, NOW).body) == {"key_id": KEY}
    assert asked.service == "kms"


def test_the_signature_is_that_of_the_vendors_own_client():
    asked = keyservice.request("disable-key", SERVICE, OWNER, KEY, NOW)
    lines = dict(line.split(": ", 1) for line in asked.head.decode().split("\r\n")[1:-2])
    theirs = SdkRequest(
        method="POST",
        schema="http",
        host="kms.example.com:8443",
        resource_path="/v1.0/5f2a/kms/disable-key",
        uri="/v1.0/5f2a/kms/disable-key",
        query_params=[],
        header_params={"Host": lines["Host"], "X-Sdk-Date": lines["X-Sdk-Date"]},
        body=asked.body,
    )
    Signer(BasicCredentials(OWNER.access_key, OWNER.secret_key)).sign(theirs)
    assert lines["Authorization"] == theirs.header_params["Authorization"]


def answered(request, status, body=b""):
    return Exchange(request, b"", b"", Response(status, "", (), body), ANSWERED, 1.0)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_what_the_key_service_refuses_says_nothing_about_the_storage(status):
    case = next(case for case in load_library().cases if case.id == "KMS-STATE-012")
    script = play(case, Scene(TARGET, "b", "t", lambda: NOW, load_library().shapes))
    request = script.send(answered(next(script), 200))
    assert request.service == "kms"
    with pytest.raises(StopIteration) as stop:
        script.send(answered(request, status))
    played = stop.value.value
    assert played.unanswered
    assert played.stopped == f"step 1: the key service answers {status} to disable-key"
