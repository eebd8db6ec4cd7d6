//! What may be written under `socket` and `socket_server`.

use document::Fault;
use streams::fields::AUTO_REPLAY_NACKS;
use streams::files::CODEC as OUTPUT_CODEC;
use streams::scanners::codec::{CODEC, MAX_BUFFER};
use streams::{Default, Field, Kind, Node};

const ADDRESS: Field = Field::required(
    "address",
    Kind::Text,
    "`host:port`, or the path of the socket where `network` is `unix`.",
);

const SCANNER: Field = Field::optional(
    "scanner",
    Kind::Scanner,
    "Cuts what comes from each connection, or in each datagram, into messages; `lines` when it is not written.",
);

/// Input `socket`.
pub(super) static INPUT: [Field; 6] = [
    Field::required("network", Kind::Choice(&["unix", "tcp"]), "Kind of socket."),
    ADDRESS,
    SCANNER,
    CODEC,
    MAX_BUFFER,
    AUTO_REPLAY_NACKS,
];

const TLS: &[Field] = &[
    Field::optional("cert_file", Kind::Text, "A file with the certificate that is shown to clients, PEM."),
    Field::optional("key_file", Kind::Text, "A file with its private key, PEM."),
    Field::new(
        "self_signed",
        Kind::Bool,
        Default::Bool(false),
        "Whether a certificate is made when the input starts, which no client has a reason to trust. For trying things out.",
    ),
];

/// Input `socket_server`.
pub(super) static SERVER: [Field; 8] = [
    Field::required("network", Kind::Choice(&["unix", "tcp", "udp", "tls"]), "Kind of socket."),
    Field::required(
        "address",
        Kind::Text,
        "Where to listen: `host:port`, with port 0 for any that is free, or a path where `network` is `unix`.",
    ),
    Field::optional(
        "address_cache",
        Kind::Cache,
        "The label of a cache resource in which the address is put once it is known, under the label of this input and `_address`, or `socket_server_address` without a label.",
    ),
    Field::object("tls", TLS, "The certificate, where `network` is `tls`."),
    SCANNER,
    CODEC,
    MAX_BUFFER,
    AUTO_REPLAY_NACKS,
];

/// Output `socket`.
pub(super) static OUTPUT: [Field; 3] = [
    Field::required("network", Kind::Choice(&["unix", "tcp", "udp"]), "Kind of socket."),
    ADDRESS,
    OUTPUT_CODEC,
];

/// The host and the port of `address`.
pub(super) fn host_and_port(node: &Node<'_>) -> Result<(String, u16), Fault> {
    let address = node.text("address")?;
    let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    match parts {
        Some((host, port)) if !host.is_empty() => Ok((host.to_owned(), port)),
        _ => Err(node.field_fault("address", format!("`{address}` is no address; write `host:port`"))),
    }
}
