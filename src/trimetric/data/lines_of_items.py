"""Read lines that hold a user and then its items, as NGCF and LightGCN publish their data."""

from __future__ import annotations

import polars as pl

from trimetric.data.delimited import Pick
from trimetric.data.encodings import as_utf8, check_utf8, unix_lines
from trimetric.data.form import Form


def lines_of_items(data: bytes, name: str, pick: Pick, form: Form) -> tuple[pl.DataFrame, Form]:
    """Read a user and a list of items, all String, from each line that is not blank.

    Parameters
    ----------
    data : bytes
        The whole file, unpacked.
    name : str
        What to call it in errors.
    pick : callable
        Given the columns user and item, returns {role: column}.
    form : Form
        What stands between ids is `form.separator`, or any white space.
    """
    data, encoding = as_utf8(data, name, form.encoding)
    check_utf8(data, name)
    lines = pl.Series(unix_lines(data).decode().split("\n")).str.strip_chars()
    lines = lines.filter(lines != "")
    sign = form.separator
    ids = lines.str.split(sign) if sign else lines.str.extract_all(r"\S+")
    frame = pl.DataFrame({"user": ids.list.first(), "item": ids.list.slice(1)})
    columns = pick(frame.columns)
    frame = frame.select(pl.col(column).alias(role) for role, column in columns.items())
    return frame, form.found(format="lists", encoding=encoding)
