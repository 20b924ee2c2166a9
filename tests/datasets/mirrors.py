"""A local host of files that misbehaves on demand, and the small dataset that it serves."""

import contextlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sorl_edu.datasets import download
from sorl_edu.datasets.collect import collect

LARGE = "pointmaze-large-stitch"
LARGE_FILES = [f"{LARGE}-v0.npz", f"{LARGE}-v0-val.npz"]
FILE = LARGE_FILES[0]
TASK = f"{LARGE}-singletask-v0"

DOWN = "http://127.0.0.1:9/data"  # nothing listens on the discard port


class Mirror:
    """A host of files that notes the requests that it gets.

    Args:
        files: contents by name.
        ranges: whether it serves the rest of a file; otherwise it always sends the whole.
        cut_after, cuts: the first `cuts` responses end after so many bytes.
        status: an error with which it answers everything.
        headers: headers that replace its own.
        gate: an event that it waits for after the first 1000 bytes of a response.
    """

    def __init__(
        self,
        files,
        *,
        ranges=True,
        cut_after=None,
        cuts=0,
        status=None,
        headers=(),
        gate=None,
    ):
        self.files, self.ranges, self.status = files, ranges, status
        self.cut_after, self.cuts = cut_after, cuts
        self.headers, self.gate = dict(headers), gate
        self.requests = []  # (file, first byte of the request)

    def answer(self, request):
        file = request.path.rsplit("/", 1)[-1]
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        offset = int(asked[1]) if asked and self.ranges else 0
        self.requests.append((file, int(asked[1]) if asked else 0))
        if self.status or file not in self.files:
            return request.send_error(self.status or 404)
        content = self.files[file]
        if asked and self.ranges and offset >= len(content):
            return request.send_error(416)
        request.send_response(206 if asked and self.ranges else 200)
        headers = {"Content-Length": str(len(content) - offset)} | self.headers
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        body = content[offset:]
        if self.cuts > 0:
            self.cuts -= 1
            body = body[: self.cut_after]
            request.close_connection = True
        if self.gate is not None:
            request.wfile.write(body[:1000])
            body = body[1000:]
            self.gate.wait(60)
        request.wfile.write(body)


@contextlib.contextmanager
def serving():
    """A function that starts a mirror and returns its URL; all are stopped afterwards."""
    with contextlib.ExitStack() as stack:

        def start(mirror):
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self):
                    mirror.answer(self)

                def log_message(self, *_):
                    pass

            server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}/data"

        yield start


def flip_a_byte(content, at=None):
    at = len(content) // 2 if at is None else at
    return content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    """A folder with a small dataset that is not shipped."""
    folder = tmp_path_factory.mktemp("large")
    collect(f"{LARGE}-v0", folder, episodes=3, progress=False)
    return folder


@pytest.fixture(scope="session")
def content(large):
    """The bytes of its files, by name."""
    return {file: (large / file).read_bytes() for file in LARGE_FILES}


@pytest.fixture
def serve(monkeypatch):
    """A function that starts a mirror and returns its URL; retries do not pause."""
    monkeypatch.setattr(download, "RETRY_PAUSE", 0.0)
    with serving() as start:
        yield start
