"""A report says the same as page, Markdown and JSON, and the page works on its own."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimetric.errors import MissingExtra, OutputError, ParameterError
from trimetric.experiments import report
from trimetric.experiments.report import figures, render
from trimetric.storage.atomic import finite

EVIL = "<script>alert(1)</script>|*x*`&\"'"
CHROME = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
needs_chrome = pytest.mark.skipif(not CHROME, reason="no Chromium on this machine")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
    " --disable-background-networking --disable-component-update --enable-logging=stderr --v=0"
    " --virtual-time-budget=10000"
)


def cell(value, **more) -> dict:
    return {"value": value, "spread": None, "mark": "", "source": "trimetric"} | more


def a_table() -> dict:
    columns = [
        {"key": "a", "label": "P@5", "group": "published", "higher_is_better": True},
        {"key": "b", "label": "P@5", "group": "as-released (leak)", "higher_is_better": True},
        {"key": "c", "label": "seconds", "higher_is_better": False, "format": "{:.1f}"},
        {"key": "d", "label": "note", "higher_is_better": None},
    ]
    missing = cell(None, source="did not finish")
    sml = {"a": cell(0.5), "b": cell(0.75, spread=0.01, mark="*"), "c": cell(2.0), "d": cell("ok")}
    cml = {"a": missing, "b": cell(0.7), "c": cell(1.25), "d": cell(1234567)}
    nan = {"a": cell(0.25), "b": cell(float("nan")), "c": cell(float("inf"))}
    rows = [{"label": n, "cells": c} for n, c in (("SML", sml), ("CML", cml), ("BPR", nan))]
    return {"kind": "table", "title": "Scores", "columns": columns, "rows": rows, "best": True}


def a_series(name: str, x: list, y: list | None, **more) -> dict:
    empty = {"spread": None, "text": None, "source": "trimetric", "dash": False}
    return {"name": name, "x": x, "y": y, **empty, **more}


def a_panel(plot: str, series: list[dict], log: bool = False, **more) -> dict:
    axes = {"x": {"label": "x", "log": log}, "y": {"label": "HR@10", "log": False}}
    return {"title": plot, "plot": plot, "series": series, **axes, **more}


def a_figure() -> dict:
    lines = [
        a_series("SML", [0.0, 0.01, 1.0], [0.3, 0.5, 0.4], spread=[0.01, 0.01, None]),
        a_series("CML", [0.01, 1.0], [0.45, None], dash=True),
    ]
    marks = [{"from": 0.01, "to": 0.01, "label": "optimum", "source": "paper"}]
    panels = [
        a_panel("lines", lines, log=True, marks=marks),
        a_panel("scatter", [a_series("SML", [3.0], [0.5], text=["fast"])]),
        a_panel("histogram", [a_series("SML", [0.2, 0.2, 0.9], None)]),
        a_panel("bars", [a_series("SML", ["few", "many"], [0.1, 0.2], spread=[0.01, 0.02])]),
    ]
    panels[2]["marks"] = [{"from": 0.1, "to": 0.5, "label": "stated", "source": "paper"}]
    return {"kind": "figure", "name": "all-plots", "title": "Plots", "panels": panels}


def a_report(*sections: dict) -> dict:
    text = {"kind": "text", "title": "In short", "paragraphs": ["A **bold** word, `code`."]}
    return {
        **{"title": "Report", "subtitle": "of a test", "date": "2020-02-02", "seconds": 75.2},
        **{"command": "trimetric compare", "seeds": [0, 1], "budget": {"epochs": 3}},
        **{"machine": {"cpu": "2 cores"}, "versions": {"numpy": "2"}},
        "data": {"name": "ml_1m", "users": 6040, "items": 3706, "interactions": 1000209},
        "sections": list(sections or (text, a_table(), a_figure())),
    }


@pytest.fixture
def no_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)


def evil(value):
    if isinstance(value, dict):
        keep = ("kind", "plot", "name", "key", "format", "higher_is_better")
        return {k: v if k in keep and v != "SML" else evil(v) for k, v in value.items()}
    if isinstance(value, list):
        return [evil(one) for one in value]
    return EVIL if isinstance(value, str) else value


def without_scripts(page: str) -> str:
    return re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL)


@pytest.mark.usefixtures("no_images")
def test_files(tmp_path: Path) -> None:
    written = report.write(a_report(), tmp_path / "new" / "out")
    assert [path.name for path in written] == ["report.html", "report.md", "report.json"]
    assert sorted(path.name for path in (tmp_path / "new" / "out").iterdir()) == sorted(
        path.name for path in written
    )
    again = report.write(a_report(), tmp_path / "new" / "out")
    assert again == written


def test_json_is_the_document(tmp_path: Path) -> None:
    document = a_report(a_table())
    report.write(document, tmp_path)
    read = json.loads((tmp_path / "report.json").read_text())
    assert read["sections"][0]["rows"][2]["cells"]["b"]["value"] is None
    assert read["sections"][0]["rows"][0] == document["sections"][0]["rows"][0]


def test_markdown_table() -> None:
    text = render.markdown(finite(a_report(a_table())), {}, "")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert lines == [
        r"| Model | published: P@5 | as-released (leak): P@5 | seconds | note |",
        r"| :--- | ---: | ---: | ---: | ---: |",
        r"| SML | **0.5000** | **0.7500** ± 0.0100\* | 2.0 | ok |",
        r"| CML | – | 0.7000 | **1.2** | 1,234,567 |",
        r"| BPR | 0.2500 | – | – | – |",
    ]
    assert "–: did not finish; trimetric." in text
    assert "> **Warning.** Values in marked columns come with a leak" in text
    assert "± is the standard deviation over seeds." in text
    assert "- **Run**: date 2020-02-02; took 1 min 15 s; seeds 0, 1" in text


def test_markdown_figures() -> None:
    drawn = render.markdown(a_report(a_figure()), {"all-plots": "all-plots.png"}, "")
    assert "![Plots](all-plots.png)" in drawn
    assert "Lines, not on the log axis, x = 0: SML 0.3000 ± 0.0100." in drawn
    assert "Lines, optimum: 0.01 (paper)." in drawn
    values = render.markdown(a_report(a_figure()), {}, "No browser.")
    assert "| 0.01 | 0.5000 ± 0.0100 | 0.4500 |" in values
    assert "| SML | fast | 3 | 0.5000 |" in values
    assert "| SML | 3 | 0.2000 | 0.2000 | 0.4333 | 0.9000 |" in values
    assert "| many | 0.2000 ± 0.0200 |" in values
    assert values.endswith("No browser.\n")


@pytest.mark.parametrize("start", ["# no", "- no", "+ no", "1. no", "--- no", "=== no"])
def test_a_sentence_begins_no_heading_or_list(start: str) -> None:
    assert render.markdown_spans(start) != start
    assert render.markdown_spans(start).replace("\\", "") == start


def test_page_table() -> None:
    page = render.html(finite(a_report(a_table())), "", "")
    assert '<th scope="colgroup" colspan="1" class="edge leak" data-group="1">' in page
    assert '<th scope="row" class="name">SML</th>' in page
    assert '<span aria-hidden="true">–</span><span class="spoken">missing: did not finish' in page
    assert 'data-value="0.75"><b>0.7500</b><sup>*</sup><small>± 0.0100</small></td>' in page
    assert '<p class="warning" role="note"><b>Warning.</b> Values in marked columns' in page


@pytest.mark.usefixtures("no_images")
def test_all_text_is_escaped(tmp_path: Path) -> None:
    report.write(evil(a_report()), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "alert(1)</script>" not in page
    assert page.count("</script>") == page.count("<script") == 7
    rest = without_scripts(page)
    assert "&lt;script&gt;alert(1)" in rest
    assert not re.search(r'"[^"<>]*<script', rest)
    text = (tmp_path / "report.md").read_text()
    assert "<script>" not in re.sub(r"```.*?```", "", text, flags=re.DOTALL).replace("\\<", "")
    for line in text.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 4, 5, 6, 7)


@pytest.mark.usefixtures("no_images")
def test_the_page_loads_nothing(tmp_path: Path) -> None:
    report.write(a_report(), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "default-src 'none'" in page
    rest = without_scripts(page)
    assert set(re.findall(r"(?:src|href)=\"([^\"#]*)", rest)) <= {""}
    assert not re.search(r"url\(|@import|<link|<img|https?:", rest)
    own = Path(report.__file__).with_name("report.js")
    assert not re.search(r"https?:|fetch|XMLHttp", own.read_text())


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("plot", report.PLOTS)
def test_odd_values_are_drawn(plot: str, log: bool) -> None:
    x, text = [None, 0.0, -1.0, 2.0], ["a"] * 4
    raw = None if plot == "histogram" else [1.0, None, 2.0, 3.0]
    for series in ([], [a_series("s", [], [])], [a_series("s", x, raw, text=text)]):
        figure = a_figure() | {"panels": [a_panel(plot, series, log)]}
        figures.composite(figure, figures.slots([figure]))
        assert "Plots" in render.markdown(a_report(figure), {}, "")
        assert "Plots" in render.html(a_report(figure), "", "")


def test_colours_are_those_of_models() -> None:
    figure = a_figure()
    other = a_series("EASE", [1.0], [0.1])
    same = a_series("SML, honest", [1.0], [0.1], model="sml")
    figure["panels"][1]["series"] += [other, same]
    colours = figures.slots([figure])
    assert (colours["sml"], colours["cml"]) == (0, 1)
    assert colours["ease"] not in (0, 1)
    many = [a_series(f"model {i}", [1.0], [0.1]) for i in range(25)]
    assert set(figures.slots([{"panels": [{"series": many}]}]).values()) <= set(range(10))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "movie"}, "kind must be one of .* got 'movie'"),
        ({"name": "../up"}, "a figure's name must be .* got '../up'"),
        ({"name": "report"}, "a figure's name must be .* got 'report'"),
        ({"panels": [a_panel("pie", [])]}, "plot must be one of .* got 'pie'"),
        ({"panels": [a_panel("lines", [a_series("s", [1], [])])]}, "y must be as long as x, 1"),
        (
            {"panels": [a_panel("bars", [], True, marks=[{"from": 0, "to": 1, "label": "m"}])]},
            "on a log axis it must be above 0, got 0",
        ),
    ],
)
def test_bad_sections_are_named(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        report.write(a_report(a_figure() | change), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["{:.4f", "{}", "{:d}", "{:.1f}{:.1f}", "{x:.1f}"])
def test_bad_formats_are_named(tmp_path: Path, form: str) -> None:
    with pytest.raises(ParameterError, match="format must be one field"):
        report.write(a_report(a_table() | {"format": form}), tmp_path)


def test_without_plotly_the_rest_is_written(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(MissingExtra, match=r"pip install 'trimetric\[plots\]'"):
        report.write(a_report(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"report.md", "report.json"}
    report.write(a_report(a_table()), tmp_path)
    assert (tmp_path / "report.html").exists()


@pytest.mark.parametrize("reason", ["kaleido is not installed", "the browser failed"])
def test_without_images_the_report_says_so(tmp_path: Path, monkeypatch, reason: str) -> None:
    def fail(*args, **kwargs) -> bytes:
        raise RuntimeError("no display")

    if "not installed" in reason:
        monkeypatch.setitem(sys.modules, "kaleido", None)
    else:
        monkeypatch.setattr("kaleido.calc_fig_sync", fail)
    report.write(a_report(), tmp_path)
    for name in ("report.html", "report.md"):
        assert f"Figures are not there as PNG: {reason}" in (tmp_path / name).read_text()


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="a file stands where a folder is needed"):
        report.write(a_report(a_table()), tmp_path / "out")


@pytest.mark.slow
@needs_chrome
def test_images(tmp_path: Path) -> None:
    written = report.write(a_report(), tmp_path)
    assert [path.name for path in written][3:] == ["all-plots.png"]
    assert (tmp_path / "all-plots.png").read_bytes().startswith(b"\x89PNG")
    assert "![Plots](all-plots.png)" in (tmp_path / "report.md").read_text()


@pytest.mark.slow
@needs_chrome
@pytest.mark.usefixtures("no_images")
@pytest.mark.parametrize("hostile", [False, True])
def test_the_page_in_a_browser(tmp_path: Path, hostile: bool) -> None:
    report.write(evil(a_report()) if hostile else a_report(), tmp_path)
    dom, log = browse(tmp_path / "report.html", tmp_path)
    assert "CONSOLE" not in log
    assert 'data-ready="true"' in dom
    assert dom.count('class="plot js-plotly-plot"') == 4
    assert dom.count("<script") == 7


@pytest.mark.slow
@needs_chrome
@pytest.mark.usefixtures("no_images")
def test_sorting_and_hiding(tmp_path: Path) -> None:
    report.write(a_report(), tmp_path)
    page = (tmp_path / "report.html").read_text()
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    clicks = """<script>{
      const pick = (selector) => [...document.querySelectorAll(selector)];
      const rows = () => pick("section.table tbody th").map((th) => th.textContent).join();
      const [model, published] = pick("section.table .sorter");
      const log = [published, published, published, model].map((head) => (head.click(), rows()));
      pick("section.table .chip")[0].click();
      log.push(pick("section.table td").filter((td) => td.hidden).length);
      pick("section.figure .chip")[1].click();
      log.push(pick(".plot")[0].data.map((trace) => trace.visible).join());
      document.body.dataset.log = log.join(" ");
    }</script>"""
    (tmp_path / "clicks.html").write_text(page.replace("</body>", clicks + "</body>"))
    dom, log = browse(tmp_path / "clicks.html", tmp_path)
    assert "CONSOLE" not in log
    found = re.search('data-log="([^"]*)"', dom)
    # Missing values stay last; the third click restores the order.
    assert found
    assert found[1].split() == [
        *("SML,BPR,CML", "BPR,SML,CML", "SML,CML,BPR", "BPR,CML,SML"),
        "3",
        "true,false",
    ]


def browse(page: Path, folder: Path) -> tuple[str, str]:
    """Return the document once scripts have run, and what the browser logged."""
    command = [str(CHROME), *FLAGS.split(), f"--user-data-dir={folder / 'profile'}"]
    done = subprocess.run(
        [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@given(
    st.dictionaries(
        st.text(max_size=9),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text("[],\n {}\"'ab", max_size=9),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(st.text(max_size=9), inner, max_size=4)
            ),
            max_leaves=20,
        ),
    )
)
def test_json_with_lists_in_one_line_is_the_same_json(document: dict) -> None:
    assert json.loads(report.readable(document)) == document
