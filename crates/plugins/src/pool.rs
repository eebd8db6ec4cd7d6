//! Engines that are kept between calls, since making one takes much longer than a call.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::Fault;

/// What runs the code of one API, and how it makes the engines for that.
pub(crate) trait Host: Send + Sync + 'static {
    /// Serves one call at a time.
    type Engine: Send + 'static;

    /// Where its engines are kept.
    fn pool(&self) -> &Pool<Self::Engine>;

    /// Makes an engine; may block.
    ///
    /// # Errors
    /// Why there is none.
    fn make(&self) -> Result<Self::Engine, Fault>;

    /// Whether an engine can be called again.
    fn is_sound(engine: &Self::Engine) -> bool;
}

/// The engines of one API that have nothing to do.
pub(crate) struct Pool<E> {
    spare: Mutex<Vec<E>>,
    most: usize,
    places: Arc<Semaphore>,
    /// A call waits no longer for its turn.
    patience: Duration,
}

impl<E> Pool<E> {
    /// Keeps `most` engines, and lets `at_once` calls run; more wait. So code that hangs leaves threads to other APIs.
    pub(crate) fn new(most: usize, at_once: usize, patience: Duration) -> Self {
        Self { spare: Mutex::default(), most, places: Arc::new(Semaphore::new(at_once)), patience }
    }
}

/// An engine that has nothing to do, or a new one.
///
/// # Errors
/// None can be made.
pub(crate) fn take<H: Host>(host: &H) -> Result<H::Engine, Fault> {
    let spare = host.pool().spare.lock().pop();
    spare.map_or_else(|| host.make(), Ok)
}

/// Keeps an engine for the next call, if it can be called again.
pub(crate) fn give_back<H: Host>(host: &H, engine: H::Engine) {
    let pool = host.pool();
    let mut spare = pool.spare.lock();
    if spare.len() < pool.most && H::is_sound(&engine) {
        spare.push(engine);
    }
}

/// Works with an engine, on a thread that may take its time.
///
/// # Errors
/// Of the work; or there is no engine, or no turn for it.
pub(crate) async fn run<H: Host, T: Send + 'static>(
    host: &Arc<H>,
    work: impl FnOnce(&mut H::Engine) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let pool = host.pool();
    let turn = tokio::time::timeout(pool.patience, Arc::clone(&pool.places).acquire_owned()).await;
    let place = match turn {
        Ok(place) => place.map_err(|closed| Fault::Unusable(closed.to_string()))?,
        Err(_) => return Err(Fault::Late(pool.patience)),
    };
    let host = Arc::clone(host);
    let ran = tokio::task::spawn_blocking(move || {
        // Kept until the work is over, even where nobody waits for it any more.
        let _place = place;
        let mut engine = take(&*host)?;
        let ran = work(&mut engine);
        give_back(&*host, engine);
        ran
    });
    ran.await.unwrap_or_else(|fault| Err(Fault::Thrown(format!("it was interrupted: {fault}"))))
}
