"""What the parameters of every training have in common: JSON or YAML gives them, and gets them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self


@dataclass(frozen=True)
class TrainingParameters:
    """The parameters of one training, as fields of a frozen dataclass that checks them.

    ``subject`` begins the sentence that is said of a name that is none: ``GLDNet has``.
    """

    subject: ClassVar[str] = "there is"

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """From a mapping, such as one of JSON; raises ``ValueError`` for a name that is none."""
        if not isinstance(given, Mapping):
            raise ValueError(f"parameters are {given!r}; they must be settings by name")
        known = [field.name for field in fields(cls)]
        if unknown := sorted(map(str, set(given) - set(known))):
            raise ValueError(f"{cls.subject} no {', '.join(unknown)}; there are {', '.join(known)}")
        return cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """All of them by name, as JSON can hold them."""
        return asdict(self)

    def _whole(self, name: str, least: int, most: int | None = None) -> None:
        """Raise ``ValueError`` where a parameter is no whole number within these bounds."""
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name} is {value!r}; it is a whole number of {least} or more")
        if most is not None and value > most:
            raise ValueError(f"{name} is {value}; it is at most {most}")
