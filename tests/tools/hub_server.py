#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A hub of model files for tests, on loopback: it says its port, then serves the folder.

    hub_server.py FOLDER      FOLDER/OWNER/NAME/FILE is file FILE of the repository OWNER/NAME

The name of a repository says how its server behaves: it breaks each answer off after a while
("broken"), does so and takes no ranges ("norange"), has another version of the file after the first
answer ("changed"), says a wrong hash ("wrong") or none ("plain"), wants a token ("private"), or sends to another
host, which must not see the token ("moved"). One line for each request goes to FOLDER/log: port, path,
range and whether there was a token.
"""
import hashlib
import http.server
import json
import os
import sys
import threading
from urllib.parse import unquote, urlparse

PIECE = 20000  # what a broken answer brings


class Hub(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root, elsewhere, answers = "", 0, {}

    def log_message(self, *_):
        pass

    def note(self):
        with open(os.path.join(self.root, "log"), "a") as log:
            log.write(f"{self.server.server_port} {self.path} {self.headers.get('Range', '-')} "
                      f"{'token' if self.headers.get('Authorization') else '-'}\n")

    def fail(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def listing(self, repository):
        folder = os.path.join(self.root, repository)
        entries = [{"type": "directory", "path": "folder"}]
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read()
            digest = hashlib.sha256(data + (b"x" if "wrong" in repository else b"")).hexdigest()
            entries.append({"type": "file", "path": name, "size": 130,
                            "lfs": {"oid": digest, "size": len(data)}})
            if "plain" in repository:  # no hash
                del entries[-1]["lfs"]
                entries[-1]["size"] = len(data)
        body = json.dumps(entries).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def file(self, repository, name):
        path = os.path.join(self.root, repository, name)
        if not os.path.isfile(path):
            return self.fail(404)
        with open(path, "rb") as file:
            data = file.read()
        n = self.answers[path] = self.answers.get(path, 0) + 1
        tag = '"first"' if "changed" in repository and n == 1 else '"second"'
        if tag == '"first"':
            data = bytes(255 - b for b in data)
        start, asked = 0, self.headers.get("Range")
        if asked and "norange" not in repository and self.headers.get("If-Range", tag) == tag:
            start = int(asked.removeprefix("bytes=").split("-")[0])
        if start >= len(data):
            return self.fail(416)
        self.send_response(206 if start else 200)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        breaks = "broken" in repository or (n == 1 and ("norange" in repository
                                                        or "changed" in repository))
        self.wfile.write(data[start : start + PIECE] if breaks else data[start:])
        if breaks and start + PIECE < len(data):
            self.close_connection = True

    def do_GET(self):
        self.note()
        parts = unquote(urlparse(self.path).path).strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            return self.listing("/".join(parts[2:4]))
        if len(parts) == 5 and parts[2:4] == ["resolve", "main"]:
            repository, name = "/".join(parts[:2]), parts[4]
            if "private" in repository and self.headers.get("Authorization") != "Bearer secret":
                return self.fail(401)
            if "moved" in repository and self.server.server_port != self.elsewhere:
                self.send_response(302)
                self.send_header("Location", f"http://127.0.0.1:{self.elsewhere}{self.path}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return None
            return self.file(repository, name)
        return self.fail(404)


def main():
    Hub.root = sys.argv[1]
    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) for _ in range(2)]
    Hub.elsewhere = servers[1].server_port
    threading.Thread(target=servers[1].serve_forever, daemon=True).start()
    print(servers[0].server_port, flush=True)
    servers[0].serve_forever()


if __name__ == "__main__":
    main()
