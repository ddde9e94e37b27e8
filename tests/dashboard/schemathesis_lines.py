"""Newline-delimited JSON for schemathesis: the lines of an answer as the list that the description has for them."""

import json

import schemathesis


@schemathesis.deserializer("application/x-ndjson")
def lines(_context, response):
    text = response.content.decode()
    if text and not text.endswith("\n"):
        msg = "The last line doesn't end."
        raise ValueError(msg)
    return [json.loads(line) for line in text.split("\n")[:-1]]
