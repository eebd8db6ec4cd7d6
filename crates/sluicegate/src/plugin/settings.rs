//! What the configuration says of plugins, for the gate.

use std::time::Duration;

use gateway::PluginSettings;
use plugins::bundle::Signer;
use plugins::{grpc, javascript, python};

use crate::config::Config;

/// Largest message to and from servers of plugins where the configuration names none, in bytes.
const USUAL_MESSAGE: usize = 4 << 20;

/// # Errors
/// The key of `public_key_path` cannot be used.
pub(crate) fn settings(config: &Config) -> Result<PluginSettings, String> {
    let usual = javascript::Limits::default();
    let time = if config.jsvm_timeout.is_zero() { usual.time } else { config.jsvm_timeout };
    let options = &config.coprocess_options;
    let message = |size: usize| if size == 0 { USUAL_MESSAGE } else { size };
    let limits = javascript::Limits { time, ..usual };
    let (version, path) = (&options.python_version, &options.python_path_prefix);
    Ok(PluginSettings {
        javascript: config.enable_jsvm,
        limits,
        coprocess: options.enable_coprocess,
        python: python::Settings {
            program: if version.is_empty() { "python3".to_owned() } else { format!("python{version}") },
            path: (!path.is_empty()).then(|| path.into()),
            limits,
        },
        folder: config.middleware_path.as_str().into(),
        for_all: (!config.tyk_js_path.is_empty()).then(|| config.tyk_js_path.as_str().into()),
        refuse_inline: config.disable_virtual_path_blobs,
        servers: options.enable_coprocess.then(|| grpc::Settings {
            servers: options.coprocess_grpc_server.clone(),
            authority: options.grpc_authority.clone(),
            largest_answer: message(options.grpc_recv_max_size),
            largest_question: message(options.grpc_send_max_size),
            time: Duration::from_secs(30),
        }),
        bundles: config.enable_bundle_downloader,
        bundle_base: config.bundle_base_url.clone(),
        bundle_insecure: config.bundle_insecure_skip_verify,
        signer: crate::public_key::of(config, Signer::new)?,
    })
}
