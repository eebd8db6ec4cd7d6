//! Which node of a group probes (contract 4.6, 13.5): the one whose name stands in Redis, for as long as it writes it anew.
//! The others hear from there what it finds. Where there is no Redis, or it is away, each node probes for itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use apidef::Target;
use tokio::task::JoinHandle;

use crate::gate::Gate;

/// Where the name of the node stands that probes; a group has a key of its own.
const KEY: &str = "host-checker:PollerActiveInstanceID";
/// Where it says that a host is down.
const HOST: &str = "host-checker:PollerCheckerInstance:";
/// How long a name stands that is not written anew.
const LIFE: Duration = Duration::from_secs(15);
/// How often each node looks: so a node that is gone is missed for little longer than its name stands.
pub(super) const LOOK: Duration = Duration::from_secs(2);

/// Hosts that one question is about at most: it holds up nobody else for long.
const AT_ONCE: usize = 1000;

/// Whether this node probes.
pub(super) type Leads = Arc<AtomicBool>;

/// Finds out, again and again, until the gate closes; the task ends when this node's place is given away.
pub(super) fn watch(gate: &Arc<Gate>) -> (Leads, Option<JoinHandle<()>>) {
    let shares = gate.state.is_shared();
    let leads = Arc::new(AtomicBool::new(!shares));
    let looking = shares.then(|| tokio::spawn(look(Arc::clone(gate), Arc::clone(&leads))));
    (leads, looking)
}

async fn look(gate: Arc<Gate>, leads: Leads) {
    let key = of_group(KEY, &gate.settings.uptime.group);
    loop {
        let now = match claim(&gate, &key).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::debug!(%error, "which node probes cannot be told; this one does");
                true
            }
        };
        if leads.swap(now, Ordering::Relaxed) != now {
            let group = &*gate.settings.uptime.group;
            match now {
                true => tracing::info!(group, "this node probes the hosts of upstreams"),
                false => tracing::info!(group, "another node probes the hosts of upstreams"),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = gate.closed() => break,
        }
    }
    // The next one need not wait until the name is gone by itself.
    if leads.load(Ordering::Relaxed) && is_own(&gate, &key).await.unwrap_or(false) {
        drop(gate.state.delete_record(&key).await);
    }
}

/// Writes this node's name where none stands, or its own does; whether it did.
async fn claim(gate: &Gate, key: &str) -> Result<bool, state::Unavailable> {
    let name = gate.nodes.id().as_bytes();
    if gate.state.put_new_record(key, name, Some(LIFE)).await? {
        return Ok(true);
    }
    let own = is_own(gate, key).await?;
    if own {
        gate.state.put_record(key, name, Some(LIFE)).await?;
    }
    Ok(own)
}

async fn is_own(gate: &Gate, key: &str) -> Result<bool, state::Unavailable> {
    let stands = gate.state.record(key).await?;
    Ok(stands.is_some_and(|name| *name == *gate.nodes.id().as_bytes()))
}

/// A key of one group; nodes of another one may reach other hosts.
fn of_group(key: &str, group: &str) -> String {
    if group.is_empty() { key.to_owned() } else { format!("{key}.{group}") }
}

/// Where it is said that a host is down.
fn of_host(gate: &Gate, host: &Target) -> String {
    of_group(&format!("{HOST}{}", host.authority), &gate.settings.uptime.group)
}

/// Tells the other nodes that a host is down, for so long unless it is told again, or that it is up.
pub(super) async fn tell(gate: &Gate, host: &Target, down: Option<Duration>) {
    let key = of_host(gate, host);
    let told = match down {
        Some(life) => gate.state.put_record(&key, b"1", Some(life)).await,
        None => gate.state.delete_record(&key).await.map(drop),
    };
    if let Err(error) = told {
        tracing::debug!(%error, "other nodes are not told what a probe has found");
    }
}

/// Which of these hosts the node that probes says are down, in their order; `None` where that cannot be told. All are asked
/// about at once, however many there are.
pub(super) async fn heard(gate: &Gate, hosts: &[&Target]) -> Option<Vec<bool>> {
    let mut heard = Vec::with_capacity(hosts.len());
    for hosts in hosts.chunks(AT_ONCE) {
        let keys: Vec<String> = hosts.iter().map(|host| of_host(gate, host)).collect();
        let found = gate.state.many_records(&keys).await.ok()?;
        heard.extend(found.iter().map(Option::is_some));
    }
    Some(heard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c5_1_row_33_each_group_has_a_key_of_its_own() {
        assert_eq!(of_group(KEY, ""), "host-checker:PollerActiveInstanceID");
        assert_eq!(of_group(KEY, "south"), "host-checker:PollerActiveInstanceID.south");
    }
}
