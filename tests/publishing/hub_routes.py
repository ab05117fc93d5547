"""The Hub's endpoints: what each request reads or changes in the store, and how it is answered.

Each function takes the handler, the asking account (None without a token) and the parts of its path.
"""

import base64
import json
import re
from collections.abc import Callable
from urllib.parse import parse_qs, quote, urlsplit

import yaml
from hub_store import Account, Commit, File, Refused, Repo

PAGE = 1000
DATE = "2026-01-01T00:00:00.000Z"
ROUTES: list[tuple[str, re.Pattern, Callable]] = []
_KIND = r"(?P<kind>models|datasets)"
_REPO = r"(?P<repo>[^/]+/[^/]+)"


def route(method: str, path: str) -> Callable:
    def register(function: Callable) -> Callable:
        ROUTES.append((method, re.compile(path), function))
        return function

    return register


def readable(h, kind: str, repo: str, account: Account | None) -> Repo:
    return h.hub.store.repo(kind.strip("/").removesuffix("s"), repo, account)


def writable(h, kind: str, repo: str, account: Account | None) -> Repo:
    return h.hub.store.writable(kind.strip("/").removesuffix("s"), repo, account)


# Accounts and repositories


@route("GET", "/api/whoami-v2")
def whoami(h, account: Account | None) -> None:
    if account is None:
        raise Refused(401, "Invalid username or password.")
    orgs = [
        {"type": "org", "name": org, "fullname": org, "roleInOrg": role, "resourceGroups": account.resource_groups}
        for org, role in account.org_roles.items()
    ]
    token = {"type": "access_token", "accessToken": {"displayName": "token", "role": account.role}}
    if account.role == "fineGrained":
        scoped = [
            {"entity": {"_id": "0", "type": kind, "name": name}, "permissions": list(permissions)}
            for kind, name, *permissions in account.scopes
        ]
        token["accessToken"]["fineGrained"] = {"canReadGatedRepos": True, "global": ["post.write"], "scoped": scoped}
    h.json({"type": "user", "name": account.name, "fullname": account.name, "orgs": orgs, "auth": token})


@route("POST", "/api/repos/create")
def create(h, account: Account | None) -> None:
    asked = h.payload()
    kind, namespace = asked.get("type", "model"), asked.get("organization") or (account and account.name)
    private = asked.get("visibility") == "private" or asked.get("private", False)
    try:
        repo = h.hub.store.create(kind, f"{namespace}/{asked['name']}", private, account)
    except Refused as error:
        if error.status != 409:
            raise
        h.json({"error": error.message, "url": url_of(h, kind, f"{namespace}/{asked['name']}")}, 409)
        return
    h.json({"url": url_of(h, kind, repo.id), "name": repo.id, "id": repo.head})


@route("DELETE", "/api/repos/delete")
def delete(h, account: Account | None) -> None:
    asked = h.payload()
    namespace = asked.get("organization") or (account and account.name)
    repo = h.hub.store.writable(asked.get("type", "model"), f"{namespace}/{asked['name']}", account)
    del h.hub.store.repos[repo.kind, repo.id]
    h.json({})


@route("GET", f"/api/{_KIND}/{_REPO}(/revision/(?P<revision>[^/]+))?")
def info(h, account: Account | None, kind: str, repo: str, revision: str = "main") -> None:
    found = readable(h, kind, repo, account)
    commit = found.resolve(revision)
    card = (
        yaml.safe_load(front_matter(commit.files["README.md"].content.decode())) if "README.md" in commit.files else {}
    )
    h.json(
        {"id": repo, "sha": commit.oid, "private": found.private, "tags": [], "downloads": 0, "likes": 0}
        | {"lastModified": DATE, "createdAt": DATE, "gated": False, "disabled": False, "cardData": card}
        | {"modelId": repo, "siblings": [{"rfilename": path} for path in sorted(commit.files)]}
    )


@route("GET", f"/api/{_KIND}/{_REPO}/auth-check(?P<write>/write)?")
def auth_check(h, account: Account | None, kind: str, repo: str, write: str = "") -> None:
    (writable if write else readable)(h, kind, repo, account)
    h.json({})


