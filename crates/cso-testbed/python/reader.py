"""An independent cloud client, driven by JSON lines.

One line in:  {"service", "region", "operation", "params", "paginate"}
One line out: {"ok": result} or {"error": {"code", "message", "status"}} or {"broken": why}
"""

import base64
import datetime
import functools
import json
import os
import sys

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

# No retries: a test must see what happened, not what happened in the end.
CONFIG = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30, parameter_validation=False)


@functools.lru_cache(maxsize=None)
def client(service, region):
    return boto3.client(service, region_name=region, endpoint_url=os.environ["AWS_ENDPOINT_URL"], config=CONFIG)


def answer(request):
    aws = client(request["service"], request["region"])
    method = xform_name(request["operation"])
    if request.get("paginate"):
        result = aws.get_paginator(method).paginate(**request["params"]).build_full_result()
    else:
        result = getattr(aws, method)(**request["params"])
    result.pop("ResponseMetadata", None)
    return result


def plain(value):
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


for line in sys.stdin:
    try:
        reply = {"ok": answer(json.loads(line))}
    except ClientError as error:
        reply = {
            "error": {
                "code": error.response["Error"].get("Code", ""),
                "message": error.response["Error"].get("Message", ""),
                "status": error.response["ResponseMetadata"]["HTTPStatusCode"],
            }
        }
    except Exception as error:
        reply = {"broken": f"{type(error).__name__}: {error}"}
    print(json.dumps(reply, default=plain), flush=True)
