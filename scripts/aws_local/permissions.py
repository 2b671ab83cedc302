"""Whether a role may do what a request asks for.

Stock moto checks actions outside of S3 against the resource `*` only, which refuses the right policy
for one endpoint. Here a request is checked against the resource it names. Requests with other
credentials than a role's are the administrator's, who may do everything. Signatures are not checked.
"""

import json

from moto.iam.access_control import AssumedRoleAccessKey, IAMPolicy, PermissionResult
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

ACCOUNT, REGION = "123456789012", "us-east-1"


def assume(role_arn, session):
    """Temporary credentials, as Lambda gives its functions."""
    role = iam_backends[ACCOUNT]["aws"].get_role_by_arn(role_arn)
    return sts_backends[ACCOUNT]["aws"].assume_role(
        region_name=REGION,
        role_session_name=session,
        role_arn=role.arn,
        policy="",
        duration=3600,
        external_id="",
    )


def refusal(request):
    """None, or why the request is refused, in AWS's words."""
    assumed = {role.access_key_id for role in sts_backends[ACCOUNT]["aws"].assumed_roles}
    if request.access_key not in assumed:
        return None
    key = AssumedRoleAccessKey(ACCOUNT, "aws", request.access_key, request.headers)
    action, resource = asked_for(request)
    results = [
        IAMPolicy(policy).is_action_permitted(action, resource) for policy in key.collect_policies()
    ]
    if PermissionResult.PERMITTED in results and PermissionResult.DENIED not in results:
        return None
    return (
        f"User: {key.arn} is not authorized to perform: {action} on resource: {resource} "
        f"because no identity-based policy allows the {action} action"
    )


def asked_for(request):
    """The action and the resource of a request to SageMaker or S3; for others a resource of `*`."""
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}"
    if request.endpoint_to_invoke:
        return "sagemaker:InvokeEndpoint", f"{arn}:endpoint/{request.endpoint_to_invoke}"
    target = request.headers.get("X-Amz-Target", "")
    if target.startswith("SageMaker."):
        named = json.loads(request.body or b"{}").get("EndpointName", "*")
        return f"sagemaker:{target.removeprefix('SageMaker.')}", f"{arn}:endpoint/{named}"
    if request.service == "s3":
        action = {"GET": "GetObject", "PUT": "PutObject"}.get(request.method, "Other")
        return f"s3:{action}", f"arn:aws:s3::{request.path}".replace("s3::/", "s3:::")
    return f"{request.service}:{target.split('.')[-1] or 'Unknown'}", "*"
