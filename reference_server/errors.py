"""Every refusal the server can utter: code, status and a default sentence, in one table.

Codes and statuses are those of the central error list (obs_04_0115) and of the pages named in the remarks.
This module does not know which operation refuses, nor how a refusal becomes bytes (that is `documents`).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

STATUS_AND_TEXT: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "AccessDenied": (403, "Access Denied"),
        # Append (CN-MD only, protocol facts 3.7).
        "AppendTooLarge": (400, "The object would become larger than an appendable object can be."),
        "BadDigest": (400, "The Content-MD5 you specified did not match what we received."),
        "BadRequest": (400, "Bad Request"),
        "BucketAlreadyExists": (409, "The requested bucket name is not available."),
        "BucketNotEmpty": (409, "The bucket you tried to delete is not empty."),
        "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed object size."),
        "EntityTooSmall": (400, "Your proposed upload is smaller than the minimum allowed object size."),
        "IncompleteBody": (400, "The number of bytes received does not match the Content-Length header."),
        "InternalError": (500, "We encountered an internal error. Please try again."),
        "InvalidAccessKeyId": (403, "The access key id you provided does not exist in our records."),
        "InvalidArgument": (400, "Invalid Argument"),
        "InvalidBucketName": (400, "The specified bucket is not valid."),
        "InvalidDigest": (400, "The Content-MD5 you specified is not valid."),
        "InvalidEncryptionAlgorithmError": (400, "The encryption request you specified is not valid."),
        "InvalidLocationConstraint": (400, "The specified location constraint is not valid."),
        "InvalidPart": (400, "One or more of the specified parts could not be found."),
        "InvalidPartOrder": (400, "The list of parts was not in ascending order."),
        "InvalidPolicyDocument": (400, "The content of the form does not meet the conditions of its policy document."),
        "InvalidRange": (416, "The requested range cannot be satisfied."),
        "InvalidRequest": (400, "Invalid Request"),
        "KMS.DisabledException": (400, "The master key is not enabled."),
        "KMS.NotFoundException": (400, "The master key does not exist."),
        "KeyTooLongError": (400, "Your key is too long."),
        "MalformedACLError": (400, "The XML you provided was not well-formed or did not validate."),
        "MalformedPolicy": (400, "The policy is not valid."),
        "MalformedXML": (400, "The XML you provided was not well-formed or did not validate."),
        "MaxMessageLengthExceeded": (400, "Your request was too big."),
        "MetadataTooLarge": (400, "Your metadata headers exceed the maximum allowed metadata size."),
        "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
        "MissingContentLength": (411, "You must provide the Content-Length HTTP header."),
        "MissingRequestBodyError": (400, "Request body is empty."),
        "NoSuchBucket": (404, "The specified bucket does not exist."),
        "NoSuchBucketPolicy": (404, "The bucket policy does not exist."),
        # obs_04_0063; the central list lacks it.
        "NoSuchEncryptionConfiguration": (404, "The server side encryption configuration was not found."),
        "NoSuchKey": (404, "The specified key does not exist."),
        "NoSuchUpload": (404, "The specified multipart upload does not exist."),
        "NoSuchVersion": (404, "The specified version does not exist."),
        # Append, as AppendTooLarge.
        "ObjectNotAppendable": (409, "The object is not appendable."),
        "PositionNotEqualToLength": (409, "The position is not equal to the length of the object."),
        "PreconditionFailed": (412, "At least one of the pre-conditions you specified did not hold."),
        "RequestTimeTooSkewed": (403, "The difference between the request time and the server's time is too large."),
        "RequestTimeout": (408, "Your socket connection to the server was not read from or written to in time."),
        "ServiceNotImplemented": (501, "The functionality you requested is not implemented."),
        "ServiceUnavailable": (503, "Please reduce your request rate."),
        "SignatureDoesNotMatch": (
            403,
            "The request signature we calculated does not match the signature you provided.",
        ),
        # S3's, for a body that is not the signed one.
        "XAmzContentSHA256Mismatch": (400, "The x-amz-content-sha256 you specified did not match what we received."),
    }
)
"""What a code means on the wire; a code outside this table cannot be raised."""


class ObsError(Exception):
    """A refusal with a documented code; `details` become further elements of the error document."""

    def __init__(self, code: str, message: str = "", *, details: tuple[tuple[str, str], ...] = ()) -> None:
        self.code = code
        self.status, default = STATUS_AND_TEXT[code]
        self.message = message or default
        self.details = details
        super().__init__(f"{code}: {self.message}")


class DamagedStateError(Exception):
    """What lies on disk is not what was put there: the answer is an error, never wrong bytes."""


class StartError(Exception):
    """The server cannot start with the options, files or folders it was given; the text says why."""
