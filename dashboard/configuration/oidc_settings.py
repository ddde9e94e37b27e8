"""What the environment says of single sign-on, checked."""

import ipaddress
from urllib.parse import urlsplit

from dashboard.configuration.environment import env, env_list, refused


def env_issuer(name: str) -> str:
    """The issuer of OpenID Connect; empty where it is not set. People's sign-ins go there, so plain http stays on this machine."""
    url = env(name, "")
    parts = urlsplit(url)
    if url and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.username):
        raise refused(name, "must be an address such as https://login.example.com/realms/staff.")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise refused(name, "must be https://: over plain http anybody on the way could sign in as anybody.")
    return url


def env_roles(name: str) -> dict[str, str]:
    """Values of a claim and the roles they give, such as `staff-admins=admin,staff=viewer`; the first that fits counts."""
    pairs = {value.strip(): role.strip() for value, _, role in (item.rpartition("=") for item in env_list(name))}
    if not all(pairs) or not all(pairs.values()):
        raise refused(name, "lists values and roles such as staff-admins=admin,staff=viewer.")
    return pairs


def origin_of(url: str) -> str:
    return "{0.scheme}://{0.netloc}".format(urlsplit(url)) if url else ""


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_single_sign_on(*, issuer: str, roles: dict[str, str], only: bool) -> None:
    """Raise ImproperlyConfigured where nobody could sign in."""
    if issuer and not roles:
        reason = "is not set: with OIDC_ISSUER it says who gets in, such as staff-admins=admin,staff=viewer."
        raise refused("OIDC_ROLES", reason)
    if only and not issuer:
        raise refused("SSO_ONLY", "is on without OIDC_ISSUER: nobody could sign in.")
