"""Any file of the workspace may be mangled: then `ledger verify --deep` says so, or no verdict is another than before."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import HarnessError
from tests.promotion.lived_in import complaints, live_in, verdicts


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("lived-in") / "ws"
    live_in(root)
    return root


def flip(data: bytes, chance: random.Random, _: bytes) -> bytes:
    place = chance.randrange(len(data) * 8)
    return data[: place // 8] + bytes([data[place // 8] ^ (1 << place % 8)]) + data[place // 8 + 1 :]


def cut(data: bytes, chance: random.Random, _: bytes) -> bytes:
    return data[: chance.randrange(len(data))]


def blank(data: bytes, chance: random.Random, _: bytes) -> bytes:
    begin = chance.randrange(len(data))
    end = min(len(data), begin + chance.randrange(1, 4096))
    return data[:begin] + bytes(end - begin) + data[end:]


def lengthen(data: bytes, chance: random.Random, _: bytes) -> bytes:
    return data + chance.randbytes(chance.randrange(1, 4096))


def other(_: bytes, __: random.Random, another: bytes) -> bytes:
    return another


MANGLERS: tuple[Callable[[bytes, random.Random, bytes], bytes], ...] = (flip, cut, blank, lengthen, other)


def mangle(root: Path, chance: random.Random) -> str:
    """Damage or delete one file, and say how."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.stat().st_size)
    path, another = chance.choice(files), chance.choice(files)
    if chance.random() < 0.1:
        path.unlink()
        return f"{path.relative_to(root)} deleted"
    mangler = chance.choice(MANGLERS)
    path.write_bytes(mangler(path.read_bytes(), chance, another.read_bytes()))
    return f"{path.relative_to(root)} {mangler.__name__} ({another.relative_to(root)})"


def fuzz(origin: Path, tmp_path: Path, seed: int, times: int) -> int:
    """Mangle a copy again and again; return how many times the mangling was noticed."""
    chance, before, noticed = random.Random(seed), verdicts(origin), 0
    for tried in range(1, times + 1):
        root = shutil.copytree(origin, tmp_path / "ws")
        how = f"seed {seed}, try {tried}: {mangle(root, chance)}"
        found = complaints(root)
        if found:
            noticed += 1
        else:
            try:
                after: object = verdicts(root)
            except HarnessError as error:
                after = str(error)
            assert after == before, how
        shutil.rmtree(root)
    return noticed


def test_mangled_files_change_no_verdict_unseen(origin, tmp_path):
    assert fuzz(origin, tmp_path, 1, 80) > 5


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_thousands_of_mangled_files_change_no_verdict_unseen(origin, tmp_path, seed):
    assert fuzz(origin, tmp_path, seed, 600) > 50
