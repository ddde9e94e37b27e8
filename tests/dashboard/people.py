"""People at the sign-in page."""

from django.test import Client

PASSWORD = "correct horse battery"  # also that of tests.factories.make_staff


def sign_in(client, name="anna", password=PASSWORD, *, data=None, **more):
    return client.post("/login/", {"username": name, "password": password} | (data or {}), **more)


def signed_in(name="anna", **defaults):
    """A new browser, with `headers` and REMOTE_ADDR of its own, in which this person has signed in."""
    client = Client(**defaults)
    assert sign_in(client, name).status_code == 302
    return client
