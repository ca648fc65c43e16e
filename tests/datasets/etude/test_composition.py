"""Composing: what holds of every score, what differs between scores, and the grammar itself."""

import itertools
from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.datasets.base import DataError
from earmark.datasets.etude import patterns
from earmark.datasets.etude.compose import _pitched, compose
from earmark.datasets.etude.patterns import LONGEST_S, Grid, hits
from earmark.datasets.etude.score import (
    NOBODY,
    PIECES,
    SCALES,
    VOICES,
    nearest,
    parse,
    styles,
    voicing,
)
from earmark.datasets.gtzan import GENRES

MANY = [compose(number, seed=11, seconds=10) for number in range(300)]

scores = st.builds(
    compose,
    st.integers(0, 100_000),
    seed=st.integers(0, 2**32),
    seconds=st.one_of(st.floats(2, 40), st.just(10.0)),
)


@given(scores)
def test_a_score_stays_within_the_style_of_its_genre(score):
    style = styles()[score.genre]
    low, high = style.tempo
    factor = 0.7 if score.metre == "6/8" else 1
    assert low * factor - 0.01 <= score.tempo <= high * factor + 0.01
    assert score.metre in style.metres
    assert score.scale in style.harmony
    assert score.progression in style.harmony[score.scale].progressions
    assert style.loudness[0] - 0.01 <= score.loudness <= style.loudness[1] + 0.01
    assert -20 <= score.loudness <= -5
    assert 0 <= score.saturation <= 1
    assert -3 <= score.tilt <= 3
    assert 0 <= score.room.wet <= 0.5
    assert 0 <= score.brightness <= 1


@given(scores)
def test_drums_play_a_pattern_of_the_style_or_there_are_none(score):
    drummers = [part for part in score.parts if part.role == "drums"]
    assert len(drummers) == (score.drum_pattern is not None)
    if score.drum_pattern is None:
        return
    assert score.drum_pattern in styles()[score.genre].drums[score.metre]
    played = {PIECES[note.pitch] for note in drummers[0].notes}
    assert played <= {*patterns.DRUMS[score.drum_pattern], "crash"}
    assert VOICES[drummers[0].voice].family == "drums"


@given(scores)
def test_sections_and_chords_cover_the_whole_track_without_a_gap(score):
    for spans in (score.sections, score.chords):
        assert spans[0].start == 0
        assert spans[-1].end == score.seconds
        assert all(a.end == b.start for a, b in itertools.pairwise(spans))
        assert all(span.start < span.end for span in spans)


@given(scores)
def test_the_texture_changes_from_section_to_section(score):
    assert len(score.sections) >= 2
    for section, following in zip(score.sections, score.sections[1:], strict=False):
        assert section.texture != following.texture
    assert all(section.texture for section in score.sections)
    assert {i for s in score.sections for i in s.texture} == set(range(len(score.parts)))


@given(scores)
def test_notes_lie_in_their_part_s_sections_and_in_its_voice_s_range(score):
    for index, part in enumerate(score.parts):
        voice = VOICES[part.voice]
        assert part.notes
        assert list(part.notes) == sorted(part.notes)
        for note in part.notes:
            (section,) = (s for s in score.sections if s.start <= note.start < s.end)
            assert index in section.texture
            assert 0 < note.duration <= LONGEST_S + 1e-9
            assert note.velocity in (1, 2, 3)
            end = note.start + note.duration
            if part.role == "drums":
                assert 0 <= note.pitch < len(PIECES)
                continue
            assert end <= score.seconds + 1e-9
            assert voice.low <= note.pitch <= voice.high
            last = [s for s in score.sections if s.start < end - 1e-9][-1]
            assert index in last.texture


@given(scores)
def test_something_sounds_from_the_start(score):
    assert min(part.notes[0].start for part in score.parts) == 0


@given(scores)
def test_melodies_keep_to_the_scale_and_chords_to_the_harmony(score):
    scale = {(score.tonic + step) % 12 for step in SCALES[score.scale]}
    for part in score.parts:
        for note in part.notes:
            if part.role in ("lead", "answer"):
                assert note.pitch % 12 in scale
            if part.role in ("chords", "pad"):
                sounding = [c for c in score.chords if c.start <= note.start + 1e-6 < c.end + 1e-6]
                assert any(note.pitch % 12 in chord.pitch_classes for chord in sounding)


@given(scores)
def test_what_parts_say_of_themselves_is_what_they_play(score):
    assert max(part.level for part in score.parts) == 0
    for index, part in enumerate(score.parts):
        active = sum(s.end - s.start for s in score.sections if index in s.texture)
        assert part.density == pytest.approx(len({n.start for n in part.notes}) / active)
        if part.role != "drums":
            mean = sum(note.pitch for note in part.notes) / len(part.notes)
            assert part.register == ("low" if mean < 52 else "high" if mean >= 72 else "middle")


def test_a_score_depends_on_number_seed_and_length_alone():
    again = [compose(number, seed=11, seconds=10) for number in (250, 3, 250)]
    assert again == [MANY[250], MANY[3], MANY[250]]
    assert compose(3, seed=12, seconds=10) != MANY[3]
    assert compose(13, seed=11, seconds=10).parts != MANY[3].parts


