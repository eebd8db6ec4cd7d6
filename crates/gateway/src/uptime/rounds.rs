//! When which probe runs: each every so often, all of them within bounds, and as the definitions are now.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use apidef::{Backend, Probe, ProbeKind, Uptime};
use http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::probe::Ill;
use super::report::{self, Found};
use super::{Down, HostState, leader, probe};
use crate::backend::upstream::look_up;
use crate::events::{self, Probed};
use crate::gate::Gate;
use crate::settings::UptimeSettings;

/// How exact times are.
const TICK: Duration = Duration::from_millis(100);
/// How long a probe may take of a host that another server tells.
const PATIENCE: Duration = Duration::from_secs(5);

type Name = (Arc<str>, usize);
/// Probes of hosts that another server tells, by API.
type Told = Arc<Mutex<HashMap<Arc<str>, Vec<Probe>>>>;

/// A probe, and what came of it so far.
struct Watch {
    api: Arc<str>,
    /// How long records of what it finds are kept.
    keep: Option<Duration>,
    probe: Probe,
    retest: Duration,
    host: Arc<HostState>,
    course: Mutex<Course>,
}

struct Course {
    due: Instant,
    /// It runs now.
    runs: bool,
    /// Failures one after the other.
    failures: u32,
    /// That it may not be asked has been told.
    told: bool,
    down: Option<Down>,
}

/// Probes until the gate closes.
pub async fn run(gate: Arc<Gate>) {
    let settings = gate.settings.uptime.clone();
    if !settings.enabled {
        return;
    }
    if settings.recorded && !gate.state.is_shared() {
        tracing::warn!(
            "enable_uptime_analytics has no effect: what probes find is written to Redis, and there is none"
        );
    }
    let (pool, told) = (Arc::new(Semaphore::new(settings.at_once)), Told::default());
    let news = Arc::new(AtomicBool::new(false));
    let (mut watches, mut seen) = (HashMap::new(), None);
    let mut ask_again = Instant::now();
    let (leads, looking) = leader::watch(&gate);
    let (listens, mut listen_again) = (Arc::new(Semaphore::new(1)), Instant::now());
    loop {
        let generation = gate.snapshot().generation;
        if Instant::now() >= ask_again || seen != Some(generation) {
            ask(&gate, &told, &news);
            ask_again = Instant::now() + settings.every;
        }
        if news.swap(false, Ordering::Relaxed) || seen != Some(generation) {
            watches = collect(&gate, &watches, &told);
            seen = Some(generation);
        }
        if leads.load(Ordering::Relaxed) {
            begin(&gate, &watches, &pool);
        } else if Instant::now() >= listen_again {
            listen(&gate, &watches, &listens);
            listen_again = Instant::now() + leader::LOOK;
        }
        tokio::select! {
            () = tokio::time::sleep(if watches.is_empty() { 10 * TICK } else { TICK }) => {}
            () = gate.closed() => break,
        }
    }
    if let Some(looking) = looking {
        drop(looking.await);
    }
}

/// Asks who tells hosts, aside.
fn ask(gate: &Arc<Gate>, told: &Told, news: &Arc<AtomicBool>) {
    for api in gate.snapshot().apis.values() {
        let Some(discovery) = uptime(&api.model.backend).and_then(|uptime| uptime.discovery.clone()) else {
            continue;
        };
        let id = Arc::clone(&api.identity.id);
        let (gate, told, news) = (Arc::clone(gate), Arc::clone(told), Arc::clone(news));
        tokio::spawn(async move {
            match look_up(&gate, &discovery).await {
                Ok(targets) => {
                    let kind = ProbeKind::Http {
                        method: "GET".into(),
                        headers: Box::default(),
                        body: Box::default(),
                    };
                    let probe = |target| Probe { target, kind: kind.clone(), timeout: PATIENCE };
                    told.lock().insert(id, targets.into_iter().map(probe).collect());
                    news.store(true, Ordering::Relaxed);
                }
                Err(why) => {
                    tracing::warn!(api_id = &*id, why, "hosts to be probed cannot be discovered");
                }
            }
        });
    }
}

