"""Pictures of mistakes and disagreements on the page, against the samples and both models' decisions."""

import re

import numpy as np


def softmax(rows):
    shares = np.exp(rows - rows.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


def places(path):
    """The cells that horizontal strokes of a path go through."""
    found, x, y = set(), 0, 0.0
    for across, down, length in re.findall(r"m(-?\d+) ?(-?[\d.]+)h(\d+)", path):
        x, y = x + int(across), y + float(down)
        found |= {(column, int(y - 0.5)) for column in range(x, x + int(length))}
        x += int(length)
    return found


def chosen(shown):
    """Samples of either kind by their shares, the surest first."""
    sure, floats = softmax(shown.logits).max(1), shown.floats.argmax(1)
    wrong = np.flatnonzero(shown.integers != shown.labels)
    apart = np.flatnonzero(shown.integers != floats)
    return [sorted(kind.tolist(), key=lambda n: -sure[n])[:6] for kind in (wrong, apart)], len(wrong)


def test_the_surest_mistakes_and_where_both_differ(shown, figures):
    kinds, wrong = chosen(shown)
    names, headings = shown.program.class_names, list(shown.page.text)
    heading = f"The {len(kinds[0])} most confident of {wrong}"
    assert heading in headings
    texts = [shown.page.text[heading], shown.page.source.split("<h2>Mistakes</h2>")[1].split("<h3>")[2]]
    shares = softmax(shown.logits).max(1), softmax(shown.floats).max(1)
    for text, numbers in zip(texts, kinds, strict=True):
        told = re.findall(r"Sample (\d+), (.*?): integers (.*?) \((.*?)\), float (.*?) \((.*?)\); ([\d.]+) s", text)
        assert [int(entry[0]) for entry in told] == numbers
        for number, label, integer, sure, other, other_sure, seconds in told:
            number, times = int(number), shown.samples[int(number)][1]
            assert label == names[shown.labels[number]]
            assert (integer, other) == (names[shown.integers[number]], names[shown.floats[number].argmax()])
            assert figures.near(sure, shares[0][number], 100)
            assert figures.near(other_sure, shares[1][number], 100)
            assert figures.near(seconds, (times[-1] - times[0]) / 1e6)


def test_pictures_hold_the_events_of_their_samples(shown):
    pictures = re.findall(r'<svg class="raster"[^>]*Events of test sample (\d+)"[^>]*>(.*?)</svg>', shown.page.source)
    assert [int(number) for number, _ in pictures] == [*chosen(shown)[0][0], *chosen(shown)[0][1]]
    for number, drawn in pictures:
        tokens, times = shown.samples[int(number)]
        expected = {
            (int((time - times[0]) * 119 // (times[-1] - times[0])), int(47 - token * 48 // 700))
            for token, time in zip(tokens, times, strict=True)
        }
        assert set().union(*map(places, re.findall(r' d="([^"]*)"', drawn))) == expected
        assert len(drawn) < 4000
