"""Columns of times: what is read as which second, and what is refused as no time or as two."""

from datetime import date, datetime
from decimal import Decimal

import polars as pl
import pytest

from trimetric.data.seen import Seen
from trimetric.data.times import seconds
from trimetric.errors import DataError

DAY = 86_400
DECEMBER_2010 = 1_291_161_600  # the first, at midnight


@pytest.mark.parametrize(
    ("values", "form", "found"),
    [
        # numbers
        ([5, None, -5], None, [5, None, -5]),
        ([1.5, None, float("nan"), -1.5], None, [1, None, None, -2]),
        (["1.5", "nan", " 5 ", "", None], None, [1, None, 5, None, None]),
        ([Decimal("1.5")], None, [1]),
        ([None, None], None, [None, None]),
        (pl.Series(["7", "8"], dtype=pl.Categorical), None, [7, 8]),
        ([1000, 999, -1], "ms", [1, 0, -1]),
        ([1500.0, 999.5], "ms", [1, 0]),
        ([1_000_000, 999_999], "us", [1, 0]),
        ([1_000_000_000, 999_999_999], "ns", [1, 0]),
        ([20101201], "s", [20101201]),
        ([10**11], "s", [10**11]),
        ([10**11 - 1, 1 - 10**11], None, [10**11 - 1, 1 - 10**11]),
        # numbers that are no date by any pattern, or not all of them
        ([19000100], None, [19000100]),
        ([20101232], None, [20101232]),
        ([20101201, 20101232], None, [20101201, 20101232]),
        ([20101201, 5], None, [20101201, 5]),
        ([21010101], None, [21010101]),
        # dates
        ([date(1970, 1, 2)], None, [DAY]),
        ([datetime(1969, 12, 31, 23, 59, 58, 500_000)], None, [-2]),
        ([datetime(2010, 12, 1), None], None, [DECEMBER_2010, None]),
        (["2010-12-01", None, ""], None, [DECEMBER_2010, None, None]),
        (["2010-12-01", "2010-12-01 00:00:09"], None, [DECEMBER_2010, DECEMBER_2010 + 9]),
        (["1969-12-31 23:59:58.5"], None, [-2]),
        (["2010-12-01T02:00:00+0200"], None, [DECEMBER_2010]),
        (["2010/12/01 02:00:00,5+02:00", None], None, [DECEMBER_2010, None]),
        (["01.12.2010 00:00:07"], "%d.%m.%Y %H:%M:%S", [DECEMBER_2010 + 7]),
        ([" 31.12.1969 23:59:58.5", None, ""], "%d.%m.%Y %H:%M:%S%.f", [-2, None, None]),
        (["01.12.2010 02:00 +0200"], "%d.%m.%Y %H:%M %z", [DECEMBER_2010]),
        (["01.12.2010 02:00 +02:00"], "%d.%m.%Y %H:%M %:z", [DECEMBER_2010]),
        ([20101201], "%Y%m%d", [DECEMBER_2010]),
    ],
)  # fmt: skip
def test_times_are_whole_seconds(values, form, found):
    assert seconds(pl.Series(values), "'t'", form).to_list() == found


@pytest.mark.parametrize(
    ("values", "form", "told"),
    [
        # numbers of a smaller unit: the first of them decides
        ([5, 10**11, 10**12], None, r"holds 100000000000 in row 2 \(2 such rows\).*'ms'"),
        ([-(10**11)], None, r"holds -100000000000 in row 1 \(1 such.*'ms'"),
        ([10**14 - 1], None, "'ms'"),
        ([10**14], None, "'us'"),
        ([10**17 - 1000], None, "'us'"),
        ([10**17], None, "'ns'"),
        # numbers that are all dates by a pattern
        ([19000101], None, "'t' holds 19000101, which may be a date.*'%Y%m%d', or"),
        ([21001231, None], None, "'t' holds 21001231, which may be a date.*'%Y%m%d', or"),
        ([190001010000], None, "'%Y%m%d%H%M', or"),
        ([210012312359], None, "'%Y%m%d%H%M', or"),
        ([19000101000000], None, "'%Y%m%d%H%M%S', or"),
        ([21001231235959], None, "'%Y%m%d%H%M%S', or"),
        # no time
        ([1, 1e30], None, r"holds 1e\+30 in row 2 \(1 such rows\); .* within int64"),
        (pl.Series([2**63], dtype=pl.UInt64), None, "within int64"),
        ([True], None, "holds Boolean; timestamps are Unix seconds or dates"),
        (
            ["5", "x", None],
            "s",
            r"'x' in row 2 \(1 such rows\); with time_format='s', times are num",
        ),
        (["2010-12-01Z"], None, r"'2010-12-01Z' in row 1 \(1 such rows\); .* all written alike"),
        (["2010-12-01", "2010-13-01", None], None, r"'2010-13-01' in row 2 \(1 such rows\)"),
        (["01.12.2010", "32.12.2010", None], "%d.%m.%Y", r"'32.12.2010' in row 2 \(1 such rows\)"),
        ([5], "%Q", r"'5' in row 1 \(1 such rows\); it does not follow time_format='%Q'"),
        # dates that are not ISO: the hint reads the first of them
        ([None, "2010-12-01", "12/1/2010"], None, r"row 3.*as '%m/%d/%Y' or '%d/%m/%Y';"),
        (["12/1/2010", "soon"], None, "row 1.*as '%m/%d/%Y' or '%d/%m/%Y';"),
        (["13/1/2010 08:26"], None, r"as '%d/%m/%Y %H:%M' or '%m/%d/%Y %H:%M';"),
        (["13.1.2010 08:26:01"], None, r"as '%d.%m.%Y %H:%M:%S' or '%m.%d.%Y %H:%M:%S';"),
        (["1-12-2010 8:26 PM"], None, r"as '%m-%d-%Y %I:%M %p' or '%d-%m-%Y %I:%M %p';"),
        (["1/12/10 8:26:01 AM"], None, r"as '%m/%d/%y %I:%M:%S %p' or '%d/%m/%y %I:%M:%S %p';"),
        (["13.1.10"], None, r"as '%d.%m.%y' or '%m.%d.%y';"),
        (["1 Dec 2010"], None, "ISO dates; another way of writing is said with time_format="),
    ],
)
def test_what_is_no_time_or_could_be_two_is_refused(values, form, told):
    with pytest.raises(DataError, match=told):
        seconds(pl.Series(values, strict=False), "'t'", form)


def test_batches_note_what_only_all_of_them_can_tell():
    seen = Seen()
    for values in ([None], ["", None]):
        seconds(pl.Series(values, dtype=pl.String), "'t'", None, seen)
    assert (seen.times, seen.patterns) == (set(), None)
    assert seconds(pl.Series(["20101201", None]), "'t'", None, seen).to_list() == [20101201, None]
    assert (seen.times, seen.patterns, seen.example) == ({"numbers"}, ["%Y%m%d"], "20101201")
    seconds(pl.Series([5]), "'t'", None, seen)
    assert seen.patterns == []
    for values in (["2010-12-01"], ["1.5"]):
        seconds(pl.Series(values), "'t'", None, seen)
    assert seen.times == {"numbers", "dates"}
    of_floats = Seen()
    seconds(pl.Series(["1.5", None]), "'t'", None, of_floats)
    assert (of_floats.times, of_floats.patterns) == ({"numbers"}, [])
