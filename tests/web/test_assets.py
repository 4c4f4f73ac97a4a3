from __future__ import annotations

import re

from faceanond.web.assets import ASSETS


def test_the_page_and_what_it_names_are_packaged() -> None:
    page = ASSETS["index.html"].body.decode()
    named = set(re.findall(r'(?:src|href)="/static/([^"]+)"', page))
    assert named <= ASSETS.keys()
    assert {"app.js", "style.css", "icon.svg"} <= named


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_inline() -> None:
    for name, asset in ASSETS.items():
        text = asset.body.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://", text), name
    page = ASSETS["index.html"].body.decode()
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=", page)


def test_tags_tell_files_apart() -> None:
    assert len({asset.etag for asset in ASSETS.values()}) == len(ASSETS)
