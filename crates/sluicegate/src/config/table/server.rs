//! `http_server_options`: the listener towards clients.

use super::{COUNT, Key, Kind::*, TLS_VERSION, acted, idle};

pub(super) static KEYS: &[Key] = &[
    acted(
        "http_server_options.read_timeout",
        Seconds,
        "120",
        "How long a client may take to send a request's head, and may stop in the middle of a body; a body that is not of gRPC has to bring 200 bytes a second in that time (408 otherwise) until its answer begins. Guards that look at a body wait so long for the whole. Long-lived answers (SSE, WebSocket) are not cut by it.",
    ),
    acted(
        "http_server_options.write_timeout",
        Seconds,
        "120",
        "How long a client may take to accept the next part of an answer. Open SSE and WebSocket connections are not cut by it.",
    ),
    acted("http_server_options.use_ssl", Bool, "", "Listen with TLS."),
    acted(
        "http_server_options.enable_http2",
        Bool,
        "",
        "Offer HTTP/2 over TLS. Without TLS, HTTP/2 with prior knowledge (h2c) is understood.",
    ),
    acted(
        "http_server_options.enable_strict_routes",
        Bool,
        "",
        "A listen path `/app` matches `/app` and `/app/...`, not `/apple`.",
    ),
    acted(
        "http_server_options.enable_path_prefix_matching",
        Bool,
        "",
        "Anchor endpoint patterns at their start.",
    ),
    acted(
        "http_server_options.enable_path_suffix_matching",
        Bool,
        "",
        "Anchor endpoint patterns at their end.",
    ),
    acted("http_server_options.enable_websockets", Bool, "", "Let WebSocket upgrades through."),
    acted(
        "http_server_options.certificates",
        Rows(&["domain_name", "cert_file", "key_file"]),
        "",
        "Certificates of the listener, as PEM files. The name that a client asks for (SNI) chooses.",
    ),
    acted(
        "http_server_options.ssl_certificates",
        Texts,
        "",
        "Certificates of the listener: paths of PEM files that hold certificate and key.",
    ),
    acted(
        "http_server_options.min_version",
        TLS_VERSION,
        "",
        "Lowest TLS version: 771 is TLS 1.2 (the default, and the lowest there is), 772 is TLS 1.3.",
    ),
    acted(
        "http_server_options.max_version",
        TLS_VERSION,
        "",
        "Highest TLS version: 771 or 772 (the default).",
    ),
    acted(
        "http_server_options.max_request_body_size",
        COUNT,
        "",
        "Largest request body in bytes, for all APIs and the admin API; 413 above it. 0 sets no limit, but for bodies that are looked at whole: 32 MiB.",
    ),
    acted("http_server_options.skip_url_cleaning", Bool, "", "Keep `//` and dot segments in request paths."),
    acted(
        "http_server_options.xff_depth",
        COUNT,
        "",
        "Which address of X-Forwarded-For is the client's: 0 the first, n the n-th from the right.",
    ),
    idle("http_server_options.server_name", Text, "Has no meaning for a listener in `tyk.conf` either."),
    idle(
        "http_server_options.ssl_insecure_skip_verify",
        Bool,
        "Has no meaning for a listener in `tyk.conf` either: APIs judge the certificates of their clients.",
    ),
    acted(
        "http_server_options.ssl_ciphers",
        Texts,
        "",
        "Cipher suites of TLS 1.2 that are offered, by their names in the registry of IANA. Empty means all that are good; those of TLS 1.3 are offered in any case.",
    ),
    idle(
        "http_server_options.skip_client_ca_announcement",
        Bool,
        "No authority is announced in the handshake: clients may show any certificate.",
    ),
    idle(
        "http_server_options.skip_target_path_escaping",
        Bool,
        "The bytes of a path are forwarded as they came, in any case.",
    ),
    acted(
        "http_server_options.max_response_body_size",
        COUNT,
        "",
        "Largest answer in bytes that is looked at or changed whole; 500 above it. 0 means 32 MiB. Other answers are passed on as they come, however large.",
    ),
    idle("http_server_options.flush_interval", COUNT, "Answers are passed on as they arrive."),
    idle("http_server_options.override_defaults", Bool, "Has no meaning in `tyk.conf` either."),
];
