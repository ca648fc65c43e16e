"""Byte-pair tokenisers: equality to Hugging Face's, every kind of text, every kind of bad file."""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.models.base import ModelError
from earmark.models.support.tokenizers import CLIP_MERGES, END, START, BPETokenizer

tokenizers = pytest.importorskip("tokenizers", reason="the package tokenizers is not installed")

CAPTIONS = [
    "A slow piano ballad with a soft female vocal and strings.",
    "Fast techno with a hard kick drum, a rolling bass line and no vocals.",
    "A slow blues: the guitar answers the singer's voice.",
    "Don't expect a melody; it's 140 BPM of drums & noise!!!",
    "Soft strings, soft piano, a soft female voice.",
]
ODD = [
    "",
    "   ",
    "\t\n\x0b \u00a0\u2003",
    "naïve café — “quoted” … ½",
    "nai\u0308ve cafe\u0301",
    "ΑΣ ΟΔΥΣΣΕΥΣ Straße İstanbul",
    "雅楽と尺八の静かな曲",
    "गिटार और तबला",
    "موسيقى هادئة",
    "음악 🎸🥁 👩🏽‍🎤",
    "\x00\x01\x07\x1f\x7f\x85",
    "a\u200bb\ufeffc\u202ed",
    "1234567890 12/8 4'33'' it's we'll they'd I'm",
    "<html>&amp;&lt;</html>",
    "!!!",
    "supercalifragilisticexpialidocious" * 20,
    "\ufffd\U0010ffff",
]
BYTES = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())


def trained(**options: int) -> BPETokenizer:
    return BPETokenizer.train(CAPTIONS, **{"vocabulary_size": 600, **options})


def pieces_of(tokenizer: BPETokenizer, text: str) -> list[int]:
    tokens = tokenizer.encode([text])
    return tokens.ids[0, 1 : tokens.lengths[0] - 1].tolist()


def clip_like_lines() -> list[str]:
    """A list of the size and shape of CLIP's: merges of two bytes, each another piece."""
    words = [*BYTES, *(piece + "</w>" for piece in BYTES)]
    pairs = [f"{first} {second}" for first in BYTES for second in words]
    return ['"made#version: 0.2', *pairs[: CLIP_MERGES + 7]]


@pytest.fixture(scope="module")
def clip(shared_data: Path) -> BPETokenizer:
    return BPETokenizer.from_clip_file(shared_data / "clip_bpe" / "bpe_simple_vocab_16e6.txt.gz")


