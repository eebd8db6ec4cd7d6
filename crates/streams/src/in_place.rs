//! Work that keeps its thread for long, on a runtime's thread.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs something that takes long while the other tasks of this thread go on elsewhere; none where there is no other thread.
pub(crate) fn in_place<T>(run: impl FnOnce(&Handle) -> T) -> Option<T> {
    let handle =
        Handle::try_current().ok().filter(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread)?;
    Some(tokio::task::block_in_place(|| run(&handle)))
}
