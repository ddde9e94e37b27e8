"""Signatures of what we send to a webhook, as https://www.standardwebhooks.com describes them.

HMAC-SHA256 over id, time and body: a receiver that compares the time with its clock, and remembers the ids
of the last minutes, can't be given a message twice or an old one.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

PREFIX = "whsec_"
SHORTEST = 24  # bytes


class SecretError(ValueError):
    """It is no secret of a webhook."""


def key_of(secret: str) -> bytes:
    """The key behind `whsec_…`."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SecretError from error
    if not secret.startswith(PREFIX) or len(key) < SHORTEST:
        raise SecretError
    return key


def signed(body: bytes, *, secret: str, identity: str, timestamp: int) -> Mapping[str, str]:
    """The headers that go with this body."""
    content = f"{identity}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.new(key_of(secret), content, hashlib.sha256).digest()).decode()
    return {"webhook-id": identity, "webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{signature}"}
