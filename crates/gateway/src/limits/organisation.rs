//! What an organisation may do as a whole (contract 4.4 row 10), and what is recorded for it, where `enforce_org_quotas`,
//! `enforce_org_data_age` or `enforce_org_data_detail_logging` asks for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use apidef::Session;
use http::StatusCode;
use quick_cache::sync::Cache;

use super::counter::{Counter, Rate};
use super::draws::{Plan, Which};
use crate::auth::{Quota, store_name};
use crate::events::monitor::{self, Whose};
use crate::exchange::Exchange;
use crate::gate::Gate;
use crate::respond::Refusal;

/// Organisations that are remembered.
const KEPT: usize = 10_000;

/// What is known of organisations.
#[derive(Debug)]
pub(crate) struct Organisations {
    known: Cache<Box<str>, Arc<Known>>,
    believed: Duration,
}

/// What is known of one.
#[derive(Debug)]
pub(crate) struct Known {
    read_at: Instant,
    limits: Option<Bounds>,
    /// How long its records are kept; `None`: as long as the API says.
    pub(crate) kept: Option<Duration>,
    /// Its requests and answers are recorded whole.
    pub(crate) whole: bool,
}

impl Known {
    fn new(gate: &Gate, id: &str, session: Option<&Session>) -> Self {
        let settings = &gate.settings.limits;
        let age = session.filter(|_| settings.organisation_age).and_then(Session::records_kept);
        let whole = settings.organisation_detail && session.is_some_and(Session::is_recorded_whole);
        let limits = session.filter(|_| settings.organisations).map(|session| bounds(gate, id, session));
        Self { read_at: Instant::now(), limits, kept: age, whole }
    }
}

/// The limits of one organisation.
#[derive(Debug)]
struct Bounds {
    is_inactive: bool,
    rate: Option<Counter>,
    quota_max: i64,
    quota_renewal: Duration,
    quota: state::Found,
    /// Of its quota, in percent: who reaches one is told of.
    thresholds: Box<[f64]>,
}

impl Organisations {
    pub(crate) fn new(believed: Duration) -> Self {
        Self { known: Cache::new(KEPT), believed }
    }

    /// Forgets everything: somebody changed an organisation.
    pub(crate) fn clear(&self) {
        self.known.clear();
    }

    async fn of(&self, gate: &Gate, id: &str) -> Arc<Known> {
        let known = self.known.get(id);
        if let Some(known) = known.as_ref().filter(|known| known.read_at.elapsed() < self.believed) {
            return Arc::clone(known);
        }
        match gate.state.org_session(id).await {
            Ok(session) => {
                let fresh = Arc::new(Known::new(gate, id, session.as_ref()));
                self.known.insert(id.into(), Arc::clone(&fresh));
                fresh
            }
            // What was known goes on; of who was never seen nothing is known, and its keys have limits of their own.
            Err(away) => {
                tracing::debug!(%away, "an organisation cannot be looked up");
                known.unwrap_or_else(|| Arc::new(Known::new(gate, id, None)))
            }
        }
    }
}

fn bounds(gate: &Gate, id: &str, session: &Session) -> Bounds {
    let name: Arc<str> = store_name(&gate.settings.keys, id).into();
    Bounds {
        is_inactive: session.is_inactive,
        rate: Rate::new((session.rate, session.per), &session.smoothing)
            .map(|rate| Counter::new(Arc::clone(&name), rate)),
        quota_max: session.quota_max,
        quota_renewal: Duration::from_secs(u64::try_from(session.quota_renewal_rate).unwrap_or(0)),
        quota: state::Found::under(name),
        thresholds: session.monitor.trigger_limits.as_slice().into(),
    }
}

/// Refuses what the organisation of the API may not do.
#[derive(Debug)]
pub(crate) struct Organisation;

impl Organisation {
    pub(crate) async fn pass(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let gate = &exchange.gate;
        let known = gate.organisations.of(gate, &exchange.api.model.org_id).await;
        exchange.organisation = Some(Arc::clone(&known));
        let gate = &exchange.gate;
        let Some(bounds) = &known.limits else { return Ok(()) };
        if bounds.is_inactive {
            return Err(refused(
                "TKI",
                "this organisation access has been disabled, please contact your API administrator",
            ));
        }
        let quota = Quota { max: bounds.quota_max, renewal: bounds.quota_renewal, found: &bounds.quota };
        let quota = Some(quota).filter(|quota| quota.max > 0).map(|quota| (quota, quota.name()));
        let plan = Plan { key: bounds.rate.as_ref(), quota, api: None };
        let told = plan.draw(gate, Instant::now(), gate.settings.limits.counts_refused).await;
        told.count(gate);
        if told.refused.is_none()
            && let (Some((quota, _)), Some(left)) = (plan.quota, told.quota)
            && monitor::is_watched(exchange)
        {
            let own = &bounds.thresholds;
            monitor::counted(exchange, Whose::Organisation, quota.max, left.remaining, own);
        }
        match told.refused {
            None => Ok(()),
            Some(Which::Quota) => Err(refused(
                "QEX",
                "This organisation quota has been exceeded, please contact your API administrator",
            )),
            Some(_) => Err(refused(
                "RLT",
                "This organisation rate limit has been exceeded, please contact your API administrator",
            )),
        }
    }
}

fn refused(flag: &'static str, text: &'static str) -> Refusal {
    Refusal::client(StatusCode::FORBIDDEN, flag, text)
}
