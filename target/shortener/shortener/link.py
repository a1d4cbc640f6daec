"""What the caches hold: where a code leads, and until when."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Link:
    """A long URL; `expires_s` is wall-clock time (seconds since 1970), None for never."""

    long_url: str
    expires_s: float | None = None

    def left_s(self, now_s: float) -> float | None:
        """Seconds until it expires, 0 or less afterwards; None for never."""
        return None if self.expires_s is None else self.expires_s - now_s

    def to_text(self) -> str:
        """The form in Redis: the time of expiry, if any, a space, the URL."""
        return f"{'' if self.expires_s is None else self.expires_s} {self.long_url}"

    @classmethod
    def from_text(cls, text: str) -> Link:
        """The inverse of `to_text`; ValueError for anything else."""
        expires_s, space, long_url = text.partition(" ")
        if not space or not long_url:
            raise ValueError(f"no link: {text!r:.80}")
        return cls(long_url, float(expires_s) if expires_s else None)
