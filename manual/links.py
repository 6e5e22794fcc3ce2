"""Links of a page to files of the repository outside docs/: on the site they are the file's name, no link."""

import posixpath
import re

LINK = re.compile(r"(?<!!)\[(?P<text>[^\]\n]+)\]\((?P<target>[^)\s]+)\)")


def plain_links(markdown: str, page: str) -> str:
    """The page's text, its links out of docs/ replaced by their words."""
    return LINK.sub(lambda match: _plain(match, page), markdown)


def _plain(match: re.Match[str], page: str) -> str:
    target = match["target"]
    if "://" in target or target.startswith("#"):
        return match[0]
    place = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
    return f"`{match['text'].strip('`')}`" if place.startswith("../") else match[0]
