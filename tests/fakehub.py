"""A loopback Hugging Face Hub: models and Spaces in memory, which the real client pushes to and pulls from.

What it holds and what may go wrong stand here; `fakehub_routes` speaks HTTP. Files with one of `lfs_suffixes` take the
LFS way (batch, PUT, a redirect to where they are stored), all others go inside the commit.
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer

MAIN = "main"
# The token of these tests' own user, who may write to `ada/…`; others are added as a test needs them.
TOKEN, USER = "hf_of_ada", "ada"


@dataclass(frozen=True)
class User:
    """Whom a token belongs to, and what it may do; `scope` is the one repo of a Trusted Publisher's token."""

    name: str
    may_write: bool = True
    scope: str | None = None


@dataclass(frozen=True)
class Commit:
    """One state of a repo."""

    files: dict[str, bytes]
    parent: str | None = None
    message: str = ""

    @property
    def oid(self) -> str:
        """40 hex digits, of everything in it."""
        return hashlib.sha1(repr((sorted(self.files.items()), self.parent, self.message)).encode()).hexdigest()


@dataclass
class Repo:
    """A repo's commits and where its branches, tags and pull requests stand; a Space has settings too."""

    kind: str
    name: str
    is_private: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    n_discussions: int = 0
    settings: dict[str, dict[str, str]] = field(default_factory=lambda: {"variables": {}, "secrets": {}})
    created_with: dict = field(default_factory=dict)

    def find(self, revision: str) -> Commit | None:
        """By branch, tag, refs/pr/N or commit."""
        return self.commits.get(self.refs.get(revision, revision))

    def commit(self, revision: str, commit: Commit) -> str:
        self.commits[commit.oid] = commit
        self.refs[revision] = commit.oid
        return commit.oid


@dataclass
class Fault:
    """What happens to the next `n_times` requests whose "METHOD path" matches.

    status: answer so. cut_after: break the connection off after so many bytes of the answer's body.
    corrupt: turn over one byte in the middle of the body.
    """

    pattern: str
    n_times: int = 1
    status: int | None = None
    cut_after: int | None = None
    corrupt: bool = False


@dataclass
class FakeHub:
    """The Hub's state; every access goes through one lock, as if there were one database."""

    url: str = ""
    lfs_suffixes: tuple[str, ...] = (".safetensors",)
    repos: dict[tuple[str, str], Repo] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=lambda: {TOKEN: User(USER)})
    stored: dict[str, bytes] = field(default_factory=dict)
    jobs: list[dict] = field(default_factory=list)
    exchanges: list[dict] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def add(self, name: str, files: dict[str, bytes], revision: str = MAIN, *, kind: str = "models") -> str:
        """Commit these files, all there are, to a branch; makes repo and branch if need be. Returns the commit."""
        with self.lock:
            repo = self.repos.setdefault((kind, name), Repo(kind, name))
            parent = repo.refs.get(revision)
            return repo.commit(revision, Commit(dict(files), parent))

    def reset(self) -> None:
        """Forget everything."""
        with self.lock:
            fresh = FakeHub(self.url)
            for name in ("lfs_suffixes", "repos", "users", "stored", "jobs", "exchanges", "requests", "faults"):
                setattr(self, name, getattr(fresh, name))

    def repo(self, name: str, kind: str = "models") -> Repo:
        return self.repos[kind, name]

    def files(self, name: str, revision: str = MAIN, kind: str = "models") -> dict[str, bytes]:
        """What a revision holds."""
        return self.repo(name, kind).find(revision).files

    def fail(self, pattern: str, n_times: int = 1, **what) -> Fault:
        """Plan a fault; see `Fault`."""
        self.faults.append(Fault(pattern, n_times, **what))
        return self.faults[-1]

    def take_fault(self, request: str) -> Fault | None:
        """The fault planned for this request, one time less of it left."""
        with self.lock:
            for fault in self.faults:
                if fault.n_times > 0 and re.search(fault.pattern, request):
                    fault.n_times -= 1
                    return fault
        return None

    def is_lfs(self, path: str) -> bool:
        return path.endswith(self.lfs_suffixes) if self.lfs_suffixes else False

    def count(self, pattern: str) -> int:
        """How many requests matched."""
        return sum(bool(re.search(pattern, request)) for request in self.requests)


def git_oid(content: bytes) -> str:
    """As git names a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def lfs_oid(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def describe_lfs(content: bytes, key: str) -> dict:
    """The LFS part of a file's entry; listings spell the hash `oid`, repo infos `sha256`."""
    return {key: lfs_oid(content), "size": len(content), "pointerSize": 130}


def start_hub(**settings) -> tuple[FakeHub, ThreadingHTTPServer]:
    """Run a hub on a free loopback port; settings are `FakeHub`'s."""
    from tests.fakehub_routes import make_handler

    hub = FakeHub(**settings)
    server = ThreadingHTTPServer(("127.0.0.1", 0), make_handler(hub))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return hub, server


@contextmanager
def serve_hub(**settings) -> Iterator[FakeHub]:
    """As `start_hub`, for the duration of the block."""
    hub, server = start_hub(**settings)
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def hub_environment(hub_url: str, home: object, token: str | None = TOKEN) -> dict[str, str]:
    """What a process needs to take the loopback Hub for the Hub; the client reads it when it is imported."""
    return {
        "HF_ENDPOINT": hub_url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_TOKEN": token or "",
    }


def parse_ndjson(body: bytes) -> list[dict]:
    return [json.loads(line) for line in body.splitlines() if line]
