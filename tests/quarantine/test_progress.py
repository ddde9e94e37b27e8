"""Progress where there is no terminal: lines that say how a step begins, and how it ends."""

import io

from quarantine.management.progress import reporting


def told(*reports):
    stream = io.StringIO()
    with reporting({"local": "Local media", "held": "Media held"}, stream=stream) as report:
        for each in reports:
            report(*each)
    return stream.getvalue().splitlines()


def test_a_quick_step_says_how_it_began_and_how_it_ended():
    lines = told(("local", 10, 30), ("local", 20, 30), ("local", 30, 30), ("held", 647, 5509), ("held", 5509, 5509))

    assert lines == [
        "Local media: 10 of 30",
        "Local media: 30 of 30",
        "Media held: 647 of 5,509",
        "Media held: 5,509 of 5,509",
    ]


def test_an_end_is_said_once_and_a_further_pass_has_its_own():
    assert told(("local", 3, 3), ("local", 3, 3), ("local", 1, 3, "pass 2"), ("local", 3, 3, "pass 2")) == [
        "Local media: 3 of 3",
        "Local media: 3 of 3, pass 2",
    ]
