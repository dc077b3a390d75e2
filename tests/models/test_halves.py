"""Products of bfloat16 halves are products of float32, in scores and in texts; on processors without them, by a stand-in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from harness.contracts import RunContext  # noqa: E402 - torch first
from harness.types import Decoding  # noqa: E402
from harness_models.hf import halves, llama  # noqa: E402
from harness_models.hf.batching import Budget  # noqa: E402
from harness_models.hf.generation import Ask, Generated, generate  # noqa: E402
from harness_models.hf.halves import Halves, multiplication, split  # noqa: E402
from harness_models.hf.loading import Loaded, load  # noqa: E402
from harness_models.hf.planning import Branches  # noqa: E402
from harness_models.hf.scoring import Scored, _compared, score  # noqa: E402
from tests.models.conftest import spec_of  # noqa: E402
from tests.models.test_llama import save  # noqa: E402


def stand_in(one: Any, other: Any, result: Any, add: int) -> None:
    found = one.float() @ other.float().T
    result.copy_(result + found if add else found)


@pytest.fixture(params=["stand-in", "this processor's"])
def multiply(request: pytest.FixtureRequest) -> halves.Multiply:
    if request.param == "stand-in":
        return stand_in
    found = multiplication()
    if found is None:
        pytest.skip("this processor has no matrix units for bfloat16, or this torch no MKL")
    return found


def drawn(*shape: int, seed: int = 0) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("rows", [1, 3, halves._FEW, halves._FEW + 1, 200])
@pytest.mark.parametrize("biased", [False, True])
def test_a_product_of_halves_is_one_of_float32(rows: int, biased: bool, multiply: halves.Multiply) -> None:
    weight, given, bias = drawn(300, 256), drawn(rows, 256, seed=1), drawn(300, seed=2) if biased else None
    layer = Halves(weight, multiply, bias)
    expected = torch.nn.functional.linear(given.double(), weight.double(), None if bias is None else bias.double())
    assert float((layer(given) - expected).abs().max()) <= 2e-5 * float(expected.abs().max())
    assert layer(given.view(1, rows, 256)).shape == (1, rows, 300)
    inside = layer.product(given, 100, 140)
    assert float((inside - (given @ weight.T)[:, 100:140]).abs().max()) <= 2e-5 * float(expected.abs().max())


def test_weights_that_are_bfloat16_have_no_small_halves(multiply: halves.Multiply) -> None:
    weight, given = drawn(64, 32).bfloat16().float(), drawn(5, 32, seed=1)
    layer = Halves(weight, multiply)
    assert layer.low is None
    assert torch.equal(layer.rows(torch.tensor([[3, 5]])), weight[[3, 5]][None])
    assert torch.allclose(layer(given), given @ weight.T, atol=1e-4)


def test_halves_hold_seventeen_bits() -> None:
    numbers = drawn(10_000)
    high, low = split(numbers)
    assert float(((high.float() + low.float() - numbers) / numbers).abs().max()) <= 2.0**-17


@pytest.mark.parametrize("spread", [1.0, 1e-3, 0.0])
def test_the_likeliest_is_that_of_the_whole_product(spread: float, multiply: halves.Multiply) -> None:
    """Also where many outputs are so close that large halves cannot tell them apart, or all are equal."""
    weight, given = drawn(1, 128, seed=4) + spread * drawn(700, 128), drawn(40, 128, seed=1)
    layer = Halves(weight, multiply)
    exact = given.double() @ (layer.high.double() + (0 if layer.low is None else layer.low.double())).T
    found = layer.likeliest(given)
    if spread:
        best = exact.amax(dim=-1)
        assert float((best - exact[torch.arange(40), torch.tensor(found)]).max()) <= 1e-4
        assert sum(a == b for a, b in zip(found, exact.argmax(dim=-1).tolist(), strict=True)) >= 38
    else:
        assert found == [0] * 40


@pytest.mark.parametrize("step", [7, 50])
def test_log_p_by_slices_is_that_of_the_whole(step: int) -> None:
    logits = 5 * drawn(6, 50)
    logits[1, 3] = logits[1, 40] = 90.0  # equal: the first counts
    at = torch.tensor([0, 1, 1, 2, 2, 3, 5, 4])
    tokens = torch.tensor([9, 3, 40, int(logits[2].argmax()), 0, 49, int(logits[5].argmax()), 25])
    slices = ((first, logits[:, first : first + step].clone()) for first in range(0, 50, step))
    found, leads = _compared(slices, at, tokens)
    expected = logits.double().log_softmax(dim=-1)[at, tokens]
    assert float((found - expected).abs().max()) <= 1e-5
    assert leads.tolist() == (logits.argmax(dim=-1)[at] == tokens).tolist()


@pytest.fixture
def bases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Loaded, Loaded]:
    """Return a base in halves, and the same in float32."""
    folder = save(
        tmp_path / "base", hidden_size=64, intermediate_size=96, num_key_value_heads=2, initializer_range=0.15
    )
    spec, context = spec_of(folder), RunContext(offline=True, weights=tmp_path)
    monkeypatch.setattr(llama, "multiplication", lambda: None)
    plain = load(spec, context, bare=True)
    monkeypatch.setattr(llama, "SMALLEST", 32)
    monkeypatch.setattr(llama, "multiplication", lambda: stand_in)
    split_up = load(spec, context, bare=True)
    assert (split_up.sliced, plain.sliced) == (True, False)
    return split_up, plain


def test_scores_of_halves_are_those_of_float32(bases: tuple[Loaded, Loaded]) -> None:
    rows = [
        Branches(context=tuple(range(3, 9 + n)), continuations=((5, 7 + n, 11), (20,), (21 + n, 8))) for n in range(5)
    ]
    found: list[dict[int, Scored | None]] = [{}, {}]
    for loaded, into in zip(bases, found, strict=True):
        score(loaded, rows, Budget(tokens=256, rows=8), into.__setitem__)
    for index in range(5):
        ours, theirs = found[0][index], found[1][index]
        assert ours is not None
        assert theirs is not None
        for one, other in zip(ours.scores, theirs.scores, strict=True):
            assert one.logprob == pytest.approx(other.logprob, abs=1e-3)
            assert one.is_greedy == other.is_greedy


def test_texts_of_halves_are_those_of_float32(bases: tuple[Loaded, Loaded]) -> None:
    asks = [
        Ask(prompt=tuple(range(4 + n, 12 + 3 * n)), decoding=Decoding(max_new_tokens=12), room=12) for n in range(4)
    ]
    found: list[dict[int, Generated | None]] = [{}, {}]
    for loaded, into in zip(bases, found, strict=True):
        generate(loaded, asks, Budget(tokens=256, rows=3), loaded.tokenizer.decode, into.__setitem__)
    for index in range(4):
        ours, theirs = found[0][index], found[1][index]
        assert ours is not None
        assert theirs is not None
        assert ours.ids == theirs.ids
