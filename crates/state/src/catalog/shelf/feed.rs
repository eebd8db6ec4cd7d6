//! Seeing changes of a database: it is asked for its head every so often, and where it can call, it wakes who waits.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{sleep, timeout},
};

use super::{
    Shelf,
    store::{Ears, Trouble},
};
use crate::catalog::Change;

/// The first pause when the database is away, or cannot be loaded; each next one is twice as long ...
const FIRST: Duration = Duration::from_millis(100);
/// ... up to this.
const LONGEST: Duration = Duration::from_secs(5);

/// Starts a task that ends when the receiver is dropped.
pub(super) fn start(shelf: Arc<Shelf>) -> mpsc::Receiver<Change> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(follow(shelf, sender));
    receiver
}

async fn follow(shelf: Arc<Shelf>, sender: mpsc::Sender<Change>) {
    let mut ears = None;
    let mut pause = FIRST;
    let mut away = false;
    loop {
        let wait = match look(&shelf, &mut ears).await {
            Ok(stale) => {
                if std::mem::take(&mut away) {
                    tracing::info!(catalog = shelf.place, "the catalog is back");
                }
                if !stale {
                    pause = FIRST;
                    shelf.poll()
                } else if let Err(TrySendError::Closed(_)) = sender.try_send(Change { paths: Vec::new() }) {
                    return;
                } else {
                    // A load that fails again and again is not asked for ever faster.
                    let wait = pause.max(shelf.poll());
                    pause = (pause * 2).min(LONGEST);
                    wait
                }
            }
            Err(trouble) => {
                if !std::mem::replace(&mut away, true) {
                    tracing::error!(
                        catalog = shelf.place,
                        reason = %trouble,
                        "the catalog is away; what was loaded stays in force, and it is tried again"
                    );
                }
                ears = None;
                let wait = pause;
                pause = (pause * 2).min(LONGEST);
                wait
            }
        };
        let heard = async {
            match &mut ears {
                Some(ears) => Ears::listen(ears).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep(wait) => {}
            () = sender.closed() => return,
            heard = heard => if !heard {
                // The connection is gone: it is made again, at the pace of looks.
                ears = None;
                sleep(FIRST).await;
            },
        }
    }
}

/// Whether there is something to load. Listens before it looks, so that no change falls between.
async fn look(shelf: &Shelf, ears: &mut Option<Ears>) -> Result<bool, Trouble> {
    if ears.is_none() {
        match timeout(shelf.options.timeout, shelf.store.ears()).await {
            Ok(Ok(opened)) => *ears = Some(opened),
            // Looking by time does without; whether the database is there is told by the look.
            Ok(Err(trouble)) => {
                tracing::debug!(catalog = shelf.place, %trouble, "changes are not called out")
            }
            Err(_) => {}
        }
    }
    shelf.stale().await
}
