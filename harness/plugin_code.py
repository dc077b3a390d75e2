"""Around calls into plugins: what they raise names their file and line, and what they hand back is checked."""

from __future__ import annotations

import errno
import re
import sys
import traceback
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import BrokenRunError, HarnessError, InputError
from harness.types import (
    Example,
    Finding,
    Findings,
    Generate,
    LogLikelihood,
    NotApplicable,
    Principle,
    Request,
    RollingLogLikelihood,
    Unscored,
)

if TYPE_CHECKING:
    from harness.contracts import Model

_OWN = str(Path(__file__).resolve().parent)
_DEBUG = "HARNESS_DEBUG=1 shows the whole way there"
_ID = re.compile(r"^[a-z0-9][a-z0-9_-]*$")
_NOT_THE_PLUGINS = {
    errno.ENOSPC, errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.EISDIR,
}  # fmt: skip
"""What the machine or a person's path is to blame for; the command line explains it."""


class PluginError(BrokenRunError):
    """A plugin's code broke its contract. Exit code 3."""


@contextmanager
def plugin_code(what: str, code: object) -> Iterator[None]:
    """Turn whatever a plugin raises, other than an error that is meant for a person, into a PluginError.

    Args:
        what: the subject of the sentence, such as `the metric 'm' on the sample 's1'`.
        code: the plugin's function, class or object, for the file where no frame of it is left.
    """
    try:
        yield
    except HarnessError:
        raise
    except Exception as error:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _NOT_THE_PLUGINS):
            raise
        place = raised_at(error, home(code)) or home(code)
        where = "" if place is None else f" ({place})"
        text = " ".join(str(error).split())
        raise PluginError(
            f"{what} raised {type(error).__name__}{': ' if text else ''}{text}{where}; mend the plugin ({_DEBUG})"
        ) from error


