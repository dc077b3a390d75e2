"""Builds Presidio's real AnalyzerEngine on a spaCy folder, with recognizers that never open a socket."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RECOGNIZERS: dict[str, str] = {
    "CREDIT_CARD": "CreditCardRecognizer",
    "CRYPTO": "CryptoRecognizer",
    "DATE_TIME": "DateRecognizer",
    "EMAIL_ADDRESS": "EmailRecognizer",
    "IBAN_CODE": "IbanRecognizer",
    "IP_ADDRESS": "IpRecognizer",
    "MAC_ADDRESS": "MacAddressRecognizer",
    "MEDICAL_LICENSE": "MedicalLicenseRecognizer",
    "PHONE_NUMBER": "PhoneRecognizer",
    "UK_NHS": "NhsRecognizer",
    "UK_NINO": "UkNinoRecognizer",
    "URL": "UrlRecognizer",
    "US_BANK_NUMBER": "UsBankRecognizer",
    "US_DRIVER_LICENSE": "UsLicenseRecognizer",
    "US_ITIN": "UsItinRecognizer",
    "US_PASSPORT": "UsPassportRecognizer",
    "US_SSN": "UsSsnRecognizer",
}
"""Entity types found by a pattern, and the class in presidio_analyzer.predefined_recognizers that finds each."""
NAMED: tuple[str, ...] = ("DATE_TIME", "LOCATION", "NRP", "ORGANIZATION", "PERSON")
"""Entity types found by spaCy's named-entity recogniser (NRP: nationality, religious or political group)."""
ENTITIES: tuple[str, ...] = tuple(sorted({*RECOGNIZERS, *NAMED}))
PHONE_REGIONS: tuple[str, ...] = (
    "US", "CA", "MX", "BR", "GB", "IE", "DE", "AT", "CH", "FR", "BE", "NL", "ES", "PT", "IT", "DK", "NO", "SE", "FI",
    "PL", "IL", "IN", "JP", "ZA", "AU", "NZ",
)  # fmt: skip
"""Whose national formats count as telephone numbers; presidio's own eight miss 4 of 10 (docs/classifiers.md)."""
PHONE_CONTEXT = ["phone", "telephone", "cellphone", "mobile", "call", "dial", "fax"]
"""Presidio's own has `number` too, which stands beside every account number."""
PHONE_SCORE = 0.5
"""Presidio's own is 0.4, below every usual threshold; of 128 such findings in its test data some 80 % were right."""
WITH_CONTEXT = 0.5
"""What a weak pattern, such as nine digits, is raised to beside a word like `passport`; presidio's own is 0.4."""
CARDS = (r"(?<![\d.,])\d{12,19}(?!\d|[.,]\d)", r"(?<![\d.,])\d{4}(?:[ -]\d{4}){1,3}[ -]?\d{1,5}(?!\d|[.,]\d)")
"""In a row, and in groups of four; presidio's own pattern knows 13 to 17 digits of some schemes."""
_ISSUED = re.compile(r"2[2-7]|[3-6]|8[12]|9792")
"""How the numbers of card schemes begin (ISO/IEC 7812)."""
_WEAK = 0.3
MAX_CHARS = 200_000
"""A longer text is not analysed: spaCy's memory grows with it."""
_UNUSED_PIPES = ["parser", "senter"]
_UNMAPPED = [
    "CARDINAL", "EVENT", "FAC", "LANGUAGE", "LAW", "MONEY", "ORDINAL", "PERCENT", "PRODUCT", "QUANTITY", "WORK_OF_ART",
]  # fmt: skip


def build_engine(folder: Path, entities: Sequence[str]) -> Any:  # noqa: ANN401 - presidio has no types
    """Return a `BatchAnalyzerEngine` for English that finds `entities`.

    Args:
        folder: a spaCy pipeline folder with tagger, lemmatizer and ner.
        entities: names out of `ENTITIES`.
    """
    import spacy
    from presidio_analyzer import AnalyzerEngine, BatchAnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.context_aware_enhancers import LemmaContextAwareEnhancer
    from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine

    engine = SpacyNlpEngine(
        models=[{"lang_code": "en", "model_name": str(folder)}],
        ner_model_configuration=NerModelConfiguration(labels_to_ignore=_UNMAPPED),
    )
    # Loaded here and not by the engine's own load(), which claims a GPU for the whole process and may download.
    engine.nlp = {"en": spacy.load(folder, exclude=_UNUSED_PIPES)}
    registry = RecognizerRegistry(recognizers=_recognizers(entities), supported_languages=["en"])
    analyzer = AnalyzerEngine(
        registry=registry, nlp_engine=engine, supported_languages=["en"],
        context_aware_enhancer=LemmaContextAwareEnhancer(min_score_with_context_similarity=WITH_CONTEXT),
    )  # fmt: skip
    return BatchAnalyzerEngine(analyzer_engine=analyzer)


def _recognizers(entities: Sequence[str]) -> list[Any]:
    from presidio_analyzer import Pattern, predefined_recognizers

    made = []
    for entity in entities:
        if entity in RECOGNIZERS:
            more = {"supported_regions": PHONE_REGIONS, "context": PHONE_CONTEXT} if entity == "PHONE_NUMBER" else {}
            recognizer = getattr(predefined_recognizers, RECOGNIZERS[entity])(supported_language="en", **more)
            if entity == "PHONE_NUMBER":
                recognizer.SCORE = PHONE_SCORE
            if entity == "CREDIT_CARD":
                recognizer.patterns += [Pattern(name="12 to 19 digits", regex=regex, score=_WEAK) for regex in CARDS]
                recognizer.validate_result = card_is_valid
            if entity == "EMAIL_ADDRESS":
                recognizer.validate_result = _email_validator()
            made.append(recognizer)
    named = [entity for entity in entities if entity in NAMED]
    if named:
        made.append(predefined_recognizers.SpacyRecognizer(supported_language="en", supported_entities=named))
    return made


def card_is_valid(matched: str) -> bool | None:
    """Tell whether digits are a card's number: 12 to 19 of them with a right check digit (Luhn's).

    None where that is so but no scheme issues such numbers: it counts beside a word such as `card`.
    """
    digits = [int(character) for character in matched if character.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    if not 12 <= len(digits) <= 19 or len(set(digits)) == 1 or (sum(digits[::-2]) + sum(doubled)) % 10:
        return False
    return True if _ISSUED.match("".join(map(str, digits))) else None


def _email_validator() -> Any:  # noqa: ANN401 - a callable that presidio calls
    """Return EmailRecognizer's own check, on the public suffix list inside tldextract instead of a fetched one."""
    import tldextract

    extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)

    def validate(matched: str) -> bool:
        return bool(extract(matched).fqdn)

    return validate
