"""What to do about what stands between browsers and the bridge, proxy by proxy."""

from __future__ import annotations

from typing import Final, NamedTuple

from ..finding import Finding, fail, warn


class Advice(NamedTuple):
    """What to do.

    Attributes:
        fix: In one sentence.
        settings: The settings that are meant, a line for each kind of proxy.
    """

    fix: str
    settings: tuple[str, ...] = ()


def failed(check: str, text: str, advice: Advice) -> Finding:
    """Return what does not work, with the settings to look at."""
    return fail(check, text, advice.fix, list(advice.settings))


def warned(check: str, text: str, advice: Advice) -> Finding:
    """Return what works, and would better be mended."""
    return warn(check, text, advice.fix, list(advice.settings))


ADDRESS: Final = Advice("look at the address, at the name's DNS record and at the firewall")

CERTIFICATE: Final = Advice(
    "give the proxy a certificate of this name, or name yours with --ca-file"
)

UPSTREAM: Final = Advice(
    "start the bridge, and let the proxy lead to listen.public",
    (
        "nginx: proxy_pass, and its error log",
        "Caddy: reverse_proxy, and its log",
        "HAProxy: the `server` lines, and `show servers state`",
        "Cloudflare: errors 520 to 527 speak of the way from there to your proxy",
    ),
)

ROUTE: Final = Advice(
    "let the proxy send these paths to the bridge as they are",
    (
        "nginx: location /api/v1/ { proxy_pass http://BRIDGE; }, without a path behind the name",
        "Caddy: handle, and not handle_path, which takes the beginning of the path away",
        "HAProxy: use_backend with path_beg; no http-request replace-path or set-path",
        "Cloudflare: no redirect or transform rule, no challenge and no Access for these paths",
    ),
)

ERROR_PAGES: Final = Advice(
    "let the bridge's own errors through: clients decide by what is in them",
    (
        "nginx: proxy_intercept_errors off;",
        "Caddy: no handle_response in reverse_proxy that replaces answers",
        "HAProxy: no http-response return, and no errorfile for 401",
        "Cloudflare: no custom errors for these paths; Origin Error Page Pass-thru on",
    ),
)

BUFFERING: Final = Advice(
    "let the proxy pass on at once what comes from the bridge",
    (
        "nginx: proxy_buffering off; no proxy_ignore_headers X-Accel-Buffering; no gzip for "
        "text/event-stream",
        "Caddy: reverse_proxy does it by itself; no response_buffers; no encode for "
        "text/event-stream",
        "HAProxy: option http-no-delay; no filter compression for text/event-stream",
        "Cloudflare: no Response Body Buffering and no compression for these paths; not through a "
        "quick tunnel",
    ),
)

COMPRESSION: Final = Advice(
    "do not compress text/event-stream: a compressor waits for more before it lets anything go",
    (
        "nginx: text/event-stream not in gzip_types or brotli_types, and no * there",
        "Caddy: encode with a `match` that leaves text/event-stream out",
        "HAProxy: compression type without text/event-stream",
        "Cloudflare: a compression rule with `No compression` for these paths",
    ),
)

CACHING: Final = Advice(
    "let no cache and no filter touch these answers",
    (
        "nginx: proxy_cache off; no proxy_hide_header Cache-Control; no expires",
        "Caddy: no header directive that replaces Cache-Control",
        "HAProxy: no http-request cache-use; no http-response set-header Cache-Control",
        "Cloudflare: a cache rule with `Bypass cache` for these paths",
    ),
)

IDLE: Final = Advice(
    "let a connection be silent for longer than stream.heartbeat, and live for hours",
    (
        "nginx: proxy_read_timeout 75s; and proxy_send_timeout 75s; or more",
        "Caddy: no read_timeout or response_header_timeout in transport http, no write timeout "
        "under servers",
        "HAProxy: timeout client and timeout server 75s or more, timeout tunnel 1h for WebSocket",
        "Cloudflare: 100 s of silence are the end, which heartbeats prevent; load balancers of "
        "clouds have a limit for the whole answer besides: raise it",
    ),
)

HEARTBEATS: Final = Advice(
    "let everything through that comes on a stream, small and empty as it may be",
    (
        "nginx: no sub_filter and no body filter of a module for text/event-stream",
        "Caddy: no replacement or transforming handler for these paths",
        "HAProxy: no filter, SPOE or Lua that rewrites bodies of these paths",
        "Cloudflare: no Worker that rewrites the stream; or stream.heartbeat is longer than the "
        "watch: give --patience",
    ),
)

UPGRADE: Final = Advice(
    "let the upgrade to WebSocket through",
    (
        "nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header "
        "Connection $connection_upgrade; with its map",
        "Caddy: reverse_proxy does it by itself; no header_up -Upgrade or -Connection",
        "HAProxy: mode http does it by itself; no option httpclose, no http-request del-header "
        "Upgrade",
        "Cloudflare: Network, WebSockets: on",
    ),
)

FRAMES: Final = Advice(
    "let what is said on a WebSocket through as it is",
    (
        "nginx: no other module on this location",
        "Caddy: no other handler before reverse_proxy",
        "HAProxy: timeout tunnel 1h; no inspection of these connections",
        "Cloudflare: no Worker that answers in place of the bridge",
    ),
)

PASSING: Final = Advice(
    "let the query and the header Last-Event-ID reach the bridge: without them, what was missed "
    "is lost",
    (
        "nginx: proxy_pass without $uri behind the name, or with $is_args$args; no "
        'proxy_set_header Last-Event-ID ""; no proxy_pass_request_headers off',
        "Caddy: no rewrite without the query; no header_up -Last-Event-ID",
        "HAProxy: no http-request set-query or del-header Last-Event-ID",
        "Cloudflare: no transform rule on the query or on request headers; no cached answer",
    ),
)

STICKY: Final = Advice(
    "let all requests of one client reach the same process, or take polling out of "
    "web_app.transports",
    (
        "nginx: hash $remote_addr consistent; in the upstream",
        "Caddy: lb_policy cookie, or ip_hash",
        "HAProxy: balance source, or cookie SERVER insert",
        "Cloudflare: session affinity of the load balancer",
    ),
)

KEEP_ALIVE: Final = Advice(
    "let a connection be used again after an answer",
    (
        "nginx: keepalive_timeout above 0",
        "Caddy: nothing is to be set",
        "HAProxy: option http-keep-alive",
        "Cloudflare: nothing is to be set",
    ),
)

SLOW_START: Final = Advice(
    "wait for a request that comes in pieces: phones send them so",
    (
        "nginx: client_header_timeout 10s; or more",
        "Caddy: read_header 10s or more under servers, timeouts",
        "HAProxy: timeout http-request 10s or more",
        "Cloudflare: nothing is to be set",
    ),
)

OLD_HTTP: Final = Advice(
    "nothing, unless a proxy that speaks HTTP/1.0 stands before this address, as nginx does "
    "without proxy_http_version 1.1;"
)

BRIDGE: Final = Advice("see the bridge's log at this time; where it says nothing, report this")
