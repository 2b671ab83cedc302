"""The story of the write-up, told to the local AWS and checked at every step.

    python -m aws_local.story URL PREDICTIONS.json [--stand-in]    after scripts/deploy.sh

Clients are boto3 and, for the function, the program itself: nothing here knows what stands behind URL.
"""

import base64
import concurrent.futures
import json
import pathlib
import statistics
import sys
import time
import urllib.request

import boto3
import botocore.config
import botocore.exceptions

URL, PREDICTIONS = sys.argv[1], json.loads(pathlib.Path(sys.argv[2]).read_text())
FUNCTION = ENDPOINT = STACK = "ec2train"
ALIAS = "live"
NO_RETRIES = botocore.config.Config(retries={"max_attempts": 0}, max_pool_connections=50)
IMAGE = pathlib.Path(PREDICTIONS[0]["path"]).read_bytes()
EVENT = {"image": base64.b64encode(IMAGE).decode()}


def client(service, **credentials):
    return boto3.client(
        service, endpoint_url=URL, region_name="us-east-1", config=NO_RETRIES, **credentials
    )


iam, lambda_, sagemaker, s3 = map(client, ["iam", "lambda", "sagemaker", "s3"])


def passed(what):
    print(f"  {what}", flush=True)


def call(event, qualifier=ALIAS):
    """The function's reply; raises when Lambda refuses or the function fails."""
    answer = lambda_.invoke(FunctionName=FUNCTION, Qualifier=qualifier, Payload=json.dumps(event))
    payload = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise RuntimeError(payload)
    return payload


def body_of(reply, status):
    assert reply["statusCode"] == status, reply
    assert reply["headers"]["Access-Control-Allow-Origin"] == "*", reply
    return json.loads(reply["body"])


def refused(reply, status, kind):
    error = body_of(reply, status)["error"]
    assert error["type"] == kind, error
    assert "123456789012" not in error["message"], error
    return error["message"]


def faults(*kinds):
    """What the endpoint's next calls get."""
    urllib.request.urlopen(URL + "/local/faults", json.dumps(kinds).encode()).close()


def role_of_function():
    return lambda_.get_function_configuration(FunctionName=FUNCTION)["Role"].rsplit("/", 1)[1]


def configuration():
    """What was asked for is what is stored."""
    reserved = lambda_.get_function_concurrency(FunctionName=FUNCTION)
    assert reserved["ReservedConcurrentExecutions"] == 5, reserved
    ready = lambda_.get_provisioned_concurrency_config(FunctionName=FUNCTION, Qualifier=ALIAS)
    assert ready["RequestedProvisionedConcurrentExecutions"] == 2, ready
    assert ready["Status"] == "READY", ready
    scaling = client("application-autoscaling")
    [target] = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 2), target
    assert target["ResourceId"] == f"endpoint/{ENDPOINT}/variant/AllTraffic", target
    [policy] = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    assert (tracking["ScaleInCooldown"], tracking["ScaleOutCooldown"]) == (300, 30), tracking
    metric = tracking["PredefinedMetricSpecification"]["PredefinedMetricType"]
    assert metric == "SageMakerVariantInvocationsPerInstance", metric
    for group in (f"/aws/lambda/{FUNCTION}", f"/aws/sagemaker/Endpoints/{ENDPOINT}"):
        [found] = client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        assert found["retentionInDays"] == 30, found
    passed("stored: reserved 5, provisioned 2 and ready, instances 1-2, cooldowns 300 s and 30 s, logs 30 days")


