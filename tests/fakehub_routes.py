"""The loopback Hub's HTTP side: one method a route, checked like the Hub checks (tokens, revisions, hashes, YAML)."""

import base64
import json
import re
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tests.fakehub import MAIN, Commit, FakeHub, Repo, User, describe_lfs, git_oid, lfs_oid, parse_ndjson
from tests.spacecard import find_card_errors, find_space_errors

NAME = r"(?P<name>[\w.-]+/[\w.-]+?)"
API = rf"/api/(?P<kind>models|spaces)/{NAME}"
# Behind a model's name nothing stands in a page's address, a Space's begins with spaces/.
PAGE = rf"/(?P<prefix>spaces/)?{NAME}"
REVISION = r"(?P<revision>[^/]+)"
ROUTES = (
    ("GET", r"/api/whoami-v2", "whoami"),
    ("POST", r"/api/repos/create", "create"),
    ("POST", r"/api/validate-yaml", "validate"),
    ("POST", rf"{API}/preupload/{REVISION}", "preupload"),
    ("POST", rf"{API}/commit/{REVISION}", "commit"),
    ("POST", rf"{API}/branch/{REVISION}", "branch"),
    ("GET", rf"{API}/refs", "refs"),
    ("GET", rf"{API}/tree/{REVISION}", "tree"),
    ("GET", rf"{API}/revision/{REVISION}", "info"),
    ("GET", rf"{API}", "info"),
    ("POST", rf"{API}/(?P<setting>variables|secrets)", "setting"),
    ("POST", rf"{PAGE}\.git/info/lfs/objects/batch", "batch"),
    ("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})", "store"),
    ("GET", r"/lfs/(?P<oid>[0-9a-f]{64})", "stored"),
    ("GET", rf"{PAGE}/resolve/{REVISION}/(?P<path>.+)", "file"),
    ("POST", r"/api/jobs/(?P<user>[\w.-]+)", "job"),
    ("GET", r"/oidc", "id_token"),
    ("POST", r"/oauth/token", "exchange"),
)
ID_TOKEN, OIDC_REQUEST_TOKEN = "an.id.token", "of-the-runner"


class Refusal(Exception):  # noqa: N818
    """An answer that is no success."""

    def __init__(self, status: int, words: str, code: str = "", body: dict | None = None) -> None:
        super().__init__(words)
        self.status, self.words, self.code, self.body = status, words, code, body or {}


