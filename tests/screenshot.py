"""The picture in README.md, taken of a running demo.

    make demo                                            # in another terminal
    .venv/bin/python -m tests.screenshot [ADDRESS]       # http://127.0.0.1:8000

Also fails if the page logs anything to the console, or the picture is too big to load with a README.
"""

import struct
import sys
import zlib

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
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.wait_for_url(f"{address}/")
        page.wait_for_load_state()
        PICTURE.write_bytes(repacked(page.screenshot()))
    size = PICTURE.stat().st_size
    sys.stdout.write(f"{PICTURE}: {size:,} bytes\n")
    if said or size > MOST_BYTES:
        sys.exit(f"The console says {said}; the picture may have {MOST_BYTES:,} bytes.")


def repacked(png: bytes) -> bytes:
    """The same picture, smaller: the browser packs quickly, and plain areas pack best unfiltered."""
    chunks = dict.fromkeys((b"IHDR", b"IDAT"), b"")
    place = 8
    while place < len(png):
        length, kind = struct.unpack_from(">I4s", png, place)
        chunks[kind] = chunks.get(kind, b"") + png[place + 8 : place + 8 + length]
        place += length + 12
    width, _, depth, colours = struct.unpack_from(">IIBB", chunks[b"IHDR"])
    assert (depth, colours) == (8, 2), "true colours without transparency"
    rows = b"".join(b"\0" + row for row in unfiltered(zlib.decompress(chunks[b"IDAT"]), width * 3))
    packed = {b"IHDR": chunks[b"IHDR"], b"IDAT": zlib.compress(rows, 9), b"IEND": b""}
    return png[:8] + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in packed.items()
    )


def unfiltered(data: bytes, length: int) -> list[bytes]:
    """The rows of pixels (PNG, section 9)."""
    rows = [bytes(length)]
    for start in range(0, len(data), length + 1):
        row, above = bytearray(data[start + 1 : start + 1 + length]), rows[-1]
        for place in range(length if data[start] else 0):
            left, corner = (row[place - 3], above[place - 3]) if place >= 3 else (0, 0)
            guesses = (0, left, above[place], (left + above[place]) // 2, paeth(left, above[place], corner))
            row[place] = (row[place] + guesses[data[start]]) & 255
        rows.append(bytes(row))
    return rows[1:]


def paeth(left: int, above: int, corner: int) -> int:
    return min(left, above, corner, key=lambda guess: abs(left + above - corner - guess))


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/") if len(sys.argv) > 1 else "http://127.0.0.1:8000")
