"""A stand-in for the Hugging Face Hub on the loopback: real bytes, its routes, and its bad days."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_letmein"
"""The one token that this Hub knows."""
_BIG = (".safetensors", ".png")


def git_sha1(data: bytes) -> str:
    """The name that git gives to a file."""
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


def sha256(data: bytes) -> str:
    """The name that git-lfs gives to a file."""
    return hashlib.sha256(data).hexdigest()


@dataclass
class Repo:
    """A model repository: its commits, and what leads to them."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    private: bool = False
    gated: bool = False

    def commit(self, files: dict[str, bytes], ref: str = "main") -> str:
        """Put `files` on top of what `ref` leads to; the commit."""
        tree = {**self.commits.get(self.refs.get(ref, ""), {}), **files}
        name = hashlib.sha1(repr((len(self.commits), sorted(tree.items()))).encode()).hexdigest()
        self.commits[name] = tree
        self.refs[ref] = name
        return name

    def resolve(self, revision: str) -> str | None:
        """The commit that a branch, tag or commit means."""
        commit = self.refs.get(revision, revision)
        return commit if commit in self.commits else None


Fault = Callable[["Handler"], None]


@dataclass
class Rule:
    """A fault that befalls the next `times` requests that match."""

    pattern: str
    fault: Fault
    times: int


