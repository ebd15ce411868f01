"""A process that ends with the block that began it and is waited for: nothing is left to the collector."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio


@asynccontextmanager
async def child(command: Sequence[str], **options: Any) -> AsyncIterator[trio.Process]:
    """Start a command (options as for trio.run_process); whoever still runs at the end is killed."""
    process = await trio.lowlevel.open_process(list(command), **options)
    try:
        yield process
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            if process.stdout is not None:
                await process.stdout.aclose()
            await process.wait()
