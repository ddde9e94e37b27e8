"""In CI a skipped test is a failed one: what was not run was not shown."""

import os

import pytest

# What `make test` can't provide, by the first words of the reason: only for want of these may a test be skipped in CI.
NOT_OURS_TO_HAVE = (
    "The version before",  # a shallow clone has no history
    "There is no systemd-analyze",
)


def fail_if_skipped(report):
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if reason.removeprefix("Skipped: ").startswith(NOT_OURS_TO_HAVE):
            return report
        report.outcome = "failed"
        report.longrepr = f"{reason}\nNothing may be skipped in CI."
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    return fail_if_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    return fail_if_skipped((yield))