@route("GET", f"/api/{_KIND}/{_REPO}/refs")
def refs(h, account: Account | None, kind: str, repo: str) -> None:
    found = readable(h, kind, repo, account)
    tags = [{"name": t, "ref": f"refs/tags/{t}", "targetCommit": oid} for t, oid in found.tags.items()]
    main = {"name": "main", "ref": "refs/heads/main", "targetCommit": found.head}
    pulls = [{"name": f"pr/{n}", "ref": f"refs/pr/{n}", "targetCommit": oid} for n, oid in found.pulls.items()]
    converts = [{"name": "convert/parquet", "ref": "refs/convert/parquet", "targetCommit": "0" * 40}]
    listed = {"branches": [main], "tags": tags, "converts": converts if found.kind == "dataset" else []}
    h.json(listed | ({"pullRequests": pulls} if h.query.get("include_prs") else {}))


@route("GET", f"/api/{_KIND}/{_REPO}/commits/(?P<revision>[^/]+)")
def commits(h, account: Account | None, kind: str, repo: str, revision: str) -> None:
    listed = readable(h, kind, repo, account).history(revision)
    h.json(
        [{"id": c.oid, "title": c.title, "message": "", "date": DATE, "authors": [{"user": "alice"}]} for c in listed]
    )


@route("POST", f"/api/{_KIND}/{_REPO}/tag/(?P<revision>[^/]+)")
def tag(h, account: Account | None, kind: str, repo: str, revision: str) -> None:
    found, name = writable(h, kind, repo, account), h.payload()["tag"]
    if name in found.tags:
        raise Refused(409, f"Tag {name} already exists")
    found.tags[name] = found.resolve(revision).oid
    h.json({})


@route("DELETE", f"/api/{_KIND}/{_REPO}/tag/(?P<name>[^/]+)")
def untag(h, account: Account | None, kind: str, repo: str, name: str) -> None:
    if writable(h, kind, repo, account).tags.pop(name, None) is None:
        raise Refused(404, f"Tag {name} not found", "RevisionNotFound")
    h.json({})


@route("POST", f"/api/{_KIND}/{_REPO}/super-squash/(?P<branch>[^/]+)")
def super_squash(h, account: Account | None, kind: str, repo: str, branch: str) -> None:
    found = writable(h, kind, repo, account)
    files = found.resolve(branch).files
    kept = {commit.oid for ref in (*found.tags, *found.pulls.values()) for commit in found.history(ref)}
    found.commits = {oid: commit for oid, commit in found.commits.items() if oid in kept}
    found.head = ""
    found.commit(h.payload().get("message") or "Super-squash branch 'main'", files)
    h.json({})


# Uploading


def front_matter(text: str) -> str:
    match = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    return match[1] if match else "{}"


@route("POST", "/api/validate-yaml")
def validate_yaml(h, account: Account | None) -> None:
    errors = []
    try:
        card = yaml.safe_load(front_matter(h.payload()["content"]))
        if not isinstance(card, dict):
            errors.append("the metadata is not a mapping")
        elif card.get("license") == "other" and not card.get("license_name"):
            errors.append('"license_name" is required with "license: other"')
    except yaml.YAMLError as error:
        errors.append(str(error))
    h.json({"errors": [{"message": message} for message in errors], "warnings": []}, 400 if errors else 200)


