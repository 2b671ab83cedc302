"""Puts SageMaker's runtime in front of a server: `/endpoints/NAME/invocations` becomes `/invocations`.

As the service does, an error of the model comes back as 424 ModelError with the model's own status and body.
"""

import http.client
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATH = re.compile(r"/endpoints/[^/]+/invocations$")
TO_MODEL = ("Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes")


class Proxy:
    def __init__(self, address):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if not PATH.match(self.path):
                    return self.reply(404, b"{}", {})
                connection = http.client.HTTPConnection(address, timeout=60)
                headers = {name: self.headers[name] for name in TO_MODEL if self.headers[name]}
                connection.request("POST", "/invocations", body, headers)
                response = connection.getresponse()
                reply = response.read()
                if response.status == 200:
                    kept = {"Content-Type": response.headers["Content-Type"], "x-Amzn-Invoked-Production-Variant": "AllTraffic"}
                    attributes = response.headers.get("X-Amzn-SageMaker-Custom-Attributes")
                    if attributes:
                        kept["X-Amzn-SageMaker-Custom-Attributes"] = attributes
                    return self.reply(200, reply, kept)
                error = {
                    "ErrorCode": "CLIENT_ERROR_FROM_MODEL" if response.status < 500 else "INTERNAL_FAILURE_FROM_MODEL",
                    "Message": f"Received an error ({response.status}) from the model",
                    "OriginalMessage": reply.decode(),
                    "OriginalStatusCode": response.status,
                }
                headers = {"Content-Type": "application/json", "x-amzn-ErrorType": "ModelError"}
                return self.reply(424, json.dumps(error).encode(), headers)

            def reply(self, status, body, headers):
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
