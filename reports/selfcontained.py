"""Makes one page of a template: style and script inside, foreign text escaped, nothing fetched and nothing else run.

Knows Jinja and content security policies.  Does not know what is on a page.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.text import visible

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, *, style: str, script: str = "", **values: object) -> str:
    """The page. *style* and *script* are names of files of ours beside the template, which alone go in unescaped."""
    css, js = _own(style), _own(script) if script else Markup()
    policy = (
        f"default-src 'none'; style-src '{_hash(css)}'; script-src '{_hash(js)}'; base-uri 'none'; form-action 'none'"
    )
    return _environment().get_template(template).render(style=css, script=js, policy=policy, **values)


def _own(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704 - no foreign text is in it


def _hash(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["words"] = lambda name: name.replace("_", " ")
    return environment


def _finalize(value: object) -> object:
    """Make unseen characters visible in everything that is put on the page, before it is escaped."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
