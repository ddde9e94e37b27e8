"""The picture in README.md, taken of a running demo.

    make demo                                            # in another terminal
    .venv/bin/python -m tests.screenshot [ADDRESS]       # http://127.0.0.1:8000

Also fails if the page logs anything to the console, or the picture is too big to load with a README.
"""

import sys

from tests.browsers import running_chromium
from tests.environment import ROOT

PICTURE = ROOT / "docs" / "timeline.png"
WIDTH, HEIGHT = 1440, 900
MOST_BYTES = 300_000


def main(address: str) -> None:
    said: list[str] = []
    with running_chromium() as browser:
        page = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light", locale="en-GB", timezone_id="UTC"
        )
        page.on("console", lambda message: said.append(message.text))
        page.goto(f"{address}/login/")
        page.get_by_label("User name").fill("moderator")
        page.get_by_label("Password").fill("demo")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{address}/")
        page.wait_for_load_state()
        page.screenshot(path=PICTURE)
    size = PICTURE.stat().st_size
    print(f"{PICTURE}: {size:,} bytes")
    if said or size > MOST_BYTES:
        sys.exit(f"The console says {said}; the picture may have {MOST_BYTES:,} bytes.")


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/") if len(sys.argv) > 1 else "http://127.0.0.1:8000")
