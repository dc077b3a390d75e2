"""The heavy half of the `rlaif` stage."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset
from transformers import set_seed
from trl import GRPOConfig, GRPOTrainer

from harness.api import (
    Completion,
    Decoding,
    InputError,
    NotApplicable,
    Response,
    Sample,
    StageInput,
    StageOutput,
    TemplateRefusalError,
    Unscored,
    asking_no_hub,
    combine_verdicts,
    sha256_json,
)
from harness.api.weights import read_vocabulary
from harness_stages.fitting import Measured, common_arguments, fit, on_one_device, quiet_libraries
from harness_stages.loading import choose_where, load_lora, load_tokenizer
from harness_stages.monitors import StepMonitor
from harness_stages.reward_model import RewardModel, load_reward_model, read_settings
from harness_stages.saving import save_adapter
from harness_stages.served import Rollouts, make_renderer, make_rollouts
from harness_stages.watcher import Watcher

if TYPE_CHECKING:
    from harness_stages.prompts import PromptRow
    from harness_stages.rlaif import RLAIFPlan

Reward = Callable[..., list[float | None]]


class _Trainer(GRPOTrainer):  # type: ignore[misc]  # TRL is not typed
    """GRPO on prompts that are tokens already, encoded as at inference; a prompt is known by its number."""

    encoded: Sequence[list[int]]
    rollouts: Rollouts

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], images: object, multimodal_fields: object, num_generations: int,  # noqa: ARG002
        has_tool_images: bool = False,  # noqa: ARG002, FBT002
    ) -> tuple[list[list[int]], None]:  # fmt: skip
        """Answer by the engine; the signature is the trainer's. An answer depends on seed, step and prompt alone."""
        args, counted, draws = self.args, Counter[tuple[int, ...]](), []
        for ids in prompt_ids:
            draws.append(counted[tuple(ids)])
            counted[tuple(ids)] += 1
        seed = int(sha256_json([args.seed, self.state.global_step, args.process_index])[:12], 16)
        decoding = Decoding(
            max_new_tokens=args.max_completion_length, temperature=args.temperature, top_p=args.top_p, seed=seed
        )
        return [list(one.ids) for one in self.rollouts(prompt_ids, decoding, draws=draws)], None

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return [self.encoded[int(number)] for number in prompts], None, {}


def train_rlaif(inputs: StageInput, plan: RLAIFPlan) -> StageOutput:
    """Train as planned; see `RLAIFStage.run`."""
    options = plan.options
    where = choose_where(inputs, options)
    measured = Measured(inputs, where.device)
    with quiet_libraries(), asking_no_hub():
        tokenizer = load_tokenizer(inputs.base_path, inputs.adapter)
        encoded = _encoded(plan, tokenizer)
        set_seed(inputs.seed)
        model = load_lora(inputs, options, where, plan.error_at)
        measured.begin(model.get_input_embeddings().weight.shape[1])
        monitor = StepMonitor(options.stop_if)
        rewards: dict[str, tuple[Reward, float]] = {}
        temperature = 1.0
        if plan.reward is not None:
            if inputs.adapter is not None and read_vocabulary(inputs.adapter) is not None:
                raise InputError(
                    "the adapter brings tokens that the reward model does not know", **plan.error_at("reward"),
                    hint="merge the adapter, and train both on the merged model; or reward by a constitution alone",
                )  # fmt: skip
            temperature = max(1e-6, float(read_settings(plan.reward).get("temperature", 1.0)))
            judge = load_reward_model(
                plan.reward, inputs.base_path, device=where.device, pad=int(tokenizer.pad_token_id)
            )
            rewards["reward_model"] = (_by_model(judge, encoded), options.reward_weight)
        constitution = _Critics(inputs, plan)
        if plan.constitution:
            rewards["constitution"] = (constitution.reward, options.constitution_weight)
        length = _Length(options.length_target, monitor)
        rewards["length"] = (length.reward, options.length_weight)
        watcher = Watcher(
            inputs.progress, f"rlaif on {plan.data.name}", where.device,
            also={"reward": "reward", "reward_std": "reward_spread", "kl": "kl", "entropy": "entropy",
                  "completions/clipped_ratio": "cut_answers",
                  **{f"rewards/{name}/mean": f"reward_{name}" for name in rewards}},
        )  # fmt: skip
        with tempfile.TemporaryDirectory(dir=inputs.output, prefix="trainer-") as scratch:
            config = GRPOConfig(
                **common_arguments(options, inputs, Path(scratch), where.device), num_generations=options.samples,
                max_completion_length=options.max_new_tokens, temperature=options.temperature, top_p=options.top_p,
                top_k=0, beta=options.beta, loss_type=options.loss, scale_rewards=options.scale_rewards,
                reward_weights=[weight for _, weight in rewards.values()],
            )  # fmt: skip
            trainer = _Trainer(
                model=model, reward_funcs=[_named(name, one) for name, (one, _) in rewards.items()],
                args=on_one_device(config, where.device),
                train_dataset=Dataset.from_list([{"prompt": str(number)} for number in range(len(encoded))]),
                processing_class=tokenizer, callbacks=[watcher, monitor],
            )  # fmt: skip
            trainer.encoded = encoded
            trainer.rollouts = make_rollouts(model, tokenizer, device=where.device, dtype=where.dtype)
            fit(
                trainer, watcher, options, where.device, inputs=inputs, also={"length": length, "critics": constitution}
            )
        taken = measured.figures()
        adapter = save_adapter(model, inputs)
    figures = {
        "prompts": float(len(plan.prompts)), "bad_rows": float(plan.bad_rows), **taken,
        "bfloat16": float(where.dtype == "bfloat16"), **watcher.figures(), **monitor.figures(),
        **({} if plan.reward is None else {"reward_temperature": temperature}),
        **({} if not plan.constitution else {"unscored_answers": float(constitution.unscored)}),
    }  # fmt: skip
    return StageOutput(
        adapter=adapter,
        figures=figures,
        curves=monitor.curves() | watcher.curves(),
        note="; ".join(filter(None, (plan.note, monitor.note, watcher.note))),
    )


