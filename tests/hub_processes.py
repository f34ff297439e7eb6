"""Fresh processes that know no Hub but the one on 127.0.0.1."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import IO, Any

from packaging.requirements import Requirement

import resnet_lstm

SCRIPTS = Path(__file__).parents[1] / "scripts"
TOKEN = "hf_loopback_someone"  # noqa: S105 - of the loopback Hub

# Runs scripts/publish.py again and again, since each start costs seconds. Waits are noted instead of waited.
_PUBLISHER = """
import contextlib, io, json, runpy, sys, time
waits = []
time.sleep = waits.append
main = runpy.run_path(sys.argv[1])["main"]
requests, sys.stdin = sys.stdin, io.StringIO()
for line in requests:
    waits.clear()
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(json.loads(line))
    print(json.dumps({"status": status, "out": out.getvalue(), "err": err.getvalue(), "waits": waits}), flush=True)
"""


def hub_environment(url: str, home: Path, **others: str) -> dict[str, str]:
    """The variables of a process that shall talk to a loopback Hub, with a cache of its own and to nobody else."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    # A port where nobody listens stands in for the rest of the world.
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    local = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    package = {"PYTHONPATH": str(Path(resnet_lstm.__file__).parents[1])}
    return {**environment, **nowhere, **local, **package, "HF_ENDPOINT": url, "HF_HOME": str(home), **others}


def run_python(
    code: str, *arguments: object, environment: Mapping[str, str], python: str | Path = sys.executable
) -> str:
    """Run code in a fresh process; gives what it printed last."""
    command = [str(python), "-c", code, *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, env=dict(environment), check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()[-1]


@dataclass(frozen=True)
class Outcome:
    """What a run of `scripts/publish.py` ended with; `waits` are the seconds that it would have waited."""

    status: int
    out: str
    err: str
    waits: list[float]


class Publisher:
    """A process in which `scripts/publish.py` is run as often as one likes."""

    def __init__(self, url: str, home: Path) -> None:
        # Xet's storage speaks a protocol of its own, which the loopback Hub does not; LFS is the other way in.
        environment = hub_environment(
            url, home, HF_TOKEN=TOKEN, HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_PROGRESS_BARS="1"
        )
        command = [sys.executable, "-c", _PUBLISHER, str(SCRIPTS / "publish.py")]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __call__(self, *arguments: object, status: int = 0) -> Outcome:
        requests, answers = self._pipes()
        requests.write(json.dumps([str(argument) for argument in arguments]) + "\n")
        requests.flush()
        outcome = Outcome(**json.loads(answers.readline()))
        assert outcome.status == status, outcome.err
        assert TOKEN not in outcome.out + outcome.err
        return outcome

    def close(self) -> None:
        for pipe in self._pipes():
            pipe.close()
        self._process.wait(120)

    def _pipes(self) -> tuple[IO[Any], IO[Any]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout


def make_bare_environment(path: Path, *names: str) -> Path:
    """A virtual environment that has only these distributions and what they require; gives its Python.

    Their files are links to those installed here.
    """
    venv.create(path, with_pip=False, symlinks=True)
    site_packages = path / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    for found in _with_requirements(names):
        tops = {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}
        for top in tops:
            target = site_packages / top
            if not target.exists():
                target.symlink_to(Path(str(found.locate_file(top))).resolve())
    return path / "bin" / "python"


def _with_requirements(names: tuple[str, ...]) -> list[Distribution]:
    found: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = distribution(name)
        requirements = [Requirement(text) for text in found[name].requires or ()]
        waiting += [each.name for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]
    return list(found.values())
