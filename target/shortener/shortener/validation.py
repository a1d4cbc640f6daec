"""What a request for a short URL must look like."""

from __future__ import annotations

import json
import re
import secrets
import string
from dataclasses import dataclass
from urllib.parse import urlsplit

ALPHABET = string.ascii_letters + string.digits
CODE = re.compile(r"[A-Za-z0-9_-]{3,64}")
URL_MAX, KEY_MAX, TTL_MAX_S = 2048, 128, 10 * 365 * 86400


class Invalid(Exception):
    """The request is wrong; the message says how."""


@dataclass(frozen=True, slots=True)
class NewUrl:
    """A checked request."""

    url: str
    alias: str | None
    ttl_s: float | None
    idempotency_key: str | None


def parse_new_url(body: bytes, idempotency_key: str | None) -> NewUrl:
    """The request in a JSON body; Invalid says what is wrong."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Invalid("the body is not JSON") from error
    if not isinstance(value, dict) or value.keys() - {"url", "alias", "ttl_s"}:
        raise Invalid("the body must be an object with url and, if wanted, alias and ttl_s")
    if idempotency_key is not None and not 1 <= len(idempotency_key) <= KEY_MAX:
        raise Invalid(f"Idempotency-Key must have 1 to {KEY_MAX} characters")
    return NewUrl(
        _url(value.get("url")),
        _alias(value.get("alias")),
        _ttl(value.get("ttl_s")),
        idempotency_key,
    )


def new_code() -> str:
    """A random code of 8 characters; seeded codes have 7, so they never meet."""
    return "".join(secrets.choice(ALPHABET) for _ in range(8))


def _url(url: object) -> str:
    if not isinstance(url, str) or len(url) > URL_MAX or any(c.isspace() for c in url):
        raise Invalid(f"url must be a URL of at most {URL_MAX} characters")
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if it is no port
    except ValueError as error:
        raise Invalid(f"url is not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable():
        raise Invalid("url must begin with http:// or https:// and name a host")
    return url


def _alias(alias: object) -> str | None:
    if alias is None:
        return None
    if not isinstance(alias, str) or not CODE.fullmatch(alias):
        raise Invalid("alias must have 3 to 64 letters, digits, - or _")
    return alias


def _ttl(ttl_s: object) -> float | None:
    if ttl_s is None:
        return None
    if isinstance(ttl_s, bool) or not isinstance(ttl_s, int | float) or not 0 < ttl_s <= TTL_MAX_S:
        raise Invalid(f"ttl_s must be a number of seconds from 1 to {TTL_MAX_S}")
    return float(ttl_s)
