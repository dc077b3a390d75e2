"""Keeps apart what a recipe trains on and what will gate it: refuses, or leaves rows out, before it trains."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api import (
    MINILM,
    Artifact,
    Embedder,
    InputError,
    StageInput,
    opened,
    resolve_path,
    sha256_file,
    sha256_json,
    weights_hash,
    weights_path,
)
from harness.api.artifacts import artifact_folder, content_path, find_made, keep_artifact
from harness.api.commands import counted
from harness.api.workspace import default_policy
from harness_guards.recipes import Recipe, Rule
from harness_guards.separation import GRAM, Evaluated, Match, evaluated, find_matches
from harness_guards.suite_samples import suite_samples
from harness_guards.trained_texts import is_rows, is_text, read_trained, rows_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from harness.api import Progress, RunContext, Session, Stage
    from harness.api.workspace import Config, Policy, Registries, Setting, Workspace

_VERSION = 1
"""Of what counts as a match: another one looks at everything again."""
_SHOWN = 3
"""Rows that a refusal names."""
_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class Against:
    """A suite to keep apart from."""

    reference: str
    data: Path | None = None
    """Replaces the suite's own data file."""


def gating_suites(recipe: Recipe, policy: Policy | None, config: Config, registries: Registries) -> tuple[str, ...]:
    """Return the suites to keep apart from.

    Those that will gate, of `then` and of the policy of the recipe or else of harness.yaml, and those that the recipe's
    `separation` names.
    """
    if policy is None and config.path is not None:
        try:
            policy = default_policy(config, registries)
        except InputError:
            policy = None  # a folder without a policy gates nothing; what is wrong with one, `decide` says
    own = () if policy is None else tuple(section.suite for section in policy.suites)
    return tuple(dict.fromkeys((*recipe.then.run, *own, *recipe.separation.suites)))


def keep_apart(
    session: Session, recipe: Recipe, policy: Policy | None, setting: Setting
) -> Callable[[Stage, StageInput], StageInput] | None:
    """Return what keeps a recipe's data apart from what will gate it; None where the recipe turns it off.

    Args:
        session: whose folder's policy gates where the recipe names none.
        recipe: with its `then` section.
        policy: the one that the recipe names, if any.
        setting: where it happens.
    """
    if recipe.separation.mode == "off":
        return None
    registries = setting.plugins.registries
    names = gating_suites(recipe, policy, session.config, registries)
    suites = [Against(reference=_beside(name, recipe)) for name in names]
    return Separation(
        recipe.separation, read_suites(suites, registries, setting.context, session.warn),
        workspace=setting.workspace, encoder=Encoder(setting.progress), warn=session.warn,
    ).apart  # fmt: skip


def _beside(name: str, recipe: Recipe) -> str:
    path = name.endswith((".yaml", ".yml")) or "/" in name
    return str(resolve_path(name, recipe.path)) if path else name


