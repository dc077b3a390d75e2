"""Runs the classifiers over the replies, with their findings remembered by fingerprint and text."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from harness.engine.keys import finding_key
from harness.errors import BrokenRunError, InputError
from harness.plugin_code import check_findings, plugin_code
from harness.serial import from_json, to_json
from harness.types import Findings, Unscored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.contracts import Classifier, Progress
    from harness.engine.reply_writer import ReplyCache
    from harness.types import ClassifierStatus

_BATCH = 64


def classify(
    classifiers: Mapping[str, Classifier],
    status: Sequence[ClassifierStatus],
    texts: Sequence[str | None],
    *,
    cache: ReplyCache | None,
    progress: Progress,
) -> list[dict[str, Findings]]:
    """Return each text's findings by classifier; a text that is None gets Unscored from all.

    A classifier that did not load answers Unscored for every text, with its reason.
    """
    results: list[dict[str, Findings]] = [{} for _ in texts]
    for entry in status:
        if not entry.ran:
            for result in results:
                result[entry.name] = Unscored(reason=f"{entry.name} did not run: {entry.reason}")
            continue
        found = _one(entry.name, classifiers[entry.name], entry.fingerprint, texts, cache, progress)
        for result, text in zip(results, texts, strict=True):
            result[entry.name] = Unscored(reason="there is no reply to classify") if text is None else found[text]
    return results


def _one(
    name: str,
    classifier: Classifier,
    fingerprint: str,
    texts: Sequence[str | None],
    cache: ReplyCache | None,
    progress: Progress,
) -> dict[str, Findings]:
    distinct = list(dict.fromkeys(text for text in texts if text is not None))
    keys = {text: finding_key(fingerprint, text) for text in distinct}
    stored = cache.get_many(list(keys.values())) if cache is not None else {}
    found: dict[str, Findings] = {}
    for text in distinct:
        if keys[text] in stored:
            with suppress(InputError):  # a damaged entry is classified again
                found[text] = from_json(Findings, stored[keys[text]])  # type: ignore[arg-type]
    missing = sorted((text for text in distinct if text not in found), key=len)
    if not missing:
        return found
    bar = progress.start(f"classify: {name}", len(missing), unit="texts")
    try:
        for begin in range(0, len(missing), _BATCH):
            batch = missing[begin : begin + _BATCH]
            with plugin_code(f"the classifier {name!r}", classifier):
                answers = [check_findings(given, name, classifier) for given in classifier.classify(batch)]
            if len(answers) != len(batch):
                raise BrokenRunError(f"the classifier {name} gave {len(answers)} answers to {len(batch)} texts")
            found.update(zip(batch, answers, strict=True))
            if cache is not None:
                cache.put_many(
                    {
                        keys[text]: to_json(answer, Findings).encode()
                        for text, answer in zip(batch, answers, strict=True)
                        if not isinstance(answer, Unscored)
                    }
                )
            bar.advance(len(batch))
    finally:
        bar.finish()
    return found
