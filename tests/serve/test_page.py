"""The explorer page in a real browser, driven through every view against a real server.

What it shows is compared with what the models answer; afterwards nothing may have been written to
the console, and no other host been asked.
"""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from browsing import DESKTOP, EVIL, PHONE, Visit, visit_on
from serving import Server, serving

import trimetric as tm

sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync.expect
KEY = "a-key"
PICTURES = "https://pictures.example/"
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
VIEWS = {
    "item": "item?id=i001&user=u003",
    "items": "item",
    "pair": "pair?user=u003&other=u017",
    "quality": "quality",
    "panel": "explore?user=u003&panel=item:i001",
    "welcome": "explore",
    "user": "explore?user=u003",
    "built": "explore?item=i001&item=i002&w=1&w=2",
    "compare": "compare?user=u003",
    "map": "map?user=u003&focus=i001",
    "margins": "margins",
    "training": "training",
    "data": "data",
    "missing": "nowhere",
}


@pytest.fixture(scope="module")
def locked(server: Server, titles: dict[str, str]) -> Iterator[Server]:
    """Return a server of one model that asks for a key and shows pictures."""
    table = {"item": list(titles), "picture": [f"{PICTURES}{one}.png" for one in titles]}
    pl.DataFrame(table).write_csv(server.folder / "pictures.csv")
    items = ("--items", server.folder / "pictures.csv")
    with serving(server.folder / "sml", *items, "--api-key", KEY) as running:
        yield running


def test_search_a_user_and_see_why(
    visit: Visit, models: dict[str, Any], titles: dict[str, str]
) -> None:
    page, model = visit.to("explore"), models["sml"]
    field = page.get_by_role("combobox", name="Find a user")
    field.fill("u017")
    expect(page.get_by_role("listbox").get_by_role("option")).to_have_count(1)
    field.press("ArrowDown")
    field.press("Enter")
    expect(page.get_by_role("heading", name="User u017")).to_be_visible()
    visit.done()
    assert page.url.endswith("#/explore?user=u017&model=sml")
    expected = model.recommend(["u017"], k=20)
    assert visit.names(".rows.next") == [titles[one] for one in expected["item"]]
    bars = page.locator(".rows.next .bar").all()
    for bar, score in zip(bars, expected["distance"], strict=True):
        assert bar.get_attribute("title").startswith("d² ")
        assert float(bar.get_attribute("title").split()[-1]) == pytest.approx(score, abs=6e-5)
    widths = [bar.locator(".fill").bounding_box()["width"] for bar in bars]
    assert widths == sorted(widths, reverse=True)  # the longer, the better
    assert widths[0] > widths[-1]
    mine = model.seen.items[slice(*model.seen.indptr[17:19])]
    had = model.item_ids.decode(mine).to_list()
    assert sorted(visit.names(".rows.liked")) == sorted(titles[one] for one in had)

    first = expected["item"][0]
    page.get_by_role("button", name=f"Why? {titles[first]}").click()
    reasons = page.get_by_role("region", name=f"Why {titles[first]}")
    why = model.explain("u017", first)
    expect(reasons.locator(".sentence")).to_have_text(why.sentence(titles))
    named = [titles[one.item] for one in why.reasons]
    assert reasons.locator(".reason-name .name").all_inner_texts() == named
    expect(reasons.locator(".sentence")).to_be_hidden()  # words first
    expect(reasons.locator(".because")).to_contain_text(f"because user u017 has {named[0]}")
    reasons.get_by_text("The equation").click()
    row = (
        reasons.get_by_role("row", name=re.compile("from the user"))
        .all_inner_texts()[0]
        .split("\t")
    )
    assert float(row[3]) == pytest.approx(why.triple.user_margin, abs=6e-4)
    assert "why=" in page.url
    page.reload()
    expect(visit.done().locator(".sentence")).to_have_text(why.sentence(titles))


