"""What the demo found, as the content of a web page."""

from __future__ import annotations

import base64
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

import numpy as np

from earmark.bench.demo.analysis import (
    GENRE_WORDINGS,
    GENRES,
    LEADS,
    MEASURED,
    MEASURED_AV,
    MOOD_WORDINGS,
    MOODS,
    Answer,
)
from earmark.bench.demo.run import Findings, Row
from earmark.bench.demo.songs import EXCERPT_S, MOST_PARTS
from earmark.datasets.files.names import escaped
from earmark.models.adapters.text_axis import AROUSAL, VALENCE
from earmark.reports import words
from earmark.reports.content import (
    Block,
    Bullets,
    Cell,
    Code,
    Column,
    Facts,
    Page,
    Paragraph,
    Player,
    Plot,
    Plots,
    Section,
    Span,
    TableBlock,
    Text,
    text,
)
from earmark.reports.figures.scatter import song_plane
from earmark.reports.page.players import MIB

MOST_MIB = 20.0
"""Of the players' audio in a page."""
LONG = 24
"""Longer tables besides that of the songs are folded."""
MOST_GENRES = 7
"""Are told apart in the figure; the rest are drawn alike."""
NEXT = (
    (
        "Check that your model keeps its promises: unit norm, determinism, odd audio, ...",
        "earmark check-model path/to/my_model.py:MyModel",
    ),
    (
        "Score arousal and valence that your model predicts, against people’s judgements (MusAV; "
        "“earmark fetch musav” brings them)",
        "earmark musav predictions.csv",
    ),
    (
        "Run it on whole suites, with intervals, paired tests and a report; “earmark run” alone "
        "lists the suites that come with Earmark",
        "earmark run suite.toml",
    ),
)
SUITE = """\
[suite]
name = "mine"
title = "My model on my songs"

[datasets.my-songs]
loader = "caption-csv"          # captions.csv with the columns path and caption
root = {root}
path_column = "path"

[models.mine]
loader = "path/to/my_model.py:MyModel"

[models.conse]
loader = "conse"
tagger = "MSD_musicnn"

[[tasks]]
task = "retrieval"
dataset = "my-songs"
"""


def build(found: Findings) -> Page:
    """Return the report of a folder."""
    n_songs, now = len(found.rows), datetime.now(UTC).isoformat(timespec="seconds")
    earmark = version("earmark")
    players = _Players(found.rows)
    sections = [
        Section("Songs", "songs", [_songs(found, players), *_sureness(found)]),
        Section("What a caption finds", "captions", _captions(found, players)),
        Section("Arousal and valence", "plane", _plane(found)),
        Section("Nearest songs", "nearest", _nearest(found)),
        Section("Measure a model of your own next", "next", _next(found)),
        Section("How this was made", "made", _made(found, players)),
    ]
    if found.left_out:
        sections.insert(4, Section("Files that were left out", "left-out", [_left_out(found)]))
    return Page(
        title=f"{words.plural(n_songs, 'song')} in “{escaped(found.folder.resolve().name)}”",
        subtitle=f"Processed in {words.duration(found.wall_s)} · {found.card.id} · "
        f"{words.moment(now)} · Earmark {earmark}",
        verdict=_opening(found),
        sections=sections,
        colophon=f"Written by “earmark demo”, Earmark {earmark}. Everything is in this file.",
        run=f"Earmark {earmark}",
        created=now,
        opening="In short",
    )


def _opening(found: Findings) -> list[Block]:
    rows = found.rows
    counted = Counter(row.genre.label for row in rows).most_common()
    first = [f"{label} ({n})" for label, n in counted[:4]]
    rest = sum(n for _, n in counted[4:])
    said = words.listed([*first, f"others ({rest})"] if rest else first)
    how = Counter(row.genre.sureness for row in rows)
    sure = words.listed([f"{word} for {how[word]}" for word in LEADS if how[word]])
    of = words.plural(len(rows), "song")
    blocks: list[Block] = [
        Paragraph(
            text("Genres: ", Span(said, "strong"), f". Of {of}, the genre is {sure}."), "lead"
        )
    ]
    bullets = [_what_right_means(found), _beside_loudness(found)]
    if pair := _most_alike(found):
        bullets.append(pair)
    if found.left_out:
        n = len(found.left_out)
        left = f"{words.plural(n, 'file')} {'was' if n == 1 else 'were'} left out, "
        bullets.append(text(left, "each named below with its reason."))
    blocks.append(Bullets(bullets))
    if len(rows) > 1:
        blocks.append(Plots([_figure(found)]))
    return blocks


