//! Field tables and readers that several connectors share.

use document::Fault;
use streams::{Default, Field, Kind, Node};

const CLIENT_CERTIFICATE: &[Field] = &[
    Field::new("cert", Kind::Text, Default::Text(""), "The certificate, PEM."),
    Field::new("key", Kind::Text, Default::Text(""), "Its private key, PEM.").secret(),
    Field::new("cert_file", Kind::Text, Default::Text(""), "A file with the certificate, PEM."),
    Field::new("key_file", Kind::Text, Default::Text(""), "A file with its private key, PEM."),
    Field::new("password", Kind::Text, Default::Text(""), "Decrypts the private key (PKCS#1 or PKCS#8).")
        .secret(),
];

const TLS_FIELDS: &[Field] = &[
    Field::new("enabled", Kind::Bool, Default::Bool(false), "Whether connections use TLS."),
    Field::new(
        "skip_cert_verify",
        Kind::Bool,
        Default::Bool(false),
        "Takes any certificate of the other side: who it is, is then unknown.",
    ),
    Field::optional(
        "enable_renegotiation",
        Kind::Ignored("renegotiation does not exist in TLS 1.3 and is never offered"),
        "Known from the original.",
    ),
    Field::new(
        "root_cas",
        Kind::Text,
        Default::Text(""),
        "The authorities to trust instead of the system's, PEM.",
    )
    .secret(),
    Field::new(
        "root_cas_file",
        Kind::Text,
        Default::Text(""),
        "A file with the authorities to trust instead of the system's, PEM.",
    ),
    Field::optional(
        "client_certs",
        Kind::List(&Kind::Object(CLIENT_CERTIFICATE)),
        "The certificate to show to the other side; each pair inline or as files.",
    ),
];

/// `TLS` of the streams contract's notation (section 0).
pub(crate) const TLS: Field = Field::object("tls", TLS_FIELDS, "TLS towards the other side.").advanced();

/// The same without `enabled`: for clients whose address says whether it is used.
#[cfg(feature = "schema_registry")]
pub(crate) const TLS_ALWAYS: Field = Field::object(
    "tls",
    TLS_FIELDS.split_at(1).1,
    "TLS towards the other side, for addresses `https://...`.",
)
.advanced();

/// What the field [`TLS`] says.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    pub(crate) skip_verify: bool,
    pub(crate) roots: Option<Pem>,
    pub(crate) client: Option<Identity>,
}

/// PEM text, or the file that holds it.
#[derive(Clone)]
pub(crate) enum Pem {
    Text(String),
    File(String),
}

#[cfg(feature = "tls")]
impl Pem {
    /// Where it is from, for faults; `field` is the field of inline text.
    pub(crate) fn place<'a>(&'a self, field: &'a str) -> &'a str {
        match self {
            Pem::Text(_) => field,
            Pem::File(path) => path,
        }
    }

    /// The text. Blocking.
    #[expect(clippy::disallowed_methods, reason = "called where blocking is allowed")]
    pub(crate) fn read(&self, field: &str) -> Result<Vec<u8>, String> {
        match self {
            Pem::Text(text) => Ok(text.clone().into_bytes()),
            Pem::File(path) => std::fs::read(path).map_err(|fault| format!("{}: {fault}", self.place(field))),
        }
    }

    fn is_file(&self) -> bool {
        matches!(self, Pem::File(_))
    }
}

#[cfg(feature = "tls")]
impl Tls {
    /// Whether what it says may change while the gate runs.
    pub(crate) fn has_files(&self) -> bool {
        let identity = |own: &Identity| own.certificate.is_file() || own.key.is_file();
        self.roots.as_ref().is_some_and(Pem::is_file) || self.client.as_ref().is_some_and(identity)
    }
}

impl std::fmt::Debug for Tls {
    // Keys and passwords are among it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("skip_verify", &self.skip_verify).finish_non_exhaustive()
    }
}

/// A certificate with its key.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: Pem,
    pub(crate) key: Pem,
    pub(crate) password: Option<String>,
}

/// Reads the field `tls`; `None` when TLS is not enabled.
pub(crate) fn tls(component: &Node<'_>) -> Result<Option<Tls>, Fault> {
    match component.get("tls").boolean("enabled")? {
        true => tls_always(component).map(Some),
        false => Ok(None),
    }
}

/// Reads the field `tls`, whether it is enabled or not.
pub(crate) fn tls_always(component: &Node<'_>) -> Result<Tls, Fault> {
    let node = component.get("tls");
    let certificates = node.items("client_certs");
    if certificates.len() > 1 {
        return Err(node.field_fault(
            "client_certs",
            "only one client certificate can be shown to this connector's other side; write one",
        ));
    }
    let client = match certificates.first() {
        None => None,
        Some(pair) => match (pem(pair, "cert", "cert_file")?, pem(pair, "key", "key_file")?) {
            (Some(certificate), Some(key)) => {
                let password = filled(pair, "password")?;
                Some(Identity { certificate, key, password })
            }
            _ => {
                return Err(
                    pair.fault("a client certificate needs `cert` and `key`, or `cert_file` and `key_file`")
                );
            }
        },
    };
    Ok(Tls {
        skip_verify: node.boolean("skip_cert_verify")?,
        roots: pem(&node, "root_cas", "root_cas_file")?,
        client,
    })
}

fn pem(node: &Node<'_>, inline: &str, file: &str) -> Result<Option<Pem>, Fault> {
    Ok(match filled(node, inline)? {
        Some(text) => Some(Pem::Text(text)),
        None => filled(node, file)?.map(Pem::File),
    })
}

/// A text field's value, unless it is empty.
pub(crate) fn filled(node: &Node<'_>, name: &str) -> Result<Option<String>, Fault> {
    Ok(Some(node.text(name)?.into_owned()).filter(|text| !text.is_empty()))
}

/// A list of texts whose members may hold several, with commas between them.
pub(crate) fn comma_list(node: &Node<'_>, name: &str) -> Result<Vec<String>, Fault> {
    let texts = node.texts(name)?;
    let parts = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).map(str::to_owned).collect();
    if parts.is_empty() {
        return Err(node.field_fault(name, format!("`{name}` must name at least one")));
    }
    Ok(parts)
}
