"""Downloads from local hosts that are cut, silent, wrong, or asked by several processes at once."""

import errno
import os
import subprocess
import sys
import textwrap
import threading
import time

import mirrors
import ogbench.utils
import pytest
from mirrors import DOWN, FILE, Mirror, flip_a_byte, names

from sorl_edu.datasets import download
from sorl_edu.datasets.download import download_file
from sorl_edu.errors import DataError

large, content, serve = mirrors.large, mirrors.content, mirrors.serve  # fixtures


def test_the_first_mirror_is_ogbenchs():
    assert download.MIRRORS[0] == ogbench.utils.DATASET_URL


def test_a_cut_download_is_resumed_where_it_was_cut(serve, content, tmp_path):
    mirror = Mirror(content, cut_after=1000, cuts=2)
    path = download_file(FILE, tmp_path, mirrors=[serve(mirror)], progress=False)
    assert path.read_bytes() == content[FILE] and names(tmp_path) == [FILE]
    assert mirror.requests == [(FILE, 0), (FILE, 1000), (FILE, 2000)]


@pytest.mark.parametrize("kept", [0, 1, 5000, -1, None])
def test_a_later_run_resumes_an_earlier_one(kept, serve, content, tmp_path):
    (tmp_path / f"{FILE}.part").write_bytes(content[FILE][:kept])
    mirror = Mirror(content)
    path = download_file(FILE, tmp_path, mirrors=[serve(mirror)], progress=False)
    assert path.read_bytes() == content[FILE] and names(tmp_path) == [FILE]
    assert mirror.requests == [(FILE, len(content[FILE][:kept]))]


@pytest.mark.parametrize("left", [b"x" * 4000, b"x" * 10**6], ids=["short", "too long"])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_part_of_another_file_is_thrown_away(left, ranges, serve, content, tmp_path):
    (tmp_path / f"{FILE}.part").write_bytes(left)
    mirror = Mirror(content, ranges=ranges)
    path = download_file(FILE, tmp_path, mirrors=[serve(mirror)], progress=False)
    assert path.read_bytes() == content[FILE] and names(tmp_path) == [FILE]
    assert len(mirror.requests) == (2 if ranges else 1)


def test_a_host_without_ranges_starts_again(serve, content, tmp_path):
    mirror = Mirror(content, ranges=False, cut_after=1000, cuts=1)
    path = download_file(FILE, tmp_path, mirrors=[serve(mirror)], progress=False)
    assert path.read_bytes() == content[FILE]


def test_a_host_without_ranges_that_cuts_shortens_no_part(serve, content, tmp_path):
    part = tmp_path / f"{FILE}.part"
    part.write_bytes(content[FILE][:-100])
    mirror = Mirror(content, ranges=False, cut_after=1000, cuts=10**6)
    with pytest.raises(DataError, match="cut after 1000 of"):
        download_file(FILE, tmp_path, mirrors=[serve(mirror)], progress=False)
    assert part.read_bytes() == content[FILE][:-100]


@pytest.mark.parametrize("trouble", ["down", "404", "503", "corrupt", "web page", "always cut"])
def test_the_next_mirror_is_tried(trouble, serve, content, tmp_path):
    first = {
        "down": lambda: DOWN,
        "404": lambda: serve(Mirror({})),
        "503": lambda: serve(Mirror(content, status=503)),
        "corrupt": lambda: serve(Mirror({FILE: flip_a_byte(content[FILE])})),
        "web page": lambda: serve(Mirror({FILE: b"<html>moved</html>"})),
        "always cut": lambda: serve(Mirror(content, cut_after=100, cuts=10**6)),
    }[trouble]()
    second = serve(Mirror(content))
    path = download_file(FILE, tmp_path, mirrors=[first, second], progress=False)
    assert path.read_bytes() == content[FILE] and names(tmp_path) == [FILE]


@pytest.mark.parametrize("kept", [-20, None])
def test_a_captive_portal_leaves_the_part_alone(kept, serve, content, tmp_path):
    """It answers everything with status 200 and its login page, whatever range is requested."""
    part = tmp_path / f"{FILE}.part"
    part.write_bytes(content[FILE][:kept])
    page = {FILE: b"<html><body>Please log in to Campus-WiFi</body></html>"}
    headers = {"Content-Type": "text/html; charset=utf-8"}
    portal = Mirror(page, ranges=False, headers=headers)
    with pytest.raises(
        DataError, match=r"other than an npz file \(text/html, perhaps a login page"
    ):
        download_file(FILE, tmp_path, mirrors=[serve(portal)], progress=False)
    assert len(portal.requests) == 1
    assert part.read_bytes() == content[FILE][:kept] and names(tmp_path) == [part.name]
    mirror = Mirror(content)
    path = download_file(FILE, tmp_path, mirrors=[serve(mirror)], progress=False)
    assert path.read_bytes() == content[FILE]
    assert mirror.requests == [(FILE, len(content[FILE][:kept]))]


