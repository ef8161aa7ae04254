"""The report as GitHub-flavoured Markdown."""

import re

from trimetric.experiments.page import figures, tables

_INLINE = re.compile(r"(\*\*[^*]+\*\*|`[^`]+`)")


def render(report: dict, images: dict[str, str], omitted: str) -> str:
    """Return the report as Markdown.

    Parameters
    ----------
    report : dict
    images : dict
        The file of each figure that has one; the others appear as their values.
    omitted : str
        Why images are missing, or "".
    """
    parts = [f"# {plain(report['title'])}"]
    if report.get("subtitle"):
        parts.append(inline(report["subtitle"]))
    data = report.get("data") or {}
    if data.get("note"):
        parts.append(f"Data: {plain(data.get('name') or '')}, {plain(data['note'])}.")
    for section in report["sections"]:
        if section.get("title"):
            parts.append(f"## {plain(section['title'])}")
        parts += _RENDER[section["kind"]](section, images)
    if any(tables.has_spread(s) for s in report["sections"] if s["kind"] != "text"):
        parts.append(inline(report.get("spread") or tables.SPREAD))
    parts += _provenance(report)
    if omitted:
        parts.append(plain(omitted))
    return "\n\n".join(parts) + "\n"


def plain(text: str) -> str:
    """Escape a text, so that it reads as it is."""
    escaped = re.sub(r"([\\`*\[\]<>|~&])", r"\\\1", re.sub(r"\s+", " ", str(text)))
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", escaped)


def inline(text: str) -> str:
    """Escape a text in which **bold** and `code` are meant."""
    parts = _INLINE.split(re.sub(r"\s+", " ", str(text)))
    text = "".join(_span(part) if i % 2 else plain(part) for i, part in enumerate(parts))
    # What would begin a heading, a list or a rule begins a sentence.
    return re.sub(r"^(\d*)([#+=-]|[.)])(?=[\s#=-]|$)", r"\1\\\2", text)


def _span(part: str) -> str:
    if part.startswith("`"):
        return part.replace("|", "\\|")
    return f"**{plain(part[2:-2])}**"


def _words(section: dict, images: dict[str, str]) -> list[str]:
    return [inline(paragraph) for paragraph in section["paragraphs"]]


def _table(table: dict, images: dict[str, str]) -> list[str]:
    parts = [inline(table["caption"])] if table.get("caption") else []
    if tables.warning(table):
        parts.append(f"> **Warning.** {inline(tables.warning(table))}")
    header = [plain(table.get("label") or "Model")]
    for column in table["columns"]:
        group = f"{plain(column['group'])}: " if column.get("group") else ""
        header.append(group + plain(column["label"]))
    best, rows = tables.best(table), []
    for row in table["rows"]:
        cells = (_cell(row["cells"].get(c["key"]) or {}, c, table, best) for c in table["columns"])
        rows.append([plain(row["label"]), *cells])
    parts.append(_grid(header, rows))
    if tables.sources(table):
        parts.append(f"Sources: {plain('; '.join(tables.sources(table)))}.")
    if tables.missing(table):
        parts.append(f"–: {plain('; '.join(tables.missing(table)))}.")
    return parts


def _cell(cell: dict, column: dict, table: dict, best: dict[str, str]) -> str:
    value = tables.shown(cell, column, table)
    if not value:
        return "–"
    text = plain(value)
    if best.get(column["key"]) == value:
        text = f"**{text}**"
    spread = tables.spread(cell, column, table)
    return text + (f" ± {spread}" if spread else "") + plain(cell.get("mark") or "")


def _figure(figure: dict, images: dict[str, str]) -> list[str]:
    parts = [inline(figure["caption"])] if figure.get("caption") else []
    if figure.get("warning"):
        parts.append(f"> **Warning.** {inline(figure['warning'])}")
    if figure["name"] in images:
        parts.append(f"![{plain(figure['title'])}]({images[figure['name']]})")
    else:
        for panel in figure["panels"]:
            header, rows = figures.values(panel)
            if panel.get("title"):
                parts.append(f"**{plain(panel['title'])}**")
            parts.append(_grid(*([plain(h) for h in header], [[*map(plain, r)] for r in rows])))
    return parts + [plain(note) + "." for note in figures.notes(figure)]


def _provenance(report: dict) -> list[str]:
    parts = ["## How this was made"]
    if report.get("command"):
        parts.append(f"```\n{str(report['command']).replace('```', '')}\n```")
    lines = []
    for title, pairs in tables.facts(report):
        named = "; ".join(f"{plain(name)} {plain(value)}" for name, value in pairs)
        lines.append(f"- **{plain(title)}**: {named}")
    return [*parts, "\n".join(lines)] if lines else parts


def _grid(header: list[str], rows: list[list[str]]) -> str:
    align = [":---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, align, *rows))


_RENDER = {"text": _words, "table": _table, "figure": _figure}
