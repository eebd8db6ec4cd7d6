//! Processors by themselves: what waits, what breaks down, what order comes out.

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::*;
use crate::build::Stage;
use crate::metrics::{ComponentKind, Probe};
use crate::pipeline::Pipeline;

/// Does what the words of a message say.
struct Obedient;

#[async_trait]
impl Processor for Obedient {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        for word in texts(&batch).concat().split(' ') {
            match word {
                "wait" => tokio::time::sleep(Duration::from_secs(1)).await,
                "break" => panic!("told to"),
                _ => {}
            }
        }
        vec![batch]
    }
}

fn pipeline(threads: usize) -> (mpsc::Sender<Transaction>, Pipeline) {
    let probe = Probe::new(ComponentKind::Processor, "obedient", "root".into(), None);
    let stage =
        Stage { processor: Box::new(Obedient), probe: Arc::new(probe), spans: None, adds_keys: false };
    let (sender, receiver) = mpsc::channel(16);
    (sender, Pipeline::new(vec![stage], threads, receiver))
}

#[tokio::test(start_paused = true)]
async fn what_waits_waits_at_the_same_time_and_keeps_its_place() {
    let batches = ["0", "1 wait", "2", "3 wait", "4 wait wait", "5", "6 wait", "7"];
    for (threads, seconds) in [(1, 5), (2, 4), (4, 2)] {
        let bench = Bench::default();
        let (sender, mut pipeline) = pipeline(threads);
        for batch in batches {
            sender.send(bench.transaction(&[batch])).await.unwrap();
        }
        drop(sender);
        let started = Instant::now();
        let mut out = Vec::new();
        while let Some(transaction) = pipeline.next().await {
            out.extend(texts(&transaction.batch));
            transaction.ack.done(Ok(()));
        }
        assert_eq!(out, batches, "{threads} threads");
        assert_eq!(started.elapsed().as_secs(), seconds, "{threads} threads");
        assert_eq!(bench.results().len(), batches.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_breaks_down_takes_only_its_batch_with_it() {
    for threads in [1, 4] {
        let bench = Bench::default();
        let (sender, mut pipeline) = pipeline(threads);
        for batch in ["0", "break", "1 wait", "wait break", "2"] {
            sender.send(bench.transaction(&[batch])).await.unwrap();
        }
        drop(sender);
        while let Some(transaction) = pipeline.next().await {
            transaction.ack.done(Ok(()));
        }
        let mut results = bench.results();
        results.sort_unstable();
        assert_eq!(
            results,
            [("0", true), ("1 wait", true), ("2", true), ("break", false), ("wait break", false)]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn asking_and_giving_up_loses_nothing() {
    let bench = Bench::default();
    let (sender, mut pipeline) = pipeline(2);
    for batch in ["0 wait", "1 wait", "2"] {
        sender.send(bench.transaction(&[batch])).await.unwrap();
    }
    drop(sender);
    let mut out = Vec::new();
    loop {
        match tokio::time::timeout(Duration::from_millis(150), pipeline.next()).await {
            Ok(Some(transaction)) => out.extend(texts(&transaction.batch)),
            Ok(None) => break,
            Err(_) => {}
        }
    }
    assert_eq!(out, ["0 wait", "1 wait", "2"]);
}
