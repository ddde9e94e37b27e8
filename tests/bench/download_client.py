"""A reader of one long answer; a process of its own, prints one JSON object: lines, bytes, seconds, seconds to the first byte.

python -m tests.bench.download_client PORT PATH COOKIE [BYTES_A_SECOND]
"""

import http.client
import json
import sys
import time


def main(port: str, path: str, cookie: str, slow: str = "") -> None:
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=120)
    connection.request("GET", path, headers={"Cookie": cookie})
    answer = connection.getresponse()
    assert answer.status == 200, answer.status
    lines = size = 0
    first = 0.0
    while block := answer.read1(2**18):
        first = first or time.perf_counter() - began
        lines, size = lines + block.count(b"\n"), size + len(block)
        if slow:
            time.sleep(len(block) / int(slow))
    print(json.dumps({"lines": lines, "bytes": size, "seconds": time.perf_counter() - began, "first": first}))


if __name__ == "__main__":
    main(*sys.argv[1:])
