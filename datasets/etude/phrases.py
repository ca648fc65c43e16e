"""How captions say an attribute: several phrasings each, shared by all splits.

A phrase belongs to one attribute only, so that a caption can be read back. ``adjectives`` stand
before the noun, ``things`` after "with", and ``clauses`` are predicates of the track. Phrases have
no article, since production music libraries drop it as often as not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


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