def test_every_genre_varies_and_shares_its_instruments_with_others():
    voices, keys, tempi = defaultdict(set), defaultdict(set), defaultdict(list)
    for score in MANY:
        voices[score.genre].update(score.voices)
        keys[score.genre].add(score.key)
        tempi[score.genre].append(score.tempo)
    for genre in GENRES:
        sharing = [other for other in GENRES if len(voices[genre] & voices[other]) >= 3]
        assert len(sharing) >= 4, genre
        assert len(keys[genre]) >= 8, genre
        assert max(tempi[genre]) > 1.15 * min(tempi[genre]), genre


def test_loudness_is_spread_and_both_modes_and_singers_and_instrumentals_are_there():
    loudness = [score.loudness for score in MANY]
    assert min(loudness) < -17
    assert max(loudness) > -6.5
    assert 0.3 < sum(score.mode == "minor" for score in MANY) / len(MANY) < 0.7
    assert 0.2 < sum(bool(score.singers) for score in MANY) / len(MANY) < 0.8
    assert Counter(score.metre for score in MANY)["3/4"] > 5
    assert len({voice for score in MANY for voice in score.voices}) >= 30


@pytest.mark.parametrize(
    "arguments", [(-1, 0, 10), (0, -1, 10), (0, 0, 1), (0, 0, 601), (1.5, 0, 10), (0, "a", 10)]
)
def test_what_no_track_can_be_made_of_is_refused(arguments):
    number, seed, seconds = arguments
    with pytest.raises(DataError, match="an Etude track"):
        compose(number, seed=seed, seconds=seconds)


@pytest.mark.parametrize("genre", GENRES)
def test_the_grammar_names_only_what_there_is(genre):
    style = styles()[genre]
    voices = {"leads", "answers", "chords", "pads", "basses", "kits"}
    named = {voice for field in voices for voice in getattr(style, field)} - {NOBODY}
    assert named <= set(VOICES)
    assert all((VOICES[kit].family == "drums") for kit in set(style.kits) - {NOBODY})
    assert set(style.metres) <= set(patterns.STEPS)
    assert set(style.drums) <= set(style.metres)
    assert set(style.chord_rhythms) <= set(patterns.CHORDS)
    assert set(style.bass_rhythms) <= set(patterns.BASSES)
    for metre in style.metres:
        assert any(patterns.fits(name, metre) for name in style.chord_rhythms)
        assert any(patterns.fits(name, metre) for name in style.bass_rhythms)
    for metre, weights in style.drums.items():
        for name in weights:
            for piece, row in patterns.DRUMS[name].items():
                assert piece in PIECES
                assert len(row) == patterns.STEPS[metre], (name, piece)
    for harmony in style.harmony.values():
        for progression in harmony.progressions:
            assert all(parse(numeral) for numeral in progression.split())


def test_rhythms_have_the_steps_of_their_metre():
    for rows in (patterns.CHORDS, patterns.BASSES):
        for name, row in rows.items():
            metre = next(m for m in ("3/4", "6/8", "4/4") if patterns.fits(name, m))
            assert len(row) == patterns.STEPS[metre], name
            assert hits(row), name


def test_numerals_mean_what_theory_says():
    assert parse("I") == (0, (0, 4, 7))
    assert parse("vi") == (9, (0, 3, 7))
    assert parse("V7") == (7, (0, 4, 7, 10))
    assert parse("iiø") == (2, (0, 3, 6, 10))
    assert parse("bVII") == (10, (0, 4, 7))
    for wrong in ("", "H", "iV", "I9", "viiii", "#IV"):
        with pytest.raises(DataError, match="is no chord numeral"):
            parse(wrong)


def test_chords_move_little_and_stay_in_range():
    first = voicing((0, 4, 7), (), 60, low=40, high=79)
    second = voicing((5, 9, 0), first, 60, low=40, high=79)
    assert {pitch % 12 for pitch in second} == {5, 9, 0}
    assert max(abs(a - b) for a, b in zip(first, second, strict=True)) <= 5
    assert nearest(11, 90, low=48, high=60) == 59
    with pytest.raises(DataError, match="must hold an octave, got 50 to 55"):
        nearest(0, 52, low=50, high=55)


def test_steps_lie_where_metre_and_swing_put_them():
    straight = Grid(10, 120, "4/4", 0.5)
    assert [straight.time(0, step) for step in (0, 1, 2, 4, 16)] == [0, 0.125, 0.25, 0.5, 2.0]
    swung = Grid(10, 60, "4/4", 2 / 3)
    assert [swung.time(1, step) for step in (0, 2, 3)] == pytest.approx([4, 4 + 2 / 3, 4 + 5 / 6])
    compound = Grid(10, 60, "6/8", 0.6)
    assert [compound.time(0, step) for step in (0, 2, 6, 12)] == pytest.approx([0, 1 / 3, 1, 2])
    assert (straight.bars, swung.bars, compound.bars) == (5, 3, 5)


def test_an_ensemble_without_chords_has_a_part_that_sounds_throughout():
    roles = ["lead", "pad", "bass", "drums"]
    assert _pitched([], roles) == (1,)
    assert _pitched([3], roles) == (1, 3)
    assert _pitched([3], ["lead", "chords", "bass", "drums"]) == (1, 3)
