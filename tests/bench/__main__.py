"""Measure, each figure beside a peer's from the same run on the same machine.

    python -m tests.bench [--size N] [--save] [NAME ...]

A NAME is a module here that has `measure(workshop, size) -> list[Result]`; without one, all of them in the order of
NAMES. `size` is a number of changes or of media; readers and clients are as many as each module says. `--save` writes
them into RESULTS.md beside this file, with the machine's facts and the command.
"""

import argparse
import os
import platform
import time
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from tests.bench.report import Result, table
from tests.bench.workshop import Workshop, workshop

NAMES: tuple[str, ...] = (
    "timeline",
    "insights",
    "backfill",
    "appends",
    "changes_api",
    "exports",
    "live",
    "startup",
    "verify",
    "upgrade",
)
RESULTS = Path(__file__).with_name("RESULTS.md")
SMALL = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Benchmarks beside their peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of: {', '.join(NAMES)} (all by default)")
    parser.add_argument("--size", type=int, default=SMALL, help="changes or media (%(default)s)")
    parser.add_argument("--save", action="store_true", help="write tests/bench/RESULTS.md")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(NAMES):
        parser.error(f"No benchmark is called {', '.join(sorted(unknown))}. There are: {', '.join(NAMES)}.")
    if asked.size < 1_000:
        parser.error("--size must be 1000 or more, or nothing can be told from it.")
    with workshop() as place:
        for name in asked.names or NAMES:
            section = measured(name, place, asked.size)
            if asked.save:  # each as soon as it is there: all of them take an hour
                save(name, section)


def save(name: str, section: str) -> None:
    """Into RESULTS.md, in place of the one of the same name; each says when and how it was measured."""
    kept = RESULTS.read_text().split("\n## ")[1:] if RESULTS.exists() else []
    known = {known.partition("\n")[0]: f"## {known.rstrip()}\n" for known in kept} | {name: section}
    RESULTS.write_text("\n".join(["# Benchmarks\n", facts(), *(known[name] for name in NAMES if name in known)]))


def measured(name: str, place: Workshop, size: int) -> str:
    """One benchmark's section; printed as soon as it is known."""
    module = import_module(f"tests.bench.{name}")
    began, now = time.perf_counter(), datetime.now(UTC)
    load = os.getloadavg()[0]
    results: list[Result] = module.measure(place, size)
    took = time.perf_counter() - began
    how = (
        f"`make bench SIZE={size} ONLY={name}`, {now:%Y-%m-%d %H:%M} UTC, {took:.0f} s; load average {load:.1f} before."
    )
    section = f"## {name}\n\n{table(results)}\n\n{how}\n"
    print(section, flush=True)
    return section


def facts() -> str:
    """The machine, in a few lines."""
    [total] = [line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal")]
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    return (
        f"{os.cpu_count()} cores ({model}), {int(total.split()[1]) / 2**20:.0f} GiB of memory, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}. PostgreSQL, Synapse, our servers and "
        f"the clients share these cores.\n"
    )


if __name__ == "__main__":
    main()
