"""The report as one HTML page that needs nothing else: no network, no file beside it."""

import base64
import hashlib
import json
import re
from html import escape
from importlib.resources import files
from string import Template

from trimetric.experiments.page import figures, tables

_INLINE = re.compile(r"\*\*([^*]+)\*\*|`([^`]+)`")
_N_ACCENTS = 5


def render(report: dict, plotly: str, omitted: str) -> str:
    """Return the page.

    Parameters
    ----------
    report : dict
    plotly : str
        The code of plotly.js; "" if the report has no figures.
    omitted : str
        Why the folder has no images, or "".
    """
    here = files("trimetric.experiments.page")
    style, own = (here.joinpath(name).read_text("utf-8") for name in ("report.css", "report.js"))
    sections = [s | {"id": f"s{i}"} for i, s in enumerate(report["sections"], 1)]
    accents = _accents(sections)
    colours = figures.slots([s for s in sections if s["kind"] == "figure"])
    spread = any(tables.has_spread(s) for s in sections if s["kind"] != "text")
    body = {"text": _words, "table": _table, "figure": _figure}
    shown = [_section(s, body[s["kind"]](s, accents, colours)) for s in sections]
    return Template(here.joinpath("report.html").read_text("utf-8")).substitute(
        policy=f"default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; script-src"
        f" {_digest(plotly)} {_digest(own)}; base-uri 'none'; form-action 'none'",
        style=style,
        title=escape(report["title"]),
        subtitle=inline(report.get("subtitle") or ""),
        glance=_glance(report),
        note=_note((report.get("data") or {}).get("note") or ""),
        contents="".join(
            f'<li><a href="#{s["id"]}">{escape(s["title"])}</a></li>'
            for s in sections
            if s.get("title")
        ),
        sections="\n".join(shown),
        spread=f'<p class="note">{inline(report.get("spread") or tables.SPREAD)}</p>'
        if spread
        else "",
        provenance=_provenance(report),
        omitted=f"<p>{escape(omitted)}</p>" if omitted else "",
        themes=_json(figures.THEMES),
        plotly=plotly,
        script=own,
    )


def inline(text: str) -> str:
    """Escape a text in which **bold** and `code` are meant."""
    return _INLINE.sub(
        lambda m: f"<b>{m[1]}</b>" if m[1] else f"<code>{m[2]}</code>", escape(str(text))
    )


def _section(section: dict, body: str) -> str:
    title = f"<h2>{escape(section['title'])}</h2>" if section.get("title") else ""
    caption = section.get("caption") if section["kind"] == "figure" else ""
    lead = f'<p class="lead">{inline(caption)}</p>' if caption else ""
    if section["kind"] == "table":
        warning = tables.warning(section)
    else:
        warning = section.get("warning") or ""
    banner = (
        f'<p class="warning" role="note"><b>Warning.</b> {inline(warning)}</p>' if warning else ""
    )
    anchor, kind = section["id"], section["kind"]
    return f'<section id="{anchor}" class="{kind}">{title}{lead}{banner}{body}</section>'


def _words(section: dict, accents: dict[str, int], colours: dict[str, int]) -> str:
    return "".join(f"<p>{inline(paragraph)}</p>" for paragraph in section["paragraphs"])


def _table(table: dict, accents: dict[str, int], colours: dict[str, int]) -> str:
    groups = tables.groups(table)
    label = _sorter(table.get("label") or "Model")
    upper = lower = ""
    for name, columns in groups:
        upper += (
            f'<th scope="colgroup" colspan="{len(columns)}" class="edge'
            f' {_look(columns[0], accents)}" {_group(name, accents)}>{escape(name)}</th>'
        )
        for i, column in enumerate(columns):
            look = _look(column, accents) + " edge" * (i == 0)
            lower += f'<th scope="col" class="{look}" {_group(name, accents)}>'
            lower += f"{_sorter(column['label'])}</th>"
    if any(name for name, _ in groups):
        corner = f'<th scope="col" rowspan="2" class="name">{label}</th>'
        head = f'<tr class="groups">{corner}{upper}</tr><tr>{lower}</tr>'
    else:
        head = f'<tr><th scope="col" class="name">{label}</th>{lower}</tr>'
    best = tables.best(table)
    body = "".join(_row(row, table, accents, best) for row in table["rows"])
    notes = [f"Sources: {'; '.join(found)}." for found in [tables.sources(table)] if found]
    notes += [f"–: {'; '.join(found)}." for found in [tables.missing(table)] if found]
    grid = _grid(table["title"], inline(table.get("caption") or ""), head, body)
    return _chips(groups, accents) + grid + "".join(map(_note, notes))


def _row(row: dict, table: dict, accents: dict[str, int], best: dict[str, str]) -> str:
    cells = ""
    for name, columns in tables.groups(table):
        for i, column in enumerate(columns):
            look = _look(column, accents) + " edge" * (i == 0)
            cell = row["cells"].get(column["key"]) or {}
            cells += _cell(cell, column, table, (look, _group(name, accents)), best)
    return f'<tr><th scope="row" class="name">{escape(row["label"])}</th>{cells}</tr>'


