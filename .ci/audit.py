"""Known vulnerabilities of what a lock pins: `audit.py LOCK`. Exit code 1 if there is one.

Advisories come from the package index. Where it has none (a mirror) or cannot be reached nothing can be
audited; that is said, and is no failure: the lock is the same everywhere, and some CI reaches it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def main(lock: str) -> int:
    """Audit it, and say what came of that."""
    command = [sys.executable, "-m", "pip_audit", "-r", lock, "--disable-pip", "--no-deps"]
    done = subprocess.run(
        [*command, "--format", "json", "--progress-spinner", "off", "--timeout", "10"],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        dependencies: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(f"audit: advisories cannot be had here: {last_line(done.stderr)}")
        return 0
    audited = [each for each in dependencies if "skip_reason" not in each]
    found = [each for each in audited if each["vulns"]]
    for each in found:
        ids = ", ".join(vulnerability["id"] for vulnerability in each["vulns"])
        print(f"audit: {each['name']} {each['version']}: {ids}")
    print(
        f"audit: {len(found)} vulnerable of {len(audited)} audited; for"
        f" {len(dependencies) - len(audited)} others the index here has no advisories"
    )
    return 1 if found else 0


def last_line(text: str) -> str:
    """What a failed program has said in the end."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no reason given"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
