"""Programs at the door: their token, what they are refused in Synapse's shape, and a note of what they did."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from dashboard.serving.wire import GUARDS
from quarantine import consumers
from quarantine.consumers import Caller, UnknownTokenError, Use, WrongScopeError
from quarantine.models import Scope

HEADERS = GUARDS  # of every answer to a program, beside its type


class RefusedError(Exception):
    """An answer in Synapse's error shape."""

    def __init__(self, status: int, errcode: str, error: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(error)
        self.status, self.errcode, self.headers = status, errcode, dict(headers or {})


def caller(authorization: str, *scopes: Scope) -> Caller:
    """Who asks, by the header alone: what stands in a query string ends up in logs. One of the scopes is enough."""
    token = token_of(authorization)
    with refusals(*scopes):
        return consumers.authenticate(token, scopes=scopes)


def token_of(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise RefusedError(401, "M_MISSING_TOKEN", "Missing access token")
    return token.strip()


@contextmanager
def refusals(*scopes: Scope) -> Iterator[None]:
    """What is wrong with a token, in Synapse's shape."""
    try:
        yield
    except UnknownTokenError:
        raise RefusedError(401, "M_UNKNOWN_TOKEN", "Invalid access token passed.") from None
    except WrongScopeError:
        wanted = " or ".join(scopes)
        raise RefusedError(403, "M_FORBIDDEN", f"This token does not have the scope {wanted}.") from None


def only_get(method: str | None) -> None:
    if method != "GET":
        raise RefusedError(405, "M_UNRECOGNIZED", "Unrecognized request", headers={"Allow": "GET"})


class Uses:
    """What consumers did since it was last written: a request costs no write of its own."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.held: dict[int, Use] = {}

    def note(self, caller: Caller, *, position: int | None = None, given: bool = False) -> None:
        with self.lock:
            self.held.setdefault(caller.consumer_id, Use()).note(position, given=given)

    def write(self) -> None:
        with self.lock:
            taken, self.held = self.held, {}
        consumers.record(taken.items())


uses = Uses()  # of this process
