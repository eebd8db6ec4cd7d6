//! Engines that are kept between calls, since making one takes much longer than a call.
//!
//! Most calls are over in some microseconds, which is less than another thread takes to wake up. Where an engine can be
//! stopped without a trace, calls are tried at once on the thread that asks; one that takes longer, or that asks for
//! something outside, is begun anew on a thread that may take its time.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::Fault;
use crate::pace::{Pace, Tried};

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

    /// From now on, calls of this engine are tried at once, or may take their time. Whether it knows the difference: a
    /// call that is tried at once does nothing outside, and is put off when it wants to, or takes longer than
    /// [`PROMPT`].
    fn hurry(_engine: &mut Self::Engine, _hurry: bool) -> bool {
        false
    }

    /// Whether the last call was put off: it has done nothing, and its engine is not sound.
    fn was_put_off(_engine: &Self::Engine) -> bool {
        false
    }
}

/// A call that is tried at once takes no longer.
pub(crate) const PROMPT: Duration = Duration::from_millis(1);

/// The engines of one API that have nothing to do.
pub(crate) struct Pool<E> {
    spare: Mutex<Vec<E>>,
    most: usize,
    places: Arc<Semaphore>,
    /// A call waits no longer for its turn.
    patience: Duration,
    pace: Pace,
}

impl<E> Pool<E> {
    /// Keeps `most` engines, and lets `at_once` calls run; more wait. So code that hangs leaves threads to other APIs.
    pub(crate) fn new(most: usize, at_once: usize, patience: Duration) -> Self {
        let places = Arc::new(Semaphore::new(at_once));
        Self { spare: Mutex::default(), most, places, patience, pace: Pace::default() }
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

/// Tries to work with an engine at once; nothing where it has to be done on another thread, from its beginning.
pub(crate) fn at_once<H: Host, T>(
    host: &H,
    work: impl Fn(&mut H::Engine) -> Result<T, Fault>,
) -> Option<Result<T, Fault>> {
    let pool = host.pool();
    if !pool.pace.may_try() {
        return None;
    }
    // Making an engine takes its time.
    let mut engine = pool.spare.lock().pop()?;
    if !H::hurry(&mut engine, true) {
        give_back(host, engine);
        return None;
    }
    let begun = Instant::now();
    // Elsewhere a thread of its own keeps a panic from whoever asked.
    let ran = std::panic::catch_unwind(AssertUnwindSafe(|| work(&mut engine)));
    let Ok(ran) = ran else {
        return Some(Err(Fault::Thrown("it was interrupted: the engine panicked".to_owned())));
    };
    let is_put_off = H::was_put_off(&engine);
    pool.pace.tried(match is_put_off {
        true => Tried::PutOff,
        false if begun.elapsed() > PROMPT => Tried::Late,
        false => Tried::InTime,
    });
    if is_put_off {
        return None;
    }
    H::hurry(&mut engine, false);
    give_back(host, engine);
    Some(ran)
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Engines are numbers, in the order in which they were made; odd ones are not sound.
    struct Numbers {
        pool: Pool<u32>,
        made: AtomicU32,
    }

    impl Numbers {
        fn new(most: usize, at_once: usize, patience: Duration) -> Arc<Self> {
            Arc::new(Self { pool: Pool::new(most, at_once, patience), made: AtomicU32::new(0) })
        }
    }

    impl Host for Numbers {
        type Engine = u32;

        fn pool(&self) -> &Pool<u32> {
            &self.pool
        }

        fn make(&self) -> Result<u32, Fault> {
            Ok(self.made.fetch_add(1, Ordering::Relaxed))
        }

        fn is_sound(engine: &u32) -> bool {
            engine.is_multiple_of(2)
        }

        fn hurry(_: &mut u32, _: bool) -> bool {
            true
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn sound_engines_are_used_again_and_no_more_are_kept_than_asked_for() {
        let host = Numbers::new(1, 8, LONG);
        let number = async |host| run(host, |engine| Ok(*engine)).await.unwrap();
        assert_eq!((number(&host).await, number(&host).await), (0, 0));
        let taken = take(&*host).unwrap();
        assert_eq!((taken, number(&host).await), (0, 1));
        assert_eq!(number(&host).await, 2, "the one before is not sound");
        give_back(&*host, taken);
        let kept = [take(&*host).unwrap(), take(&*host).unwrap()];
        assert_eq!(kept, [2, 3], "there was place for one");
    }

    #[tokio::test]
    async fn who_gets_no_turn_is_told_so_and_gets_one_when_the_work_before_is_over() {
        let host = Numbers::new(8, 1, Duration::from_millis(50));
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (go, may_go) = std::sync::mpsc::channel::<()>();
        let first = tokio::spawn({
            let host = Arc::clone(&host);
            async move {
                run(&host, move |_| {
                    let _ = begun.send(());
                    let _ = may_go.recv();
                    Ok(())
                })
                .await
            }
        });
        has_begun.await.unwrap();
        let late = run(&host, |_| Ok(())).await;
        assert_eq!(late, Err(Fault::Late(Duration::from_millis(50))));
        drop(go);
        first.await.unwrap().unwrap();
        run(&host, |_| Ok(())).await.unwrap();
    }

    #[tokio::test]
    async fn work_that_panics_fails_alone() {
        let host = Numbers::new(8, 1, LONG);
        let failed = run(&host, |_| -> Result<(), Fault> { panic!("on purpose") }).await;
        assert!(matches!(failed, Err(Fault::Thrown(_))), "{failed:?}");
        assert_eq!(run(&host, |engine| Ok(*engine)).await, Ok(1), "its engine is gone, its place is not");
        // Tried at once, on the thread of this test.
        give_back(&*host, 8);
        let failed = at_once(&*host, |_| -> Result<(), Fault> { panic!("on purpose") });
        assert!(matches!(failed, Some(Err(Fault::Thrown(_)))), "{failed:?}");
        assert!(host.pool.spare.lock().is_empty(), "its engine is gone");
    }
}
