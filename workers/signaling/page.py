"""The demo page: four files and nothing from elsewhere."""

from __future__ import annotations

from importlib.resources import files

from starlette.routing import Route

from workers.http.files import page_routes


def routes(backend: str) -> list[Route]:
    """`/` and what it loads; calls of the page go to that back end, and its words are about it."""
    return page_routes(
        files("workers.signaling") / "page",
        ("index.html", "app.js", "style.css", "icon.svg"),
        permissions="microphone=(self), camera=(), geolocation=()",
        policy={"media-src": "'self' blob:"},
        values={"backend": backend},
    )
