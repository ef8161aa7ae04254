"""What the documentation site has beside docs/: references, sources that pages link to, reports.

`mkdocs.yml` names this file as its hook.
"""

import json
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

import trimetric
from trimetric.experiments import report
from trimetric.experiments.report import render

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
SOURCES, REFERENCE = "files", "reference"
MODULES = {
    "models": [
        *("trimetric.models.recommender", "trimetric.models.epoch_trained"),
        *("trimetric.models.config", "trimetric.models.triplet", "trimetric.models.partial_fit"),
        "trimetric.models.batch",
    ],
    "data": [
        *("trimetric.data.synthetic", "trimetric.data.datasets", "trimetric.data.splits"),
        "trimetric.data.summary",
    ],
    "space": [
        *("trimetric.space.scorer", "trimetric.space.metric", "trimetric.space.inner_product"),
        *("trimetric.space.function", "trimetric.space.index", "trimetric.space.known"),
        *("trimetric.space.filters", "trimetric.space.lists", "trimetric.space.explanation"),
        *("trimetric.space.projection", "trimetric.space.export"),
    ],
    "evaluation": [
        *("trimetric.evaluation.protocols", "trimetric.evaluation.metrics"),
        "trimetric.evaluation.significance",
    ],
    "experiments": ["trimetric.experiments.compare", "trimetric.testing"],
    "errors": ["trimetric.errors"],
}
"""Pages of the reference beside that of the package's own names, and the modules on each."""


def on_config(config):
    """Add the reference to the navigation."""
    pages = ["trimetric", *MODULES]
    reports = sorted((ROOT / "docs" / "results").glob("*/report.md"))
    for entry in config.nav:
        if "Reference" in entry:
            entry["Reference"] += [{name: f"{REFERENCE}/{name}.md"} for name in pages]
        if "Results" in entry:
            entry["Results"] += [
                {one.parent.name: str(one.relative_to(ROOT / "docs"))} for one in reports
            ]
    return config


def on_files(files, config):
    """Add the pages of the reference, and each file that pages link to outside of docs/."""
    names = [name for name in trimetric.__all__ if name != "__version__"]
    functions = [f"::: trimetric.{name}\n" for name in names if not is_module(name)]
    write(files, config, f"{REFERENCE}/trimetric.md", "# trimetric\n\n" + "\n".join(functions))
    for name, modules in MODULES.items():
        parts = "\n".join(f"::: {module}\n" for module in modules)
        write(files, config, f"{REFERENCE}/{name}.md", f"# trimetric: {name}\n\n{parts}")
    for page in [one for one in files if one.src_uri.endswith(".md")]:
        for _, target in LINK.findall(page.content_string):
            outside = beyond(page.src_uri, target)
            if outside and outside.is_file():
                uri = f"{SOURCES}/{outside.relative_to(ROOT)}.txt"
                if files.get_file_from_path(uri) is None:
                    write(files, config, uri, outside.read_text())
    return files


def on_page_markdown(markdown, page, config, files):
    """Let links out of docs/ lead to the copies, and reports of results to their figures."""

    def link(match):
        text, target = match.groups()
        outside = beyond(page.file.src_uri, target)
        if outside is None:
            return match[0]
        if not outside.is_file():
            return text  # a folder
        uri = f"{SOURCES}/{outside.relative_to(ROOT)}.txt"
        return f"[{text}]({posixpath.relpath(uri, posixpath.dirname(page.file.src_uri) or '.')})"

    if page.file.src_uri.endswith("/report.md"):
        title, rest = markdown.split("\n", 1)
        markdown = f'{title}\n\n<a href="report_page.html">With interactive figures</a>\n{rest}'
    return LINK.sub(link, markdown)


def on_post_build(config):
    """Write the page with interactive figures of each report."""
    for path in sorted((ROOT / "docs" / "results").glob("*/report.json")):
        page = Path(config.site_dir) / "results" / path.parent.name / "report_page.html"
        page.write_text(render.html(json.loads(path.read_text()), report.plotly_js(), ""))


def beyond(src_uri, target):
    """Return the file or folder of the checkout that a link out of docs/ means; None for others."""
    if re.match(r"[a-z]+:", target) or target.startswith(("#", "/")):
        return None
    place = (ROOT / "docs" / src_uri).parent / target.partition("#")[0]
    place = place.resolve()
    inside = place.is_relative_to(ROOT) and not place.is_relative_to(ROOT / "docs")
    return place if inside and place.exists() else None


def is_module(name):
    """Tell whether a public name is a module."""
    return type(getattr(trimetric, name)).__name__ == "module"


def write(files, config, uri, text):
    """Add a generated file."""
    files.append(File.generated(config, uri, content=text))
