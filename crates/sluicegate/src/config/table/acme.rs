//! `acme`: certificates of the listener that are obtained from a directory.

use super::{Key, Kind::*, PORT, ours};

pub(super) static KEYS: &[Key] = &[
    ours(
        "acme.domains",
        Texts,
        "",
        "Names of hosts whose certificates are obtained from an ACME directory and renewed; each gets one of its own. Needs `http_server_options.use_ssl`. Whoever sets this agrees to the terms of the directory.",
    ),
    ours(
        "acme.directory",
        Text,
        "\"https://acme-v02.api.letsencrypt.org/directory\"",
        "Address of the directory (RFC 8555).",
    ),
    ours("acme.email", Text, "", "Whom the directory writes to. Told when the account is made."),
    ours(
        "acme.challenge",
        Choice(&["tls-alpn-01", "http-01"]),
        "\"tls-alpn-01\"",
        "How a name is proved: `tls-alpn-01` by the TLS listener, which must be reached at port 443 of the name; `http-01` by a page, which must be reached at port 80.",
    ),
    ours(
        "acme.http_port",
        PORT,
        "",
        "A port without TLS that answers what a directory asks by `http-01`, and nothing else. 0: none; then whatever is in front must pass `/.well-known/acme-challenge/` on to `listen_port`.",
    ),
    ours(
        "acme.ca_file",
        Text,
        "",
        "PEM file of the authorities that the directory's own certificate is checked with, for private directories.",
    ),
    ours(
        "acme.renew_before",
        Seconds,
        "",
        "How long before its end a certificate is renewed, but never before half its time is over. 0: after two thirds of its time.",
    ),
    ours(
        "acme.external_account.id",
        Text,
        "",
        "Id of the account elsewhere that directories of companies ask for (external account binding).",
    ),
    ours("acme.external_account.key", Secret, "", "Its key, as base64url."),
];
