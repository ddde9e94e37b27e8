"""The ways to people: e-mail, a signed webhook, a Matrix room. Addresses and secrets are an operator's settings.

Each send is bounded as a whole, follows no redirect, and says what went wrong in a sentence of our own:
what the other side or a library says may hold a secret, or what strangers wrote.
"""

import asyncio
import json
import smtplib
import ssl
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import quote, urlsplit
from uuid import UUID

import httpx
from django.conf import settings
from django.core.mail import EmailMessage

from quarantine.alerting.alert_texts import Message
from quarantine.alerting.configured import configured
from quarantine.alerting.signing import signed
from quarantine.homeserver.synapse import trusted
from quarantine.models import Way

PATIENCE = 15.0  # seconds for one send, all of it


class NotSentError(Exception):
    """It did not arrive, or nobody knows whether it did; the text says why."""


def send(way: Way, message: Message, *, identity: UUID) -> None:
    """Raises NotSentError. Sent again with the same identity, it is the same to its receiver."""
    if way not in configured():
        msg = "This way is not set up any more."
        raise NotSentError(msg)
    SENDERS[way](message, identity)


def send_email(message: Message, identity: UUID) -> None:
    domain = settings.ALERT_EMAIL_FROM.rpartition("@")[2].rstrip(">")
    # Marked as from a program: no out-of-office answers.
    headers = {"Message-ID": f"<{identity}@{domain}>", "Date": formatdate(), "Auto-Submitted": "auto-generated"}
    mail = EmailMessage(
        message.title, message.text + "\n", settings.ALERT_EMAIL_FROM, settings.ALERT_EMAIL_TO, headers=headers
    )
    try:
        mail.send()
    except smtplib.SMTPResponseException as error:
        msg = f"The mail server answered {error.smtp_code}."
        raise NotSentError(msg) from error
    except smtplib.SMTPRecipientsRefused as error:
        msg = "The mail server refuses the recipients."
        raise NotSentError(msg) from error
    except smtplib.SMTPException as error:
        msg = "The mail server broke off, or can't do what is asked of it."
        raise NotSentError(msg) from error
    except ssl.SSLError as error:
        msg = "The mail server's certificate or encryption is not in order."
        raise NotSentError(msg) from error
    except TimeoutError as error:
        msg = "The mail server took too long."
        raise NotSentError(msg) from error
    except OSError as error:
        msg = "The mail server can't be reached."
        raise NotSentError(msg) from error


def send_webhook(message: Message, identity: UUID) -> None:
    body = json.dumps({"type": "quarantine.alert", "data": message.data}, sort_keys=True).encode()
    secret, now = settings.ALERT_WEBHOOK_SECRET, int(time.time())
    headers = signed(body, secret=secret, identity=str(identity), timestamp=now)
    request("POST", settings.ALERT_WEBHOOK_URL, body, headers)


def send_matrix(message: Message, identity: UUID) -> None:
    """The identity is the transaction id: the homeserver posts it once, however often it is sent."""
    room, token = quote(settings.ALERT_MATRIX_ROOM, safe=""), settings.ALERT_MATRIX_TOKEN
    url = f"{settings.ALERT_MATRIX_URL}/_matrix/client/v3/rooms/{room}/send/m.room.message/{identity}"
    content = {"msgtype": "m.text", "body": message.text, "format": "org.matrix.custom.html"}
    content |= {"formatted_body": message.html, "m.mentions": {}}  # type: ignore[dict-item]  # nobody is rung up by name
    request("PUT", url, json.dumps(content).encode(), {"Authorization": f"Bearer {token}"})


SENDERS: Mapping[Way, Callable[[Message, UUID], None]] = {
    Way.EMAIL: send_email,
    Way.WEBHOOK: send_webhook,
    Way.MATRIX: send_matrix,
}


def request(method: str, url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """In an event loop of its own, the only way to bound all of it: httpx' own timeouts start anew with each byte."""
    asyncio.run(request_within(method, url, body, headers))


async def request_within(method: str, url: str, body: bytes, headers: Mapping[str, str]) -> None:
    sent = {"Content-Type": "application/json", "User-Agent": "quarantine-dashboard", **headers}
    try:
        async with (
            asyncio.timeout(PATIENCE),
            httpx.AsyncClient(verify=trusted(), follow_redirects=False, trust_env=False, timeout=PATIENCE) as client,
            client.stream(method, url, content=body, headers=sent) as answer,
        ):
            status = answer.status_code
    except (TimeoutError, httpx.TimeoutException) as error:
        msg = f"{place(url)} did not answer within {PATIENCE:.0f} seconds."
        raise NotSentError(msg) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        msg = f"{place(url)} can't be reached, or broke off."
        raise NotSentError(msg) from error
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        redirect = " A redirect is not followed." if status < HTTPStatus.BAD_REQUEST else ""
        msg = f"{place(url)} answered {status}.{redirect}"
        raise NotSentError(msg)


def place(url: str) -> str:
    """Without path and query: they may be secrets."""
    return urlsplit(url).hostname or "It"
