"""Files in every form that people have: read right, or refused with the option that settles it."""

import io
import warnings

import polars as pl
import pytest

from trimetric.data import Interactions
from trimetric.errors import DataError, ParameterError

FIFTY = "".join(f"{n},{n % 7}\n" for n in range(50))


def read(text, **options):
    data = text if isinstance(text, bytes) else text.encode()
    return Interactions.read(io.BytesIO(data), **options)


def rows(text, **options):
    return read(text, **options).to_frame().rows()


def refused(text, *parts, **options):
    with pytest.raises(DataError) as caught:
        read(text, **options)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("user,item\na,1\nb,2\n", "csv; ',', utf-8, header"),
        ("user;item\na;1\nb;2\n", "csv; ';', utf-8, header"),
        ("user;item;price, eur\na;1;2\nb;2;3\n", "csv; ';', utf-8, header"),
        ("user;item;price\na;1;2,5\nb;2;3,5\n", "csv; ';', utf-8, header"),
        ("user,item,tags\na,1,x|y\nb,2,z\n", "csv; ',', utf-8, header"),
        ("user,item,a|b\na,1,x|y\nb,2,z|z\n", "csv; ',', utf-8, header"),
        ("user\titem\na\t1\nb\t2\n", "csv; tab, utf-8, header"),
        ("user::item\na::1\nb::2\n", "csv; '::', utf-8, header"),
        ("sep=;\nuser;item\na;1\nb;2\n", "csv; ';', utf-8, header"),
        ("sep=|\r\nuser|item\r\na|1\r\nb|2\r\n", "csv; '|', utf-8, header"),
        ("user,item\ra,1\rb,2\r", "csv; ',', utf-8, header"),
        ("user;item\ra;1\rb;2", "csv; ';', utf-8, header"),
        ("\ufeffuser,item\na,1\nb,2\n", "csv; ',', utf-8 with BOM, header"),
        ("user,item\na,1\nb,2\n".encode("utf-16"), "csv; ',', utf-16, header"),
        ("user,item\na,1\nb,2\n".encode("utf-32"), "csv; ',', utf-32, header"),
        ('[{"user": "a", "item": 1}, {"user": "b", "item": 2}]', "json"),
        ('{"user": "a", "item": 1}\n{"user": "b", "item": 2}\n', "jsonl"),
    ],
)
def test_the_form_is_found_and_said(text, said):
    data = read(text)
    assert data.to_frame().select("user", "item").rows() == [("a", 1), ("b", 2)]
    assert data.report.read_as == said
    assert f"read as {said}" in data.report.lines()


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a::1\nb::2\n", {"separator": "::"}),
        ("a##1\nb##2\n", {"separator": "##"}),
        ("a 1\nb 2\n", {"separator": " "}),
        ("a\x011\nb\x012\n", {"separator": "\x01"}),
        ("a,1\nb,2\n", {}),
    ],
)
def test_without_a_header_columns_are_numbered(text, options):
    expected = [("a", 1), ("b", 2)]
    assert rows(text, header=False, user="1", item="2", **options) == expected
    assert rows(text, header=False, user=1, item=2, **options) == expected


def test_data_as_a_header_is_noticed():
    refused("196,242,3\n186,302,3\n", "looks like data", "header=False", "user='1'")
    refused("u1::i2\nu2::i3\n", "looks like data")


def test_separators_of_several_characters_inside_values():
    text = 'user::item::title\na::1::"x::y"\nb::2::z\n'
    assert rows(text, item="title", separator="::") == [("a", "x::y"), ("b", "z")]
    refused("user,item\x1f\x1e\x1d\x1c\x02\x03\x04\x05\na::1", "control", separator="::")


