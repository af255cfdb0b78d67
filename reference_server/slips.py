"""More named wrong servers: who signed and when, conditions, keys, overwriting, configuration and parts.

As `defects`, which lists them all; what they do instead is in `misread` and `wrong`.
"""

from __future__ import annotations

import re
from dataclasses import replace

from reference_server import misread, wrong
from reference_server.defect import SLIP, Defect
from reference_server.encryption import KEY_ID, MODE, Occasion
from reference_server.misread import GET, HEAD, PART, PUT
from reference_server.operations import buckets
from reference_server.wire import Response

_WITHOUT_BLANK = re.compile(rb"\r\n[A-Za-z0-9-]+:(?![ \t])[^\r\n]*")
_PUT_ENCRYPTION = ("PUT", "bucket", "encryption")
_PUT_POLICY = ("PUT", "bucket", "policy")

SLIPS = (
    # ---- who is calling, and when
    Defect(
        "line-without-blank-lost",
        "A header line without a blank after its colon is lost.",
        ("SSEKMS-S16", "SSEKMS-S51"),
        "as parsers that split at colon and blank do",
        {},
        reads=lambda head: _WITHOUT_BLANK.sub(b"", head),
    ),
    Defect(
        "skew-not-checked",
        "A date may be as old as it likes.",
        ("OBS0010-S02",),
        SLIP,
        {"authenticate": misread.any_time},
    ),
    Defect(
        "date-not-needed",
        "A signed request needs no date that can be read.",
        ("OBS0010-S03",),
        SLIP,
        {"authenticate": misread.date_not_needed},
    ),
    Defect(
        "http-date-refused",
        "A request with an HTTP date in Date is refused.",
        ("SSEKMS-S38",),
        SLIP,
        {"authenticate": misread.iso_dates_only},
    ),
    Defect(
        "vendor-date-unknown",
        "The header x-obs-date is not known, neither as a date nor as signed.",
        ("OBS0010-S04",),
        SLIP,
        {"authenticate": misread.vendor_date_unknown},
    ),
    Defect(
        "names-signed-as-spelled",
        "The names of headers are signed in the case in which they were sent.",
        ("OBS0010-S01",),
        SLIP,
        {"authenticate": misread.names_as_spelled},
    ),
    Defect(
        "headers-signed-in-order-sent",
        "Headers are signed in the order in which they were sent.",
        ("SSEKMS-S59",),
        SLIP,
        {"authenticate": misread.order_as_sent},
    ),
    Defect(
        "expect-refused",
        "A request that expects 100-continue is refused.",
        ("SSEKMS-S39",),
        SLIP,
        {"authenticate": misread.expecting_refused},
    ),
    Defect(
        "unknown-access-key-accepted",
        "An access key that nobody has counts as the owner's.",
        ("OBS0010-S05", "SSEKMS-S62"),
        SLIP,
        {"authenticate": misread.unknown_keys_are_the_owners},
    ),
    Defect(
        "unsigned-requests-accepted",
        "A request without any signature counts as the owner's.",
        ("OBS0010-S06", "OBS0011-S04"),
        SLIP,
        {"authenticate": misread.nobody_is_the_owner},
    ),
    Defect(
        "urls-have-owner-rights",
        "Whoever signed a URL, it opens what the owner may open.",
        ("OBS0011-S06",),
        SLIP,
        {"authenticate": misread.urls_are_the_owners},
    ),
    Defect(
        "two-of-three-parameters-suffice",
        "A signed URL may lack one of its three parameters.",
        ("OBS0011-S04",),
        SLIP,
        {"authenticate": misread.two_of_three_will_do},
    ),
    Defect(
        "response-parameters-unsigned",
        "The response- parameters of a signed URL may be added after signing.",
        ("OBS0011-S03",),
        SLIP,
        {"authenticate": misread.overrides_unsigned},
    ),
    Defect(
        "forms-have-owner-rights",
        "Whoever signed a form, it may do what the owner may.",
        ("OBS0012-S06",),
        SLIP,
        {"verify_form": misread.forms_are_the_owners},
    ),
    Defect(
        "unsigned-forms-accepted",
        "A form without a signature counts as the owner's.",
        ("OBS0012-S01",),
        SLIP,
        misread.unsigned_forms_are_the_owners(),
    ),
    # ---- keys
    Defect(
        "no-default-key",
        "An upload that names no key is refused: there is no default key.",
        ("SSEKMS-S03", "SSEKMS-S18", "SSEKMS-S19", "SSEKMS-S20"),
        "seen in the wild: rustfs/rustfs#7573",
        wrong.decides(misread.no_default_key),
    ),
    Defect(
        "crashes-without-key-id",
        "A mode without a key id is answered 500.",
        ("SSEKMS-S20",),
        "seen in the wild: adobe/S3Mock#190",
        wrong.decides(misread.broken_without_key),
    ),
    Defect(
        "default-key-not-by-id",
        "The default key cannot be named by its id.",
        ("SSEKMS-S58", "SSEKMS-R4"),
        SLIP,
        wrong.decides(misread.default_key_not_by_id),
    ),
    Defect(
        "long-form-means-default",
        "A key named in the long form is not found, and the default key is used.",
        ("SSEKMS-S21", "SSEKMS-S23", "SSEKMS-S57", "SSEKMS-R2"),
        SLIP,
        wrong.decides(misread.long_form_means_default),
    ),
    Defect(
        "mode-header-unknown",
        "The mode header of a PUT is ignored and the object stored plain.",
        ("SSEKMS-S09", "SSEKMS-S14"),
        "seen in the wild: ministackorg/ministack #1439",
        wrong.decides(misread.mode_header_unknown),
    ),
    Defect(
        "unreadable-key-means-default",
        "For a key id that cannot be one the default key is used.",
        ("SSEKMS-S26", "SSEKMS-S27"),
        SLIP,
        {"wish_of_request": misread.unreadable_key_means_default},
    ),
    Defect(
        "key-id-in-form-ignored",
        "The key id of a form is ignored; the default key is used.",
        ("SSEKMS-S29",),
        SLIP,
        {"wish_of_form": misread.form_key_ignored},
    ),
    Defect(
        "deleted-key-accepted",
        "Keys that have been deleted are used.",
        ("KMS-S02", "KMS-S03"),
        SLIP,
        {"keyring": misread.DeletedKeysToo},
    ),
    Defect(
        "keys-of-anybody",
        "Nobody asks whose a key is, on the way in or out.",
        ("KMS-S05", "KMS-S06", "SSEKMS-S05", "SSEKMS-S06"),
        SLIP,
        {"keyring": misread.KeysOfAnybody},
    ),
    Defect(
        "unknown-key-code-undocumented",
        "An unknown key is refused as an invalid argument.",
        ("OBS0115-S02",),
        SLIP,
        misread.recoded(("KMS.NotFoundException",), "InvalidArgument"),
    ),
    Defect(
        "disabled-key-code-undocumented",
        "A disabled key is refused as an invalid argument.",
        ("KMS-S01",),
        SLIP,
        misread.recoded(("KMS.DisabledException",), "InvalidArgument"),
    ),
    Defect(
        "mode-missing-for-custom-keys",
        "The answer for a custom key names the key and not the mode.",
        ("SSEKMS-S44", "SSEKMS-S54"),
        SLIP,
        misread.fields_by_key(misread.mode_of_default_key_only),
    ),
    Defect(
        "wrong-region-in-answer",
        "Answers name a region in which the key is not.",
        ("SSEKMS-S24",),
        SLIP,
        misread.fields_by_key(misread.other_region),
    ),
    Defect(
        "wrong-domain-in-answer",
        "The answer to an upload names an account of its own for every bucket.",
        ("SSEKMS-S69",),
        SLIP,
        misread.answer_of("PutObject", misread.domain_of_the_bucket),
    ),
    Defect(
        "head-names-another-key",
        "HEAD names another key than the upload did.",
        ("SSEKMS-R1",),
        SLIP,
        misread.other_key_told_by(Occasion.HEAD),
    ),
    Defect(
        "get-names-another-key",
        "GET names another key than the upload did.",
        ("SSEKMS-R1",),
        SLIP,
        misread.other_key_told_by(Occasion.GET),
    ),
    Defect(
        "bare-key-id-in-url-answers",
        "The answer to an upload by signed URL names the key by its bare id.",
        ("SSEKMS-S66",),
        SLIP,
        wrong.finished(misread.bare_key_in_url_answers),
    ),
    # ---- objects
    Defect(
        "overwriting-not-done",
        "An upload over an existing object is answered 200 and not done.",
        ("SSEKMS-S52", "OBS0080-S05"),
        SLIP,
        misread.nothing_done(misread.overwriting, misread.as_it_was, PUT),
    ),
    Defect(
        "empty-object-refused",
        "An upload of no bytes is refused.",
        ("OBS0080-S06",),
        SLIP,
        misread.refused_when(
            lambda call: call.head.declared_length == 0 and not wrong.is_copy(call), "MissingRequestBodyError", PUT
        ),
    ),
    Defect(
        "chunk-framing-stored",
        "The framing of a chunked upload is stored with its bytes.",
        ("OBS0080-S08",),
        SLIP,
        misread.rerouted(misread.framing_kept, PUT, applies=misread.in_chunks),
    ),
    Defect(
        "content-md5-refused",
        "An upload with a Content-MD5 is refused.",
        ("OBS0080-S01",),
        SLIP,
        misread.refused_when(lambda call: call.head.headers.first("content-md5") is not None, "BadDigest", PUT),
    ),
    Defect(
        "put-answers-with-document",
        "The answer to an upload has a body.",
        ("SSEKMS-S49",),
        SLIP,
        misread.answer_of("PutObject", lambda _, response: misread.with_body(response, response.content() or b"<Ok/>")),
    ),
    Defect(
        "etag-is-md5",
        "The answer to an upload tells the MD5 of its bytes as ETag.",
        ("OBS0013-S02",),
        "as the ETag of plain objects in other dialects",
        misread.rerouted(misread.md5_as_etag, PUT),
    ),
    Defect(
        "head-tells-another-etag",
        "HEAD tells another ETag than the upload and GET.",
        ("OBS0013-S01",),
        SLIP,
        misread.answer_of("HeadObject", misread.turned_etag),
    ),
    Defect(
        "head-length-of-ciphertext",
        "HEAD tells the length of what is stored, sixteen bytes more than was uploaded.",
        ("OBS0083-S09",),
        SLIP,
        misread.answer_of("HeadObject", misread.longer_by_a_tag),
    ),
    Defect(
        "get-needs-the-mode",
        "An encrypted object is given only to who repeats the mode.",
        ("OBS0083-S11",),
        "as SSE-C demands it",
        misread.refused_when(misread.encrypted_and_unsaid, "InvalidArgument", GET),
    ),
    Defect(
        "if-match-ignored", "If-Match is ignored.", ("OBS0083-S06",), SLIP, misread.blind_to(("if-match",), GET, HEAD)
    ),
    Defect(
        "if-none-match-ignored",
        "If-None-Match is ignored.",
        ("OBS0083-S07",),
        SLIP,
        misread.blind_to(("if-none-match",), GET, HEAD),
    ),
    Defect(
        "if-modified-since-ignored",
        "If-Modified-Since is ignored.",
        ("OBS0083-S08",),
        SLIP,
        misread.blind_to(("if-modified-since",), GET, HEAD),
    ),
    Defect(
        "if-unmodified-since-ignored",
        "If-Unmodified-Since is ignored.",
        ("OBS0083-S08",),
        SLIP,
        misread.blind_to(("if-unmodified-since",), GET, HEAD),
    ),
    Defect(
        "failed-condition-unnamed",
        "The document of a failed condition does not name it.",
        ("OBS0083-S13",),
        SLIP,
        {"refuse": misread.condition_unnamed},
    ),
    Defect(
        "range-beyond-the-end-refused",
        "A range that ends beyond the object is refused.",
        ("OBS0083-S03",),
        SLIP,
        {"byte_range": misread.beyond_the_end_refused},
    ),
    Defect(
        "range-behind-the-end-ignored",
        "A range behind the end is answered with the whole object.",
        ("OBS0083-S04",),
        SLIP,
        {"byte_range": misread.behind_the_end_ignored},
    ),
    Defect(
        "suffix-range-from-the-front",
        "A range of the last bytes is answered with the first ones.",
        ("SSEKMS-R7",),
        SLIP,
        {"byte_range": misread.suffix_from_the_front},
    ),
    Defect(
        "partial-answer-with-own-etag",
        "A partial answer has an ETag of its own.",
        ("OBS0083-S02",),
        SLIP,
        misread.answer_of(
            "GetObject",
            lambda call, response: misread.turned_etag(call, response) if response.first("content-range") else response,
        ),
    ),
    Defect(
        "refusal-without-document",
        "A refusal has a status and no document.",
        ("OBS0115-S01",),
        SLIP,
        {"refuse": misread.refusal_without_document},
    ),
    # ---- copies
    Defect(
        "copy-needs-a-length",
        "A copy without Content-Length is refused.",
        ("SSEKMS-S55",),
        SLIP,
        misread.refused_when(
            lambda call: wrong.is_copy(call) and call.head.declared_length is None, "MissingContentLength", PUT
        ),
    ),
    Defect(
        "copy-not-done",
        "A copy is answered with its document and not done.",
        ("OBS0082-S12",),
        SLIP,
        wrong.finished(misread.copy_undone),
    ),
    Defect(
        "self-copy-makes-plain",
        "An encrypted object that is copied onto itself without a mode becomes a plain one.",
        ("OBS0082-S07",),
        SLIP,
        misread.rerouted(misread.self_copy_makes_plain, PUT, applies=misread.onto_itself),
    ),
    Defect(
        "self-copy-refused",
        "A copy of an object onto itself is refused even with REPLACE.",
        ("OBS0082-S06",),
        SLIP,
        misread.refused_when(misread.onto_itself, "InvalidRequest", PUT),
    ),
    Defect(
        "missing-source-copied",
        "A copy of an object that does not exist is answered 200.",
        ("OBS0082-S08",),
        SLIP,
        misread.let_pass(("NoSuchKey", "NoSuchBucket"), Response(200, (), b"<CopyObjectResult/>"), PUT),
    ),
    Defect(
        "encrypted-source-refused",
        "An encrypted object cannot be copied.",
        ("OBS0082-S11",),
        SLIP,
        misread.refused_when(misread.from_encrypted, "InvalidRequest", PUT),
    ),
    # ---- bucket default and policy
    Defect(
        "default-put-answers-204",
        "Setting a default encryption is answered 204.",
        ("OBS0062-S02",),
        SLIP,
        wrong.answered_with("PutBucketEncryption", 204),
    ),
    Defect(
        "namespace-refused",
        "A configuration with a namespace or a declaration is refused.",
        ("OBS0062-S03",),
        SLIP,
        misread.refused_text(_PUT_ENCRYPTION, "MalformedXML", b"xmlns", b"<?xml"),
    ),
    Defect(
        "configuration-md5-refused",
        "A configuration with a Content-MD5 is refused.",
        ("OBS0062-S15",),
        SLIP,
        misread.refused_when(
            lambda call: call.head.headers.first("content-md5") is not None, "InvalidDigest", _PUT_ENCRYPTION
        ),
    ),
    Defect(
        "default-of-any-bucket",
        "A bucket without a default uses that of another bucket of its account.",
        ("OBS0062-S13",),
        SLIP,
        misread.rerouted(misread.default_of_any_bucket, PUT),
    ),
    Defect(
        "default-read-back-without-key",
        "GET of a default encryption does not tell its key.",
        ("OBS0063-S01",),
        SLIP,
        misread.without_element("GetBucketEncryption", "KMSMasterKeyID"),
    ),
    Defect(
        "default-read-back-as-text",
        "The type of a default encryption that is read back is text/plain.",
        ("OBS0063-S04",),
        SLIP,
        misread.answer_of(
            "GetBucketEncryption",
            lambda _, response: replace(
                response,
                headers=tuple(
                    (name, "text/plain" if name == "Content-Type" else value) for name, value in response.headers
                ),
            ),
        ),
    ),
    Defect(
        "plain-strings-in-policy-refused",
        "A policy whose principal is a plain string is refused.",
        ("SSEKMS-S31",),
        SLIP,
        misread.refused_text(_PUT_POLICY, "MalformedPolicy", b'"Principal": "*"'),
    ),
    Defect(
        "policy-read-back-changed",
        "A policy is read back with another condition.",
        ("OBS0028-S01", "SSEKMS-S31"),
        SLIP,
        misread.body_of("GetBucketPolicy", b"StringNotEquals", b"StringEquals"),
    ),
    Defect(
        "second-policy-ignored",
        "A policy for a bucket that has one is answered 204 and ignored.",
        ("OBS0027-S03",),
        SLIP,
        misread.nothing_done(lambda call: call.bucket.policy is not None, lambda _: Response(204), _PUT_POLICY),
    ),
    Defect(
        "policy-removal-answers-200",
        "The removal of a policy is answered 200.",
        ("OBS0029-S02",),
        SLIP,
        wrong.answered_with("DeleteBucketPolicy", 200),
    ),
    Defect(
        "delete-policy-deletes-bucket",
        "Deleting the policy of a bucket deletes the bucket.",
        ("OBS0029-S01",),
        SLIP,
        wrong.routed(("DELETE", "bucket", "policy"), buckets.delete_bucket),
    ),
    Defect(
        "not-denied-is-allowed",
        "Whatever a policy does not deny it allows, to everybody.",
        ("OBS0027-S11",),
        SLIP,
        {"evaluate": misread.not_denied_is_allowed},
    ),
    Defect(
        "only-first-statement-counts",
        "Of a policy only the first statement is read.",
        ("OBS0027-S11",),
        SLIP,
        {"evaluate": misread.only_first_statement},
    ),
    Defect(
        "policy-binds-deletes-too",
        "What a policy says of uploads counts for deleting as well.",
        ("SSEKMS-S35",),
        SLIP,
        {"evaluate": misread.deletes_as_uploads},
    ),
    Defect(
        "policy-binds-all-buckets",
        "The policy of a bucket binds every bucket of the account.",
        ("SSEKMS-S35",),
        SLIP,
        {"authorize": misread.policy_of_any_bucket},
    ),
    # ---- parts and forms
    Defect(
        "initiate-names-nothing",
        "The document of an initiation has the upload id alone.",
        ("OBS0098-S01",),
        SLIP,
        misread.without_element("InitiateMultipartUpload", "Bucket", "Key"),
    ),
    Defect(
        "initiate-deletes-old-object",
        "The initiation of an upload in parts takes the object of its name away.",
        ("OBS0098-S03",),
        SLIP,
        wrong.finished(misread.initiation_deletes),
    ),
    Defect(
        "parts-need-the-mode",
        "A part of an encrypted upload is refused unless it repeats the mode.",
        ("OBS0099-S01",),
        "as SSE-C demands it",
        misread.refused_when(misread.part_of_encrypted, "InvalidArgument", PART),
    ),
    Defect(
        "first-part-stays",
        "A part sent again is answered 200 and ignored.",
        ("OBS0099-S03",),
        SLIP,
        misread.nothing_done(misread.known_part, misread.first_part, PART),
    ),
    Defect(
        "part-number-not-checked",
        "A part number outside the range is answered 200.",
        ("OBS0099-S04",),
        SLIP,
        misread.let_pass(("InvalidArgument",), Response(200, (("ETag", '"0"'),)), PART),
    ),
    Defect(
        "unknown-upload-accepted",
        "A part of an upload that is not there is answered 200.",
        ("OBS0099-S05", "OBS0103-S02"),
        SLIP,
        misread.let_pass(("NoSuchUpload",), Response(200, (("ETag", '"0"'),)), PART),
    ),
    Defect(
        "part-copy-without-document",
        "The copy of a part is answered without its document.",
        ("OBS0100-S01",),
        SLIP,
        misread.answer_of(
            "UploadPart", lambda call, response: misread.with_body(response, b"") if wrong.is_copy(call) else response
        ),
    ),
    Defect(
        "complete-without-names",
        "The document of a completion has the ETag alone.",
        ("OBS0102-S01",),
        SLIP,
        misread.without_element("CompleteMultipartUpload", "Bucket", "Key"),
    ),
    Defect(
        "open-upload-reads-as-empty",
        "An object whose parts are still being uploaded is read as an empty one.",
        ("OBS0102-S02",),
        SLIP,
        misread.rerouted(misread.open_upload_as_empty, GET, HEAD),
    ),
    Defect(
        "form-answers-200",
        "A form that asks for no status is answered 200.",
        ("OBS0081-S02",),
        SLIP,
        misread.answer_of(
            "PostObject", lambda _, response: response if response.content() else replace(response, status=200)
        ),
    ),
    Defect(
        "key-id-missing-in-head",
        "HEAD does not name the key of an object.",
        ("SSEKMS-R1",),
        SLIP,
        wrong.without(KEY_ID, (Occasion.HEAD,)),
    ),
    Defect(
        "mode-missing-in-downloads",
        "GET does not name the mode of an object.",
        ("SSEKMS-R1",),
        SLIP,
        wrong.without(MODE, (Occasion.GET,)),
    ),
)
"""The wrong servers of this module, in the order of the documents."""
