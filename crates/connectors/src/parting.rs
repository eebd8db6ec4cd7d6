//! Answers of a server whose connection is lost while they are awaited.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// How long what has arrived already may take to be noticed after the connection was lost: both ways lead through tasks
/// of their own.
const NOTICE: Duration = Duration::from_millis(100);

/// Tells answers that came before the end from those that will never come, so that only what was not confirmed is sent
/// again.
#[derive(Debug, Default)]
pub(crate) struct Parting {
    until: Option<Instant>,
}

impl Parting {
    /// The answer; `None` when the connection is lost before it has come.
    pub(crate) async fn answer<T>(
        &mut self,
        answer: impl Future<Output = T>,
        lost: impl Future<Output = ()>,
    ) -> Option<T> {
        let mut answer = std::pin::pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => return Some(answer),
            () = lost => {}
        }
        // One time for all answers of a batch.
        let until = *self.until.get_or_insert_with(|| Instant::now() + NOTICE);
        timeout_at(until, answer).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn answers_that_came_before_the_end_count_and_the_others_are_given_up_together() {
        let mut parting = Parting::default();
        assert_eq!(parting.answer(ready(1), ready(())).await, Some(1));
        assert_eq!(parting.answer(ready(2), pending()).await, Some(2));
        let begin = Instant::now();
        let soon = async {
            tokio::time::sleep(NOTICE / 2).await;
            3
        };
        assert_eq!(parting.answer(soon, ready(())).await, Some(3));
        for _ in 0..10 {
            assert_eq!(parting.answer(pending::<u8>(), ready(())).await, None);
        }
        assert!(begin.elapsed() <= NOTICE + Duration::from_millis(1), "{:?}", begin.elapsed());
        assert_eq!(parting.answer(ready(4), ready(())).await, Some(4));
    }
}
