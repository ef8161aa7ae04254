"""Working with the page: links, panels, steering, filters, copies, views of one thing each."""

import csv
import io
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import DESKTOP, PHONE, Visit, visit_on
from serving import Server, serving

import trimetric as tm

pytestmark = pytest.mark.slow

sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync.expect


# --- links and panels ---------------------------------------------------------------------------


def test_the_panel_is_in_the_address_and_back_closes_it(
    visit: Visit, models: dict[str, Any], titles: dict[str, str]
) -> None:
    page = visit.to("explore?user=u003")
    first, second = models["sml"].recommend(["u003"], 2)["item"]
    page.locator(".rows.next .name").first.click()
    sheet = page.get_by_role("dialog", name=titles[first])
    expect(sheet).to_be_visible()
    assert f"panel=item%3A{first}" in page.url
    page.evaluate("document.querySelector('.explore').dataset.kept = 'yes'")
    near = models["sml"].similar_items([first], 1)["similar"][0]
    sheet.locator(".name").first.click()  # a panel over a panel
    expect(page.get_by_role("dialog", name=titles[near])).to_be_visible()
    page.go_back()
    expect(sheet).to_be_visible()
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert "panel" not in page.url
    assert page.locator(".explore").get_attribute("data-kept") == "yes"  # not drawn anew
    page.go_forward()
    expect(sheet).to_be_visible()
    sheet.locator(".name").first.click()
    expect(page.get_by_role("dialog", name=titles[near])).to_be_visible()
    page.keyboard.press("Escape")  # closes both
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page).to_have_url(re.compile(r"^[^&]*user=u003&model=sml$"))

    visit.to(f"explore?user=u003&panel=item:{second}")  # a link to it
    expect(page.get_by_role("dialog", name=titles[second])).to_be_visible()
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("heading", name="User u003")).to_be_visible()
    visit.to("explore?user=u003&panel=user:u003")
    expect(page.get_by_role("dialog", name="Users near user u003")).to_be_visible()


def test_all_that_is_shown_is_in_the_address(visit: Visit) -> None:
    page = visit.to("compare?user=u003")
    assert "model=sml" in page.url
    assert "with=cml" in page.url
    page.locator("#model").select_option("popular")
    expect(page.get_by_label("Recommended by popular")).to_be_visible()
    assert "model=popular" in page.url
    assert "with=sml" in page.url
    page = visit.to("pair?user=u003")
    field = page.get_by_role("combobox", name="Find the second user")
    field.fill("u017")
    field.press("Enter")
    expect(page.get_by_role("heading", name="User u003 and user u017")).to_be_visible()
    assert "user=u003&other=u017" in page.url
    expect(field).to_be_focused()
    page.get_by_role("button", name="Swap").click()
    expect(page.get_by_role("heading", name="User u017 and user u003")).to_be_visible()
    expect(page.get_by_role("button", name="Swap")).to_be_focused()


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_link_to_a_reason_scrolls_to_it(
    browser: Any, server: Server, models: dict[str, Any], size: tuple[int, int]
) -> None:
    item = models["sml"].recommend(["u003"], 20)["item"][14]
    for visit in visit_on(browser, server, size, "light"):
        page = visit.to(f"explore?user=u003&why={item}")
        expect(page.locator(".because")).to_be_in_viewport()
        line = page.locator(f".rows.next [data-item={item}]")
        top, head = line.bounding_box()["y"], page.locator(".top").bounding_box()
        assert 0 <= top - head["y"] - head["height"] < 60  # just below what stays


def test_recommendations_come_first_on_a_phone(browser: Any, server: Server) -> None:
    for visit in visit_on(browser, server, PHONE, "light"):
        page = visit.to("explore?user=u003")
        next_, past = (
            page.locator(f".rows.{kind}").bounding_box()["y"] for kind in ("next", "liked")
        )
        assert next_ < past
        assert next_ < PHONE[1]


