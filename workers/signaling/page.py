"""The demo page: four files and nothing from elsewhere."""

from __future__ import annotations

from importlib.resources import files

from starlette.routing import Route

from workers.http.files import page_routes


def routes() -> list[Route]:
    """`/` and what it loads."""
    return page_routes(
        files("workers.signaling") / "page",
        ("index.html", "app.js", "style.css", "icon.svg"),
        permissions="microphone=(self), camera=(), geolocation=()",
        policy={"media-src": "'self' blob:"},
    )