@route("POST", f"/api/{_KIND}/{_REPO}/preupload/(?P<revision>[^/]+)")
def preupload(h, account: Account | None, kind: str, repo: str, revision: str) -> None:
    present = writable(h, kind, repo, account).resolve(revision).files
    answers = []
    for file in h.payload()["files"]:
        mode = h.hub.store.upload_mode(file["path"], file["size"], base64.b64decode(file["sample"]))
        known = present.get(file["path"])
        answers.append(
            {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": known.etag if known else None}
        )
    h.json({"files": answers})


@route("POST", rf"/(?P<kind>datasets/)?{_REPO}\.git/info/lfs/objects/batch")
def lfs_batch(h, account: Account | None, repo: str, kind: str = "models") -> None:
    writable(h, kind, repo, account)
    answers = []
    for item in h.payload()["objects"]:
        if item["oid"] not in h.hub.store.objects:
            upload = {"href": f"{h.hub.objects_host}/objects/{item['oid']}"}
            verify = {"href": f"{h.hub.endpoint}/api/lfs/verify"}
            item = item | {"actions": {"upload": upload, "verify": verify}}
        answers.append(item)
    h.json({"transfer": "basic", "objects": answers})


@route("PUT", "/objects/(?P<oid>[0-9a-f]{64})")
def put_object(h, account: Account | None, oid: str) -> None:
    h.hub.store.put_object(oid, h.body)
    h.send(b"")


@route("POST", "/api/lfs/verify")
def verify(h, account: Account | None) -> None:
    asked = h.payload()
    if len(h.hub.store.objects.get(asked["oid"], b"")) != asked["size"]:
        raise Refused(404, "The object was not uploaded")
    h.json({})


@route("POST", f"/api/{_KIND}/{_REPO}/commit/(?P<revision>[^/]+)")
def commit(h, account: Account | None, kind: str, repo: str, revision: str) -> None:
    found = writable(h, kind, repo, account)
    files, title = dict(found.resolve(revision).files), ""
    for line in h.body.splitlines():
        key, value = (entry := json.loads(line))["key"], entry["value"]
        if key == "header":
            title = value["summary"]
            if value.get("parentCommit", found.head) != found.head:
                raise Refused(412, "A commit has happened since. Please refresh and try again.")
        elif key == "file":
            files[value["path"]] = File(base64.b64decode(value["content"]), lfs=False)
        elif key == "lfsFile":
            if value["oid"] not in h.hub.store.objects:
                raise Refused(400, f"LFS pointer pointed to a file that does not exist: {value['path']}")
            files[value["path"]] = File(h.hub.store.objects[value["oid"]], lfs=True)
        elif key == "deletedFile" and files.pop(value["path"], None) is None:
            raise Refused(404, f"{value['path']} is not in the repository", "EntryNotFound")
    made = found.commit(title, files)
    h.json({"success": True, "commitOid": made.oid, "commitUrl": f"{url_of(h, found.kind, repo)}/commit/{made.oid}"})


# Reading


def url_of(h, kind: str, repo: str) -> str:
    return f"{h.hub.endpoint}/{'datasets/' if kind == 'dataset' else ''}{repo}"


def entry(path: str, commit: Commit) -> dict | None:
    """A path as /tree and /paths-info list it: a file, a folder, or nothing."""
    file = commit.files.get(path)
    if file:
        listed = {"type": "file", "path": path, "size": file.size, "oid": file.git_oid}
        if file.lfs:
            listed["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": 134}
        return listed
    if any(name.startswith(f"{path}/") for name in commit.files):
        return {"type": "directory", "path": path, "size": 0, "oid": commit.oid}
    return None


@route("GET", f"/api/{_KIND}/{_REPO}/tree/(?P<revision>[^/]+)(/(?P<folder>.+))?")
def tree(h, account: Account | None, kind: str, repo: str, revision: str, folder: str = "") -> None:
    commit = readable(h, kind, repo, account).resolve(revision)
    begin = f"{folder}/" if folder else ""
    inside = sorted(path for path in commit.files if path.startswith(begin))
    if not inside and folder:
        raise Refused(404, f"{folder} does not exist on {revision}", "EntryNotFound")
    paths = set()
    for path in inside:
        parts = path.removeprefix(begin).split("/")
        deep = h.query.get("recursive", "false").lower() in ("true", "1")
        paths |= {begin + "/".join(parts[:k]) for k in range(1, len(parts) + 1)} if deep else {begin + parts[0]}
    start = int(h.query.get("cursor", 0))
    page, rest = sorted(paths)[start : start + PAGE], len(paths) - start - PAGE
    again = (
        f"{h.hub.endpoint}{quote(urlsplit(h.path).path)}?recursive={h.query.get('recursive', '')}&cursor={start + PAGE}"
    )
    h.json([entry(path, commit) for path in page], 200, {"Link": f'<{again}>; rel="next"'} if rest > 0 else {})


@route("POST", f"/api/{_KIND}/{_REPO}/paths-info/(?P<revision>[^/]+)")
def paths_info(h, account: Account | None, kind: str, repo: str, revision: str) -> None:
    commit = readable(h, kind, repo, account).resolve(revision)
    if h.headers.get("Content-Type", "").startswith("application/json"):
        paths = h.payload()["paths"]
    else:
        paths = parse_qs(h.body.decode()).get("paths", [])
    h.json([listed for path in paths if (listed := entry(path, commit))])


@route("GET", rf"/(?P<kind>datasets/)?{_REPO}/(resolve|raw)/(?P<revision>[^/]+)/(?P<path>.+)")
def resolve(h, account: Account | None, repo: str, revision: str, path: str, kind: str = "models") -> None:
    found = readable(h, kind, repo, account)
    if found.readers is not None and (account is None or account.name not in found.readers):
        raise Refused(403 if account else 401, f"Access to {repo} is restricted.", "GatedRepo")
    commit = found.resolve(revision)
    at = {"X-Repo-Commit": commit.oid}
    file = commit.files.get(path)
    if file is None:
        raise Refused(404, "Entry not found", "EntryNotFound")
    if file.lfs:
        # Large files lie on another host, where the site's authorization header does not go.
        headers = {
            "X-Linked-Etag": f'"{file.sha256}"',
            "X-Linked-Size": str(len(file.content)),
            "ETag": f'"{file.sha256}"',
        }
        h.send(b"", 302, at | headers | {"Location": f"{h.hub.objects_host}/objects/{file.sha256}"})
    else:
        h.send_bytes(file.content, at | {"ETag": f'"{file.git_oid}"'})


@route("GET", "/objects/(?P<oid>[0-9a-f]{64})")
def get_object(h, account: Account | None, oid: str) -> None:
    if oid not in h.hub.store.objects:
        raise Refused(404, "No such object")
    h.send_bytes(h.hub.store.objects[oid], {"ETag": f'"{oid}"'})


# Collections


@route("GET", "/api/collections")
def collections(h, account: Account | None) -> None:
    listed = [
        c for c in h.hub.store.collections.values() if c["owner"]["name"] == h.query.get("owner", c["owner"]["name"])
    ]
    h.json([{key: value for key, value in c.items() if key != "position"} | {"items": c["items"][:4]} for c in listed])


@route("POST", "/api/collections")
def create_collection(h, account: Account | None) -> None:
    asked = h.payload()
    h.hub.store.check_may_write(asked["namespace"], account)
    slug = (
        f"{asked['namespace']}/{re.sub(r'[^a-z0-9]+', '-', asked['title'].lower())}-{len(h.hub.store.collections):024x}"
    )
    made = {"slug": slug, "title": asked["title"], "owner": {"name": asked["namespace"]}, "items": [], "theme": "blue"}
    made |= {"private": asked.get("private", False), "description": asked.get("description", ""), "position": 0}
    h.hub.store.collections[slug] = made | {"lastUpdated": DATE, "upvotes": 0}
    h.json(h.hub.store.collections[slug])


@route("GET", "/api/collections/(?P<slug>[^/]+/[^/]+)")
def get_collection(h, account: Account | None, slug: str) -> None:
    h.json(h.hub.store.collection(slug))


@route("POST", "/api/collections/(?P<slug>[^/]+/[^/]+)/items?")
def add_item(h, account: Account | None, slug: str) -> None:
    found, item = h.hub.store.collection(slug), h.payload()["item"]
    h.hub.store.check_may_write(slug.split("/")[0], account)
    if any(known["id"] == item["id"] and known["type"] == item["type"] for known in found["items"]):
        raise Refused(409, "Item already in collection")
    place = len(found["items"])
    found["items"].append({"_id": f"{place:024x}", "id": item["id"], "type": item["type"], "position": place})
    h.json(found)
