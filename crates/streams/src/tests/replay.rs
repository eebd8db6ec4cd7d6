//! Failed batches.

use super::*;

#[tokio::test(start_paused = true)]
async fn failed_messages_come_again_before_new_ones() {
    let (sender, receiver) = tokio::sync::mpsc::channel(8);
    let mut replay = Replay::new(Given { receiver });
    let bench = Bench::default();
    sender.send(bench.transaction(&["a", "b", "c"])).await.unwrap();
    sender.send(bench.transaction(&["d"])).await.unwrap();
    drop(sender);
    let (batch, ack) = replay.read().await.unwrap();
    ack.done(Err(NackReason::failed("x").only([&batch[0], &batch[2]])));
    for failures in 1..30 {
        let started = tokio::time::Instant::now();
        let (batch, ack) = replay.read().await.unwrap();
        assert_eq!(texts(&batch), ["a", "c"], "only what failed, before new ones");
        assert_eq!(started.elapsed().is_zero(), failures == 1, "a pause from the second failure on");
        ack.done(Err(NackReason::failed("x")));
    }
    replay.read().await.unwrap().1.done(Ok(()));
    let (batch, ack) = replay.read().await.unwrap();
    assert_eq!(texts(&batch), ["d"]);
    // The end waits for what may have to come again.
    assert!(tokio::time::timeout(Duration::from_secs(1), replay.read()).await.is_err());
    ack.done(Ok(()));
    assert!(matches!(replay.read().await, Err(ReadError::End)));
    assert_eq!(bench.results(), [("a", true), ("d", true)], "the source hears of success only");
}

#[tokio::test(start_paused = true)]
async fn a_stopping_replay_tells_the_source() {
    let (sender, receiver) = tokio::sync::mpsc::channel(8);
    let mut replay = Replay::new(Given { receiver });
    let bench = Bench::default();
    sender.send(bench.transaction(&["failed"])).await.unwrap();
    sender.send(bench.transaction(&["under way"])).await.unwrap();
    let failed = replay.read().await.unwrap();
    let under_way = replay.read().await.unwrap();
    drop(failed);
    replay.drain();
    drop(under_way);
    assert_eq!(bench.results(), [("failed", false), ("under way", false)]);
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_attempt_delivered_is_not_told_as_failed_when_it_stops() {
    for (again, dropped) in [(false, false), (true, false), (true, true)] {
        let (sender, receiver) = tokio::sync::mpsc::channel(8);
        let mut replay = Replay::new(Given { receiver });
        let failed: Arc<Mutex<Vec<u32>>> = Arc::default();
        let told = failed.clone();
        let ack = Ack::new(move |outcome| {
            let reason = outcome.unwrap_err();
            told.lock().extend((0..3).filter(|place| reason.concerns(Some(*place))));
        });
        let batch = ["a", "b", "c"].map(Message::new).into();
        sender.send(Transaction { batch, ack }).await.unwrap();
        let (batch, ack) = replay.read().await.unwrap();
        ack.done(Err(NackReason::failed("x").only([&batch[1]])));
        let second = if again { Some(replay.read().await.unwrap().1) } else { None };
        replay.drain();
        match second {
            Some(ack) if dropped => drop(ack),
            Some(ack) => ack.done(Err(NackReason::stopping())),
            None => {}
        }
        assert_eq!(*failed.lock(), [1], "{again} {dropped}");
    }
}

pub(super) struct Given {
    pub(super) receiver: tokio::sync::mpsc::Receiver<Transaction>,
}

#[async_trait]
impl Input for Given {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        self.receiver.recv().await.map(|t| (t.batch, t.ack)).ok_or(ReadError::End)
    }

    async fn close(&mut self) {}
}
