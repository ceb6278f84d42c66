"""The shipped CloudTrail mapping, on made-up events that are built as AWS builds them."""

from __future__ import annotations

import gzip
import json

import pytest

from chainsec.errors import BadInput
from chainsec.scenarios.replay import build_replay


@pytest.fixture
def file(tmp_path):
    return tmp_path / "trail.json"


ROLE = {
    "type": "AssumedRole",
    "principalId": "AROAEXAMPLE:i-0abc",
    "arn": "arn:aws:sts::111122223333:assumed-role/etl/i-0abc",
    "accountId": "111122223333",
    "accessKeyId": "ASIAEXAMPLE",
    "sessionContext": {
        "sessionIssuer": {
            "type": "Role",
            "principalId": "AROAEXAMPLE",
            "arn": "arn:aws:iam::111122223333:role/etl",
            "accountId": "111122223333",
            "userName": "etl",
        },
        "attributes": {"creationDate": "2024-05-01T07:00:00Z", "mfaAuthenticated": "false"},
    },
}
USER = {
    "type": "IAMUser",
    "principalId": "AIDAEXAMPLE",
    "arn": "arn:aws:iam::111122223333:user/ann",
    "accountId": "111122223333",
    "accessKeyId": "AKIAEXAMPLE",
    "userName": "ann",
}
HIDDEN = {
    "type": "IAMUser",
    "accountId": "111122223333",
    "accessKeyId": "",
    "userName": "HIDDEN_DUE_TO_SECURITY_REASONS",
}


def event(minute, source, name, who, parameters=None, **more):
    return {
        "eventVersion": "1.10",
        "userIdentity": who,
        "eventTime": f"2024-05-01T08:{minute:02}:00Z",
        "eventSource": f"{source}.amazonaws.com",
        "eventName": name,
        "awsRegion": "eu-central-1",
        "sourceIPAddress": "198.51.100.7",
        "userAgent": "aws-cli/2.15",
        "requestParameters": parameters,
        "responseElements": None,
        "requestID": f"request-{minute}",
        "eventID": f"event-{minute}",
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": "111122223333",
        "eventCategory": "Management",
    } | more


def without(record, *keys):
    return {key: value for key, value in record.items() if key not in keys}