@pytest.mark.parametrize("sign", [",", "\t", ";"])
def test_escaped_quotes_never_lose_rows(sign):
    lines = [sign.join(("user", "item", "note"))]
    lines += [sign.join((f"u{n}", str(n), '"say \\" this"' if n in (3, 9) else "x"))
              for n in range(60)]  # fmt: skip
    text = "\n".join(lines)
    refused(text, "line 5", "escape='\\\\'", "quote=False")
    data = read(text, item="note", escape="\\")
    assert data.report.rows_read == 60
    assert data.item_ids.values.to_list() == ['say " this', "x"]


def test_escapes_of_everything():
    text = 'user,item\n"a\\\\",1\n"b\\,c",2\nd\\,e,3\n"f\ng",4\n\\N,5\n'
    data = read(text, escape="\\", nulls="drop")
    assert data.to_frame().rows() == [("a\\", 1), ("b,c", 2), ("d,e", 3), ("f\ng", 4)]
    assert data.report.nulls == 1


@pytest.mark.parametrize(
    "text",
    [
        'user,item,note\na,1,27" monitor\nb,2,x\n',
        "user,item,note\na,1,x\nb,2,5'10\" tall\n",
        'user\titem\tnote\na\t1\t"weird al" yankovic\nb\t2\tx\n',
        'user\titem\tnote\na\t1\t"heroes"\nb\t2\tthe "who"\n',
        'user;item;note\na;1;"open\nb;2;x\n',
    ],
)
def test_stray_quotes_in_columns_nobody_asked_for(text):
    data = read(text)
    assert data.to_frame().rows() == [("a", 1), ("b", 2)]
    assert "quotes as text" in data.report.read_as


def test_stray_quotes_where_they_matter():
    mixed = 'user,item\na,27" monitor\nb,"x, y"\n'
    refused(mixed, "line 2", "quote")
    assert rows(mixed, quote='"') == [("a", '27" monitor'), ("b", "x, y")]
    refused('user\titem\na\t"heroes"\nb\tthe "who"\n', "column 'item'", "row 1", "quote=False")
    plain = rows('user\titem\na\t"heroes"\nb\tthe "who"\n', quote=False)
    assert plain == [("a", '"heroes"'), ("b", 'the "who"')]
    refused('user,item\na,"weird al" y\n"b",c\n', "line 2", quote='"')
    refused('user,item\n"1,2\n3,4\n', "row 1")
    assert rows("user,item\n'a,b',1\nc,2\n", quote="'") == [("a,b", 1), ("c", 2)]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16-le", "shift_jis", "koi8-r"])
def test_encodings_are_named(encoding):
    word = {"shift_jis": "映画", "koi8-r": "кино"}.get(encoding, "café")
    text = f"user,item\n{word},1\n".encode(encoding)
    refused(text, "encoding=")
    assert rows(text, encoding=encoding) == [(word, 1)]
    refused(b"user,item\n\x81\xff,1\n", "shift_jis", encoding="shift_jis")


def test_numbers_with_a_comma():
    text = "user;item;rating\na;1;3,5\nb;2;4\n"
    refused(text, "'3,5'", "decimal=','")
    assert read(text, decimal=",").ratings.tolist() == [3.5, 4]
    refused("user;item;rating\na;1;1.000,5\n", "no point", decimal=",")


@pytest.mark.parametrize("word", ["NULL", "\\N", "NA", "null", "None"])
def test_words_for_missing_values(word):
    text = f"user,item\n{word},1\n{word},2\nb,3\n"
    with pytest.warns(UserWarning, match=r"'user' holds .* in 2 rows.*null="):
        assert len(read(text)) == 3
    with pytest.raises(DataError, match="no value in row 1"):
        read(text, null=word)
    assert rows(text, null=[word, "-"], nulls="drop") == [("b", 3)]
    rated = f"user,item,rating\n1,1,{word}\n1,2,4\n"
    refused(rated, f"null={word!r}")
    assert read(rated, null=word, nulls="drop").report.nulls == 1
    frame = pl.DataFrame({"user": [word, "b"], "item": [1, 2]})
    assert len(Interactions.from_frame(frame, null=word, nulls="drop")) == 1


