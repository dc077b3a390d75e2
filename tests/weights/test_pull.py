"""Fetching: whole or not at all, only the pinned bytes, and a clear sentence for each way it can fail."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import BrokenRunError, InputError
from harness.weights import catalog, is_present, weights_hash, weights_path
from harness.weights.catalog import HubSource, WheelSource, _checked
from harness_start import fetching, pulling
from harness_start.pulling import pull, remove
from tests.weights.conftest import FILES, Index, pin


def leftovers(store: Path) -> list[str]:
    return [str(path) for path in (store / ".partial").rglob("*") if path.is_file()]


def test_folders_that_pip_removes_meanwhile_end_no_pull(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("kept", "removed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").write_bytes(b"12345")
    scan = os.scandir

    def scanning(place: str | Path) -> Iterator[os.DirEntry[str]]:
        if Path(place).name == "removed":
            raise FileNotFoundError(place)
        return scan(place)

    monkeypatch.setattr(os, "scandir", scanning)
    assert fetching._bytes_in(tmp_path) == 5


def test_a_pull_brings_the_pinned_files_and_leaves_nothing_else(index: Index, tmp_path: Path) -> None:
    entry = index.add("w", index.upload("some-weights", FILES))
    assert not is_present("w")
    folder = pull("w")
    assert folder == tmp_path / "store" / "w"
    assert {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()} == FILES
    assert is_present("w")
    assert weights_path("w") == folder / "model.bin"
    assert weights_hash("w") == entry.content_hash
    assert leftovers(tmp_path / "store") == []
    assert "some_weights" not in sys.modules


def test_what_is_here_is_not_fetched_again_and_needs_no_network(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    index.add("w", index.upload("some-weights", FILES))
    pull("w")
    shutil.rmtree(index.folder)
    assert pull("w", offline=True).is_dir()


def test_offline_says_what_to_run_instead(index: Index) -> None:
    index.add("w", index.upload("some-weights", FILES))
    with pytest.raises(InputError, match=r"offline.*harness models pull w"):
        pull("w", offline=True)


def test_a_wheel_for_another_python_is_good_enough(index: Index) -> None:
    index.add("w", index.upload("some-weights", FILES, python=">=3.99"))
    assert pull("w").is_dir()


def test_a_vanished_upload_is_named_with_what_to_do(index: Index) -> None:
    source = index.upload("some-weights", FILES)
    index.add("w", source)
    for file in index.folder.iterdir():
        file.unlink()
    with pytest.raises(InputError, match=r"does not offer some-weights 1\.0.*gone for good, copy them by hand"):
        pull("w")


def test_the_next_source_is_tried(index: Index) -> None:
    gone = WheelSource(package="no-such-weights", version="1.0", wheel=pin(b"x"), members={})
    index.add("w", gone, index.upload("some-weights", FILES))
    assert pull("w").is_dir()


def test_other_bytes_under_the_same_version_are_refused(index: Index, tmp_path: Path) -> None:
    source = index.upload("some-weights", FILES)
    index.add("w", source)
    index.upload("some-weights", {**FILES, "model.bin": b"evil"})
    with pytest.raises(InputError, match="other bytes under this version"):
        pull("w")
    assert not is_present("w")


def test_a_file_with_another_hash_is_refused_though_the_wheel_is_right(index: Index, tmp_path: Path) -> None:
    index.add("w", index.upload("some-weights", FILES), files={**FILES, "model.bin": b"another " * 1000})
    with pytest.raises(InputError, match=r"model\.bin has other bytes"):
        pull("w")
    assert not (tmp_path / "store" / "w").exists()


def test_a_member_that_is_absent_is_one_sentence(index: Index) -> None:
    source = index.upload("some-weights", {"model.bin": FILES["model.bin"]})
    members = {path: f"some_weights/data/{path}" for path in FILES}
    index.add("w", WheelSource(package=source.package, version="1.0", wheel=source.wheel, members=members))
    with pytest.raises(InputError, match="cannot be unpacked"):
        pull("w")


def test_a_licence_has_to_be_accepted(index: Index) -> None:
    index.add("w", index.upload("some-weights", FILES), opt_in="it limits use")
    with pytest.raises(InputError, match=r"it limits use.*--accept-licence"):
        pull("w")
    assert pull("w", accept_licence=True).is_dir()


def test_an_interrupted_pull_goes_on_with_what_it_has(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add("w", index.upload("some-weights", FILES))
    real = fetching._copy_member

    def interrupted(archive: zipfile.ZipFile, member: str, target: Path, pinned: object) -> None:
        if member.endswith("config.json"):
            raise KeyboardInterrupt
        real(archive, member, target, pinned)

    monkeypatch.setattr(fetching, "_copy_member", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pull("w")
    assert not is_present("w")
    shutil.rmtree(index.folder)  # the second pull needs no index: the wheel is kept
    copied = []
    monkeypatch.setattr(fetching, "_copy_member", lambda a, m, t, p: copied.append(m) or real(a, m, t, p))
    assert pull("w").is_dir()
    assert copied == ["some_weights/data/sub/config.json"]
    assert leftovers(tmp_path / "store") == []


def test_a_half_downloaded_wheel_is_not_trusted(index: Index, tmp_path: Path) -> None:
    index.add("w", index.upload("some-weights", FILES))
    kept = tmp_path / "store" / ".partial" / "w" / "wheel.whl"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"half")
    assert pull("w").is_dir()


def test_a_damaged_store_is_noticed_and_mended(index: Index) -> None:
    index.add("w", index.upload("some-weights", FILES))
    folder = pull("w")
    (folder / "model.bin").write_bytes(b"short")
    assert not is_present("w")
    with pytest.raises(InputError, match=r"damaged: model\.bin has 5 bytes.*harness models pull w"):
        weights_path("w")
    pull("w")
    assert (folder / "model.bin").read_bytes() == FILES["model.bin"]


def test_same_size_other_bytes_are_found_by_the_hash(index: Index) -> None:
    index.add("w", index.upload("some-weights", FILES))
    file = weights_path("w") if is_present("w") else pull("w") / "model.bin"
    file.write_bytes(FILES["model.bin"][:-1] + b"!")
    with pytest.raises(InputError, match=r"not the file that the catalog pins for w.*models rm w"):
        weights_hash("w")


def test_two_pulls_at_once_fetch_once(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    index.add("w", index.upload("some-weights", FILES))
    fetched = []
    real = pulling.fetch
    monkeypatch.setattr(pulling, "fetch", lambda *args: fetched.append(1) or real(*args))
    results: list[Path] = []
    threads = [threading.Thread(target=lambda: results.append(pull("w"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert len(fetched) == 1


def _pull_elsewhere(entry: object, queue: object) -> None:
    pulling.catalog_entry = lambda name: entry
    from harness.weights import store

    store.catalog_entry = lambda name: entry
    queue.put(str(pull("w")))


def test_two_processes_may_pull_at_once(index: Index) -> None:
    entry = index.add("w", index.upload("some-weights", FILES))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=_pull_elsewhere, args=(entry, queue)) for _ in range(2)]
    for process in processes:
        process.start()
    assert len({queue.get(timeout=60) for _ in processes}) == 1
    for process in processes:
        process.join()
        assert process.exitcode == 0


def test_too_little_space_is_said_before_anything_is_fetched(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    index.add("w", index.upload("some-weights", FILES))
    usage = type("usage", (), {"free": 100})
    monkeypatch.setattr(pulling.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match="HARNESS_WEIGHTS"):
        pull("w")


def test_a_disk_that_fills_up_is_one_sentence(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    index.add("w", index.upload("some-weights", FILES))

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fetching, "_copy_member", full)
    with pytest.raises(BrokenRunError, match=r"No space left on device.*HARNESS_WEIGHTS"):
        pull("w")


def test_without_pip_the_next_step_is_named(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    index.add("w", index.upload("some-weights", FILES))
    real = fetching.importlib.util.find_spec
    monkeypatch.setattr(fetching.importlib.util, "find_spec", lambda name: None if name == "pip" else real(name))
    with pytest.raises(InputError, match="ensurepip"):
        pull("w")


def test_the_hub_is_a_source_like_any_other(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    source = HubSource(repo="org/name", revision="abc", members={path: path for path in FILES})
    index.add("w", source)
    served = dict(FILES)

    def download(repo: str, filename: str, *, revision: str, local_dir: Path, etag_timeout: int) -> str:
        assert (repo, revision) == ("org/name", "abc")
        file = Path(local_dir) / filename
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(served[filename])
        return str(file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    served["model.bin"] = b"other"
    with pytest.raises(InputError, match=r"org/name on the model hub: model\.bin has other bytes"):
        pull("w")
    served["model.bin"] = FILES["model.bin"]
    assert pull("w").is_dir()


def test_a_hub_that_cannot_be_reached_is_one_clause(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def offline(*args: object, **given: object) -> str:
        raise ConnectionError("Max retries exceeded\nwith url …")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    index.add("w", HubSource(repo="org/name", revision="abc", members={path: path for path in FILES}))
    with pytest.raises(InputError, match=r"no source could give w \(org/name on the model hub: Max retries exceeded\)"):
        pull("w")


def test_progress_tells_megabytes_and_every_bar_is_closed(index: Index) -> None:
    class Task:
        done, finished = 0, False

        def advance(self, steps: int = 1, *, note: str = "") -> None:
            self.done += steps

        def finish(self) -> None:
            self.finished = True

    class Bars:
        tasks: list[Task] = []  # noqa: RUF012

        def start(self, description: str, total: int | None, *, unit: str = "it") -> Task:
            assert unit == "MB"
            self.tasks.append(Task())
            return self.tasks[-1]

    big = {"model.bin": bytes(3_000_000)}
    index.add("w", index.upload("some-weights", big), files=big)
    pull("w", Bars())
    assert [task.finished for task in Bars.tasks] == [True]
    assert Bars.tasks[0].done <= 3


def test_removing_frees_the_space(index: Index) -> None:
    index.add("w", index.upload("some-weights", FILES))
    pull("w")
    assert remove("w") == sum(map(len, FILES.values()))
    assert not is_present("w")
    assert remove("w") == 0


def test_the_shipped_catalog_is_whole() -> None:
    assert {"smollm2-135m", "minilm", "spacy-en-md", "prompt-guard-2-22m"} <= set(catalog())
    for entry in catalog().values():
        assert entry.licence
        assert entry.otherwise
        assert entry.main is None or entry.main in entry.files
        assert entry.sources
        for source in entry.sources:
            assert set(source.members) == set(entry.files)
        assert all(len(found.sha256) == 64 and found.size > 0 for found in entry.files.values())
    assert catalog()["prompt-guard-2-22m"].opt_in


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../b", "a\\b", ""])
def test_a_path_that_leaves_the_store_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="unsafe"):
        _checked(path)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'smollm2-135m'"):
        pull("smollm2")
