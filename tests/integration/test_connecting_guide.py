"""The guide for OpenMeet's developers does what it says: each call, and both receivers."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import playwright
import pytest

from openmeet_bridge.openmeet.webhook_signature import signed_headers

from ..support.bridge import HERE, Settings, running_bridge
from ..support.ports import free_port

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "connect-openmeet.md"
NODE = Path(playwright.__file__).parent / "driver" / "node"
"""Comes with Playwright, so a machine needs no Node of its own."""
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def blocks(kind: str) -> list[str]:
    """Return the guide's blocks of code in a language."""
    block = re.compile(rf"^```{kind}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return block.findall(GUIDE.read_text("utf-8"))


async def test_every_call(tmp_path: Path, database_url: str, registration_file: Path) -> None:
    settings = Settings(
        tmp_path,
        database_url,
        registration_file,
        f"http://127.0.0.1:{free_port()}",  # nobody there: Matrix follows later
        free_port(),
        {"openmeet": {"database": database_url}},
        {HERE.id: {"webhook_secret": SECRET}},
    )
    (tmp_path / "service-keys").write_text(HERE.service_key + "\n")
    (tmp_path / "openmeet-events.secret").write_text(SECRET + "\n")
    script = "set -euo pipefail\n" + "\n".join(blocks("bash"))
    script = script.replace("http://127.0.0.1:8480", settings.api_url)
    script = script.replace("tenants/lakeside", f"tenants/{HERE.id}")
    async with running_bridge(settings):
        shell = await asyncio.create_subprocess_exec(
            "bash", "-c", script, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        said = (await shell.communicate())[0].decode()
    assert shell.returncode == 0, said
    answers = [json.loads(line) for line in said.splitlines()]
    assert len(answers) == script.count("\ncall ") + script.count("\ncurl ")
    assert answers[-1] == {"scheduled": ["meetup/31"]}


def python_verify() -> Callable[..., str]:
    """Return the guide's function in Python."""
    names: dict[str, Any] = {}
    (code,) = blocks("python")
    exec(code, names)  # noqa: S102  (it is our own page)
    verify: Callable[..., str] = names["verify"]
    return verify


def test_the_receiver_in_python() -> None:
    now = int(time.time())
    headers = signed_headers(SECRET, "msg_1", now, b"{}")
    verify = python_verify()
    assert verify(SECRET, headers, b"{}", now) == "msg_1"
    headers["webhook-signature"] = f"v1,abc {headers['webhook-signature']}"
    assert verify(SECRET, headers, b"{}", now) == "msg_1"
    with pytest.raises(PermissionError, match="signature"):
        verify(SECRET, headers, b"{ }", now)
    with pytest.raises(PermissionError, match="old"):
        verify(SECRET, headers, b"{}", now + 301)


def node_verify(headers: dict[str, str], body: str, now: int) -> str:
    """Return what the guide's function in TypeScript says."""
    (code,) = blocks("typescript")
    function = re.search(r"^export function verify.*?^}$", code, re.MULTILINE | re.DOTALL)
    assert function is not None
    program = f"""
        import {{ createHmac, timingSafeEqual }} from 'node:crypto';
        class UnauthorizedException extends Error {{}}
        {function[0].removeprefix("export ")}
        try {{
          const body = Buffer.from({json.dumps(body)});
          console.log(verify({json.dumps(SECRET)}, {json.dumps(headers)}, body, {now}));
        }} catch (error) {{
          console.log(error.message);
        }}
    """
    command = [str(NODE), "--no-warnings", "--input-type=module-typescript", "-"]
    ran = subprocess.run(command, input=program, capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def test_the_receiver_in_node() -> None:
    now = int(time.time())
    headers = signed_headers(SECRET, "msg_1", now, b"{}")
    assert node_verify(headers, "{}", now) == "msg_1"
    several = headers | {"webhook-signature": f"v1 v1,abc {headers['webhook-signature']}"}
    assert node_verify(several, "{}", now) == "msg_1"
    assert node_verify(headers, "{ }", now) == "wrong signature"
    assert node_verify(headers, "{}", now + 301) == "too old"
    assert node_verify({}, "{}", now) == "too old"
