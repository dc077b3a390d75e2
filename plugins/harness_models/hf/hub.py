"""Keeping the hub's libraries from the network where all that they load is here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def asking_no_hub() -> Iterator[None]:
    """Let no library of the hub open a socket: transformers and peft ask it even about local folders."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
