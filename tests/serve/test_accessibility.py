"""Every view against axe-core's rules for WCAG 2.2 A and AA, and the main path by keyboard."""

import re
from typing import Any

import pytest
from browsing import DESKTOP, PHONE, Visit, visit_on
from serving import Server

pytestmark = pytest.mark.slow

sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
expect = sync.expect

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
VIEWS = {
    "welcome": "explore",
    "user": "explore?user=u003",
    "steered": "explore?user=u003&more=i001&not=i002&f=genres%3DComedy",
    "built": "explore?item=i001&item=i002&w=1&w=2",
    "item panel": "explore?user=u003&panel=item:i001",
    "user panel": "explore?user=u003&panel=user:u003",
    "items": "item",
    "item": "item?id=i001&user=u003",
    "pair": "pair?user=u003&other=u017",
    "half a pair": "pair?user=u003",
    "compare": "compare?user=u003",
    "map": "map?user=u003&focus=i001&colour=genres",
    "quality": "quality",
    "quality of few": "quality?model=popular",
    "margins": "margins",
    "no margins": "margins?model=popular",
    "training": "training",
    "data": "data",
    "unknown": "explore?user=nobody",
    "missing": "nowhere",
}


def broken(page: Any, scheme: str = "light", within: str | None = None) -> list[str]:
    """Return the rules that a view breaks, and where; in the dark only colours differ."""
    only = {"type": "tag", "values": RULES}
    only = only if scheme == "light" else {"type": "rule", "values": ["color-contrast"]}
    options = {"runOnly": only, "resultTypes": ["violations"]}
    found = axe.Axe().run(page, within, options=options).response
    assert found["passes"]
    return [
        f"{rule['id']}: {node['html'][:120]} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_wcag(browser: Any, server: Server, size: tuple[int, int], scheme: str) -> None:
    for visit in visit_on(browser, server, size, scheme):
        for view, where in VIEWS.items():
            page = visit.to(where)
            assert broken(page, scheme) == [], view
        visit.wrong[:] = [one for one in visit.wrong if "404" not in one]  # the unknown user
        page = visit.to("explore?user=u003")
        page.locator(".ask").first.click()
        page.locator(".why summary").click()
        page.locator(".filters summary").click()
        assert broken(page, scheme) == [], "everything open"
        page.locator(".menu summary").click()
        assert broken(page, scheme, ".menu") == [], "a menu"
        page.evaluate("document.getElementById('key').showModal()")
        assert broken(page, scheme, "#key") == [], "the question for a key"
        page.evaluate("document.getElementById('key').close()")
        field = page.get_by_role("combobox", name="Find items by title")
        field.fill("title")
        expect(page.get_by_role("listbox").get_by_role("option")).to_have_count(12)
        field.press("ArrowDown")
        assert broken(page, scheme) == [], "suggestions"


def test_axe_finds_what_is_broken(visit: Visit) -> None:
    page = visit.to("data")
    page.evaluate("document.querySelector('main').append(document.createElement('img'))")
    page.evaluate("document.querySelector('h1').style.color = '#ccc'")
    ids = {one.partition(":")[0] for one in broken(page)}
    assert {"image-alt", "color-contrast"} <= ids


def focused(page: Any) -> str:
    """Return what the element with the focus is called."""
    return page.evaluate(
        "(document.activeElement.ariaLabel ?? document.activeElement.textContent).trim()"
    )


def tab_to(page: Any, name: str, key: str = "Tab", most: int = 60) -> None:
    """Press Tab until something of that name has the focus."""
    for _ in range(most):
        if re.fullmatch(name, focused(page)):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{name} was not reached; now at {focused(page)!r}")


def test_the_main_path_by_keyboard_alone(visit: Visit, titles: dict[str, str]) -> None:
    """Build somebody, ask why, steer, filter, look closer, go back: without a pointer."""
    page = visit.to("explore")
    key = page.keyboard.press
    tab_to(page, "Find items by title")
    for item in ("i001", "i002", "i003"):  # pick, type, pick: the focus never leaves the field
        page.keyboard.type(f"title {item}")
        expect(page.get_by_role("listbox").get_by_role("option").first).to_contain_text(item)
        key("ArrowDown")
        key("Enter")
        expect(page.locator(".chip", has_text=titles[item])).to_be_visible()
        assert focused(page) == "Find items by title"
        expect(page.get_by_role("listbox")).to_be_hidden()  # nothing covers the answer
        visit.done()
        assert focused(page) == "Find items by title"

    tab_to(page, "Remove Title i003.*")
    key("Enter")
    expect(page.locator(".chip")).to_have_count(2)
    visit.done()
    assert focused(page).startswith("Remove Title i00")  # that of the chip beside it

    tab_to(page, "Why\\? .*")
    first = focused(page).removeprefix("Why? ")
    key("Enter")
    expect(page.get_by_role("region", name=f"Why {first}").locator(".because")).to_be_visible()
    assert focused(page) == f"Why? {first}"
    tab_to(page, "The equation")
    key("Enter")
    expect(page.locator(".sentence")).to_be_visible()

    tab_to(page, "More like this: .*", "Shift+Tab")
    liked = focused(page).removeprefix("More like this: ")
    key("Enter")
    expect(page.locator(".chip", has_text=liked)).to_be_visible()
    visit.done()
    assert focused(page).startswith("More like this:")
    tab_to(page, "Not this: .*")
    refused = focused(page).removeprefix("Not this: ")
    key("Enter")
    expect(page.locator(".chip.plain", has_text=refused)).to_be_visible()
    visit.done()
    assert refused not in visit.names(".rows.next")
    assert focused(page).startswith("Not this:")  # that of the line which moved up

    page.evaluate("document.querySelector('main').focus()")
    tab_to(page, "Filter")
    key("Enter")
    tab_to(page, "Only genres")
    page.keyboard.type("Com")
    expect(page.get_by_role("list", name="Filters")).to_contain_text("Comedy")
    visit.done()
    assert focused(page) == "Only genres"

    tab_to(page, "Title i.*")
    name = focused(page)
    key("Enter")
    expect(page.get_by_role("dialog", name=name)).to_be_visible()
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert focused(page) == name


def test_a_list_is_copied_by_keyboard(visit: Visit) -> None:
    page = visit.to("explore?user=u003")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab_to(page, "Copy this list")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert focused(page) == "as csv"
    page.keyboard.press("Escape")
    assert focused(page) == "Copy this list"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_have_text("Copied the csv")
    assert focused(page) == "Copy this list"
