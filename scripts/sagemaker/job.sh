# shellcheck shell=bash
# Jobs for the scripts that try SageMaker's contract, on the built-in sample. To be sourced, from the
# repository's root, by a script that has `say MESSAGE` and `die MESSAGE EXIT_CODE`.

# use_programs: leaves the paths of ec2train and sagemaker in $ec2train and $sagemaker. PROGRAMS names the
# folder that has them; without it they are built.
use_programs() {
    local dir=${PROGRAMS:-target/release}
    [[ -n ${PROGRAMS:-} ]] || cargo build --locked --quiet --release --bins
    # Read where this file is sourced.
    # shellcheck disable=SC2034
    ec2train=$(realpath "$dir/ec2train") sagemaker=$(realpath "$dir/sagemaker")
}

# lay_out_job SAMPLE BASE: a folder as SageMaker makes /opt/ml, with the channels training and weights:
# five classes of the sample, four images of each to train on. The sample is drawn if need be.
lay_out_job() {
    local sample=$1 base=$2 split class
    if [[ ! -d $sample/data ]]; then
        mkdir -p "$sample"
        (cd "$sample" && "$ec2train" sample 2>sample.log) || die "the sample cannot be drawn: $sample/sample.log" 70
    fi
    mkdir -p "$base"/{input/config,input/data/training,input/data/weights,model,output/data}
    for split in train valid test; do
        for class in "$sample/data/sample/images/$split"/00[1-5].*; do
            mkdir -p "$base/input/data/training/$split/${class##*/}"
            find "$class" -type f | sort | head -n 4 |
                xargs cp --target-directory "$base/input/data/training/$split/${class##*/}"
        done
    done
    cp "$sample/data/sample/weights/resnet50-sample.pth" "$base/input/data/weights/"
    set_hosts "$base" algo-1 algo-1
    cat >"$base/input/config/inputdataconfig.json" <<'JSON'
{"training": {"ContentType": "application/x-image", "TrainingInputMode": "File",
              "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"},
 "weights": {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}}
JSON
}

# set_hosts BASE CURRENT HOST...: the hosts of the job, and which of them this one is.
set_hosts() {
    local base=$1 current=$2 hosts
    shift 2
    hosts=$(printf '"%s", ' "$@")
    cat >"$base/input/config/resourceconfig.json" <<JSON
{"current_host": "$current", "hosts": [${hosts%, }], "network_interface_name": "lo",
 "current_instance_type": "ml.m5.xlarge", "current_group_name": "homogeneousCluster",
 "instance_groups": [{"instance_group_name": "homogeneousCluster", "instance_type": "ml.m5.xlarge", "hosts": [${hosts%, }]}]}
JSON
}

# set_hyperparameters BASE [NAME=VALUE]...: as SageMaker's Python SDK writes them, the value's JSON in a
# string: a number between quotes, a text between two pairs of them. Among them are the SDK's own.
set_hyperparameters() {
    local base=$1 pair value text=
    shift
    for pair in "$@" sagemaker_program=train.sh sagemaker_container_log_level=20 \
        sagemaker_job_name=dogs sagemaker_region=us-east-1; do
        value=${pair#*=}
        [[ $value =~ ^[0-9.]+$ ]] || value="\\\"$value\\\""
        text+="\"${pair%%=*}\": \"$value\", "
    done
    printf '{%s}\n' "${text%, }" >"$base/input/config/hyperparameters.json"
}
