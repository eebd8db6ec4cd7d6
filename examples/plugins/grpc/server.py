# A server of plugins: lets friends in, greets the backend, signs answers, and puts paths of records together.
#
#     pip install -r requirements.txt
#     python3 -m grpc_tools.protoc -I. --python_out=. --grpc_python_out=. coprocess.proto
#     python3 server.py 5555
#
# The gate finds it by `"coprocess_options": {"enable_coprocess": true, "coprocess_grpc_server": "tcp://127.0.0.1:5555"}`,
# and definitions call it by `"custom_middleware": {"driver": "grpc", "post": [{"name": "greet"}]}`.
import json
import re
import sys
from concurrent import futures

import grpc

import coprocess_pb2
import coprocess_pb2_grpc


def authenticate(call):
    """In the place of authentication: who names a friend gets a session, and a key by which the caller is known."""
    shown = call.request.headers.get("Authorization", "")
    if not shown.startswith("friend-"):
        call.request.return_overrides.response_code = 401
        call.request.return_overrides.response_error = "friends only"
        return
    call.metadata["token"] = shown
    call.session.rate = 100
    call.session.per = 1
    call.session.alias = shown[len("friend-"):]


def greet(call):
    """Before the backend: a header, and another body."""
    config = json.loads(call.spec["config_data"])
    name = call.session.alias or "nobody"
    call.request.set_headers["X-Greeting"] = "hello %s in the %s" % (name, config.get("region", "nowhere"))
    call.request.delete_headers.append("X-Internal")
    if call.request.raw_body:
        said = call.request.raw_body.decode("utf-8", "replace")
        call.request.raw_body = json.dumps({"from": name, "said": said}).encode()


def sign(call):
    """On the answer: how long it is, and no word of the server."""
    call.response.headers["X-Length"] = str(len(call.response.raw_body))
    call.response.headers.pop("Server", None)


def join(call):
    """On records, before they are stored: paths with numbers are counted as one."""
    record = json.loads(call.request.body)
    record["path"] = re.sub(r"/\d+", "/{id}", record["path"])
    call.request.body = json.dumps(record)


HOOKS = {"authenticate": authenticate, "greet": greet, "sign": sign, "join": join}


class Dispatcher(coprocess_pb2_grpc.DispatcherServicer):
    def Dispatch(self, call, context):
        hook = HOOKS.get(call.hook_name)
        if hook is None:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "there is no hook `%s`" % call.hook_name)
        hook(call)
        return call

    def DispatchEvent(self, event, context):
        print("event:", event.payload, flush=True)
        return coprocess_pb2.EventReply()


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    coprocess_pb2_grpc.add_DispatcherServicer_to_server(Dispatcher(), server)
    port = server.add_insecure_port("127.0.0.1:%s" % (sys.argv[1] if len(sys.argv) > 1 else "5555"))
    server.start()
    print("listening on", port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