# --- searching ----------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["i007 title", "TÍTLE i007", "the title i007", "titel i007"])
def test_a_title_is_found_as_people_type_it(
    visit: Visit, titles: dict[str, str], typed: str
) -> None:
    page = visit.to("item")
    field = page.get_by_role("combobox", name="Find items by title")
    field.fill(typed)
    expect(page.get_by_role("listbox").get_by_role("option")).to_have_count(1)
    field.press("Enter")
    expect(page.get_by_role("heading", name=titles["i007"])).to_be_visible()
    expect(field).to_be_focused()


# --- steering, filters, copies ------------------------------------------------------------------


def test_more_like_this_and_not_this(
    visit: Visit, models: dict[str, Any], titles: dict[str, str]
) -> None:
    page, model = visit.to("explore?user=u003"), models["sml"]
    listed = model.recommend(["u003"], 22)["item"].to_list()
    page.get_by_role("button", name=f"Not this: {titles[listed[0]]}").click()
    expect(page.locator(".rows.next .row").first).to_have_attribute("data-item", listed[1])
    visit.done()
    assert visit.names(".rows.next") == [titles[one] for one in listed[1:21]]
    page.get_by_role("button", name=f"More like this: {titles[listed[5]]}").click()
    expect(page.locator(".chip.next")).to_contain_text(titles[listed[5]])
    visit.done()
    had = model.item_ids.decode(model.known.items_of(3)).to_list()
    weights = {one: 1.0 for one in had} | {listed[5]: max(1, round(len(had) / 2))}
    expected = model.recommend_for(weights, 20, deny=[listed[0]])["item"]
    assert visit.names(".rows.next") == [titles[one] for one in expected]
    expect(page.locator(".picks .wide")).to_contain_text("as much as half of what they have")
    page.reload()  # it is in the address
    visit.done()
    assert visit.names(".rows.next") == [titles[one] for one in expected]
    page.get_by_role("button", name=f"Remove {titles[listed[5]]}").click()
    expect(page.locator(".chip.next")).to_have_count(0)
    page.get_by_role("button", name=f"Remove {titles[listed[0]]}").click()
    expect(page.locator(".rows.next .row").first).to_have_attribute("data-item", listed[0])

    visit.to("explore?item=i001")  # of one built of items, it joins the picks
    page.get_by_role("button", name=re.compile("^More like this:")).first.click()
    expect(page.locator(".chip")).to_have_count(2)
    visit.to("explore?user=u003&model=popular")
    able = "new users" in models["popular"].capabilities
    buttons = page.get_by_role("button", name=re.compile("^More like this:"))
    expect(buttons).to_have_count(20 if able else 0)
    expect(page.get_by_role("button", name=re.compile("^Not this:"))).to_have_count(20)


def test_filters(visit: Visit, models: dict[str, Any], titles: dict[str, str]) -> None:
    page, model = visit.to("explore?user=u003"), models["sml"]
    genres = [("Drama|War", "Comedy", "Action|Comedy")[n % 3] for n in range(len(titles))]

    def expected(*wanted: str, k: int = 20) -> list[str]:
        some = [
            one for one, all_ in zip(titles, genres, strict=True) if {*wanted} & {*all_.split("|")}
        ]
        return [titles[one] for one in model.recommend(["u003"], k, allow=some)["item"]]

    page.locator(".filters summary").click()
    page.get_by_label("Only genres").select_option("War")
    expect(page.get_by_role("list", name="Filters")).to_contain_text("War")
    visit.done()
    assert visit.names(".rows.next") == expected("War")
    assert "f=genres%3DWar" in page.url
    page.get_by_label("Only genres").select_option("Action")
    expect(page.get_by_role("list", name="Filters")).to_contain_text("Action")
    visit.done()
    assert visit.names(".rows.next") == expected("War", "Action")
    most = page.get_by_label("Greatest price")
    most.fill("30")
    most.press("Enter")
    expect(page.get_by_role("list", name="Filters")).to_contain_text("price up to 30")
    expect(most).to_be_focused()
    visit.done()
    cheap = set(list(titles.values())[:30])
    assert visit.names(".rows.next") == [
        one for one in expected("War", "Action", k=120) if one in cheap
    ]
    field = page.get_by_role("combobox", name="Find a user")
    field.fill("u017")
    field.press("Enter")
    expect(page.get_by_role("heading", name="User u017")).to_be_visible()
    assert "f=genres%3DWar" in page.url  # filters stay with the next one
    page.get_by_role("button", name="Remove the filter price up to 30").click()
    expect(page.get_by_role("list", name="Filters")).not_to_contain_text("price")
    page.get_by_role("button", name="Remove the filter War").click()
    expect(page.get_by_role("list", name="Filters")).not_to_contain_text("War")
    page.goto(f"{visit.server.url}/#/explore?user=u003&f=year%3D[1990,]")
    expect(page.get_by_role("alert")).to_contain_text("no column 'year'")
    visit.wrong[:] = [one for one in visit.wrong if "422" not in one]


