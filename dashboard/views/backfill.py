"""Backfill and audit: how far they have got; admins start and pause them."""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST, require_safe

from dashboard.http import render_page
from dashboard.signing_in.freshness import require_fresh
from dashboard.views.account import StaffRequest
from quarantine import runner
from quarantine.accounts.staff import require
from quarantine.models import Capability, Leg, Run

SHOWN = 20
SWAPS = {"runs": "runs"}


@dataclass(frozen=True, slots=True)
class Progress:
    """A run as the page tells it."""

    run: Run
    legs: list[Leg]
    silent: bool  # it claims to run, but its process has died

    @property
    def status(self) -> str:
        return "silent" if self.silent else self.run.status

    @property
    def going(self) -> bool:
        return self.status in {Run.Status.RUNNING, Run.Status.REQUESTED}

    @property
    def percent(self) -> int:
        return sum(leg.percent() for leg in self.legs) // len(self.legs) if self.legs else 0

    @property
    def scanned(self) -> int:
        return sum(leg.scanned for leg in self.legs)

    @property
    def recorded(self) -> int:
        return sum(leg.recorded for leg in self.legs)

    @property
    def rate(self) -> int | None:
        """Rows a second; None before there is anything to tell."""
        return int(self.scanned / self.run.seconds) if self.run.seconds else None

    @property
    def seconds_left(self) -> int | None:
        """By the rate so far; None where that says nothing."""
        if not self.going or not 0 < self.percent < 100:
            return None
        return int(self.run.seconds * (100 - self.percent) / self.percent)

    @property
    def longest_statement_ms(self) -> float:
        return max((leg.longest_statement_ms for leg in self.legs), default=0.0)


@require_safe
def backfill(request: StaffRequest) -> HttpResponse:
    require(request.user, Capability.READ_OPERATIONS)
    now = datetime.now(UTC)
    runs = Run.objects.select_related("staff").prefetch_related("legs").order_by("-pk")[:SHOWN]
    told = [Progress(run, sorted(run.legs.all(), key=lambda leg: leg.pk), run.is_silent(now)) for run in runs]
    return render_page(
        request, "dashboard/backfill.html", {"runs": told, "newest": next(iter(told), None)}, swaps=SWAPS
    )


@require_POST
def start_run(request: StaffRequest, kind: str) -> HttpResponse:
    require(request.user, Capability.BACKFILL)
    require_fresh(request)
    runner.ask(Run.Kind(kind), staff=request.user)
    return redirect("backfill")


@require_POST
def pause_run(request: StaffRequest, number: int) -> HttpResponse:
    require(request.user, Capability.BACKFILL)  # before anybody learns which runs there are
    require_fresh(request)
    runner.pause(get_object_or_404(Run, pk=number), staff=request.user)
    return redirect("backfill")
