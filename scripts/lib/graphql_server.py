"""A GraphQL server (graphql-core): HTTP by POST and GET, events by SSE, and both protocols over WebSockets at any path."""

import asyncio
import json
import os
import sys

import graphql_parts
from aiohttp import WSMsgType, web
from graphql import ExecutionResult, GraphQLError, build_schema, graphql, parse, subscribe

SDL = """
type Query {
  hero(id: ID! = 1): Person
  people(first: Int): [Person!]!
  echo(text: String): String
  header(name: String!): String
  fails: String
}
type Mutation { rename(id: ID!, name: String!): Person }
type Subscription { count(to: Int!): Int }
type Person { id: ID! name: String secret: String friends: [Person!] }
"""
people = {str(n): {"id": str(n), "name": name, "secret": "s" + str(n)} for n, name in enumerate(["Ada", "Bob", "Cy"], 1)}
schema = build_schema(SDL)
hits = 0
# Subscriptions under way.
streams = 0


def resolver(kind, field):
    def put(function):
        schema.type_map[kind].fields[field].resolve = function

    return put


resolver("Query", "hero")(lambda _, info, id: people.get(id))
resolver("Query", "people")(lambda _, info, first=None: list(people.values())[:first])
resolver("Query", "echo")(lambda _, info, text=None: text)
resolver("Query", "header")(lambda _, info, name: info.context.headers.get(name))
resolver("Person", "friends")(lambda person, info: [p for p in people.values() if p["id"] != person["id"]])
resolver("Mutation", "rename")(lambda _, info, id, name: {**people[id], "name": name})


@resolver("Query", "fails")
def fails(_, info):
    raise GraphQLError("it went wrong", extensions={"code": "BROKEN"})


async def count(_, info, to):
    for number in range(1, to + 1):
        yield {"count": number}
    if to == 0:
        # It begins, and never ends.
        yield {"count": 0}
        await asyncio.Event().wait()


schema.type_map["Subscription"].fields["count"].subscribe = count


if len(sys.argv) > 1:
    schema = graphql_parts.build(sys.argv[1])


async def serve(request):
    global hits
    if request.headers.get("upgrade", "").lower() == "websocket":
        return await socket(request)
    if request.path.endswith("/streams"):
        return web.json_response(streams)
    hits += 1
    if request.path.endswith("/hits"):
        return web.json_response(hits - 1)
    asked = await request.json() if request.method == "POST" else dict(request.query)
    variables = asked.get("variables") or {}
    if isinstance(variables, str):
        variables = json.loads(variables)
    query, name = asked.get("query"), asked.get("operationName")
    if "text/event-stream" in request.headers.get("accept", ""):
        return await events(request, query, variables, name)
    result = await graphql(schema, query, context_value=request, variable_values=variables, operation_name=name)
    return web.json_response({**result.formatted, "extensions": {"path": request.path_qs, "method": request.method}})


async def answers(request, query, variables, name):
    """The answers to a subscription; one where it is refused."""
    global streams
    results = await subscribe(
        schema, parse(query), context_value=request, variable_values=variables, operation_name=name
    )
    if isinstance(results, ExecutionResult):
        yield results, True
        return
    streams += 1
    try:
        async for result in results:
            yield result, False
    finally:
        streams -= 1


async def events(request, query, variables, name):
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    async for result, _ in answers(request, query, variables, name):
        await response.write(f"event: next\ndata: {json.dumps(result.formatted)}\n\n".encode())
    await response.write(b"event: complete\ndata:\n\n")
    return response


async def socket(request):
    socket = web.WebSocketResponse(protocols=("graphql-transport-ws", "graphql-ws"), compress=True)
    await socket.prepare(request)
    old = socket.ws_protocol == "graphql-ws"
    running = {}

    async def run(id, payload):
        async for result, refused in answers(request, payload["query"], payload.get("variables"), None):
            if refused:
                errors = result.formatted["errors"]
                await socket.send_json({"id": id, "type": "error", "payload": errors[0] if old else errors})
                return
            await socket.send_json({"id": id, "type": "data" if old else "next", "payload": result.formatted})
        await socket.send_json({"id": id, "type": "complete"})

    async for message in socket:
        if message.type != WSMsgType.TEXT:
            continue
        said = json.loads(message.data)
        if said["type"] == "connection_init":
            await socket.send_json({"type": "connection_ack"})
            if old:
                await socket.send_json({"type": "ka"})
        elif said["type"] == ("start" if old else "subscribe"):
            running[said["id"]] = asyncio.create_task(run(said["id"], said["payload"]))
        elif said["type"] == ("stop" if old else "complete") and said["id"] in running:
            running.pop(said["id"]).cancel()
        elif said["type"] in ("connection_terminate",):
            break
    for task in running.values():
        task.cancel()
    return socket


async def main():
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", serve)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    # Whoever started it holds its input open.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)


asyncio.run(main())
