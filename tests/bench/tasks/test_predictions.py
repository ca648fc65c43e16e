"""Reading predictions: the three formats say the same, and every faulty row is named."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.bench.tasks.av_predictions import read_predictions
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
    (tmp_path / "a.csv").write_text("name,energy,happiness\ns1,1,2\n")
    with pytest.raises(DataError, match="no column songid, arousal_mean, valence_mean") as error:
        read_predictions(tmp_path / "a.csv")
    assert "found name, energy, happiness" in str(error.value)


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


HEADER = "songid,arousal_mean,valence_mean"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", f"{HEADER},arousal_mean\ns1,1,2,3\n", ":1: names a column twice: arousal_mean"),
        ("a.csv", f"{HEADER}, valence_mean\ns1,1,2,3\n", ":1: names a column twice: valence_mean"),
        (
            "a.jsonl",
            '{"songid": "s1", "arousal_mean": 1, "valence_mean": 2, "arousal_mean": 3}',
            "line 1: names a key twice: arousal_mean",
        ),
        (
            "a.json",
            '[{"songid": "s1", "songid": "s2", "arousal_mean": 1, "valence_mean": 2}]',
            "names a key twice: songid",
        ),
        ("a.jsonl", '{"songid": "s", "arousal_mean": true, "valence_mean": 2}', "arousal True"),
        ("a.jsonl", '{"songid": "s", "arousal_mean": 1, "valence_mean": false}', "valence False"),
        ("a.jsonl", '{"songid": true, "arousal_mean": 1, "valence_mean": 2}', "songid is True"),
        ("a.csv", f"{HEADER}\ns1,True,2\n", "arousal 'True'"),
        ("a.csv", f"{HEADER}\ns1,4_5,2\n", "arousal '4_5'"),
        ("a.csv", f"{HEADER}\ns1,\u0664,2\n", "arousal '\u0664'"),
        ("a.csv", f"{HEADER}\ns1,1,infinity\n", "valence 'infinity'"),
        (
            "a.jsonl",
            f'{{"songid": "s", "arousal_mean": {10**400}, "valence_mean": 2}}',
            "(401 characters)",
        ),
        (
            "a.jsonl",
            f'{{"songid": "s", "arousal_mean": {"9" * 5000}, "valence_mean": 2}}',
            "more than 4,300 digits",
        ),
        ("a.jsonl", '{"songid": ' + "[" * 100_000, "line 1: is nested too deep"),
        ("a.json", "[" * 100_000, "is nested too deep"),
        ("a.csv", f'{HEADER},note\ns1,1,2,"x\ns2,1,2,y\n', ":2: is not a CSV file: unexpected end"),
        ("a.csv", f'{HEADER}\n"s"1,1,2\n', ":2: is not a CSV file: "),
        ("a.csv", "songid;arousal_mean;valence_mean\ns1;1;2\n", "separated by ';'"),
        ("a.csv", "songid,Arousal,valence_mean\ns1,1,2\n", "no column arousal_mean"),
        ("a.csv", "songid,arousal_mean\u200b,valence_mean\n", r"'arousal_mean\u200b'"),
    ],
)
def test_what_means_nothing_or_two_things_is_refused_by_its_place(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError) as error:
        read_predictions(tmp_path / name)
    assert said in str(error.value)
    assert str(tmp_path / name) in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", f"\ufeff{HEADER}\r\ns1,1.5,2\r\ns2,3,4\r\n"),
        ("a.csv", f"{HEADER}\rs1,1.5,2\rs2,3,4\r"),
        ("a.csv", "songid, arousal_mean,\tvalence_mean\ns1, 1.5, 2\ns2 , 3 ,4\n"),
        ("a.csv", f'{HEADER},note\ns1,1.5,2,a\u2028b\fc\vd\ns2,3,4,"e\u2029\nf"\n'),
        ("a.csv", f"{HEADER},note\ns1,1.5,2,{'x' * 200_000}\n\ns2,3,4,y\n"),
        (
            "a.json",
            '[{"songid": "s1", "arousal_mean": 1.5, "valence_mean": 2},\n'
            ' {"songid": "s2", "arousal_mean": 3, "valence_mean": "4"}]\n',
        ),
        (
            "a.jsonl",
            '\ufeff{"songid": " s1", "arousal_mean": 1.5, "valence_mean": 2, "n": "\u2028"}\r\n\r\n'
            '{"songid": "s2 ", "arousal_mean": 3, "valence_mean": 4}',
        ),
    ],
)
def test_whatever_wrote_a_file_its_numbers_are_read(tmp_path, name, content):
    (tmp_path / name).write_bytes(content.encode())
    (one,) = read_predictions(tmp_path / name)
    assert dict(one.values) == {"s1": (1.5, 2.0), "s2": (3.0, 4.0)}


@pytest.mark.parametrize("column", ["arousal_mean", "valence_mean"])
def test_booleans_of_parquet_are_no_numbers_and_columns_are_there_once(tmp_path, column):
    path = tmp_path / "a.parquet"
    table = pa.Table.from_pylist(ROWS)
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, column, pa.array([True, False])), path)
    with pytest.raises(DataError, match=r"row 0: song s1: .*True"):
        read_predictions(path)
    names = [*table.column_names, column]
    twice = pa.Table.from_arrays([*table.columns, table.column(column)], names)
    pq.write_table(twice, path)
    with pytest.raises(DataError, match=f"names a column twice: {column}"):
        read_predictions(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_utf_16_is_named_with_the_fix(tmp_path, name, encoding):
    (tmp_path / name).write_bytes(f"{HEADER}\ns1,1,2\n".encode(encoding))
    with pytest.raises(DataError, match=r"is not UTF-8 but UTF-16.*iconv -f UTF-16"):
        read_predictions(tmp_path / name)
