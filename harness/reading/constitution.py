"""Constitutions: weighted principles with critics, thresholds and examples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Discriminator, Field, Tag

from harness.hashing import sha256_json
from harness.reading.strict import StrictModel, read_document, validate
from harness.types import AppliesTo, Constitution, Example, Principle

if TYPE_CHECKING:
    from harness.registry import Registry


class ExampleSection(StrictModel):
    """One labelled example."""

    prompt: str
    response: str
    why: str = ""


class ExamplesSection(StrictModel):
    """Examples by kind."""

    pass_: Annotated[list[ExampleSection], Field(alias="pass")] = []
    fail: list[ExampleSection] = []
    near_miss: list[ExampleSection] = []

    def records(self) -> tuple[Example, ...]:
        """Return the examples as records."""
        kinds: tuple[tuple[Literal["pass", "fail", "near_miss"], list[ExampleSection]], ...] = (
            ("pass", self.pass_), ("fail", self.fail), ("near_miss", self.near_miss),
        )  # fmt: skip
        return tuple(
            Example(kind=kind, prompt=item.prompt, response=item.response, why=item.why)
            for kind, items in kinds
            for item in items
        )


class AppliesSection(StrictModel):
    """Which samples a principle speaks of."""

    any_tag: tuple[str, ...] = ()
    no_tag: tuple[str, ...] = ()


class PrincipleSection(StrictModel):
    """A principle written out in the constitution."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    weight: Annotated[float, Field(gt=0)] = 1.0
    text: Annotated[str, Field(min_length=1)]
    critique: str = ""
    revise: str = ""
    critics: Annotated[tuple[str, ...], Field(min_length=1)] = ("judge",)
    combine: Literal["worst", "mean"] = "worst"
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    applies_to: AppliesSection = AppliesSection()
    examples: ExamplesSection = ExamplesSection()

    def record(self) -> Principle:
        """Return the principle as a record."""
        return Principle(
            id=self.id, text=self.text.strip(), weight=self.weight, critique=self.critique.strip(),
            revise=self.revise.strip(), critics=self.critics, combine=self.combine, threshold=self.threshold,
            applies_to=AppliesTo(any_tag=self.applies_to.any_tag, no_tag=self.applies_to.no_tag),
            examples=self.examples.records(),
        )  # fmt: skip


class UseSection(StrictModel):
    """A principle that a plugin registered, used with a weight of this constitution's own."""

    use: str
    weight: Annotated[float, Field(gt=0)] = 1.0


class ConstitutionFile(StrictModel):
    """The content of a constitution's YAML."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    version: Annotated[int, Field(ge=1)] = 1
    about: str = ""
    principles: Annotated[
        list[
            Annotated[
                Annotated[PrincipleSection, Tag("written")] | Annotated[UseSection, Tag("used")],
                Discriminator(lambda value: "used" if isinstance(value, dict) and "use" in value else "written"),
            ]
        ],
        Field(min_length=1),
    ]


def read_constitution(path: Path, registered: Registry[Principle] | None = None) -> Constitution:
    """Read a constitution; weights are normalised to sum to 1.

    Args:
        path: the YAML file.
        registered: principles of plugins, for `use:`.

    Raises:
        InputError: naming file, line, key and cause.
    """
    from dataclasses import replace

    document = read_document(path, what="constitution")
    file = validate(document, ConstitutionFile, what="constitution")
    principles: list[Principle] = []
    seen: set[str] = set()
    for index, section in enumerate(file.principles):
        place = ("principles", index)
        if isinstance(section, PrincipleSection):
            principle = section.record()
        elif registered is None:
            raise document.error("plugins' principles are not available here", (*place, "use"))
        else:
            known = registered.get(
                section.use, file=str(path), line=document.line((*place, "use")), key=f"principles[{index}].use"
            )
            principle = replace(known, weight=section.weight)
        if principle.id in seen:
            raise document.error(f"the principle {principle.id!r} stands twice", place, hint="keep one of them")
        seen.add(principle.id)
        principles.append(principle)
    return constitution_of(file.id, file.version, tuple(principles), about=file.about.strip())


def constitution_of(name: str, version: int, principles: tuple[Principle, ...], *, about: str = "") -> Constitution:
    """Build a constitution from principles: weights normalised, fingerprint computed."""
    from dataclasses import replace

    from harness.serial import to_plain

    total = sum(principle.weight for principle in principles)
    scaled = tuple(replace(principle, weight=principle.weight / total) for principle in principles)
    fingerprint = sha256_json([name, version, [to_plain(principle) for principle in scaled]])
    return Constitution(id=name, version=version, principles=scaled, about=about, fingerprint=fingerprint)
