"""The errors that reach a person: one sentence with the cause and the next step, and an exit code."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

EXIT_PASSED = 0
"""All gates passed, or the command did what was asked."""
EXIT_GATE = 1
"""A gate failed or is inconclusive."""
EXIT_INPUT = 2
"""Usage or input error: the caller can mend it."""
EXIT_BROKEN = 3
"""The run itself broke."""
EXIT_LIMIT = 4
"""A spending limit ended it; the same command goes on from there."""
EXIT_INTERRUPTED = 130
"""Ctrl-C (128 + SIGINT), as shells report it."""


class HarnessError(Exception):
    """An error whose message is one sentence for a person.

    Attributes:
        exit_code: what the command line exits with.
    """

    exit_code = EXIT_BROKEN


class InputError(HarnessError):
    """Something a person gave is wrong: a file, a key, a name, an option. Exit code 2.

    Args:
        cause: what is wrong, as a clause without a full stop.
        file: the file it is in.
        line: the 1-based line within it.
        key: the key within it, dotted, such as `gates[0].metric`.
        hint: the next step, as an imperative clause without a full stop.
    """

    exit_code = EXIT_INPUT

    def __init__(
        self,
        cause: str,
        *,
        file: Path | str | None = None,
        line: int | None = None,
        key: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.cause = cause
        self.file = None if file is None else str(file)
        self.line = line
        self.key = key
        self.hint = hint
        place = "" if self.file is None else self.file + (f":{line}" if line is not None else "") + ": "
        where = "" if key is None else f"{key}: "
        step = "" if hint is None else f"; {hint}"
        super().__init__(f"{place}{where}{cause}{step}")


class AlreadyPromotedError(InputError):
    """The candidate is what is promoted, so that there is nothing to decide. A repeated demo or recipe expects it."""


class MissingSplitError(InputError):
    """A source has a split of that name, and its file is not there. Exit code 2."""


class BrokenRunError(HarnessError):
    """The run itself broke through no fault of its input: a crash, a full disk, a lost server. Exit code 3."""


class SpendingLimitError(HarnessError):
    """A command asked as much of models as it may. Exit code 4; what was answered is kept."""

    exit_code = EXIT_LIMIT


class BaseChangedError(BrokenRunError):
    """A base that candidates share is not what it was: nothing that it answered since it was loaded is believed."""


class TemplateRefusalError(Exception):
    """The chat template cannot render this conversation, such as two user turns in a row; the message says why."""


class ContractError(AssertionError):
    """A plugin breaks its contract; the message says how, a line for each way."""


class MissingDependencyError(InputError):
    """A package that only some plugins need is not installed; the message names the command that installs it."""

    def __init__(self, package: str, extra: str, *, needed_by: str) -> None:
        super().__init__(
            f"{needed_by} needs the package {package}, which is not installed",
            hint=f"install it with: pip install 'harness[{extra}]'",
        )


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest in spelling to `name`, or None when nothing is close."""
    matches = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return matches[0] if matches else None


def unknown_name(
    what: str, name: str, known: Iterable[str], *, file: Path | str | None = None, line: int | None = None,
    key: str | None = None,
) -> InputError:  # fmt: skip
    """Build the error for a name that nothing answers to, with the nearest right spelling and the known names."""
    names = sorted(known)
    close = nearest(name, names)
    if close is not None:
        hint = f"did you mean {close!r}?"
    elif names:
        shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        hint = f"known: {shown}"
    else:
        hint = "none are registered"
    return InputError(f"no {what} is called {name!r}", file=file, line=line, key=key, hint=hint)


def unknown_id(what: str, given: str, newest_first: Sequence[str], *, listed: str, made: str) -> InputError:
    """Build the error for an id that nothing has, with the nearest one or the newest few.

    Args:
        what: the thing, in one word.
        given: what somebody wrote.
        newest_first: all ids there are.
        listed: the command that lists them.
        made: the command that makes one, for where there is none.
    """
    close = nearest(given, newest_first)
    if not newest_first:
        hint = f"there are none yet; make one with: {made}"
    elif close is not None:
        hint = f"did you mean {close!r}? see: {listed}"
    else:
        newest = ", ".join(newest_first[:3])
        hint = f"the newest: {newest}; see: {listed}" if len(newest_first) > 1 else f"the only one is {newest}"
    return InputError(f"no {what} is called {given!r}", hint=hint)
