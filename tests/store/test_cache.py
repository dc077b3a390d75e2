"""The cache gives back what was put, commits whole batches, and says what is wrong with its file."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import BrokenRunError, InputError
from harness.store.cache import Cache
from harness_inspect.pruning import prunable, prune, verify


@pytest.fixture
def cache(tmp_path):
    with Cache(tmp_path / "cache.db") as opened:
        yield opened


def key(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(st.binary(min_size=32, max_size=32).map(bytes.hex), st.binary(max_size=200), max_size=20))
def test_what_is_put_is_got(cache, items):
    cache.put_many(items)
    assert cache.get_many([*items, key("unknown")]) == items


def test_more_keys_than_one_statement_holds(cache):
    items = {key(number): str(number).encode() for number in range(5000)}
    cache.put_many(items)
    assert cache.get_many(list(items)) == items
    assert cache.stats().entries == 5000
    assert cache.stats().value_bytes == sum(len(value) for value in items.values())


def test_the_newest_value_stays(cache):
    cache.put_many({key(1): b"old"})
    cache.put_many({key(1): b"new"})
    assert cache.get_many([key(1)]) == {key(1): b"new"}


@pytest.mark.parametrize("bad", ["", "abc", "zz" * 32, "a" * 66])
def test_other_keys_are_refused_whole(cache, bad):
    with pytest.raises(ValueError, match="hexadecimal"):
        cache.put_many({key(1): b"x", bad: b"y"})
    with pytest.raises(ValueError, match="hexadecimal"):
        cache.get_many([bad])
    assert cache.stats().entries == 0


def test_it_survives_closing_and_is_private(tmp_path):
    with Cache(tmp_path / "c.db") as first:
        first.put_many({key(1): b"x"})
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    with Cache(tmp_path / "c.db") as second:
        assert second.get_many([key(1)]) == {key(1): b"x"}


def rows(cache: Cache) -> sqlite3.Connection:
    return sqlite3.connect(cache.path, isolation_level=None)


@pytest.mark.parametrize(
    "forgery",
    [
        "UPDATE entries SET value = substr(value, 1, 32) || CAST('no' AS BLOB)",
        "UPDATE entries SET value = CAST('yes' AS BLOB)",
        "UPDATE entries SET value = 'a text'",
        "UPDATE entries SET value = 7",
        "UPDATE entries SET value = x''",
        "UPDATE entries SET value = zeroblob(40)",
    ],
)
def test_a_row_that_the_workspace_did_not_write_is_not_believed(cache, forgery):
    cache.put_many({key(1): b"yes", key(2): b"yes"})
    rows(cache).execute(forgery + f" WHERE key = x'{key(1)}'")
    assert cache.get_many([key(1), key(2)]) == {key(2): b"yes"}
    assert cache.refused == 1
    found = verify(cache)
    assert (found.entries, found.refused, found.forgotten) == (2, 1, 0)
    cache.put_many({key(1): b"yes"})  # asked again
    assert cache.get_many([key(1)]) == {key(1): b"yes"}
    assert verify(cache).refused == 0


def test_a_reply_cannot_be_moved_to_another_key(cache):
    cache.put_many({key(1): b"safe", key(2): b"unsafe"})
    rows(cache).execute(f"UPDATE entries SET value = (SELECT value FROM entries WHERE key = x'{key(1)}')")
    assert cache.get_many([key(1), key(2)]) == {key(1): b"safe"}
    assert verify(cache, forget=True).forgotten == 1
    assert cache.stats().entries == 1


def test_rows_of_another_key_are_not_believed(tmp_path):
    with Cache(tmp_path / "c.db") as first:
        first.put_many({key(1): b"x"})
    (tmp_path / "c.key").unlink()
    with Cache(tmp_path / "c.db") as second:
        assert second.get_many([key(1)]) == {}
        assert second.refused == 1
    (tmp_path / "c.key").write_bytes(b"short")
    with Cache(tmp_path / "c.db") as third, pytest.raises(InputError, match=r"c\.key: is no key.*delete it"):
        third.get_many([key(1)])


def test_a_key_that_others_may_read_is_told(cache):
    cache.put_many({key(1): b"x"})
    assert verify(cache).private
    cache.path.with_suffix(".key").chmod(0o644)
    assert not verify(cache).private


def test_processes_that_begin_together_agree_on_the_key(tmp_path):
    code = f"""
import sys
from pathlib import Path
from harness.store.cache import Cache
with Cache(Path({str(tmp_path / "c.db")!r})) as cache:
    cache.put_many({{sys.argv[1] * 64: b"x"}})
