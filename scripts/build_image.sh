#!/usr/bin/env bash
# Builds the container image of deploy/sagemaker/Dockerfile with the container engine that is installed.
#
#   scripts/build_image.sh [--tag NAME[:TAG]] [--user USER] [--push]
#
# The tag is ec2train:VERSION, the user root. --push also sends the image to this account's Elastic
# Container Registry, into a repository that is made if there is none, and prints its address; that needs
# the AWS CLI with credentials and a region.
#
# Weights in data/weights become part of the image. Exit codes: 64 usage, 69 no engine or no registry.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'image: %s\n' "$*" >&2; }
die() { printf 'image: error: %s\n' "$1" >&2; exit "$2"; }

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
tag=ec2train:$version user=root push=false
while (($#)); do
    case $1 in
        --tag | --user)
            (($# > 1)) || die "$1 needs a value" 64
            if [[ $1 == --tag ]]; then tag=$2; else user=$2; fi
            shift
            ;;
        --push) push=true ;;
        *) die "unknown argument $1" 64 ;;
    esac
    shift
done
[[ ${tag##*/} == *:* ]] || tag+=:$version

# An engine whose daemon does not answer is no engine.
engine=
for candidate in docker podman finch nerdctl buildah; do
    command -v "$candidate" >/dev/null || continue
    if "$candidate" info &>/dev/null; then
        engine=$candidate
        break
    fi
    say "$candidate is installed, but \`$candidate info\` fails"
done
[[ -n $engine ]] ||
    die "there is no container engine at work here: install docker or podman, or start its daemon. scripts/check_image.sh tries the image's steps without one, as root" 69

if $push; then
    command -v aws >/dev/null || die "--push needs the AWS CLI: https://aws.amazon.com/cli/" 69
    account=$(aws sts get-caller-identity --query Account --output text) ||
        die "the AWS CLI has no credentials that work: \`aws configure\`" 69
    region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}
    [[ -n $region ]] || die "no region: set AWS_REGION" 69
fi

weights=(data/weights/resnet50*)
if [[ -e ${weights[0]} ]]; then
    say "with the weights in data/weights"
else
    say "without weights: jobs take them from the channel \`weights\`, or download them"
fi
say "$engine build, $tag, user $user"
"$engine" build --platform linux/amd64 --file deploy/sagemaker/Dockerfile --build-arg "USER=$user" --tag "$tag" . ||
    die "$engine could not build the image; the lines above say why" 69

if $push; then
    registry=$account.dkr.ecr.$region.amazonaws.com
    repository=${tag%:*}
    aws ecr describe-repositories --region "$region" --repository-names "$repository" &>/dev/null ||
        aws ecr create-repository --region "$region" --repository-name "$repository" \
            --image-scanning-configuration scanOnPush=true >/dev/null ||
        die "the repository $repository can be neither found nor made in $region" 69
    aws ecr get-login-password --region "$region" |
        "$engine" login --username AWS --password-stdin "$registry" >&2
    "$engine" tag "$tag" "$registry/$tag"
    "$engine" push "$registry/$tag" >&2
    echo "$registry/$tag"
else
    echo "$tag"
fi
