#!/usr/bin/env bash
# Tries the whole system without an AWS account: lints the templates, deploys them with scripts/deploy.sh to
# a local AWS (moto with aws_local/ before it), and checks permissions, clients, faults, concurrency and the
# stored configuration with the real Lambda program.
#
#   scripts/check_aws.sh               the endpoint is `ec2train serve`, on the model of the built-in sample
#   scripts/check_aws.sh --lint        cfn-lint and parliament only
#   scripts/check_aws.sh --stand-in    the endpoint is a Python program that knows the answers of
#                                      `ec2train predict` beforehand
#   scripts/check_aws.sh --program P   another ec2train than target/release/ec2train
#
# Installs moto, boto3, the AWS CLI, cfn-lint, parliament and cargo-lambda into .venv-aws (430 MB). Exit codes:
# 66 there is no model of the sample, 69 something could not be installed, 1 a check failed.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'aws: %s\n' "$*" >&2; }
die() { printf 'aws: error: %s\n' "$1" >&2; exit "$2"; }

program=target/release/ec2train stand_in=no only_lint=no
while (($#)); do
    case $1 in
        --program) program=${2:?--program needs a path}; shift ;;
        --stand-in) stand_in=yes ;;
        --lint) only_lint=yes ;;
        *) die "unknown argument: $1" 64 ;;
    esac
    shift
done

# --- Tools ----------------------------------------------------------------------------------------

requirements=scripts/aws_local/requirements.txt
if ! cmp --silent "$requirements" .venv-aws/requirements.txt; then
    say "installing into .venv-aws"
    python3 -m venv .venv-aws
    pip=(.venv-aws/bin/pip install --quiet --disable-pip-version-check)
    # cargo-lambda's compiler for other systems is not needed here.
    "${pip[@]}" --requirement "$requirements" || die "pip could not install $requirements" 69
    "${pip[@]}" --no-deps cargo-lambda==1.9.2 || die "pip could not install cargo-lambda" 69
    cp "$requirements" .venv-aws/
fi
PATH=$PWD/.venv-aws/bin:$PATH
export PATH PYTHONPATH=scripts

# --- Templates ------------------------------------------------------------------------------------

cfn-lint deploy/*.yaml
say "cfn-lint: clean"
python -m aws_local.lint_policies deploy/*.yaml >&2
[[ $only_lint == no ]] || exit 0

# --- Programs and model ---------------------------------------------------------------------------

[[ -x $program ]] || die "no $program: cargo build --release, or name another: --program" 66
EC2TRAIN_LAMBDA_ZIP=$PWD/$(scripts/lambda_package.sh)
export EC2TRAIN_LAMBDA_ZIP
model_dir=TrainedModels/sample
[[ -s $model_dir/model.pth ]] || die "no model of the sample: $program train --sample" 66

work=$(mktemp -d)
start=$SECONDS
pids=()
finish() {
    local status=$?
    ((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true
    if ((status)); then
        for log in "$work"/*.log; do
            printf -- '--- %s\n' "$log" >&2
            tail -n 8 "$log" >&2
        done
    fi
    rm -rf "$work"
}
trap finish EXIT

# Prints the first line that appears in file $1 and matches $2.
first_line() {
    local line
    for _ in {1..600}; do
        line=$(sed -n "s|.*$2.*|\1|p;T;q" "$1")
        [[ -z $line ]] || { echo "$line"; return; }
        sleep 0.1
    done
    die "nothing like $2 in $1 within 60 s" 1
}

mapfile -t images < <(find data/sample/images/test -name '*.jpg' | LC_ALL=C sort | head -n 3)
"$program" --sample predict --json "${images[@]}" >"$work/predictions.json"

# --- The endpoint's container ---------------------------------------------------------------------

story=()
if [[ $stand_in == no ]] && "$program" --help | grep --quiet '^  serve '; then
    say "the endpoint is $program serve"
    "$program" --sample serve --listen 127.0.0.1:0 &>"$work/container.log" &
    pids+=($!)
    container=$(first_line "$work/container.log" '\(127\.0\.0\.1:[1-9][0-9]*\)')
    for _ in {1..300}; do
        curl --silent --fail "http://$container/ping" >/dev/null && break
        sleep 0.1
    done
else
    [[ $stand_in == yes ]] || die "$program has no \`serve\`: --stand-in" 66
    say "THE ENDPOINT IS A STAND-IN: its scores were computed beforehand by $program predict"
    python scripts/aws_local/stand_in.py "$work/predictions.json" >"$work/container.log" &
    pids+=($!)
    container=$(first_line "$work/container.log" '\(127\.0\.0\.1:[1-9][0-9]*\)')
    story=(--stand-in)
fi

# --- The local AWS --------------------------------------------------------------------------------

python -m aws_local.cloud --work "$work" --container "$container" >"$work/cloud.log" 2>&1 &
pids+=($!)
AWS_ENDPOINT_URL=$(first_line "$work/cloud.log" '\(http://127\.0\.0\.1:[0-9]*\)')
export AWS_ENDPOINT_URL AWS_ACCESS_KEY_ID=administrator AWS_SECRET_ACCESS_KEY=x AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
unset AWS_PROFILE AWS_SESSION_TOKEN
# Nothing of this machine's own account may be met.
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true

scripts/deploy.sh --image 123456789012.dkr.ecr.us-east-1.amazonaws.com/ec2train:check --model-dir "$model_dir" >&2
python -m aws_local.story "$AWS_ENDPOINT_URL" "$work/predictions.json" "${story[@]}"

# --- The AWS CLI ----------------------------------------------------------------------------------

printf '{"image": "%s"}' "$(base64 --wrap=0 "${images[0]}")" >"$work/event.json"
# Version 1: version 2 needs --cli-binary-format raw-in-base64-out as well.
aws lambda invoke --function-name ec2train --qualifier live \
    --payload "file://$work/event.json" "$work/reply.json" >/dev/null
python - "$work" <<'PYTHON'
import json, pathlib, sys
work = pathlib.Path(sys.argv[1])
[logits] = json.loads(json.loads((work / "reply.json").read_text())["body"])
assert logits == json.loads((work / "predictions.json").read_text())[0]["logits"]
PYTHON
say "aws lambda invoke: the same scores"

# --- cargo-lambda's emulator ----------------------------------------------------------------------

scripts/aws_local/cargo_lambda.sh "$work"

# --- Changing and removing ------------------------------------------------------------------------

# Prints the version that the alias names.
version() { aws lambda get-alias --function-name ec2train --name live --query FunctionVersion; }

cp "$EC2TRAIN_LAMBDA_ZIP" "$work/other.zip"
echo "other code" | zip --quiet "$work/other.zip" -
export EC2TRAIN_LAMBDA_ZIP=$work/other.zip
scripts/deploy.sh --plan --model-dir "$model_dir" >"$work/plan.log" 2>&1
grep --quiet 'Add .*FunctionVersion' "$work/plan.log" || die "the plan does not name the new version" 1
[[ $(version) == '"1"' ]] || die "--plan changed something" 1
scripts/deploy.sh --destroy &>"$work/destroy.log"
if aws sagemaker describe-endpoint --endpoint-name ec2train &>/dev/null; then
    die "the endpoint is still there after --destroy" 1
fi
say "--plan shows new code and changes nothing, --destroy removes the endpoint"
say "passed in $((SECONDS - start)) s"