"""
    started = [subprocess.Popen([sys.executable, "-c", code, digit]) for digit in "0123"]
    assert [process.wait() for process in started] == [0] * 4
    with Cache(tmp_path / "c.db") as cache:
        assert (verify(cache).entries, verify(cache).refused) == (4, 0)


def test_threads_share_it(cache):
    def work(number):
        for step in range(20):
            cache.put_many({key((number, step)): b"x"})
            assert cache.get_many([key((number, step))])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.stats().entries == 80


def test_a_damaged_file_says_what_to_do(tmp_path):
    (tmp_path / "c.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(BrokenRunError, match=r"damaged .*; delete it"):
        Cache(tmp_path / "c.db")


def test_damage_inside_is_found_when_read(tmp_path):
    path = tmp_path / "c.db"
    items = {key(number): b"x" * 500 for number in range(500)}
    with Cache(path) as cache:
        cache.put_many(items)
    with path.open("r+b") as stream:
        stream.seek(4096)
        stream.write(os.urandom(path.stat().st_size - 4096))
    with pytest.raises(BrokenRunError, match="delete it"), Cache(path) as cache:
        cache.get_many(list(items))


def test_a_full_disk_stores_nothing_of_the_batch(tmp_path):
    path = tmp_path / "c.db"
    with Cache(path) as cache:
        cache.put_many({key("before"): b"x"})
    code = f"""
import resource
from harness.store.cache import Cache
from pathlib import Path
cache = Cache(Path({str(path)!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    cache.put_many({{format(i, "064x"): b"y" * 3000 for i in range(200)}})
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("BrokenRunError"), done
    assert "disk" in done.stdout
    with Cache(path) as cache:
        assert cache.stats().entries == 1


def test_prune_by_age(cache, monkeypatch):
    cache.put_many({key("old"): b"x"})
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1000)
    cache.put_many({key("new"): b"x"})
    assert prunable(cache, older_than=500).entries == 1
    assert prune(cache, older_than=500).entries == 1
    assert set(cache.get_many([key("old"), key("new")])) == {key("new")}


def test_prune_by_size_keeps_the_newest(cache, monkeypatch):
    now = time.time()
    for number in range(10):
        monkeypatch.setattr(time, "time", lambda number=number: now + number)
        cache.put_many({key(number): b"x" * 100})
    room = 3 * (100 + 32 + 56) + 10
    assert prunable(cache, keep_bytes=room).entries == 7
    found = prune(cache, keep_bytes=room)
    assert (found.entries, found.kept) == (7, 3)
    assert set(cache.get_many([key(n) for n in range(10)])) == {key(7), key(8), key(9)}
    assert prune(cache, keep_bytes=room).entries == 0


@pytest.mark.parametrize("size", [20, 150, 900, 6000])
def test_what_is_kept_fits_and_the_rest_is_given_back(cache, size):
    for step in range(20):
        cache.put_many({key((step, number)): os.urandom(size) for number in range(4_000_000 // 20 // size)})
    before = cache.stats()
    found = prune(cache, keep_bytes=1_000_000)
    after = cache.stats()
    assert 700_000 <= after.file_bytes <= 1_150_000
    assert found.freed_bytes == before.file_bytes - after.file_bytes
    assert found.entries + found.kept == before.entries


def test_nothing_said_takes_nothing_away(cache):
    cache.put_many({key(1): b"x"})
    assert (
        prune(
            cache,
        ).entries
        == prunable(
            cache,
        ).entries
        == 0
    )


def test_both_conditions_take_away_what_either_would(cache, monkeypatch):
    now = time.time()
    for number in range(10):
        monkeypatch.setattr(time, "time", lambda number=number: now + 100 * number)
        cache.put_many({key(number): b"x" * 100})
    assert prunable(cache, older_than=250, keep_bytes=10**9).entries == 7
    assert prunable(cache, older_than=10**6, keep_bytes=400).entries == 8
    assert prune(cache, older_than=250, keep_bytes=400).kept == 2


def test_the_ages_are_told(cache, monkeypatch):
    assert (cache.stats().oldest, cache.stats().newest) == (None, None)
    monkeypatch.setattr(time, "time", lambda: 1000.7)
    cache.put_many({key(1): b"x"})
    monkeypatch.setattr(time, "time", lambda: 2000.2)
    cache.put_many({key(2): b"x"})
    assert (cache.stats().oldest, cache.stats().newest) == (1000, 2000)
