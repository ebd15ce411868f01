"""docs/alerts.yml asks for metrics, labels and values that there are, and Prometheus can read it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ipc.messages.sessions import CloseReason
from tests.support.promtool import promtool
from tests.support.tree import ROOT
from workers.telemetry.core.catalogue import METRICS

FILE = ROOT / "docs" / "alerts.yml"
LABELS = {metric.name: set(metric.labels) | {"instance"} for metric in METRICS}


def test_prometheus_reads_them() -> None:
    checked = promtool("check", "rules", FILE)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_they_are_about_what_there_is() -> None:
    text = FILE.read_text()
    asked = re.findall(r"(tandem_\w+)(?:\{(\w+)=)?", text)
    assert len(asked) > 10
    for name, label in asked:
        assert name in LABELS, name
        assert label in {"", *LABELS[name]}, (name, label)
    for labels, name in re.findall(r"by \(([\w, ]+)\) \(\w+\((tandem_\w+)", text):
        assert set(labels.split(", ")) <= LABELS[name], name
    for reasons in re.findall(r'reason=~?"([\w|]+)"', text):
        assert set(reasons.split("|")) <= set(CloseReason), reasons


CASES: dict[str, dict[str, str]] = {
    "TandemAway": {'up{job="tandem",instance="a"}': "0x60"},
    "TandemDegraded": {'tandem_state{instance="a",state="degraded"}': "1x60"},
    "TandemCallsDoNotConnect": {
        'tandem_sessions_closed_total{instance="a",reason="connect_timeout"}': "0+5x60",
        'tandem_sessions_created_total{instance="a"}': "0+10x60",
    },
    "TandemBackendEndsCalls": {
        'tandem_sessions_closed_total{instance="a",reason="backend_ended"}': "0+2x60"
    },
    "TandemRefusesCalls": {'tandem_http_responses_total{instance="a",code="503"}': "0+3x60"},
    "TandemWorkersDie": {'tandem_worker_restarts_total{instance="a",role="relay"}': "0+1x60"},
    "TandemAudioIsLost": {
        'tandem_audio_received_lost_packets_total{instance="a"}': "0+600x60",
        'tandem_audio_received_frames_total{instance="a"}': "0+6000x60",
    },
    "TandemBusy": {'tandem_process_cpu_seconds_total{instance="a",worker="relay-0"}': "0+54x60"},
    "TandemCountersDoNotAddUp": {'tandem_relay_conserved{instance="a",worker="relay-0"}': "0x60"},
}
"""What brings each about, a sample a minute."""
WELL: dict[str, str] = {
    'up{job="tandem",instance="a"}': "1x60",
    'tandem_supervisor_up{instance="a"}': "1x60",
    'tandem_state{instance="a",state="degraded"}': "0x60",
    'tandem_sessions_closed_total{instance="a",reason="connect_timeout"}': "0+1x60",
    'tandem_sessions_closed_total{instance="a",reason="hangup"}': "0+90x60",
    'tandem_sessions_created_total{instance="a"}': "0+91x60",
    'tandem_http_responses_total{instance="a",code="201"}': "0+91x60",
    'tandem_http_responses_total{instance="a",code="503"}': "0+1x60",
    'tandem_worker_restarts_total{instance="a",role="relay"}': "0x20 1x40",
    'tandem_audio_received_lost_packets_total{instance="a"}': "0+60x60",
    'tandem_audio_received_frames_total{instance="a"}': "0+6000x60",
    'tandem_process_cpu_seconds_total{instance="a",worker="relay-0"}': "0+30x60",
    'tandem_relay_conserved{instance="a",worker="relay-0"}': "1x60",
}


def firing(series: dict[str, str], alert: str) -> dict[str, object]:
    """A test that this alert, and no other, is on after half an hour; "" is none."""
    samples = [{"labels": f'{{alertname="{alert}"}}', "value": 1}] if alert else []
    asked = {"expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "eval_time": "30m"}
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": said} for name, said in series.items()],
        "promql_expr_test": [{**asked, "exp_samples": samples}],
    }


def test_each_is_on_when_it_should_be_and_none_when_all_is_well(tmp_path: Path) -> None:
    assert CASES.keys() == set(re.findall(r"alert: (\w+)", FILE.read_text()))
    tests = [firing(WELL, ""), *(firing(series, alert) for alert, series in CASES.items())]
    file = tmp_path / "tests.json"
    file.write_text(json.dumps({"rule_files": [str(FILE)], "tests": tests}))
    tried = promtool("test", "rules", file)
    assert tried.returncode == 0, tried.stdout + tried.stderr