S3_OBJECT = [
    {"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::vault/a.csv"},
    {"accountId": "111122223333", "type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::vault"},
]
KEY = [{"accountId": "111122223333", "type": "AWS::KMS::Key", "ARN": "arn:aws:kms:eu-central-1:111122223333:key/k1"}]
SERVICE = {"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}
INTERNAL = {"accountId": "111122223333", "invokedBy": "AWS Internal"}
BUCKET = {"bucketName": "vault", "key": "a.csv"}
DENIED = {"errorCode": "AccessDenied", "errorMessage": "Access Denied"}
# event; requester's end, asset's end, action, denied, bytes of the use that follows
CLOUDTRAIL = [
    (
        event(
            9, "s3", "GetObject", ROLE, BUCKET, resources=S3_OBJECT, additionalEventData={"bytesTransferredOut": 512.0}
        ),
        ("role/etl", "s3.amazonaws.com vault", "read", False, 512),
    ),
    (event(0, "s3", "PutObject", USER, BUCKET, **DENIED), ("user/ann", " vault", "write", True, None)),
    (event(1, "s3", "GetObject", USER, BUCKET, errorCode="NoSuchKey"), ("user/ann", " vault", "read", None, None)),
    (
        event(2, "ec2", "DescribeInstances", USER, {"instancesSet": {}}, errorCode="Client.UnauthorizedOperation"),
        ("user/ann", "ec2.amazonaws.com DescribeInstances", "read", True, None),
    ),
    (
        event(3, "ec2", "TerminateInstances", ROLE, {"instancesSet": {"items": [{"instanceId": "i-0f"}]}}),
        ("role/etl", "ec2.amazonaws.com i-0f", "write", False, None),
    ),
    (
        event(4, "kms", "Decrypt", ROLE, {"encryptionContext": {"a": "b"}}, resources=KEY, readOnly=True),
        ("role/etl", "key/k1", "read", False, None),
    ),
    (
        event(5, "secretsmanager", "GetSecretValue", USER, {"secretId": "db"}, errorCode="AccessDeniedException"),
        ("user/ann", " db", "export", True, None),
    ),
    (
        event(6, "rds", "StartExportTask", USER, {"exportTaskIdentifier": "e"}),
        ("user/ann", "StartExportTask", "export", False, None),
    ),
    (
        event(7, "signin", "ConsoleLogin", HIDDEN, responseElements={"ConsoleLogin": "Failure"}, errorMessage="Failed"),
        ("HIDDEN_DUE_TO_SECURITY_REASONS", "signin.amazonaws.com ConsoleLogin", "read", True, None),
    ),
    (
        event(8, "signin", "ConsoleLogin", USER, responseElements={"ConsoleLogin": "Success"}),
        ("user/ann", "signin.amazonaws.com ConsoleLogin", "read", False, None),
    ),
    (
        without(event(10, "sts", "AssumeRole", SERVICE, {"roleArn": "arn:role/etl"}), "sourceIPAddress", "userAgent"),
        ("ec2.amazonaws.com", "sts.amazonaws.com arn:role/etl", "read", False, None),
    ),
    (
        without(event(11, "kms", "RotateKey", INTERNAL, resources=KEY, eventType="AwsServiceEvent"), "requestID"),
        ("AWS Internal", "key/k1", "write", False, None),
    ),
    (
        event(12, "lambda", "ListFunctions20150331", USER, {"name": {"nested": 1}}),
        ("user/ann", "ListFunctions20150331", "read", False, None),
    ),
]


@pytest.mark.parametrize("form", ["delivered", "pretty", "lines", "concatenated"])
def test_cloudtrail_events_of_many_kinds_become_attempts(file, form):
    records = [record for record, _ in CLOUDTRAIL]
    text = {
        "delivered": json.dumps({"Records": records}, separators=(",", ":")),
        "pretty": json.dumps({"Records": records}, indent=2),
        "lines": "\n".join(map(json.dumps, records)),
        "concatenated": json.dumps({"Records": records[:5]}) + json.dumps({"Records": records[5:]}),
    }[form]
    file.write_bytes(gzip.compress(text.encode()))
    workload = build_replay(file, "aws_cloudtrail", history=0.3)
    attempts = workload.history + workload.live
    expected = [wanted for _, wanted in sorted(CLOUDTRAIL, key=lambda pair: pair[0]["eventTime"])]
    for attempt, (requester, asset, action, denied, volume) in zip(attempts, expected, strict=True):
        assert attempt.requester.endswith(requester)
        assert attempt.asset.endswith(asset)
        assert (attempt.action, attempt.denied) == (action, denied)
        assert [use.volume_bytes for use in attempt.uses] == ([volume] if volume else [])
    assert workload.has_clock
    assert workload.out_of_order == 9
    assert attempts[0].time_s == 1714550400
    if form != "pretty":
        assert attempts[0].row == 2


def test_cloudtrail_attributes_never_tell_the_answer(file):
    denied, granted = event(0, "s3", "PutObject", ROLE, BUCKET, **DENIED), event(1, "s3", "PutObject", ROLE, BUCKET)
    file.write_text(json.dumps({"Records": [denied, granted]}))
    workload = build_replay(file, "aws_cloudtrail")
    refused, allowed = workload.history[0], workload.live[0]
    assert (refused.denied, allowed.denied) == (True, False)
    assert refused.attributes == allowed.attributes
    assert set(allowed.attributes) >= {"operation", "region", "source_ip", "user_agent", "identity_type", "mfa"}
    assert (refused.text, refused.uses) == (allowed.text, allowed.uses)


def test_a_cloudtrail_record_without_a_time_is_named_by_its_number(file):
    file.write_text(
        json.dumps({"Records": [event(0, "s3", "ListBuckets", USER), without(event(1, "s3", "X", USER), "eventTime")]})
    )
    with pytest.raises(BadInput, match=r"trail.json: line 1: record 2: field eventTime: this field is missing"):
        build_replay(file, "aws_cloudtrail")
