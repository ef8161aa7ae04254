"""Ablations are models by their own names: kept in artifacts, and not to be undone by a setting."""

from pathlib import Path
from typing import Any

import pytest

import trimetric as tm
from trimetric.errors import ArtifactError, ParameterError
from trimetric.models import create, load
from trimetric.models.sml import NAMED, VARIANTS

DATA = tm.synthetic.planted(60, 40, dim=4, clusters=4, per_user=6, seed=3).interactions
QUICK = {"dim": 4, "epochs": 2, "temperature": 0.2}


@pytest.mark.parametrize("name", sorted(NAMED))
def test_an_ablation_saved_and_loaded_keeps_its_name(name: str, tmp_path: Path) -> None:
    model = create(name, **QUICK)
    assert model.name == name
    model.fit(DATA, out=tmp_path / "m", progress=False)
    for one in (model, load(tmp_path / "m"), load(tmp_path / "m").snapshot()):
        assert (one.name, one.variant) == (name, name)
    assert load(tmp_path / "m").config == model.config
    load(tmp_path / "m").save(tmp_path / "again")
    assert load(tmp_path / "again").name == name


def test_an_ablation_in_parts_keeps_its_name(tmp_path: Path) -> None:
    create("base+u", **QUICK).fit(DATA, progress=False).save(tmp_path / "m", partitions=2)
    assert load(tmp_path / "m").name == "base+u"
    assert tm.models.open_model(tmp_path / "m").name == "base+u"


def test_all_parts_together_are_sml_and_base_of_cml_is_cml() -> None:
    assert tm.SML(variant="all").name == tm.SML().name == "sml"
    assert tm.CML(variant="base").name == "cml"
    create("base")
    assert tm.SML.name == "sml"


UNDONE = [
    ("base", "lam", 0.5),
    ("base", "adaptive_users", True),
    ("base", "adaptive_items", True),
    ("base+u", "lam", 0.1),
    ("base+u", "adaptive_users", False),
    ("base+s", "lam", 0),
    ("base+s", "adaptive_items", True),
    ("base+s+p", "lam", 0.0),
    ("base+s+p", "adaptive_items", False),
    ("base+s+u", "adaptive_items", True),
]


@pytest.mark.parametrize(("name", "setting", "value"), UNDONE)
@pytest.mark.parametrize("preset", [None, "paper", "released"])
def test_a_setting_that_undoes_an_ablation_is_refused(
    name: str, setting: str, value: Any, preset: str | None
) -> None:
    with pytest.raises(ParameterError, match=rf"{setting}=.* undoes the variant '.*'.*lam|leave"):
        create(name, preset=preset, **{setting: value})
    with pytest.raises(ParameterError, match=f"{setting}="):
        create(name).set_params(**{setting: value})


@pytest.mark.parametrize("given", [{"lam": 0}, {"adaptive_users": False}])
def test_all_parts_are_not_undone_either(given: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="undoes the variant 'all'"):
        tm.SML(variant="all", **given)


@pytest.mark.parametrize("name", sorted(NAMED))
def test_settings_that_agree_and_others_are_taken(name: str) -> None:
    agreeing = {**VARIANTS[name], "margin": 0.7}
    assert create(name, **agreeing).config.margin == 0.7
    assert create(name).set_params(margin=0.6, **VARIANTS[name]).name == name
    assert create(name, preset="paper").config.optimizer == "adam"


@pytest.mark.parametrize("group", [{"preset": "paper"}, {"variant": "base"}])
def test_presets_and_variants_are_of_new_models(group: dict[str, str]) -> None:
    """All settings are there already, so that a preset would change none of them."""
    with pytest.raises(ParameterError, match="no setting that can be changed; make a new SML"):
        tm.SML().set_params(**group)


def test_cross_validation_speaks_of_the_ablation() -> None:
    found = tm.cross_validate(create("base", **QUICK), DATA, folds=2)
    assert {result.model for result in found.results} == {"SML (base)"}


def test_an_artifact_whose_settings_are_not_the_ablation_is_refused(tmp_path: Path) -> None:
    model = tm.SML(lam=0.5, **QUICK).fit(DATA, progress=False)
    vars(model)["name"] = "base"
    model.save(tmp_path / "m")
    with pytest.raises(ArtifactError, match=r"settings cannot be used: lam=0.5 undoes"):
        load(tmp_path / "m")