@pytest.mark.parametrize("length", ["abc", "-5", "", "1e4", "²"])
def test_a_content_length_that_is_no_number_is_ignored(length, serve, content, tmp_path):
    mirror = Mirror(content, headers={"Content-Length": length.encode().decode("latin-1")})
    path = download_file(FILE, tmp_path, mirrors=[serve(mirror)], progress=False)
    assert path.read_bytes() == content[FILE]


def test_a_host_that_lacks_the_file_is_asked_once_and_a_troubled_one_again(serve, tmp_path):
    lacking, troubled = Mirror({}), Mirror({}, status=503)
    urls = [serve(lacking), serve(troubled)]
    with pytest.raises(DataError, match="404") as error:
        download_file(FILE, tmp_path, mirrors=urls, progress=False, tries=3)
    assert "503" in str(error.value)
    assert len(lacking.requests) == 1 and len(troubled.requests) == 3


def test_a_silent_host_is_waited_for_once_and_not_in_silence(tmp_path, capsys):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        start = time.monotonic()
        with pytest.raises(DataError, match=r"no answer in 0\.3 s"):
            download_file(FILE, tmp_path, mirrors=[url], timeout=0.3)
        assert time.monotonic() - start < 2  # four tries and their pauses would take 8 seconds
    said = capsys.readouterr().err
    assert "waiting for 127.0.0.1, at most 0.3 s" in said and "no answer in 0.3 s" in said


def test_the_bar_shows_all_bytes_of_a_resumed_download(serve, content, tmp_path, capsys):
    (tmp_path / f"{FILE}.part").write_bytes(content[FILE][:5000])
    download_file(FILE, tmp_path, mirrors=[serve(Mirror(content))])
    last = capsys.readouterr().err.strip().splitlines()[-1].split("\r")[-1]
    assert FILE in last and "100%" in last and "waiting" not in last


def test_a_full_disk_is_no_trouble_of_the_mirror(serve, content, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "_transfer", full)
    with pytest.raises(OSError, match=r"can't write '.*\.part'.*No space left"):
        download_file(FILE, tmp_path, mirrors=[DOWN], progress=False)


# Several processes


def ask(folder, url):
    """A process that downloads and prints the outcome."""
    program = f"""
        from sorl_edu.datasets.download import download_file
        try:
            download_file({FILE!r}, {str(folder)!r}, mirrors=[{url!r}])
            print("ok")
        except BaseException as error:
            print(type(error).__name__, error)
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def begun(serve, content, tmp_path):
    """A process that has downloaded 1000 bytes, its mirror, and a function that lets it go on."""
    gate = threading.Event()
    mirror = Mirror(content, gate=gate)
    process = ask(tmp_path, serve(mirror))
    part, deadline = tmp_path / f"{FILE}.part", time.monotonic() + 60
    while not part.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    yield process, mirror, gate.set
    gate.set()
    process.kill()
    process.communicate()


WAITS = f"another process downloads {FILE}: waiting for it\n"


def test_processes_that_ask_for_one_file_share_one_download(begun, serve, content, tmp_path):
    process, mirror, go_on = begun
    other = Mirror(content)
    url = serve(other)
    waiting = [ask(tmp_path, url) for _ in range(2)]
    assert [each.stderr.readline() for each in waiting] == [WAITS] * 2
    go_on()
    for each in (process, *waiting):
        assert each.communicate(timeout=60)[0] == "ok\n"
    assert (tmp_path / FILE).read_bytes() == content[FILE] and names(tmp_path) == [FILE]
    assert mirror.requests == [(FILE, 0)] and other.requests == []


def test_a_process_that_waits_resumes_the_download_of_a_killed_one(begun, serve, content, tmp_path):
    process, *_ = begun
    waiting = ask(tmp_path, serve(Mirror(content)))
    assert waiting.stderr.readline() == WAITS
    process.kill()
    assert waiting.communicate(timeout=60)[0] == "ok\n"
    assert (tmp_path / FILE).read_bytes() == content[FILE] and names(tmp_path) == [FILE]


def test_a_lock_file_of_a_process_that_is_gone_holds_nobody_up(serve, content, tmp_path):
    (tmp_path / f".{FILE}.lock").write_bytes(b"")
    download_file(FILE, tmp_path, mirrors=[serve(Mirror(content))], progress=False)
    assert names(tmp_path) == [FILE]


def test_a_lock_that_was_removed_while_it_was_waited_for_is_taken_anew(tmp_path, monkeypatch):
    """Else two processes could hold it: one the removed file, another a new one."""
    path, lock, opened = tmp_path / "lock", download._lock_now, []

    def removed_at_first(descriptor):
        lock(descriptor)
        opened.append(descriptor)
        if len(opened) == 1:
            path.unlink()

    monkeypatch.setattr(download, "_lock_now", removed_at_first)
    with download._lock(path, ""):
        assert len(opened) == 2 and os.path.samestat(os.fstat(opened[1]), path.stat())
    assert names(tmp_path) == []


def test_where_there_are_no_locks_it_downloads_without(serve, content, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows; msvcrt isn't here either
    download_file(FILE, tmp_path, mirrors=[serve(Mirror(content))], progress=False)
    assert names(tmp_path) == [FILE]
