"""What is read from a claim."""

import pytest

from quarantine.accounts.single_sign_on import values_of


@pytest.mark.parametrize(
    ("claims", "name", "values"),
    [
        ({"groups": "a"}, "groups", {"a"}),
        ({"groups": ["a", 1, None, ["b"]]}, "groups", {"a"}),
        ({"realm_access": {"roles": ["a"]}}, "realm_access.roles", {"a"}),
        ({"https://x.example/roles": ["a"]}, "https://x.example/roles", {"a"}),
        ({"realm_access": ["roles"]}, "realm_access.roles", set()),
        ({"groups": {"a": 1}}, "groups", set()),
        ({}, "groups", set()),
        ({"groups": True}, "groups", set()),
    ],
)
def test_values_of_a_claim(claims, name, values):
    assert values_of(claims, name) == values