def test_empty_text_as_an_id_is_told():
    with pytest.warns(UserWarning, match="holds ''"):
        read('user,item\n"",1\nb,2\n')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rows('user,item\n"",1\nb,2\n', null="", nulls="drop") == [("b", 2)]


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("12/1/2010 8:26", "%m/%d/%Y %H:%M"),
        ("12/1/2010", "%m/%d/%Y"),
        ("13.1.2010", "%d.%m.%Y"),
        ("1-12-2010 08:26", "%d-%m-%Y %H:%M"),
        ("12/1/10 8:26 PM", "%m/%d/%y %I:%M %p"),
        ("20101201", "%Y%m%d"),
        ("20101201082600", "%Y%m%d%H%M%S"),
        ("1291193160000", "ms"),
        ("1291193160000000", "us"),
        ("1291193160000000000", "ns"),
        ("1 Dec 2010", "%d %b %Y"),
    ],
)
def test_times_that_could_mean_two_things(written, form):
    text = f"user,item,timestamp\na,1,{written}\nb,2,{written}\n"
    refused(text, "'timestamp'", written[:8], "time_format=", "timestamp=False")
    found = read(text, time_format=form).timestamps
    assert 1262304000 <= found[0] < 1293840000  # the year 2010
    frame = {"user": ["a"], "item": [1], "when": [written]}
    assert Interactions.from_frame(frame, timestamp="when", time_format=form).timestamps == found[0]


@pytest.mark.parametrize(
    "written",
    ["2010-12-01 UTC", "2010-12-01 00:00:00 UTC", "2010-12-01T00:00:00Z", "2010/12/01",
     "2010-12-01 01:00:00+01:00", "2010-12-01 00:00:00.000", "2010-12-01 00:00:00 GMT",
     "2010-12-01 00:00", "1291161600"],
)  # fmt: skip
def test_times_that_are_clear(written):
    text = f"user,item,timestamp\na,1,{written}\nb,2,{written}\n"
    assert read(text).timestamps.tolist() == [1291161600, 1291161600]


def test_times_that_are_none():
    refused("user,item,timestamp\na,1,2010-13-01\n", "2010-13-01")
    refused("user,item,timestamp\na,1,2010-12-01 08:00 EST\n", "time_format")
    text = "user,item,timestamp\na,1,12/1/2010\nb,2,13/1/2010\n"
    refused(text, "'13/1/2010'", "row 2", "%m/%d/%Y", time_format="%m/%d/%Y")
    assert read("user,item,timestamp\na,1,20101201\n", time_format="s").timestamps == [20101201]


def test_truth_values_are_ratings():
    text = "user,item,rating\na,1,True\nb,2,False\nc,3,true\n"
    assert read(text).ratings.tolist() == [1, 0, 1]
    assert read(text, min_rating=1).n_users == 2
    refused("user,item,rating\na,1,True\nb,2,4\n", "'True'")


def test_ids_that_pandas_wrote_as_floats():
    data = read("user,item\n17850.0,1.5\n17851.0,2.0\n")
    assert data.user_ids.values.to_list() == [17850, 17851]
    assert data.item_ids.values.to_list() == ["1.5", "2.0"]
    assert "column 'user': ids such as 17850.0 read as whole numbers" in data.report.lines()
    for kept in ("1.0\n2\n", "01.0\n2.0\n", "1.0\n1.00\n", "99999999999999999999.0\n2.0\n"):
        first, second = kept.split()
        assert read(f"user,item\n{first},1\n{second},2\n").user_ids.kind == "str"


