"""What stands in for AWS in scripts/check_aws.sh."""
