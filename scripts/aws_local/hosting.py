"""InvokeEndpoint: forwards to the program that serves the model, as SageMaker does to a container."""

import http.client
import json
import time

from moto.sagemaker.models import sagemaker_backends

from .permissions import ACCOUNT, REGION

# host:port of the server of the model; set by cloud.py.
CONTAINER = ""
# What the next calls get instead of an answer; story.py fills it.
FAULTS = []

JSON = {"Content-Type": "application/json"}


def invoke(name, request):
    """Status, headers and body of an answer of the InvokeEndpoint operation."""
    endpoint = sagemaker_backends[ACCOUNT][REGION].endpoints.get(name)
    if endpoint is None:
        message = f"Endpoint {name} of account {ACCOUNT} not found."
        return error(400, "ValidationError", {"message": message})
    if FAULTS:
        return fault(FAULTS.pop(0))
    connection = http.client.HTTPConnection(CONTAINER, timeout=60)
    passed = ("content-type", "accept")
    headers = {
        key: value
        for key, value in request.headers.items()
        if key.lower() in passed or key.lower().startswith("x-amzn-sagemaker-")
    }
    try:
        connection.request("POST", "/invocations", request.body, headers)
        response = connection.getresponse()
        body = response.read()
    except OSError as exception:
        return model_error(500, str(exception))
    finally:
        connection.close()
    if response.status >= 300:
        return model_error(response.status, body.decode(errors="replace"))
    headers = {"Content-Type": response.getheader("Content-Type", "application/octet-stream")}
    return 200, {**headers, "x-Amzn-Invoked-Production-Variant": "AllTraffic"}, body


def fault(kind):
    """What SageMaker answers when it does not ask the container."""
    if kind == "hang":
        time.sleep(5)
        return error(503, "ServiceUnavailable", {"Message": "gave up"})
    if kind == "throttle":
        return error(400, "ThrottlingException", {"message": "Rate exceeded"})
    if kind == "not ready":
        return error(429, "ModelNotReadyException", {"Message": "The model is being loaded"})
    if kind == "unavailable":
        return error(503, "ServiceUnavailable", {"Message": "Try again"})
    return model_error(int(kind), "told to fail")


def model_error(status, message):
    side = "client" if status < 500 else "server"
    return error(424, "ModelError", {
        "Message": f"Received {side} error ({status}) from primary with message \"{message}\"",
        "OriginalMessage": message,
        "OriginalStatusCode": status,
        "LogStreamArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/x",
    })


def error(status, kind, body):
    # REST services tell the kind in the header, others in the body.
    body = json.dumps({"__type": kind, **body}).encode()
    return status, {**JSON, "x-amzn-ErrorType": kind}, body