fn uptime(backend: &Backend) -> Option<&Uptime> {
    match backend {
        Backend::Upstream(upstream) => {
            Some(&upstream.uptime).filter(|uptime| !uptime.is_empty()).map(|uptime| &**uptime)
        }
        Backend::Streams(_) | Backend::Graph => None,
    }
}

/// All probes as the definitions have them. Those that stay the same go on where they are.
fn collect(gate: &Gate, before: &HashMap<Name, Arc<Watch>>, told: &Told) -> HashMap<Name, Arc<Watch>> {
    let every = gate.settings.uptime.every;
    let mut watches = HashMap::new();
    let snapshot = gate.snapshot();
    let mut told = told.lock();
    told.retain(|id, _| snapshot.apis.contains_key(id));
    for api in snapshot.apis.values() {
        let Some(uptime) = uptime(&api.model.backend) else { continue };
        let retest = uptime.retest.unwrap_or(every);
        let others = told.get(&api.identity.id).filter(|_| uptime.discovery.is_some());
        let probes = uptime.probes.iter().chain(others.into_iter().flatten());
        for (number, probe) in probes.enumerate() {
            let name = (Arc::clone(&api.identity.id), number);
            let kept = before
                .get(&name)
                .filter(|watch| watch.probe == *probe && watch.retest == retest && watch.keep == uptime.keep);
            let watch = kept.cloned().unwrap_or_else(|| {
                Arc::new(Watch {
                    api: Arc::clone(&api.identity.id),
                    keep: uptime.keep,
                    probe: probe.clone(),
                    retest,
                    host: gate.hosts.get(&probe.target),
                    course: Mutex::new(Course {
                        due: Instant::now(),
                        runs: false,
                        failures: 0,
                        told: false,
                        down: None,
                    }),
                })
            });
            watches.insert(name, watch);
        }
    }
    watches
}

/// Asks what the node that probes has found, aside, and never twice at a time.
fn listen(gate: &Arc<Gate>, watches: &HashMap<Name, Arc<Watch>>, listens: &Arc<Semaphore>) {
    let Ok(permit) = Arc::clone(listens).try_acquire_owned() else { return };
    let (gate, watches) = (Arc::clone(gate), watches.values().cloned().collect::<Vec<_>>());
    tokio::spawn(async move {
        let _permit = permit;
        let hosts: Vec<_> = watches.iter().map(|watch| &watch.probe.target).collect();
        let Some(down) = leader::heard(&gate, &hosts).await else { return };
        for (watch, down) in watches.iter().zip(down) {
            watch.hear(down);
        }
    });
}

/// Lets run what is due, as far as there is room.
fn begin(gate: &Arc<Gate>, watches: &HashMap<Name, Arc<Watch>>, pool: &Arc<Semaphore>) {
    let now = Instant::now();
    for watch in watches.values() {
        let mut course = watch.course.lock();
        if course.runs || now < course.due {
            continue;
        }
        let Ok(permit) = Arc::clone(pool).try_acquire_owned() else { return };
        course.runs = true;
        let (gate, watch) = (Arc::clone(gate), Arc::clone(watch));
        tokio::spawn(async move {
            let (at, begun) = (SystemTime::now(), Instant::now());
            let found = probe::run(&gate, &watch.probe).await;
            let took = begun.elapsed();
            if let Err(Ill { why, denied: true, .. }) = &found {
                return watch.pass_over(why, &gate.settings.uptime, Instant::now());
            }
            let status = match &found {
                Ok(()) => StatusCode::OK.as_u16(),
                Err(ill) => ill.status.map_or(0, |status| status.as_u16()),
            };
            let changed = watch.note(found.map_err(|ill| ill.why), &gate.settings.uptime, Instant::now());
            watch.tell(&gate, changed).await;
            if let Some(up) = changed {
                let target = &watch.probe.target;
                let probed = Probed {
                    url: &target.to_string(),
                    host: &target.authority,
                    status,
                    unreachable: status == 0,
                };
                events::host(&gate, &watch.api, up, &probed);
            }
            drop(permit);
            let snapshot = gate.snapshot();
            let api = snapshot.apis.get(&watch.api).filter(|_| gate.settings.uptime.recorded);
            if let Some(api) = api {
                let found = Found { probe: &watch.probe, status, took, at };
                report::hand_over(&gate, &found, &api.identity, watch.keep).await;
            }
        });
    }
}

