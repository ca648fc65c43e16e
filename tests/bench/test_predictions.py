"""Reading predictions: the three formats say the same, and every faulty row is named."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.bench.predictions import read_predictions
from earmark.datasets.base import DataError

ROWS = [
    {"songid": "s1", "model": "m", "arousal_mean": 4.25, "valence_mean": 3.5},
    {"songid": "s2", "model": "m", "arousal_mean": 5.0, "valence_mean": 6.125},
]


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_jsonl_csv_and_parquet_say_the_same(tmp_path):
    jsonl = write_jsonl(tmp_path / "a.jsonl", ROWS)
    table = pa.Table.from_pylist(ROWS)
    pq.write_table(table, tmp_path / "a.parquet")
    table.to_pandas().to_csv(tmp_path / "a.csv", index=False)
    read = [read_predictions(path) for path in (jsonl, tmp_path / "a.parquet", tmp_path / "a.csv")]
    expected = {"s1": (4.25, 3.5), "s2": (5.0, 6.125)}
    assert [dict(one.values) for (one,) in read] == [expected] * 3
    assert {one.model for (one,) in read} == {"m"}


def test_one_file_may_hold_several_models(tmp_path):
    rows = ROWS + [{**row, "model": "other"} for row in ROWS]
    assert [one.model for one in read_predictions(write_jsonl(tmp_path / "a.jsonl", rows))] == [
        "m",
        "other",
    ]


def test_the_file_names_the_model_where_no_column_does(tmp_path):
    rows = [{key: value for key, value in row.items() if key != "model"} for row in ROWS]
    (one,) = read_predictions(write_jsonl(tmp_path / "my-model.jsonl", rows))
    assert one.model == "my-model"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '{"songid": "s3", "arousal_mean": NaN, "valence_mean": 1}',
            "song s3: arousal nan, valence 1",
        ),
        ('{"songid": "s3", "arousal_mean": 1, "valence_mean": Infinity}', "valence inf"),
        ('{"songid": "s1", "model": "m", "arousal_mean": 1, "valence_mean": 1}', "there twice"),
        ('{"songid": "s3", "arousal_mean": 1, "val', "line 3: is not JSON"),
        ('{"songid": "s3", "arousal_mean": 1}', "line 3: no valence_mean"),
        ('{"songid": "s3", "arousal_mean": "high", "valence_mean": 1}', "'high'"),
        ("[1, 2]", "expected an object"),
    ],
)
def test_a_faulty_row_is_named_by_its_line(tmp_path, line, message):
    path = write_jsonl(tmp_path / "a.jsonl", ROWS)
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(DataError, match="1 faulty rows") as error:
        read_predictions(path)
    assert message in str(error.value)


def test_many_faults_are_counted_and_the_first_ten_shown(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("nonsense\n" * 25)
    with pytest.raises(DataError, match="25 faulty rows") as error:
        read_predictions(path)
    assert str(error.value).count("is not JSON") == 10
    assert "and 15 more" in str(error.value)


def test_a_csv_with_other_names_is_refused_by_name(tmp_path):
    (tmp_path / "a.csv").write_text("id,arousal,valence\ns1,1,2\n")
    with pytest.raises(DataError, match="no column songid, arousal_mean, valence_mean") as error:
        read_predictions(tmp_path / "a.csv")
    assert "found id, arousal, valence" in str(error.value)


def test_a_csv_row_with_too_many_fields_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("songid,arousal_mean,valence_mean\ns1,1,2,3\n")
    with pytest.raises(DataError, match="line 2: expected 3 fields, found 4"):
        read_predictions(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "got '.txt'"),
        ("a.jsonl", b"", "no predictions in it"),
        ("a.parquet", b"not parquet", "is not Parquet"),
        ("a.csv", b"\xff\xfe\x00", "is not UTF-8"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_predictions(tmp_path / name)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.jsonl: No such file"):
        read_predictions(tmp_path / "nowhere.jsonl")


SONGS = st.text(min_size=1).map(str.strip).filter(bool)


@given(st.dictionaries(SONGS, st.tuples(*[st.floats(-1e6, 1e6)] * 2), min_size=1))
def test_whatever_finite_values_are_written_are_read(tmp_path_factory, values):
    rows = [
        {"songid": song, "model": "m", "arousal_mean": arousal, "valence_mean": valence}
        for song, (arousal, valence) in values.items()
    ]
    path = write_jsonl(tmp_path_factory.mktemp("p") / "a.jsonl", rows)
    (one,) = read_predictions(path)
    assert dict(one.values) == values