@pytest.mark.slow
def test_build_a_user(visit: Visit, models: dict[str, Any], titles: dict[str, str]) -> None:
    page, model = visit.to("explore"), models["sml"]
    for item in ("i001", "i002"):
        field = page.get_by_role("combobox", name="Find items by title")
        field.fill(f"title {item}")
        page.get_by_role("listbox").get_by_role("option", name=re.compile(f"Title {item}")).click()
        expect(page.locator(".chip", has_text=titles[item])).to_be_visible()
        visit.done()
    expected = model.recommend_for(["i001", "i002"], k=20)["item"]
    assert visit.names(".rows.next") == [titles[one] for one in expected]
    page.get_by_label("Weights").check()
    weight = page.get_by_role("spinbutton", name=f"Weight of {titles['i002']}")
    weight.fill("4")
    weight.press("Enter")
    expect(page).to_have_url(re.compile("w=1&w=4"))
    visit.done()
    expected = model.recommend_for(["i001", "i002"], k=20, weights=[1, 4])["item"]
    expect(page.locator(".rows.next .name").first).to_have_text(titles[expected[0]])
    assert visit.names(".rows.next") == [titles[one] for one in expected]
    page.locator(".ask").first.click()
    expect(page.locator(".sentence")).to_contain_text("this new user")
    page.get_by_role("button", name=f"Remove {titles['i001']}").click()
    expect(page.locator(".chip")).to_have_count(1)
    page.go_back()
    expect(page.locator(".chip")).to_have_count(2)


@pytest.mark.slow
def test_similar_items_and_users(
    visit: Visit, models: dict[str, Any], titles: dict[str, str]
) -> None:
    page, model = visit.to("explore?user=u003"), models["sml"]
    opener = page.locator(".rows.next .name").first
    item = model.recommend(["u003"], k=1)["item"][0]
    opener.click()
    sheet = page.get_by_role("dialog", name=titles[item])
    near = model.similar_items([item], k=12)["similar"]
    expect(sheet.locator(".row")).to_have_count(len(near))
    assert visit.names("#sheet .rows") == [titles[one] for one in near]
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(opener).to_be_focused()
    page.get_by_role("button", name="Similar users").click()
    near = model.similar_users(["u003"], k=12)["similar"]
    expect(page.locator("#sheet .row")).to_have_count(len(near))
    assert visit.names("#sheet .rows") == [f"User {one}" for one in near]
    page.get_by_role("button", name=f"User {near[0]}", exact=True).click()
    expect(page.get_by_role("heading", name=f"User {near[0]}")).to_be_visible()


def test_compare_two_models(visit: Visit, models: dict[str, Any], titles: dict[str, str]) -> None:
    page = visit.to("compare?user=u003")
    lists = [models[name].recommend(["u003"], k=20)["item"].to_list() for name in ("sml", "cml")]
    for k in (5, 10, 20):
        shared = len(set(lists[0][:k]) & set(lists[1][:k]))
        expect(page.locator(".meter", has_text=f"Overlap@{k}").first).to_contain_text(
            f"{shared} of {k}"
        )
    for side, name in enumerate(("sml", "cml")):
        column = page.get_by_label(f"Recommended by {name}")
        marks = column.locator(".shift").all_inner_texts()
        for rank, (item, mark) in enumerate(zip(lists[side], marks, strict=True)):
            other = lists[1 - side]
            if item not in other:
                assert mark == "only here"
            else:
                moved = other.index(item) - rank
                sign = "=" if moved == 0 else f"{'▲' if moved > 0 else '▼'} {abs(moved)}"
                assert mark.startswith(sign)
    page.get_by_label("Second model").select_option("popular")
    expect(page.get_by_label("Recommended by popular")).to_be_visible()
    page.get_by_role("combobox", name="Find a user").fill("u017")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="User u017")).to_be_visible()
    expect(page.get_by_label("Recommended by popular")).to_be_visible()
    assert "with=popular" in page.url


