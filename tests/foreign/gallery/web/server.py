"""Serves the mounted site under the title that the environment says."""

from __future__ import annotations

import os
from pathlib import Path

from aiohttp import web

SITE = Path("/site/index.html")


async def home(_: web.Request) -> web.Response:
    text = SITE.read_text().format(title=os.environ["TITLE"], footer=os.environ["FOOTER"])
    headers = {"X-Served-By": os.environ["HOSTNAME"]}
    return web.Response(text=text, content_type="text/html", headers=headers)


app = web.Application()
app.add_routes([web.get("/", home)])
web.run_app(app, port=8000, access_log=None)
