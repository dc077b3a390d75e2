"""Where stages' outcomes are kept: adapters/<id>/ and datasets/<id>/, each with the stage.json that it came from."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import BrokenRunError, HarnessError
from harness.hashing import sha256_file
from harness.serial import to_json
from harness.store.adapters import adapter_id, store_adapter
from harness.store.atomic import new_folder, sweep, write_file, write_into
from harness.training.records import RECORD_FILE, StageRecord, distinct, find_record, read_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.store.workspace import Workspace
    from harness.types import StageOutput

DATASET_FILE = "dataset.jsonl"


class StageStore:
    """The outcomes of stages in one workspace.

    Args:
        workspace: whose folders they lie in.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._datasets = workspace.root / "datasets"

    def adapter(self, identity: str) -> Path:
        """Return the folder of an adapter."""
        return self._workspace.adapters / identity

    def dataset(self, sha256: str) -> Path:
        """Return the file of a dataset."""
        return self._datasets / sha256[:16] / DATASET_FILE

    def planted(self, sha256: str) -> tuple[Mapping[str, Any], ...]:
        """Return what was planted in a dataset by the stages that led to it; nothing where none here wrote it."""
        record = read_record(self.dataset(sha256).parent)
        return record.planted if record is not None and record.dataset == sha256 else ()

    def find(self, key: str) -> tuple[StageRecord | None, str]:
        """Return the outcome of an equal stage, and a note where there was one that is no longer whole."""
        for folders in (self._workspace.adapters, self._datasets):
            found = find_record(folders, key)
            if found is not None:
                record, folder = found
                if self._whole(record):
                    return record, ""
                return None, f"{folder.name} is no longer what was stored and was not reused"
        return None, ""

    def threads(self, key: str) -> int | None:
        """Return with how many threads an equal stage was trained before; None where that is not known."""
        found = find_record(self._workspace.adapters, key)
        number = 0 if found is None else int(found[0].figures.get("threads", 0))
        return number or None

    def _whole(self, record: StageRecord) -> bool:
        try:
            if record.adapter is not None and adapter_id(self.adapter(record.adapter), fresh=True) != record.adapter:
                return False
            return record.dataset is None or sha256_file(self.dataset(record.dataset)) == record.dataset
        except (HarnessError, OSError):
            return False

    def keep(self, output: StageOutput, record: StageRecord) -> StageRecord:
        """Store what a stage wrote, whole or not at all, and return its finished record.

        Raises:
            BrokenRunError: where it wrote nothing, a figure is not finite, or the disk refuses.
            InputError: where its adapter is none.
        """
        figures = {name: float(value) for name, value in output.figures.items()}
        wrong = [name for name, value in figures.items() if not math.isfinite(value)]
        if wrong:
            raise BrokenRunError(f"the stage {record.stage} gave {wrong[0]} as {figures[wrong[0]]}; nothing was kept")
        if output.adapter is None and output.dataset is None:
            raise BrokenRunError(f"the stage {record.stage} wrote neither an adapter nor a dataset")
        record = replace(
            record, figures=figures, created=datetime.now(UTC).isoformat(timespec="seconds"),
            adapter=None if output.adapter is None else adapter_id(output.adapter, fresh=True),
            dataset=None if output.dataset is None else sha256_file(output.dataset),
            planted=distinct(record.planted, () if output.planted is None else (output.planted,)),
        )  # fmt: skip
        text = to_json(record, indent=2) + "\n"
        with self._workspace.lock():
            if output.dataset is not None and record.dataset is not None:
                self._keep_dataset(output.dataset, record.dataset, text)
            if output.adapter is not None and record.adapter is not None:
                self._keep_adapter(output.adapter, record.adapter, text)
        return record

    def _keep_adapter(self, folder: Path, identity: str, text: str) -> None:
        target = self.adapter(identity)
        if target.is_dir() and not self._is_adapter(target, identity):
            shutil.rmtree(
                target
            )  # its content has changed since it was stored; what was just trained is the same again
        (folder / RECORD_FILE).write_text(text, "utf-8")
        store_adapter(self._workspace, folder)
        write_file(target / RECORD_FILE, text)  # where another stage had led to the same adapter, the newest counts

    @staticmethod
    def _is_adapter(folder: Path, identity: str) -> bool:
        try:
            return adapter_id(folder, fresh=True) == identity
        except HarnessError:
            return False

    @staticmethod
    def _holds(file: Path, sha256: str) -> bool:
        return file.is_file() and sha256_file(file) == sha256

    def _keep_dataset(self, file: Path, sha256: str, text: str) -> None:
        target = self.dataset(sha256).parent
        self._datasets.mkdir(mode=0o700, exist_ok=True)
        sweep(self._datasets)
        if target.is_dir() and self._holds(target / DATASET_FILE, sha256):  # another command may be reading it
            write_file(target / RECORD_FILE, text)
            return
        if target.is_dir():
            shutil.rmtree(target)
        with new_folder(target) as temporary:
            write_into(temporary, DATASET_FILE, file.read_bytes())
            write_into(temporary, RECORD_FILE, text)
