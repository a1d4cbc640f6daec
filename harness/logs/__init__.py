"""What the target's containers logged during a run: read, cleaned of secrets, kept.

engine -> [lines of one container] -> allowance -> format -> secrets -> record/logs.py
"""

from __future__ import annotations

from harness.logs.hidden import Secrets, secrets_in
from harness.logs.keep import Deadline, Span, keep_logs

__all__ = ["Deadline", "Secrets", "Span", "keep_logs", "secrets_in"]
