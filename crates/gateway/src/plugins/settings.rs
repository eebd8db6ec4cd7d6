//! What the configuration says of plugins.

use std::path::PathBuf;

use plugins::bundle::Signer;
use plugins::{grpc, javascript, python};

/// What the configuration says of plugins (contract 1.3).
#[derive(Debug, Clone, Default)]
pub struct PluginSettings {
    /// Scripts may run (`enable_jsvm`).
    pub javascript: bool,
    /// What they may take (`jsvm_timeout`).
    pub limits: javascript::Limits,
    /// Where files of plugins are (`middleware_path`).
    pub folder: PathBuf,
    /// Plugins in Lua, Python and WebAssembly may run, and servers of plugins may be asked (`coprocess_options.enable_coprocess`).
    pub coprocess: bool,
    /// What runs Python (`coprocess_options`).
    pub python: python::Settings,
    /// What is loaded before the scripts of every API (`tyk_js_path`).
    pub for_all: Option<PathBuf>,
    /// No virtual endpoint has its code in the definition (`disable_virtual_path_blobs`).
    pub refuse_inline: bool,
    /// Servers of plugins (`coprocess_options`).
    pub servers: Option<grpc::Settings>,
    /// Bundles may be used (`enable_bundle_downloader`).
    pub bundles: bool,
    /// Where they are fetched from (`bundle_base_url`): `file:`, `http:` or `https:`.
    pub bundle_base: String,
    /// Whoever that server is, it is believed (`bundle_insecure_skip_verify`).
    pub bundle_insecure: bool,
    /// Who must have signed them (`public_key_path`).
    pub signer: Option<Signer>,
}
