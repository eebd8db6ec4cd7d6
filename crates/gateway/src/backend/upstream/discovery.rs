//! Targets that another server tells (contract 4.6, "Service discovery"). What was told last is used while it is asked
//! again, and for as long as it has no better answer.

use std::sync::Arc;
use std::time::Duration;

use apidef::{Discovery as Model, Kept, Target};
use arc_swap::ArcSwapOption;
use http::StatusCode;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::destination::Destinations;
use crate::auth::Flights;
use crate::fetch::{self, Ask};
use crate::gate::Gate;

/// How long an answer may take, and how large it may be.
const PATIENCE: Duration = Duration::from_secs(5);
const LARGEST: usize = 1 << 20;
/// How long a failure is believed, so that a broken server is not asked for every request.
const FAILED: Duration = Duration::from_secs(1);

/// Who tells the targets of an upstream, and what was told.
pub(super) struct Discovery {
    model: Model,
    /// What the targets have in common.
    upstream: apidef::Upstream,
    found: ArcSwapOption<Found>,
    asking: Flights<Option<Arc<Destinations>>>,
    /// Held by the task that asks aside.
    aside: Arc<Semaphore>,
}

struct Found {
    /// `None` where nothing good was told yet.
    destinations: Option<Arc<Destinations>>,
    /// It is asked again from then on.
    until: Instant,
    /// And has to be waited for from then on.
    at_most: Instant,
}

impl Discovery {
    pub(super) fn new(model: &Model, upstream: &apidef::Upstream) -> Arc<Self> {
        Arc::new(Self {
            model: model.clone(),
            upstream: upstream.clone(),
            found: ArcSwapOption::empty(),
            asking: Flights::new(1),
            aside: Arc::new(Semaphore::new(1)),
        })
    }

    /// The servers as they were told; `None` where that never went well.
    pub(super) async fn destinations(self: &Arc<Self>, gate: &Arc<Gate>) -> Option<Arc<Destinations>> {
        let now = Instant::now();
        if let Some(found) = self.found.load_full() {
            if now < found.until {
                return found.destinations.clone();
            }
            if now < found.at_most && found.destinations.is_some() {
                if let Ok(permit) = Arc::clone(&self.aside).try_acquire_owned() {
                    let (this, gate) = (Arc::clone(self), Arc::clone(gate));
                    tokio::spawn(async move {
                        this.ask(&gate).await;
                        drop(permit);
                    });
                }
                return found.destinations.clone();
            }
        }
        let ask = || {
            let (this, gate) = (Arc::clone(self), Arc::clone(gate));
            async move { this.ask(&gate).await }
        };
        self.asking.join([0; 32], ask).await.flatten()
    }

    async fn ask(&self, gate: &Gate) -> Option<Arc<Destinations>> {
        let before = self.found.load_full().and_then(|found| found.destinations.clone());
        let (destinations, lifetime) = match self.told(gate, before.as_deref()).await {
            Ok(destinations) => {
                let lifetime = match self.model.kept {
                    Kept::Usual => gate.settings.discovered_for,
                    Kept::For(time) => time,
                    Kept::Not => Duration::ZERO,
                };
                (Some(Arc::new(destinations)), lifetime)
            }
            Err(why) => {
                tracing::warn!(endpoint = %self.model.endpoint, why, "targets cannot be discovered; the last ones are used");
                (before, FAILED)
            }
        };
        let now = Instant::now();
        // What is not kept is never used for a later request, nor while another is asked for.
        let (until, at_most) = (now + lifetime, now + lifetime + lifetime);
        self.found.store(Some(Arc::new(Found { destinations: destinations.clone(), until, at_most })));
        destinations
    }

    async fn told(&self, gate: &Gate, before: Option<&Destinations>) -> Result<Destinations, String> {
        let targets = look_up(gate, &self.model).await?;
        Destinations::of(&targets, &self.upstream, gate, before)
    }
}

/// Asks for targets.
pub(crate) async fn look_up(gate: &Gate, model: &Model) -> Result<Vec<Target>, String> {
    let ask = Ask::get(model.endpoint.clone()).within(PATIENCE, LARGEST);
    let insecure = gate.upstream.common.insecure_skip_verify;
    let answer = fetch::send(&gate.upstream, insecure, ask).await.map_err(|error| error.to_string())?;
    if answer.status != StatusCode::OK {
        return Err(format!("the answer is {}, not 200", answer.status.as_u16()));
    }
    let urls = model.targets(&answer.body)?;
    let told =
        |url: &String| Target::parse(url).map_err(|why| format!("the target `{}` {why}", Target::shown(url)));
    urls.iter().map(told).collect()
}
