"""The reference pages that are made from the code: HTTP API, streams, errors, metrics."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from prometheus_client.metrics import MetricWrapperBase

from .. import telemetry
from ..core import errors
from ..core.errors import BridgeError
from ..matrix import transport
from ..stream.frames import FRAME_TYPES
from ..stream.reasons import CloseReason
from . import openapi
from .schema_text import field_rows, paragraphs, table, type_text

_MADE: Final = "<!-- Made by `openmeet-bridge reference {}`; edit {}. -->"

_CALLERS: Final = {
    "userToken": "a user's token",
    "userCookie": "a user's cookie",
    "streamTicket": "a stream ticket",
    "serviceKey": "a service key of the tenant",
    "webhookSignature": "whoever signs with the tenant's `webhook_secret`",
}

_HTTP: Final = """\
All of it is on the public listener (`listen.public`). Bodies and answers are JSON. The same as an
OpenAPI 3.1 document: `openmeet-bridge openapi`, or `GET /api/v1/openapi.json` of a running bridge.

* A user's token is OpenMeet's own: `Authorization: Bearer TOKEN`. Pages may keep it in an HttpOnly
  cookie instead (`POST /api/v1/session`); requests that change something then carry
  `X-Requested-With: openmeet`.
* The tenant is named by the token, by the header `X-Tenant-Id`, or by the query `tenantId`. They
  must not contradict one another.
* Times are integers in milliseconds since the epoch, but for those of meetups, which OpenMeet
  writes in RFC 3339. Ids are opaque; in a path they are percent encoded (`!` as `%21`).
* Unknown fields in a body are refused. Ignore unknown fields in an answer: there will be more.
* Every error has one shape; see [Errors](errors.md). Any request may be answered 500 or 503, which
  is not said again below.
"""

_STREAMS: Final = """\
`GET /api/v1/stream` (server-sent events) and `GET /api/v1/ws` (WebSocket) carry the same frames.

On the first, the event's name is the frame's type, the data is one line of JSON, and the id is the
cursor. On the second, each text message is `{"type": TYPE, "cursor": CURSOR, "data": …}`. Only
frames with a place in the log have a cursor.

## Resuming

Keep the last cursor. Give it back as `Last-Event-ID` (browsers do so by themselves) or as
`?cursor=`: the stream then brings what was missed, and goes on. `GET /api/v1/rooms` answers with a
cursor too: fetch the rooms, open the stream with it, and nothing falls in between.

An entry can come twice after a break: put it in by `event_id`. An entry can come with a lower
`order` than others: it was found late, and belongs where its `order` says.

## Reading less

A stream brings what happens in all of your rooms, unless its address says less. What it says holds
for what was missed, too; `limits.replay_entries` then counts what happened in the chosen rooms.

* `rooms=!a,!b` (or `rooms=!a&rooms=!b`; up to 100): only these, as far as you are in them. One that
  you are not in follows from the moment you come into it. What is your own comes whatever the room:
  `room.added`, `room.removed`, `unread`, `send.failed`. Empty (`rooms=`): that and nothing else.
* `types=timeline,timeline.changed`: only these frames, and those that are about the stream itself
  (`hello`, `reset`, `bye`, `heartbeat`, and the answers below). Empty: only those.
* `data=low`: no `typing`, `receipt` and `presence`, unless `types` names them; and compressed, for
  clients that say that they can read it: `Accept-Encoding: gzip`, permessage-deflate on WebSocket.
