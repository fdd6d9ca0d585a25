"""Short texts about classes, from `assets/classes/`: one Markdown file per class, found by its name."""

from __future__ import annotations

from core.files import slug
from core.ui.shell import ASSETS

_OTHER_NAMES = {
    "notumor": "no-tumor",
    "no-tumour": "no-tumor",
    "normal": "no-tumor",
    "healthy": "no-tumor",
    "glioma-tumor": "glioma",
    "meningioma-tumor": "meningioma",
    "pituitary-tumor": "pituitary",
}


def read_class_text(class_name: str) -> str | None:
    """The text about a class, or None where there is none: class names come from the data."""
    key = slug(class_name, fallback="")
    path = ASSETS / "classes" / f"{_OTHER_NAMES.get(key, key)}.md"
    return path.read_text(encoding="utf-8") if key and path.is_file() else None
