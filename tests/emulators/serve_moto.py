"""moto's server, with the names that S3 gives to the outermost element of its answers.

moto 5.2 names it after the call (`GetBucketTaggingResponse`); S3 does not (`Tagging`), and AWS's SDK for Rust reads
nothing else. The names are those of the SDK's model: https://github.com/aws/api-models-aws (s3, smithy.api#xmlName).
"""
from moto.core.serialize import S3Serializer
from moto.server import main

NAMES = {
    "GetBucketCorsResponse": "CORSConfiguration",
    "GetBucketLifecycleConfigurationResponse": "LifecycleConfiguration",
    "GetBucketTaggingResponse": "Tagging",
    "GetBucketVersioningResponse": "VersioningConfiguration",
    "GetBucketWebsiteResponse": "WebsiteConfiguration",
    "DeleteObjectsResponse": "DeleteResult",
    "ListObjectsResponse": "ListBucketResult",
    "ListObjectsV2Response": "ListBucketResult",
    "ListObjectVersionsResponse": "ListVersionsResult",
    "CopyObjectResponse": "CopyObjectResult",
}

serialise = S3Serializer._serialize_body


def renamed(self, body):
    return serialise(self, {NAMES.get(name, name): content for name, content in body.items()})


S3Serializer._serialize_body = renamed
main()
