"""Sums over the ledger, block by block of positions. What is in a complete block never changes."""

from django.db import models


class RolledUp(models.Model):
    """How far blocks of one size have been added up."""

    size = models.BigIntegerField(primary_key=True)  # positions in a block
    end = models.BigIntegerField(default=0)  # every position below it (exclusive) is in a block

    def __str__(self) -> str:
        return f"blocks of {self.size} up to {self.end}"


class Tally(models.Model):
    """How many changes of one block have which key: positions from `start` up to `start + size`, exclusive.

    `kind` says what a key is: see `quarantine.counting.tallies`. Backfill has tallies of its own, so that it can be left out.
    """

    pk = models.CompositePrimaryKey("size", "start", "kind", "backfill")
    size = models.BigIntegerField()
    start = models.BigIntegerField()
    kind = models.CharField(max_length=16)
    backfill = models.BooleanField()  # of the changes of source backfill, or of all others
    counts = models.JSONField()  # key -> number of changes; the busiest keys alone if some were left out
    floor = models.BigIntegerField(default=0)  # no key that was left out has more changes than this; 0: none was

    def __str__(self) -> str:
        return f"{self.kind} of {self.size} from {self.start}"