@pytest.fixture(scope="module")
def reference(shared_data: Path, tmp_path_factory):
    """Hugging Face's own CLIP tokeniser, its files made here from CLIP's list of merges."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    packed = (shared_data / "clip_bpe" / "bpe_simple_vocab_16e6.txt.gz").read_bytes()
    merges = gzip.decompress(packed).decode("utf-8").split("\n")[1:48895]
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    base = [chr(byte) for byte in printable] + [chr(256 + n) for n in range(256 - len(printable))]
    pieces = (
        base + [piece + "</w>" for piece in base] + [merge.replace(" ", "") for merge in merges]
    )
    vocabulary = {piece: index for index, piece in enumerate([*pieces, START, END])}
    folder = tmp_path_factory.mktemp("clip")
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges), encoding="utf-8")
    return transformers.CLIPTokenizer.from_pretrained(folder), folder


def assert_equal_to(reference, tokenizer: BPETokenizer, texts: list[str]) -> None:
    tokens = tokenizer.encode(texts)
    for text, ids, length in zip(texts, tokens.ids, tokens.lengths, strict=True):
        expected = reference.encode(text.strip(), max_length=77, truncation=True)
        assert ids[:length].tolist() == expected, text
        assert not ids[length:].any()


def test_equals_hugging_face_on_captions(clip, reference, shared_data):
    with (shared_data / "musiccaps" / "musiccaps-public.csv").open(encoding="utf-8") as file:
        captions = [row["caption"] for row in csv.DictReader(file)][:600]
    with (shared_data / "clotho" / "clotho_captions_evaluation.csv").open(encoding="utf-8") as file:
        captions += [row["raw_text"] for row in csv.DictReader(file)][:600]
    assert len(captions) == 1200
    assert clip.encode(captions).truncated.any()
    assert_equal_to(reference[0], clip, captions)


def test_equals_hugging_face_on_text_of_any_script(clip, reference):
    assert_equal_to(reference[0], clip, ODD)


@settings(max_examples=150, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_equals_hugging_face_on_any_text(clip, reference, text):
    text = text.strip()
    assert_equal_to(reference[0], clip, [text])


def test_reads_the_files_of_hugging_face(clip, reference, tmp_path):
    other, folder = reference
    assert BPETokenizer.from_folder(folder).digest == clip.digest
    other.save_pretrained(tmp_path)
    (tmp_path / "vocab.json").unlink(missing_ok=True)
    assert (tmp_path / "tokenizer.json").is_file()
    assert BPETokenizer.from_folder(tmp_path, context_length=77).digest == clip.digest


def test_hugging_face_reads_the_files_that_are_saved(tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    TRAINED.save(tmp_path)
    assert_equal_to(transformers.CLIPTokenizer.from_pretrained(tmp_path), TRAINED, CAPTIONS + ODD)


def test_has_the_ids_of_clip(clip):
    assert (clip.start, clip.end, clip.vocabulary_size) == (49406, 49407, 49408)
    # The example of CLIP's repository and of its tests: "hello world!".
    assert clip.encode(["Hello world!"]).ids[0, :6].tolist() == [49406, 3306, 1002, 256, 49407, 0]
    assert pieces_of(clip, "!") == [256]


def test_a_list_like_that_of_clip_gives_its_layout(tmp_path):
    path = tmp_path / "merges.txt"
    path.write_text("\n".join(clip_like_lines()), encoding="utf-8")
    zipped = tmp_path / "merges.txt.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    plain, packed = BPETokenizer.from_clip_file(path), BPETokenizer.from_clip_file(zipped)
    assert (plain.start, plain.end) == (49406, 49407)
    assert plain.digest == packed.digest
    assert pieces_of(plain, "!!") == [512 + BYTES.index("!") * 512 + 256 + BYTES.index("!")]


def test_pads_with_zero_and_puts_the_end_last():
    tokenizer = trained()
    tokens = tokenizer.encode(["soft piano", ""])
    assert tokens.ids.shape == (2, 77) and tokens.ids.dtype == np.int64
    for ids, length in zip(tokens.ids, tokens.lengths, strict=True):
        assert ids[0] == tokenizer.start and ids[length - 1] == tokenizer.end
        assert ids.argmax() == length - 1
        assert not ids[length:].any()
    assert tokens.lengths[1] == 2
    assert tokens.truncated.tolist() == [0, 0]


def test_ten_thousand_words_keep_the_end_and_say_what_was_lost():
    tokenizer = trained()
    per_word = len(pieces_of(tokenizer, "soft"))
    tokens = tokenizer.encode(["soft " * 10_000, "soft"])
    assert tokens.ids[0, 76] == tokenizer.end
    assert tokens.lengths.tolist() == [77, 2 + per_word]
    assert tokens.truncated.tolist() == [10_000 * per_word - 75, 0]


@pytest.mark.parametrize("extra", [0, 1])
def test_a_text_that_just_fits_loses_nothing(extra):
    tokenizer = trained()
    tokens = tokenizer.encode(["! " * (75 + extra)])
    assert (tokens.lengths[0], tokens.truncated[0]) == (77, extra)


@settings(deadline=None)
@given(text=st.text(max_size=300))
def test_every_text_has_tokens_within_the_vocabulary(text):
    tokens = TRAINED.encode([text])
    length = tokens.lengths[0]
    assert 2 <= length <= 77
    assert tokens.ids.min() >= 0 and tokens.ids.max() == TRAINED.end
    assert tokens.ids[0].argmax() == length - 1
    inner = tokens.ids[0, 1 : length - 1]
    assert not np.isin(inner, [TRAINED.start, TRAINED.end]).any()


TRAINED = trained()


def test_a_lone_surrogate_is_read_as_the_replacement_character():
    tokens = TRAINED.encode(["soft \ud800 piano", "soft \ufffd piano", "soft piano"])
    assert np.array_equal(tokens.ids[0], tokens.ids[1])
    assert not np.array_equal(tokens.ids[0], tokens.ids[2])


def test_a_special_token_written_in_a_text_is_text():
    assert TRAINED.end not in pieces_of(TRAINED, f"soft {END} piano {START}")
    assert pieces_of(TRAINED, END) == pieces_of(TRAINED, "<| endoftext |>")


def test_case_and_white_space_do_not_matter_but_composition_is_normalised():
    tokens = TRAINED.encode([" Soft\n\tPIANO ", "soft piano", "cafe\u0301", "caf\u00e9"])
    assert np.array_equal(tokens.ids[0], tokens.ids[1])
    assert np.array_equal(tokens.ids[2], tokens.ids[3])


def test_a_text_does_not_depend_on_its_batch():
    together = TRAINED.encode(CAPTIONS)
    for index, caption in enumerate(CAPTIONS):
        assert np.array_equal(TRAINED.encode([caption]).ids[0], together.ids[index])
    assert TRAINED.encode([]).ids.shape == (0, 77)


@pytest.mark.parametrize(
    ("texts", "message"),
    [("soft", "a list of texts, got the one text 'soft'"), (["a", None], "text 1 is None")],
)
def test_refuses_what_is_no_list_of_texts(texts, message):
    with pytest.raises(ModelError, match=message):
        TRAINED.encode(texts)


def test_learns_merges_of_the_captions():
    assert 512 + 2 < TRAINED.vocabulary_size <= 600
    assert len(pieces_of(TRAINED, "soft")) < 4 <= len(pieces_of(TRAINED, "zjqx"))
    assert (TRAINED.start, TRAINED.end) == (
        TRAINED.vocabulary_size - 2,
        TRAINED.vocabulary_size - 1,
    )
    assert trained(vocabulary_size=520).vocabulary_size == 520


def test_training_gives_the_same_ids_in_another_process_and_another_order():
    code = (
        "import json, sys; from earmark.models.support.tokenizers import BPETokenizer;"
        "texts = json.load(sys.stdin);"
        "print(BPETokenizer.train(texts, vocabulary_size=600).digest)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(CAPTIONS[::-1]),
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == TRAINED.digest


def test_a_saved_tokeniser_is_the_same_when_read(tmp_path):
    tokenizer = trained(context_length=12)
    tokenizer.save(tmp_path / "deep" / "folder")
    again = BPETokenizer.from_folder(tmp_path / "deep" / "folder")
    assert again.digest == tokenizer.digest and again.context_length == 12
    assert np.array_equal(again.encode(CAPTIONS + ODD).ids, tokenizer.encode(CAPTIONS + ODD).ids)


def test_the_digest_tells_tokenisers_apart():
    digests = {
        TRAINED.digest,
        trained(vocabulary_size=530).digest,
        trained(context_length=12).digest,
    }
    assert len(digests) == 3 and all(len(digest) == 64 for digest in digests)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found 1 lines"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "not a list of merges"),
        (gzip.compress(b"#version: 0.2\na b\n", mtime=0)[:-6], "not a list of merges"),
        (b"\x1f\x8b\x08\x00garbage that is no deflate stream", "not a list of merges"),
        (b"i n\nt h\n", "a line with '#version'"),
        (
            gzip.compress(b"#version: 0.2\ni n\nt h\n", mtime=0),
            "at least 48,894 merges; found 3 lines",
        ),
    ],
)
def test_names_a_file_that_is_not_the_vocabulary(tmp_path, content, message):
    path = tmp_path / "file.gz"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        BPETokenizer.from_clip_file(path)


def test_names_a_file_that_is_absent(tmp_path):
    with pytest.raises(ModelError, match=r"no vocabulary file .*absent\.gz"):
        BPETokenizer.from_clip_file(tmp_path / "absent.gz")


@pytest.mark.parametrize(
    ("place", "line", "message"),
    [
        (5, "one two three", r":6: expected two pieces and a space, got 'one two three'"),
        (5, "! never-seen", "merges do not fit the vocabulary|lacks"),
        (6, None, "two merges make the same piece"),
    ],
)
def test_names_the_line_of_a_damaged_vocabulary(tmp_path, place, line, message):
    lines = clip_like_lines()
    lines[place] = lines[place - 1] if line is None else line
    path = tmp_path / "merges.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        BPETokenizer.from_clip_file(path)


def test_names_a_folder_without_a_tokeniser(tmp_path):
    with pytest.raises(ModelError, match=r"no tokeniser in .*found nothing"):
        BPETokenizer.from_folder(tmp_path / "absent")
    (tmp_path / "vocab.txt").write_text("[CLS]\n")
    with pytest.raises(ModelError, match=r"expected vocab\.json and merges\.txt.*found vocab\.txt"):
        BPETokenizer.from_folder(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "expected a JSON object, got list"),
        ("{}", "no 'model' in it"),
        ('{"model": {"type": "WordPiece", "vocab": {}}}', "a WordPiece model"),
        ('{"model": {"type": "BPE", "vocab": {}, "merges": []}}', "expected BPE with '</w>'"),
        ('{"model": {"type": "BPE", "end_of_word_suffix": "</w>"}}', "damaged BPE model"),
        (
            '{"model": {"end_of_word_suffix": "</w>", "vocab": {"a": 0}, "merges": ["a"]}}',
            "damaged BPE model",
        ),
        (
            '{"model": {"end_of_word_suffix": "</w>", "vocab": {"a": 0}, "merges": []}}',
            r"lacks 513 pieces that CLIP's has, such as '<\|startoftext\|>'",
        ),
    ],
)
def test_names_what_is_wrong_with_a_tokenizer_json(tmp_path, content, message):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError, match=message):
        BPETokenizer.from_folder(tmp_path)


def changed(change: str) -> dict[str, object]:
    vocabulary: dict[str, object] = {
        piece: index
        for index, piece in enumerate([*BYTES, *(piece + "</w>" for piece in BYTES), START, END])
    }
    if change == "gap":
        vocabulary[END] = 600
    elif change == "text":
        vocabulary[END] = "513"
    elif change == "order":
        vocabulary[START], vocabulary[END] = vocabulary[END], vocabulary[START]
    return vocabulary


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("gap", "the 514 ids of the vocabulary are not 0, 1, 2"),
        ("text", "the 514 ids of the vocabulary are not 0, 1, 2"),
        ("order", r"<\|endoftext\|> has id 512, expected the last, 513"),
    ],
)
def test_names_what_is_wrong_with_a_vocabulary(tmp_path, change, message):
    (tmp_path / "vocab.json").write_text(json.dumps(changed(change)))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    with pytest.raises(ModelError, match=message):
        BPETokenizer.from_folder(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocabulary_size": 514}, "vocabulary_size 514 must exceed 514"),
        ({"vocabulary_size": 600, "context_length": 2}, "a context of 2 tokens holds no text"),
    ],
)
def test_names_sizes_that_cannot_be(options, message):
    with pytest.raises(ModelError, match=message):
        BPETokenizer.train(CAPTIONS, **options)


def test_does_not_train_on_nothing():
    with pytest.raises(ModelError, match="nothing to train on"):
        BPETokenizer.train(["", " "], vocabulary_size=600)


def test_offline_a_hub_folder_is_a_clear_error(monkeypatch, tmp_path):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        ModelError, match=r"'openai/nothing' could not be had.*offline, give a folder"
    ):
        BPETokenizer.from_hub("openai/nothing")


def test_names_the_package_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ModelError, match=r"the package tokenizers.*pip install .*'tokenizers>="):
        trained()
