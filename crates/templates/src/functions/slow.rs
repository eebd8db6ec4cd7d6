//! Functions that take their time on purpose, or because of what they make: one after the other, and few in a run, so that
//! no template takes more than one core, or a second of it.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::cost;

/// Those that wait for their turn.
const MOST_WAITING: usize = 32;

/// Shares of what a run may cost: a key of RSA with 4096 bits alone, two passwords, three keys of RSA with 2048 bits or
/// certificates with such keys, six hashes.
pub(super) const LARGE_KEY: u64 = 15_000_000;
pub(super) const PASSWORD: u64 = 9_000_000;
pub(super) const KEY: u64 = 6_000_000;
pub(super) const HASH: u64 = 3_000_000;
pub(super) const SIGNATURE: u64 = 500_000;

/// Names of all of them.
const NAMES: [&str; 11] = [
    "bcrypt",
    "htpasswd",
    "derivePassword",
    "genPrivateKey",
    "genCA",
    "genCAWithKey",
    "genSelfSignedCert",
    "genSelfSignedCertWithKey",
    "genSignedCert",
    "genSignedCertWithKey",
    "buildCustomCert",
];

/// Whether a template may call one of them.
pub(crate) fn may_call(text: &str) -> bool {
    NAMES.iter().any(|name| text.contains(name))
}

static TURN: Mutex<()> = Mutex::new(());
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// A place among those that wait, until it is dropped: also where the work panics.
struct Place;

impl Drop for Place {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Does something that takes its time, when it is its turn.
pub(super) fn in_turn<T>(cost: u64, work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    cost::charge(cost)?;
    let before = WAITING.fetch_add(1, Ordering::Relaxed);
    let _place = Place;
    if before >= MOST_WAITING {
        return Err("too many keys, certificates and hashes are being made: try again later".to_owned());
    }
    let _turn = TURN.lock();
    work()
}
