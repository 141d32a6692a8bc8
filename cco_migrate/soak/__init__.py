"""A change is watched for its bake time before it is GO."""
