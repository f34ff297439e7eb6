"""A Hub on 127.0.0.1 for tests: it stores blobs and commits, and the real client libraries talk to it over HTTP.

It answers what huggingface_hub, transformers, datasets and gradio_client ask for to create, fill and read
repositories, keeps private ones from strangers, and can be told to fail: with a status, or by cutting a connection.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote

import uvicorn
from huggingface_hub import ModelCard
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

KINDS = ("model", "dataset", "space")
DATE = "2026-01-01T00:00:00.000Z"
# As .gitattributes of a new repository on the Hub has it, in as far as these tests meet it.
LFS_SUFFIXES = frozenset((".safetensors", ".parquet", ".mp4", ".avi", ".webm", ".mov", ".onnx", ".bin"))
LFS_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True)
class Blob:
    """A file of a revision. `oid` is the git blob's; `sha256` is there for LFS files only."""

    oid: str
    size: int
    sha256: str | None = None


@dataclass(frozen=True)
class Commit:
    """A revision: the tree of all its files."""

    oid: str
    parent: str | None
    title: str
    tree: dict[str, Blob]


@dataclass
class Repository:
    """What the Hub knows of a repository."""

    kind: str
    repo_id: str
    private: bool
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    sdk: str | None = None
    host: str | None = None

    def history(self, revision: str = "main") -> list[Commit]:
        """The commits of a revision, the newest first, without the one that made the repository."""
        commits = []
        commit = self.commits.get(self.refs.get(revision, revision))
        while commit is not None and commit.parent is not None:
            commits.append(commit)
            commit = self.commits[commit.parent]
        return commits