@pytest.mark.slow
def test_walk_the_map(visit: Visit, models: dict[str, Any], titles: dict[str, str]) -> None:
    page, model = visit.to("map?user=u003"), models["sml"]
    sky = page.get_by_role("application", name="Map of 120 items and 300 users")
    expect(page.locator("#status")).to_contain_text("10 recommendations marked")
    expect(page.get_by_role("group", name="Legend")).to_contain_text("history")
    expect(page.locator(".near-list .row")).to_have_count(10)
    best = model.recommend(["u003"], k=10)["item"]
    assert visit.names(".near-list") == [titles[one] for one in best]

    def picture() -> bytes:
        page.mouse.move(2, 2)
        page.wait_for_timeout(60)  # two frames
        return sky.screenshot()

    seen = [picture()]
    box = sky.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def wheel() -> None:
        page.mouse.move(*middle)
        page.mouse.wheel(0, -400)

    def drag() -> None:
        page.mouse.move(*middle)
        page.mouse.down()
        page.mouse.move(middle[0] + 90, middle[1] + 40, steps=4)
        page.mouse.up()

    acts = [
        wheel,
        drag,
        lambda: page.get_by_role("button", name="Zoom in").click(),
        lambda: sky.press("ArrowLeft"),
        lambda: sky.press("-"),
        lambda: page.get_by_role("checkbox", name="users").uncheck(),
        lambda: page.get_by_label("Colour of the items").select_option("genres"),
        lambda: page.get_by_role("button", name="Show all").click(),
    ]
    for act in acts:
        act()
        seen.append(picture())
        assert seen[-1] != seen[-2]

    page.get_by_role("combobox", name="Find an item on the map").fill("i007")
    page.get_by_role("listbox").get_by_role("option", name=re.compile("i007")).click()
    expect(page.locator(".near-list h2")).to_have_text(titles["i007"])
    expect(page.locator(".near-list .row")).to_have_count(10)
    near = model.similar_items(["i007"], k=10)["similar"]
    assert visit.names(".near-list") == [titles[one] for one in near]
    assert "focus=i007" in page.url
    page.mouse.move(*middle)
    expect(page.locator(".sky .tip")).to_contain_text(titles["i007"])
    page.locator(".near-list .name").first.click()
    expect(page.locator(".near-list h2")).to_have_text(titles[near[0]])
    sky.press("Enter")
    expect(page.locator(".near-list h2")).to_have_text(titles[near[0]])
    quality = model.project().quality
    shown = page.get_by_label("How true is this map?").locator("dd").all_inner_texts()
    assert shown[:2] == [f"{quality[side] * 100:.0f} %" for side in ("items", "users")]
    assert float(shown[2]) == pytest.approx(quality["trustworthiness"], abs=6e-4)


@pytest.mark.slow
def test_margins_training_data(visit: Visit, models: dict[str, Any]) -> None:
    page, model = visit.to("margins"), models["sml"]
    users = page.get_by_label("Users", exact=True)
    users.get_by_text("The running median as a table").click()
    counts = [int(row.split("\t")[2]) for row in users.locator("tbody tr").all_inner_texts()]
    assert 0 < sum(counts) <= 300
    held = model.scorer.user_margins.min() > 0.799
    expect(users.locator(".note")).to_contain_text(
        "All user margins are at their limit" if held else "Learned"
    )
    users.locator(".frame").scroll_into_view_if_needed()
    box = users.locator(".frame").bounding_box()
    tip = users.locator(".tip")
    for step in range(1, 60):  # down the middle, until a user is under the pointer
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 5 * step)
        if tip.is_visible():
            break
    [one] = re.findall(r"User (\w+): margin", tip.inner_text())
    page.mouse.down()
    page.mouse.up()
    expect(page.get_by_role("heading", name=f"User {one}")).to_be_visible()
    page.goto(f"{visit.server.url}/#/margins?model=cml")
    expect(visit.done().locator(".note").first).to_contain_text("fixed")
    visit.to("margins?model=popular")
    expect(page.get_by_role("heading", name="This model has no margins")).to_be_visible()

    page = visit.to("training")
    expect(page.get_by_label("Loss", exact=True).locator(".dot-mark")).to_have_count(4)
    expect(page.get_by_label("Settings")).to_contain_text("0.2")
    visit.to("training?model=popular")
    expect(page.get_by_role("heading", name="No training curves")).to_be_visible()

    page = visit.to("data")
    facts = page.locator(".glance dd").all_inner_texts()
    assert facts[:3] == ["300", "120", f"{len(model.seen.items):,}"]
    assert facts[3].startswith(f"{100 * len(model.seen.items) / (300 * 120):.1f}"[:3])


