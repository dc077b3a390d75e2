"""Keys and values in slots: which pages they take, and that no row sees what another left."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from harness_models.hf import pages
from harness_models.hf import slots as slots_module
from harness_models.hf.slots import Slots
from tests.models.test_hf_continuous import OWN, asks, loaded, prompt, run

__all__ = ["loaded"]


@pytest.mark.parametrize("columns", [64, 999, 1_000])
def test_a_row_s_pages_go_back_and_no_other_s(columns: int) -> None:
    given = pages.paged((4, 3, columns, 30), torch.zeros(1))
    given[:] = 1
    assert pages.gives_back(given) is (sys.platform == "linux" and given.nbytes >= 2**16)
    pages.clear(given, 2, columns)
    assert given[2].eq(0).all()
    assert given[[0, 1, 3]].eq(1).all()
    plain = torch.ones(3, 2, 5, 4)
    pages.clear(plain, 1, 3)
    assert plain[1, :, :3].eq(0).all()
    assert plain[1, :, 3:].eq(1).all()
    assert plain[[0, 2]].eq(1).all()


@pytest.mark.parametrize("smallest", [1, 2**16])
def test_nothing_of_a_row_that_left_is_seen(smallest: int, loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even NaN, which a weight of zero does not hide."""
    model, _ = loaded(OWN)
    monkeypatch.setattr(pages, "_SMALLEST", smallest)
    states = []
    for spoilt in (False, True):
        rows = Slots(model)
        with torch.inference_mode():
            for number, length in enumerate((30, 9)):
                rows.enter(1, 40, 1 - number)
                rows.fill([prompt(number, length)])
            if spoilt:
                for parts in rows.homes[0].room.values():
                    for part in parts:
                        part[0, :, :30] = torch.nan
            rows.leave(0)
            states.append([rows.step([3 + step], [9 + step]) for step in range(12)])
    assert all(torch.equal(*pair) for pair in zip(*states, strict=True))


def test_a_long_prompt_comes_in_pieces_where_it_comes_alone(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = loaded(OWN)
    assert model.apart
    asked = asks([prompt(0, 61), prompt(1, 9), prompt(2, 11)], room=6)
    whole = [generated.text for generated in run(model, asked)]
    widths = []
    inner = type(model).hidden

    def forwarding(self: Any, ids: Any, **more: Any) -> Any:
        widths.append(tuple(ids.shape))
        return inner(self, ids, **more)

    monkeypatch.setattr(slots_module, "_PIECE", 25)
    monkeypatch.setattr(type(model), "hidden", forwarding)
    assert [generated.text for generated in run(model, asked)] == whole
    assert [width for width in widths if width[1] > 1] == [(1, 25), (1, 25), (1, 11), (2, 11)]
