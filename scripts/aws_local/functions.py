"""Runs Lambda functions: the real program of the uploaded zip, behind Lambda's runtime API.

What is like Lambda: environments that are started when needed and then used again, one event at a time
in each, those of the provisioned concurrency started ahead, 429 above the reserved concurrency, the
role's temporary credentials, the time limit. What is not: memory and CPU are not limited, environments
are not frozen between events.
"""

import io
import json
import os
import pathlib
import queue
import subprocess
import threading
import time
import uuid
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from moto.awslambda.models import lambda_backends

from .permissions import ACCOUNT, REGION, assume

# Set by cloud.py.
WORK = pathlib.Path()
CLOUD_URL = ""

_pools = {}
_lock = threading.Lock()


def invoke(function_name, event, qualifier=None):
    """Status, headers and body of an answer of the Invoke operation."""
    function = lambda_backends[ACCOUNT][REGION].get_function(function_name)
    pool = pool_of(function)
    environment = pool.take()
    if environment is None:
        body = {"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded", "Type": "User",
                "message": "Rate Exceeded."}
        return 429, {"x-amzn-ErrorType": "TooManyRequestsException"}, json.dumps(body).encode()
    arn = function.function_arn + (f":{qualifier}" if qualifier else "")
    failed, body = environment.run(event, function.timeout, arn)
    pool.give_back(environment)
    return 200, {"X-Amz-Function-Error": "Unhandled"} if failed else {}, body


def provision(function_name, alias, count):
    """Starts the environments of a provisioned concurrency and waits until they are ready."""
    pool = pool_of(lambda_backends[ACCOUNT][REGION].get_function(function_name))
    pool.provisioned[alias] = count
    ready = [pool.start() for _ in range(count)]
    for environment in ready:
        environment.ready.wait(10)
        pool.idle.append(environment)


def provisioned(function_name, alias):
    """The answer of GetProvisionedConcurrencyConfig, or None."""
    pool = pool_of(lambda_backends[ACCOUNT][REGION].get_function(function_name))
    count = pool.provisioned.get(alias)
    if count is None:
        return None
    return {
        "RequestedProvisionedConcurrentExecutions": count,
        "AvailableProvisionedConcurrentExecutions": pool.num_ready(),
        "AllocatedProvisionedConcurrentExecutions": count,
        "Status": "READY" if pool.num_ready() >= count else "IN_PROGRESS",
        "LastModified": "2026-01-01T00:00:00+0000",
    }


def init_times():
    """Seconds from the start of each program to its first question for an event."""
    return [e.init_s for pool in _pools.values() for e in pool.environments if e.ready.is_set()]


def stop():
    """Ends all programs."""
    for pool in _pools.values():
        for environment in pool.environments:
            environment.end()


def pool_of(function):
    """The environments of a function's code."""
    with _lock:
        if function.function_name not in _pools:
            _pools[function.function_name] = Pool(function)
        return _pools[function.function_name]


class Pool:
    """The environments of a function."""

    def __init__(self, function):
        self.function = function
        self.provisioned = {}
        self.environments, self.idle = [], []
        self.num_running = 0
        self.lock = threading.Lock()
        self.program = WORK / "functions" / function.function_name / "bootstrap"
        self.program.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(io.BytesIO(function.code_bytes)) as archive:
            self.program.write_bytes(archive.read("bootstrap"))
        self.program.chmod(0o755)

    def take(self):
        """An environment that is idle, or a new one; None above the reserved concurrency."""
        reserved = self.function.reserved_concurrency
        with self.lock:
            if reserved is not None and self.num_running >= int(reserved):
                return None
            self.num_running += 1
            if self.idle:
                return self.idle.pop()
        return self.start()

    def give_back(self, environment):
        with self.lock:
            self.num_running -= 1
            if environment.process.poll() is None:
                self.idle.append(environment)

    def start(self):
        environment = Environment(self.function, self.program)
        with self.lock:
            self.environments.append(environment)
        return environment

    def num_ready(self):
        return sum(e.ready.is_set() and e.process.poll() is None for e in self.environments)


class Environment:
    """One running program and the runtime API that it asks for events."""

    def __init__(self, function, program):
        self.events, self.results = queue.Queue(1), queue.Queue(1)
        self.ready = threading.Event()
        self.init_s = None
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), runtime_api(self))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        role = assume(function.role, function.function_name)
        self.started = time.monotonic()
        with open(WORK / "function.log", "ab") as log:
            self.process = subprocess.Popen(
                [program],
                stdout=log,
                stderr=log,
                env={
                    "PATH": os.environ["PATH"],
                    "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.server.server_port}",
                    "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
                    "AWS_LAMBDA_FUNCTION_VERSION": str(function.version),
                    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
                    "AWS_REGION": REGION,
                    "AWS_ACCESS_KEY_ID": role.access_key_id,
                    "AWS_SECRET_ACCESS_KEY": role.secret_access_key,
                    "AWS_SESSION_TOKEN": role.session_token,
                    "AWS_ENDPOINT_URL": CLOUD_URL,
                    **function.environment_vars,
                },
            )

    def run(self, event, timeout_s, arn):
        """Whether the function failed, and what it returned."""
        deadline_ms = int((time.time() + timeout_s) * 1000)
        self.events.put((str(uuid.uuid4()), deadline_ms, arn, event))
        try:
            return self.results.get(timeout=timeout_s + (0 if self.ready.is_set() else 10))
        except queue.Empty:
            self.end()
            message = f"Task timed out after {timeout_s:.2f} seconds"
            return True, json.dumps({"errorMessage": message}).encode()

    def end(self):
        self.process.kill()
        self.process.wait()
        self.server.shutdown()


def runtime_api(environment):
    """https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html"""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            if environment.init_s is None:
                environment.init_s = time.monotonic() - environment.started
                environment.ready.set()
            request_id, deadline_ms, arn, event = environment.events.get()
            self.answer(200, event, {
                "Lambda-Runtime-Aws-Request-Id": request_id,
                "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": arn,
                "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000",
            })

        def do_POST(self):
            environment.results.put((not self.path.endswith("/response"), read_body(self)))
            self.answer(202, b"{}", {})

        def answer(self, status, body, headers):
            self.send_response(status)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


def read_body(handler):
    """Of known length or in chunks."""
    if "chunked" not in handler.headers.get("Transfer-Encoding", ""):
        return handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    body = b""
    while length := int(handler.rfile.readline().split(b";")[0], 16):
        body += handler.rfile.read(length)
        handler.rfile.readline()
    handler.rfile.readline()
    return body
