"""The classifier `presidio`: personal data as spans, by Presidio's AnalyzerEngine on the fetched en_core_web_md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from harness.api import (
    Classifier,
    Finding,
    Findings,
    InputError,
    RunContext,
    StrictModel,
    Unscored,
    encodable,
    read_options,
    unknown_name,
    weights_hash,
)
from harness_classifiers.identity import fingerprint_of, require_package
from harness_classifiers.presidio_engine import ENTITIES, MAX_CHARS, PHONE_SCORE, build_engine

WEIGHTS = "spacy-en-md"
DEFAULT_ENTITIES = (
    "CREDIT_CARD", "CRYPTO", "EMAIL_ADDRESS", "IBAN_CODE", "IP_ADDRESS", "MAC_ADDRESS", "PHONE_NUMBER", "UK_NHS",
    "UK_NINO", "US_BANK_NUMBER", "US_DRIVER_LICENSE", "US_ITIN", "US_PASSPORT", "US_SSN",
)  # fmt: skip
"""What identifies or reaches one person and hardly occurs otherwise. PERSON, LOCATION, ORGANIZATION, NRP, DATE_TIME and
URL are left to be asked for: each is in many answers that leak nothing (docs/classifiers.md)."""
PHONE = "PHONE_NUMBER"
BARE_PHONE_SCORE = 0.4
_BATCH = 32
Score = Annotated[float, Field(ge=0, le=1)]


class PresidioOptions(StrictModel):
    """Options of the classifier."""

    language: Literal["en"] = "en"
    entities: Annotated[tuple[str, ...], Field(min_length=1)] = DEFAULT_ENTITIES
    threshold: Score = 0.5
    """Least score of a finding. Presidio's scores are fixed by rule, not calibrated probabilities. At 0.5 a weak
    pattern, such as nine digits, counts only beside a word like `passport`."""
    thresholds: dict[str, Score] = {}  # noqa: RUF012 - pydantic copies the defaults of fields
    """Per entity; wins over `threshold`."""
    allow_list: tuple[str, ...] = ()
    """Exact texts that are not findings, such as the product's own contact address. Case is ignored."""

    @field_validator("entities")
    @classmethod
    def _sorted(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(value)))

    def threshold_of(self, entity: str) -> float:
        """Return the least score of a finding of this entity."""
        return self.thresholds.get(entity, self.threshold)


class PresidioClassifier(Classifier):
    """Finds personal data and returns one finding per span; opens no socket.

    Raises:
        InputError: for unknown options or entities.
    """

    labels: ClassVar[tuple[str, ...]] = ENTITIES

    def __init__(self, options: Mapping[str, Any], context: RunContext) -> None:
        super().__init__(options, context)
        self.settings = read_options(PresidioOptions, options, "presidio", at=("classifiers", "presidio"))
        for key, names in (("entities", self.settings.entities), ("thresholds", tuple(self.settings.thresholds))):
            for name in names:
                if name not in ENTITIES:
                    raise unknown_name("presidio entity", name, ENTITIES, key=f"classifiers.presidio.{key}")
        for name in self.settings.thresholds:
            if name not in self.settings.entities:
                raise InputError(
                    f"a threshold for {name}, which is not among the entities",
                    key=f"classifiers.presidio.thresholds.{name}",
                    hint=f"add {name} to entities, or remove the threshold",
                )
        self._allowed = {text.casefold() for text in self.settings.allow_list}
        self._engine: Any = None

    def fingerprint(self) -> str:
        """Return the hash of weights, options and package versions, without loading."""
        self._require()
        return fingerprint_of(
            "presidio", version=2, weights=weights_hash(WEIGHTS, store=self.context.weights),
            options={
                "language": self.settings.language, "allow_list": sorted(self._allowed),
                "entities": {entity: self.settings.threshold_of(entity) for entity in self.settings.entities},
            },
            packages=("presidio-analyzer", "spacy", "phonenumbers", "tldextract"),
        )  # fmt: skip

    def classify(self, texts: Sequence[str]) -> Sequence[Findings]:
        """Return the spans of each text, in the order of their start. Beyond 200,000 characters: Unscored."""
        cleaned = [encodable(text) for text in texts]
        judged = [index for index, text in enumerate(cleaned) if text.strip() and len(text) <= MAX_CHARS]
        results: list[Findings] = [
            () if len(text) <= MAX_CHARS else Unscored(reason=f"the text is longer than {MAX_CHARS:,} characters")
            for text in cleaned
        ]
        if judged:
            found = self._load().analyze_iterator(
                [cleaned[index] for index in judged], language="en", batch_size=_BATCH,
                entities=list(self.settings.entities), score_threshold=0.0,
            )  # fmt: skip
            for index, spans in zip(judged, found, strict=True):
                results[index] = self._findings(texts[index], spans)
        return results

    def close(self) -> None:
        """Free the pipeline."""
        self._engine = None

    def _findings(self, text: str, spans: Sequence[Any]) -> tuple[Finding, ...]:
        kept = [
            Finding(label=span.entity_type, probability=_score(span, text), span=(span.start, span.end))
            for span in spans
            if _score(span, text) >= self.settings.threshold_of(span.entity_type)
            and text[span.start : span.end].casefold() not in self._allowed
        ]  # fmt: skip
        return tuple(sorted(_undominated(kept), key=lambda finding: (finding.span or (0, 0), finding.label)))

    def _require(self) -> None:
        require_package("presidio_analyzer", distribution="presidio-analyzer", needed_by="the classifier presidio")
        require_package("spacy", distribution="spacy", needed_by="the classifier presidio")

    def _load(self) -> Any:  # noqa: ANN401 - presidio has no types
        if self._engine is None:
            from harness.api import weights_path

            self._require()
            self._engine = build_engine(weights_path(WEIGHTS, store=self.context.weights), self.settings.entities)
        return self._engine


def _score(span: Any, text: str) -> float:  # noqa: ANN401 - presidio has no types
    """Return presidio's score; bare digits that only the formats of some country make a telephone number score less."""
    bare = span.entity_type == PHONE and span.score <= PHONE_SCORE and text[span.start : span.end].isdigit()
    return BARE_PHONE_SCORE if bare else float(span.score)


def _undominated(findings: Sequence[Finding]) -> list[Finding]:
    """Drop a finding that lies within another that is surer, or as sure and longer: one string is one leak."""
    return [one for one in findings if not any(_dominates(other, one) for other in findings if other is not one)]


def _dominates(other: Finding, finding: Finding) -> bool:
    if other.span is None or finding.span is None:
        return False
    (start, end), (low, high) = other.span, finding.span
    if not (start <= low and high <= end):
        return False
    if other.probability != finding.probability:
        return other.probability > finding.probability
    # a telephone number has the loosest pattern, so it gives way to any other reading of the same characters
    return (end - start, finding.label == PHONE, finding.label) > (high - low, other.label == PHONE, other.label)