def permissions():
    """AccessDenied without a policy, with the wrong one, and for what the right one leaves out."""
    role, name = role_of_function(), "invoke-endpoint"
    policy = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    [statement] = policy["Statement"]
    assert statement["Resource"].endswith(f":endpoint/{ENDPOINT}"), statement

    iam.delete_role_policy(RoleName=role, PolicyName=name)
    message = refused(call(EVENT), 500, "AccessDeniedException")
    assert "sagemaker:InvokeEndpoint" in message and ENDPOINT in message, message
    passed(f"no policy: {message}")

    full_access = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
    iam.attach_role_policy(RoleName=role, PolicyArn=full_access)
    body_of(call(EVENT), 200)
    iam.detach_role_policy(RoleName=role, PolicyArn=full_access)
    refused(call(EVENT), 500, "AccessDeniedException")
    passed("AmazonSageMakerFullAccess, as the write-up had it: 200; taken away again: AccessDenied")

    def put(document):
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))

    another = json.loads(json.dumps(policy).replace(f"endpoint/{ENDPOINT}", "endpoint/another"))
    put(another)
    refused(call(EVENT), 500, "AccessDeniedException")
    passed("a policy for another endpoint: AccessDenied")

    put(policy)
    [logits] = body_of(call(EVENT), 200)
    assert logits == PREDICTIONS[0]["logits"], "not the logits of `ec2train predict`"
    assert len(logits) == len(PREDICTIONS[0]["logits"])
    passed(f"least privilege: 200 and the same {len(logits)} scores as `ec2train predict`")

    credentials = client("sts").assume_role(
        RoleArn=iam.get_role(RoleName=role)["Role"]["Arn"], RoleSessionName="story"
    )["Credentials"]
    keys = {
        "aws_access_key_id": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials["SessionToken"],
    }
    attempts = {
        "DeleteEndpoint": lambda: client("sagemaker", **keys).delete_endpoint(EndpointName=ENDPOINT),
        "InvokeEndpoint on another": lambda: client("sagemaker-runtime", **keys).invoke_endpoint(
            EndpointName="another", ContentType="image/jpeg", Body=IMAGE
        ),
        "reading the models": lambda: client("s3", **keys).list_buckets(),
    }
    for what, attempt in attempts.items():
        try:
            attempt()
        except botocore.exceptions.ClientError as error:
            assert "AccessDenied" in error.response["Error"]["Code"], error
        else:
            raise AssertionError(f"{what} was allowed")
    assert sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointStatus"] == "InService"
    passed(f"with the function's credentials, AccessDenied: {', '.join(attempts)}")


def clients():
    """The same scores whoever asks in whatever form."""
    expected = PREDICTIONS[0]["logits"]
    runtime = client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(EndpointName=ENDPOINT, ContentType="image/jpeg", Body=IMAGE)
    assert json.loads(answer["Body"].read()) == [expected]

    http = {
        "version": "2.0",
        "requestContext": {"http": {"method": "POST"}},
        "headers": {"content-type": "image/jpeg"},
        "body": EVENT["image"],
        "isBase64Encoded": True,
    }
    assert body_of(call(http), 200) == [expected]
    gateway = {
        "httpMethod": "POST",
        "headers": {"Content-Type": "application/json", "Accept": "*/*"},
        "queryStringParameters": {"verbose": "true"},
        "requestContext": {},
        "body": json.dumps(EVENT),
        "isBase64Encoded": False,
    }
    [prediction] = body_of(call(gateway), 200)["predictions"]
    names = [top["class_name"] for top in prediction["top"]]
    assert names == [top["class_name"] for top in PREDICTIONS[0]["top"]], names
    assert [top["class_name"] for top in body_of(call({**EVENT, "verbose": True}), 200)["predictions"][0]["top"]] == names
    passed(f"boto3, function URL, API Gateway, direct: the same; by name {names[0]} first")

    for prediction in PREDICTIONS[1:]:
        image = base64.b64encode(pathlib.Path(prediction["path"]).read_bytes()).decode()
        assert body_of(call({"image": image}), 200) == [prediction["logits"]], prediction["path"]
    passed(f"{len(PREDICTIONS) - 1} further images: the scores of `ec2train predict`")


def url_events(is_stand_in):
    """The original's event."""
    name = pathlib.Path(PREDICTIONS[0]["path"]).name
    if is_stand_in:
        reply = call({"url": f"https://example.com/{name}"})
        assert body_of(reply, 200) == [PREDICTIONS[0]["logits"]]
        keys = {"statusCode", "headers", "type-result", "Content-Type-In", "body"}
        assert set(reply) == keys and reply["Content-Type-In"] == "application/json", reply
        passed("the original's event {\"url\": ...} against the stand-in: its five fields")
    else:
        # No network here: what the server must refuse can be asked for all the same.
        reply = call({"url": "http://169.254.169.254/latest/meta-data/"})
        assert 400 <= reply["statusCode"] < 500, reply
        passed(f"{{\"url\": ...}} of the metadata service: {reply['statusCode']} {json.loads(reply['body'])['error']['message'][:90]}")