def _what_right_means(found: Findings) -> Text:
    chance = words.percent(1 / len(found.labels))
    if found.own_labels:
        return text(
            f"The {len(found.labels)} genres are yours: how often such answers are right is not "
            f"known. Chance is {chance}."
        )
    clear, _, guess = MEASURED
    return text(
        f"Where genres are known (GTZAN), answers as clear as these were right for "
        f"{_share(clear.right, clear.n)}, guesses for {_share(guess.right, guess.n)}; chance is "
        f"{chance}. Your songs may be easier or harder: play a few."
    )


def _share(part: int, of: int) -> str:
    return f"{100 * part / of:.0f}\N{NO-BREAK SPACE}%"


def _beside_loudness(found: Findings) -> Text:
    known = found.plane.with_loudness
    if known is None or known.interval is None:
        return text("Too few songs to say whether arousal follows loudness.")
    low, high = known.interval.low, known.interval.high
    rho = f"Spearman’s ρ {words.number(known.value, 2)} [{words.number(low, 2)}, "
    rho += f"{words.number(high, 2)}]"
    if low > 0:
        said = "Arousal from words rises with loudness"
    elif high < 0:
        said = "Arousal from words falls with loudness"
    else:
        said = "Arousal from words does not follow loudness clearly"
    return text(
        f"{said}: {rho} over {words.plural(len(found.rows), 'song')}. Loudness costs nothing, so a "
        f"model of arousal has to say more than it."
    )


def _most_alike(found: Findings) -> Text | None:
    pairs = [(near, row.name) for row in found.rows for near in row.nearest[:1]]
    if len(found.rows) < 3 or not pairs:
        return None
    near, name = max(pairs, key=lambda pair: pair[0].cosine)
    return text(
        "Most alike are ",
        Span(name, "name"),
        " and ",
        Span(near.name, "name"),
        f" (cosine {words.number(near.cosine, 2)}).",
    )


def _figure(found: Findings) -> Plot:
    values, errors = found.plane.values, found.plane.errors
    often = [label for label, _ in Counter(row.genre.label for row in found.rows).most_common()]
    alone = often if len(often) <= MOST_GENRES + 1 else often[:MOST_GENRES]
    kind = [row.genre.label if row.genre.label in alone else "other" for row in found.rows]
    order = [*alone, "other"]
    rows = sorted(range(len(found.rows)), key=lambda place: order.index(kind[place]))
    columns = {
        "number": [place + 1 for place in rows],
        "kind": [kind[place] for place in rows],
        "arousal": values[rows, 0].tolist(),
        "valence": values[rows, 1].tolist(),
        "arousal_error": errors[rows, 0].tolist(),
        "valence_error": errors[rows, 1].tolist(),
        "loudness": [found.rows[place].loudness for place in rows],
    }
    high, low = (found.rows[int(pick(values[:, 0]))].name for pick in (np.argmax, np.argmin))
    ends = {"arousal": AROUSAL, "valence": VALENCE}
    return Plot(
        title="Arousal and valence, and what loudness alone says",
        caption="Numbers are those of the table of songs; colours are the genres that the model "
        "answers. Bars: one standard error over the parts of a song. Thin lines: medians. Neither "
        "axis has a scale: only the order of songs means something.",
        description=f"Highest arousal: {high}; lowest: {low}.",
        draw=partial(song_plane, **columns, ends=ends),
        data={"song": [found.rows[place].name for place in rows], **columns},
    )


class _Players:
    """Players of songs: the audio of each is in the page once."""

    def __init__(self, rows: list[Row]) -> None:
        self._audio: dict[str, str] = {}
        self._place = {row.name: place for place, row in enumerate(rows, start=1)}
        self._set: set[str] = set()
        total = 0
        for row in rows:
            data = base64.b64encode(row.excerpt).decode()
            total += len(data)
            if total > MOST_MIB * MIB:
                break
            self._audio[row.name] = f"data:audio/mpeg;base64,{data}"

    @property
    def number(self) -> int:
        """How many songs can be played."""
        return len(self._audio)

    def of(self, song: str) -> tuple[Player, ...]:
        """Return a player, the first of a song with its audio."""
        if song not in self._audio:
            return ()
        source = "" if song in self._set else self._audio[song]
        self._set.add(song)
        return (Player(f"song-{self._place[song]}", f"Play {song}", "", source),)


