"""What a planted defect is: a name, a sentence, what it breaks, how realistic it is, and the seams it replaces."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reference_server.service import HONEST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reference_server.world import Seams

SLIP = "plausible slip"


@dataclass(frozen=True, slots=True)
class Defect:
    """One wrong server. `breaks` are clause ids; `change` are the replaced seams.

    `survives` is empty, or the reason why no client can honestly condemn this server: the documents leave the matter
    open, or what it does shows only to someone who can do more than a client. `reads`, if given, is what becomes of
    the octets of a request's head before anybody parses them; such a server exists in process only.
    """

    name: str
    says: str
    breaks: tuple[str, ...]
    realism: str
    change: Mapping[str, object]
    survives: str = ""
    reads: Callable[[bytes], bytes] | None = None

    def seams(self) -> Seams:
        """The honest seams with this defect's replaced."""
        return replace(HONEST, **dict(self.change))  # type: ignore[arg-type]  # names are checked by a test
