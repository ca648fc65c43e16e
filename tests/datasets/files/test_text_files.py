"""Text files of other people: what is read whatever wrote it, and what is refused by its line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.datasets.files.text_files import (
    MAX_FIELD,
    UnreadableError,
    as_number,
    csv_rows,
    decode,
    header_hint,
    is_whole_number,
    json_lines,
    parse_json,
    parse_toml,
    read_rows,
    read_table,
)

ENDS = ("\n", "\r\n", "\r")


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ENDS)
def test_any_line_end_and_a_byte_order_mark_make_no_difference(end, mark):
    text = mark + end.join(["id,note", "a,one", "", '"b","two', 'lines"', "c,three"])
    assert csv_rows(decode(text.encode())) == [
        (1, ["id", "note"]),
        (2, ["a", "one"]),
        (4, ["b", "two\nlines"]),
        (6, ["c", "three"]),
    ]
    lines = decode((mark + end.join(['{"a": 1}', "", '{"a": 2}'])).encode())
    assert list(json_lines(lines)) == [(1, {"a": 1}), (3, {"a": 2})]


# Ten characters at which str.splitlines() ends a line, and no CSV row or JSON line does.
@pytest.mark.parametrize("odd", "\v\f\x1c\x1d\x1e\x85\u2028\u2029")
def test_a_character_that_ends_no_row_is_part_of_its_field(odd):
    assert csv_rows(f'id,note\na,x{odd}y\nb,"x{odd}y"\n')[1:] == [
        (2, ["a", f"x{odd}y"]),
        (3, ["b", f"x{odd}y"]),
    ]
    if not odd.isascii():  # JSON has its control characters escaped
        assert list(json_lines(f'{{"a": "x{odd}y"}}')) == [(1, {"a": f"x{odd}y"})]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf_16_is_named_with_and_without_its_mark(encoding):
    with pytest.raises(UnreadableError, match=r"is not UTF-8 but UTF-(16|32).*iconv -f UTF-"):
        decode("songid,arousal_mean\r\ncafé,1\r\n".encode(encoding))


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b"a,b\nc,\xe9\n", 2, "is not UTF-8 (byte 6)"),
        (b"a,b\r1,2\rc,\xe9\r", 3, "is not UTF-8 (byte 10)"),
        (b"a,b\n1,2\nc\0,d\n", 3, r"holds a NUL character (\x00)"),
        (b'a,b\n1,"2\n3,4\n', 2, "a quote that opens in this row is never closed"),
        (b'a,b\n1,"2"3\n', 2, "a quote within a quoted field is written twice"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_line(content, line, reason):
    with pytest.raises(UnreadableError) as error:
        csv_rows(decode(content))
    assert (error.value.line, reason in error.value.reason) == (line, True)


def test_a_field_may_be_long_up_to_a_limit_that_is_named():
    import csv

    before = csv.field_size_limit()
    long = "x" * 200_000  # the standard library's own limit is 131,072
    assert csv_rows(f"a,b\n1,{long}\n")[1] == (2, ["1", long])
    with pytest.raises(UnreadableError, match=r"line 2: .*more than 16,777,216 characters"):
        csv_rows(f"a,b\n1,{'x' * (MAX_FIELD + 1)}\n")
    assert csv.field_size_limit() == before


def test_a_table_without_spaces_around_cells_and_with_rows_of_another_length(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(" id ,\tnote\n a , one two \nb\nc,d,e\n")
    header, rows, problems = read_rows(path)
    assert (header, rows) == (["id", "note"], [(2, ["a", "one two"])])
    assert [(p.line, p.message) for p in problems] == [
        (3, "expected 2 comma-separated fields, found 1"),
        (4, "expected 2 comma-separated fields, found 3"),
    ]


@pytest.mark.parametrize("header", ["a,b,a", "a,b, a", 'a,b,"a "'])
def test_a_column_twice_is_refused_whatever_the_spaces(tmp_path, header):
    (tmp_path / "t.csv").write_text(f"{header}\n1,2,3\n")
    (problem,) = read_table(tmp_path / "t.csv")[2]
    assert str(problem) == f"{tmp_path / 't.csv'}:1: names a column twice: a"


@pytest.mark.parametrize(
    ("header", "absent", "hint"),
    [
        (["songid;arousal"], ["arousal"], "separated by ';'"),
        (["songid\tarousal"], ["arousal"], r"separated by '\t'"),
        (["songid", "Arousal_Mean"], ["arousal_mean"], "Did you mean Arousal_Mean?"),
        (["songid", "arousal_mean\u200b"], ["arousal_mean"], r"'arousal_mean\u200b'"),
        (["x", "y"], ["arousal_mean"], ""),
    ],
)
def test_a_header_that_lacks_a_column_gets_the_fix(header, absent, hint):
    found = header_hint(header, absent)
    assert hint in found if hint else found == ""


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('{"a": 1,\n "b": }', 2, "is not JSON: Expecting value at column 7"),
        ('{"a": 1, "a": 2}', None, "names a key twice: a"),
        ('[{"b": {"c": 1, "d": 2, "c": 1}}]', None, "names a key twice: c"),
        ("[" * 100_000, None, "nested too deep"),
        ('{"a":' * 50_000, None, "nested too deep"),
        ("9" * 5000, None, "more than 4,300 digits"),
        ('["x",\n "caption \\ud800"]', 2, r"\ud800, half of a surrogate pair"),
        ('["\\udfff after"]', 1, r"\udfff, half of a surrogate pair"),
    ],
)
def test_json_that_means_nothing_or_two_things_is_refused(text, line, reason):
    with pytest.raises(UnreadableError) as error:
        parse_json(text)
    assert (error.value.line, reason in error.value.reason) == (line, True)


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists) | st.text())
def test_whatever_json_writes_is_read(value):
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False)) == value


def test_toml_is_read_with_a_mark_and_refused_where_it_is_none():
    assert parse_toml("\ufeffa = 1\r\n".encode()) == {"a": 1}
    for content, reason in (
        (b"a = ", "Invalid value"),
        ("a = 1\n".encode("utf-16"), "is not UTF-8 but UTF-16"),
        (b"a = " + b"[" * 100_000, "nested too deep"),
        (b"a = " + b"9" * 5000, "more than 4,300 digits"),
    ):
        with pytest.raises(UnreadableError, match=reason):
            parse_toml(content)


@pytest.mark.parametrize(
    "value",
    [
        "4_5",
        "١",
        "٤٥",
        "４",
        "inf",
        "-Infinity",
        "nan",
        "NaN",
        "1e400",
        "0x10",
        "1,5",
        "",
        " ",
        "+",
    ],
)
def test_what_float_takes_and_no_finite_number_is_written_as_is_none(value):
    assert str(as_number(value)) == "nan"


@pytest.mark.parametrize("value", [True, False, None, b"5", [1], float("inf"), 10**400])
def test_a_value_that_is_no_finite_number_is_none(value):
    assert str(as_number(value)) == "nan"


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**9), 10**9))
def test_whatever_number_python_writes_is_read(value):
    assert as_number(repr(value)) == as_number(f" {value!r}\t") == as_number(value) == value


def test_whole_numbers_are_digits_and_no_more_than_a_machine_holds():
    assert all(map(is_whole_number, ("0", "007", "9" * 18)))
    assert not any(map(is_whole_number, ("", "-1", "1.0", "1_0", "٣", "²", " 1", "9" * 19)))
