"""Actions as pages tell them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from quarantine.acting.actions import Outcome
from quarantine.models import Action, Ruling, Work


@dataclass(frozen=True, slots=True)
class Told:
    action: Action
    silent: bool
    undone_by: Sequence[Action]  # what undoes it, oldest first, however far that has got

    @property
    def work(self) -> Work:
        return self.action.work

    @property
    def status(self) -> str:
        return "silent" if self.silent else self.work.status

    @property
    def going(self) -> bool:
        return self.work.status in {Work.Status.WAITING, Work.Status.RUNNING}

    @property
    def ruling(self) -> Ruling | None:
        return getattr(self.action, "ruling", None)

    @property
    def outcome(self) -> Outcome:
        return Outcome(**self.work.outcome)

    @property
    def undone(self) -> Action | None:
        """What undid the last of it, once as many media items were changed back as it had changed, copies too.

        None is changed back twice: what something happened to since, is left alone.
        """
        back = [each for each in self.undone_by if each.work.outcome.get("changed")]
        number = sum(each.work.outcome["changed"] for each in back)
        return back[-1] if back and number >= self.outcome.changed + self.outcome.copies else None

    @property
    def can_be_undone(self) -> bool:
        return self.work.over and bool(self.outcome.changed) and self.undone is None


def tell(actions: Sequence[Action], *, now: datetime) -> list[Told]:
    undoing = Action.objects.filter(undoes__in=actions).select_related("staff", "work").order_by("pk")
    undone_by: dict[int | None, list[Action]] = {action.pk: [] for action in actions}
    for action in undoing:
        undone_by[action.undoes_id].append(action)
    return [Told(action, action.work.is_silent(now), undone_by[action.pk]) for action in actions]