class Encoder:
    """Turns prompts into MiniLM's vectors, with progress; loads on first use."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the weights; empty where they are not here."""
        try:
            return weights_hash(MINILM)
        except InputError:
            return ""

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors, shape (n, 384)."""
        import numpy as np

        embedder = Embedder(weights_path(MINILM))
        task = self._progress.start("comparing training data with suites", len(texts), unit="texts")
        try:
            parts = []
            for start in range(0, len(texts), _BATCH):
                parts.append(embedder.encode(texts[start : start + _BATCH]))
                task.advance(min(_BATCH, len(texts) - start))
            return np.concatenate(parts)
        finally:
            task.finish()
            embedder.close()


def read_suites(
    suites: Iterable[Against], registries: Registries, context: RunContext, warn: Callable[[str], None] | None
) -> list[Evaluated]:
    """Return what the samples of suites say.

    Args:
        suites: by name or file.
        registries: what is registered.
        context: where it runs.
        warn: takes why a suite cannot be read, such as one whose data is not here; None raises.

    Raises:
        InputError: for a suite that cannot be read.
    """
    found: list[Evaluated] = []
    for suite in suites:
        try:
            name, samples = suite_samples(suite.reference, registries, context, data=suite.data)
            found += evaluated(name, samples)
        except InputError as error:
            if warn is None:
                raise
            warn(f"training data was not compared with the suite {suite.reference}, which cannot be read: {error}")
    return found


class Separation:
    """What a recipe's data is kept apart from.

    Args:
        rule: the recipe's `separation`.
        against: samples of the suites that will gate.
        workspace: where comparisons are remembered and data without its matches lies.
        encoder: finds what is near in meaning.
        warn: takes sentences for a person.
    """

    def __init__(
        self, rule: Rule, against: Sequence[Evaluated], *, workspace: Workspace, encoder: Encoder,
        warn: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._rule, self._workspace, self._encoder, self._warn = rule, workspace, encoder, warn
        self._against = [sample for sample in against if sample.suite not in rule.exempt]
        self._said: set[str] = set()
        self._clean: dict[Path, Path] = {}

    def apart(self, stage: Stage, inputs: StageInput) -> StageInput:
        """Return what a stage is handed without rows that stand in a suite that will gate.

        Raises:
            InputError: where there are some, and the recipe does not say to drop them.
        """
        if not self._against:
            return inputs
        files = [path for role, path in stage.inputs(inputs).items() if not role.startswith("validation")]
        handed = {**({} if inputs.dataset is None else {"dataset": inputs.dataset}), **inputs.others}
        instead = {path: self._apart(path) for path in files if is_rows(path)}
        dropped = {path: clean for path, clean in instead.items() if clean != path}
        given = {role: self._apart(path) if path.is_file() and is_rows(path) else path for role, path in handed.items()}
        dataset = given.pop("dataset", None)
        changed = replace(inputs, instead={**inputs.instead, **dropped}, dataset=dataset, others=given)
        deaf = set(stage.inputs(changed).values()) & (set(dropped) - set(handed.values())) if dropped else set()
        if deaf:
            raise InputError(
                "holds rows that stand in a suite that will gate, and this stage cannot leave them out",
                file=min(deaf), hint="remove them: harness data check FILE --against SUITE --write CLEAN",
            )  # fmt: skip
        return changed

    def _apart(self, path: Path) -> Path:
        if path not in self._clean:
            self._clean[path] = self._looked(path)
        return self._clean[path]

    def _looked(self, path: Path) -> Path:
        matches, clean = self._found(path)
        if not matches:
            return path
        lines = {match.line for match in matches}
        kinds = Counter(match.kind for match in {(one.line, one.kind): one for one in matches}.values())
        suites = sorted({match.suite for match in matches})
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        if self._rule.mode == "drop":
            what = f"{counted(len(lines), 'row')} of {path} left out ({told})"
            self._warn(f"{what}: they stand in {' and '.join(suites)}, which will gate")
            return clean
        shown = "; ".join(f"line {one.line} is {_how(one)}" for one in _first(matches))
        raise InputError(
            f"{counted(len(lines), 'row')} stand{'s' if len(lines) == 1 else ''} in {' and '.join(suites)}, which will "
            f"gate what is trained ({told}): {shown}", file=path, line=min(lines),
            hint="what trains does not evaluate: remove them, or set separation: drop in the recipe; all of them: "
            f"harness data check {path} {' '.join(f'--against {suite}' for suite in suites)}",
        )  # fmt: skip

    def _found(self, path: Path) -> tuple[list[Match], Path]:
        """Return a file's matches, and the file without them; both are remembered in the workspace."""
        near = bool(self._encoder.fingerprint)
        if not near and "near" not in self._said:
            self._said.add("near")
            self._warn("training data was compared with suites word for word only: for what is near in meaning, "
                       "harness models pull minilm")  # fmt: skip
        sha256 = sha256_file(path)
        key = sha256_json({
            "separation": _VERSION, "data": sha256, "near": self._rule.near, "encoder": self._encoder.fingerprint,
            "against": sha256_json([asdict(sample) for sample in self._against]),
        })  # fmt: skip
        made, _ = find_made(self._workspace, key)
        if made is None:
            matches = find_matches(
                list(read_trained(path)), self._against, encode=self._encoder if near else None, near=self._rule.near
            )
            made = self._keep(path, matches, Artifact(
                kind="", stage="separation", key=key, inputs={"data": sha256},
                options={"near": self._rule.near, "suites": sorted({one.suite for one in self._against})},
                figures={"matches": float(len(matches)), "dropped": float(len({one.line for one in matches}))},
            ))  # fmt: skip
        listed = made["separation"]
        file = content_path(listed, artifact_folder(self._workspace, "separation", listed.id))
        matches = [Match(**json.loads(line)) for line in file.read_text("utf-8").splitlines()[1:]]
        if "dataset" not in made:
            return matches, path
        clean = made["dataset"]
        return matches, content_path(clean, artifact_folder(self._workspace, "dataset", clean.id))

    def _keep(self, path: Path, matches: Sequence[Match], draft: Artifact) -> Mapping[str, Artifact]:
        about = {
            "data": draft.inputs["data"],
            "key": draft.key,
        }  # so that no two files without matches are one artifact
        lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in (about, *map(asdict, matches)))
        content = {"separation": ("separation.jsonl", lines.encode())}
        rest = without(path, {match.line for match in matches})
        if matches and rest:
            content["dataset"] = (f"dataset{'.txt' if is_text(path) else '.jsonl'}", rest)
        made: dict[str, Artifact] = {}
        for kind, (name, data) in content.items():
            draft = replace(draft, outputs={made_kind: one.id for made_kind, one in made.items()})
            made[kind] = keep_artifact(self._workspace, replace(draft, kind=kind), {name: data})
        if len(made) > 1:  # the first record shall name the second too
            first = replace(made["separation"], outputs={kind: one.id for kind, one in made.items()})
            made["separation"] = keep_artifact(self._workspace, first, {"separation.jsonl": content["separation"][1]})
        return made


def without(path: Path, lines: set[int]) -> bytes:
    """Return a training file's content without some of its rows, as JSON Lines, or as text where it is text."""
    if is_text(path):
        with opened(path, what="training data") as stream:
            text = stream.read().decode("utf-8", "replace")
        kept, dropping = [], False
        for number, line in enumerate(text.splitlines(keepends=True), 1):
            dropping = (dropping or number in lines) and bool(line.strip())
            if not dropping:
                kept.append(line)
        return "".join(kept).encode()
    rows = (json.dumps(value, ensure_ascii=False) for number, value in rows_of(path) if number not in lines)
    return "".join(f"{row}\n" for row in rows).encode()


def _first(matches: Sequence[Match]) -> Iterator[Match]:
    return iter(list({match.line: match for match in reversed(matches)}.values())[::-1][:_SHOWN])


def _how(match: Match) -> str:
    said = {"exact": "word for word", "13-gram": f"{GRAM} words in a row of", "near": f"near ({match.score:.2f}) to"}
    return f"{said[match.kind]} {match.suite}/{match.sample}"
