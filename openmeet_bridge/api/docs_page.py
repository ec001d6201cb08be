"""The API's documentation for people: one page made from the OpenAPI document, and the document.

The page needs no script and nothing from another host; its Content-Security-Policy allows exactly
its own style sheet, by hash.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import msgspec
from aiohttp import web

from openmeet_bridge.api.endpoint import Call, Endpoints

ENDPOINTS = Endpoints(tag="Documentation", auth="none")

_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#57606a;--line:#d0d7de;--soft:#f3f5f7;
--link:#0550ae}
@media(prefers-color-scheme:dark){:root{--bg:#0f1318;--fg:#e6edf3;--dim:#9aa6b2;--line:#323b45;
--soft:#181e25;--link:#79b8ff}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem;max-width:62rem;background:var(--bg);color:var(--fg);
font:1rem/1.55 system-ui,sans-serif}
a{color:var(--link)}
a:focus-visible,summary:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-999rem}.skip:focus{position:static}
code{font:.9em ui-monospace,monospace;overflow-wrap:anywhere}
h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}
h4{margin:1.2rem 0 .3rem}
article{margin:1rem 0;padding:1rem;border:1px solid var(--line);border-radius:.5rem}
article h3{margin:0 0 .4rem;font-size:1.05rem}
.method{display:inline-block;min-width:4rem;font-weight:700}
.who,.dim{color:var(--dim)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th,td{padding:.35rem .6rem;border:1px solid var(--line);text-align:left;vertical-align:top}
th{background:var(--soft)}
td p,td ul{margin:0}td ul{padding-left:1.1rem}
nav ul{columns:20rem;padding-left:1.2rem}
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} API</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the endpoints</a>
<header><h1>{title} API, version {version}</h1>{description}
<p>For programs: <a href="openapi.json">the OpenAPI 3.1 document</a>.</p></header>
<nav aria-label="Endpoints"><ul>{contents}</ul></nav>
<main id="main">{chapters}<section aria-labelledby="shapes"><h2 id="shapes">Shapes</h2>{shapes}
</section></main>
</body>
</html>
"""

_AUDIENCE = {
    "userToken": "a user's token",
    "userCookie": "the session cookie",
    "streamTicket": "a stream ticket",
    "serviceKey": "a service key of the tenant",
}

Json = Mapping[str, Any]


class DocumentationApi:
    """Serves the document and its page; both are made once.

    Args:
        document: The OpenAPI document.
    """

    def __init__(self, document: Json) -> None:
        self._json = msgspec.json.encode(document)
        self._page = render(document).encode()
        self._policy = content_security_policy()

    @ENDPOINTS.get("/api/v1/openapi.json", success={200: "The document."})
    async def openapi_document(self, call: Call[None, None, None, None]) -> web.Response:
        """This API as an OpenAPI 3.1 document."""
        return web.Response(body=self._json, content_type="application/json")

    @ENDPOINTS.get("/api/v1/docs", success={200: "The page."}, produces="text/html")
    async def docs(self, call: Call[None, None, None, None]) -> web.Response:
        """This API as a page for people."""
        response = web.Response(body=self._page, content_type="text/html", charset="utf-8")
        response.headers["Content-Security-Policy"] = self._policy
        return response


