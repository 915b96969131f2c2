"""A Hugging Face hub that is a thread in this process, with everything that can go wrong on the way."""

import hashlib
import json
import re
import threading
import time
from contextlib import suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.helpers.checkpoints import byte_tokenizer_json

Files = dict[str, bytes]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_large(name: str) -> bool:
    return name.endswith((".safetensors", ".bin", ".onnx"))


def commit(files: Files) -> str:
    return hashlib.sha1(json.dumps({name: sha256(content) for name, content in files.items()}).encode()).hexdigest()


@cache
def tiny_gpt2(shard_size: str) -> Files:
    """A checkpoint as transformers saves it."""
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0))
    with TemporaryDirectory() as place:
        model.save_pretrained(place, max_shard_size=shard_size)
        (Path(place) / "tokenizer.json").write_text(byte_tokenizer_json(model.config.vocab_size))
        return {path.name: path.read_bytes() for path in sorted(Path(place).iterdir())}


class Hub(ThreadingHTTPServer):
    """What the hub answers for its models.

    `stops` and `hangs`: after how many bytes a file breaks off or stalls; `hiccups`: how many requests fail first;
    `wrong`: files that come with a wrong byte; `fetched`: the files that were sent.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, Files] = {}
        self.refusals: dict[str, tuple[int, str]] = {}
        self.stops: dict[str, int] = {}
        self.hangs: dict[str, int] = {}
        self.hiccups = 0
        self.wrong: set[str] = set()
        self.silent = False
        self.fetched: list[str] = []
        self.stalled = threading.Event()
        self.ended = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.01,)).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def storage(self) -> str:
        """Another host by its name, as with the real hub, so that it sees no token."""
        return f"http://localhost:{self.server_port}/storage"

    def close(self) -> None:
        if not self.ended.is_set():
            self.ended.set()
            self.shutdown()
            self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        while self.server.silent and not self.server.ended.wait(0.01):
            pass
        with suppress(ConnectionError):
            self.route(self.path.partition("?")[0])

    def do_HEAD(self) -> None:
        self.do_GET()

    def route(self, path: str) -> None:
        if listing := re.fullmatch(r"/api/models/(.+)", path):
            self.listing(listing[1])
        elif resolve := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[0-9a-f]{40}/(.+)", path):
            self.resolve(*resolve.groups())
        elif storage := re.fullmatch(r"/storage/([^/]+/[^/]+)/(.+)", path):
            self.content(*storage.groups())
        else:
            self.answer(404, b"")

    def listing(self, repo: str) -> None:
        if repo not in self.server.repos:
            return self.refuse(*self.server.refusals.get(repo, (404, "RepoNotFound")))
        siblings = []
        for name, content in self.server.repos[repo].items():
            sibling: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": git_sha1(content)}
            if is_large(name):
                sibling["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 130}
            siblings.append(sibling)
        state = {"id": repo, "sha": commit(self.server.repos[repo]), "siblings": siblings}
        self.answer(200, json.dumps(state).encode())

    def resolve(self, repo: str, name: str) -> None:
        """Large files lie elsewhere, as on the real hub, which offers them by its own protocol, too."""
        if self.server.hiccups:
            self.server.hiccups -= 1
            return self.refuse(503, "")
        if repo in self.server.refusals:
            return self.refuse(*self.server.refusals[repo])
        content = self.server.repos[repo][name]
        about = {"X-Repo-Commit": commit(self.server.repos[repo]), "X-Linked-Size": str(len(content))}
        if is_large(name):
            about |= {"X-Linked-ETag": f'"{sha256(content)}"', "Location": f"{self.server.storage}/{repo}/{name}"}
            about |= {"X-Xet-Hash": sha256(content), "X-Xet-Refresh-Route": f"{self.server.url}/nothing/here"}
            self.answer(302, b"", **about)
        else:
            self.content(repo, name, **about | {"ETag": f'"{git_sha1(content)}"'})

    def content(self, repo: str, name: str, **about: str) -> None:
        content, wanted = self.server.repos[repo][name], self.headers["Range"]
        if self.command == "GET":
            self.server.fetched.append(name)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if name in self.server.wrong:
            content = bytes([content[0] ^ 1]) + content[1:]
        end = max(start, min(self.server.stops.get(name, len(content)), self.server.hangs.get(name, len(content))))
        about["Content-Length"] = str(len(content) - start)
        self.answer(206 if wanted else 200, content[start:end], **about)
        if name in self.server.hangs:
            self.server.stalled.set()
            self.server.ended.wait()

    def refuse(self, status: int, code: str) -> None:
        self.answer(status, b"", **{"X-Error-Code": code})

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        warning = {"X-HF-Warning": f"{time.time_ns()}; You have no token."}
        for key, value in ({"Content-Length": str(len(body))} | warning | headers).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
