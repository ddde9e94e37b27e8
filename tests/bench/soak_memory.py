"""The memory of a process in a soak: what it is over time, and whether it grows."""

import threading
import time
from dataclasses import dataclass, field

from tests.bench.slopes import Slope, medians, slope
from tests.bench.workshop import memory_mb

LOOK_EVERY = 2.0  # seconds
# Seconds until memory is looked at: each fault has happened once by then, on a busy machine too, all readers have come
# here, and each thread has done what it is for.
WARM = 180.0
STRETCH, ENOUGH = 0.5, 6  # minutes that one median of memory is of; of how many a slope is made at least
SLOPE = 1.0  # MB a minute that count as none


@dataclass
class Memory(threading.Thread):
    """Resident memory of the server that lives through it all, over time."""

    pid: int
    stop: threading.Event
    minutes: list[float] = field(default_factory=list)
    mb: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        began = time.monotonic()
        while not self.stop.wait(LOOK_EVERY):
            if (passed := time.monotonic() - began) > WARM:
                self.minutes.append(passed / 60)
                self.mb.append(memory_mb(self.pid))

    def span(self) -> str:
        if not self.mb:
            return "not looked at in so short a run"
        return f"{self.mb[0]:.1f} MB, then {min(self.mb):.1f} to {max(self.mb):.1f}, {self.mb[-1]:.1f} in the end"

    def slope(self) -> Slope | None:
        """MB a minute; None where it ran too short to tell."""
        minutes, mb = medians(self.minutes, self.mb, every=STRETCH)
        return slope(minutes, mb) if len(minutes) >= ENOUGH else None

    def told(self) -> str:
        found = self.slope()
        if found is None:
            return "too short a run to tell"
        none = ": none that could be told from 0" if found.low <= 0 <= found.high else ""
        return f"{found} MB a minute with 95 % certainty{none}; looked at from {WARM:.0f} s on"

    def well(self) -> bool:
        found = self.slope()
        return found is None or found.value < SLOPE