def _songs(found: Findings, players: _Players) -> TableBlock:
    rows = []
    for number, row in enumerate(found.rows, start=1):
        near = row.nearest[0].name if row.nearest else words.NOTHING
        sure = row.genre.sureness
        rows.append(
            [
                Cell(str(number), sort=number),
                Cell(row.name, players=players.of(row.name)),
                *_answer(row.genre),
                Cell(sure, tone="muted" if sure == "a guess" else "plain"),
                Cell(words.number(row.genre.lead, 2), sort=row.genre.lead),
                Cell(row.genre.second),
                *_answer(row.mood),
                Cell(near),
            ]
        )
    votes = MOST_PARTS * len(GENRE_WORDINGS)
    return TableBlock(
        caption="Each song: its genre and mood by words alone, and how sure",
        columns=[
            Column("No.", numeric=True),
            Column("Song"),
            Column("answer", group="Genre"),
            Column("agree", numeric=True, group="Genre"),
            Column("how sure", group="Genre"),
            Column("lead", numeric=True, group="Genre"),
            Column("or else", group="Genre"),
            Column("answer", group="Mood"),
            Column("agree", numeric=True, group="Mood"),
            Column("Nearest song"),
        ],
        rows=rows,
        notes=[
            f"Agree: votes for the answer. Each part of a song votes once per wording of the "
            f"labels, up to {votes} times. Blind votes would agree by 1 in {len(found.labels)} on "
            f"a genre and 1 in {len(MOODS)} on a mood.",
            "Lead: how much nearer the answer is to the song than the next label, “or else” "
            "(difference of cosines). No model was trained on these labels.",
        ],
    )


def _answer(answer: Answer) -> list[Cell]:
    share = answer.agreement / answer.votes
    return [
        Cell(answer.label, tone="strong"),
        Cell(f"{answer.agreement} of {answer.votes}", sort=share),
    ]


def _sureness(found: Findings) -> list[Block]:
    how = Counter(row.genre.sureness for row in found.rows)
    leads = list(LEADS.values())
    said = {
        "clear": f"{leads[0]:g} or more",
        "leaning": f"{leads[1]:g} to {leads[0]:g}",
        "a guess": f"below {leads[1]:g}",
    }
    rows = [
        [
            Cell(one.sureness),
            Cell(said[one.sureness]),
            Cell(str(how[one.sureness]), sort=how[one.sureness]),
            Cell(f"{one.right} of {one.n}", sub=_share(one.right, one.n), sort=one.right / one.n),
        ]
        for one in MEASURED
    ]
    own = (
        " Your own labels were not measured: with them the words say how large the lead is, and "
        "not how often it is right."
        if found.own_labels
        else ""
    )
    return [
        TableBlock(
            caption="How sure is that?",
            columns=[
                Column("How sure"),
                Column("Lead", numeric=True),
                Column("Of your songs", numeric=True),
                Column("Right on excerpts of known genre", numeric=True),
            ],
            rows=rows,
            notes=[
                f"Known genre: {sum(one.n for one in MEASURED)} six-second excerpts of GTZAN, the "
                f"same model and the {len(GENRES)} labels that it chooses from by default; chance "
                f"is {words.percent(1 / len(GENRES))}.{own}",
                "The model is not calibrated: neither agreement nor lead is a probability. Moods "
                "are less sure than genres, and nothing here has measured them.",
            ],
        )
    ]


def _captions(found: Findings, players: _Players) -> list[Block]:
    if len(found.rows) < 2:
        return [Paragraph(text("There is one song: nothing to choose from."))]
    asked = (
        "Each table lists the songs nearest to the words of a query."
        if found.asked
        else "Three examples; ask your own with --query “...”, as often as you like."
    )
    blocks: list[Block] = [
        Paragraph(
            text(
                f"{asked} Parts: how many parts of the song are nearer to the words than half of "
                f"all parts of all songs; of a song drawn at random, half of them are. A cosine of "
                f"0 or less: the words say nothing of the song. The model knows music by "
                f"{len(found.tags)} tags (listed below), so that it finds no more than these can "
                f"say."
            )
        )
    ]
    for query, hits in found.queries.items():
        rows = [
            [
                Cell(str(place), sort=place),
                Cell(hit.name, players=players.of(hit.name)),
                Cell(words.number(hit.cosine, 2), sort=hit.cosine),
                Cell(f"{hit.parts} of {hit.of}", sort=hit.parts / hit.of),
            ]
            for place, hit in enumerate(hits, start=1)
        ]
        blocks.append(
            TableBlock(
                caption=f"“{query}”",
                columns=[
                    Column("Place", numeric=True),
                    Column("Song"),
                    Column("Cosine", numeric=True),
                    Column("Parts", numeric=True),
                ],
                rows=rows,
            )
        )
    return blocks


