"""Who says what: the speakers of the training and the test split, and the utterances of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....errors import PumiceError
from .synthesis import Utterance

ENGLISH = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
GERMAN = ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
CLASSES = ENGLISH + GERMAN  # the label is the index

# espeak-ng variants. Families of variants that are nearly the same voice lie on one side of the split.
FEMALE_TRAIN = ("f1", "f3", "f5", "Alicia", "aunty", "grandma", "shelby", "steph", "anika", "zac")
MALE_TRAIN = (
    *("m1", "m2", "m4", "m5", "m6", "m8", "Andy", "Lee", "Jacky", "Mario", "Storm", "Mike", "boris", "caleb", "david"),
    *("benjamin", "ed", "gustave", "ian", "iven3", "john", "marcelo", "max", "miguel", "Hugo", "paul", "sandro"),
    *("travis", "kaukovalta", "Reed"),
)
FEMALE_TEST = ("f2", "f4", "Andrea", "Annie", "linda")
MALE_TEST = (
    *("Alex", "Denis", "Gene", "m3", "m7", "victor", "norbert", "quincy", "robert", "pablo", "Nguyen", "edward"),
    *("klatt3", "rob", "grandpa"),
)
ACCENTS = ("en-us", "en-gb-x-rp", "en-gb-scotland")
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Speaker:
    """One synthetic speaker: an espeak-ng variant with an English accent and habits of speech.

    Attributes:
        id: index over both splits, as stored in ``extra/speaker``.
        variant: espeak-ng variant.
        gender: ``female`` or ``male``.
        accent: espeak-ng voice for English words.
        rate: words per minute.
        pitch: base pitch, 0 to 99.
        range: pitch range, 0 to 99.
    """

    id: int
    variant: str
    gender: str
    accent: str
    rate: int
    pitch: int
    range: int


@dataclass(frozen=True)
class Item:
    """One recording to make: its label, its speaker's id and the utterance."""

    label: int
    speaker: int
    utterance: Utterance


def speakers(seed: int) -> dict[str, tuple[Speaker, ...]]:
    """The speakers of each split; ``seed`` draws their accents and habits."""
    table: dict[str, tuple[Speaker, ...]] = {}
    first = 0
    for split, female, male in (("train", FEMALE_TRAIN, MALE_TRAIN), ("test", FEMALE_TEST, MALE_TEST)):
        members: list[Speaker] = []
        for variant in female + male:
            random = np.random.default_rng([seed, first + len(members)])
            members.append(
                Speaker(
                    id=first + len(members),
                    variant=variant,
                    gender="female" if variant in female else "male",
                    accent=ACCENTS[random.integers(len(ACCENTS))],
                    rate=int(random.integers(110, 161)),
                    pitch=int(random.integers(35, 66)),
                    range=int(random.integers(30, 71)),
                )
            )
        table[split] = tuple(members)
        first += len(members)
    return table


def plan(split: str, count: int, seed: int) -> list[Item]:
    """The first ``count`` recordings of a split: 20 words a take, the speakers taking turns.

    A longer plan begins with the shorter one. Speed, pitch, range and volume vary from word to word.

    Raises:
        PumiceError: no such split, or ``count`` is not a positive multiple of 20.
    """
    if split not in SPLITS:
        raise PumiceError(f"spoken-digits has no split {split!r}; choose train or test")
    if count <= 0 or count % len(CLASSES):
        raise PumiceError(
            f"{count} utterances cannot be balanced over {len(CLASSES)} classes; give a positive multiple of 20"
        )
    members = speakers(seed)[split]
    items = []
    for index in range(count):
        take, label = divmod(index, len(CLASSES))
        speaker = members[take % len(members)]
        random = np.random.default_rng([seed, speaker.id, take, label])
        language = speaker.accent if label < len(ENGLISH) else "de"
        items.append(
            Item(
                label=label,
                speaker=speaker.id,
                utterance=Utterance(
                    text=CLASSES[label],
                    voice=f"{language}+{speaker.variant}",
                    rate=speaker.rate + int(random.integers(-15, 16)),
                    pitch=speaker.pitch + int(random.integers(-8, 9)),
                    range=speaker.range + int(random.integers(-15, 16)),
                    volume=int(random.integers(50, 101)),
                    seed=int(random.integers(1 << 30)),
                ),
            )
        )
    return items
