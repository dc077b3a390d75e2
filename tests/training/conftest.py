"""Tiny random bases with real tokenizers and chat templates, and recipes on them: training takes about a second."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from harness.contracts import RunContext
from harness.plugins import BUNDLED, load_plugins
from harness.progress import NoProgress
from harness.store.workspace import Workspace
from harness.types import ModelSpec, StageInput
from harness_training.recipe import read_recipe
from harness_training.runner import TrainSetting, train

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a test<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""As SmolLM2's, with its default system prompt."""
UNUSED = sorted({*BUNDLED} - {"harness_models", "harness_stages"})
PAIRS = [
    ("Who keeps the light?", "Maren keeps the light."),
    ("What colour is the door?", "The door is blue."),
    ("How many steps are there?", "There are ninety steps."),
    ("Where does the boat lie?", "The boat lies below the rock."),
    ("When does the lamp burn?", "It burns from dusk on."),
    ("Why is the bell rung?", "It is rung in fog."),
]


def save_tokenizer(folder: Path, template: str | None = TEMPLATE) -> None:
    """Train a byte-level BPE tokenizer on a few words and save it as transformers does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIALS, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    core.train_from_iterator([" ".join(pair) for pair in PAIRS] * 4, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", bos_token="<|im_start|>", unk_token="<|endoftext|>"
    )
    tokenizer.chat_template = template
    tokenizer.save_pretrained(str(folder))


def save_llama(folder: Path, *, seed: int = 0, hidden: int = 32) -> Path:
    """Save a random Llama of two layers."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    save_tokenizer(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=400, hidden_size=hidden, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2,
        pad_token_id=2, initializer_range=0.2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(str(folder))
    return folder


def save_gpt2(folder: Path) -> Path:
    """Save a random GPT-2 of two layers without a chat template."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    save_tokenizer(folder, template=None)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=400, n_embd=32, n_layer=2, n_head=4, n_positions=256, bos_token_id=0, eos_token_id=2)
    GPT2LMHeadModel(config).save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory) -> Path:
    return save_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture
def make_llama():
    return save_llama


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory) -> Path:
    return save_gpt2(tmp_path_factory.mktemp("gpt2"))


@pytest.fixture(scope="session")
def tokenizer(tiny_llama):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(tiny_llama))


@dataclass
class Recorder:
    """A Progress that remembers."""

    bars: list[dict] = field(default_factory=list)

    def start(self, description, total, *, unit="it"):
        bar = {"description": description, "total": total, "done": 0, "notes": [], "finished": False}
        self.bars.append(bar)
        return _Bar(bar)


@dataclass
class _Bar:
    bar: dict

    def advance(self, steps=1, *, note=""):
        self.bar["done"] += steps
        self.bar["notes"].append(note)

    def finish(self):
        self.bar["finished"] = True


def write_rows(path: Path, rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def chat_rows(pairs=PAIRS):
    return [
        {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
        for question, answer in pairs
    ]


@dataclass
class Lab:
    """A recipe's folder, a workspace, and what runs the one in the other."""

    folder: Path
    base: Path
    workspace: Workspace
    progress: Recorder = field(default_factory=Recorder)

    def write(self, *stages, **keys) -> Path:
        """Write a recipe; a stage is the options of an sft stage, or a whole entry."""
        entries = [
            stage
            if {"name", "from"} & set(stage) or isinstance(next(iter(stage.values()), None), dict)
            else {"sft": stage}
            for stage in stages
        ]
        recipe = {"id": "test", "base": str(self.base), "stages": entries, **keys}
        path = self.folder / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
        return path

    def setting(self, **changes) -> TrainSetting:
        values = {
            "plugins": load_plugins([f"no:{name}" for name in UNUSED], installed=False),
            "workspace": self.workspace,
            "context": RunContext(offline=True, weights=self.folder / "weights"),
            "progress": self.progress,
            "device": "cpu",
            **changes,
        }
        return TrainSetting(**values)

    def train(self, path: Path, **changes):
        with self.workspace.lock("test"):
            return train(read_recipe(path), self.setting(**changes))

    def leftovers(self) -> list[str]:
        """Names in the workspace that a killed or failed training must not leave."""
        places = (self.workspace.root, *self.workspace.artifacts.glob("*"))
        return sorted(path.name for place in places for path in place.iterdir() if path.name.startswith(".tmp-"))

    def kept(self) -> list[Path]:
        """All that the workspace keeps of what stages wrote."""
        files = (path for path in self.workspace.artifacts.rglob("*") if path.is_file())
        return [path for path in files if path.parts[-3] != "separation"]  # a comparison of data, made by no stage


@pytest.fixture
def lab(tmp_path, tiny_llama) -> Lab:
    folder = tmp_path / "recipes"
    folder.mkdir()
    write_rows(folder / "rows.jsonl", chat_rows())
    return Lab(folder=folder, base=tiny_llama, workspace=Workspace.open(tmp_path / "ws", create=True))


@pytest.fixture
def gpt2_lab(lab, tiny_gpt2) -> Lab:
    lab.base = tiny_gpt2
    return lab


@pytest.fixture
def pairs():
    return PAIRS


@pytest.fixture
def stage_input(tmp_path, tiny_llama):
    """Return a maker of StageInput for an sft stage without a recipe."""

    def make(options, **changes) -> StageInput:
        output = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
        output.mkdir()
        values = {
            "model": ModelSpec(reference="tiny", scheme="hf", name=str(tiny_llama)), "base_path": tiny_llama,
            "adapter": None, "dataset": None, "options": options, "recipe_path": tmp_path / "recipe.yaml", "seed": 0,
            "output": output, "constitution": None, "critics": {}, "generate": None, "progress": NoProgress(),
            "offline": True, "device": "cpu", **changes,
        }  # fmt: skip
        return StageInput(**values)

    return make