def test_filters_by_numbers(visit: Visit) -> None:
    code = """async () => {
        const { filters, writeFilters } = await import('/page/route.js');
        const spans = { price: { min: 1.5, max: null }, year: { min: -3, max: 1e3 } };
        const where = { ...spans, 'a=b': ['x=y', '[1,2'] };
        const params = new URLSearchParams(writeFilters(where).map((one) => ['f', one]));
        const none = filters(new URLSearchParams(''));
        return [where, filters(new URLSearchParams(params.toString())), none];
    }"""
    visit.to("data")
    where, again, none = visit.page.evaluate(code)
    assert again == where
    assert none is None


@pytest.mark.parametrize(
    "where", ["explore?user=u003", "explore?item=i001&item=i002&w=1&w=2&not=i003&f=genres%3DComedy"]
)
def test_a_list_is_copied(
    visit: Visit, models: dict[str, Any], titles: dict[str, str], where: str
) -> None:
    page = visit.to(where)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    shown = page.locator(".rows.next .row").all()
    ids = [one.get_attribute("data-item") for one in shown]

    def copied(form: str) -> str:
        page.get_by_label("Copy this list").click()
        page.get_by_role("button", name=form).click()
        expect(page.locator("#status")).to_contain_text("Copied the")
        return page.evaluate("navigator.clipboard.readText()")

    rows = list(csv.DictReader(io.StringIO(copied("as csv"))))
    assert [row["item"] for row in rows] == ids
    assert [row["title"] for row in rows] == [titles[one] for one in ids]
    assert [row["rank"] for row in rows] == [str(n) for n in range(1, 21)]
    found = json.loads(copied("as JSON"))
    assert [one["item"] for one in found] == ids
    call = copied("as a curl call")
    done = subprocess.run(["bash", "-c", f"{call} -sS"], capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert answer["recommendations"] == found


def test_csv_of_awkward_text(visit: Visit) -> None:
    rows = [
        {"item": 1, "title": 'A "b", c', "tags": ["x", "y"]},
        {"item": " 2", "title": "two\nlines", "price": None},
        {"item": "ü|🎬", "title": "=1+1", "tags": []},
    ]
    visit.to("data")
    code = "async (rows) => (await import('/page/lists.js')).csv(rows)"
    found = list(csv.DictReader(io.StringIO(visit.page.evaluate(code, rows), newline="")))
    assert [one["title"] for one in found] == ['A "b", c', "two\nlines", "=1+1"]
    assert [one["item"] for one in found] == ["1", " 2", "ü|🎬"]
    assert [one["tags"] for one in found] == ["x|y", "", ""]
    assert found[1]["price"] == ""


def test_a_curl_call_is_quoted_and_names_no_key(visit: Visit) -> None:
    visit.to("data")
    code = """async () => {
        sessionStorage.setItem('trimetric-key', 'secret');
        const { curl } = await import('/page/api.js');
        return curl({ path: '/v1/recommend', body: { users: ["it's $HOME `x`"], k: 3 } });
    }"""
    call = visit.page.evaluate(code)
    assert "secret" not in call
    words = subprocess.run(
        ["bash", "-c", f"curl() {{ printf '%s\\n' \"$@\"; }}; {call}"],
        capture_output=True,
        text=True,
    )
    assert json.loads(words.stdout.splitlines()[-1])["users"] == ["it's $HOME `x`"]
    assert "X-API-Key: " in words.stdout


# --- one thing each -----------------------------------------------------------------------------


def test_an_items_own_page(visit: Visit, models: dict[str, Any], titles: dict[str, str]) -> None:
    page, model = visit.to("explore?user=u003"), models["sml"]
    item = model.recommend(["u003"], 3)["item"][2]
    page.locator(".rows.next .name").nth(2).click()
    page.get_by_role("link", name="All about it").click()
    expect(page.get_by_role("heading", name=titles[item], level=1)).to_be_visible()
    visit.done()
    near = page.get_by_role("region", name="Near it")
    expected = model.similar_items([item], 12)["similar"]
    found = [one.get_attribute("data-item") for one in near.locator(".row").all()]
    assert found == expected.to_list()
    row = int(model.item_ids.encode([item])[0])
    users = np.unique(model.seen.users[model.seen.items == row])
    who = page.get_by_role("region", name="Who has it")
    expect(who).to_contain_text(f"{len(users)} users, best match first")
    while who.get_by_role("button", name="Show more").is_visible():
        before = who.locator(".row").count()
        who.get_by_role("button", name="Show more").click()
        expect(who.locator(".row")).not_to_have_count(before)
    names = who.locator(".row > .words .name").all_inner_texts()
    assert sorted(names) == [f"User {one}" for one in model.user_ids.decode(users)]
    popularity = model.known.popularity
    known = page.get_by_role("region", name="How well known")
    rank = 1 + (popularity > popularity[row]).sum()
    expect(known).to_contain_text(f"number {rank} of 120")
    assert known.locator(".here").count() == 1
    expect(page.get_by_role("region", name="For User u003").locator(".because")).to_contain_text(
        "Number 3"
    )
    expect(
        page.get_by_role("link", name="Where it is on the map").locator("canvas")
    ).to_be_visible()
    page.get_by_role("link", name="Where it is on the map").click()
    expect(page.locator(".near-list h2")).to_have_text(titles[item])
    visit.to(f"item?id={item}&model=popular")
    expect(page.get_by_role("region", name="Near it")).to_contain_text("no distances")
    expect(page.locator(".small-map")).to_have_count(0)


def test_two_users_side_by_side(
    visit: Visit, models: dict[str, Any], titles: dict[str, str]
) -> None:
    page, model = visit.to("pair?user=u003&other=u017"), models["sml"]
    mine, theirs = (set(model.known.items_of(row).tolist()) for row in (3, 17))
    both = model.item_ids.decode(np.array(sorted(mine & theirs), dtype=np.int32)).to_list()
    shared = page.get_by_role("region", name="What both have")
    found = [one.get_attribute("data-item") for one in shared.locator(".row").all()]
    assert sorted(found) == both
    bar = page.get_by_label("What they share")
    expect(bar).to_contain_text(f"{len(both)} in common")
    expect(bar).to_contain_text(f"{len(mine) - len(both)} only here")
    between = page.get_by_role("region", name="What lies between them")
    found = [one.get_attribute("data-item") for one in between.locator(".row").all()]
    assert len(found) == 20
    rows = model.item_ids.encode(found).tolist()
    assert not (mine | theirs) & set(rows)
    lists = [set(model.recommend([one], 20)["item"]) for one in ("u003", "u017")]
    listed = page.get_by_role("region", name="In both lists of 20").locator(".row").all()
    assert {one.get_attribute("data-item") for one in listed} == lists[0] & lists[1]
    page = visit.to("explore?user=u003")
    page.get_by_role("link", name="Beside another user").click()
    expect(page.get_by_role("heading", name="Which two users?")).to_be_visible()
    near = model.similar_users(["u003"], 1)["similar"][0]
    page.get_by_role("link", name=f"User {near}").click()
    expect(page.get_by_role("heading", name=f"User u003 and user {near}")).to_be_visible()


@pytest.fixture(scope="module")
def measuring(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server that has interactions to measure its models on."""
    data = tm.synthetic.planted(300, 120, dim=4, clusters=6, per_user=20, seed=1).interactions
    parts = tmp_path_factory.mktemp("parts")
    tm.split_per_user(data, test=0.1, valid=0.1, seed=0).save(parts)
    folders = (server.folder / name for name in ("cml", "popular"))
    with serving(*folders, "--test", parts) as running:
        running.folder = parts
        yield running


def test_how_good_it_is(browser: Any, measuring: Server, models: dict[str, Any]) -> None:
    split = tm.Split.load(measuring.folder)
    for visit in visit_on(browser, measuring, DESKTOP, "light"):
        page = visit.to("explore?user=u003")
        names = page.get_by_role("navigation", name="Views").get_by_role("link").all_inner_texts()
        assert "Quality" in names
        assert "Margins" not in names  # none are learned
        page.get_by_role("link", name="Quality").click()
        visit.done()
        for n, name in enumerate(("cml", "popular")):
            result = tm.evaluate(models[name], split)
            row = page.locator("tr", has_text="NDCG @ 10").first.locator("td").all_inner_texts()
            assert float(row[n]) == pytest.approx(result["ndcg@10"], abs=6e-5)
        groups = page.get_by_label("By the activity of users").locator("dl > div")
        assert groups.count() >= 2
        users = [int(re.search(r"(\d+) user", text)[1]) for text in groups.all_inner_texts()]
        assert sum(users) == result.counts.users
        expect(
            page.get_by_label("By the popularity of items").locator("dl > div")
        ).not_to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_quality_without_held_out_interactions(visit: Visit) -> None:
    page = visit.to("quality")
    expect(page.get_by_role("heading", name="Nothing was held out")).to_be_visible()
    expect(page.locator("pre")).to_contain_text("trimetric serve sml --test parts")
    expect(page.locator(".blank")).to_contain_text("sml reached")
    names = page.get_by_role("navigation", name="Views").get_by_role("link").all_inner_texts()
    assert "Margins" in names  # they are learned


def test_no_script_of_the_page_is_long() -> None:
    files = Path(tm.__file__).parent.joinpath("serve/page").glob("*.js")
    assert {file.name: n for file in files if (n := len(file.read_text().splitlines())) > 250} == {}


@pytest.mark.parametrize("kind", ["EASE", "Popularity"])
def test_reasons_of_sums_and_counts(
    browser: Any, models: dict[str, Any], tmp_path: Path, kind: str
) -> None:
    data = tm.synthetic.planted(60, 40, dim=4, clusters=4, per_user=8, seed=1).interactions
    model = getattr(tm, kind)().fit(data)
    if "explanations" not in model.capabilities:
        pytest.skip(f"{kind} explains nothing")
    model.save(tmp_path / "m")
    with serving(tmp_path / "m") as running:
        for visit in visit_on(browser, running, DESKTOP, "light"):
            user = model.user_ids.values[3]
            page = visit.to(f"explore?user={user}")
            page.locator(".ask").first.click()
            why = model.explain(user, model.recommend([user], 1)["item"][0])
            words = page.locator(".because")
            if kind == "Popularity":
                expect(words).to_contain_text("the same list for everybody")
            else:
                expect(words).to_contain_text(f"Item {why.reasons[0].item}")
                names = page.locator(".reason-name .name").all_inner_texts()
                assert names == [f"Item {one.item}" for one in why.reasons]
            page.get_by_text("The equation").click()
            expect(page.locator(".sentence")).to_have_text(why.sentence())
            assert not re.search("null|NaN|undefined", page.locator("#why-1").inner_text())
