//! Whether the store takes what is written (contract 5.1, `tyk-liveness-probe`): one that only answers is of little use to a
//! gate. Looked at when somebody asks, and not more often than every second however many do.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::gate::Gate;

const KEY: &str = "tyk-liveness-probe";
/// How long what was written stands.
const LIFE: Duration = Duration::from_secs(10);
/// What was found holds so long.
const EVERY: Duration = Duration::from_secs(1);
/// Nobody is held longer by a store that is slow; what was found before counts then.
const PATIENCE: Duration = Duration::from_millis(250);

/// What was found last.
#[derive(Debug, Default)]
pub(crate) struct Liveness {
    begun: Mutex<Option<Instant>>,
    found: watch::Sender<Found>,
}

#[derive(Debug, Default)]
struct Found {
    /// It is being looked at.
    runs: bool,
    /// Why nothing was taken, if so.
    refusal: Option<String>,
}

impl Liveness {
    /// Why the store takes nothing, if that is so. One that is away is known to be (`State::health`).
    pub(crate) async fn refusal(&self, gate: &Gate) -> Option<String> {
        if !gate.state.is_shared() {
            return None;
        }
        if gate.state.is_up() && self.is_due() {
            let me = gate.me();
            tokio::spawn(async move {
                // A task of its own: whoever asked may go away.
                if let Some(gate) = me.upgrade() {
                    let probed = gate.state.probe(KEY, LIFE).await;
                    gate.liveness.note(probed.err().map(|away| away.to_string()));
                }
            });
        }
        let mut found = self.found.subscribe();
        // The sender is here.
        drop(tokio::time::timeout(PATIENCE, found.wait_for(|found| !found.runs)).await);
        let found = self.found.borrow();
        found.refusal.clone()
    }

    fn note(&self, refusal: Option<String>) {
        let before = self.found.send_replace(Found { runs: false, refusal: refusal.clone() });
        match (before.refusal, refusal) {
            (None, Some(why)) => tracing::warn!(why, "the state store takes nothing"),
            (Some(_), None) => tracing::info!("the state store takes what is written again"),
            _ => {}
        }
    }

    /// Whether it is time to look; whoever is told so does.
    fn is_due(&self) -> bool {
        let mut begun = self.begun.lock();
        if self.found.borrow().runs || begun.is_some_and(|begun| begun.elapsed() < EVERY) {
            return false;
        }
        *begun = Some(Instant::now());
        self.found.send_modify(|found| found.runs = true);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn c5_1_row_38_it_is_looked_at_once_a_second_and_never_twice_at_a_time() {
        let liveness = Liveness::default();
        assert!(liveness.is_due() && !liveness.is_due());
        tokio::time::advance(2 * EVERY).await;
        assert!(!liveness.is_due(), "the last one has found nothing yet");
        liveness.found.send_replace(Found::default());
        assert!(liveness.is_due());
        liveness.found.send_replace(Found::default());
        assert!(!liveness.is_due(), "what was found holds for a while");
        tokio::time::advance(EVERY).await;
        assert!(liveness.is_due());
    }
}
