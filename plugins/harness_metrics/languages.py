"""Which language a text is in, by py3langid (BSD-3-Clause; naive Bayes over byte n-grams, its model in the package)."""

from __future__ import annotations

from functools import cache
from typing import Any

from harness.api import MissingDependencyError
from harness_metrics.constraint_values import WrongValueError

COMMON = frozenset(
    {
        "ar", "bg", "bn", "de", "en", "es", "fa", "fi", "fr", "gu", "he", "hi", "it", "ja", "kn", "ko", "ml", "mr",
        "ne", "pa", "pl", "pt", "ru", "sw", "ta", "te", "th", "uk", "ur", "vi",
    }
)  # fmt: skip
"""The 30 that IFEval knows, in ISO 639-1. A text is told among these and the one that is asked for: of all that
py3langid knows, short English passes for a creole."""


def language_code(value: object) -> str:
    """Return a code that can be told.

    Raises:
        WrongValueError: for anything else.
    """
    if not isinstance(value, str) or value not in COMMON | _known():
        raise WrongValueError('needs the ISO 639-1 code of a language that py3langid knows, such as "de"')
    return value


def is_language(text: str, code: str) -> bool:
    """Tell whether a text is likelier in this language than in any other of `COMMON`; small letters and capitals count
    the same."""  # fmt: skip
    ranked = _identifier().rank(text.lower())
    return bool(next(name for name, _ in ranked if name in COMMON or name == code) == code)


@cache
def _known() -> frozenset[str]:
    return frozenset(str(name) for name in _identifier().nb_classes)


@cache
def _identifier() -> Any:  # noqa: ANN401 - py3langid has no types
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise MissingDependencyError("py3langid", "metrics", needed_by="telling a reply's language") from error
    return LanguageIdentifier.from_model_file(MODEL_FILE)
