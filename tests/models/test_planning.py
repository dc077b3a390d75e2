"""Plans cover every path once, forward what is shared once, and keep to their limits."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_models.hf.layout import lay_out
from harness_models.hf.planning import Branches, Plan, common, plan, separate

TOKENS = st.integers(1, 4)


@st.composite
def rows(draw: st.DrawFn) -> list[Branches]:
    head = draw(st.lists(TOKENS, max_size=40))
    stems = [[*head, *rest] for rest in draw(st.lists(st.lists(TOKENS, max_size=50), min_size=1, max_size=6))]
    found: dict[tuple[int, ...], tuple[tuple[int, ...], ...]] = {}
    for _ in range(draw(st.integers(1, 20))):
        stem = draw(st.sampled_from(stems))
        context = (0, *stem[: draw(st.integers(0, len(stem)))], *draw(st.lists(TOKENS, max_size=12)))
        answers = draw(st.lists(st.lists(TOKENS, min_size=1, max_size=5).map(tuple), min_size=1, max_size=4))
        found[context] = tuple(dict.fromkeys(answers))
    return [Branches(context=context, continuations=answers) for context, answers in found.items()]


def nodes(asked: list[Branches]) -> int:
    """Count the nodes of the trie, the slow way."""
    return len(
        {
            (row.context + answer)[:end]
            for row in asked
            for answer in row.continuations
            for end in range(1, len(row.context) + len(answer))
        }
    )


def prefix_of(found: Plan, group: int) -> tuple[int, ...]:
    prefix, tokens = found.groups[group].prefix, ()
    while prefix is not None:
        tokens, prefix = prefix.tokens + tokens, prefix.parent
    return tokens


@given(asked=rows(), most=st.integers(1, 200))
def test_every_path_is_in_one_pack_behind_its_own_beginning(asked: list[Branches], most: int) -> None:
    found = plan(asked, pack_tokens=most)
    wanted = [(index, number) for index, row in enumerate(asked) for number in range(len(row.continuations))]
    assert sorted((path.row, path.number) for path in found.paths) == wanted
    covered = [index for group in found.groups for pack in group.packs for index in range(pack.first, pack.last)]
    assert sorted(covered) == list(range(len(found.paths)))
    for number, group in enumerate(found.groups):
        beginning = prefix_of(found, number)
        assert len(beginning) == group.depth
        for pack in group.packs:
            for path in found.paths[pack.first : pack.last]:
                assert path.tokens[: group.depth] == beginning
                assert path.tokens == (asked[path.row].context + asked[path.row].continuations[path.number])[:-1]
                assert path.context > group.depth  # the state that predicts the continuation is in the pack


@given(asked=rows(), most=st.integers(1, 200))
def test_a_layout_is_its_part_of_the_trie(asked: list[Branches], most: int) -> None:
    """What a token sees, in order, is what stands before it in each path through it."""
    found = plan(asked, pack_tokens=most)
    for group in found.groups:
        for pack in group.packs:
            layout = lay_out(found, pack, group.depth, asked)
            assert len(layout.tokens) == pack.size
            seen = {
                at: [j for j in range(at + 1) if at < layout.ends[j]] for at in range(len(layout.tokens))
            }  # fmt: skip
            for at, before in seen.items():
                assert [layout.positions[j] for j in before] == list(range(group.depth, layout.positions[at] + 1))
            for index in range(pack.first, pack.last):
                path = found.paths[index]
                reads = [(state, token) for own, state, token in layout.reads if own == index]
                assert tuple(token for _, token in reads) == asked[path.row].continuations[path.number]
                for offset, (state, _) in enumerate(reads):
                    spelled = tuple(layout.tokens[j] for j in seen[state])
                    assert spelled == path.tokens[group.depth : path.context + offset]
            if not pack.branching:
                assert layout.positions == list(range(group.depth, group.depth + pack.size))


@given(asked=rows())
def test_with_room_enough_each_token_is_forwarded_once(asked: list[Branches]) -> None:
    assert plan(asked, pack_tokens=10_000).tokens == nodes(asked)
    assert plan(asked, pack_tokens=1).tokens <= separate(asked).tokens


@given(asked=rows(), most=st.integers(1, 200), more=st.integers(0, 40))
def test_no_pack_is_larger_than_it_may_be(asked: list[Branches], most: int, more: int) -> None:
    longest = max(len(row.context) + max(map(len, row.continuations)) for row in asked)
    found = plan(asked, pack_tokens=most, window=longest + more)
    for group in found.groups:
        for pack in group.packs:
            alone = max(len(found.paths[i].tokens) for i in range(pack.first, pack.last)) - group.depth
            assert pack.size <= max(most, 1.5 * alone)
            assert group.depth + pack.size <= longest + more


def test_what_many_have_in_common_is_a_prefix() -> None:
    shots = tuple(range(100, 400))
    asked = [Branches(context=(*shots, n, n + 1, n + 2), continuations=((7,), (8, 9))) for n in range(200)]
    found = plan(asked, pack_tokens=64)
    (group,) = found.groups
    assert group.depth == 300
    assert len(group.packs) > 5
    assert found.tokens == nodes(asked)


@pytest.mark.parametrize("subjects", [2, 12, 57])
@pytest.mark.parametrize("questions", [2, 5, 20])
def test_as_many_beginnings_are_forwarded_once_as_there_are(subjects: int, questions: int) -> None:
    draw = random.Random(subjects * questions)
    shots = [tuple(draw.choices(range(50_000), k=draw.randrange(300, 900))) for _ in range(subjects)]
    asked = [
        Branches(context=(0, *own, *draw.choices(range(50_000), k=draw.randrange(40, 160))), continuations=((1,), (2,)))
        for own in shots
        for _ in range(questions)
    ]
    draw.shuffle(asked)
    distinct = 1 + sum(map(len, shots)) + sum(len(row.context) - 1 for row in asked)
    distinct -= questions * sum(map(len, shots))
    assert distinct <= plan(asked, pack_tokens=256).tokens <= 1.03 * distinct


def test_a_cut_is_where_least_is_repeated() -> None:
    """A small family before a large one: the large one fits a pack, so that it is not torn to fill up the first."""
    small = [Branches(context=(1, *range(100, 120), n), continuations=((7, 8),)) for n in (1, 2)]
    large = [Branches(context=(2, *range(200, 240), n, n, n), continuations=((7, 8),)) for n in range(5)]
    found = plan([*small, *large], pack_tokens=64)
    assert found.tokens == nodes([*small, *large])
    assert [pack.size for group in found.groups for pack in group.packs] == [25, 61]


def test_prefixes_nest_and_parents_come_first() -> None:
    asked = [
        Branches(context=(*range(1000, 1100), *range(s, s + 80), n), continuations=((1, 2, 3), (4, 5)))
        for s in (100, 300)
        for n in range(60)
    ]
    found = plan(asked, pack_tokens=64)
    depths = [group.depth for group in found.groups]
    assert depths == [100, 180, 180]
    assert all(group.prefix is not None and group.prefix.parent is found.groups[0].prefix for group in found.groups[1:])
    assert found.tokens == nodes(asked)


def test_a_trie_deeper_than_python_recurses_is_planned() -> None:
    document = tuple(range(3000))
    asked = [Branches(context=document[:end], continuations=((5000, 5001),)) for end in range(20, 3000, 2)]
    found = plan(asked, pack_tokens=16)
    assert sum(pack.last - pack.first for group in found.groups for pack in group.packs) == len(asked)


def test_nothing_is_no_plan() -> None:
    assert plan([], pack_tokens=8) == Plan(paths=(), groups=())
    assert separate([]).tokens == 0


@given(one=st.lists(TOKENS).map(tuple), other=st.lists(TOKENS).map(tuple))
def test_common_counts_leading_tokens(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    count = common(one, other)
    assert one[:count] == other[:count]
    assert one[count : count + 1] != other[count : count + 1] or count == len(one) == len(other)


@pytest.mark.parametrize("most", [1, 16, 256])
def test_separate_paths_share_nothing(most: int) -> None:
    asked = [Branches(context=(1, 2, 3), continuations=((4, 5), (6,)))] * 2
    found = separate(asked)
    assert found.tokens == 4 + 3 + 4 + 3
    assert all(pack.last - pack.first == 1 and not pack.branching for pack in found.groups[0].packs)
    assert plan(asked, pack_tokens=most).tokens <= found.tokens
