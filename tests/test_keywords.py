"""Signatures show every setting; a wrong name is answered with the one that was meant."""

import inspect
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import polars as pl
import pytest

import trimetric as tm
from trimetric import keywords
from trimetric.data.form import Form, FormOptions
from trimetric.data.interactions import ReadOptions, TableOptions
from trimetric.data.rules import RuleOptions, Rules
from trimetric.errors import ParameterError
from trimetric.models import OURS, create, model_class

ROOT = Path(__file__).resolve().parents[1]
KINDS = sorted({model_class(name)[0] for name in OURS}, key=lambda kind: kind.name)
FRAME = pl.DataFrame({"user": [1], "item": [2]})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_models_signature_and_docstring_have_every_setting_with_its_default(kind: Any) -> None:
    parameters = inspect.signature(kind).parameters
    for setting in fields(kind.Config):
        assert parameters[setting.name].default == setting.default
        assert re.search(rf"^{setting.name} : .*, default .", inspect.getdoc(kind), re.MULTILINE)
    assert not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    assert ("preset" in parameters) == bool(kind.presets)


def test_what_type_checkers_see_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "tools" / "signatures"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run tools/signatures: {done.stdout}{done.stderr}"


@pytest.mark.slow
def test_a_type_checker_finds_wrong_names_and_types(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import trimetric as tm\n"
        "tm.SML(dim=32, lr=0.1, preset='paper')\n"
        "tm.Interactions.from_frame({}, user='u', min_rating=4)\n"
        "tm.SML(factors=32)\n"
        "tm.EASE(reg='much')\n"
        "tm.SML(preset='papers')\n"
        "tm.Interactions.from_frame({}, usr='u')\n"
    )
    options = ["--ignore-missing-imports", "--follow-imports=silent", "--cache-dir", str(tmp_path)]
    command = [sys.executable, "-m", "mypy", *options, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    wrong = [int(line) for line in re.findall(r"script\.py:(\d+): error", done.stdout)]
    assert sorted(set(wrong)) == [4, 5, 6, 7], done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("sml", "factors", "the setting for that is dim;"),
        ("bpr", "n_epochs", "the setting for that is epochs;"),
        ("ials", "n_epochs", "the setting for that is iterations;"),
        ("centroid", "random_state", "the setting for that is seed;"),
        ("ease", "regularization", "the setting for that is reg;"),
        ("sml", "regularization", "the setting for that is radius;"),
        ("cml", "learning_rate", "the setting for that is lr;"),
        ("itemknn", "K", "the setting for that is neighbours;"),
        ("sml", "num_threads", r"it belongs to training: fit\(..., threads=...\);"),
        ("ease", "n_jobs", r"it belongs to training: fit\(..., threads=...\);"),
        ("centroid", "verbose", r"it belongs to training: fit\(..., progress=...\);"),
        ("sml", "epoch", r"did you mean epochs\? sml has"),
        ("sml", "zzzz", "unknown setting 'zzzz'; sml has"),
    ],
)
def test_a_wrong_setting_is_answered_with_the_one_that_was_meant(
    name: str, given: str, told: str
) -> None:
    with pytest.raises(ParameterError, match=told):
        create(name, **{given: 3})


def test_every_name_of_ours_exists() -> None:
    settings = {s.name for kind in KINDS for s in fields(kind.Config)}
    options = {f.name for kind in (Rules, Form) for f in fields(kind)}
    ours = {name for names in keywords.ELSEWHERE.values() for name in names}
    assert ours <= settings | options
    fit = inspect.signature(tm.SML.fit).parameters
    assert set(keywords.OF_FIT.values()) <= set(fit)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("usr", r"unknown option 'usr'; did you mean user\?"),
        ("user_col", "the setting for that is user;"),
        ("threshold", "the setting for that is min_rating;"),
        ("separator", "it is one of files"),
        ("zzzz", "unknown option 'zzzz'; there are user, item"),
    ],
)
def test_a_wrong_option_of_a_frame_is_answered(given: str, told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        tm.Interactions.from_frame(FRAME, **{given: "x"})


def test_options_of_type_checkers_are_the_fields() -> None:
    rules, form = get_type_hints(Rules), get_type_hints(Form)
    del rules["drop_zeros"]
    assert get_type_hints(RuleOptions) == rules
    assert get_type_hints(FormOptions) == form
    assert set(get_type_hints(ReadOptions)) == {*rules, *form}
    for function, options in (
        (tm.Interactions, ReadOptions),
        (tm.Interactions.read, ReadOptions),
        (tm.Interactions.from_frame, TableOptions),
    ):
        parameters = inspect.signature(function).parameters
        assert set(get_type_hints(options)) <= set(parameters)
        assert not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
        assert parameters["nulls"].default == "error"