def home(code: object) -> str | None:
    """Return the file that a plugin's function, class or object comes from."""
    module = sys.modules.get(getattr(code, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    return None if file is None or file.startswith(_OWN) else file


def raised_at(error: BaseException, file: str | None = None) -> str | None:
    """Return `file:line` of the innermost frame that is in `file`, or outside this package and installed libraries."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        name = frame.filename
        if name == file or not name.startswith((_OWN, "<", sys.prefix + "/lib", sys.base_prefix + "/lib")):
            return f"{name}:{frame.lineno}"
    return None


def broken(what: str, given: object, wanted: str, code: object) -> PluginError:
    """Build the error for a plugin that handed back something else than its contract says."""
    place = home(code)
    where = "" if place is None else f" ({place})"
    shown = repr(given)
    return PluginError(f"{what} gave {shown if len(shown) <= 80 else shown[:77] + '...'}{where}; {wanted}")


def check_requests(given: object, what: str, code: object) -> tuple[Request, ...]:
    """Return the requests that a metric or critic makes.

    Raises:
        PluginError: when it is no tuple of requests.
    """
    if not isinstance(given, tuple | list) or not all(
        isinstance(request, Generate | LogLikelihood | RollingLogLikelihood) for request in given
    ):
        wanted = "return a tuple of Generate, LogLikelihood or RollingLogLikelihood, () for none"
        raise broken(f"the requests of {what}", given, wanted, code)
    return tuple(given)


def check_score(given: object, name: str, code: object) -> tuple[float | Unscored | NotApplicable, str]:
    """Return a critic's score and rationale; a score outside [0, 1], or none at all such as NaN, is Unscored.

    Raises:
        PluginError: when it is no pair of them.
    """
    if (
        not isinstance(given, tuple)
        or len(given) != 2
        or not isinstance(given[0], Real | Unscored | NotApplicable)
        or not isinstance(given[1], str)
    ):
        wanted = "score returns (score, rationale): a number in [0, 1], Unscored or NotApplicable, and a text"
        raise broken(f"the critic {name!r}", given, wanted, code)
    score, rationale = given
    if isinstance(score, Unscored | NotApplicable):
        return score, rationale
    if not 0.0 <= score <= 1.0:
        return Unscored(reason=f"critic {name} gave {score!r}, which is outside [0, 1]"), rationale
    return float(score), rationale


def check_supports(model: Model, scheme: str) -> None:
    """Check the kinds of request that a model says it can answer: a misspelt one would never be asked.

    Raises:
        PluginError: naming the one that is unknown.
    """
    kinds = (Generate.type, LogLikelihood.type, RollingLogLikelihood.type)
    wanted = f"it holds some of {', '.join(repr(kind) for kind in kinds)}"
    given: object = model.supports
    if isinstance(given, str) or not isinstance(given, Collection):
        raise broken(f"`supports` of the model scheme {scheme!r}", given, wanted, model)
    for kind in given:
        if kind not in kinds:
            raise broken(f"`supports` of the model scheme {scheme!r}", kind, wanted, model)


def check_findings(given: object, name: str, code: object) -> Findings:
    """Return what a classifier found in one text; probabilities outside [0, 1] make it Unscored.

    Raises:
        PluginError: when it is neither a tuple of findings nor Unscored.
    """
    if isinstance(given, Unscored):
        return given
    if not isinstance(given, tuple | list) or not all(isinstance(finding, Finding) for finding in given):
        raise broken(
            f"the classifier {name!r}", given, "answer each text with a tuple of Finding objects or Unscored", code
        )
    for finding in given:
        if not 0.0 <= finding.probability <= 1.0:
            return Unscored(reason=f"{name} gave the probability {finding.probability} for {finding.label}")
    return tuple(given)


def check_fingerprint(given: object, what: str, code: object) -> str:
    """Return a fingerprint, after checking that it is one: None would stand for every version alike.

    Raises:
        PluginError: when it is no text, or an empty one.
    """
    if not isinstance(given, str) or not given:
        raise broken(f"the fingerprint of {what}", given, "return a text that changes whenever a score could", code)
    return given


def check_fingerprints(given: object, what: str, code: object) -> dict[str, str]:
    """Return the fingerprint of a model, after checking that it is a mapping of texts.

    Raises:
        PluginError: when it is not.
    """
    if not isinstance(given, Mapping) or not all(isinstance(part, str) for item in given.items() for part in item):
        raise broken(f"the fingerprint of {what}", given, "return a mapping of texts to texts", code)
    return dict(given)


def check_principle(given: object) -> Principle:
    """Return what a plugin registers as a principle, after the checks that a constitution's YAML goes through.

    Raises:
        InputError: naming the field.
    """
    if not isinstance(given, Principle):
        raise InputError(f"register_principles was given {given!r}", hint="register a harness.Principle")
    key = f"principle {given.id!r}"
    if not _ID.match(str(given.id)):
        raise InputError("the id may hold lower-case letters, digits, _ and -", key=key, hint="rename it")
    if not given.critics or not _tuple_of(given.critics, str):
        raise InputError(f"critics is {given.critics!r}", key=key, hint='give a tuple of names, such as ("judge",)')
    if given.combine not in {"worst", "mean"}:
        raise InputError(f"combine is {given.combine!r}", key=key, hint="use worst or mean")
    if not 0.0 <= given.threshold <= 1.0 or not given.weight > 0.0:
        raise InputError("threshold lies in [0, 1], and weight is above 0", key=key, hint="mend it")
    if not _tuple_of(given.examples, Example):
        raise InputError("examples is a tuple of Example objects", key=key, hint="mend it")
    for index, example in enumerate(given.examples):
        if example.kind not in {"pass", "fail", "near_miss"}:
            raise InputError(f"examples[{index}].kind is {example.kind!r}", key=key, hint="use pass, fail or near_miss")
    return given


def _tuple_of(given: object, kind: type) -> bool:
    """Tell whether it is a tuple of such objects alone."""
    return isinstance(given, tuple) and all(isinstance(item, kind) for item in given)
