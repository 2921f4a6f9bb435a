"""An independent Kubernetes client, driven by JSON lines.

The only argument is a kubeconfig.
One line in:  {"verb", "api_version", "kind", "namespace", "name", "body", "content_type", "subresource"}
One line out: {"ok": object} or {"error": {"reason", "message", "status"}} or {"broken": why}
"""

import json
import os
import sys

from kubernetes import config, dynamic
from kubernetes.client.exceptions import ApiException

kubeconfig = sys.argv[1]
# What kinds there are is kept beside the kubeconfig, because the default is a file that all clusters of a port share.
cluster = dynamic.DynamicClient(
    config.new_client_from_config(kubeconfig),
    cache_file=f"{kubeconfig}.kinds-{os.getpid()}",
)


def answer(request):
    resource = cluster.resources.get(api_version=request["api_version"], kind=request["kind"])
    if request["subresource"]:
        resource = resource.subresources[request["subresource"]]
    arguments = {key: request[key] for key in ("namespace", "name", "body", "content_type") if request[key]}
    if request["verb"] == "server_side_apply":
        arguments |= {"field_manager": "kubectl", "force_conflicts": True}
    result = getattr(resource, request["verb"])(**arguments)
    return result.to_dict()


def refusal(error):
    try:
        body = json.loads(error.body)
    except (TypeError, ValueError):
        body = {}
    return {"reason": body.get("reason") or "", "message": body.get("message") or "", "status": error.status}


for line in sys.stdin:
    try:
        reply = {"ok": answer(json.loads(line))}
    except ApiException as error:
        reply = {"error": refusal(error)}
    except Exception as error:
        reply = {"broken": f"{type(error).__name__}: {error}"}
    print(json.dumps(reply, default=str), flush=True)
