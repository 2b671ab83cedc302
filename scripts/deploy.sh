#!/usr/bin/env bash
# Puts the whole system into an AWS account: bucket and repository (deploy/artifacts.yaml), then endpoint,
# function, roles, scaling and alarms (deploy/template.yaml). May be repeated: it changes what has changed.
#
#   scripts/deploy.sh --image URI [OPTION...] [NAME=VALUE...]
#
#   --image URI       the image of the endpoint's container; only the first time, or to change it
#   --model-dir DIR   model.pth and model.json to serve (TrainedModels); uploaded as an archive
#   --stack NAME      ec2train
#   --plan            show what would change and change nothing
#   --destroy         remove the stack; the bucket and the repository stay
#   NAME=VALUE        a parameter of deploy/template.yaml, as in AlarmEmail=me@example.com
#
# Credentials and region as the AWS CLI finds them. Exit codes: 64 usage, 66 a model or an image is missing,
# 69 a tool is missing, 77 AWS refuses; otherwise the AWS CLI's.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'deploy: %s\n' "$*" >&2; }
die() { printf 'deploy: error: %s\n' "$1" >&2; exit "$2"; }

stack=ec2train image='' model_dir=TrainedModels action=deploy parameters=()
while (($#)); do
    case $1 in
        --image | --model-dir | --stack)
            (($# > 1)) || die "$1 needs a value" 64
            case $1 in --image) image=$2 ;; --stack) stack=$2 ;; *) model_dir=$2 ;; esac
            shift
            ;;
        --plan | --destroy) action=${1#--} ;;
        -h | --help) sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$0"; exit ;;
        [A-Z]*=*) parameters+=("$1") ;;
        *) die "unknown argument: $1; --help shows them" 64 ;;
    esac
    shift
done

command -v aws >/dev/null || die "missing: the AWS CLI (https://docs.aws.amazon.com/cli/)" 69
export AWS_PAGER='' AWS_DEFAULT_OUTPUT=text
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}
[[ -n $region ]] || die "no region: set AWS_REGION" 64
# Version 1 of the AWS CLI reads the second.
export AWS_REGION=$region AWS_DEFAULT_REGION=$region
account=$(aws sts get-caller-identity --query Account) ||
    die "AWS does not accept the credentials: aws configure, or set AWS_PROFILE" 77

# Whether stack $1 is there.
exists() { aws cloudformation describe-stacks --stack-name "$1" &>/dev/null; }

# Prints output $2 of stack $1.
output() {
    aws cloudformation describe-stacks --stack-name "$1" \
        --query "Stacks[0].Outputs[?OutputKey=='$2'].OutputValue"
}

# --- Removing -------------------------------------------------------------------------------------

if [[ $action == destroy ]]; then
    exists "$stack" || die "there is no stack $stack in $region" 66
    say "removing stack $stack: endpoint, function, roles, logs, alarms"
    aws cloudformation delete-stack --stack-name "$stack"
    aws cloudformation wait stack-delete-complete --stack-name "$stack"
    say "removed. The models and images stay, and cost what their storage costs:
  aws s3 rb --force s3://$(output "$stack-artifacts" BucketName)    (versions: in the console, 'Empty')
  aws ecr delete-repository --force --repository-name ec2train
  aws cloudformation delete-stack --stack-name $stack-artifacts"
    exit
fi

# --- Bucket, code, model --------------------------------------------------------------------------

if ! exists "$stack-artifacts"; then
    [[ $action == deploy ]] ||
        die "the stack $stack-artifacts is not there yet; without it only the template can be read: deploy/" 66
    say "creating bucket and repository in $account/$region"
    aws cloudformation deploy --stack-name "$stack-artifacts" --template-file deploy/artifacts.yaml >&2
fi
bucket=$(output "$stack-artifacts" BucketName)

if [[ -z $image ]] && ! exists "$stack"; then
    die "name the image of the endpoint's container the first time: --image URI.
  The repository is there: $(output "$stack-artifacts" RepositoryUri)" 66
fi

# Uploads file $1 as object $2 unless it is there: names are made of hashes.
upload() {
    aws s3api head-object --bucket "$bucket" --key "$2" &>/dev/null && return
    say "uploading s3://$bucket/$2"
    aws s3 cp --only-show-errors "$1" "s3://$bucket/$2"
}

code=${EC2TRAIN_LAMBDA_ZIP:-$(scripts/lambda_package.sh)}
code_hash=$(sha256sum "$code" | cut -c -16)
upload "$code" "lambda/$code_hash.zip"
parameters+=("BucketName=$bucket" "CodeKey=lambda/$code_hash.zip")
[[ -z $image ]] || parameters+=("ImageUri=$image")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [[ -s $model_dir/model.pth ]]; then
    # The same model gives the same bytes, and so the same name.
    tar --create --dereference --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner \
        --directory="$model_dir" model.pth model.json | gzip --no-name -1 >"$work/model.tar.gz"
    model_hash=$(sha256sum "$work/model.tar.gz" | cut -c -16)
    upload "$work/model.tar.gz" "models/$model_hash.tar.gz"
    parameters+=("ModelDataKey=models/$model_hash.tar.gz")
elif ! exists "$stack"; then
    die "no model in $model_dir: run \`ec2train\` first, or name the folder: --model-dir DIR" 66
fi

# --- The system -----------------------------------------------------------------------------------

# An account must keep 10 of its concurrency for functions without a reservation.
unreserved=$(aws lambda get-account-settings --query AccountLimit.UnreservedConcurrentExecutions 2>/dev/null || true)
if [[ $unreserved =~ ^[0-9]+$ ]] && ((unreserved < 15)) && ! exists "$stack" &&
    [[ " ${parameters[*]} " != *" ReservedConcurrency=0 "* ]]; then
    die "this account allows $unreserved functions at a time, and Lambda keeps 10 of them: none can be reserved.
  Ask for more (Service Quotas, Lambda, Concurrent executions), or start with
  ReservedConcurrency=0 ProvisionedConcurrency=0" 77
fi

# A new version needs a new name in the template.
sed "s/FunctionVersion0/FunctionVersion$code_hash/g" deploy/template.yaml >"$work/template.yaml"
command=(aws cloudformation deploy --stack-name "$stack" --template-file "$work/template.yaml"
    --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset --parameter-overrides "${parameters[@]}")

if [[ $action == plan ]]; then
    is_new=$(exists "$stack" || echo yes)
    changes=$("${command[@]}" --no-execute-changeset | sed -n 's/.*--change-set-name //p')
    if [[ -z $changes ]]; then
        say "nothing would change"
        exit
    fi
    aws cloudformation describe-change-set --change-set-name "$changes" --output table \
        --query 'Changes[].ResourceChange.{Action: Action, Name: LogicalResourceId, Replacement: Replacement, Type: ResourceType}'
    aws cloudformation delete-change-set --change-set-name "$changes" >/dev/null
    # A change set of a new stack leaves an empty one.
    [[ -z $is_new ]] || aws cloudformation delete-stack --stack-name "$stack"
    say "nothing was changed"
    exit
fi

say "deploying stack $stack to $account/$region; an endpoint takes some minutes"
"${command[@]}" >&2 || die "CloudFormation failed:
  aws cloudformation describe-stack-events --stack-name $stack --query \"StackEvents[?contains(ResourceStatus, 'FAILED')].[LogicalResourceId, ResourceStatusReason]\"" 1
aws cloudformation describe-stacks --stack-name "$stack" --output table \
    --query 'Stacks[0].Outputs[].{Name: OutputKey, Value: OutputValue}'
