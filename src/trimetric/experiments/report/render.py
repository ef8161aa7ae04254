"""A report as one HTML page that needs no network and no other file, and as Markdown."""

import base64
import hashlib
import re
from collections.abc import Callable
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from trimetric.experiments.report import figures, tables

_SPAN = re.compile(r"\*\*([^*]+)\*\*|`([^`]+)`")


def html(report: dict, plotly: str = "", omitted: str = "") -> str:
    """Return the page.

    Parameters
    ----------
    report : dict
    plotly : str
        The code of plotly.js; "" if the report has no figures.
    omitted : str
        Why the folder has no images, or "".
    """
    templates = _templates("html")
    script = _source("report.js")
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; script-src"
        f" {_digest(plotly)} {_digest(script)}; base-uri 'none'; form-action 'none'"
    )
    drawn = [section for section in report["sections"] if section["kind"] == "figure"]
    return templates.get_template("report.html.jinja").render(
        report=report, plotly=plotly, omitted=omitted, policy=policy,
        accents=_accents(report), colours=figures.slots(drawn),
    )  # fmt: skip


def markdown(report: dict, images: dict[str, str], omitted: str = "") -> str:
    """Return the report as GitHub-flavoured Markdown.

    Parameters
    ----------
    report : dict
    images : dict
        The files of the figures; those without one are shown as tables of their values.
    omitted : str
        Why images are missing, or "".
    """
    template = _templates("markdown").get_template("report.md.jinja")
    text = template.render(report=report, images=images, omitted=omitted)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


@cache
def _templates(kind: str) -> Any:
    """Return the environment of templates; all that they print is escaped unless it is Markup."""
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup

    def marked(convert: Callable[[str], str]) -> Callable[[Any], Markup]:
        return lambda text: text if isinstance(text, Markup) else Markup(convert(str(text)))

    templates = Environment(
        loader=PackageLoader(__package__, ""),
        autoescape=True,
        finalize=marked(escape_markdown) if kind == "markdown" else None,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    spans = markdown_spans if kind == "markdown" else html_spans
    templates.filters |= {"spans": marked(spans), "plain": marked(escape_markdown)}
    templates.globals |= {"tables": tables, "figures": figures, "source": _source}
    return templates


def _source(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def html_spans(text: str) -> str:
    """Escape a text in which **bold** and `code` are markup."""
    return _SPAN.sub(lambda m: f"<b>{m[1]}</b>" if m[1] else f"<code>{m[2]}</code>", escape(text))


def escape_markdown(text: str) -> str:
    """Escape a text, so that Markdown shows it as it is."""
    escaped = re.sub(r"([\\`*\[\]<>|~&])", r"\\\1", re.sub(r"\s+", " ", str(text)))
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", escaped)


def markdown_spans(text: str) -> str:
    """Escape a text in which **bold** and `code` are markup."""
    text, end, parts = re.sub(r"\s+", " ", text), 0, []
    for span in _SPAN.finditer(text):
        bold, code = span.groups()
        parts.append(escape_markdown(text[end : span.start()]))
        parts.append(f"**{escape_markdown(bold)}**" if bold else f"`{code}`".replace("|", "\\|"))
        end = span.end()
    joined = "".join((*parts, escape_markdown(text[end:])))
    # Signs that would begin a heading, a list or a rule begin a sentence here.
    return re.sub(r"^(\d*)([#+=-]|[.)])(?=[\s#=-]|$)", r"\1\\\2", joined)


def _accents(report: dict) -> dict[str, int]:
    """Number the groups of columns, so that each looks the same in all tables."""
    shown = [section for section in report["sections"] if section["kind"] == "table"]
    names = dict.fromkeys(name for table in shown for name, _ in tables.groups(table) if name)
    return {name: i for i, name in enumerate(names)}


def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
