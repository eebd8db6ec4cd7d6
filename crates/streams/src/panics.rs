//! Panics in components. They are faults of ours; each costs no more than what the component was doing: it is told,
//! counted, and the batch that it held is nacked.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};

use futures_util::FutureExt;

use crate::metrics::Probe;

/// A component panicked; what it held is dropped, which is a nack.
pub(crate) struct Panicked(Box<dyn Any + Send>);

/// The words of a panic that was logged already, on its way through the components around.
struct Told(String);

/// Runs what a component does. A panic is counted at its `probe` and logged.
///
/// # Errors
/// When it panicked.
pub(crate) async fn guarded<T>(
    probe: &Probe,
    doing: &str,
    work: impl Future<Output = T>,
) -> Result<T, Panicked> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|payload| {
        let told = payload.is::<Told>();
        let panicked = Panicked(payload);
        probe.errors.add(1);
        probe.set_error(&panicked.to_string());
        if !told {
            let (path, kind, label) = (&probe.path, probe.type_name, probe.label());
            tracing::error!(%path, kind, label, doing, fault = %panicked, "component panicked, what it held comes again");
        }
        panicked
    })
}

impl Panicked {
    /// What was caught without a component to count it at.
    pub(crate) fn caught(payload: Box<dyn Any + Send>) -> Panicked {
        Panicked(payload)
    }

    /// Hands the panic on to the component around.
    pub(crate) fn pass_on(self) -> ! {
        let words = self.words().to_owned();
        resume_unwind(Box::new(Told(words)))
    }

    fn words(&self) -> &str {
        let payload = &*self.0;
        (payload.downcast_ref::<Told>().map(|told| told.0.as_str()))
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no words")
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the component panicked: {}", self.words())
    }
}
