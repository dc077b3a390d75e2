"""Every option of every bundled stage stands in the documentation, and the pages name no option that there is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness_revision.constitutional import ConstitutionalOptions
from harness_revision.pairs import PairsOptions
from harness_revision.preferences import PreferencesOptions
from harness_stages.collapse import StopIf
from harness_stages.dpo import DPOOptions
from harness_stages.exporting.stages import ExportOptions, MergeOptions
from harness_stages.interpolating import InterpolateOptions
from harness_stages.pretraining.bpe import BPEOptions
from harness_stages.pretraining.stage import PretrainOptions
from harness_stages.pretraining.vocabulary import VocabularyOptions
from harness_stages.reward import RewardOptions
from harness_stages.rlaif import RLAIFOptions
from harness_stages.sft_options import SFTOptions

DOCS = Path(__file__).parents[2] / "docs"
NAMED = set(re.findall(r"`([a-z_]+)`", (DOCS / "training.md").read_text() + (DOCS / "revision.md").read_text()))
TRAINING = (DOCS / "training.md").read_text()


@pytest.mark.parametrize("options", [
    SFTOptions, DPOOptions, RewardOptions, RLAIFOptions, BPEOptions, PretrainOptions, VocabularyOptions, MergeOptions,
    ExportOptions, ConstitutionalOptions, PreferencesOptions, PairsOptions, InterpolateOptions,
    StopIf,
])  # fmt: skip
def test_each_option_is_documented(options) -> None:
    assert set(options.model_fields) - NAMED == set()


def test_the_table_of_sft_has_its_defaults() -> None:
    rows = re.findall(
        r"^\| (`[^|]+) \| ([^|]+) \|", TRAINING.split("## The stage `sft`")[1].split("### Data")[0], re.MULTILINE
    )
    told = {}
    for names, values in rows:
        keys = re.findall(r"`([a-z_]+)`", names)
        parts = [part.strip().strip("`") for part in values.split(",")]
        told |= dict(zip(keys, parts if len(parts) == len(keys) else parts * len(keys), strict=False))
    unknown = set(told) - set(SFTOptions.model_fields)
    assert unknown == set()
    numbers = {key: float(value) for key, value in told.items() if re.fullmatch(r"[\d.e-]+", value)}
    assert {key: SFTOptions.model_fields[key].default for key in numbers} == numbers
    assert len(numbers) > 10