def objects():
    """S3's event, with the object in a bucket that the role may read or not."""
    role = role_of_function()
    s3.create_bucket(Bucket="pictures")
    s3.put_object(Bucket="pictures", Key="images/a dog+1.jpg", Body=IMAGE)

    def event(key):
        record = {"bucket": {"name": "pictures"}, "object": {"key": key, "size": len(IMAGE)}}
        return {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": record}]}

    try:
        call(event("images/a+dog%2B1.jpg"))
    except RuntimeError as error:
        assert "s3:GetObject" in str(error), error
    else:
        raise AssertionError("an object was read without permission")
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::pictures/images/*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName=role, PolicyName="read-images", PolicyDocument=document)
    [result] = call(event("images/a+dog%2B1.jpg"))
    assert result["prediction"]["predictions"][0]["logits"] == PREDICTIONS[0]["logits"], result
    iam.delete_role_policy(RoleName=role, PolicyName="read-images")
    passed("an object of S3: fails, to be repeated, without s3:GetObject; classified with it")


def failures():
    """Each fault has its status; what can be repeated is."""
    faults("throttle", "unavailable")
    body_of(call(EVENT), 200)
    passed("throttled once, unavailable once: repeated, 200")
    for kinds, status, kind in [
        (["throttle"] * 3, 429, "ThrottlingException"),
        (["unavailable"] * 3, 503, "NotReady"),
        (["not ready"] * 3, 503, "NotReady"),
        (["503"], 503, "NotReady"),
        (["500"], 502, "ModelError"),
        (["415"], 415, "Refused"),
    ]:
        faults(*kinds)
        refused(call(EVENT), status, kind)
        # What was not repeated is left over.
        faults()
    faults("500", "500")
    refused(call(EVENT), 502, "ModelError")
    assert body_of(call(EVENT), 502)["error"]["type"] == "ModelError", "a model's error was repeated"
    body_of(call(EVENT), 200)
    passed("429, 503, 502, 415 for what SageMaker and the container answer; a model's error is not repeated")

    refused(call({"image": base64.b64encode(b"no image at all").decode()}), 400, "Refused")
    refused(call({}), 400, "BadEvent")
    refused(call({"url": "file:///etc/passwd"}), 400, "BadEvent")

    lambda_.update_function_configuration(FunctionName=FUNCTION, Timeout=2)
    faults("hang")
    start = time.monotonic()
    refused(call(EVENT, "$LATEST"), 504, "Timeout")
    took = time.monotonic() - start
    assert took < 2, took
    passed(f"an endpoint that hangs: 504 after {took:.1f} s, before the function's own 2 s")

    sagemaker.delete_endpoint(EndpointName=ENDPOINT)
    message = refused(call(EVENT), 500, "NotFound")
    config = sagemaker.list_endpoint_configs()["EndpointConfigs"][0]["EndpointConfigName"]
    sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=config)
    body_of(call(EVENT), 200)
    passed(f"no endpoint: 500, {message}")


def burst():
    """40 at once, of which 5 may run."""

    def one(_):
        try:
            return body_of(call(EVENT), 200)
        except botocore.exceptions.ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 429, error
            assert error.response["Error"]["Code"] == "TooManyRequestsException", error
            return None

    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        results = list(pool.map(one, range(40), timeout=20))
    answers = [result for result in results if result]
    assert len(answers) >= 5 and len(answers) < 40, len(answers)
    assert all(answer == [PREDICTIONS[0]["logits"]] for answer in answers)
    passed(f"burst of 40: {len(answers)} answered alike, {40 - len(answers)} refused with 429, none lost")


def start_up():
    """From the start of the program to its first question for an event."""
    with urllib.request.urlopen(URL + "/local/init-times") as answer:
        times = sorted(1000 * seconds for seconds in json.load(answer))
    warm = []
    for _ in range(20):
        start = time.monotonic()
        refused(call({}), 400, "BadEvent")
        warm.append(1000 * (time.monotonic() - start))
    passed(
        f"start of the program: median {statistics.median(times):.0f} ms of {len(times)} "
        f"({times[0]:.0f}-{times[-1]:.0f}); a warm call without the endpoint: {statistics.median(warm):.1f} ms"
    )


def main():
    start = time.monotonic()
    configuration()
    permissions()
    clients()
    url_events(is_stand_in="--stand-in" in sys.argv)
    objects()
    burst()
    failures()
    start_up()
    print(f"story: passed in {time.monotonic() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
