"""Values in a JSON document by a JSONPath (RFC 9535), such as `$.queue.depth` or `$.jobs[*].id`.

The only place that knows the library: python-jsonpath, strict, so that what is accepted here means
the same elsewhere.
"""

from __future__ import annotations

from functools import cache
from typing import Any


class JsonPath:
    """A path that was read; ValueError says what is wrong with it."""

    def __init__(self, text: str) -> None:
        import jsonpath  # only what names a JSON path needs it

        self._errors = (jsonpath.JSONPathError, RecursionError)
        try:
            self._path = jsonpath.compile(text, strict=True)
        except self._errors as error:
            raise ValueError(f"{text!r} is not a JSON path: {error.args[0]}") from error
        self.text = text
        self.is_of_one = isinstance(self._path, jsonpath.JSONPath) and self._path.singular_query()

    def values(self, document: Any) -> list[Any]:
        """All values that it finds, in their order; ValueError where it cannot be applied."""
        if isinstance(document, str):  # the library would read it as a document of its own
            return [document] if self.text == "$" else []
        try:
            found: list[Any] = self._path.findall(document)
        except self._errors as error:
            raise ValueError(f"{self.text} cannot be applied: {error}") from error
        return found


@cache
def path_of_one(text: str) -> JsonPath:
    """The path of at most one value; ValueError says what would be right."""
    path = JsonPath(text)
    if not path.is_of_one:
        raise ValueError(f"{text!r} may find several values; write it like $.jobs[0].id")
    return path


def value_at(document: Any, text: str) -> Any:
    """The value at a path of one, None where there is none (or null)."""
    return next(iter(path_of_one(text).values(document)), None)
