"""The chain: what JSON can carry hashes the same for ever, and any change is named."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import EXIT_BROKEN, BrokenRunError, InputError
from harness.store.ledger import GENESIS, Ledger, entry_hash

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.db") as opened:
        yield opened


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_any_body_is_kept_and_verifies(ledger, body):
    entry = ledger.append("run", body)
    assert entry.body == json.loads(json.dumps(body))
    assert ledger.last() == entry
    assert ledger.verify().head == entry.hash


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(), VALUES, max_size=5), st.randoms())
def test_the_hash_depends_on_content_not_on_order(body, random):
    pairs = list(body.items())
    random.shuffle(pairs)
    assert entry_hash(1, "now", "run", body, GENESIS) == entry_hash(1, "now", "run", dict(pairs), GENESIS)
    changed = {**body, "another": 1}
    assert (changed == body) == (
        entry_hash(1, "now", "run", changed, GENESIS) == entry_hash(1, "now", "run", body, GENESIS)
    )


def test_the_hash_is_pinned():
    """A ledger of today must verify for ever: the way of hashing may never change."""
    digest = entry_hash(2, "2026-11-20T06:40:48.000000+00:00", "promotion", {"b": 1.5, "a": ["ü", None]}, "0" * 64)
    assert digest == "cd6e4cccfb79e2a7418fd31473ad05111250903496e9b276959fb0842d39ecdf"


@pytest.mark.parametrize("body", [{"x": float("nan")}, {"x": float("inf")}, {"x": {1, 2}}])
def test_what_json_cannot_carry_is_refused(ledger, body):
    with pytest.raises((ValueError, TypeError)):
        ledger.append("run", body)
    assert ledger.entries() == ()


def test_an_empty_ledger_verifies(ledger):
    assert ledger.head() == GENESIS
    assert ledger.verify().entries == 0


def fill(ledger: Ledger, count: int = 5) -> list[str]:
    return [ledger.append("run" if number % 2 else "decision", {"n": number}).hash for number in range(1, count + 1)]


def test_kinds_can_be_asked_for(ledger):
    fill(ledger)
    assert [entry.number for entry in ledger.entries("decision")] == [2, 4]
    assert ledger.last("run").number == 5
    assert ledger.last("promotion") is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET body = '{}' WHERE number = 2",
        "DELETE FROM entries WHERE number = 5",
        "DELETE FROM entries",
        "INSERT OR REPLACE INTO entries VALUES (2, 'now', 'run', '{}', 'x', 'y')",
        "INSERT INTO entries VALUES (7, 'now', 'run', '{}', 'x', 'y')",
        "INSERT INTO entries VALUES (6, 'now', 'run', '{}', 'x', 'y')",
    ],
)
def test_the_database_itself_refuses_changes(ledger, statement):
    fill(ledger)
    other = sqlite3.connect(ledger.path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        other.execute(statement)
    other.close()
    ledger.verify()


def tamper(ledger: Ledger, *statements: str) -> None:
    other = sqlite3.connect(ledger.path)
    for trigger in ("entries_no_update", "entries_no_delete", "entries_in_order"):
        other.execute(f"DROP TRIGGER {trigger}")
    for statement in statements:
        other.execute(statement)
    other.commit()
    other.close()


@pytest.mark.parametrize(
    ("statement", "row", "why"),
    [
        ("UPDATE entries SET body = '{\"n\": 99}' WHERE number = 3", 3, "content"),
        ("UPDATE entries SET body = 'no json' WHERE number = 3", 3, "not JSON"),
        ("UPDATE entries SET body = '{\"n\": NaN}' WHERE number = 3", 3, "content"),
        ("UPDATE entries SET created = 'then' WHERE number = 2", 2, "content"),
        ("UPDATE entries SET kind = 'promotion' WHERE number = 1", 1, "content"),
        ("UPDATE entries SET hash = 'x' WHERE number = 4", 4, "content"),
        ("UPDATE entries SET previous = 'x' WHERE number = 4", 4, "the row before"),
        ("DELETE FROM entries WHERE number = 3", 3, "number is 4"),
        ("DELETE FROM entries WHERE number = 1", 1, "number is 2"),
        ("UPDATE entries SET number = 9 WHERE number = 5", 5, "number is 9"),
        ("UPDATE entries SET created = 5 WHERE number = 5", 5, "content"),
        ("UPDATE entries SET body = CAST(x'7bff7d' AS TEXT) WHERE number = 3", 3, "not JSON"),
        ("UPDATE entries SET body = x'7b7d' WHERE number = 3", 3, "content"),
        ("UPDATE entries SET kind = CAST(x'ff' AS TEXT) WHERE number = 3", 3, "content"),
        ("UPDATE entries SET body = replace(hex(zeroblob(90000)), '00', '[') WHERE number = 3", 3, "not JSON"),
        ('UPDATE entries SET body = \'{"n": 99, "n": 3}\' WHERE number = 3', 3, "not written as"),
    ],
)
def test_verify_names_the_first_bad_row(ledger, statement, row, why):
    fill(ledger)
    tamper(ledger, statement)
    with pytest.raises(BrokenRunError, match=f"row {row} of the ledger is bad: .*{why}") as caught:
        ledger.verify()
    assert caught.value.exit_code == EXIT_BROKEN


def test_nobody_acts_on_a_row_that_is_not_what_was_appended(ledger):
    fill(ledger)
    tamper(ledger, "UPDATE entries SET body = '{\"n\": 99}' WHERE number = 3")
    assert ledger.last().number == 5
    assert ledger.entries("decision")
    for read in (ledger.entries, lambda: ledger.entries("run")):
        with pytest.raises(BrokenRunError, match="row 3 of the ledger is bad: its content"):
            read()


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (["CREATE TABLE notes (text)"], "no ledger .*'notes'"),
        (["CREATE TABLE entries (key, value)", "PRAGMA user_version = 1"], "no ledger .*'entries'"),
        (["CREATE TABLE entries (key, value)"], "no ledger"),
        (["PRAGMA user_version = 1"], "no ledger .*no table of entries"),
        (["PRAGMA user_version = 2"], "newer version of harness"),
    ],
)
def test_a_database_of_something_else_is_refused_and_left_as_it_is(tmp_path, statements, words):
    path = tmp_path / "ledger.db"
    other = sqlite3.connect(path)
    for statement in statements:
        other.execute(statement)
    other.commit()
    tables = other.execute("SELECT sql FROM sqlite_master").fetchall()
    with pytest.raises(BrokenRunError, match=words):
        Ledger(path)
    assert other.execute("SELECT sql FROM sqlite_master").fetchall() == tables
    other.close()


def test_a_ledger_that_was_killed_while_it_was_made_is_finished(tmp_path):
    with Ledger(tmp_path / "ledger.db") as ledger:
        ledger._connection.execute("PRAGMA user_version = 0")
    with Ledger(tmp_path / "ledger.db") as ledger:
        ledger.append("run", {})
        assert ledger.verify().entries == 1


def test_a_head_finds_a_chain_that_was_cut(ledger):
    hashes = fill(ledger)
    for head in (hashes[4], hashes[2], hashes[4][:8], hashes[0].upper()):
        assert ledger.verify(head).entries == 5
    tamper(ledger, "DELETE FROM entries WHERE number > 3")
    assert ledger.verify().entries == 3
    with pytest.raises(BrokenRunError, match="cut short or built anew"):
        ledger.verify(hashes[4])


def test_the_zero_hash_is_the_head_of_an_empty_ledger_alone(ledger):
    assert ledger.verify(GENESIS).head == GENESIS
    with pytest.raises(BrokenRunError, match="the chain of 0 rows holds no row with the hash"):
        ledger.verify("9f2c1a7b")
    fill(ledger)
    for head in (GENESIS, "0" * 8):
        with pytest.raises(BrokenRunError, match="holds no row with the hash"):
            ledger.verify(head)


def test_a_head_finds_a_chain_that_was_rebuilt(tmp_path, ledger):
    head = fill(ledger)[-1]
    with Ledger(tmp_path / "other.db") as rebuilt:
        fill(rebuilt)
        assert rebuilt.verify().entries == 5
        with pytest.raises(BrokenRunError, match="built anew"):
            rebuilt.verify(head)


@pytest.mark.parametrize("head", ["", "abc", "9f2c1a7", "not-a-hash", "0" * 65])
def test_a_head_must_be_a_hash(ledger, head):
    with pytest.raises(InputError, match="not a head"):
        ledger.verify(head)


def test_a_transaction_is_all_or_nothing(ledger):
    def work():
        with ledger.transaction():
            ledger.append("run", {"n": 1})
            ledger.append("run", {"n": 2})
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        work()
    assert ledger.entries() == ()
    with ledger.transaction(), ledger.transaction():
        ledger.append("run", {})
    assert len(ledger.entries()) == 1


def test_several_writers_make_one_chain(ledger):
    def work():
        with Ledger(ledger.path) as own:
            for number in range(10):
                own.append("run", {"n": number})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.verify().entries == 40


def test_a_damaged_file_is_one_sentence(tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"no database " * 400)
    with pytest.raises(BrokenRunError, match="damaged"):
        Ledger(tmp_path / "ledger.db")


def test_a_full_disk_leaves_the_chain_as_it_was(ledger):
    fill(ledger)
    code = f"""
import resource
from pathlib import Path
from harness.store.ledger import Ledger
ledger = Ledger(Path({str(ledger.path)!r}))
size = ledger.path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5000, size + 5000))
try:
    ledger.append("run", {{"x": "y" * 100000}})
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("BrokenRunError"), done
    assert ledger.verify().entries == 5
    ledger.append("run", {})
    assert ledger.verify().entries == 6


def test_the_file_alone_holds_every_row_also_while_it_is_open(tmp_path, ledger):
    fill(ledger)
    shutil.copy(ledger.path, tmp_path / "copy.db")
    assert [path.name for path in ledger.path.parent.glob("ledger.db-*")] == []
    with Ledger(tmp_path / "copy.db") as copy:
        assert copy.verify() == ledger.verify()


def test_a_ledger_of_an_earlier_version_is_taken_out_of_its_write_ahead_log(tmp_path, ledger):
    fill(ledger)
    ledger.close()
    other = sqlite3.connect(ledger.path, isolation_level=None)
    assert other.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
    other.close()
    with Ledger(ledger.path) as again:
        again.append("run", {"last": True})
        shutil.copy(ledger.path, tmp_path / "copy.db")
    with Ledger(tmp_path / "copy.db") as copy:
        assert copy.last().body == {"last": True}
