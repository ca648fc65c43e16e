"""Composing: a score drawn from the style of the track's genre."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from earmark.datasets.etude import patterns
from earmark.datasets.etude.patterns import Grid, fits
from earmark.datasets.etude.score import (
    NOBODY,
    PIECES,
    VOICES,
    Chord,
    Draws,
    Mode,
    Note,
    Part,
    Register,
    Role,
    Room,
    Scale,
    Score,
    Section,
    Style,
    check_track,
    genre_of,
    parse,
    styles,
)

BORROWING = 0.12
"""How likely a track takes an instrument that another genre would give to the role."""

_MINOR = ("aeolian", "dorian", "phrygian", "harmonic minor")
_ROOMS = (0.3, 0.6, 1.0, 1.4, 1.8)
_ATTEMPTS = 4
_COMPOUND = 0.7
"""Tempo of the dotted beats of 6/8 against the beats of a simple metre."""
_LEVELS: Mapping[Role, float] = {
    "lead": 0.0,
    "answer": -3.0,
    "chords": -5.0,
    "pad": -8.0,
    "bass": -1.0,
    "drums": -1.0,
}


@dataclass(frozen=True, slots=True)
class _Seat:
    """Who plays what before there are notes."""

    voice: str
    role: Role
    centre: float
    """The MIDI pitch around which it plays."""


def compose(number: int, *, seed: int, seconds: float) -> Score:
    """Return the score of a track; it depends on these three and ``score.VERSION`` alone.

    Parameters
    ----------
    number
        From 0; the genre is ``genre_of(number)``.
    seed
        Of the corpus, from 0.
    seconds
        How long the track lasts, 2 to 600.

    Raises
    ------
    DataError
        If an argument is out of its range.
    """
    check_track(number, seed=seed, seconds=seconds)
    genre = genre_of(number)
    style, draws = styles()[genre], Draws(seed, number, 0)
    # What makes a track lively makes it fast, loud, dense and bright together, though not alone.
    energy = draws.uniform()
    metre = draws.weighted(style.metres)
    tempo = _lively(style.tempo, energy, 0.5, draws) * (_COMPOUND if metre == "6/8" else 1)
    grid = Grid(seconds, round(tempo, 2), metre, round(draws.between(*style.swing), 3))
    tonic = draws.whole(0, 11)
    scale = draws.weighted({name: entry.weight for name, entry in style.harmony.items()})
    progression = draws.pick(style.harmony[scale].progressions)
    chords = _chords(grid, progression, tonic, style, draws)
    pattern, kit = _drums(style, metre, draws)
    seats = _seats(style, kit, draws)
    busy = _lively(style.busy, energy, 0.5, draws)
    rhythms = _rhythms(style, metre, draws)
    lines = [
        patterns.drums(grid, pattern, draws)
        if seat.role == "drums" and pattern
        else _line(grid, seat, chords, rhythms, draws, tonic, scale, busy)
        for seat in seats
    ]
    plan, played = _form(grid, seats, lines, draws)
    parts = _parts(played, plan, draws)
    loudness = _lively(style.loudness, energy, 0.6, draws)
    wet = draws.between(*style.wet)
    return Score(
        number=number,
        seed=seed,
        seconds=seconds,
        genre=genre,
        tempo=grid.tempo,
        metre=metre,
        swing=grid.swing,
        tonic=tonic,
        mode=_mode(scale),
        scale=scale,
        progression=progression,
        chords=chords,
        drum_pattern=pattern if parts[-1].role == "drums" else None,
        parts=parts,
        sections=plan,
        room=Room(_ROOMS[min(int(wet * 10 + draws.uniform()), 4)], round(wet, 3)),
        saturation=round(_lively(style.saturation, energy, 0.4, draws), 3),
        tilt=round(2 * _lively(style.tilt, energy, 0.3, draws)) / 2,
        loudness=round(loudness, 2),
    )


def _lively(bounds: tuple[float, float], energy: float, weight: float, draws: Draws) -> float:
    """Return a number between the bounds that follows the energy by the weight."""
    share = weight * energy + (1 - weight) * draws.uniform()
    return bounds[0] + (bounds[1] - bounds[0]) * share


def _mode(scale: Scale) -> Mode:
    return "minor" if scale in _MINOR else "major"


def _chords(
    grid: Grid, progression: str, tonic: int, style: Style, draws: Draws
) -> tuple[Chord, ...]:
    bars = float(draws.weighted(style.bars_per_chord))
    span = (1.0 if grid.metre == "3/4" and bars < 1 else bars) * grid.bar
    numerals = progression.split()
    chords: list[Chord] = []
    start = 0.0
    while start < grid.seconds - 1e-6:
        numeral = numerals[len(chords) % len(numerals)]
        above, quality = parse(numeral)
        root = (tonic + above) % 12
        end = min((len(chords) + 1) * span, grid.seconds)
        classes = tuple((root + interval) % 12 for interval in quality)
        chords.append(Chord(start, end, root, classes, numeral))
        start = len(chords) * span
    return tuple(chords)


def _drums(style: Style, metre: str, draws: Draws) -> tuple[str | None, str]:
    """Return the name of the drum pattern and who plays it."""
    kit = draws.weighted(style.kits)
    if kit == NOBODY or metre not in style.drums:
        return None, NOBODY
    return draws.weighted(style.drums[metre]), kit


def _seats(style: Style, kit: str, draws: Draws) -> list[_Seat]:
    """Return who plays: a lead and chords always, the other roles as the style has them."""
    weights = {
        "lead": style.leads,
        "chords": style.chords,
        "answer": style.answers,
        "pad": style.pads,
        "bass": style.basses,
    }
    chosen = {role: draws.weighted(voices) for role, voices in weights.items()}
    if draws.chance(BORROWING):
        other = draws.pick(list(styles().values()))
        if draws.chance(0.5):
            chosen["lead"] = draws.weighted(other.leads)
        else:
            chosen["chords"] = draws.weighted(other.chords)
    if chosen["answer"] == chosen["lead"] != "distorted guitar":
        chosen["answer"] = NOBODY
    seats = [_Seat(voice, role, _centre(voice, role, draws)) for role, voice in _named(chosen)]
    return seats if kit == NOBODY else [*seats, _Seat(kit, "drums", 60.0)]


def _named(chosen: Mapping[str, str]) -> list[tuple[Role, str]]:
    roles: tuple[Role, ...] = ("lead", "answer", "chords", "pad", "bass")
    return [(role, chosen[role]) for role in roles if chosen[role] != NOBODY]


def _centre(voice: str, role: Role, draws: Draws) -> float:
    """Return the pitch around which a voice plays in a role."""
    low, high = VOICES[voice].low, VOICES[voice].high
    if role in ("lead", "answer"):
        return low + (high - low) * draws.pick((0.4, 0.55, 0.7))
    # Power chords lie low; other chords around the middle C, where their thirds stay clear.
    wanted = 50.0 if voice == "distorted guitar" else draws.between(56, 67)
    return min(max(wanted, low + 6), high - 6)


def _rhythms(style: Style, metre: str, draws: Draws) -> tuple[str, str]:
    """Return the names of a chord and a bass rhythm of the metre."""
    chords = {name: w for name, w in style.chord_rhythms.items() if fits(name, metre)}
    basses = {name: w for name, w in style.bass_rhythms.items() if fits(name, metre)}
    return draws.weighted(chords), draws.weighted(basses)


def _line(
    grid: Grid,
    seat: _Seat,
    chords: Sequence[Chord],
    rhythms: tuple[str, str],
    draws: Draws,
    tonic: int,
    scale: Scale,
    busy: float,
) -> list[Note]:
    """Return what a seat would play if it played from the start to the end."""
    if seat.role == "bass":
        return patterns.bass(grid, rhythms[1], chords, seat.voice)
    if seat.role == "chords":
        return patterns.chord_notes(grid, rhythms[0], chords, seat.voice, centre=seat.centre)
    if seat.role == "pad":
        return patterns.pad(chords, seat.voice, centre=seat.centre)
    return patterns.melody(
        grid,
        chords,
        seat.voice,
        draws,
        tonic=tonic,
        scale=scale,
        centre=seat.centre,
        busy=busy if seat.role == "lead" else 0.6 * busy,
        sparse=seat.role == "answer",
    )


def _form(
    grid: Grid, seats: Sequence[_Seat], lines: Sequence[list[Note]], draws: Draws
) -> tuple[tuple[Section, ...], list[tuple[_Seat, list[Note]]]]:
    """Return the sections, and who plays what in them; a seat that has nothing to play is left.

    In a short track a part may have no note where it would play; other sections are tried first.
    """
    for attempt in itertools.count(1):
        plan = sections(grid, [seat.role for seat in seats], draws)
        played = [
            (seat, sounding(line, i, plan, drums=seat.role == "drums"))
            for i, (seat, line) in enumerate(zip(seats, lines, strict=True))
        ]
        kept = [i for i, (_, notes) in enumerate(played) if notes]
        if len(kept) == len(seats):
            break
        if attempt % _ATTEMPTS == 0 and len(kept) >= 2:
            seats, lines = [seats[i] for i in kept], [lines[i] for i in kept]
    return plan, _with_crashes(plan, played)


def _with_crashes(
    plan: Sequence[Section], played: list[tuple[_Seat, list[Note]]]
) -> list[tuple[_Seat, list[Note]]]:
    """Return the parts with a crash cymbal where the drums open a full section."""
    crash = PIECES.index("crash")
    for i, (seat, notes) in enumerate(played):
        if seat.role == "drums" and seat.voice != "hand percussion":
            opening = [s.start for s in plan[1:] if s.name == "full" and i in s.texture]
            notes += [Note(start, 0.1, crash, 2) for start in opening]
            notes.sort()
    return played


def _parts(
    played: Sequence[tuple[_Seat, list[Note]]], plan: Sequence[Section], draws: Draws
) -> tuple[Part, ...]:
    levels = [_LEVELS[seat.role] + draws.between(-3, 3) for seat, _ in played]
    parts = []
    for i, (seat, notes) in enumerate(played):
        active = sum(s.end - s.start for s in plan if i in s.texture)
        parts.append(
            Part(
                voice=seat.voice,
                role=seat.role,
                register=_register(seat.role, notes),
                density=len({note.start for note in notes}) / active,
                level=round(levels[i] - max(levels), 2),
                notes=tuple(notes),
            )
        )
    return tuple(parts)


def _register(role: Role, notes: Sequence[Note]) -> Register:
    if role == "drums":
        return "middle"
    mean = sum(note.pitch for note in notes) / len(notes)
    return "low" if mean < 52 else "high" if mean >= 72 else "middle"


Name = Literal["intro", "theme", "full", "break", "ending"]

SHORTEST_S = 0.06
"""A note of which less is left in its section is left out."""
_ENTRY_S = 0.3
"""A note that began before its part comes in is taken over if as much of it is left."""


def sections(grid: Grid, roles: Sequence[Role], draws: Draws) -> tuple[Section, ...]:
    """Return two or more sections that cover the track, each of another texture than the last.

    All parts play together at least once, and a pitched part plays always.
    """
    bounds = _bounds(grid, draws)
    names = _names(len(bounds) - 1, draws)
    found: list[Section] = []
    for name, start, end in zip(names, bounds[:-1], bounds[1:], strict=True):
        texture = _texture(name, roles, draws)
        if found and texture == found[-1].texture:
            texture = _another(texture, roles, draws)
        found.append(Section(name, start, end, texture))
    return tuple(found)


def _bounds(grid: Grid, draws: Draws) -> list[float]:
    """Return where sections begin and end, in seconds, on bars or in short tracks on beats."""
    unit = grid.bar if grid.bars >= 4 else grid.beat
    units = int((grid.seconds - 0.5) / unit) + 1
    if units < 2:
        return [0.0, grid.seconds / 2, grid.seconds]
    lasting = draws.between(2.6, 4.2) if grid.seconds <= 15 else draws.between(4.5, 8.0)
    count = min(max(2, round(grid.seconds / lasting)), units)
    inner = []
    for i in range(1, count):
        moved = units * i / count + draws.between(-0.5, 0.5)
        inner.append(min(max(round(moved), 1), units - 1))
    return [0.0, *(unit * i for i in sorted(set(inner))), grid.seconds]


def _names(count: int, draws: Draws) -> list[Name]:
    names: list[Name] = ["intro" if draws.chance(0.6) else "theme"]
    cycle: list[Name] = ["full", "break", "theme"] if draws.chance(0.5) else ["theme", "full"]
    while len(names) < count:
        following = cycle[(len(names) - 1) % len(cycle)]
        if following == names[-1]:
            following = "full" if following == "theme" else "break"
        names.append(following)
    if count >= 3 and draws.chance(0.35):
        names[-1] = "ending"
    if "full" not in names:
        names[1] = "full"
    return names


def _texture(name: Name, roles: Sequence[Role], draws: Draws) -> tuple[int, ...]:
    every = range(len(roles))
    if name == "full":
        return tuple(every)
    if name == "theme":
        weights = {"answer": 4.0, "pad": 3.0, "bass": 0.7, "drums": 0.7}
        optional = {i: weights[roles[i]] for i in every if roles[i] in weights}
        left_out = draws.weighted(optional or {0: 1.0, 1: 0.5})
        return tuple(i for i in every if i != left_out)
    if name == "break":
        silent = ("drums", "bass") if draws.chance(0.6) else ("drums", "lead", "answer")
        return _pitched([i for i in every if roles[i] not in silent], roles)
    leading = draws.weighted({"chords": 0.5, "bass": 0.2, "lead": 0.15, "pad": 0.15})
    with_drums = draws.chance(0.6)
    playing = [i for i in every if roles[i] == leading or (roles[i] == "drums" and with_drums)]
    return _pitched(playing, roles)


def _pitched(playing: Sequence[int], roles: Sequence[Role]) -> tuple[int, ...]:
    """Return the texture with a part that sounds throughout, the chords if there are any."""
    steady = ("chords", "pad", "bass", "lead")
    if not any(roles[i] in steady for i in playing):
        playing = [*playing, roles.index(next(role for role in steady if role in roles))]
    return tuple(sorted(playing))


def _another(texture: tuple[int, ...], roles: Sequence[Role], draws: Draws) -> tuple[int, ...]:
    """Return the texture with one part more or, of a full one, one part less."""
    absent = [i for i in range(len(roles)) if i not in texture]
    if absent:
        return tuple(sorted((*texture, draws.pick(absent))))
    optional = [i for i in texture if roles[i] not in ("lead", "chords")] or list(texture[1:])
    left_out = draws.pick(optional)
    return _pitched([i for i in texture if i != left_out], roles)


def sounding(
    line: Sequence[Note], part: int, plan: Sequence[Section], *, drums: bool
) -> list[Note]:
    """Return the notes of a part that fall in its sections, cut where it falls silent."""
    spans = _spans(part, plan)
    notes = []
    for note in line:
        for start, end in spans:
            if note.start + note.duration <= start or note.start >= end - SHORTEST_S:
                continue
            begin = max(note.start, start)
            held = min(note.start + note.duration, end) - begin
            if begin > note.start and (drums or held < _ENTRY_S):
                continue
            notes.append(Note(begin, held, note.pitch, note.velocity))
    notes.sort()
    return notes


def _spans(part: int, plan: Sequence[Section]) -> list[tuple[float, float]]:
    """Return the stretches of time in which a part plays, adjoining sections as one."""
    spans: list[tuple[float, float]] = []
    for section in plan:
        if part not in section.texture:
            continue
        if spans and spans[-1][1] == section.start:
            spans[-1] = (spans[-1][0], section.end)
        else:
            spans.append((section.start, section.end))
    return spans


@dataclass(frozen=True, slots=True)
class Phrases:
    """The phrasings of one attribute, by their place in a sentence."""

    nouns: tuple[str, ...] = ()
    adjectives: tuple[str, ...] = ()
    things: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    """What such music is offered for: after "ideal for" and the like."""

    @property
    def all(self) -> tuple[str, ...]:
        """Every phrasing, wherever it stands."""
        return (*self.nouns, *self.adjectives, *self.things, *self.clauses, *self.uses)


def _nouns(*phrases: str) -> Phrases:
    return Phrases(nouns=phrases)


def _things(*phrases: str) -> Phrases:
    return Phrases(things=phrases)


PLAIN_NOUNS = ("track", "piece", "cue", "tune", "number", "recording")
"""Where the genre is not said."""

PHRASES: Mapping[str, Phrases] = MappingProxyType(
    {
        "genre=blues": _nouns("blues", "blues number", "bluesy tune", "blues-bar jam"),
        "genre=classical": _nouns(
            "classical piece", "concert-hall composition", "chamber-style work"
        ),
        "genre=country": _nouns("country tune", "Nashville-style number", "honky-tonk track"),
        "genre=disco": _nouns("disco track", "seventies dance-floor groove", "disco number"),
        "genre=hiphop": _nouns("hip hop track", "hip-hop beat", "rap-style backing track"),
        "genre=jazz": _nouns("jazz piece", "jazz-club number", "jazz tune"),
        "genre=metal": _nouns("metal track", "headbanger", "heavy metal cut"),
        "genre=pop": _nouns("pop track", "radio-style pop tune", "chart-style pop number"),
        "genre=reggae": _nouns("reggae tune", "Jamaican-style groove", "roots reggae track"),
        "genre=rock": _nouns("rock track", "rock anthem", "garage-band rocker"),
        "voice=acoustic guitar": _things(
            "acoustic guitar", "unplugged guitar", "six-string folk guitar"
        ),
        "voice=banjo": _things("banjo", "five-string banjo picking"),
        "voice=harp": _things("harp", "harp arpeggios", "plucked concert harp"),
        "voice=sitar": _things("sitar", "Indian sitar", "buzzing sitar strings"),
        "voice=harpsichord": _things("harpsichord", "baroque keyboard"),
        "voice=upright bass": _things("upright bass", "double bass", "stand-up bass"),
        "voice=violin": _things("violin", "fiddle", "bowed violin melody"),
        "voice=cello": _things("cello", "cello lines", "deep bowed cello"),
        "voice=strings": _things("string section", "orchestral strings", "string ensemble"),
        "voice=flute": _things("flute", "breathy flute", "flute melody"),
        "voice=clarinet": _things("clarinet", "woody clarinet"),
        "voice=saxophone": _things("saxophone", "sax", "reedy sax lines"),
        "voice=trumpet": _things("trumpet", "lone horn", "trumpet calls"),
        "voice=brass": _things("brass section", "horn section", "brass stabs"),
        "voice=harmonica": _things("harmonica", "blues harp", "mouth organ"),
        "voice=piano": _things("piano", "grand piano", "acoustic piano keys"),
        "voice=vibraphone": _things("vibraphone", "vibes", "shimmering vibraphone"),
        "voice=marimba": _things("marimba", "wooden mallets"),
        "voice=bells": _things("bells", "chimes", "glockenspiel-like bells"),
        "voice=electric guitar": _things(
            "electric guitar", "clean electric guitar", "amplified guitar licks"
        ),
        "voice=distorted guitar": _things(
            "distorted guitar", "overdriven guitar riffs", "crunchy guitars"
        ),
        "voice=electric bass": _things(
            "electric bass", "bass guitar", "fingered electric bass line"
        ),
        "voice=electric piano": _things(
            "electric piano", "Rhodes-style keys", "mellow electric keys"
        ),
        "voice=organ": _things("organ", "Hammond-style organ", "drawbar organ"),
        "voice=synth lead": _things("synth lead", "lead synthesizer", "soaring synth melody"),
        "voice=synth pluck": _things("synth pluck", "plucky synths", "arpeggiated synth notes"),
        "voice=synth pad": _things("synth pad", "synthesizer washes", "sustained synth layers"),
        "voice=synth bass": _things("synth bass", "analog bass synth", "bass synthesizer"),
        "voice=sub bass": _things("sub bass", "rumbling low end", "deep 808-style bass"),
        "voice=drum kit": _things("drum kit", "live drums", "acoustic drum set"),
        "voice=brushed drums": _things(
            "brushed drums", "drums played with brushes", "gentle brushwork"
        ),
        "voice=drum machine": _things("drum machine", "programmed beats", "electronic drums"),
        "voice=hand percussion": _things("hand percussion", "hand drums", "congas and shakers"),
        "vocals=male": _things("male vocals", "male singer", "man's voice"),
        "vocals=female": _things("female vocals", "female singer", "woman's voice"),
        "vocals=choir": _things("choir", "choral voices", "group of singers"),
        "vocals=none": Phrases(
            adjectives=("instrumental", "voiceless"),
            clauses=("has no vocals", "is purely instrumental", "leaves out any singing"),
        ),
        "drums=none": Phrases(
            adjectives=("drumless", "beatless"),
            clauses=("does without drums", "has no percussion at all"),
        ),
        "tempo=slow": Phrases(
            adjectives=("slow", "unhurried", "downtempo", "slow-paced"),
            clauses=("takes its time", "unfolds at a slow pace", "moves slowly"),
        ),
        "tempo=medium": Phrases(
            adjectives=("mid-tempo", "moderately paced"),
            clauses=("walks along at a medium pace", "keeps a moderate tempo"),
        ),
        "tempo=fast": Phrases(
            adjectives=("fast", "up-tempo", "brisk", "quick"),
            clauses=("races along", "moves at a rapid pace", "keeps a speedy tempo"),
        ),
        "metre=3/4": Phrases(
            adjectives=("waltz-like", "waltzing"),
            clauses=("is in three-four time", "turns in a waltz rhythm"),
        ),
        "metre=6/8": Phrases(
            adjectives=("six-eight", "lilting"),
            clauses=("sways in six-eight time", "rolls along in compound metre"),
        ),
        "feel=swung": Phrases(
            adjectives=("swinging", "shuffling"),
            clauses=("has a shuffle feel", "swings throughout", "leans on swung eighths"),
        ),
        "mode=major": Phrases(
            adjectives=("major-key",),
            clauses=("is in a major key", "stays in major", "uses bright major harmony"),
        ),
        "mode=minor": Phrases(
            adjectives=("minor-key",),
            clauses=("is in a minor key", "stays in minor", "uses shaded minor harmony"),
        ),
        "loudness=quiet": Phrases(
            adjectives=("quiet", "hushed", "soft"),
            clauses=("stays at a low volume", "never raises its voice"),
        ),
        "loudness=loud": Phrases(
            adjectives=("loud", "hard-hitting", "full-volume"),
            clauses=("hits hard", "is mastered loud", "plays at full blast"),
        ),
        "density=sparse": Phrases(
            adjectives=("sparse", "minimal", "stripped-back"),
            clauses=("leaves plenty of space between notes", "uses few notes"),
        ),
        "density=busy": Phrases(
            adjectives=("busy", "densely arranged", "intricate"),
            clauses=("packs in a flurry of notes", "is full of rhythmic activity"),
        ),
        "timbre=dark": Phrases(
            adjectives=("dark-toned", "mellow-sounding", "warm"),
            clauses=("has a dark, rounded tone", "sounds muffled and warm"),
        ),
        "timbre=bright": Phrases(
            adjectives=("bright-sounding", "sparkling", "crisp"),
            clauses=("has a bright, crisp top end", "sounds shiny and sharp"),
        ),
        "room=spacious": Phrases(
            adjectives=("spacious", "reverberant", "echoing"),
            clauses=("is bathed in reverb", "rings out in a large hall"),
        ),
        "room=dry": Phrases(
            adjectives=("dry-sounding", "intimately recorded"),
            clauses=("is recorded close and dry", "uses hardly any reverb"),
        ),
        "sound=gritty": Phrases(
            adjectives=("gritty", "saturated", "lo-fi"),
            clauses=("has a rough, overdriven edge", "is coated in distortion"),
        ),
        "structure=build": Phrases(
            adjectives=("building", "gradually unfolding"),
            clauses=(
                "starts small and grows",
                "adds layer upon layer",
                "builds up from a bare intro",
            ),
        ),
        "structure=break": Phrases(
            clauses=("drops to a breakdown midway", "thins out before coming back"),
        ),
        "texture=solo": Phrases(
            adjectives=("solo", "unaccompanied"),
            clauses=("is played alone", "has just one instrument"),
        ),
        "mood=joyful": Phrases(
            adjectives=("upbeat", "feel-good", "cheerful", "uplifting"),
            clauses=("radiates happy energy", "puts a smile on your face"),
            uses=("party scenes", "summer commercials", "sports highlights"),
        ),
        "mood=tense": Phrases(
            adjectives=("aggressive", "tense", "menacing", "restless"),
            clauses=("creates a sense of danger", "simmers with anger"),
            uses=("chase scenes", "action trailers", "thrillers"),
        ),
        "mood=sad": Phrases(
            adjectives=("melancholic", "sad", "sombre", "wistful"),
            clauses=("evokes loss and longing", "has a mournful air"),
            uses=("scenes of farewell", "serious documentaries", "rainy-day montages"),
        ),
        "mood=peaceful": Phrases(
            adjectives=("peaceful", "relaxing", "serene", "laid-back"),
            clauses=("soothes the listener", "invites rest and calm"),
            uses=("wellness videos", "bedtime stories", "quiet mornings at home"),
        ),
    }
)
"""By attribute."""
