"""The heavy half of the `tokenizer` stage."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from transformers import Trainer, TrainingArguments, set_seed

from harness.api import InputError, StageInput, StageOutput, asking_no_hub
from harness.api.weights import HEAD_ROWS, ROWS, Vocabulary, extend
from harness_stages.fitting import Measured, common_arguments, fit, on_one_device, quiet_libraries
from harness_stages.loading import add_lora, choose_where, load_base, load_tokenizer
from harness_stages.pretraining.mining import Term, mine
from harness_stages.pretraining.texts import pack
from harness_stages.saving import save_adapter, write_whole
from harness_stages.watcher import Watcher

if TYPE_CHECKING:
    from harness_stages.pretraining.vocabulary import VocabularyPlan

_KINDS = ("technical", "code", "entity")


def train(inputs: StageInput, plan: VocabularyPlan) -> StageOutput:
    """Train as planned; see `VocabularyStage.run`."""
    options = plan.options
    where = choose_where(inputs, options)
    measured = Measured(inputs, where.device)
    with quiet_libraries(), asking_no_hub():
        tokenizer = load_tokenizer(inputs.base_path)
        before = _per_word(tokenizer, plan.texts.held_out)
        terms, vocabulary = _vocabulary(tokenizer, plan)
        set_seed(inputs.seed)
        model = load_base(inputs.base_path, where, quantise=options.quantise)
        extend(model, tokenizer, vocabulary)
        learned, held = (
            pack([_ids(tokenizer, text) for text in texts], options.context, tokenizer.eos_token_id)
            for texts in (plan.texts.learned, plan.texts.held_out)
        )
        new = list(range(vocabulary.first, vocabulary.first + len(vocabulary.tokens)))
        places = _places(model)
        peft_model = add_lora(
            model, options, error_at=plan.error_at, task="CAUSAL_LM",
            more={"trainable_token_indices": dict.fromkeys(places, new)},
        )  # fmt: skip
        measured.begin(int(model.get_input_embeddings().weight.shape[1]))
        first = _loss(peft_model, held, options.batch_size)
        watcher = Watcher(inputs.progress, "tokenizer", where.device)
        with tempfile.TemporaryDirectory(dir=inputs.output, prefix="trainer-") as scratch:
            trainer = Trainer(
                model=peft_model, callbacks=[watcher],
                args=on_one_device(
                    TrainingArguments(**common_arguments(options, inputs, Path(scratch), where.device)), where.device
                ),
                train_dataset=Dataset.from_dict({"input_ids": learned, "labels": learned}),
            )  # fmt: skip
            fit(trainer, watcher, options, where.device, inputs=inputs)
        taken = measured.figures()
        last = _loss(peft_model, held, options.batch_size)
        rows = _rows(peft_model, places)
        folder = _save(peft_model, inputs, vocabulary, rows)
    figures = {
        "new_tokens": float(len(vocabulary.tokens)), "control_tokens": float(vocabulary.control),
        **{f"{kind}_terms": float(sum(term.kind == kind for term in terms)) for kind in _KINDS},
        "tokens_per_word_before": before, "tokens_per_word": _per_word(tokenizer, plan.texts.held_out),
        "bad_rows": float(plan.texts.bad_rows), **taken, **watcher.figures(),
        "validation_loss_first": first, "validation_loss": last,
        "adapter_bytes": float(sum(path.stat().st_size for path in folder.iterdir())),
    }  # fmt: skip
    note = "; ".join(filter(None, (plan.texts.note, watcher.note)))
    return StageOutput(adapter=folder, figures=figures, curves=watcher.curves(), note=note)


def _vocabulary(tokenizer: Any, plan: VocabularyPlan) -> tuple[list[Term], Vocabulary]:  # noqa: ANN401
    options = plan.options
    known = tokenizer.get_vocab()
    twice = next((token for token in options.control if token in known), None)
    if twice is not None:
        raise InputError(f"the base has {twice!r} already", **plan.error_at("control"), hint="leave it out")
    most = {"technical": options.technical, "code": options.code, "entity": options.entities}
    terms = mine(plan.texts.learned, lambda text: _ids(tokenizer, text), most=most, least=options.least)
    if not terms and not options.control:
        raise InputError("the corpus has no terms that the base spells out", **plan.error_at("least"),
                         hint="lower least, or add text")  # fmt: skip
    tokens = (*options.control, *dict.fromkeys(term.text for term in terms))
    return terms, Vocabulary(first=len(tokenizer), tokens=tokens, control=len(options.control))


def _ids(tokenizer: Any, text: str) -> list[int]:  # noqa: ANN401
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _per_word(tokenizer: Any, texts: tuple[str, ...]) -> float:  # noqa: ANN401
    return sum(len(_ids(tokenizer, text)) for text in texts) / max(1, sum(len(text.split()) for text in texts))


def _places(model: Any) -> dict[str, str]:  # noqa: ANN401
    """Return the names of the modules that hold a row per token, with what their rows are called."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    tied = embedding.weight.data_ptr() == head.weight.data_ptr()
    names = {id(module): name for name, module in model.named_modules()}
    found = {names[id(embedding)]: ROWS}
    return found if tied else found | {names[id(head)]: HEAD_ROWS}


def _rows(model: Any, places: Mapping[str, str]) -> dict[str, torch.Tensor]:  # noqa: ANN401
    base = model.get_base_model()
    return {
        called: base.get_submodule(name).token_adapter.trainable_tokens_delta["default"].detach().float().cpu()
        for name, called in places.items()
    }


def _save(model: Any, inputs: StageInput, vocabulary: Vocabulary, rows: Mapping[str, torch.Tensor]) -> Path:  # noqa: ANN401
    """Write the pairs as a plain adapter, and the tokens with their rows beside them in the same two files."""
    import json

    from safetensors.torch import load_file, save_file

    folder = save_adapter(model, inputs)
    config, weights = folder / "adapter_config.json", folder / "adapter_model.safetensors"
    content = json.loads(config.read_text("utf-8")) | {"trainable_token_indices": None}
    config.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", "utf-8")
    pairs = {name: tensor for name, tensor in load_file(str(weights)).items() if "token_adapter" not in name}
    save_file(pairs, str(weights), metadata={"format": "pt"})
    write_whole(folder, vocabulary, rows)
    return folder


def _loss(model: Any, blocks: list[list[int]], batch_size: int) -> float:  # noqa: ANN401
    """Return the mean loss of at most 64 held-out rows, in nats per token."""
    training, device = model.training, next(model.parameters()).device
    model.eval()
    total = count = 0.0
    try:
        with torch.no_grad():
            for start in range(0, min(64, len(blocks)), batch_size):
                ids = torch.tensor(blocks[start : start + batch_size], device=device)
                total += float(model(input_ids=ids, labels=ids).loss) * ids[:, 1:].numel()
                count += ids[:, 1:].numel()
    finally:
        model.train(training)
    return total / max(count, 1.0)
