"""Pages as tests read them: parsed strictly, and held to what every page promises."""

from collections import Counter
from xml.etree.ElementTree import Element

import html5lib
import httpx

LABELLED = ("input", "select", "textarea")
UNLABELLED_TYPES = {"hidden", "submit", "button"}


def read_page(answer: httpx.Response, status: int = 200) -> Element:
    """The tree of a page, which has this status, a strict policy and well-formed markup."""
    assert answer.status_code == status, answer.text[-2_000:]
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    tree = parse(answer.text)
    assert tree.get("lang") == "en"
    assert text_of(tree.find(".//title")).strip(" ·")
    assert len(tree.findall(".//h1")) == 1
    assert len(tree.findall(".//main")) == 1
    check(tree)
    return tree


def read_fragment(answer: httpx.Response, status: int = 200) -> Element:
    """The tree of a part of a page."""
    assert answer.status_code == status, answer.text[-2_000:]
    assert "<html" not in answer.text
    tree = _plain(_parser().parseFragment(answer.text))
    check(tree)
    return tree


def parse(text: str) -> Element:
    """A document; raises where it breaks a rule of HTML."""
    return _plain(_parser().parse(text))


def check(tree: Element) -> None:
    """Nothing that the policy forbids; everything that a screen reader needs."""
    ids = Counter(each.get("id") for each in tree.iter() if each.get("id"))
    assert [name for name, times in ids.items() if times > 1] == []
    labels = {each.get("for") for each in tree.iter("label")}
    within = {field for label in tree.iter("label") for field in label.iter()}
    for each in tree.iter():
        if not isinstance(each.tag, str):
            continue  # a comment
        assert each.tag != "style"
        assert each.tag != "script" or each.get("src")
        forbidden = [name for name in each.attrib if name == "style" or str(name).startswith(("on", "hx-on"))]
        assert forbidden == [], each.attrib
        assert not str(each.get("href", "")).lower().startswith(("javascript:", "data:"))
        if each.tag in LABELLED and each.get("type") not in UNLABELLED_TYPES:
            assert each.get("id") in labels or each in within or each.get("aria-label"), each.attrib
        if each.tag == "table":
            assert each.find("caption") is not None or each.get("aria-label"), "a table without a caption"
            assert all(head.get("scope") for head in each.iter("th")), "a header without a scope"
        if each.tag == "img":
            assert each.get("alt") is not None
    for each in tree.iter():
        for named in (each.get("aria-labelledby"), each.get("aria-describedby")):
            assert all(name in ids for name in (named or "").split()), named


def text_of(element: Element | None) -> str:
    """All text of an element, its whitespace folded."""
    assert element is not None
    return " ".join("".join(element.itertext()).split())


def rows_of(tree: Element, caption: str) -> list[list[str]]:
    """The body's rows of the table whose caption begins so."""
    for table in tree.iter("table"):
        head = table.find("caption")
        if head is not None and text_of(head).startswith(caption):
            return [[text_of(cell) for cell in row] for body in table.findall("tbody") for row in body]
    raise AssertionError(f"no table {caption!r}: {[text_of(c) for c in tree.iter('caption')]}")


def _plain(tree: Element) -> Element:
    """The same without namespaces: an svg is called svg."""
    for each in tree.iter():
        if isinstance(each.tag, str):
            each.tag = each.tag.rpartition("}")[2]
    return tree


def _parser() -> html5lib.HTMLParser:
    builder = html5lib.getTreeBuilder("etree")
    return html5lib.HTMLParser(tree=builder, strict=True, namespaceHTMLElements=False)
