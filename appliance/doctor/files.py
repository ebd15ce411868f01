"""Directories and files: are they there, whose are they, who may read what is secret."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from appliance.doctor.finding import Finding, fail, ok, warn
from appliance.doctor.host import Host
from appliance.supervisor.directories import prepare_runtime
from appliance.supervisor.keys import public_file_problems, read_keys
from appliance.supervisor.problems import CannotStart
from config.api_keys import parse_api_keys
from config.key_set import parse_key_set


def check(host: Host) -> Iterator[Finding]:
    """All of them."""
    yield _configuration(host)
    yield _runtime(host)
    yield _state(host)
    yield _keys(host)
    if keys := host.config.signaling.api_keys:
        yield _public("files.api_keys", "signaling.api_keys", Path(keys), parse_api_keys)
    if keys := host.config.auth.jwks_file:
        yield _public("files.key_set", "auth.jwks_file", Path(keys), parse_key_set)
    if host.config.realtime.api_key_file:
        yield _secret("files.realtime_key", Path(host.config.realtime.api_key_file))


def _configuration(host: Host) -> Finding:
    if host.file is None:
        return ok("files.config", "no file: the built-in defaults apply")
    mode = stat.S_IMODE(host.file.stat().st_mode)
    if mode & stat.S_IWOTH:
        return fail("files.config", f"everybody may change {host.file}", f"chmod o-w {host.file}")
    return ok("files.config", f"{host.file} can be used (mode {mode:04o})")


def _runtime(host: Host) -> Finding:
    directory = host.runtime
    try:
        found = directory.stat()
    except FileNotFoundError:
        return ok("files.runtime", f"{directory} is made at the start")
    except OSError as error:
        return warn("files.runtime", f"{directory}: {error.strerror}", "ask as root or its owner")
    if found.st_mode & stat.S_IWOTH:
        return fail(
            "files.runtime", f"everybody may write to {directory}", f"chmod 0750 {directory}"
        )
    if host.status is None and found.st_uid == os.geteuid():
        try:
            prepare_runtime(directory)
        except CannotStart as problem:
            return fail("files.runtime", "; ".join(problem.problems))
    return ok("files.runtime", f"{directory} (mode {stat.S_IMODE(found.st_mode):04o})")


def _state(host: Host) -> Finding:
    directory = host.state
    try:
        found = directory.stat()
        if found.st_mode & stat.S_IRWXO:
            what = f"{directory} is open to everybody, and the host's key is in it"
            return fail("files.state", what, f"chmod 0700 {directory}")
        usage = os.statvfs(directory)
    except FileNotFoundError:
        return ok("files.state", f"{directory} is made at the start")
    except OSError as error:
        return warn("files.state", f"{directory}: {error.strerror}", "ask as root or its owner")
    if usage.f_favail == 0 or usage.f_bavail == 0:
        return fail(
            "files.state", f"no room is left at {directory}", "the next start cannot count on"
        )
    return ok("files.state", f"{directory} (mode {stat.S_IMODE(found.st_mode):04o})")


def _keys(host: Host) -> Finding:
    try:
        keys = read_keys(host.config.ufrag, host.state)
    except CannotStart as problem:
        return fail("files.ufrag_keys", "; ".join(problem.problems), "32 hex digits, chmod 0600")
    if not keys.keys:
        return ok("files.ufrag_keys", "the host's own key is made at the first start")
    ids = f"key {keys.mint_with} mints"
    if others := sorted(keys.keys.keys() - {keys.mint_with}):
        ids += f", {', '.join(others)} can be read"
    return ok("files.ufrag_keys", ids)


def _public(check: str, key: str, file: Path, parse: Callable[..., object]) -> Finding:
    if problems := public_file_problems(key, file, parse):
        return fail(check, "; ".join(problems))
    return ok(check, f"{file} can be used")


def _secret(check: str, path: Path) -> Finding:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        return fail(check, f"{path}: {error.strerror}")
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        return fail(check, f"others may use {path} (mode {mode:04o})", f"chmod 0640 {path}")
    return ok(check, f"{path} (mode {mode:04o})")
