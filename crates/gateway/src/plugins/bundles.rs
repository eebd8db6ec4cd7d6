//! Bundles that definitions name: fetched once, checked, kept.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apidef::Target;
use http::StatusCode;
use parking_lot::Mutex;
use plugins::bundle::{self, Bundle};

use super::PluginSettings;
use crate::backend::upstream::UpstreamSettings;
use crate::fetch::{self, Ask, FetchError};

/// Largest bundle, packed, in bytes.
const LARGEST: usize = 32 << 20;
/// Fetching one takes no longer, however often it is asked for: changes wait for it.
const LONGEST: Duration = Duration::from_secs(10);

/// How often a server that is away or overwhelmed is asked, and after which pause at first; each one is twice as long as the
/// one before.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(100);

/// A bundle, or why it is not to be had.
type Had = Result<Arc<Bundle>, String>;

/// The bundles of this gate by name.
#[derive(Debug, Default)]
pub(crate) struct Bundles(Mutex<HashMap<Box<str>, Had>>);

impl Bundles {
    /// A bundle that was fetched.
    pub(super) fn known(&self, name: &str) -> Result<Arc<Bundle>, String> {
        let known = self.0.lock().get(name).cloned();
        known.unwrap_or_else(|| Err("it was not fetched".to_owned()))
    }

    /// Fetches a bundle, unless it is there. What failed before is tried again.
    pub(crate) async fn fetch(&self, name: &str, settings: &PluginSettings, upstream: &UpstreamSettings) {
        if self.0.lock().get(name).is_some_and(Had::is_ok) {
            return;
        }
        let fetched = fetched(name, settings, upstream).await.map(Arc::new);
        if let Err(why) = &fetched {
            tracing::error!(bundle = name, why, "a bundle of plugins cannot be used");
        }
        self.0.lock().insert(name.into(), fetched);
    }

    /// Forgets those that no definition names.
    pub(crate) fn keep<'a>(&self, names: impl Iterator<Item = &'a str>) {
        let names: Vec<&str> = names.collect();
        self.0.lock().retain(|name, _| names.contains(&&**name));
    }
}

async fn fetched(
    name: &str,
    settings: &PluginSettings,
    upstream: &UpstreamSettings,
) -> Result<Bundle, String> {
    if !settings.bundles {
        return Err(
            "bundles are switched off: set `enable_bundle_downloader` in the configuration".to_owned()
        );
    }
    let address = format!("{}/{name}", settings.bundle_base.trim_end_matches('/'));
    let archive = match address.strip_prefix("file://") {
        Some(path) => local(PathBuf::from(path)).await?,
        None => remote(&address, settings, upstream).await?,
    };
    // Unpacking computes for a while.
    let signer = settings.signer.clone();
    let read = tokio::task::spawn_blocking(move || bundle::read(&archive, signer.as_ref())).await;
    read.map_err(|why| why.to_string())?.map_err(|why| why.to_string())
}

async fn remote(
    address: &str,
    settings: &PluginSettings,
    upstream: &UpstreamSettings,
) -> Result<Vec<u8>, String> {
    let shown = Target::shown(address);
    let target = Target::parse(address).map_err(|why| format!("`{shown}`: the URL {why}"))?;
    let (mut tried, mut pause) = (0, PAUSE);
    let begun = Instant::now();
    loop {
        tried += 1;
        let ask = Ask::get(target.clone()).within(LONGEST.saturating_sub(begun.elapsed()), LARGEST);
        let (why, may_pass) = match fetch::send(upstream, settings.bundle_insecure, ask).await {
            Ok(answer) if answer.status.is_success() => return Ok(answer.body.to_vec()),
            Ok(answer) => (
                format!("`{shown}` answers {}", answer.status),
                answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS,
            ),
            Err(why) => (
                format!("`{shown}` cannot be fetched: {why}"),
                matches!(why, FetchError::Dial(_) | FetchError::Broken(_)),
            ),
        };
        if !may_pass || tried == TRIES || begun.elapsed() + pause >= LONGEST {
            return Err(why);
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

async fn local(path: PathBuf) -> Result<Vec<u8>, String> {
    let unreadable = |why: &dyn std::fmt::Display| format!("`{}` cannot be read: {why}", path.display());
    let size = tokio::fs::metadata(&path).await.map_err(|why| unreadable(&why))?.len();
    if size > LARGEST as u64 {
        return Err(unreadable(&format_args!("it is larger than {LARGEST} bytes")));
    }
    tokio::fs::read(&path).await.map_err(|why| unreadable(&why))
}
