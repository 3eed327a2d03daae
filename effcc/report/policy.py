"""A Content-Security-Policy for each page of the site, in the page itself.

A static host need not send any header, and a page opened from a file has none. Only scripts of the
site run, and of those written into a page only the theme's own, by their hashes. Which those are is
read off the one page that holds nobody's text, the one for addresses that lead nowhere. A script
that comes in with a text, a title or a name is not among them and does not run.
"""

from __future__ import annotations

import base64
import hashlib
import re

_SCRIPT = re.compile(r"<script\b([^>]*)>(.*?)</script\s*>", re.DOTALL | re.IGNORECASE)
_DATA = re.compile(r"""\bsrc\s*=|\btype\s*=\s*["']?application/(ld\+)?json\b""", re.IGNORECASE)
# The one thing that differs from page to page: the way from it to the first.
_WAY = re.compile(r'new URL\("[^"\\]*",location\)')
_CHARSET = '<meta charset="utf-8">'


class Policy:
    """The policies of a site's pages.

    Args:
        nobodys: the page of the theme that holds nobody's text.
    """

    def __init__(self, nobodys: str) -> None:
        self._known = {_anywhere(script) for script in inline(nobodys)}

    def written(self, html: str, *, wasm: bool = False) -> str:
        """A page with its policy, before everything that it could forbid.

        Args:
            html: the page.
            wasm: whether WebAssembly may be compiled, which is no `unsafe-eval`: nothing that a
                script says becomes a script.

        Raises:
            ValueError: it begins as no page of the theme did.
        """
        if _CHARSET not in html:
            raise ValueError(f"a page of the theme without {_CHARSET}: no place for its policy")
        tag = f'<meta http-equiv="Content-Security-Policy" content="{self.of(html, wasm=wasm)}">'
        return html.replace(_CHARSET, _CHARSET + tag, 1)

    def of(self, html: str, *, wasm: bool = False) -> str:
        """The policy of a page."""
        own = {_hash(script) for script in inline(html) if _anywhere(script) in self._known}
        rules = {
            "default-src": ["'self'"],
            "script-src": ["'self'", *sorted(own), *(["'wasm-unsafe-eval'"] if wasm else [])],
            # Tables align their cells by attributes of their own.
            "style-src": ["'self'", "'unsafe-inline'"],
            "img-src": ["'self'", "data:"],  # icons in the theme's style sheets
            "connect-src": ["'self'"],
            "object-src": ["'none'"],
            "base-uri": ["'none'"],
            "form-action": ["'self'"],
        }
        return "; ".join(" ".join((name, *sources)) for name, sources in rules.items())


def inline(html: str) -> list[str]:
    """The scripts that are written into HTML and run: no files, no data."""
    return [body for attributes, body in _SCRIPT.findall(html) if not _DATA.search(attributes)]


def _anywhere(script: str) -> str:
    return _WAY.sub('new URL("",location)', script)


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
