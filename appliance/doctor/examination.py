"""All checks, one after the other. One that meets what nobody foresaw says so and stops no other."""

from __future__ import annotations

from appliance.doctor import clock, files, kernel, network, ports, service, software
from appliance.doctor.finding import Finding, Report, warn
from appliance.doctor.host import Host

CHECKS = (service, ports, kernel, network, clock, files, software)


def examine(host: Host) -> Report:
    """Look at everything."""
    findings: list[Finding] = []
    for area in CHECKS:
        try:
            findings += area.check(host)
        except OSError as error:
            name = area.__name__.rpartition(".")[2]
            findings.append(warn(f"{name}.check", f"could not be looked at: {error}"))
    return Report(tuple(findings), host.status is not None)
