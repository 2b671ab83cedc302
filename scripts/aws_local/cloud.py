"""A local AWS: moto, and before it what moto leaves out.

    python -m aws_local.cloud --work FOLDER --container HOST:PORT    prints the address and serves until it is ended

One process and one address for all services. Needs the pinned moto: it is reached into.
"""

import argparse
import io
import json
import os
import pathlib
import re
import signal
import socket
import sys
import urllib.parse

os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from . import functions, hosting, permissions
from . import resources  # noqa: F401  Registers its classes.


class Request:
    """What a WSGI environment holds, read."""

    def __init__(self, environ):
        self.method, self.path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.query = urllib.parse.parse_qs(environ.get("QUERY_STRING", ""))
        length = int(environ.get("CONTENT_LENGTH") or 0)
        self.body = environ["wsgi.input"].read(length) if length else b""
        environ["wsgi.input"] = io.BytesIO(self.body)
        self.headers = {
            key.removeprefix("HTTP_").replace("_", "-").title(): value
            for key, value in environ.items()
            if key.startswith("HTTP_") or key == "CONTENT_TYPE"
        }
        scope = re.search(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/", self.headers.get("Authorization", ""))
        self.access_key, self.service = scope.groups() if scope else ("", "")

    @property
    def endpoint_to_invoke(self):
        match = re.fullmatch(r"/endpoints/([^/]+)/invocations", self.path)
        return match and match[1]


class Cloud:
    """The WSGI application."""

    def __init__(self):
        self.moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ, start_response):
        chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "")
        request = None if chunked else Request(environ)
        answer = request and self.answer(request)
        if answer is None:
            return self.moto(environ, start_response)
        status, headers, body = answer
        start_response(f"{status} .", [*headers.items(), ("Content-Length", str(len(body)))])
        return [body]

    def answer(self, request):
        """None for what is moto's."""
        if request.path == "/local/faults":
            hosting.FAULTS[:] = json.loads(request.body)
            return 200, hosting.JSON, b"{}"
        if request.path == "/local/init-times":
            return 200, hosting.JSON, json.dumps(functions.init_times()).encode()

        reason = permissions.refusal(request)
        if reason and request.service == "s3":
            text = f"<Error><Code>AccessDenied</Code><Message>{reason}</Message></Error>"
            return 403, {"Content-Type": "application/xml"}, text.encode()
        if reason:
            return hosting.error(403, "AccessDeniedException", {"Message": reason})
        if request.endpoint_to_invoke:
            return hosting.invoke(request.endpoint_to_invoke, request)

        match = re.fullmatch(r"/[\d-]+/functions/([^/]+)/(invocations|provisioned-concurrency)", request.path)
        if not match:
            return None
        # A name or an ARN, with a qualifier or not.
        named = urllib.parse.unquote(match[1]).split(":")
        name = named[6] if len(named) > 5 else named[0]
        qualifier = request.query.get("Qualifier", [named[-1] if len(named) in (2, 8) else None])[0]
        if match[2] == "invocations":
            status, headers, body = functions.invoke(name, request.body, qualifier)
            return status, {**hosting.JSON, **headers}, body
        config = functions.provisioned(name, qualifier)
        if config is None:
            return hosting.error(404, "ProvisionedConcurrencyConfigNotFoundException", {})
        return 200, hosting.JSON, json.dumps(config).encode()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--container", required=True)
    arguments = parser.parse_args()

    server = make_server("127.0.0.1", 0, Cloud(), threaded=True)
    functions.WORK = arguments.work
    functions.CLOUD_URL = f"http://127.0.0.1:{server.port}"
    hosting.CONTAINER = arguments.container
    # A burst must wait in the kernel, not be refused by it.
    server.socket.listen(socket.SOMAXCONN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(functions.CLOUD_URL, flush=True)
    try:
        server.serve_forever()
    finally:
        functions.stop()


if __name__ == "__main__":
    main()
