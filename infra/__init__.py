"""Settings in, running cloud resources out: CloudFormation templates driven by boto3."""
