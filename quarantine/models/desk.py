"""What staff keep here for their own work."""

from django.db import models

from quarantine.models.ledger import Staff

VIEW_NAME_LENGTH = 64


class SavedView(models.Model):
    """Filters under a name. `query` is a query string of the timeline's, in its canonical form."""

    staff = models.ForeignKey(Staff, on_delete=models.PROTECT, related_name="saved_views")
    name = models.CharField(max_length=VIEW_NAME_LENGTH)
    query = models.TextField()
    shared = models.BooleanField(default=False)  # everybody sees it
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["staff", "name"], name="saved_view_once")]
        ordering = ("name", "pk")

    def __str__(self) -> str:
        return self.name
