"""A plugin of mkdocs: every generated card in the navigation, without anybody listing it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.config.base import Config
from mkdocs.plugins import BasePlugin


class NoOptions(Config):
    """The plugin has nothing to set."""


class Cards(BasePlugin[NoOptions]):
    """Fills the section of mkdocs.yml's `nav` that is called Models."""

    def on_config(self, config: Any) -> Any:
        """Put the pages of docs/models there, the table of all first."""
        models = Path(config["docs_dir"]) / "models"
        cards = sorted(path.name for path in models.glob("*.md") if path.stem != "index")
        for section in config["nav"]:
            if "Models" in section:
                section["Models"] = [f"models/{name}" for name in ("index.md", *cards)]
        return config
