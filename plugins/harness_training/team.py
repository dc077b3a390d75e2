"""The processes that train one recipe together, as `accelerate launch` and `torchrun` start them.

All of them run the stages that train, each on its share of every batch. The first one does everything else: it alone
asks models, writes into the workspace, and speaks; the others wait for it, and throw away what they made.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from harness.api import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE = timedelta(days=30)
"""For which the others wait: what the first one does alone, such as asking models, may take long."""


@dataclass(frozen=True)
class Team:
    """One of several processes, or the only one."""

    rank: int = 0
    size: int = 1

    @classmethod
    def of_environment(cls) -> Team:
        """Return the team that the launcher's environment variables name; the only process where there are none.

        Raises:
            InputError: where they name several processes, and not where these meet.
        """
        try:
            size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
        except ValueError:
            return cls()
        if size <= 1:
            return cls()
        absent = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
        if absent:
            raise InputError(
                f"the environment variable WORLD_SIZE says {size} processes, and {absent[0]} is not set",
                hint="start them by torchrun or accelerate launch, or unset WORLD_SIZE",
            )
        return cls(rank=rank, size=size)

    @property
    def leads(self) -> bool:
        """Whether this process does what only one may do."""
        return self.rank == 0

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Find the other processes, and let them go at the end. Waits for all of them."""
        if self.size == 1:
            yield
            return
        import torch
        from torch import distributed

        cuda = torch.cuda.is_available()
        if cuda:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=_PATIENCE)
        try:
            distributed.barrier()
            yield
        finally:
            distributed.destroy_process_group()

    def agreed(self, *, word: bool) -> bool:
        """Return the first process's word. Waits for all of them."""
        if self.size == 1:
            return word
        from torch import distributed

        words = [word]
        distributed.broadcast_object_list(words, src=0)
        return words[0]
