"""The requests of the URL shortener, and the links that its database is filled with at first."""

from __future__ import annotations

from harness.bundled.geography import geography_of
from harness.compose_files import read_environment
from harness.model.load import Keys, Operation, Traffic
from harness.model.target import Target

API = "/api/v1/urls"
LONG_URL = "https://example.com"
CREATED = f"{LONG_URL}/new/"
"""Every link that a load creates leads to a URL that begins so and ends with the write's token."""

OPERATIONS: dict[str, Operation] = {
    "redirect": Operation(
        path="/{key}", status=(302,), location=f"{LONG_URL}/{{key}}", limit_s=5.0
    ),
    "create": Operation(
        method="POST",
        path=API,
        headers={"Content-Type": "application/json", "Idempotency-Key": "{token}"},
        body=f'{{"url": "{CREATED}{{token}}"}}',
        status=(200, 201),
        body_contains=f"{CREATED}{{token}}",
        returns=r'"code": *"([A-Za-z0-9_-]+)"',
        writes="token",
        limit_s=5.0,
    ),
    "follow": Operation(  # the code that a create returned leads where the create said
        path="/{returned}",
        status=(302,),
        location=f"{CREATED}{{written}}",
        reads="create",
        limit_s=5.0,
    ),
}

TRAFFIC = Traffic(
    entry="lb",
    operations=OPERATIONS,
    mix={"redirect": 0.96, "create": 0.04},
    keys=Keys(
        population=100_000,
        format="h{index:06d}",
        cold_population=300_000,
        cold_format="c{index:06d}",
    ),
    has_canary=True,
)
"""The links are those of target/shortener/seed.sql."""


def shortener_traffic(target: Target) -> Traffic:
    """What is known where it is sure that the target is the shortener; ports are its `.env`'s."""
    geography = geography_of(read_environment(target.folder))
    return TRAFFIC.model_copy(update={"geography": geography})
