"""Publishing, from the command line to what a Hub then holds; the real huggingface_hub talks to a loopback Hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from hub_processes import Publisher
from loopback_hub import Fault, LoopbackHub
from resnet_lstm.data.video_folder import file_sha256

REPO = "someone/tiny"


def change_weights(directory: Path) -> None:
    path = directory / "model.safetensors"
    weights = {name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})


def test_all_files_appear_in_one_commit_and_none_again(
    publish: Publisher, loopback_hub: LoopbackHub, trained_dir: Path
) -> None:
    (trained_dir / "logs").mkdir()
    (trained_dir / "logs" / "events.out").write_text("for the one who trained it")
    first = publish("model", trained_dir, "--repo", REPO, "--dataset", "someone/actions")
    content = loopback_hub.content(REPO)
    assert {"README.md", "config.json", "model.safetensors", "metrics.json", "confusion_matrix.png"} <= content.keys()
    assert {"modeling_resnet_lstm.py", "video_preprocessor_config.json", "baseline/metrics.json"} <= content.keys()
    assert "left out, since no user of the model needs them: logs/events.out" in first.err
    here = {p.relative_to(trained_dir).as_posix() for p in trained_dir.rglob("*.*")}
    assert content.keys() == here - {"logs/events.out"} | {
        ".eval_results/actions.yaml",
        "handler.py",
        "requirements.txt",
    }
    assert content["model.safetensors"] == (trained_dir / "model.safetensors").read_bytes()
    assert f'model="{REPO}"' in content["README.md"].decode()
    assert "datasets:\n- someone/actions" in content["README.md"].decode()
    assert not loopback_hub.repository(REPO).private

    again = publish("model", trained_dir, "--repo", REPO, "--dataset", "someone/actions")
    assert "nothing has changed" in again.out
    assert len(loopback_hub.repository(REPO).history()) == 1

    change_weights(trained_dir)
    assert "1 files sent" in publish("model", trained_dir, "--repo", REPO, "--dataset", "someone/actions").out
    assert len(loopback_hub.repository(REPO).history()) == 2
    assert loopback_hub.content(REPO)["model.safetensors"] == (trained_dir / "model.safetensors").read_bytes()


def test_dry_run_shows_card_and_files_and_contacts_nobody(
    publish: Publisher, loopback_hub: LoopbackHub, trained_dir: Path
) -> None:
    before = {path: path.read_bytes() for path in trained_dir.rglob("*") if path.is_file()}
    outcome = publish("model", trained_dir, "--repo", REPO, "--dry-run")
    assert not loopback_hub.requests
    assert f'pipeline("video-classification", model="{REPO}", trust_remote_code=True)' in outcome.out
    for path in before:
        assert f"  {path.relative_to(trained_dir).as_posix()}\n" in outcome.out
    assert {path: path.read_bytes() for path in trained_dir.rglob("*") if path.is_file()} == before


def test_private_repository_branch_and_pull_request(
    publish: Publisher, loopback_hub: LoopbackHub, trained_dir: Path
) -> None:
    publish("model", trained_dir, "--repo", REPO, "--private", "--revision", "v1")
    repository = loopback_hub.repository(REPO)
    assert repository.private
    assert not repository.history("main")
    assert "model.safetensors" in loopback_hub.content(REPO, revision="v1")
    outcome = publish("model", trained_dir, "--repo", REPO, "--create-pr")
    assert f"pull request {loopback_hub.url}/{REPO}/discussions/1" in outcome.out
    assert not repository.history("main")
    assert "model.safetensors" in loopback_hub.content(REPO, revision="refs/pr/1")
    change_weights(trained_dir)
    publish("model", trained_dir, "--repo", REPO, "--revision", "refs/pr/1")
    assert len(repository.history("refs/pr/1")) == 2

    publish("model", trained_dir, "--repo", "someone/public")
    outcome = publish("model", trained_dir, "--repo", "someone/public", "--private", status=2)
    assert outcome.err.count("\n") == 1
    assert "exists and is public" in outcome.err


def test_other_files_of_the_repository_are_left_or_deleted_when_asked(
    publish: Publisher, loopback_hub: LoopbackHub, trained_dir: Path
) -> None:
    (trained_dir / "onnx").mkdir()
    (trained_dir / "onnx" / "model.onnx").write_bytes(b"an export")
    publish("model", trained_dir, "--repo", REPO)
    (trained_dir / "onnx" / "model.onnx").unlink()
    assert "not in the folder: onnx/model.onnx" in publish("model", trained_dir, "--repo", REPO).out
    assert loopback_hub.content(REPO)["onnx/model.onnx"] == b"an export"
    publish("model", trained_dir, "--repo", REPO, "--mirror")
    assert "onnx/model.onnx" not in loopback_hub.content(REPO)
    assert ".gitattributes" in loopback_hub.repository(REPO).commits[loopback_hub.repository(REPO).refs["main"]].tree


def test_a_cut_upload_goes_on_where_it_ended(publish: Publisher, loopback_hub: LoopbackHub, trained_dir: Path) -> None:
    weights = trained_dir / "model.safetensors"
    (trained_dir / "onnx").mkdir()
    (trained_dir / "onnx" / "model.onnx").write_bytes(bytes(range(256)) * 2000)
    large, other = file_sha256(weights), file_sha256(trained_dir / "onnx" / "model.onnx")

    loopback_hub.faults.append(Fault("PUT", f"/lfs-storage/{large}", after_bytes=weights.stat().st_size // 2))
    outcome = publish("model", trained_dir, "--repo", REPO, status=2)
    assert outcome.err.splitlines()[-1].startswith(f"error: {REPO}: the connection to the Hub failed or was cut")
    assert "Traceback" not in outcome.err
    assert loopback_hub.received_bytes[large] > 0
    assert not loopback_hub.repository(REPO).history()
    assert not loopback_hub.content(REPO)

    loopback_hub.faults.clear()
    publish("model", trained_dir, "--repo", REPO)
    # Sent once in both runs together.
    assert loopback_hub.received_bytes[other] == (trained_dir / "onnx" / "model.onnx").stat().st_size
    assert len(loopback_hub.repository(REPO).history()) == 1
    assert loopback_hub.content(REPO)["model.safetensors"] == weights.read_bytes()


@pytest.mark.parametrize("after_bytes", [1000, None])
def test_a_commit_that_is_cut_off_is_made_once(
    publish: Publisher, loopback_hub: LoopbackHub, trained_dir: Path, after_bytes: int | None
) -> None:
    """Cut in the middle of the request nothing has happened yet; cut in the answer, all has."""
    loopback_hub.faults.append(Fault("POST", "/commit/main", after_bytes=after_bytes, times=1))
    outcome = publish("model", trained_dir, "--repo", REPO)
    assert outcome.waits == [2.0]
    assert "files sent" in outcome.out
    assert len(loopback_hub.repository(REPO).history()) == 1
    assert "model.safetensors" in loopback_hub.content(REPO)


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (401, "401, not logged in or not with a valid token"),
        (403, "403, this account may not write there"),
        (404, "404, no such repository"),
        (409, "409, in conflict with what is there"),
        (429, "429, too many requests"),
        (500, "500, the Hub has a problem of its own"),
    ],
)
@pytest.mark.parametrize("path", ["/api/models/someone/tiny/commit/main", "/api/models/someone/tiny/revision/main"])
def test_a_refusal_is_one_clear_line(
    publish: Publisher, loopback_hub: LoopbackHub, trained_dir: Path, status: int, says: str, path: str
) -> None:
    method = "POST" if "commit" in path else "GET"
    loopback_hub.faults.append(Fault(method, path, status=status))
    outcome = publish("model", trained_dir, "--repo", REPO, status=2)
    *warnings, last = outcome.err.splitlines()
    assert last.startswith(f"error: {REPO}: {says}")
    assert f"told to answer {status}" in last
    assert all("trying again in" in warning for warning in warnings)
    assert outcome.waits == ([2.0, 4.0, 8.0] if status in (429, 500) else [])
    assert not loopback_hub.repository(REPO).history()


def test_a_busy_hub_is_asked_again_when_it_says(
    publish: Publisher, loopback_hub: LoopbackHub, trained_dir: Path
) -> None:
    loopback_hub.faults.append(Fault("POST", "/api/repos/create", 429, headers={"Retry-After": "17"}, times=2))
    assert publish("model", trained_dir, "--repo", REPO).waits == [17.0, 17.0]
    assert len(loopback_hub.repository(REPO).history()) == 1


def test_strangers_repositories_are_not_written_to(
    publish: Publisher, loopback_hub: LoopbackHub, trained_dir: Path
) -> None:
    outcome = publish("model", trained_dir, "--repo", "somebody-else/tiny", status=2)
    assert outcome.err.splitlines()[-1].startswith("error: somebody-else/tiny: 403, this account may not write there")
    assert publish("model", trained_dir, "--repo", "no/valid/name", status=2).err.startswith("error: no/valid/name: ")


def test_nothing_is_uploaded_of_a_model_whose_card_and_metrics_disagree(
    publish: Publisher, loopback_hub: LoopbackHub, trained_dir: Path
) -> None:
    metrics = json.loads((trained_dir / "metrics.json").read_text())
    metrics["top1"]["value"] += 0.05
    (trained_dir / "metrics.json").write_text(json.dumps(metrics))
    outcome = publish("model", trained_dir, "--repo", REPO, status=2)
    assert outcome.err.startswith("error: README.md does not match metrics.json")
    assert not loopback_hub.requests
