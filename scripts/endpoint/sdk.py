"""Holds boto3's invoke_endpoint, and the AWS SDK for Rust's, to the logits of `ec2train predict`."""

import argparse
import base64
import io
import json
import os
import subprocess

import boto3
import numpy
from botocore.config import Config
from botocore.exceptions import ClientError

from proxy import Proxy
from running import Server, predict, test_images

ENDPOINT = "pytorch-inference-2021-12-21-22-47-18-583"


def bodies(jpeg):
    """Content type and body, in each way in which an image can be sent."""
    encoded = base64.b64encode(jpeg).decode()
    form = b"--x\r\ncontent-disposition: form-data; name=\"image\"\r\n\r\n" + jpeg + b"\r\n--x--\r\n"
    return [
        ("image/jpeg", jpeg),
        ("application/x-image", jpeg),
        ("application/octet-stream", jpeg),
        ("application/json", json.dumps({"image": encoded}).encode()),
        ("application/json", json.dumps({"instances": [{"image": encoded}]}).encode()),
        ("multipart/form-data; boundary=x", form),
    ]


def check_boto3(url, images, logits):
    client = boto3.client(
        "sagemaker-runtime", region_name="us-east-1", endpoint_url=url, aws_access_key_id="x",
        aws_secret_access_key="x", config=Config(retries={"max_attempts": 1}),
    )
    invoke = lambda **arguments: client.invoke_endpoint(EndpointName=ENDPOINT, **arguments)
    num_calls = 0
    for path, expected in zip(images, logits):
        for content_type, body in bodies(path.read_bytes()):
            response = invoke(ContentType=content_type, Body=body, CustomAttributes="trace=1")
            assert response["CustomAttributes"] == "trace=1", response
            assert json.loads(response["Body"].read()) == [expected], (path, content_type)
            num_calls += 1
    image = images[0].read_bytes()
    reply = invoke(ContentType="image/jpeg", Accept="application/x-npy", Body=image)["Body"].read()
    array = numpy.load(io.BytesIO(reply))
    assert array.dtype == numpy.float32 and array.tolist() == numpy.float32([logits[0]]).tolist()
    reply = invoke(ContentType="image/jpeg", Accept="text/csv", Body=image)["Body"].read()
    assert [float(field) for field in reply.decode().split(",")] == logits[0]
    reply = json.load(invoke(ContentType="image/jpeg", Accept="application/json; verbose=true", Body=image)["Body"])
    best = max(range(len(logits[0])), key=logits[0].__getitem__)
    assert reply["predictions"][0]["top"][0]["idx"] == best and len(reply["predictions"][0]["top"]) == 5
    for content_type, body, status in [("image/jpeg", b"no image", 400), ("text/plain", image, 415)]:
        try:
            invoke(ContentType=content_type, Body=body)
            raise SystemExit("an error was expected")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ModelError", error.response
            assert error.response["OriginalStatusCode"] == status, error.response
    return num_calls + 5


def check_rust(client, url, images, logits):
    environment = {
        **os.environ, "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": url, "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x",
    }
    num_calls = 0
    for path, expected in zip(images, logits):
        for content_type, body in bodies(path.read_bytes()):
            command = [client, ENDPOINT, content_type]
            reply = subprocess.run(command, input=body, stdout=subprocess.PIPE, check=True, env=environment).stdout
            assert json.loads(reply) == [expected], (path, content_type)
            num_calls += 1
    failed = subprocess.run([client, ENDPOINT, "image/jpeg"], input=b"no image", stderr=subprocess.PIPE, env=environment)
    assert failed.returncode == 1 and b"undecodable_image" in failed.stderr, failed
    return num_calls + 1


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--sample", action="store_true")
    parser.add_argument("--rust-client")
    arguments = parser.parse_args()
    images = test_images(arguments.sample, 5)
    logits = predict(arguments.program, arguments.sample, images)
    with Server(arguments.program, arguments.sample) as server:
        url = Proxy(server.address).url
        num_calls = check_boto3(url, images, logits)
        print(f"boto3 {boto3.__version__}: {num_calls} calls, {len(logits[0])} logits each as predict's")
        if arguments.rust_client:
            num_calls = check_rust(arguments.rust_client, url, images, logits)
            print(f"AWS SDK for Rust: {num_calls} calls, the same logits")


if __name__ == "__main__":
    main()