impl Watch {
    /// Tells the other nodes: of a host that is down each time, since otherwise it counts as up after a while.
    async fn tell(&self, gate: &Gate, changed: Option<bool>) {
        if !gate.state.is_shared() {
            return;
        }
        let down = self.course.lock().down.is_some();
        if down {
            let pause = self.retest.max(gate.settings.uptime.every);
            leader::tell(gate, &self.probe.target, Some(2 * pause + self.probe.timeout)).await;
        } else if changed == Some(true) && !self.host.is_down() {
            leader::tell(gate, &self.probe.target, None).await;
        }
    }

    /// Takes what another node has found.
    fn hear(&self, down: bool) {
        let mut course = self.course.lock();
        let (api_id, host) = (&*self.api, &*self.probe.target.authority);
        match (down, course.down.is_some()) {
            (true, false) => {
                course.down = Some(Down::new(&self.host));
                tracing::warn!(api_id, host, "a host is down, as the node says that probes");
            }
            (false, true) => {
                course.down = None;
                tracing::info!(api_id, host, "a host is up again, as the node says that probes");
            }
            _ => {}
        }
    }

    /// The gate may not ask it: nobody can say how it is, and requests go there as if nobody had looked.
    fn pass_over(&self, why: &str, settings: &UptimeSettings, now: Instant) {
        let mut course = self.course.lock();
        if !std::mem::replace(&mut course.told, true) {
            let (api_id, host) = (&*self.api, &*self.probe.target.authority);
            tracing::warn!(api_id, host, why, "a host is not probed");
        }
        course.due = now + settings.every;
        course.runs = false;
    }

    /// So many failures one after the other and the host is down; one good answer and it is up. Tells which of both it has
    /// just become: `true` is up.
    fn note(&self, found: Result<(), String>, settings: &UptimeSettings, now: Instant) -> Option<bool> {
        let mut changed = None;
        let mut course = self.course.lock();
        let (api_id, host) = (&*self.api, &*self.probe.target.authority);
        match found {
            Ok(()) => {
                course.failures = 0;
                if course.down.take().is_some() {
                    changed = Some(true);
                    tracing::info!(event = "HostUp", api_id, host, "a host is up again");
                }
            }
            Err(why) => {
                course.failures = course.failures.saturating_add(1);
                if course.down.is_none() && course.failures >= settings.failures {
                    course.down = Some(Down::new(&self.host));
                    changed = Some(false);
                    tracing::warn!(event = "HostDown", api_id, host, why, "a host is down");
                }
            }
        }
        course.due = now + if course.down.is_some() { self.retest } else { settings.every };
        course.runs = false;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apidef::Target;

    #[tokio::test]
    async fn c4_6_row_18_a_host_is_down_after_failures_and_up_after_one_good_answer() {
        let settings = UptimeSettings { failures: 2, at_once: 1, ..UptimeSettings::default() };
        let start = Instant::now();
        let kind = ProbeKind::Http { method: "GET".into(), headers: Box::default(), body: Box::default() };
        let watch = Watch {
            api: "a".into(),
            keep: None,
            probe: Probe { target: Target::parse("http://h").unwrap(), kind, timeout: PATIENCE },
            retest: Duration::from_secs(3),
            host: Arc::default(),
            course: Mutex::new(Course { due: start, runs: true, failures: 0, told: false, down: None }),
        };
        for (good, down, pause) in [
            (false, false, 10),
            (true, false, 10),
            (false, false, 10),
            (false, true, 3),
            (false, true, 3),
            (true, false, 10),
        ] {
            let found = if good { Ok(()) } else { Err("away".to_owned()) };
            watch.note(found, &settings, start);
            let course = watch.course.lock();
            assert_eq!((watch.host.is_down(), (course.due - start).as_secs()), (down, pause));
            assert!(!course.runs);
        }
    }
}