@dataclass
class Fault:
    """What shall go wrong with requests of a method whose path matches.

    Attributes:
        method: Of the requests.
        path: A regular expression, searched for in the path.
        status: Answer with it, or None to cut the connection.
        after_bytes: Cut after so many bytes of the request's body; None cuts only the answer, when all is done.
        headers: Of the answer.
        times: How many requests fail.
    """

    method: str
    path: str
    status: int | None = None
    after_bytes: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1_000_000

    def matches(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method == method and re.search(self.path, path) is not None


class LoopbackHub:
    """The Hub. Start it with `running_hub`.

    Attributes:
        url: What `HF_ENDPOINT` must be.
        users: The names that tokens stand for.
        faults: What shall go wrong; the first that matches a request is taken.
        requests: All requests so far, as `"GET /api/..."`.
        received_bytes: By LFS object, the bytes of it that have arrived, complete or not.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = ""
        self.users = {"hf_loopback_someone": "someone"}
        self._lock = threading.Lock()
        self._app = Starlette(routes=self._routes())
        self.reset()

    def reset(self) -> None:
        """Forget all repositories, faults and requests."""
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.received_bytes: dict[str, int] = {}
        for folder in ("blobs", "lfs"):
            shutil.rmtree(self.root / folder, ignore_errors=True)
            (self.root / folder).mkdir(parents=True)

    def repository(self, repo_id: str, kind: str = "model") -> Repository:
        return self.repositories[kind, repo_id]

    def content(self, repo_id: str, kind: str = "model", revision: str = "main") -> dict[str, bytes]:
        """The files of a revision, without `.gitattributes`."""
        repository = self.repository(repo_id, kind)
        tree = repository.commits[repository.refs.get(revision, revision)].tree
        return {path: self._stored(blob).read_bytes() for path, blob in tree.items() if path != ".gitattributes"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["raw_path"].decode("ascii"), scope["method"]
        self.requests.append(f"{method} {path}")
        fault = next((fault for fault in self.faults if fault.matches(method, path)), None)
        # Routes are matched on the raw path: a revision such as refs%2Fpr%2F1 is one segment of it.
        scope = {**scope, "path": path}
        if fault is None:
            await self._app(scope, receive, send)
            return
        fault.times -= 1
        if fault.status is not None:
            body = {"error": f"told to answer {fault.status}"}
            await JSONResponse(body, fault.status, fault.headers)(scope, receive, send)
            return
        transport = receive.__self__.transport  # type: ignore[attr-defined] # of uvicorn's request cycle
        left = fault.after_bytes

        async def cut_receive() -> Message:
            nonlocal left
            if left == 0:
                transport.abort()
                return {"type": "http.disconnect"}
            message = await receive()
            if left is not None and message["type"] == "http.request":
                body = message.get("body", b"")[:left]
                left -= len(body)
                return {**message, "body": body, "more_body": message.get("more_body") or left == 0}
            return message

        async def swallow(message: Message) -> None:
            pass

        try:
            await self._app(scope, cut_receive, swallow)
        finally:
            transport.abort()

    def _routes(self) -> list[Route]:
        routes = [
            Route("/api/whoami-v2", self._whoami),
            Route("/api/repos/create", self._create, methods=["POST"]),
            Route("/api/validate-yaml", self._validate_yaml, methods=["POST"]),
            Route("/lfs-storage/{oid}", self._receive_lfs, methods=["PUT"]),
        ]
        for kind in KINDS:
            api = f"/api/{kind}s/{{owner}}/{{name}}"
            files = "/{owner}/{name}" if kind == "model" else f"/{kind}s/{{owner}}/{{name}}"
            for path, endpoint, methods in (
                (f"{files}.git/info/lfs/objects/batch", self._lfs_batch, ["POST"]),
                (f"{files}/resolve/{{revision}}/{{path:path}}", self._resolve, ["GET", "HEAD"]),
                (f"{api}/preupload/{{revision}}", self._preupload, ["POST"]),
                (f"{api}/commit/{{revision}}", self._commit, ["POST"]),
                (f"{api}/branch/{{revision}}", self._branch, ["POST"]),
                (f"{api}/paths-info/{{revision}}", self._paths_info, ["POST"]),
                (f"{api}/tree/{{revision}}", self._tree, ["GET"]),
                (f"{api}/tree/{{revision}}/{{path:path}}", self._tree, ["GET"]),
                (f"{api}/revision/{{revision}}", self._info, ["GET"]),
                (f"{api}/refs", self._refs, ["GET"]),
                (f"{api}/runtime", self._runtime, ["GET"]),
                (api, self._info, ["GET"]),
            ):
                routes.append(Route(path, _of_kind(kind, endpoint), methods=methods))
        return [*routes, Route("/{path:path}", self._unknown, methods=["GET", "HEAD", "POST", "PUT", "DELETE"])]

    async def _unknown(self, request: Request) -> Response:
        return _error(404, "no such route")

    async def _whoami(self, request: Request) -> Response:
        user = self._user(request)
        if user is None:
            return _error(401, "Invalid credentials in Authorization header")
        return JSONResponse({"type": "user", "name": user, "fullname": user, "orgs": []})

    async def _create(self, request: Request) -> Response:
        body = await request.json()
        user = self._user(request)
        if user is None:
            return _error(401, "Invalid username or password.")
        if body.get("organization") not in (None, user):
            return _error(403, f"You don't have the rights to create a repo under {body['organization']}")
        kind, repo_id = body.get("type") or "model", f"{user}/{body['name']}"
        url = f"{self.url}/{repo_id}" if kind == "model" else f"{self.url}/{kind}s/{repo_id}"
        with self._lock:
            if (kind, repo_id) in self.repositories:
                return JSONResponse({"error": "You already created this repo", "url": url}, 409)
            private = body.get("visibility") == "private" or bool(body.get("private"))
            repository = Repository(kind, repo_id, private, sdk=body.get("sdk"))
            attributes = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in sorted(LFS_SUFFIXES))
            tree = {".gitattributes": self._store(attributes.encode())}
            repository.refs["main"] = self._add_commit(repository, None, "initial commit", tree).oid
            self.repositories[kind, repo_id] = repository
        return JSONResponse({"url": url, "id": repo_id})

    async def _validate_yaml(self, request: Request) -> Response:
        body = await request.json()
        try:
            ModelCard(body["content"])
        except Exception as error:
            return JSONResponse({"errors": [{"message": str(error)}], "warnings": []}, 400)
        return JSONResponse({"errors": [], "warnings": []})

    async def _info(self, request: Request) -> Response:
        repository, commit = self._revision(request)
        content = self._stored(commit.tree["README.md"]).read_text() if "README.md" in commit.tree else ""
        card = ModelCard(content).data.to_dict() if content else {}
        info = {
            "_id": hashlib.sha1(repository.repo_id.encode()).hexdigest()[:24],  # noqa: S324
            "id": repository.repo_id,
            "author": repository.repo_id.split("/")[0],
            "sha": commit.oid,
            "private": repository.private,
            "gated": False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "createdAt": DATE,
            "lastModified": DATE,
            "tags": card.get("tags", []),
            "cardData": card,
            "siblings": [{"rfilename": path, **_blob_fields(blob)} for path, blob in sorted(commit.tree.items())],
        }
        if repository.kind == "model":
            info |= {"modelId": repository.repo_id, **{key: card.get(key) for key in ("pipeline_tag", "library_name")}}
        if repository.kind == "space":
            info |= {"sdk": repository.sdk, "host": repository.host, "subdomain": repository.repo_id.replace("/", "-")}
        return JSONResponse(info)

    async def _refs(self, request: Request) -> Response:
        repository = self._repository(request)
        branches = [
            {"name": name, "ref": f"refs/heads/{name}", "targetCommit": oid}
            for name, oid in repository.refs.items()
            if not name.startswith("refs/pr/")
        ]
        return JSONResponse({"branches": branches, "converts": [], "tags": [], "pullRequests": []})

    async def _runtime(self, request: Request) -> Response:
        stage = "RUNNING" if self._repository(request).host else "NO_APP_FILE"
        hardware = {"current": "cpu-basic", "requested": "cpu-basic"}
        return JSONResponse({"stage": stage, "hardware": hardware, "storage": None, "gcTimeout": None, "replicas": {}})

    async def _branch(self, request: Request) -> Response:
        repository = self._writable(request)
        name = _parameter(request, "revision")
        with self._lock:
            if name in repository.refs:
                return _error(409, f"Reference {name} already exists")
            repository.refs[name] = repository.refs["main"]
        return JSONResponse({})

    async def _tree(self, request: Request) -> Response:
        _, commit = self._revision(request)
        top = _parameter(request, "path") if "path" in request.path_params else ""
        recursive = request.query_params.get("recursive", "").lower() in ("true", "1")
        expand = request.query_params.get("expand", "").lower() in ("true", "1")
        below = {path for path in commit.tree if not top or path.startswith(f"{top}/")}
        if top and not below:
            return _error(404, f"{top} does not exist on this revision", "EntryNotFound")
        folders = {str(parent) for path in below for parent in PurePosixPath(path).parents if str(parent) != "."}
        paths = sorted(below | {folder for folder in folders if not top or folder.startswith(f"{top}/")})
        listed = [path for path in paths if recursive or str(PurePosixPath(path).parent) == (top or ".")]
        return JSONResponse([_entry(commit, path, expand) for path in listed])

    async def _paths_info(self, request: Request) -> Response:
        _, commit = self._revision(request)
        body = (await request.body()).decode()
        if request.headers.get("content-type", "").startswith("application/json"):
            form = json.loads(body)
        else:
            form = parse_qs(body)
        expand = str(form.get("expand", "")).lower() in ("true", "['true']")
        known = set(commit.tree) | {str(parent) for path in commit.tree for parent in PurePosixPath(path).parents}
        return JSONResponse([_entry(commit, path, expand) for path in form.get("paths", []) if path in known])

    async def _resolve(self, request: Request) -> Response:
        _, commit = self._revision(request)
        path = _parameter(request, "path")
        blob = commit.tree.get(path)
        if blob is None:
            headers = {"X-Repo-Commit": commit.oid, "X-Error-Code": "EntryNotFound", "X-Error-Message": "no such file"}
            return JSONResponse({"error": f"{path} is not in {commit.oid}"}, 404, headers)
        headers = {"X-Repo-Commit": commit.oid, "ETag": f'"{blob.sha256 or blob.oid}"', "Accept-Ranges": "bytes"}
        if blob.sha256:
            headers |= {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(blob.size)}
        return FileResponse(self._stored(blob), headers=headers, media_type="application/octet-stream")

    async def _preupload(self, request: Request) -> Response:
        create_pr = bool(request.query_params.get("create_pr"))
        repository = self._repository(request) if create_pr else self._writable(request)
        commit = self._find_commit(repository, _parameter(request, "revision"))
        files = []
        for file in (await request.json())["files"]:
            is_binary = b"\0" in base64.b64decode(file["sample"])
            is_lfs = PurePosixPath(file["path"]).suffix in LFS_SUFFIXES or file["size"] > LFS_BYTES or is_binary
            there = commit.tree.get(file["path"])
            files.append(
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if is_lfs else "regular",
                    "shouldIgnore": False,
                    "oid": None if there is None else there.sha256 or there.oid,
                }
            )
        return JSONResponse({"files": files})

    async def _lfs_batch(self, request: Request) -> Response:
        self._user_or_401(request)
        self._repository(request)
        objects: list[dict[str, Any]] = []
        for item in (await request.json())["objects"]:
            answer = {"oid": item["oid"], "size": item["size"]}
            if not (self.root / "lfs" / item["oid"]).is_file():
                answer["actions"] = {"upload": {"href": f"{self.url}/lfs-storage/{item['oid']}"}}
            objects.append(answer)
        return JSONResponse({"transfer": "basic", "objects": objects})

    async def _receive_lfs(self, request: Request) -> Response:
        oid = request.path_params["oid"]
        content = bytearray()
        try:
            async for chunk in request.stream():
                content += chunk
                self.received_bytes[oid] = self.received_bytes.get(oid, 0) + len(chunk)
        except ClientDisconnect:
            return Response(status_code=400)
        if hashlib.sha256(content).hexdigest() != oid:
            return _error(400, "the content does not have this oid")
        (self.root / "lfs" / oid).write_bytes(content)
        return Response()

    async def _commit(self, request: Request) -> Response:
        create_pr = bool(request.query_params.get("create_pr"))
        repository = self._repository(request) if create_pr else self._writable(request)
        self._user_or_401(request)
        revision = _parameter(request, "revision")
        try:
            lines = [json.loads(line) for line in (await request.body()).splitlines() if line.strip()]
        except ClientDisconnect:
            return Response(status_code=400)
        header = next(line["value"] for line in lines if line["key"] == "header")
        with self._lock:
            head = self._find_commit(repository, revision)
            if header.get("parentCommit") not in (None, head.oid):
                return _error(412, "A commit has happened since. Please refresh and try again.")
            tree = dict(head.tree)
            for line in lines:
                problem = self._apply(tree, line["key"], line["value"])
                if problem is not None:
                    return problem
            commit = self._add_commit(repository, head.oid, header["summary"], tree)
            number = 1 + sum(ref.startswith("refs/pr/") for ref in repository.refs)
            repository.refs[f"refs/pr/{number}" if create_pr else revision] = commit.oid
        base = f"{self.url}/{repository.repo_id}"
        if repository.kind != "model":
            base = f"{self.url}/{repository.kind}s/{repository.repo_id}"
        answer = {
            "success": True,
            "commitOid": commit.oid,
            "commitUrl": f"{base}/commit/{commit.oid}",
            "hookOutput": "",
        }
        if create_pr:
            answer["pullRequestUrl"] = f"{base}/discussions/{number}"
        return JSONResponse(answer)

    def _apply(self, tree: dict[str, Blob], key: str, value: dict[str, Any]) -> Response | None:
        """Make one change to a tree; gives the answer where it is not possible."""
        path = value.get("path", "")
        if key == "file":
            tree[path] = self._store(base64.b64decode(value["content"]))
        elif key == "lfsFile":
            stored = self.root / "lfs" / value["oid"]
            if not stored.is_file():
                return _error(400, f"LFS pointer pointed to a file that does not exist: {path}")
            pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{value['oid']}\nsize {value['size']}\n"
            tree[path] = Blob(_git_oid(pointer.encode()), stored.stat().st_size, value["oid"])
        elif key == "deletedFile":
            if path not in tree:
                return _error(404, "A file with this name doesn't exist", "EntryNotFound")
            del tree[path]
        elif key == "deletedFolder":
            for name in [name for name in tree if name.startswith(path.rstrip("/") + "/")]:
                del tree[name]
        return None

    def _add_commit(self, repository: Repository, parent: str | None, title: str, tree: dict[str, Blob]) -> Commit:
        content = json.dumps([repository.repo_id, parent, title, len(repository.commits), sorted(tree)])
        commit = Commit(hashlib.sha1(content.encode()).hexdigest(), parent, title, tree)  # noqa: S324
        repository.commits[commit.oid] = commit
        return commit

    def _store(self, content: bytes) -> Blob:
        blob = Blob(_git_oid(content), len(content))
        self._stored(blob).write_bytes(content)
        return blob

    def _stored(self, blob: Blob) -> Path:
        return self.root / "lfs" / blob.sha256 if blob.sha256 else self.root / "blobs" / blob.oid

    def _user(self, request: Request) -> str | None:
        return self.users.get(request.headers.get("authorization", "").removeprefix("Bearer "))

    def _user_or_401(self, request: Request) -> str:
        user = self._user(request)
        if user is None:
            raise _Answer(_error(401, "Invalid credentials in Authorization header"))
        return user

    def _repository(self, request: Request) -> Repository:
        kind = request.state.kind
        repo_id = f"{_parameter(request, 'owner')}/{_parameter(request, 'name')}"
        repository = self.repositories.get((kind, repo_id))
        if repository is None or (repository.private and self._user(request) != repo_id.split("/")[0]):
            # The Hub does not tell a stranger whether a private repository is there.
            status = 401 if self._user(request) is None else 404
            raise _Answer(_error(status, "Repository not found", "RepoNotFound"))
        return repository

    def _writable(self, request: Request) -> Repository:
        repository = self._repository(request)
        if self._user_or_401(request) != repository.repo_id.split("/")[0]:
            raise _Answer(_error(403, "pass `create_pr=1` as a query parameter to create a Pull Request"))
        return repository

    def _revision(self, request: Request) -> tuple[Repository, Commit]:
        repository = self._repository(request)
        name = _parameter(request, "revision") if "revision" in request.path_params else "main"
        return repository, self._find_commit(repository, name)

    def _find_commit(self, repository: Repository, revision: str) -> Commit:
        commit = repository.commits.get(repository.refs.get(revision, revision))
        if commit is None:
            raise _Answer(_error(404, f"Invalid rev id: {revision}", "RevisionNotFound"))
        return commit


@contextmanager
def running_hub(root: Path) -> Iterator[LoopbackHub]:
    """Serve a Hub that stores below `root` on a free port of 127.0.0.1 for as long as the block lasts."""
    hub = LoopbackHub(root)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        hub.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(hub, lifespan="off", log_level="critical", proxy_headers=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield hub
        finally:
            server.should_exit = True
            thread.join(120)


class _Answer(Exception):  # noqa: N818 - not an error of this program
    """Carries an answer out of the functions that look things up."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def _of_kind(kind: str, endpoint: Any) -> Any:
    async def answer(request: Request) -> Response:
        request.state.kind = kind
        try:
            return await endpoint(request)
        except _Answer as answer:
            return answer.response

    return answer


def _parameter(request: Request, name: str) -> str:
    return unquote(request.path_params[name])


def _error(status: int, message: str, code: str | None = None) -> Response:
    headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
    return JSONResponse({"error": message}, status, headers)


def _git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324


def _blob_fields(blob: Blob) -> dict[str, Any]:
    lfs = {"lfs": {"oid": blob.sha256, "sha256": blob.sha256, "size": blob.size, "pointerSize": 134}}
    return {"blobId": blob.oid, "size": blob.size, **(lfs if blob.sha256 else {})}


def _entry(commit: Commit, path: str, expand: bool) -> dict[str, Any]:
    """A file or a folder of a revision as the tree lists it."""
    blob = commit.tree.get(path)
    entry: dict[str, Any] = {"path": path}
    if blob is None:
        entry |= {"type": "directory", "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0}  # noqa: S324
    else:
        entry |= {"type": "file", **_blob_fields(blob), "oid": blob.oid}
    if expand:
        entry["lastCommit"] = {"id": commit.oid, "title": commit.title, "date": DATE}
    return entry