def test_models_without_a_space(
    visit: Visit, models: dict[str, Any], titles: dict[str, str]
) -> None:
    page = visit.to("explore?user=u003&model=popular")
    expected = models["popular"].recommend(["u003"], k=20)["item"]
    assert visit.names(".rows.next") == [titles[one] for one in expected]
    able = "explanations" in models["popular"].capabilities
    expect(page.locator(".ask")).to_have_count(20 if able else 0)
    visit.to("map?model=popular")
    expect(page.get_by_role("heading", name="No map for this model")).to_be_visible()


def test_text_of_the_data_is_text(visit: Visit, models: dict[str, Any]) -> None:
    item = next(iter(models["sml"].item_ids.values))
    page = visit.to(f"explore?item={item}")
    expect(page.locator(".chip")).to_contain_text(EVIL)
    expect(page.locator("img[src=x]")).to_have_count(0)


@pytest.mark.slow
def test_ids_beyond_what_javascript_counts(browser: Any, tmp_path: Path) -> None:
    planted = tm.synthetic.planted(60, 40, dim=4, clusters=4, per_user=6, seed=1).interactions
    users, items = (ids.astype(np.int64) + 2**60 + 1 for ids in (planted.users, planted.items))
    rows = tm.Interactions.from_arrays(users, items)
    model = tm.CML(dim=4, epochs=1, seed=0).fit(rows, progress=False)
    model.save(tmp_path / "large")
    user = int(model.user_ids.values[0])
    with serving(tmp_path / "large") as running:
        for visit in visit_on(browser, running, DESKTOP, "light"):
            page = visit.to(f"explore?user={user}")
            expected = model.recommend([user], k=20)["item"]
            assert visit.names(".rows.next") == [f"Item {one}" for one in expected]
            page.locator(".ask").first.click()
            expect(page.locator(".sentence")).to_contain_text(f"Item {expected[0]}")
            page.locator(".rows.next .name").first.click()
            page.get_by_role("button", name="Recommend from this").click()
            expect(page.locator(".chip")).to_contain_text(f"Item {expected[0]}")


def test_unknown_users_and_a_server_that_is_gone(browser: Any, server: Server) -> None:
    for visit in visit_on(browser, server, DESKTOP, "light"):
        page = visit.to("explore?user=u00")
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("u00")
        expect(alert).to_contain_text("Near to it: u00")
        alert.get_by_role("link").first.click()
        expect(page.get_by_role("heading", name=re.compile("User u00"))).to_be_visible()
        page.go_back()
        expect(alert).to_contain_text("Near to it: u00")
        page.context.set_offline(True)
        page.evaluate("location.hash = '#/data'")
        expect(alert).to_contain_text("The server does not answer")
        page.context.set_offline(False)
        page.get_by_role("button", name="Try again").click()
        expect(page.locator(".glance")).to_be_visible()
        assert all("Failed to load resource" in one for one in visit.wrong)
        visit.wrong.clear()


@pytest.mark.slow
def test_a_key_and_a_single_model(browser: Any, locked: Server) -> None:
    for visit in visit_on(browser, locked, DESKTOP, "dark"):
        page = visit.page
        page.goto(f"{locked.url}/#/compare")
        field = page.get_by_label("API key")
        field.fill("wrong")
        field.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("not accepted")
        field.fill(KEY)
        field.press("Enter")
        expect(page.get_by_role("heading", name="Serve two models")).to_be_visible()
        expect(page.locator("pre")).to_contain_text("trimetric serve first-model second-model")
        assert all("401" in one for one in visit.wrong)
        visit.wrong.clear()


def test_pictures_come_from_the_items_table_and_may_be_missing(
    browser: Any, locked: Server, models: dict[str, Any]
) -> None:
    found = models["sml"].recommend(["u003"], k=2)["item"].to_list()

    def picture(route: Any) -> None:
        if route.request.url.endswith(f"{found[0]}.png"):
            route.fulfill(body=DOT, content_type="image/png")
        else:
            route.abort()

    for visit in visit_on(browser, locked, DESKTOP, "light"):
        page = visit.page
        page.route(f"{PICTURES}**", picture)
        page.goto(f"{locked.url}/#/explore?user=u003")
        page.get_by_label("API key").fill(KEY)
        page.get_by_role("button", name="Continue").click()
        visit.done()
        tiles = [page.locator(f".rows.next [data-item={one}] .tile") for one in found]
        expect(tiles[1]).to_have_js_property("tagName", "SPAN")
        expect(tiles[0]).to_have_js_property("tagName", "IMG")
        expect(tiles[0]).to_have_js_property("naturalWidth", 1)
        assert all(one.startswith(f"asked {PICTURES}") or "Failed" in one for one in visit.wrong)
        visit.wrong.clear()