def content_security_policy() -> str:
    """Returns the policy under which the page works: its own style sheet and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )


def render(document: Json) -> str:
    """Returns the page of an OpenAPI document, as HTML."""
    operations = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    tags = [tag["name"] for tag in document["tags"]]
    return _PAGE.format(
        title=escape(document["info"]["title"]),
        version=escape(document["info"]["version"]),
        description=_prose(document["info"]["description"]),
        style=_STYLE,
        contents="".join(_entry(*operation) for operation in operations),
        chapters="".join(_chapter(tag, operations, document) for tag in tags),
        shapes="".join(_shape(*item) for item in document["components"]["schemas"].items()),
    )


def _entry(method: str, path: str, operation: Json) -> str:
    name = escape(operation["operationId"])
    return f'<li><a href="#{name}"><code>{method.upper()} {escape(path)}</code></a></li>'


def _chapter(tag: str, operations: Iterable[tuple[str, str, Json]], document: Json) -> str:
    articles = "".join(
        _article(method, path, operation, document)
        for method, path, operation in operations
        if tag in operation["tags"]
    )
    anchor = "tag-" + re.sub(r"\W+", "-", tag.lower())
    return f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">{escape(tag)}</h2>{articles}' + (
        "</section>"
    )


def _article(method: str, path: str, operation: Json, document: Json) -> str:
    name = escape(operation["operationId"])
    parts = [
        f'<article aria-labelledby="{name}"><h3 id="{name}"><code>',
        f'<span class="method">{method.upper()}</span> {escape(path)}</code></h3>',
        f"<p>{_inline(operation['summary'])}</p>",
        _prose(operation.get("description", "")),
        f'<p class="who">Needs {_audience(operation["security"])}.</p>',
        _parameters(operation.get("parameters", ()), document),
    ]
    if body := operation.get("requestBody"):
        parts.append(f"<h4>Body</h4><p>{_content(body['content'])}</p>")
    if frames := operation.get("x-frames"):
        rows = ((f"<code>{escape(kind)}</code>", _type(schema)) for kind, schema in frames.items())
        parts.append("<h4>Frames</h4>" + _table(("Frame", "Shape"), rows))
    parts.append("<h4>Answers</h4>" + _answers(operation["responses"]) + "</article>")
    return "".join(parts)


def _audience(security: Iterable[Json]) -> str:
    known = [_AUDIENCE.get(scheme, scheme) for choice in security for scheme in choice]
    return escape(" or ".join(known)) or "no credentials"


def _parameters(parameters: Iterable[Json], document: Json) -> str:
    resolved = [_resolved(parameter, document) for parameter in parameters]
    rows = [
        (
            f"<code>{escape(item['name'])}</code>",
            escape(item["in"]) + ("" if item.get("required") else ", optional"),
            _type(item["schema"]),
            _inline(item.get("description", "")),
        )
        for item in resolved
    ]
    return "<h4>Parameters</h4>" + _table(("Name", "In", "Type", "Meaning"), rows) if rows else ""


def _resolved(parameter: Json, document: Json) -> Json:
    if "$ref" not in parameter:
        return parameter
    found: Json = document["components"]["parameters"][parameter["$ref"].rpartition("/")[2]]
    return found


def _answers(responses: Json) -> str:
    rows = (
        (
            escape(status),
            _prose(answer["description"]),
            _content(answer.get("content", {})),
        )
        for status, answer in responses.items()
    )
    return _table(("Status", "Meaning", "Body"), rows)


def _content(content: Json) -> str:
    return "<br>".join(
        f"{_type(item['schema'])} <span class=dim>{escape(kind)}</span>"
        for kind, item in content.items()
    )


def _shape(name: str, schema: Json) -> str:
    heading = f'<article aria-labelledby="shape-{escape(name)}"><h3 id="shape-{escape(name)}">'
    required = schema.get("required", ())
    rows = [
        (
            f"<code>{escape(field)}</code>",
            _type(inner) + ("" if field in required else " <span class=dim>optional</span>"),
            _inline(inner.get("description", "")),
        )
        for field, inner in schema.get("properties", {}).items()
    ]
    table = _table(("Field", "Type", "Meaning"), rows) if rows else f"<p>{_type(schema)}</p>"
    prose = _prose(schema.get("description", ""))
    return f"{heading}<code>{escape(name)}</code></h3>{prose}{table}</article>"


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#shape-{name}"><code>{name}</code></a>'
    if "anyOf" in schema:
        return " or ".join(_type(choice) for choice in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    kind = escape(str(schema.get("type", "any")))
    if "items" in schema:
        return f"{kind} of {_type(schema['items'])}"
    return kind + escape(_limits(schema))


def _limits(schema: Json) -> str:
    names = ("minimum", "maximum", "minLength", "maxLength", "pattern", "default")
    said = [f"{name} {schema[name]}" for name in names if schema.get(name) is not None]
    return f" ({', '.join(said)})" if said else ""


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _prose(text: str) -> str:
    return "".join(_paragraph(part) for part in text.split("\n\n") if part.strip())


def _paragraph(text: str) -> str:
    lines = text.strip().splitlines()
    if all(line.startswith("- ") for line in lines):
        return f"<ul>{''.join(f'<li>{_inline(line[2:])}</li>' for line in lines)}</ul>"
    return f"<p>{_inline(text.strip())}</p>"


def _inline(text: str) -> str:
    return re.sub(r"``?([^`]+)``?", r"<code>\1</code>", escape(text))
