"""Files that commands write."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError


@contextmanager
def refusing(output: str) -> Iterator[None]:
    """Around opening it: what can't be written is told in a sentence, with exit code 2."""
    try:
        yield
    except OSError as error:
        msg = f"--output {output} can't be written: {error.strerror}."
        raise CommandError(msg, returncode=2) from error
