"""harness.yaml and the policies in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from harness.hashing import sha256_json
from harness.reading.gates import GateSection
from harness.reading.roles import RolesSection, role_refs
from harness.reading.strict import Document, Place, StrictModel, read_document, validate
from harness.types import Admission, Policy, PolicySuite, Review, RoleRef

CONFIG_NAME = "harness.yaml"


class PolicySuiteSection(StrictModel):
    """One suite of a policy."""

    suite: str
    limit: Annotated[int, Field(ge=1)] | None = None
    samples: list[Annotated[int, Field(ge=1)]] = []
    deciding: Annotated[float, Field(gt=0, le=1)] | None = None
    fresh: bool | None = None
    constitution: str | None = None
    gates: list[GateSection] | None = None

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.samples and self.limit is not None:
            raise ValueError("`limit` and `samples` both say how many samples are looked at; keep one")
        if self.fresh and (self.deciding is None or not (self.samples or self.limit)):
            raise ValueError("`fresh` needs `deciding`, the share that decides, and `limit` or `samples`, the size")
        if any(later <= earlier for earlier, later in pairwise(self.samples)):
            raise ValueError(f"the sizes in `samples` must rise; these are {self.samples}")
        return self


class AdmissionSection(StrictModel):
    """What a critic must have shown before a gate may rest on it; see `harness.types.Admission`."""

    youden: Annotated[float, Field(gt=0, lt=1)] = 0.4
    positives: Annotated[int, Field(ge=10)] = 50
    negatives: Annotated[int, Field(ge=10)] = 50
    shared: list[str] = []


_LATER_KEYS = frozenset(
    {"attempts", "cap", "admission", "unverifiable", "looks", "fdr", "max_worse", "deciding", "fresh"}
)


def without_unused(content: Any) -> Any:  # noqa: ANN401 - plain data of any depth
    """Return plain data without the keys that came later and are not used: they make no new version of a policy."""
    if isinstance(content, dict):
        kept = {name: value for name, value in content.items() if value is not None or name not in _LATER_KEYS}
        return {name: without_unused(value) for name, value in kept.items()}
    return [without_unused(value) for value in content] if isinstance(content, list | tuple) else content


class PolicyFile(StrictModel):
    """A policy: the suites and gates that promotion needs."""

    about: str = ""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    judge: str | None = None
    review: Review = "none"
    attempts: Annotated[int, Field(ge=1)] | None = None
    """Attempts between two promotions, each at an equal part of alpha; None is any number, at ever smaller parts."""
    looks: list[Annotated[float, Field(gt=0, le=1)]] | None = None
    """Shares of every suite's samples, looked at in order until one decides; the last is 1."""
    fdr: Literal["saffron"] | None = None
    """alpha is a false discovery rate over attempts on fresh samples."""
    admission: AdmissionSection | None = None
    unverifiable: Literal["allow", "refuse"] | None = None
    """Whether served models, whose weights can change unseen, may be decided upon; None allows them."""
    left_out: list[str] = []
    """What a reader might expect this policy to ask for, and why it does not."""
    suites: Annotated[list[str | PolicySuiteSection], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        sized = any(section.samples for section in self.suites if not isinstance(section, str))
        if self.looks is not None:
            if not self.looks or self.looks[-1] != 1.0 or any(b <= a for a, b in pairwise(self.looks)):
                raise ValueError(f"`looks` are shares that rise to 1, such as [0.25, 0.5, 1]; these are {self.looks}")
            if sized:
                raise ValueError("`looks` and `samples` both say how many samples are looked at; keep one")
        if self.fdr is not None and (self.attempts is not None or self.looks is not None or sized):
            raise ValueError("`fdr` gives each attempt its level: leave `attempts`, `looks` and `samples` out")
        return self

    @model_validator(mode="after")
    def _one_schedule(self) -> Self:
        lengths = {len(section.samples) for section in self.suites if not isinstance(section, str)} - {0, 1}
        if len(lengths) > 1:
            raise ValueError("all schedules of `samples` must have the same number of looks")
        return self

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        sections = [PolicySuiteSection(suite=one) if isinstance(one, str) else one for one in self.suites]
        for number, section in enumerate(sections):
            if section in sections[:number]:
                raise ValueError(f"the suite {section.suite!r} stands twice with the same gates and samples; keep one")
        return self

    def record(self, name: str) -> Policy:
        """Return the policy as a record."""
        suites = tuple(
            PolicySuite(suite=section)
            if isinstance(section, str)
            else PolicySuite(
                suite=section.suite, limit=section.limit, samples=tuple(section.samples),
                constitution=section.constitution, deciding=section.deciding, fresh=section.fresh or None,
                gates=None if section.gates is None else tuple(gate.gate(self.alpha) for gate in section.gates),
            )
            for section in self.suites
        )  # fmt: skip
        given = self.admission.model_dump() if self.admission else {}
        content = self.model_dump(exclude={"about", "left_out"})  # texts decide nothing
        fingerprint = sha256_json([name, without_unused(content)])
        return Policy(
            id=name, suites=suites, alpha=self.alpha, judge=self.judge, review=self.review, about=self.about.strip(),
            attempts=self.attempts, looks=tuple(self.looks or ()), fdr=self.fdr or "",
            admission=Admission(**{**given, "shared": tuple(self.admission.shared)}) if self.admission else Admission(),
            unverifiable=self.unverifiable or "allow",
            left_out=tuple(" ".join(text.split()) for text in self.left_out),
            fingerprint=fingerprint,
        )  # fmt: skip


class ConfigFile(StrictModel):
    """The content of harness.yaml."""

    model: str = "smollm2-135m"
    workspace: str = ".harness"
    judge: str | None = None
    """Short for `roles: {judge: …}`."""
    roles: RolesSection = {}
    concurrency: Annotated[int, Field(ge=1)] = 8
    """Most requests at once to a remote server."""
    timeout: Annotated[float, Field(gt=0, le=86400)] = 300
    """Seconds that a remote server has for one answer."""
    policy: str = "demo"
    plugins: list[str] = []
    """Folders, files, `no:NAME` or `trust:PLACE`, as for -p."""
    policies: dict[str, PolicyFile] = {}

    @model_validator(mode="after")
    def _one_judge(self) -> Self:
        if self.judge is not None and "judge" in self.roles:
            raise ValueError("`judge` and `roles.judge` both name the judge; keep one")
        return self


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of a project folder."""

    path: Path | None
    """None where there is no harness.yaml and defaults hold."""
    model: str
    workspace: Path
    roles: Mapping[str, RoleRef]
    concurrency: int
    timeout: float
    policy: str
    plugins: tuple[str, ...]
    policies: dict[str, Policy]
    names_model: bool = False
    """Whether the file says `model`, so that it is a choice and not the default."""


def read_config(folder: Path) -> Config:
    """Read the folder's harness.yaml; without one, the defaults.

    Raises:
        InputError: naming file, line, key and cause.
    """
    path = folder / CONFIG_NAME
    return read_config_file(path) if path.exists() else _config(ConfigFile(), folder, None)


def read_config_file(path: Path) -> Config:
    """Read a file of settings; its paths are relative to its folder. Raises as `read_config`."""
    document = read_document(path)
    return _config(ConfigFile() if document.value is None else validate(document, ConfigFile), path.parent, path)


def _config(file: ConfigFile, folder: Path, path: Path | None) -> Config:
    plugins = tuple(_at(folder, option) for option in file.plugins)
    return Config(
        path=path, model=file.model, workspace=(folder / file.workspace).resolve(),
        roles=role_refs(
            {**({} if file.judge is None else {"judge": file.judge}), **file.roles}, by=CONFIG_NAME, default=True
        ),
        concurrency=file.concurrency, timeout=file.timeout, policy=file.policy, plugins=plugins,
        policies={name: policy.record(name) for name, policy in file.policies.items()},
        names_model="model" in file.model_fields_set,
    )  # fmt: skip


def require_plugins(config: Config) -> None:
    """Check that the plugins that harness.yaml names as paths are there.

    Raises:
        InputError: naming the line of the first one that is not.
    """
    for index, option in enumerate(one.removeprefix("trust:") for one in config.plugins):
        if config.path is not None and _is_path(option) and not option.startswith("no:") and not Path(option).exists():
            raise read_document(config.path).error(
                f"there is no plugin file or folder {option}", ("plugins", index),
                hint="check the path, which is relative to this file's folder",
            )  # fmt: skip


def _at(folder: Path, option: str) -> str:
    """Return a plugin's option with its path as it is seen from the file's folder."""
    kind, place = ("trust:", option[6:]) if option.startswith("trust:") else ("", option)
    if option.startswith("no:") or not _is_path(place) or (kind and "@" in place):
        return option
    return kind + str((folder / place).resolve())


def _is_path(option: str) -> bool:
    return "/" in option or "\\" in option or option.endswith(".py") or option.startswith(".")


def read_policy(path: Path, name: str) -> Policy:
    """Read a policy that stands in a file of its own.

    Raises:
        InputError: naming file, line, key and cause.
    """
    document: Document = read_document(path, what="policy")
    top: Place = ()
    return validate(document, PolicyFile, at=top, what="policy").record(name)
