"""What a person asks of a session, as frozen records: where it works, who is judged, and how suites are run."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import InputError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.reading.config import Config

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """Where a session works, and what holds for all that it does."""

    folder: Path = field(default_factory=Path.cwd)
    """Whose harness.yaml holds."""
    workspace: Path | None = None
    """None is what harness.yaml says, else `.harness` in the folder."""
    config: Config | None = None
    """Replaces the folder's harness.yaml."""
    plugins: tuple[str, ...] = ()
    """Folders, files, modules or `no:NAME`, as for `-p`, besides those of harness.yaml."""
    offline: bool = False
    """No socket may be opened; what would need one is refused."""
    seed: int = 0
    """Of subsets, sampling and resampling: 0 to 2**32 − 1."""
    concurrency: int | None = None
    """Most requests at once to a remote server; None is what harness.yaml says."""
    timeout: float | None = None
    """Seconds that a remote server has for one answer; None is what harness.yaml says."""
    max_requests: int | None = None
    """Most requests to models before the command ends; what the cache answers costs nothing."""
    max_tokens: int | None = None
    """Most tokens that models read and write."""
    max_minutes: float | None = None
    """Most minutes from the first question on."""


@dataclass(frozen=True, kw_only=True)
class CandidateOptions:
    """Who is judged, as a person names it."""

    model: str | None = None
    """Reference of the base; None is what harness.yaml says."""
    adapters: tuple[str, ...] = ()
    """Folders, ids or `promoted`; several compose."""
    system: str | None = None
    """A system prompt, which is part of the candidate."""
    template: str = "auto"
    """The chat template: `auto` (the tokenizer's own), `none`, or the path of a file."""
    dtype: str = "auto"
    device: str = "auto"

    @classmethod
    def of(cls, adapter: str | Path | Sequence[str | Path] = (), **rest: object) -> CandidateOptions:
        """Return the options with one adapter or several, as paths or texts.

        Raises:
            InputError: for an option that there is not.
        """
        names = (adapter,) if isinstance(adapter, str | Path) else adapter
        return _made(cls, {"adapters": tuple(str(name) for name in names), **rest})


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How suites are run."""

    limit: int | None = None
    """At most this many samples a suite, clusters kept whole."""
    data: Path | None = None
    """Replaces the suite's own data file."""
    principles: tuple[str, ...] = ()
    """Registered principles to judge by besides the suite's own."""
    constitution: str | None = None
    """Name or file of the constitution that adherence is judged by instead of the suite's."""
    baseline: str | None = None
    """Of a run: stands for `promoted` in every gate: `base`, a model or an adapter.
    Of a decision: the model that counts as the base."""
    judge: str | None = None
    """Reference of the model that critics ask, for short; None is what harness.yaml says, else what ships for it."""
    roles: tuple[str, ...] = ()
    """Who plays which role, as texts such as `reviser=MODEL` and `judge=MODEL,adapter=REF`."""
    gates: bool = True
    """Whether the suites' gates are checked."""
    temperature: float | None = None
    """Replaces the suite's, as do those that follow: short for `settings`."""
    top_p: float | None = None
    max_new_tokens: int | None = None
    few_shot: int | None = None
    """Solved examples before each question."""
    epochs: int | None = None
    """Draws of each sample, which are one cluster."""
    epochs_reducer: str | None = None
    """What becomes of the draws of one sample: `mean`, `worst`, `best` or `pass@K`."""
    sample_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    exclude_tags: tuple[str, ...] = ()
    shuffle: bool = False
    settings: tuple[str, ...] = ()
    """Any option of the suite, as `KEY=VALUE` with a dotted key."""
    precision_check: int | None = None
    """Samples computed again in float32 for each gate's metric where the dtype is another; 0 is none."""

    def changes(self) -> dict[str, Any]:
        """Return the options of a suite that are set, by dotted key.

        Raises:
            InputError: for a setting that sets nothing, or something twice.
        """
        from harness.reading.changes import parse_changes

        short = {
            "ask.temperature": self.temperature, "ask.top_p": self.top_p, "ask.max_new_tokens": self.max_new_tokens,
            "few_shot.n": self.few_shot, "epochs": self.epochs, "epochs_reducer": self.epochs_reducer,
            "pick.ids": list(self.sample_ids) or None,
            "pick.tags": list(self.tags) or None, "pick.exclude_tags": list(self.exclude_tags) or None,
            "pick.shuffle": self.shuffle or None,
        }  # fmt: skip
        found = {key: value for key, value in short.items() if value is not None}
        written = parse_changes(self.settings)
        for key in sorted(found.keys() & written.keys()):
            raise InputError(f"{key} is set twice", key="--set", hint="keep one of them")
        return found | written

    @classmethod
    def of(cls, **options: object) -> RunOptions:
        """Return the options.

        Raises:
            InputError: for an option that there is not.
        """
        data = options.get("data")
        return _made(cls, {**options, "data": None if data is None else Path(str(data))})


def _made(record: type[T], options: Mapping[str, Any]) -> T:
    require_fields(record, options)
    limit = options.get("limit")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise InputError(f"limit must be a whole number of at least 1, not {limit!r}", key="limit")
    return record(**options)


def require_fields(record: type[Any], names: Iterable[str]) -> None:
    """Refuse names that are no field of a record.

    Raises:
        InputError: with the nearest right spelling.
    """
    known = sorted(field.name for field in fields(record))
    for name in names:
        if name not in known:
            raise unknown_name("option", name, known)
