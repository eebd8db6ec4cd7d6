//! The catalog that the settings name, and the commands that work on catalogs.

mod cli;
mod copy;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use state::{Address, Catalog, CatalogOptions, PolicySource, Secret};

pub(crate) use self::cli::CatalogCommand;
use crate::config::{Config, Variables};

/// Does what is asked of catalogs.
pub(crate) fn catalog(command: &CatalogCommand) -> ExitCode {
    let variables: Variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("the TLS provider was there already");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(copy::run(command, &variables)),
        Err(error) => Err(format!("cannot start worker threads: {error}")),
    };
    let (said, code) = match outcome {
        Ok(said) => (io::stdout().lock().write_all(said.as_bytes()), ExitCode::SUCCESS),
        Err(error) => (writeln!(io::stderr().lock(), "error: {error}"), ExitCode::FAILURE),
    };
    // Nowhere left to tell it.
    if said.is_ok() { code } else { ExitCode::FAILURE }
}

/// The catalog of a gate. Nothing is connected yet.
///
/// # Errors
/// When the settings name none, in words without secrets.
pub(crate) fn open(config: &Config) -> Result<Catalog, String> {
    let Some((setting, url)) = url(config) else {
        return Ok(Catalog::files(&config.app_path, policy_source(config)));
    };
    let fault = |error| format!("`{setting}`: {error}");
    let address = Address::parse(url.expose()).map_err(fault)?;
    let options = CatalogOptions {
        name: config.catalog.name.clone(),
        timeout: config.catalog.timeout,
        poll: config.catalog.poll_interval,
        create: true,
        ..CatalogOptions::default()
    };
    let catalog = Catalog::open(&address, &options).map_err(fault)?;
    let segment = &config.db_app_conf_options;
    let tags: &[String] = if segment.node_is_segmented { &segment.tags } else { &[] };
    tracing::info!(engine = catalog.engine(), place = catalog.place(), ?tags, "definitions are in a catalog");
    Ok(catalog.with_tags(tags))
}

/// The address of the catalog, and the setting that it is from.
fn url(config: &Config) -> Option<(&'static str, &Secret)> {
    if !config.catalog.url.is_empty() {
        return Some(("catalog.url", &config.catalog.url));
    }
    let other = &config.db_app_conf_options.connection_string;
    (config.use_db_app_configs && !other.is_empty() && !is_dashboard(other))
        .then_some(("db_app_conf_options.connection_string", other))
}

fn is_dashboard(url: &Secret) -> bool {
    let url = url.expose().to_ascii_lowercase();
    url.starts_with("http://") || url.starts_with("https://")
}

/// What an operator should know who expects definitions or policies from elsewhere.
pub(crate) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let catalog = url(config).is_some();
    let segment = &config.db_app_conf_options;
    if config.use_db_app_configs && !catalog {
        warnings.push(
            "`use_db_app_configs`: no dashboard is read from, definitions are those of `app_path`; \
             set `catalog.url` to a database"
                .to_owned(),
        );
    }
    if matches!(config.policies.policy_source.as_str(), "service" | "rpc") && !catalog {
        warnings.push(
            "`policies.policy_source`: no policy is read from a server, only from files, or with `catalog.url` \
             from a database"
                .to_owned(),
        );
    }
    if segment.node_is_segmented && !catalog {
        warnings.push(
            "`db_app_conf_options.node_is_segmented`: the APIs of `app_path` are all loaded, whatever their tags; \
             only those of `catalog.url` are selected"
                .to_owned(),
        );
    }
    if segment.node_is_segmented && catalog && segment.tags.is_empty() {
        warnings.push(
            "`db_app_conf_options.node_is_segmented`: there are no `tags`, so every API is loaded".to_owned(),
        );
    }
    warnings
}

fn policy_source(config: &Config) -> PolicySource {
    let policies = &config.policies;
    if !policies.policy_path.is_empty() {
        PolicySource::Folder(PathBuf::from(&policies.policy_path))
    } else if !policies.policy_record_name.is_empty() {
        PolicySource::File(PathBuf::from(&policies.policy_record_name))
    } else {
        PolicySource::None
    }
}
