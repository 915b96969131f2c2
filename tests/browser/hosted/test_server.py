"""The server as strangers see it: raw requests, and its start under a wrong profile."""

import http.client
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.helpers import driver
from tests.helpers.driver import ROOT, Server

pytestmark = pytest.mark.browser


def asked(
    app: Server, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(app.url).netloc, timeout=60)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    connection.close()
    return found


def test_every_answer_is_guarded(app: Server) -> None:
    for path in ("/", "/surprise", "/_stcore/health", "/static/nothing.js"):
        _, headers, _ = asked(app, path)
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "SAMEORIGIN"
        assert "script-src 'self' blob: 'sha256-" in headers["content-security-policy"]
    assert asked(app, "/_stcore/metrics")[0] == 404


def test_the_scripts_come_compressed(app: Server) -> None:
    page = asked(app, "/")[2].decode()
    script = page.split('src="./')[1].split('"')[0]
    status, headers, small = asked(app, f"/{script}", Accept_Encoding="gzip")
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert len(small) < 0.5 * len(asked(app, f"/{script}")[2])


def test_it_is_ready_when_the_first_page_has_its_numbers(app: Server) -> None:
    assert json.loads(asked(app, "/api/health")[2]) == {"status": "ok"}
    for _ in range(600):
        if asked(app, "/api/ready")[0] == 200:
            return
        time.sleep(0.1)
    pytest.fail("it never was ready")


def test_an_upload_is_refused_before_it_is_held(log_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPTLOSS_PROFILE", "hosted")
    with driver.server(log_file) as hosted:
        connection = http.client.HTTPConnection(urlsplit(hosted.url).netloc, timeout=60)
        connection.putrequest("PUT", "/_stcore/upload_file/a/b")
        connection.putheader("Content-Length", str(803_000_000))
        connection.endheaders()  # the answer comes before a byte of it
        answer = connection.getresponse()
        assert answer.status == 413
        assert b"at most 2,000,000 bytes" in answer.read()
        connection.close()


def test_a_wrong_profile_ends_the_start_with_a_sentence() -> None:
    command = [sys.executable, "server.py"]
    run = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"GPTLOSS_PROFILE": "cloud"}, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 1
    assert run.stderr.strip().endswith("gptloss: GPTLOSS_PROFILE is 'cloud'; use local or hosted.")
    assert "Traceback" not in run.stderr