NAMELESS = """() => [...document.querySelectorAll('a, button, input, select, canvas')]
    .filter((one) => one.checkVisibility() && !one.getAttribute('aria-hidden'))
    .filter((one) => !(one.ariaLabel || one.innerText?.trim() || one.labels?.length))
    .map((one) => one.outerHTML)"""
PALE = """() => {
    const light = (c) => c.map((v) => v / 255)
        .map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
    const parts = (text) => text.match(/[\\d.]+/g).map(Number);
    const behind = (one) => { for (; one; one = one.parentElement) {
        const c = parts(getComputedStyle(one).backgroundColor);
        if (c[3] === undefined || c[3] === 1) return c.slice(0, 3); } return [255, 255, 255]; };
    const found = [];
    for (const one of document.querySelectorAll('main *, header *')) {
        const own = [...one.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
        if (!own || !one.checkVisibility() || one.closest('svg, .spoken, [aria-hidden]')) continue;
        const [a, b] = [light(parts(getComputedStyle(one).color).slice(0, 3)), light(behind(one))];
        const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
        if (ratio < 4.5) found.push(`${one.textContent.slice(0, 30)}: ${ratio.toFixed(2)}`);
    }
    return found;
}"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_every_view_fits_and_can_be_read(
    browser: Any, server: Server, size: tuple[int, int], scheme: str
) -> None:
    for visit in visit_on(browser, server, size, scheme):
        for view, where in VIEWS.items():
            page = visit.to(where)
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, view
            assert page.evaluate(NAMELESS) == [], view
            assert page.evaluate(PALE) == [], view
            assert page.locator("h1, h2").count() > 0, view
            dark = (
                page.evaluate("getComputedStyle(document.body).backgroundColor")
                != "rgb(246, 246, 243)"
            )
            assert dark == (scheme == "dark")


def test_keyboard_alone(visit: Visit) -> None:
    page = visit.to("data")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    for name in ("trimetric", "Explore"):
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name=name, exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Who is it for?")).to_be_visible()
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.type("u005")
    page.keyboard.press("Enter")  # before the suggestions are there
    expect(page.get_by_role("heading", name="User u005")).to_be_visible()


def test_theme_is_chosen_and_kept(visit: Visit) -> None:
    page = visit.to("data")
    button = page.get_by_role("button", name=re.compile("Theme"))
    button.click()
    button.click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    visit.done()
    assert (
        page.evaluate("getComputedStyle(document.body).backgroundColor")
        == dark
        == "rgb(15, 17, 19)"
    )


@pytest.mark.slow
def test_a_real_catalogue(browser: Any, real_data: Path, tmp_path: Path) -> None:
    settings = {"dim": 16, "epochs": 2, "temperature": 0.2, "seed": 0}
    data = tm.Interactions.read(real_data / "ml_1m.parquet", min_rating=4)
    model = tm.SML(**settings).fit(data, progress=False)
    model.save(tmp_path / "movies")
    with serving(tmp_path / "movies", "--items", real_data / "ml_1m_items.parquet") as running:
        for visit in visit_on(browser, running, DESKTOP, "dark"):
            page = visit.to("explore")
            page.get_by_role("combobox", name="Find items by title").fill("toy story")
            page.get_by_role("listbox").get_by_role("option", name=re.compile("1995")).click()
            expect(page.locator(".chip")).to_contain_text("Toy Story (1995)")
            assert len(visit.done() and visit.names(".rows.next")) == 20
            page.get_by_role("link", name="On the map").click()
            expect(page.get_by_role("application")).to_be_visible(timeout=60_000)
            page.get_by_label("Colour of the items").select_option("genres")
            expect(page.locator(".groups")).to_contain_text("Comedy")
            page.get_by_role("combobox", name="Find an item on the map").fill("matrix, the")
            page.keyboard.press("Enter")
            expect(page.locator(".near-list h2")).to_have_text("Matrix, The (1999)")
            expect(page.locator(".near-list .row")).to_have_count(10)
