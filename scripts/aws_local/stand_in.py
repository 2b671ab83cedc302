"""Speaks the endpoint's contract with logits that `ec2train predict --json` has computed before.

    stand_in.py PREDICTIONS.json    prints host:port and serves until it is ended

For a program without `serve`. It computes nothing: an image it knows, by its bytes or by the last part
of its address, gets the prediction of the file; others are refused.
"""

import http.server
import json
import pathlib
import sys
import time

PREDICTIONS = json.loads(pathlib.Path(sys.argv[1]).read_text())
BY_BYTES = {pathlib.Path(p["path"]).read_bytes(): p for p in PREDICTIONS}
BY_NAME = {pathlib.Path(p["path"]).name: p for p in PREDICTIONS}
# About what an image takes on one core of a t3.medium.
SECONDS = 0.06


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200 if self.path == "/ping" else 404, "text/plain", "")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Type"] == "application/json":
            prediction = BY_NAME.get(json.loads(body)["url"].rsplit("/", 1)[-1])
        else:
            prediction = BY_BYTES.get(body)
        if prediction is None:
            return self.answer(400, "application/json", json.dumps({"error": "unknown image"}))
        time.sleep(SECONDS)
        verbose = "verbose=true" in self.headers.get("Accept", "")
        reply = {"predictions": [prediction]} if verbose else [prediction["logits"]]
        self.answer(200, "application/json", json.dumps(reply))

    def answer(self, status, content_type, text):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
