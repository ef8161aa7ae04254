"""The form of a file of interactions: what is given of it, and what was found."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypedDict, get_args

from trimetric.errors import ParameterError
from trimetric.keywords import is_one_of

Format = Literal["csv", "tsv", "lists", "jsonl", "json", "parquet", "arrow", "avro", "orc", "excel"]
FORMATS = get_args(Format)
OF_VALUES = ("decimal", "null", "time_format")  # these apply to tables in memory too
_NAMED = {"\t": "tab", " ": "space"}


class ValueOptions(TypedDict, total=False):
    """The fields of `Form` that tables in memory have too, as keyword arguments."""

    decimal: Literal[".", ","]
    null: str | Sequence[str]
    time_format: str | None


class FormOptions(ValueOptions, total=False):
    """The fields of `Form` as keyword arguments, for type checkers."""

    format: Format | None
    sheet: str | None
    separator: str | None
    header: bool | None
    quote: str | Literal[False] | None
    escape: str | None
    encoding: str | None


@dataclass(frozen=True)
class Form:
    r"""How the values of a file are written; what is None is found out from the file.

    Attributes
    ----------
    format : one of `FORMATS`, or None
        csv and tsv are text with a separator; of lists each line is a user and then its items, with
        white space or a separator between; jsonl has one JSON object per line, json is an array
        of objects, arrow is a file or stream of Arrow (Feather), excel a workbook of Excel or
        OpenDocument, whose cells are read as the fields of a csv file.
    separator : str or None
        What stands between the fields of a line: one or several characters.
    header : bool or None
        Whether the first line names the columns. Without names they are called 1, 2, 3, ...
    quote : str, False or None
        The sign around fields that hold a separator; False takes quotes as part of the text.
    escape : str or None
        The sign that takes the next character's meaning away, as in "say \"this\"". With it, a
        field \N is missing.
    encoding : str or None
        The name of a text encoding, such as utf-16 or latin-1.
    decimal : "." or ","
        The decimal sign of numbers.
    null : str or sequence of str
        Words that stand for a missing value, besides the empty field.
    time_format : str or None
        "s", "ms", "us" or "ns" since 1970, or a pattern such as "%d/%m/%Y %H:%M".
    sheet : str or None
        Of a workbook, the name of the sheet; None takes the only one that holds rows.
    """

    format: Format | None = None
    separator: str | None = None
    header: bool | None = None
    quote: str | Literal[False] | None = None
    escape: str | None = None
    encoding: str | None = None
    decimal: Literal[".", ","] = "."
    null: str | Sequence[str] = ()
    time_format: str | None = None
    sheet: str | None = None

    def __post_init__(self) -> None:
        if self.format is not None and not is_one_of(self.format, FORMATS):
            raise ParameterError(f"format must be one of {FORMATS}, got {self.format!r}")
        if self.separator is not None:
            _text("separator", self.separator)
            if set(self.separator) & {"\n", "\r"}:
                raise ParameterError("separator must be no line end")
        for name in ("quote", "escape"):
            sign = getattr(self, name)
            if (
                sign is not None
                and sign is not False
                and not (isinstance(sign, str) and len(sign) == 1 and sign.isascii() and sign > " ")
            ):
                no = ", or False for none" if name == "quote" else ""
                raise ParameterError(f"{name} must be one ASCII character{no}; got {sign!r}")
        if self.sheet is not None:
            _text("sheet", self.sheet)
        if self.header is not None and not isinstance(self.header, bool):
            raise ParameterError(f"header must be True or False, got {self.header!r}")
        if self.encoding is not None:
            _text("encoding", self.encoding)
            try:
                codecs.lookup(self.encoding)
                "".encode(self.encoding)
            except (LookupError, ValueError):
                raise ParameterError(
                    f"encoding {self.encoding!r} is unknown; utf-8, utf-16, latin-1 and cp1252 are"
                    " common ones"
                ) from None
        if not is_one_of(self.decimal, (".", ",")):
            raise ParameterError(f"decimal must be '.' or ',', got {self.decimal!r}")
        words = (self.null,) if isinstance(self.null, str) else self.null
        if not isinstance(words, Sequence) or not all(isinstance(word, str) for word in words):
            raise ParameterError(f"null must be words for missing values, got {self.null!r}")
        object.__setattr__(self, "null", tuple(words))
        if self.time_format is not None:
            _text("time_format", self.time_format)
            if self.time_format not in ("s", "ms", "us", "ns") and "%" not in self.time_format:
                raise ParameterError(
                    "time_format must be 's', 'ms', 'us' or 'ns', or a pattern such as"
                    f" '%d/%m/%Y %H:%M'; got {self.time_format!r}"
                )

    @property
    def words(self) -> tuple[str, ...]:
        """The words that stand for a missing value."""
        return tuple(self.null)

    def found(self, **changes: Any) -> Form:
        """Return the form with what was found out."""
        return replace(self, **changes)

    def described(self) -> str:
        """Return one line, such as "csv; ';', utf-8 with BOM, header"; "" for no file."""
        if self.format is None:
            return ""
        if self.format == "excel":
            return f"excel; sheet {self.sheet!r}, {self._header()}"
        if self.format not in ("csv", "tsv"):
            return self.format
        said = [repr(self.separator) if self.separator not in _NAMED else _NAMED[self.separator]]
        if self.encoding:
            said.append("utf-8 with BOM" if self.encoding == "utf-8-sig" else self.encoding)
        said.append(self._header())
        if self.quote is False:
            said.append("quotes as text")
        elif self.quote not in (None, '"'):
            said.append(f"quote {self.quote}")
        if self.escape:
            said.append(f"escape {self.escape}")
        if self.decimal == ",":
            said.append("decimal comma")
        return f"{self.format}; {', '.join(said)}"

    def _header(self) -> str:
        return "no header" if self.header is False else "header"


NAMES = tuple(field.name for field in fields(Form))


def _text(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ParameterError(f"{name} must be text, got {value!r}")
