//! What goes through, told once a second for each API and not once for each connection (contract 4.6 "per-second
//! connection/byte analytics", 11.1 "Network").

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use analytics::{Network, Record};
use parking_lot::Mutex;

use super::PassThrough;
use super::ports::part;
use crate::gate::Gate;
use crate::snapshot::RunningApi;

const EVERY: Duration = Duration::from_secs(1);

/// What went through an API since it was last told.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// Connections that are open now.
    open: AtomicU64,
    opened: AtomicU64,
    closed: AtomicU64,
    refused: AtomicU64,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
}

/// APIs of which there is something to tell: also those that have been replaced, while connections began on them.
#[derive(Debug, Default)]
pub(crate) struct Busy(Mutex<Vec<Arc<RunningApi>>>);

/// A connection, from its beginning to its end.
pub(super) struct Open {
    api: Arc<RunningApi>,
    refused: bool,
}

impl Open {
    pub(super) fn new(gate: &Gate, api: &Arc<RunningApi>) -> Self {
        if let Some(own) = part(api) {
            own.traffic.open.fetch_add(1, Ordering::Relaxed);
            own.traffic.opened.fetch_add(1, Ordering::Relaxed);
        }
        let mut busy = gate.busy.0.lock();
        if !busy.iter().any(|known| Arc::ptr_eq(known, api)) {
            busy.push(Arc::clone(api));
        }
        Self { api: Arc::clone(api), refused: false }
    }

    /// It is not let through.
    pub(super) fn refuse(&mut self) {
        self.refused = true;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(own) = part(&self.api) else { return };
        own.traffic.refused.fetch_add(u64::from(self.refused), Ordering::Relaxed);
        own.traffic.closed.fetch_add(1, Ordering::Relaxed);
        own.traffic.open.fetch_sub(1, Ordering::Release);
    }
}

/// Tells of it until the gate closes; the last part is told at its end.
pub(super) async fn run(gate: Arc<Gate>) {
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => tell(&gate),
            () = gate.closed() => return,
        }
    }
}

/// Tells what there is to tell.
pub(crate) fn tell(gate: &Gate) {
    let mut busy = gate.busy.0.lock();
    busy.retain(|api| {
        let Some(own) = part(api) else { return false };
        // Looked at first: where none is open, all that there is to tell is told now.
        let open = own.traffic.open.load(Ordering::Acquire) > 0;
        told(gate, api, own) || open
    });
}

/// Whether there was anything.
fn told(gate: &Gate, api: &Arc<RunningApi>, own: &PassThrough) -> bool {
    let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
    let traffic = &own.traffic;
    // In this order: one that is closed now has been opened before.
    let (closed, refused) = (take(&traffic.closed), take(&traffic.refused));
    let network = Network { opened: take(&traffic.opened), closed, refused };
    let (bytes_in, bytes_out) = (take(&traffic.bytes_in), take(&traffic.bytes_out));
    if network == Network::default() && bytes_in + bytes_out == 0 {
        return false;
    }
    let recorder = gate.recorder.as_ref().filter(|_| !api.model.recording.off);
    let Some(recorder) = recorder else { return true };
    let of = &api.identity;
    let mut record =
        Record::new(SystemTime::now(), Arc::clone(&of.id), Arc::clone(&of.name), Arc::clone(&of.org));
    record.method = Cow::Borrowed(if own.tls { "TLS" } else { "TCP" });
    record.host = own.host.clone();
    record.tags = Arc::clone(&of.tags);
    (record.bytes_in, record.bytes_out) = (bytes_in, bytes_out);
    record.network = Some(network);
    crate::record::hand_over(record, recorder, crate::record::editing(&api.plugins));
    true
}
