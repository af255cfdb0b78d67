"""Named wrong servers: each the honest one with a seam or two replaced.

Each defect says which clause it breaks and how realistic it is; what it does instead is in `wrong`. This module does
not know cases or verdicts, and nothing in the honest server knows this module.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from reference_server import wrong
from reference_server.defect import SLIP, Defect
from reference_server.encryption import KEY_ID, MODE, Method, Occasion, Wish
from reference_server.keystates import KEY_STATES
from reference_server.operations import buckets
from reference_server.operations.common import Document
from reference_server.policy import Verdict
from reference_server.routes import ROUTES
from reference_server.service import HONEST
from reference_server.slips import SLIPS
from reference_server.stateful import STATEFUL
from reference_server.two_modes import TWO_MODES
from reference_server.wire import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reference_server.world import Operation, RouteKey, Seams

    Routes = Mapping[RouteKey, Operation]

_UPLOADS = (Occasion.PUT, Occasion.FORM, Occasion.COPY, Occasion.INITIATE)
_LIST = (
    Defect(
        "kms-header-missing-on-put",
        "The answer to an upload does not echo the mode.",
        ("SSEKMS-S44",),
        "seen in the wild: minio/minio#6579",
        wrong.without(MODE, _UPLOADS),
    ),
    Defect(
        "key-id-header-missing",
        "No answer names the key.",
        ("SSEKMS-S45", "SSEKMS-S53"),
        "seen in the wild: floci-io/floci#2144",
        wrong.without(KEY_ID),
    ),
    Defect(
        "bare-key-id-in-answer",
        "Answers name the key by its bare id.",
        ("SSEKMS-S46",),
        SLIP,
        wrong.rewritten(KEY_ID, wrong.bare),
    ),
    Defect(
        "region-dropped-from-key-id",
        "Answers name the key without its region.",
        ("SSEKMS-S46",),
        SLIP,
        wrong.rewritten(KEY_ID, wrong.region_dropped),
    ),
    Defect(
        "wrong-mode-in-answer",
        "Answers name the mode AES256 for an SSE-KMS object.",
        ("SSEKMS-S44",),
        SLIP,
        wrong.rewritten(MODE, lambda _: Method.OBS.value),
    ),
    Defect(
        "head-forgets-encryption",
        "HEAD tells nothing of the encryption.",
        ("SSEKMS-R1",),
        SLIP,
        wrong.fields(lambda occasion, pairs: () if occasion is Occasion.HEAD else pairs),
    ),
    Defect(
        "copy-forgets-encryption",
        "A copy is stored plain whatever its headers say.",
        ("SSEKMS-S60", "SSEKMS-S56"),
        "seen in the wild: moto #4172, sivchari/kumo #841",
        wrong.forgets(Occasion.COPY),
    ),
    Defect(
        "copy-answer-without-key-id",
        "A copy is encrypted, but its answer does not name the key.",
        ("SSEKMS-S60",),
        "seen in the wild: floci-io/floci #2145",
        wrong.without(KEY_ID, (Occasion.COPY,)),
    ),
    Defect(
        "copy-answers-without-document",
        "A copy is answered without CopyObjectResult.",
        ("OBS0082-S01",),
        "as the copy sample of the page itself (E-06)",
        wrong.copy_only(
            lambda response: replace(
                response,
                body=b"",
                headers=tuple(
                    (name, "0" if name == "Content-Length" else value)
                    for name, value in response.headers
                    if name != "Content-Type"
                ),
            )
        ),
    ),
    Defect(
        "signed-url-ignores-mode",
        "The mode in the query of a signed URL is ignored.",
        ("SSEKMS-S63",),
        SLIP,
        wrong.query_ignored(),
    ),
    Defect(
        "signed-url-refused",
        "No signed URL is accepted.",
        ("SSEKMS-S62", "OBS0011-S01"),
        SLIP,
        {"authenticate": wrong.no_urls},
    ),
    Defect(
        "signed-url-checks-date",
        "A signed URL is refused if its Date line is not current.",
        ("SSEKMS-S65",),
        SLIP,
        {"authenticate": wrong.dated_urls},
    ),
    Defect(
        "stores-in-the-clear",
        "Uploads echo the encryption, but the object is stored plain.",
        ("SSEKMS-R1", "SSEKMS-S09"),
        SLIP,
        wrong.echoes_but_stores_plain(),
    ),
    Defect(
        "new-default-key-per-upload",
        "Every upload without a key id gets a new key.",
        ("SSEKMS-S68", "SSEKMS-S18", "SSEKMS-R3"),
        SLIP,
        {"keyring": wrong.FreshDefault},
    ),
    Defect(
        "custom-key-ignored",
        "The key id of a request is ignored; the default key is used.",
        ("SSEKMS-S53", "SSEKMS-S17"),
        SLIP,
        wrong.decides(wrong.ignores_key),
    ),
    Defect(
        "uses-another-key",
        "Another key of the account is used than the one due.",
        ("SSEKMS-S61", "SSEKMS-S17"),
        SLIP,
        wrong.decides(wrong.other_key),
    ),
    Defect(
        "signature-not-checked",
        "A known access key is enough.",
        ("SSEKMS-S37", "OBS0098-S05", "OBS0011-S05"),
        SLIP,
        {"authenticate": wrong.trusting},
    ),
    Defect(
        "header-signature-not-checked",
        "The signature in the Authorization header is not looked at.",
        ("SSEKMS-S37", "OBS0098-S05"),
        SLIP,
        {"authenticate": wrong.headers_trusted},
    ),
    Defect(
        "wrong-bytes-read-back",
        "The first byte of every download is wrong.",
        ("SSEKMS-R7",),
        SLIP,
        {"outgoing": wrong.first_byte_flipped},
    ),
    Defect(
        "etag-unquoted",
        "The ETag has no quotes.",
        ("SSEKMS-S43",),
        SLIP,
        wrong.header("ETag", lambda value: value.strip('"')),
    ),
    Defect(
        "etag-weak", "The ETag is a weak one.", ("SSEKMS-S43",), SLIP, wrong.header("ETag", lambda value: f"W/{value}")
    ),
    Defect(
        "request-id-missing",
        "Answers have no request id.",
        ("SSEKMS-S42",),
        SLIP,
        wrong.header("x-obs-request-id", lambda _: None),
    ),
    Defect(
        "repeats-request-id",
        "Every answer has the same request id.",
        ("SSEKMS-R6",),
        "as samples 1 and 2 of the page itself (E-04)",
        {"identifiers": wrong.constant_identifiers},
    ),
    Defect(
        "id-2-missing", "Answers have no x-obs-id-2.", ("SSEKMS-S47",), SLIP, wrong.header("x-obs-id-2", lambda _: None)
    ),
    Defect(
        "server-not-named",
        "Answers do not name the server.",
        ("SSEKMS-S41",),
        SLIP,
        wrong.header("Server", lambda _: None),
    ),
    Defect(
        "date-not-http",
        "The Date of an answer is an ISO date.",
        ("SSEKMS-S48",),
        SLIP,
        wrong.header("Date", lambda _: "2018-06-06T09:08:21Z"),
    ),
    Defect(
        "put-answers-201", "An upload is answered 201 Created.", ("SSEKMS-S40",), SLIP, wrong.finished(wrong.created)
    ),
    Defect(
        "answers-403-to-everything",
        "Whatever would succeed is refused.",
        ("SSEKMS-S36",),
        SLIP,
        wrong.finished(wrong.refuse_all),
    ),
    Defect(
        "answers-200-to-everything",
        "Every answer is 200 without a body.",
        ("SSEKMS-R7",),
        SLIP,
        wrong.finished(wrong.accept_all),
    ),
    Defect(
        "get-forgets-encryption",
        "GET tells nothing of the encryption.",
        ("SSEKMS-R1",),
        SLIP,
        wrong.fields(lambda occasion, pairs: () if occasion is Occasion.GET else pairs),
    ),
    Defect(
        "claims-encryption-for-plain-objects",
        "Plain objects are answered with the mode kms.",
        ("OBS0083-S10",),
        SLIP,
        wrong.fields(lambda _, pairs: pairs or ((MODE, Method.KMS.value),)),
    ),
    Defect(
        "object-headers-forgotten",
        "What an upload says about its object besides the bytes is lost.",
        ("OBS0080-S03", "OBS0080-S04", "OBS0098-S04", "OBS0081-S06"),
        SLIP,
        {"keep": lambda _call, record: replace(record, headers=())},
    ),
    Defect(
        "range-off-by-one",
        "The last byte of a range is left out.",
        ("SSEKMS-R7", "OBS0083-S01"),
        SLIP,
        {"byte_range": wrong.last_byte_left_out},
    ),
    Defect(
        "range-ignored",
        "A range is answered with the whole object.",
        ("SSEKMS-R7", "OBS0083-S01"),
        SLIP,
        {"byte_range": lambda _text, _size: None},
    ),
    # ---- the fields of an upload
    Defect(
        "unknown-mode-stored-plain",
        "An unknown mode is ignored and the object stored plain.",
        ("SSEKMS-S14",),
        SLIP,
        {"wish_of_request": wrong.unknown_mode_ignored},
        survives="Q-04: no page says what a value other than the documented ones is answered",
    ),
    Defect(
        "mode-case-insensitive",
        "The mode counts in any case.",
        ("SSEKMS-S14",),
        SLIP,
        {"wish_of_request": wrong.mode_in_any_case},
        survives="Q-04: no page says whether the letter case of the value counts",
    ),
    Defect(
        "key-id-in-query-ignored",
        "The key id in the query of a signed URL is ignored.",
        ("OBS0011-S08",),
        SLIP,
        {"wish_of_request": wrong.key_in_query_ignored},
        survives="Q-02: no page says whether the key id may stand in a query",
    ),
    Defect(
        "long-key-id-refused",
        "The long form of a key id is refused.",
        ("SSEKMS-S21", "SSEKMS-S23", "SSEKMS-S57", "SSEKMS-R2"),
        SLIP,
        {"keyring": wrong.BareIdsOnly},
    ),
    Defect(
        "bare-key-id-refused",
        "The bare form of a key id is refused.",
        ("SSEKMS-S22", "SSEKMS-S50"),
        SLIP,
        {"keyring": wrong.LongIdsOnly},
    ),
    Defect(
        "foreign-region-accepted",
        "The region in a long key id is not looked at.",
        ("SSEKMS-S24",),
        SLIP,
        {"keyring": wrong.AnyRegion},
        survives="Q-07: no page says what a long form with another region is answered",
    ),
    Defect(
        "foreign-domain-accepted",
        "The account in a long key id is not looked at.",
        ("SSEKMS-S25",),
        SLIP,
        {"keyring": wrong.AnyDomain},
    ),
    Defect(
        "unknown-key-accepted",
        "For a key that does not exist the default key is used.",
        ("SSEKMS-S26",),
        "seen in the wild: minio/minio#6582",
        wrong.decides(wrong.unknown_key_replaced),
    ),
    Defect(
        "disabled-key-accepted",
        "Disabled keys are used.",
        ("KMS-S01",),
        "as bucket keys do for some minutes (obs_03_0091)",
        {"keyring": wrong.DisabledKeysToo},
    ),
    Defect(
        "scheduled-key-accepted",
        "Keys that are scheduled for deletion are used.",
        ("KMS-S04",),
        SLIP,
        {"keyring": wrong.ScheduledKeysToo},
    ),
    Defect(
        "refused-upload-deletes-old-object",
        "An upload that is refused takes the object of its name with it.",
        ("KMS-S07", "OBS0080-S09"),
        SLIP,
        wrong.finished(wrong.refusal_deletes),
    ),
    Defect(
        "content-md5-not-verified",
        "Content-MD5 is not looked at.",
        ("OBS0080-S02",),
        "as editions of 2018 and 2019 say of encrypted uploads (section 5.5)",
        wrong.with_request_header(("PUT", "object", ""), "content-md5", None),
        survives="Q-25: editions differ on whether the digest of an encrypted upload is compared",
    ),
    # ---- copies
    Defect(
        "copy-moves", "A copy takes its source away.", ("OBS0082-S02", "SSEKMS-S56"), SLIP, wrong.finished(wrong.moves)
    ),
    Defect(
        "metadata-directive-ignored",
        "A copy always keeps the metadata of its source.",
        ("OBS0082-S03", "OBS0082-S04"),
        SLIP,
        wrong.with_request_header(("PUT", "object", ""), "x-obs-metadata-directive", None),
    ),
    Defect(
        "metadata-always-replaced",
        "A copy never keeps the metadata of its source.",
        ("OBS0082-S03", "OBS0082-S05"),
        SLIP,
        wrong.with_request_header(("PUT", "object", ""), "x-obs-metadata-directive", "REPLACE"),
    ),
    Defect(
        "deleted-key-still-decrypts",
        "What was stored under a key that is now deleted can still be read.",
        ("KMS-S02",),
        SLIP,
        {"unlock": wrong.unlock_with_deleted_key},
        survives="only the key service can delete a key between an upload and a download, no client of the storage",
    ),
    Defect(
        "key-owner-rule-missing-on-upload",
        "Uploads may name anybody's key.",
        ("SSEKMS-S05", "KMS-S05", "KMS-S06", "OBS0062-S14"),
        SLIP,
        wrong.decides(wrong.upload_under_any_key),
    ),
    Defect(
        "key-owner-rule-missing-on-download",
        "Downloads may use anybody's key.",
        ("SSEKMS-S06", "KMS-S06"),
        SLIP,
        {"unlock": wrong.unlock_as_owner},
    ),
    Defect(
        "strangers-may-read-kms",
        "A public ACL opens an SSE-KMS object to strangers.",
        (
            "OBS0089-S01",
            "OBS0089-S02",
        ),
        SLIP,
        {"authorize": wrong.authorize_as_if_plain, "unlock": wrong.unlock_as_owner},
    ),
    # ---- signed URLs
    Defect("expiry-not-checked", "Signed URLs never expire.", ("SSEKMS-S64",), SLIP, {"authenticate": wrong.no_expiry}),
    Defect(
        "altered-url-accepted",
        "The signature of a signed URL is not looked at.",
        ("SSEKMS-S62", "OBS0011-S03", "OBS0011-S05", "SSEKMS-S64"),
        SLIP,
        {"authenticate": wrong.altered_urls},
    ),
    Defect(
        "url-parameters-unsigned",
        "The x-obs- parameters of a signed URL are outside its signature.",
        ("SSEKMS-S63",),
        "as the documented list of sub-resources has it (Q-01)",
        {"authenticate": wrong.parameters_unsigned},
    ),
    # ---- bucket default encryption
    Defect(
        "default-not-inherited-on-put",
        "An upload does not inherit the default of its bucket.",
        ("SSEKMS-S11",),
        "seen in the wild: sivchari/kumo #841",
        wrong.not_inherited(Occasion.PUT),
    ),
    Defect(
        "default-not-inherited-on-copy",
        "A copy does not inherit the default of its bucket.",
        ("SSEKMS-S11",),
        SLIP,
        wrong.not_inherited(Occasion.COPY),
    ),
    Defect(
        "default-not-inherited-on-multipart",
        "An upload in parts does not inherit the default of its bucket.",
        ("SSEKMS-S11",),
        SLIP,
        wrong.not_inherited(Occasion.INITIATE),
    ),
    Defect(
        "default-not-inherited-on-form",
        "A form upload does not inherit the default of its bucket.",
        ("SSEKMS-S11",),
        SLIP,
        wrong.not_inherited(Occasion.FORM),
    ),
    Defect(
        "default-key-ignored",
        "The default of a bucket gives its mode, but not its key.",
        (
            "SSEKMS-S11",
            "OBS0062-S04",
        ),
        SLIP,
        wrong.default_as(lambda _, default: default and replace(default, key_text="", project_id="")),
    ),
    Defect(
        "default-overrides-explicit-header",
        "The default of a bucket beats what an upload says.",
        ("SSEKMS-S12",),
        SLIP,
        wrong.decides(wrong.default_wins),
    ),
    Defect(
        "default-claimed-for-old-objects",
        "Plain objects in a bucket with a default are answered with its mode.",
        ("SSEKMS-S13",),
        SLIP,
        wrong.finished(wrong.claims_default_for_old_objects),
    ),
    Defect(
        "default-survives-delete",
        "Deleting the default of a bucket is answered 204 and not done.",
        ("OBS0064-S01", "OBS0064-S04"),
        "seen in the wild: scality/cloudserver#5700",
        wrong.routed(("DELETE", "bucket", "encryption"), lambda _: Response(204)),
    ),
    Defect(
        "delete-encryption-deletes-bucket",
        "Deleting the default of a bucket deletes the bucket.",
        ("OBS0064-S03",),
        SLIP,
        wrong.routed(("DELETE", "bucket", "encryption"), buckets.delete_bucket),
    ),
    Defect(
        "encryption-put-accepts-garbage",
        "Whatever is put as a default encryption is answered 200.",
        ("OBS0062-S07", "OBS0062-S08", "OBS0062-S06"),
        SLIP,
        wrong.tolerated(("PUT", "bucket", "encryption"), 200),
    ),
    Defect(
        "default-not-kept",
        "Setting a default encryption is answered 200 and not done.",
        ("OBS0062-S01", "OBS0062-S05"),
        SLIP,
        wrong.routed(("PUT", "bucket", "encryption"), lambda call: Document(call, lambda _: Response(200))),
    ),
    Defect(
        "no-default-answers-200",
        "GET of a default encryption that is not there is answered 200.",
        ("OBS0063-S02",),
        SLIP,
        wrong.answers_when_absent(
            ("GET", "bucket", "encryption"),
            "NoSuchEncryptionConfiguration",
            Response(200, (), b"<ServerSideEncryptionConfiguration/>"),
        ),
    ),
    Defect(
        "encryption-delete-answers-200",
        "Deleting a default encryption is answered 200.",
        ("OBS0064-S02",),
        SLIP,
        wrong.answered_with("DeleteBucketEncryption", 200),
    ),
    Defect(
        "strangers-may-configure",
        "Default encryption and policy of a bucket are open to everybody.",
        ("OBS0062-S10", "OBS0027-S10"),
        SLIP,
        {"authorize": wrong.configured_by_anybody},
    ),
    # ---- bucket policy
    Defect(
        "policy-inverted",
        "Conditions are turned round, so that the page's policy denies kms and nothing else.",
        ("SSEKMS-S33",),
        "as the sentence over the policy has it (E-01)",
        {"evaluate": wrong.inverted},
    ),
    Defect(
        "policy-absent-header-meets-all",
        "A condition on a header that is absent is always met, negated or not.",
        ("OBS0027-S07",),
        SLIP,
        {"evaluate": wrong.absence_meets_all},
    ),
    Defect(
        "policy-resource-ignored",
        "A statement counts for the whole bucket, whatever its resource.",
        ("OBS0027-S09",),
        SLIP,
        {"evaluate": wrong.whole_bucket},
    ),
    Defect(
        "policy-allow-outweighs-deny",
        "An Allow that applies outweighs every Deny.",
        ("OBS0027-S11",),
        SLIP,
        {"evaluate": wrong.allow_outweighs},
    ),
    Defect(
        "policy-grants-nothing",
        "An Allow that applies gives nobody anything.",
        ("OBS0027-S11",),
        SLIP,
        {"evaluate": wrong.grants_nothing},
    ),
    Defect(
        "policy-put-answers-200",
        "Setting a policy is answered 200.",
        ("OBS0027-S02",),
        SLIP,
        wrong.answered_with("PutBucketPolicy", 200),
    ),
    Defect(
        "no-policy-answers-200",
        "GET of a policy that is not there is answered 200.",
        ("OBS0028-S02",),
        SLIP,
        wrong.answers_when_absent(
            ("GET", "bucket", "policy"), "NoSuchBucketPolicy", Response(200, (), b'{"Statement":[]}')
        ),
    ),
    Defect(
        "policy-not-enforced",
        "Bucket policies are kept and never asked.",
        ("SSEKMS-S32", "OBS0027-S01", "OBS0173-S01"),
        SLIP,
        {"evaluate": lambda _policy, _question: Verdict.NOTHING},
    ),
    Defect(
        "policy-not-enforced-on-put",
        "A PUT is not judged by the bucket policy.",
        ("SSEKMS-S32",),
        SLIP,
        wrong.without_policy(lambda call: call.operation.name == "PutObject" and not wrong.is_copy(call)),
    ),
    Defect(
        "policy-not-enforced-on-copy",
        "A copy is not judged by the bucket policy of its target.",
        ("SSEKMS-S34",),
        SLIP,
        wrong.without_policy(wrong.is_copy),
    ),
    Defect(
        "policy-not-enforced-on-initiate",
        "The initiation of an upload in parts is not judged by the bucket policy.",
        ("OBS0027-S06",),
        SLIP,
        wrong.without_policy(lambda call: call.operation.name == "InitiateMultipartUpload"),
    ),
    Defect(
        "policy-not-enforced-on-form",
        "A form upload is not judged by the bucket policy.",
        ("OBS0027-S06",),
        SLIP,
        wrong.without_policy(lambda call: call.operation.name == "PostObject"),
    ),
    Defect(
        "policy-absent-header-passes",
        "A condition on a header that is absent is never met, negated or not.",
        ("SSEKMS-S34",),
        SLIP,
        {"evaluate": wrong.absent_passes},
    ),
    Defect(
        "policy-binds-reads-too",
        "What a policy says of uploads counts for reading and deleting as well.",
        ("SSEKMS-S35",),
        SLIP,
        {"evaluate": wrong.reads_as_uploads},
    ),
    Defect(
        "policy-put-accepts-garbage",
        "Whatever is put as a policy is answered 204.",
        (
            "OBS0027-S04",
            "OBS0027-S05",
        ),
        SLIP,
        wrong.tolerated(("PUT", "bucket", "policy"), 204),
    ),
    Defect(
        "policy-survives-delete",
        "Deleting a bucket policy is answered 204 and not done.",
        ("OBS0029-S01",),
        SLIP,
        wrong.routed(("DELETE", "bucket", "policy"), lambda _: Response(204)),
    ),
    # ---- uploads in parts, and forms
    Defect(
        "multipart-forgets-encryption",
        "An upload in parts is stored plain whatever its initiation says.",
        ("SSEKMS-S29",),
        "seen in the wild: sivchari/kumo #841",
        wrong.forgets(Occasion.INITIATE),
    ),
    Defect(
        "multipart-fields-missing-at-initiate",
        "The answer to an initiation does not tell the encryption.",
        ("OBS0098-S02",),
        SLIP,
        wrong.fields(lambda occasion, pairs: () if occasion is Occasion.INITIATE else pairs),
    ),
    Defect(
        "initiate-hides-inherited-default",
        "The answer to an initiation echoes its own fields, never the default of the bucket.",
        ("SSEKMS-S11",),
        "seen in the wild: moto",
        wrong.finished(wrong.initiate_echoes_only),
        survives="Q-14: no page says which answers of an upload in parts show an inherited default",
    ),
    Defect(
        "part-fields-missing",
        "The answer to a part does not tell the encryption.",
        ("OBS0099-S06",),
        SLIP,
        wrong.fields(lambda occasion, pairs: () if occasion in (Occasion.PART, Occasion.COPY_PART) else pairs),
        survives="Q-14: the table of the page has the fields, its sample has not",
    ),
    Defect(
        "complete-fields-missing",
        "The answer to a completion does not tell the encryption.",
        ("OBS0102-S07",),
        SLIP,
        wrong.fields(lambda occasion, pairs: () if occasion is Occasion.COMPLETE else pairs),
        survives="Q-14: the table of the page has the fields, its sample has not",
    ),
    Defect(
        "form-ignores-mode",
        "The encryption fields of a form are ignored.",
        ("OBS0081-S01",),
        SLIP,
        {"wish_of_form": lambda _: Wish()},
    ),
    Defect(
        "form-policy-not-checked",
        "A form need not meet its policy document.",
        ("OBS0012-S03", "OBS0012-S05", "OBS0012-S04"),
        SLIP,
        {"check_form": lambda *_: None},
    ),
    Defect(
        "form-signature-not-checked",
        "A known access key is enough for a form.",
        ("OBS0012-S01",),
        SLIP,
        {"verify_form": wrong.any_form_signature},
    ),
    Defect(
        "form-answer-without-fields",
        "The answer to a form does not tell the encryption.",
        ("OBS0081-S05",),
        "as the sample of obs_04_0081 itself",
        wrong.fields(lambda occasion, pairs: () if occasion is Occasion.FORM else pairs),
        survives="Q-15: the table of the page has the fields, its only sample with the mode has not",
    ),
    Defect(
        "part-order-not-checked",
        "A completion may name its parts in any order.",
        ("OBS0102-S04",),
        SLIP,
        {"choose_parts": wrong.in_any_order},
    ),
    Defect(
        "part-etag-not-checked",
        "A completion may name parts that are not there, and any ETag.",
        ("OBS0102-S03",),
        SLIP,
        {"choose_parts": wrong.whatever_etag},
    ),
    Defect(
        "part-size-not-checked",
        "Parts may be of any size.",
        ("OBS0102-S05",),
        SLIP,
        {"choose_parts": wrong.of_any_size},
    ),
    Defect(
        "parts-joined-as-they-arrived",
        "Parts are joined in the order in which they came.",
        ("OBS0099-S02",),
        SLIP,
        {"choose_parts": wrong.as_they_arrived},
    ),
    Defect(
        "multipart-etag-without-count",
        "The ETag of an object in parts does not end in their number.",
        ("OBS0102-S06",),
        SLIP,
        {"keep": wrong.count_left_out},
    ),
    Defect(
        "abort-keeps-upload",
        "Cancelling an upload in parts is answered 204 and not done.",
        ("OBS0103-S01",),
        SLIP,
        wrong.routed(("DELETE", "object", "uploadId"), lambda _: Response(204)),
    ),
    Defect(
        "form-uncovered-field-accepted",
        "A field that the policy of a form does not cover is accepted.",
        ("OBS0012-S03",),
        SLIP,
        {"check_form": wrong.uncovered_fields_pass},
    ),
    Defect(
        "form-never-expires",
        "The expiration of a form's policy is not looked at.",
        ("OBS0012-S02",),
        SLIP,
        {"check_form": wrong.form_never_expires},
    ),
    Defect(
        "form-status-ignored",
        "A form is answered 204 whatever it asks for.",
        ("OBS0081-S03", "OBS0081-S04"),
        SLIP,
        wrong.answered_with("PostObject", 204),
    ),
    Defect(
        "signed-url-ignores-headers",
        "Encryption headers sent with a signed URL are ignored.",
        ("OBS0011-S02",),
        SLIP,
        {"wish_of_request": wrong.headers_ignored_in_urls},
    ),
    Defect(
        "long-validity-refused",
        "A signed URL that is valid for more than a week is refused.",
        ("OBS0011-S07",),
        "as Amazon S3 does",
        {"authenticate": wrong.a_week_at_most},
    ),
)

DEFECTS: Mapping[str, Defect] = MappingProxyType(
    {defect.name: defect for defect in (*_LIST, *SLIPS, *STATEFUL, *KEY_STATES, *TWO_MODES)}
)
"""All wrong servers by name."""


def together(one: Defect, other: Defect) -> Seams:
    """A server with two defects.

    :raises ValueError: both replace the same seam, or the same operation, so that one would undo the other.
    """
    tables = (cast("Routes | None", defect.change.get("routes")) for defect in (one, other))
    routes = [dict(table) for table in tables if table is not None]
    changed = [{key for key, operation in table.items() if operation is not ROUTES.get(key)} for table in routes]
    both = (set(one.change) & set(other.change)) - {"routes"}
    if both or (len(changed) > 1 and changed[0] & changed[1]):
        raise ValueError(f"{one.name} and {other.name} change the same decision")
    change = {**one.change, **other.change}
    if len(routes) > 1:
        first, second = routes
        change["routes"] = MappingProxyType({**second, **{key: first[key] for key in changed[0]}})
    return replace(HONEST, **change)  # type: ignore[arg-type]  # names are checked by a test
