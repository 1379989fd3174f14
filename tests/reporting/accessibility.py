"""What axe-core, which checks pages for people with disabilities, finds on a page."""

from __future__ import annotations

from importlib import resources
from typing import Any

import pytest

LOOKS = [(scheme, width) for scheme in ("light", "dark") for width in (400, 1280)]


def serious_problems(page: Any, scheme: str, width: int) -> list[str]:
    """Return what is serious or critical with one color scheme and width, with the elements."""
    script = pytest.importorskip("axe_playwright_python")
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    source = resources.files(script.__name__).joinpath("axe.min.js").read_text(encoding="utf-8")
    page.evaluate(source)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{scheme}, {width} px: {violation['id']} ({violation['impact']}): "
        + "; ".join(node["html"][:120] for node in violation["nodes"][:4])
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
    ]