def _plane(found: Findings) -> list[Block]:
    names = {"arousal": AROUSAL, "valence": VALENCE}
    axes = words.listed([f"{name} from “{low}” to “{high}”" for name, (high, low) in names.items()])
    measured = words.listed(
        [
            f"{name} {words.number(axis, 2)} (loudness {words.number(level, 2)})"
            for name, (axis, level) in MEASURED_AV.items()
        ]
    )
    blocks: list[Block] = [
        Paragraph(
            text(
                f"Where a song lies between two texts: {axes}. No rating was ever used. On the "
                f"GTZAN excerpts, which people rated, Spearman’s ρ with the ratings is {measured}: "
                f"believe the order of arousal a little, that of valence hardly."
            )
        )
    ]
    values, errors = found.plane.values, found.plane.errors
    ranks = (-values).argsort(axis=0, kind="stable").argsort(axis=0, kind="stable") + 1
    rows = [
        [
            Cell(str(number + 1), sort=number + 1),
            Cell(row.name),
            *(
                cell
                for side in (0, 1)
                for cell in (
                    Cell(str(ranks[number, side]), sort=int(ranks[number, side])),
                    _value(values[number, side], errors[number, side]),
                )
            ),
            Cell(words.number(row.loudness, 1), sort=row.loudness),
        ]
        for number, row in enumerate(found.rows)
    ]
    blocks.append(
        TableBlock(
            caption="Arousal, valence and loudness",
            columns=[
                Column("No.", numeric=True),
                Column("Song"),
                *(
                    Column(label, numeric=True, group=side)
                    for side in ("Arousal", "Valence")
                    for label in ("rank", "on the axis")
                ),
                Column("Loudness (LUFS)", numeric=True),
            ],
            rows=rows,
            notes=["± one standard error over the parts of a song. Rank 1 is the highest."],
            folded=len(rows) > LONG,
        )
    )
    return blocks


def _value(value: float, error: float) -> Cell:
    near = "" if np.isnan(error) else f" ± {words.number(error, 3)}"
    return Cell(f"{words.number(value, 3)}{near}", sort=float(value))


def _nearest(found: Findings) -> list[Block]:
    if len(found.rows) < 2:
        return [Paragraph(text("There is one song: nothing to compare with."))]
    most = max(len(row.nearest) for row in found.rows)
    rows = [
        [
            Cell(str(number), sort=number),
            Cell(row.name),
            *(
                Cell(
                    near.name,
                    sub=f"cosine {words.number(near.cosine, 2)}, closer than "
                    f"{words.percent(near.closer_than)} of pairs",
                )
                for near in row.nearest
            ),
        ]
        for number, row in enumerate(found.rows, start=1)
    ]
    return [
        TableBlock(
            caption="The songs nearest to each one",
            columns=[
                Column("No.", numeric=True),
                Column("Song"),
                *(Column(("Nearest", "Second", "Third")[place]) for place in range(most)),
            ],
            rows=rows,
            notes=[
                "By the cosine of the vectors that the words are compared with, too. A cosine of "
                "1.00 may be one recording in two files."
            ],
            folded=len(rows) > LONG,
        )
    ]


def _next(found: Findings) -> list[Block]:
    root = '"' + str(found.folder.resolve()).replace("\\", "\\\\").replace('"', '\\"') + '"'
    return [
        *(Code(f"{number}. {label}", command) for number, (label, command) in enumerate(NEXT, 1)),
        Code(
            "A suite.toml that ranks your model and this one on captions of your own songs",
            SUITE.format(root=escaped(root)),
            folded=True,
        ),
    ]


def _left_out(found: Findings) -> TableBlock:
    return TableBlock(
        caption=words.plural(len(found.left_out), "file"),
        columns=[Column("File", code=True), Column("Reason")],
        rows=[[Cell(one.name), Cell(one.reason)] for one in found.left_out],
    )


def _made(found: Findings, players: _Players) -> list[Block]:
    card = found.card
    taken = (
        f"up to {found.seconds:g} s from the middle of each song, in up to {MOST_PARTS} parts; "
        f"each file was decoded whole"
    )
    playable = (
        f"{players.number} of {len(found.rows)} songs, at most {EXCERPT_S:g} s of each, mono, as "
        f"MP3. They are copies of your files: before you pass the page on, check that you may."
    )
    return [
        Facts(
            [
                ("folder", (Span(escaped(str(found.folder.resolve())), "code"),)),
                ("other files", text(words.count(found.n_other))),
                ("processed", text(taken)),
                ("model", text(card.id)),
                ("licence", text(card.licence)),
                ("trained on", text(", ".join(card.training_datasets) or "not stated")),
                ("weights (sha256)", (Span(card.weights_digest, "code"),)),
                ("tags", text(", ".join(found.tags))),
                ("genres", text(", ".join(found.labels))),
                ("wordings of genres", text(" | ".join(GENRE_WORDINGS))),
                ("moods", text(", ".join(MOODS))),
                ("wordings of moods", text(" | ".join(MOOD_WORDINGS))),
                ("players", text(playable)),
            ]
        ),
        Code("Citations", card.citation, folded=True),
    ]
