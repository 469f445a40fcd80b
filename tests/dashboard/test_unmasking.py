"""What is shown of a sample after so many passes."""

from hypothesis import given
from hypothesis import strategies as st

from dashboard.figures.order import order
from dashboard.unmasking import MASK, at, decided

HOSTILE = "<b>&amp;[x](http://evil.example)%{x}"
PAIRS = st.lists(st.tuples(st.text(), st.integers(0, 9)), min_size=1)  # a word, and the pass that decided it


@given(PAIRS, st.integers(0, 9))
def test_what_a_pass_decided_is_there_and_the_rest_is_masked(
    pairs: list[tuple[str, int]], shown: int
) -> None:
    words, passes = [word for word, _ in pairs], [each for _, each in pairs]
    text = at(words, passes, shown)
    for word, each in pairs:
        room = len(word) if each <= shown else max(1, len(word))
        own, text = text[:room], text[room:]
        assert own == word if each <= shown else set(own) <= {MASK, "\n"}
    assert text == ""
    assert at(words, passes, max(passes)) == "".join(words)


def test_lines_of_a_masked_text_do_not_jump() -> None:
    assert at(["to", " be\n", "", "or"], [0, 1, 2, 3], 0) == f"to{MASK * 3}\n{MASK}{MASK * 2}"


def test_a_pass_is_said_in_words() -> None:
    words, passes = ["<bos>", "to", " be", HOSTILE], [0, 2, 1, 2]
    assert decided(words, passes, 0) == "before the first pass: 1 given, 3 masked"
    assert decided(words, passes, 1) == 'pass 1 decided 1 token: " be"'
    assert decided(words, passes, 2, most=1) == 'pass 2 decided 2 tokens: "to" and 1 more'
    assert decided(words, passes, 3) == "pass 3 decided 0 tokens"


def test_the_order_is_drawn_as_points_of_what_was_not_given() -> None:
    figure = order(["<bos>", "to", HOSTILE], [0, 2, 1], shown=1)
    (points,) = figure.data
    assert (list(points.x), list(points.y)) == ([1, 2], [2, 1])
    assert points.marker.color[0] != points.marker.color[1]
    assert "<b>" not in points.text[1]
    assert figure.layout.shapes[0].y0 == 1.5