def _cell(cell: dict, column: dict, table: dict, where: tuple[str, str], best: dict) -> str:
    look, group = where
    hint = f' title="{escape(cell["source"])}"' if cell.get("source") else ""
    text = tables.shown(cell, column, table)
    if not text:
        reason = escape(cell.get("source") or "no value")
        return (
            f'<td class="{look} missing" {group}{hint}><span aria-hidden="true">–</span>'
            f'<span class="spoken">missing: {reason}</span></td>'
        )
    value = cell["value"]
    key = f' data-value="{value}"' if isinstance(value, int | float) else ""
    inner = escape(text)
    if best.get(column["key"]) == text:
        inner = f"<b>{inner}</b>"
    if cell.get("mark"):
        inner += f"<sup>{escape(cell['mark'])}</sup>"
    if spread := tables.spread(cell, column, table):
        inner += f"<small>± {spread}</small>"
    return f'<td class="{look}" {group}{hint}{key}>{inner}</td>'


def _grid(title: str, caption: str, head: str, body: str) -> str:
    caption = f"<caption><span>{caption}</span></caption>" if caption else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(title)}"><table>'
        f"{caption}<thead>{head}</thead><tbody>{body}</tbody></table></div>"
    )


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>' if text else ""


def _sorter(label: str) -> str:
    return f'<button type="button" class="sorter">{escape(label)}</button>'


def _look(column: dict, accents: dict[str, int]) -> str:
    if tables.is_leak(column):
        return "leak"
    name = column.get("group")
    return f"a{accents[name] % _N_ACCENTS}" if name else "plain"


def _group(name: str, accents: dict[str, int]) -> str:
    return f'data-group="{accents.get(name, "")}"'


def _chips(groups: list[tuple[str, list[dict]]], accents: dict[str, int]) -> str:
    """Return buttons that show and hide the groups of a table, where there are several."""
    named = {name: columns for name, columns in groups if name}
    chips = "".join(
        f'<button type="button" class="chip {_look(columns[0], accents)}" aria-pressed="true"'
        f" {_group(name, accents)}>{escape(name)}</button>"
        for name, columns in named.items()
    )
    shown = f'<div class="chips" role="group" aria-label="Columns shown">{chips}</div>'
    return shown if len(named) > 1 else ""


def _figure(figure: dict, accents: dict[str, int], colours: dict[str, int]) -> str:
    legend = "".join(
        f'<button type="button" class="chip{" dash" if series.get("dash") else ""}"'
        f' aria-pressed="true" data-series="{escape(figures.literal(name))}"'
        f' data-colour="@s{colours[figures.model(series)]}">{escape(name)}</button>'
        for name, series in figures.names(figure).items()
    )
    panels = values = ""
    for panel in figure["panels"]:
        name = panel.get("title") or figure["title"]
        title = f"<h3>{escape(panel['title'])}</h3>" if panel.get("title") else ""
        panels += (
            f'<div class="panel">{title}<div class="plot" role="img"'
            f' aria-label="{escape(name)}; the values follow as a table"'
            f' data-name="{escape(figure["name"])}"></div>'
            f'<script type="application/json">{_json(figures.spec(panel, colours))}</script></div>'
        )
        header, rows = figures.values(panel)
        head = f'<th scope="col" class="name">{escape(header[0])}</th>'
        head += "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header[1:])
        body = ""
        for first, *rest in rows:
            cells = "".join(f"<td>{escape(cell)}</td>" for cell in rest)
            body += f'<tr><th scope="row" class="name">{escape(first)}</th>{cells}</tr>'
        values += _grid(name, escape(name), f"<tr>{head}</tr>", body)
    if figures.has_legend(figure):
        legend = f'<div class="chips" role="group" aria-label="Series shown">{legend}</div>'
    else:
        legend = ""
    return (
        f'{legend}<div class="panels">{panels}</div>'
        + "".join(_note(f"{note}.") for note in figures.notes(figure))
        + f"<details><summary>Values as a table</summary>{values}</details>"
    )


def _glance(report: dict) -> str:
    data = report.get("data") or {}
    shown = [
        ("Data", data.get("name")),
        *((key.capitalize(), data.get(key)) for key in ("users", "items", "interactions")),
        ("Seeds", len(report.get("seeds") or []) or None),
        ("Took", tables.duration(report.get("seconds"))),
        ("Date", report.get("date")),
    ]
    pairs = [(name, tables.number(value)) for name, value in shown if value]
    return "".join(f"<div><dt>{n}</dt><dd>{escape(v)}</dd></div>" for n, v in pairs)


def _provenance(report: dict) -> str:
    command = report.get("command")
    shown = f'<pre tabindex="0"><code>{escape(str(command))}</code></pre>' if command else ""
    shown += '<div class="facts">'
    for title, pairs in tables.facts(report):
        rows = "".join(f"<dt>{escape(n)}</dt><dd>{escape(v)}</dd>" for n, v in pairs)
        shown += f"<div><h3>{escape(title)}</h3><dl>{rows}</dl></div>"
    return f"{shown}</div>"


def _accents(sections: list[dict]) -> dict[str, int]:
    """Number the groups of columns, so that each looks the same in all tables."""
    shown = [s for s in sections if s["kind"] == "table"]
    found = dict.fromkeys(name for table in shown for name, _ in tables.groups(table) if name)
    return {name: i for i, name in enumerate(found)}


def _json(value: object) -> str:
    """Return JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