class Hub:
    """The server, in a thread of its own."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.rules: list[Rule] = []
        self.requests: list[str] = []
        self.leaks: list[str] = []
        self.sending = threading.Event()
        self.closing = threading.Event()
        handler = type("BoundHandler", (Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        """What HF_ENDPOINT is to be."""
        return f"http://127.0.0.1:{self.port}"

    def add(self, repo: str, folder: Path, **options: Any) -> str:
        """Publish a folder as a repository; the commit."""
        self.repos.setdefault(repo, Repo(**options))
        return self.repos[repo].commit({f.name: f.read_bytes() for f in folder.iterdir()})

    def when(self, pattern: str, fault: Fault, times: int = 1000) -> None:
        """Let `fault` befall the next requests whose "METHOD /path" matches."""
        self.rules.append(Rule(pattern, fault, times))

    def count(self, pattern: str) -> int:
        """How many requests there were of this kind."""
        return sum(bool(re.search(pattern, request)) for request in self.requests)

    def close(self) -> None:
        """Stop answering."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A server, closed at the end."""
    hub = Hub()
    try:
        yield hub
    finally:
        hub.close()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    hub: ClassVar[Hub]
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, ValueError):  # the client, or a fault, has closed the connection
            self.close_connection = True

    def answer(self) -> None:
        """Every request: read all of it, then a fault, or what the Hub would say."""
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        if self.headers.get("Transfer-Encoding") == "chunked":
            self.body = self._chunks()
        parts = urlsplit(self.path)
        self.route, self.query = unquote(parts.path), parse_qs(parts.query)
        line = f"{self.command} {self.route}"
        self.hub.requests.append(line)
        for rule in self.hub.rules:
            if rule.times > 0 and re.search(rule.pattern, line):
                rule.times -= 1
                rule.fault(self)
                return
        self.respond()

    do_GET = do_HEAD = do_POST = do_PUT = answer

    def respond(self) -> None:
        """What the Hub says on a good day."""
        for method, pattern, page in _ROUTES:
            match = re.fullmatch(pattern, self.route)
            if match and re.fullmatch(method, self.command):
                getattr(self, page)(**match.groupdict())
                return
        self.send_json({"error": f"no route {self.command} {self.route}"}, 404)

    def send(
        self, data: bytes, status: int = 200, headers: dict[str, str] | None = None, cut: int = -1
    ) -> None:
        """An answer; with `cut`, only so many bytes of it."""
        head = {"Content-Length": str(len(data)), **(headers or {})}
        self.send_response(status)
        for name, value in head.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data if cut < 0 else data[:cut])
            self.wfile.flush()

    def send_json(self, value: object, status: int = 200, **headers: str) -> None:
        """An answer of the API."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        named["Content-Type"] = "application/json"
        self.send(json.dumps(value).encode(), status, named)

    def refuse(self, status: int, code: str, message: str) -> None:
        """An error as the Hub words it."""
        self.send_json({"error": message}, status, X_Error_Code=code, X_Error_Message=message)

    def reset(self) -> None:
        """Close the connection with RST, as a crashed router does."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.shutdown(socket.SHUT_RD)
        self.close_connection = True
        self.rfile.close()
        self.connection.close()

    def known(self, repo: str, revision: str) -> tuple[Repo, str] | None:
        """The repository and commit, or None after an answer that says what is wrong."""
        found = self.hub.repos.get(repo)
        sent = self.headers.get("Authorization")
        if sent not in (None, f"Bearer {TOKEN}"):
            self.send_json({"error": "Invalid credentials in Authorization header"}, 401)
        elif found is None or (found.private and sent is None):
            self.refuse(401 if sent is None else 404, "RepoNotFound", "Repository not found")
        elif (commit := found.resolve(revision)) is None:
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            return found, commit
        return None

    def info(self, repo: str, revision: str | None = None) -> None:
        """GET /api/models/…"""
        if self.known(repo, revision or "main") is not None:
            self.send_json(self.description(repo, revision or "main"))

    def description(self, repo: str, revision: str = "main") -> dict[str, Any]:
        """What the API says about a repository."""
        found = self.hub.repos[repo]
        commit = found.resolve(revision)
        files = found.commits[commit or ""].items()
        siblings = [{"rfilename": name, **self._blob(name, data)} for name, data in files]
        return {"id": repo, "modelId": repo, "sha": commit, "siblings": siblings}

    def tree(self, repo: str, revision: str) -> None:
        """GET /api/models/…/tree/…"""
        if (known := self.known(repo, revision)) is None:
            return
        rows = []
        for name, data in known[0].commits[known[1]].items():
            row = {"type": "file", "path": name, "size": len(data), "oid": git_sha1(data)}
            if name.endswith(_BIG):
                row["lfs"] = {"oid": sha256(data), "size": len(data), "pointerSize": 130}
            rows.append(row)
        self.send_json(rows)

    def _blob(self, name: str, data: bytes) -> dict[str, Any]:
        if "blobs" not in self.query:
            return {}
        row: dict[str, Any] = {"size": len(data), "blobId": git_sha1(data)}
        if name.endswith(_BIG):
            row["lfs"] = {"sha256": sha256(data), "size": len(data), "pointerSize": 130}
        return row

    def resolve(self, repo: str, revision: str, file: str) -> None:
        """HEAD and GET /…/resolve/…: the file, or for a large one the way to it."""
        if (known := self.known(repo, revision)) is None:
            return
        found, commit = known
        if found.gated and "Authorization" not in self.headers:
            self.refuse(401, "GatedRepo", f"Access to model {repo} is restricted.")
            return
        data = found.commits[commit].get(file)
        if data is None:
            self.send_json(
                {"error": "Entry not found"},
                404,
                X_Error_Code="EntryNotFound",
                X_Repo_Commit=commit,
            )
        elif file.endswith(_BIG):
            digest = sha256(data)
            self.hub.blobs[digest] = data
            # Another name for this machine, so that it counts as another one.
            headers = {
                "X-Repo-Commit": commit,
                "X-Linked-Etag": f'"{digest}"',
                "X-Linked-Size": str(len(data)),
                "Location": f"http://localhost:{self.hub.port}/cdn/{digest}",
            }
            self.send(b"", 302, headers)
        else:
            self.send_file(data, {"X-Repo-Commit": commit, "ETag": f'"{git_sha1(data)}"'})

    def cdn(self, digest: str) -> None:
        """GET /cdn/…: a large file, from where no token may go."""
        if "Authorization" in self.headers:
            self.hub.leaks.append(self.route)
        self.send_file(self.hub.blobs[digest], {"ETag": f'"{digest}"'})

    def send_file(self, data: bytes, headers: dict[str, str]) -> None:
        """Bytes, or the asked range of them."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if asked and int(asked[1]) < len(data):
            first = int(asked[1])
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
            self.send(data[first:], 206, headers)
        else:
            self.send(data, 200, headers)

    def create(self) -> None:
        """POST /api/repos/create"""
        asked = json.loads(self.body)
        repo = f"{asked.get('organization') or 'me'}/{asked['name']}"
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.send_json({"error": "Invalid username or password."}, 401)
        elif asked.get("organization") == "others":
            self.send_json({"error": "You don't have the rights"}, 403)
        elif repo in self.hub.repos:
            url = f"{self.hub.url}/{repo}"
            self.send_json({"error": "You already created this model repo", "url": url}, 409)
        else:
            private = asked.get("private") or asked.get("visibility") == "private"
            self.hub.repos[repo] = Repo(private=bool(private))
            self.hub.repos[repo].commit({})
            self.send_json({"url": f"{self.hub.url}/{repo}", "name": repo})

    def validate(self) -> None:
        """POST /api/validate-yaml"""
        front = json.loads(self.body)["content"].startswith("---\n")
        errors = [] if front else [{"message": "no front matter"}]
        self.send_json({"errors": errors, "warnings": []})

    def preupload(self, repo: str, revision: str) -> None:
        """POST /api/models/…/preupload/…: which files are large."""
        if self.known(repo, revision) is None:
            return
        old = self.hub.repos[repo].commits[self.hub.repos[repo].refs[revision]]
        rows = []
        for file in json.loads(self.body)["files"]:
            name = file["path"]
            mode = "lfs" if name.endswith(_BIG) else "regular"
            row = {"path": name, "uploadMode": mode, "shouldIgnore": False}
            if name in old:
                row["oid"] = sha256(old[name]) if mode == "lfs" else git_sha1(old[name])
            rows.append(row)
        self.send_json({"files": rows})

    def batch(self, repo: str) -> None:
        """POST /….git/info/lfs/objects/batch: where large files go."""
        rows = []
        for wanted in json.loads(self.body)["objects"]:
            row = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.hub.blobs:
                row["actions"] = {"upload": {"href": f"{self.hub.url}/upload/{wanted['oid']}"}}
            rows.append(row)
        self.send_json({"transfer": "basic", "objects": rows})

    def upload(self, digest: str) -> None:
        """PUT /upload/…"""
        if sha256(self.body) != digest:
            self.send_json({"error": "digest mismatch"}, 400)
            return
        self.hub.blobs[digest] = self.body
        self.send(b"")

    def commit(self, repo: str, revision: str) -> None:
        """POST /api/models/…/commit/…"""
        files: dict[str, bytes] = {}
        for line in self.body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
        name = self.hub.repos[repo].commit(files, revision)
        url = f"{self.hub.url}/{repo}/commit/{name}"
        self.send_json({"success": True, "commitUrl": url, "commitOid": name})

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)


_REPO = r"(?P<repo>[^/]+/[^/]+?)"
_ROUTES = (
    ("GET", rf"/api/models/{_REPO}", "info"),
    ("GET", rf"/api/models/{_REPO}/revision/(?P<revision>.+)", "info"),
    ("GET", rf"/api/models/{_REPO}/tree/(?P<revision>.+)", "tree"),
    ("HEAD|GET", rf"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<file>.+)", "resolve"),
    ("GET", r"/cdn/(?P<digest>\w+)", "cdn"),
    ("POST", r"/api/repos/create", "create"),
    ("POST", r"/api/validate-yaml", "validate"),
    ("POST", rf"/api/models/{_REPO}/preupload/(?P<revision>.+)", "preupload"),
    ("POST", rf"/{_REPO}\.git/info/lfs/objects/batch", "batch"),
    ("PUT", r"/upload/(?P<digest>\w+)", "upload"),
    ("POST", rf"/api/models/{_REPO}/commit/(?P<revision>.+)", "commit"),
)