def test_usual_names_of_columns():
    assert rows("userId,movieId,rating\n1,2,5\n") == [(1, 2, 5.0)]
    data = read("Customer ID,product_id,Rating\n1,2,5\n")
    assert data.to_frame().rows() == [(1, 2, 5.0)]
    assert "users from column 'Customer ID'" in data.report.lines()
    amazon = '{"reviewerID": "A", "asin": "B", "overall": 4.0, "unixReviewTime": 1291161600}'
    assert rows(amazon) == [("A", "B", 4.0, 1291161600)]
    yelp = '{"user_id": "A", "business_id": "B", "stars": 4, "date": "2010-12-01 00:00:00"}'
    assert rows(yelp) == [("A", "B", 4.0, 1291161600)]
    refused("user_id,product_id,sku\n1,2,3\n", "'product_id' or 'sku'", "item=")
    refused("who,item\n1,2\n", "'user'", "'who'")
    assert rows("user,item,sku\n1,2,3\n") == [(1, 2)]


@pytest.mark.parametrize("role", ["user", "item", "rating", "timestamp", "split", "weight"])
@pytest.mark.parametrize("column", [0, ["user"], pl.Series([1]), 1.5, b"user"])
def test_columns_are_named_by_text(role, column):
    with pytest.raises(ParameterError, match=f"{role} must be the name of a column"):
        Interactions.from_frame({"user": [1], "item": [2]}, **{role: column})


def test_errors_name_the_columns_of_the_file():
    refused("u,i,clicked\n1,2,often\n", "'clicked'", "'often'", user="u", item="i",
            rating="clicked")  # fmt: skip
    refused("u,i,clicked\n1,2,-1\n", "'clicked' is negative", user="u", item="i", rating="clicked")
    refused("u,i\n,2\n", "'u' holds no value", user="u", item="i")
    refused("u,i,w\n1,2,-1\n", "'w' is negative", user="u", item="i", weight="w")


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("user,user,item\n1,2,3\n", "user"),
        ('"user",item,"item"\n1,2,3\n', "item"),
        ('{"user": 1, "user": 2, "item": 3}\n', "user"),
        ('[{"user": 1, "item": 2, "item": 3}]', "item"),
    ],
)
def test_two_columns_of_one_name(text, column):
    refused(text, repr(column))


def test_two_columns_of_one_name_that_nobody_asked_for():
    assert rows("user,item,x,x\n1,2,3,4\n") == [(1, 2)]


def test_rows_of_separators_are_counted_and_blank_lines_are_not():
    data = read("user,item,x\n1,2,3\n,,\n\n3,4,5\n,,\n")
    assert (data.report.rows_read, data.report.blank) == (2, 2)
    assert "2 without any value, left out" in data.report.lines()
    assert read('user,item,x\n1,2,"a\n\nb"\n\n\n3,4,5\n').report.blank == 0


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([["train"]]),
        pl.Series([["train"]], dtype=pl.Array(pl.String, 1)),
        pl.Series([b"train"]),
        pl.Series([1], dtype=pl.Duration),
        pl.Series([{}], dtype=pl.Struct([])),
    ],
)
def test_a_split_column_of_another_kind(column):
    frame = pl.DataFrame({"user": [1], "item": [2], "split": column})
    with pytest.raises(DataError, match=r"'split'.*split=False"):
        Interactions.from_frame(frame)
    assert len(Interactions.from_frame(frame, split=False)) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"format": "pdf"},
        {"separator": ""},
        {"separator": "\n"},
        {"quote": "''"},
        {"escape": "é"},
        {"encoding": "utf-9"},
        {"decimal": ";"},
        {"null": [1]},
        {"time_format": "day"},
        {"header": "no"},
        {"seperator": ";"},
    ],
)
def test_impossible_forms(options):
    with pytest.raises(ParameterError, match=next(iter(options))):
        read("user,item\n1,2\n", **options)


def test_forms_of_files_are_no_options_of_tables():
    with pytest.raises(ParameterError, match="separator"):
        Interactions.from_frame({"user": [1], "item": [2]}, separator=";")


def test_text_is_a_path_and_not_content():
    with pytest.raises(ParameterError, match="StringIO"):
        Interactions.read("user,item\n1,2\n")
    assert Interactions.read(io.StringIO("user,item\n1,2\n")).n_users == 1