def make_handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    """A handler class for `hub`."""
    return type("Handler", (_Handler,), {"hub": hub})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def log_message(self, *arguments) -> None:
        pass

    def _serve(self) -> None:
        split = urlsplit(self.path)
        self.query = parse_qs(split.query)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = f"{self.command} {split.path}"
        self.hub.requests.append(request)
        self.fault = self.hub.take_fault(request)
        try:
            if self.fault is not None and self.fault.status is not None:
                raise Refusal(self.fault.status, "planned by the test")
            for method, pattern, name in ROUTES:
                match = re.fullmatch(pattern, split.path)
                if match and method == ("GET" if self.command == "HEAD" else self.command):
                    self.parts = {key: unquote(value) for key, value in match.groupdict().items() if value}
                    with self.hub.lock:
                        answer = getattr(self, f"_{name}")()
                    return self._send(*answer) if isinstance(answer, tuple) else self._send(200, answer)
            raise Refusal(404, "no such route", "EntryNotFound")
        except Refusal as refusal:
            headers = {"X-Error-Message": refusal.words} | ({"X-Error-Code": refusal.code} if refusal.code else {})
            self._send(refusal.status, {"error": refusal.words} | refusal.body, headers)

    do_GET = do_HEAD = do_POST = do_PUT = _serve  # noqa: N815

    def _send(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        cut = None if self.fault is None else self.fault.cut_after
        if self.fault is not None and self.fault.corrupt and raw:
            middle = len(raw) // 2
            raw = raw[:middle] + bytes([raw[middle] ^ 0xFF]) + raw[middle + 1 :]
        if cut is not None and cut <= 0:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(raw))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw if cut is None else raw[:cut])
        self.close_connection = self.close_connection or cut is not None

    # Who asks, and what for.

    def _user(self) -> User | None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not token:
            return None
        if token not in self.hub.users:
            raise Refusal(401, "Invalid credentials in Authorization header")
        return self.hub.users[token]

    def _require_user(self) -> User:
        user = self._user()
        if user is None:
            raise Refusal(401, "Invalid username or password.")
        return user

    def _repo(self, *, to_write: bool = False) -> Repo:
        """The repo of the address; the Hub does not tell strangers a private one from none."""
        kind = self.parts.get("kind") or ("spaces" if self.parts.get("prefix") else "models")
        repo = self.hub.repos.get((kind, self.parts["name"]))
        user = self._user()
        owner = self.parts["name"].split("/")[0]
        is_own = user is not None and (user.name == owner or user.scope == self._scope_of(self.parts["name"], kind))
        may_see = repo is not None and (not repo.is_private or is_own)
        if not may_see:
            raise Refusal(404 if user else 401, "Repository not found", "RepoNotFound")
        if to_write:
            self._require_writer(repo.name, kind)
        return repo

    def _scope_of(self, name: str, kind: str) -> str:
        return name if kind == "models" else f"{kind}/{name}"

    def _require_writer(self, name: str, kind: str) -> None:
        user = self._require_user()
        owns = user.name == name.split("/")[0] and user.may_write
        if user.scope is not None:
            owns = user.scope == self._scope_of(name, kind)
        if not owns and "create_pr" not in self.query:
            raise Refusal(403, f"You don't have the rights to write to {name}.")

    def _commit_of(self, repo: Repo, revision: str) -> Commit:
        commit = repo.find(revision)
        if commit is None:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    def _page(self, repo: Repo) -> str:
        return f"{self.hub.url}/{'spaces/' if repo.kind == 'spaces' else ''}{repo.name}"

    # Repos.

    def _whoami(self) -> dict:
        user = self._require_user()
        return {"type": "user", "name": user.name, "auth": {"accessToken": {"role": "write"}}}

    def _create(self) -> dict:
        wish = json.loads(self.body)
        user = self._require_user()
        name = f"{wish.get('organization') or user.name}/{wish['name']}"
        kind = f"{wish.get('type') or 'model'}s"
        if user.name != name.split("/")[0] or not user.may_write or user.scope:
            raise Refusal(403, f"You don't have the rights to create a {kind[:-1]} under this namespace")
        address = {"url": f"{self.hub.url}/{'spaces/' if kind == 'spaces' else ''}{name}"}
        if (kind, name) in self.hub.repos:
            raise Refusal(409, f"You already created this {kind[:-1]} repo", body=address)
        is_private = wish.get("visibility") == "private" or bool(wish.get("private"))
        repo = self.hub.repos[kind, name] = Repo(kind, name, is_private, created_with=wish)
        for setting in ("variables", "secrets"):
            repo.settings[setting] |= {item["key"]: item["value"] for item in wish.get(setting, [])}
        # As the Hub begins each repo: which files are large.
        repo.commit(MAIN, Commit({".gitattributes": b"*.safetensors filter=lfs\n"}, None, "initial commit"))
        return address | {"name": name, "id": name}

    def _branch(self) -> dict:
        repo = self._repo(to_write=True)
        if self.parts["revision"] in repo.refs:
            raise Refusal(409, "Reference already exists")
        start = json.loads(self.body or b"{}").get("startingPoint") or MAIN
        repo.refs[self.parts["revision"]] = self._commit_of(repo, start).oid
        return {}

    def _refs(self) -> dict:
        repo = self._repo()
        branches = [
            {"name": name, "ref": f"refs/heads/{name}", "targetCommit": oid}
            for name, oid in repo.refs.items()
            if not name.startswith("refs/")
        ]
        return {"branches": branches, "converts": [], "tags": []}

    def _info(self) -> dict:
        repo = self._repo()
        commit = self._commit_of(repo, self.parts.get("revision", MAIN))
        siblings = [{"rfilename": path} for path in commit.files]
        if "blobs" in self.query:
            for entry in siblings:
                content = commit.files[entry["rfilename"]]
                entry |= {"size": len(content), "blobId": git_oid(content)}
                if self.hub.is_lfs(entry["rfilename"]):
                    entry["lfs"] = describe_lfs(content, "sha256")
        return {"id": repo.name, "sha": commit.oid, "siblings": siblings, "tags": [], "private": repo.is_private}

    def _tree(self) -> list[dict]:
        commit = self._commit_of(self._repo(), self.parts["revision"])
        entries = []
        for path, content in commit.files.items():
            entry = {"type": "file", "path": path, "size": len(content), "oid": git_oid(content)}
            entries.append(entry | ({"lfs": describe_lfs(content, "oid")} if self.hub.is_lfs(path) else {}))
        return entries

    def _setting(self) -> dict:
        repo = self._repo(to_write=True)
        item = json.loads(self.body)
        repo.settings[self.parts["setting"]][item["key"]] = item["value"]
        return {key: {"value": value} for key, value in repo.settings[self.parts["setting"]].items()}

    # Pushing.

    def _validate(self) -> dict:
        wish = json.loads(self.body)
        match = re.match(r"---\n(.*?)\n---\n", wish["content"], re.DOTALL)
        try:
            header = yaml.safe_load(match[1]) if match else {}
        except yaml.YAMLError as err:
            raise Refusal(400, "invalid YAML", body={"errors": [{"message": str(err)}], "warnings": []}) from err
        errors = (find_space_errors if wish["repoType"] == "space" else find_card_errors)(header)
        if errors:
            raise Refusal(400, "invalid", body={"errors": [{"message": e} for e in errors], "warnings": []})
        return {"errors": [], "warnings": [] if match else [{"message": "empty or missing yaml metadata"}]}

    def _preupload(self) -> dict:
        repo = self._repo(to_write=True)
        commit = self._commit_of(repo, self.parts["revision"])
        files = []
        for wish in json.loads(self.body)["files"]:
            is_lfs = self.hub.is_lfs(wish["path"])
            content = commit.files.get(wish["path"])
            oid = None if content is None else (lfs_oid if is_lfs else git_oid)(content)
            mode = "lfs" if is_lfs else "regular"
            files.append({"path": wish["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return {"files": files, "commitOid": commit.oid}

    def _batch(self) -> dict:
        self._repo()
        self._require_user()
        objects = []
        for wish in json.loads(self.body)["objects"]:
            action = {"oid": wish["oid"], "size": wish["size"]}
            if wish["oid"] not in self.hub.stored:
                action["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{wish['oid']}", "header": {}}}
            objects.append(action)
        return {"transfer": "basic", "objects": objects}

    def _store(self) -> dict:
        if lfs_oid(self.body) != self.parts["oid"]:
            raise Refusal(400, "The content does not have this hash")
        if self.fault is None or self.fault.cut_after is None:
            self.hub.stored[self.parts["oid"]] = self.body
        return {}

    def _commit(self) -> dict:
        repo = self._repo(to_write=True)
        revision = self.parts["revision"]
        parent = self._commit_of(repo, revision)
        header, *operations = parse_ndjson(self.body)
        if header["value"].get("parentCommit", parent.oid) != parent.oid:
            raise Refusal(412, "A commit has happened since. Please refresh and try again.")
        files = dict(parent.files)
        for operation in operations:
            self._apply(operation["key"], operation["value"], files)
        commit = Commit(files, parent.oid, header["value"]["summary"])
        answer = {"commitUrl": f"{self._page(repo)}/commit/{commit.oid}", "commitOid": commit.oid}
        if "create_pr" in self.query:
            repo.n_discussions += 1
            repo.commit(f"refs/pr/{repo.n_discussions}", commit)
            return answer | {"pullRequestUrl": f"{self._page(repo)}/discussions/{repo.n_discussions}"}
        repo.commit(revision, commit)
        return answer

    def _apply(self, key: str, value: dict, files: dict[str, bytes]) -> None:
        if key == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif key == "lfsFile":
            if value["oid"] not in self.hub.stored:
                raise Refusal(400, f"LFS pointer pointed to a file that does not exist: {value['path']}")
            files[value["path"]] = self.hub.stored[value["oid"]]
        elif key == "deletedFile":
            if files.pop(value["path"], None) is None:
                raise Refusal(404, "A file with this name doesn't exist", "EntryNotFound")
        else:
            for path in [path for path in files if path.startswith(value["path"].rstrip("/") + "/")]:
                del files[path]

    # Pulling.

    def _file(self) -> tuple:
        commit = self._commit_of(self._repo(), self.parts["revision"])
        content = commit.files.get(self.parts["path"])
        if content is None:
            raise Refusal(404, "Entry not found", "EntryNotFound")
        headers = {"X-Repo-Commit": commit.oid}
        if not self.hub.is_lfs(self.parts["path"]):
            return self._ranged(content, headers | {"ETag": f'"{git_oid(content)}"'})
        oid = lfs_oid(content)
        self.hub.stored.setdefault(oid, content)
        linked = {"X-Linked-ETag": f'"{oid}"', "X-Linked-Size": str(len(content))}
        # Another host, as the Hub's own store is: the client takes a redirect within one host for a renamed repo.
        store = self.hub.url.replace("127.0.0.1", "localhost")
        return 302, b"", headers | linked | {"Location": f"{store}/lfs/{oid}"}

    def _stored(self) -> tuple:
        content = self.hub.stored.get(self.parts["oid"])
        if content is None:
            raise Refusal(404, "Entry not found", "EntryNotFound")
        return self._ranged(content, {"ETag": f'"{self.parts["oid"]}"'})

    def _ranged(self, content: bytes, headers: dict[str, str]) -> tuple:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if match is None:
            return 200, content, headers
        start = int(match[1])
        return 206, content[start:], headers | {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}

    # Jobs and Trusted Publishers.

    def _job(self) -> dict:
        user = self._require_user()
        spec = json.loads(self.body)
        self.hub.jobs.append(spec)
        owner = {"id": "1", "name": user.name, "type": "user"}
        status = {"stage": "RUNNING", "message": None}
        return spec | {"id": f"job{len(self.hub.jobs)}", "owner": owner, "status": status}

    def _id_token(self) -> dict:
        """As GitHub gives one to a job that may have it."""
        if self.headers.get("Authorization") != f"Bearer {OIDC_REQUEST_TOKEN}" or self.query["audience"] != [
            self.hub.url
        ]:
            raise Refusal(401, "not a job of ours")
        return {"value": ID_TOKEN}

    def _exchange(self) -> dict:
        wish = json.loads(self.body)
        self.hub.exchanges.append(wish)
        if wish["subject_token"] != ID_TOKEN:
            raise Refusal(400, "invalid_grant")
        token = f"hf_jwt_{len(self.hub.exchanges)}"
        self.hub.users[token] = User("[OIDC]", scope=wish["resource"])
        return {"access_token": token, "token_type": "bearer", "expires_in": 3600}
