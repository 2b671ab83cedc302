"""What moto's CloudFormation leaves out or makes otherwise."""

import contextlib

from moto.applicationautoscaling.models import applicationautoscaling_backends
from moto.awslambda.exceptions import UnknownFunctionException
from moto.awslambda.models import LambdaVersion, lambda_backends
from moto.cloudformation.models import ChangeSet
from moto.core.common_models import CloudFormationModel
from moto.sagemaker.models import FakeEndpoint

from . import functions

# Moto gives an endpoint a name of its own.
FakeEndpoint.cloudformation_name_type = staticmethod(lambda: "EndpointName")
# Nor does it tell a version's number.
LambdaVersion.get_cfn_attribute = lambda version, name: str(version.version)


def apply(change_set):
    """Moto forgets the outputs and the parameters of a change set."""
    stack = change_set.stack
    stack.resource_map.update(change_set.template_dict, change_set.parameters)
    stack.template, stack.parameters = change_set.template, change_set.parameters
    stack._parse_template()
    stack.output_map = stack._create_output_map()


ChangeSet.apply = apply


class Alias(CloudFormationModel):
    """With its provisioned concurrency."""

    def __init__(self, arn, function_name, name):
        self.physical_resource_id = arn
        self.function_name, self.name = function_name, name

    @staticmethod
    def cloudformation_type():
        return "AWS::Lambda::Alias"

    @staticmethod
    def cloudformation_name_type():
        return "Name"

    @classmethod
    def create_from_cloudformation_json(cls, name, json, account, region, **_):
        properties = json["Properties"]
        function_name = properties["FunctionName"]
        alias = lambda_backends[account][region].create_alias(
            name, function_name, str(properties["FunctionVersion"]), "", ""
        )
        provisioned = properties.get("ProvisionedConcurrencyConfig")
        if provisioned:
            count = int(provisioned["ProvisionedConcurrentExecutions"])
            functions.provision(function_name, name, count)
        return cls(alias.arn, function_name, name)

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name
    ):
        properties = cloudformation_json["Properties"]
        lambda_backends[account_id][region_name].update_alias(
            original_resource.name,
            original_resource.function_name,
            str(properties["FunctionVersion"]),
            "",
            "",
        )
        return original_resource

    def delete(self, account, region):
        # Moto deletes in no order: the function may be gone.
        with contextlib.suppress(UnknownFunctionException):
            lambda_backends[account][region].delete_alias(self.name, self.function_name)


class ScalableTarget(CloudFormationModel):
    """The bounds of an endpoint's instances."""

    def __init__(self, properties):
        self.namespace = properties["ServiceNamespace"]
        self.resource_id = properties["ResourceId"]
        self.dimension = properties["ScalableDimension"]
        self.physical_resource_id = f"{self.resource_id}|{self.dimension}|{self.namespace}"

    @staticmethod
    def cloudformation_type():
        return "AWS::ApplicationAutoScaling::ScalableTarget"

    @staticmethod
    def cloudformation_name_type():
        return ""

    @classmethod
    def create_from_cloudformation_json(cls, name, json, account, region, **_):
        properties = json["Properties"]
        target = cls(properties)
        applicationautoscaling_backends[account][region].register_scalable_target(
            target.namespace,
            target.resource_id,
            target.dimension,
            int(properties["MinCapacity"]),
            int(properties["MaxCapacity"]),
            role_arn="",
            suspended_state=None,
        )
        return target

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name
    ):
        return cls.create_from_cloudformation_json("", cloudformation_json, account_id, region_name)

    def delete(self, account, region):
        applicationautoscaling_backends[account][region].deregister_scalable_target(
            self.namespace, self.resource_id, self.dimension
        )


class ScalingPolicy(CloudFormationModel):
    """Target tracking."""

    def __init__(self, arn, name, target):
        self.physical_resource_id = arn
        self.name, self.target = name, target

    @staticmethod
    def cloudformation_type():
        return "AWS::ApplicationAutoScaling::ScalingPolicy"

    @staticmethod
    def cloudformation_name_type():
        return "PolicyName"

    @classmethod
    def create_from_cloudformation_json(cls, name, json, account, region, **_):
        properties = json["Properties"]
        resource_id, dimension, namespace = properties["ScalingTargetId"].split("|")
        policy = applicationautoscaling_backends[account][region].put_scaling_policy(
            name,
            namespace,
            resource_id,
            dimension,
            policy_body=properties["TargetTrackingScalingPolicyConfiguration"],
            policy_type=properties["PolicyType"],
        )
        return cls(policy.policy_arn, name, (namespace, resource_id, dimension))

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name
    ):
        return cls.create_from_cloudformation_json(
            new_resource_name, cloudformation_json, account_id, region_name
        )

    def delete(self, account, region):
        applicationautoscaling_backends[account][region].delete_scaling_policy(
            self.name, *self.target
        )
