"""A hook of mkdocs.yml: put every generated card into the navigation, so that nobody has to."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Append the pages of docs/models to the section named Models."""
    models = Path(config["docs_dir"]) / "models"
    for section in config["nav"]:
        if isinstance(section, dict) and "Models" in section:
            section["Models"] = ["models/index.md"]
            section["Models"] += [
                f"models/{path.name}"
                for path in sorted(models.glob("*.md"))
                if path.stem != "index"
            ]
    return config
