"""A provider of OpenID Connect, real and small, on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from oidc_provider_mock import run_server_in_thread


@contextmanager
def running_provider() -> Iterator[str]:
    """Its issuer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
        with run_server_in_thread(require_nonce=True) as server:
            yield f"http://localhost:{server.server_port}"


def say(issuer: str, sub: str, **claims: object) -> None:
    """What it says of somebody from now on."""
    httpx.put(f"{issuer}/users/{sub}", json={"sub": sub} | claims).raise_for_status()
