"""Words of drops: what operators read is what is counted."""

from __future__ import annotations

import re

from tests.support.appliance import TREE
from workers.wire.types import DropReason


def test_the_operations_page_explains_every_reason_once() -> None:
    page = (TREE / "docs" / "operations.md").read_text()
    section = page.split("### What is dropped")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    explained = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(explained) == sorted(reason.value for reason in DropReason)