* `people=ref`: wherever a frame holds a [Person](#person), only the `mxid` is there. Who they are
  comes before, in a frame `people`: keep them by their `mxid`, the newest word counts, and so does
  the `user` of `hello`. Somebody may be introduced again; somebody who is there whole all the same
  is meant as they stand there.

A name that is no room id or no type of frame is answered with 400. Where all that happens is left
out, heartbeats carry the cursor on. [What it saves](../how-to/read-less-of-a-stream.md).

## What a client may say on a WebSocket

Text messages, each one JSON object. `id` (text or a number, may be left out) comes back in the
answer. Answers come in the order of the messages, and after what the stream had missed.

* `{"type": "subscribe", "id": 1, "rooms": ["!a"], "types": null}`: bring other rooms or frames from
  now on, or people otherwise, with `"people": "ref"` or `"full"`. `null` is what a stream without
  the parameter brings; what is left out stays as it is. The answer is `subscribed`: entries of
  rooms that are new to the stream come from its cursor on, older ones are at
  `GET /api/v1/rooms/{room_id}/timeline`. After a break, say the same in the address.
* `{"type": "ping", "id": 2}`: the answer is `pong`. For pages, which can send no ping of
  WebSocket's own: it is a sign that somebody is there.

Anything else is answered with `error`. A message may have 16 KiB; who sends more than twenty at
once, and then more than ten a second, is sent away (`too_many_messages`).
"""

_MEANINGS: Final = {
    "hello": "The first frame of a stream: who you are, and where the stream begins.",
    "people": "With `people=ref`: who they are of whom other frames say no more than their `mxid`.",
    "timeline": "A new entry of a room: a message, or something that happened there.",
    "timeline.changed": (
        "An entry as it is now, after an edit, a reaction or a deletion. Put it in the place of "
        "the one that you have, unless that has a higher `revision`; where you have none, it lies "
        "outside of what you have loaded."
    ),
    "membership": "Somebody came into a room, or went. The entry itself follows.",
    "room.added": "You are in a room now. Fetch the room and its timeline.",
    "room.removed": "You are out of a room: `left`, `removed` or `banned`.",
    "typing": "Who types in a room: the whole list, empty when nobody does.",
    "receipt": "Somebody has read a room up to an event. None comes for who sends a message here: "
    "with its entry they have read up to it.",
    "presence": (
        "Somebody who shares a room with you has come, is idle or has gone; `last_seen` is null "
        "where it is not known or not shown. Changes come once a second, the newest of each "
        "person; of rooms that more than 500 streams follow, five people's a second."
    ),
    "unread": "You have read a room, written in it or marked it as unread, here or elsewhere: how "
    "much of it is unread now.",
    "send.failed": (
        "Something of yours that was accepted could not be sent, for good. `action` says what: "
        "`send` and `edit` have your `client_txn_id`; all but `send` name the entry that they are "
        "about as `event_id`, and `react` and `unreact` the `key`."
    ),
    "reset": "Your cursor is of no use. Forget what you have, fetch rooms and timelines again.",
    "bye": "The last frame before the bridge closes the stream.",
    "subscribed": (
        "The answer to `subscribe`, on a WebSocket: what comes after it is as you have asked, from "
        "its cursor on and without a gap. `rooms` are those that you are in of the ones you named, "
        "or null for all; `types` are the frames that come, or null for all; `people` is there "
        "where they come by reference."
    ),
    "pong": "The answer to `ping`, on a WebSocket.",
    "error": (
        "The answer to a message that was not understood, or could not be done, on a WebSocket. "
        "Nothing has changed. `fields` says what is wrong where."
    ),
    "heartbeat": "Nothing has happened. When two are missing, the connection is dead.",
}

_RESETS: Final = {
    "malformed_cursor": "This is no cursor of the bridge.",
    "unknown_cursor": "The cursor is of another life of the log, or from beyond its end.",
    "too_far_behind": "More was missed than `limits.replay_entries` allows.",
}

_CLOSES: Final = {
    CloseReason.TOKEN_EXPIRED: "The token behind the stream has expired. Come back with a new one.",
    CloseReason.SLOW_READER: "More than `limits.subscriber_buffer_bytes` were waiting, or "
    "something for longer than `stream.behind_after`. The connection is cut without a last frame.",
    CloseReason.SHUTDOWN: "The bridge stops, most likely to start again.",
    CloseReason.TOO_MANY_STREAMS: "The user has opened more than `limits.streams_per_user`; "
    "the oldest goes.",
    CloseReason.LIFETIME: "The stream has been open for `stream.lifetime`, or up to a tenth less.",
    CloseReason.IDLE: "For `stream.idle_after` there was no sign of the user. Come back when "
    "somebody is there again.",
    CloseReason.TOO_MANY_MESSAGES: "The client has sent more than ten messages a second, and more "
    "than twenty at once.",
    CloseReason.REMOVED: "OpenMeet has removed the user.",
}

_IDLE: Final = """\
A sign of the user is any request with their token, a stream that begins, a ping or a text that the
client sends on the WebSocket, an event of Socket.IO, or a message of theirs from anywhere; pongs
are none, as browsers send them by themselves. It counts for all of the user's streams. A client
that was told `idle` keeps its cursor, waits until somebody touches the page or looks at it again,
and opens the stream then: nothing is missed. One that cannot know may come back at once: an
`EventSource` and a client of Socket.IO do so by themselves, and are let in.
"""

_REFUSALS: Final = """\
## When there is no room

A stream that cannot begin is refused with an error of the usual shape (`M_LIMIT_EXCEEDED`), with
`retry_after_ms` and `Retry-After`; the time differs from one to the next, so that not all come back
at once. Of a client of Socket.IO the transport is dropped, so that it comes back by itself.

| status | limit | come back after |
| --- | --- | --- |
| 503 | the bridge is about to end, or has `limits.streams` open | 2 to 10 s |
| 503 | more begin in a second than `limits.stream_connects_per_second`, and twice as many \
before | 1 to 6 s |
| 429 | `limits.streams_per_address` are open from this address | 5 to 15 s |
| 429 | the user opens more in a second than `limits.stream_connects_per_user`, and twice \
`limits.streams_per_user` before | when the next may, and up to a second |

Too many open streams of one user are no reason to refuse: the oldest goes, with `too_many_streams`.
"""

_ERRORS: Final = """\
Every refused request is answered with one shape:

```json
{
  "errcode": "M_BAD_JSON",
  "error": "A sentence for people.",
  "fields": {"body.body": "what is wrong with this field"},
  "retry_after_ms": 2000
}
```

`fields` and `retry_after_ms` are there only where they say something; with `retry_after_ms` comes
the header `Retry-After`, in seconds. Decide by `errcode`, show `error`.
"""

_SENDING: Final = """\
## Sending again

Whatever you send may be sent again, after whatever answer or none, and happens once. A message or
an edit is known by your `client_txn_id`, for ever: a repeat is answered with what became of the
first one, whatever it says itself. A reaction or a deletion is known by what it is about: a repeat
finds it done. What was sent in a room happens in the order in which the bridge has accepted it.

Only what has failed for good is forgotten, after `limits.outbox_kept` (a month): the same
`client_txn_id` is a new message then.

## What cannot be sent

When the homeserver refuses something for good, its own code is handed on (`M_FORBIDDEN` and
`M_TOO_LARGE` with their usual status, others with 409), in the answer to the request and in the
frame `send.failed`. Two codes are the bridge's own:

* `ORG_OPENMEET_UNCERTAIN`: the homeserver was away so long that the bridge cannot tell whether the
  message was sent before. Look whether it is there, and send it again with a new id if not.
* `ORG_OPENMEET_WITHDRAWN`: you took it back, or deleted what it was about, before it was sent.
"""


def http_page() -> str:
    """Returns the reference page of the HTTP API."""
    document = openapi.assemble()
    schemas = document["components"]["schemas"]
    parts = ["# HTTP API", _made("api", "the handlers in openmeet_bridge/api"), _HTTP]
    for tag in document["tags"]:
        parts.append(f"## {tag['name']}")
        for path, method, operation in _operations(document):
            if tag["name"] in operation["tags"]:
                parts += _operation(path, method, operation, document)
    parts.append("## Types")
    for name, schema in schemas.items():
        # A name that begins with an underscore is a frame's: the page of the streams has it.
        if not name.startswith("_"):
            parts += _type(name, schema)
    return _page(parts)


def streams_page() -> str:
    """Returns the reference page of the streams."""
    parts = ["# Streams", _made("streams", "openmeet_bridge/stream"), _STREAMS, "## Frames"]
    structs = list(FRAME_TYPES.values())
    references, components = msgspec.json.schema_components(
        structs, ref_template="#/components/schemas/{name}"
    )
    for (frame, _), reference in zip(FRAME_TYPES.items(), references, strict=True):
        schema = components.pop(str(reference["$ref"]).rpartition("/")[2], None)
        parts += [f"### {frame}", _MEANINGS[frame]]
        if schema is not None:
            parts.append(_fields(schema))
    parts += ["### heartbeat", _MEANINGS["heartbeat"]]
    parts += ["## Reasons of a reset", table(("reason", "meaning"), _coded(_RESETS))]
    parts += ["## Reasons of an end", _closes(), _IDLE, _REFUSALS, "## Types"]
    for name, schema in components.items():
        parts += _type(name, schema)
    return _page(parts)


def errors_page() -> str:
    """Returns the reference page of the error codes."""
    kinds = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, BridgeError)
    ]
    kinds.sort(key=lambda kind: (kind.default_status, kind.default_errcode))
    rows = (
        (str(kind.default_status), f"`{kind.default_errcode}`", _first(kind))
        for kind in kinds
        if kind is not BridgeError
    )
    failure = ("500", f"`{BridgeError.default_errcode}`", "A mistake inside the bridge.")
    body = table(("status", "errcode", "meaning"), [*rows, failure])
    made = _made("errors", "openmeet_bridge/core/errors.py")
    return _page(["# Errors", made, _ERRORS, "## Codes", body, _SENDING])


def metrics_page() -> str:
    """Returns the reference page of the metrics."""
    kept = (*vars(telemetry).values(), *vars(transport).values())
    own = [one for one in kept if isinstance(one, MetricWrapperBase)]
    rows = []
    for metric in own:
        described = next(iter(metric.describe()))
        suffix = "_total" if described.type == "counter" else ""
        labels = ", ".join(f"`{label}`" for label in metric._labelnames) or "-"
        name = f"`{described.name}{suffix}`"
        rows.append((name, described.type, labels, described.documentation))
    made = _made("metrics", "telemetry.py or matrix/transport.py in openmeet_bridge")
    said = (
        "`GET /metrics` of the operations listener (`listen.operations`), in Prometheus' text "
        "format.\nThe process's own (`process_…`, `python_…`) are there too."
    )
    return _page(["# Metrics", made, said, table(("metric", "type", "labels", "meaning"), rows)])


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def _operation(
    path: str, method: str, operation: Mapping[str, Any], document: Mapping[str, Any]
) -> Iterator[str]:
    yield f"### {method} {path}"
    yield paragraphs(operation["summary"] + "\n\n" + operation.get("description", ""))
    callers = [_CALLERS[name] for one in operation["security"] for name in one]
    yield f"Caller: {' or '.join(callers) or 'anybody'}."
    if rows := list(_parameters(operation, document)):
        yield table(("parameter", "in", "type", ""), rows)
    if "requestBody" in operation:
        yield f"Body: {_content(operation['requestBody'])}."
    answers = operation["responses"].items()
    yield "\n".join(
        line
        for status, answer in answers
        if status not in ("500", "503")
        for line in _answer(status, answer)
    )


def _parameters(
    operation: Mapping[str, Any], document: Mapping[str, Any]
) -> Iterator[tuple[str, str, str, str]]:
    for parameter in operation.get("parameters", ()):
        if "$ref" in parameter:
            continue  # the tenant: said once, at the top
        name = parameter["name"]
        row = next(
            iter(field_rows({"properties": {name: parameter["schema"]}, "required": [name]}))
        )
        optional = "" if parameter.get("required") else "may be left out"
        said = ", ".join(filter(None, [optional, row[2]]))
        meaning = parameter.get("description", "")
        yield row[0], parameter["in"], row[1], ": ".join(filter(None, [said, meaning]))


def _answer(status: str, answer: Mapping[str, Any]) -> Iterator[str]:
    text = paragraphs(answer["description"])
    if int(status) < 400:
        content = _content(answer) if answer.get("content") else ""
        yield f"* **{status}** {text}{' ' + content if content else ''}"
        return
    codes = [line.removeprefix("- ").partition(":")[0] for line in text.splitlines()]
    yield f"* {status}: {', '.join(codes)}"


def _content(part: Mapping[str, Any]) -> str:
    media, content = next(iter(part["content"].items()))
    if media != "application/json":
        return f"`{media}`"
    shown = type_text(content["schema"])
    return "`{}`" if shown == "object" else shown


def _type(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {name}"
    if schema.get("description"):
        yield paragraphs(schema["description"])
    if "enum" in schema:
        yield f"One of {type_text(schema)}."
    elif schema.get("properties"):
        yield _fields(schema)


def _fields(schema: Mapping[str, Any]) -> str:
    return table(("field", "type", ""), field_rows(schema))


def _closes() -> str:
    rows = (
        (f"`{reason}`", "yes" if reason.reconnect else "no", str(reason.ws_code), _CLOSES[reason])
        for reason in CloseReason
    )
    return table(("reason", "come back", "WebSocket code", "meaning"), rows)


def _coded(meanings: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    return ((f"`{word}`", meaning) for word, meaning in meanings.items())


def _first(kind: type[BridgeError]) -> str:
    return paragraphs((inspect.getdoc(kind) or "").partition("\n\n")[0])


def _made(page: str, source: str) -> str:
    return _MADE.format(page, source)


def _page(parts: Iterable[str]) -> str:
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"