def _encoded(plan: RLAIFPlan, tokenizer: Any) -> list[list[int]]:  # noqa: ANN401 - transformers is not typed
    renderer = make_renderer(tokenizer, "auto")
    encoded = []
    for path, row in plan.prompts:
        try:
            ids = renderer.encode([renderer.render(row.messages)])[0]
        except TemplateRefusalError as error:
            raise InputError(str(error), file=path, line=row.line, hint="see the model's chat template") from error
        if len(ids) + plan.options.max_new_tokens > plan.options.max_length:
            raise InputError(
                f"the prompt takes {len(ids)} tokens, and with max_new_tokens {plan.options.max_new_tokens} more than "
                f"max_length {plan.options.max_length}", file=path, line=row.line,
                hint="raise max_length or shorten the row",
            )  # fmt: skip
        encoded.append(ids)
    return encoded


def _named(name: str, call: Reward) -> Reward:
    def reward(**given: Any) -> list[float | None]:  # noqa: ANN401 - what TRL hands rewards
        return call(**given)

    reward.__name__ = name
    return reward


def _by_model(judge: RewardModel, encoded: Sequence[list[int]]) -> Reward:
    def reward(prompts: Sequence[str], completion_ids: Sequence[list[int]], **_: object) -> list[float | None]:
        pairs = zip(prompts, completion_ids, strict=True)
        return list(judge.rewards([encoded[int(number)] + list(ids) for number, ids in pairs]))

    return reward


class _Length:
    """Answers cost reward by what they are longer than the target; on the way the monitor sees them."""

    def __init__(self, target: int | None, monitor: StepMonitor) -> None:
        self._target: float | None = target
        self._monitor = monitor

    def keep(self) -> tuple[Mapping[str, Any], dict[str, Any]]:
        return {"target": self._target}, {}

    def restore(self, noted: Mapping[str, Any], tensors: Mapping[str, Any]) -> None:  # noqa: ARG002
        self._target = noted["target"]

    def reward(
        self, completions: Sequence[str], completion_ids: Sequence[list[int]], **_: object
    ) -> list[float | None]:
        lengths = [len(ids) for ids in completion_ids]
        self._monitor.see(completions, lengths)
        if self._target is None:
            self._target = max(1.0, sum(lengths) / len(lengths))
        target = self._target
        return [-max(0.0, length / target - 1) for length in lengths]


def _sample(row: PromptRow, name: str) -> Sample:
    """Return a prompt as critics see it: principles may speak of some tags alone."""
    return Sample(id=name, messages=row.messages, tags=row.tags)


class _Critics:
    """The share in [0, 1] to which critics find the constitution followed; what they cannot score counts as broken."""

    def __init__(self, inputs: StageInput, plan: RLAIFPlan) -> None:
        self._inputs, self._plan = inputs, plan
        self.unscored = 0

    def keep(self) -> tuple[Mapping[str, Any], dict[str, Any]]:
        return {"unscored": self.unscored}, {}

    def restore(self, noted: Mapping[str, Any], tensors: Mapping[str, Any]) -> None:  # noqa: ARG002
        self.unscored = noted["unscored"]

    def reward(
        self, prompts: Sequence[str], completions: Sequence[str], completion_ids: Sequence[list[int]], **_: object
    ) -> list[float | None]:
        constitution, models = self._inputs.constitution, self._inputs.models
        if constitution is None or models is None:
            raise InputError("the stage rlaif was handed no critics", hint="run it by harness train")
        limit = self._plan.options.max_new_tokens
        responses = [
            Response(
                sample=_sample(self._plan.prompts[int(number)][1], f"{number}-{index}"),
                completion=Completion(text=text, prompt_tokens=None, completion_tokens=len(ids),
                                      finish="length" if len(ids) >= limit else "stop"),
            )
            for index, (number, text, ids) in enumerate(zip(prompts, completions, completion_ids, strict=True))
        ]  # fmt: skip
        found: list[float | None] = []
        for verdicts in models.verdicts(responses):
            scored: list[tuple[float, float]] = []
            for principle in constitution.principles:
                score = combine_verdicts(principle, verdicts)
                if isinstance(score, NotApplicable):
                    continue
                self.unscored += isinstance(score, Unscored)
                scored.append((principle.weight, 0.0 if isinstance(score, Unscored) else score))
            total = math.fsum(weight for weight, _ in scored)
            found.append(math.fsum(weight * score for weight, score in scored) / total if total else None)
        return found
