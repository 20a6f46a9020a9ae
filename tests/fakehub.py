"""A loopback Hugging Face Hub: serves model repos from memory to the real client, read-only so far."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

INFO_ROUTE = re.compile(r"/api/models/([\w.-]+/[\w.-]+)/revision/([^/?]+)")
TREE_ROUTE = re.compile(r"/api/models/([\w.-]+/[\w.-]+)/tree/([^/?]+)")
FILE_ROUTE = re.compile(r"/([\w.-]+/[\w.-]+)/resolve/([^/?]+)/([^?]+)")


@dataclass
class FakeHub:
    """Repos by id, each a dict of revision → files; a commit hash is made of the files' content."""

    repos: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    url: str = ""

    def add(self, repo_id: str, files: dict[str, bytes], revision: str = "main") -> str:
        self.repos.setdefault(repo_id, {})[revision] = files
        return commit_of(files)

    def find(self, repo_id: str, revision: str) -> dict[str, bytes] | None:
        revisions = self.repos[repo_id]
        return revisions.get(revision) or next((f for f in revisions.values() if commit_of(f) == revision), None)


def commit_of(files: dict[str, bytes]) -> str:
    return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self):  # noqa: N802
            self._route()

        def do_GET(self):  # noqa: N802
            self._route()

        def log_message(self, *arguments):
            pass

        def _route(self):
            hub.requests.append(f"{self.command} {self.path}")
            for pattern, answer in ((INFO_ROUTE, self._info), (TREE_ROUTE, self._tree), (FILE_ROUTE, self._file)):
                match = pattern.match(self.path)
                if match is None:
                    continue
                if match[1] not in hub.repos:
                    return self._refuse(401, "RepoNotFound", "Repository not found")
                files = hub.find(match[1], match[2])
                if files is None:
                    return self._refuse(404, "RevisionNotFound", "Invalid rev id")
                return answer(match, files)
            return self._refuse(404, "EntryNotFound", "no such route")

        def _info(self, match, files):
            siblings = [{"rfilename": name} for name in files]
            self._send(200, {"id": match[1], "sha": commit_of(files), "siblings": siblings, "tags": []})

        def _tree(self, match, files):
            entries = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in files.items()
            ]
            self._send(200, entries)

        def _file(self, match, files):
            content = files.get(match[3])
            if content is None:
                return self._refuse(404, "EntryNotFound", "Entry not found")
            headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": commit_of(files)}
            return self._send(200, content, headers)

        def _refuse(self, status, code, words):
            self._send(status, {"error": words}, {"X-Error-Code": code, "X-Error-Message": words})

        def _send(self, status, body, headers=None):
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(raw)

    return Handler


@contextmanager
def serve_hub() -> Iterator[FakeHub]:
    """Run a hub on a free loopback port for the duration of the block."""
    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
