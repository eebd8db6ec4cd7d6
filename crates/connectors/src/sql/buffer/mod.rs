//! The buffer `sqlite` (streams contract 3.11): batches are on disk before their source hears that they are taken.

mod file;
mod keeper;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use document::Fault;
use parking_lot::Mutex;
use streams::{
    Ack, Batch, Buffer, BufferSpec, BuildContext, ConnectError, Default as Unwritten, Field, Input, Kind,
    NackReason, Node, Probe, ReadError, Replay, Stage, Transaction, WriteError, record, run_stages,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use file::{File, Stored};
use keeper::{Keeper, Write};

/// Writes that wait for the disk together.
const WAITING: usize = 64;
/// SQLite's own limit of a value, less what a row has beside it.
const LARGEST: u64 = 999_999_000;

/// The buffer `sqlite`.
pub static SPEC: BufferSpec = BufferSpec {
    name: "sqlite",
    summary: "A queue on disk, in a SQLite database of its own. A batch is acknowledged when the disk has it (it is synced, unlike in the original, so that a power cut loses nothing either), and removed when it was delivered. What was not delivered is given out again: at once while the stream runs, and after a restart, also after `kill -9`. Since it writes to the gate's disk, whoever runs the gate must allow it: `streaming.allow_unsafe: [sqlite]`.",
    config: Kind::Object(&[
        Field::required(
            "path",
            Kind::Text,
            "The database's file. It is made if there is none; its folder must exist. One buffer a file. Files of the original are not read.",
        ),
        Field::optional(
            "pre_processors",
            Kind::List(&Kind::Processor),
            "Run on every batch before it is stored, for example to archive and compress it. What they make is stored as one row each.",
        ),
        Field::optional(
            "post_processors",
            Kind::List(&Kind::Processor),
            "Run on every batch that is given out, for example to undo what `pre_processors` did.",
        ),
        Field::new(
            "limit",
            Kind::Size,
            Unwritten::Int(10 << 30),
            "Most bytes of batches in the file. When it is full the input waits. Known here only.",
        ),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Option<Box<dyn Buffer>>, Fault> {
    let path = node.text("path")?;
    if path.is_empty() {
        return Err(node.field_fault("path", "`path` must name a file"));
    }
    // Two ways to write the same file are the same claim.
    let file = std::path::absolute(&*path).unwrap_or_else(|_| PathBuf::from(&*path));
    context.claim(format!("sqlite buffer {}", file.display()));
    let limit = node.size("limit")?.unwrap_or(0);
    if limit == 0 {
        return Err(node.field_fault("limit", "`limit` must be above 0"));
    }
    Ok(Some(Box::new(Sqlite {
        path: PathBuf::from(&*path),
        limit,
        before: context.stages(&node.get("pre_processors"))?,
        after: context.stages(&node.get("post_processors"))?,
        probe: context.probe.clone(),
        writes: Mutex::default(),
        keeper: Mutex::default(),
        given: tokio::sync::Mutex::new(Replay::new(Given::default())),
        processed: Mutex::default(),
    })))
}

struct Sqlite {
    path: PathBuf,
    limit: u64,
    before: Vec<Stage>,
    after: Vec<Stage>,
    probe: Arc<Probe>,
    /// Taken away when the input has ended.
    writes: Mutex<Option<mpsc::Sender<Write>>>,
    keeper: Mutex<Option<JoinHandle<()>>>,
    /// What fails behind the buffer comes again, while its row stays where it is.
    given: tokio::sync::Mutex<Replay<Given>>,
    /// Further batches of those that the processors behind the buffer made of one.
    processed: Mutex<VecDeque<Transaction>>,
}

impl Sqlite {
    async fn store(&self, batch: &Batch, ack: Ack) -> Result<(), WriteError> {
        let largest = self.limit.min(LARGEST);
        let Some(bytes) = record::encode(batch).filter(|bytes| bytes.len() as u64 <= largest) else {
            let text = "the batch is larger than what the buffer may hold";
            ack.done(Err(NackReason::failed(text)));
            return Err(WriteError::Failed(text.to_owned()));
        };
        // A copy, so that no lock is held while the buffer is full. Dropping the write nacks it.
        let writes = self.writes.lock().clone();
        if let Some(writes) = writes {
            let _ = writes.send(Write { bytes, ack }).await;
        }
        Ok(())
    }
}

#[async_trait]
impl Buffer for Sqlite {
    async fn open(&self) -> Result<(), String> {
        let file = File::open(&self.path).await?;
        let (to_keeper, writes) = mpsc::channel(WAITING);
        let (resolve, delivered) = mpsc::unbounded_channel();
        let (ready, helpings) = mpsc::channel(1);
        let waiting = file.used;
        let keeper = Keeper { file, limit: self.limit, writes, delivered, ready, probe: self.probe.clone() };
        *self.writes.lock() = Some(to_keeper);
        let mut given = self.given.lock().await;
        *given = Replay::new(Given { ends: Some(Ends { helpings, resolve }), helping: VecDeque::new() });
        *self.keeper.lock() = Some(tokio::spawn(keeper.run()));
        if waiting > 0 {
            tracing::info!(path = %self.path.display(), bytes = waiting, "the buffer holds what was not delivered before");
        }
        Ok(())
    }

    async fn write(&self, Transaction { batch, ack }: Transaction) -> Result<(), WriteError> {
        let batches = run_stages(&self.before, batch).await;
        let acks = ack.share(batches.len());
        let mut outcome = Ok(());
        for (batch, ack) in batches.iter().zip(acks) {
            outcome = outcome.and(self.store(batch, ack).await);
        }
        outcome
    }

    /// Cut at any point, nothing is lost: a batch that was being processed counts as failed and comes again.
    async fn read(&self) -> Option<Transaction> {
        loop {
            if let Some(transaction) = self.processed.lock().pop_front() {
                return Some(transaction);
            }
            let (batch, ack) = self.given.lock().await.read().await.ok()?;
            if self.after.is_empty() {
                return Some(Transaction { batch, ack });
            }
            let batches = run_stages(&self.after, batch).await;
            let acks = ack.share(batches.len());
            let made = batches.into_iter().zip(acks).map(|(batch, ack)| Transaction { batch, ack });
            self.processed.lock().extend(made);
        }
    }

    fn end_of_input(&self) {
        *self.writes.lock() = None;
    }

    async fn close(&self) {
        self.end_of_input();
        self.processed.lock().clear();
        let mut given = self.given.lock().await;
        given.drain();
        given.close().await;
        drop(given);
        // It ends when what was given out is resolved; then all that was delivered is removed.
        let keeper = self.keeper.lock().take();
        if let Some(keeper) = keeper
            && let Err(fault) = keeper.await
        {
            tracing::error!(path = %self.path.display(), %fault, "the buffer broke down");
        }
    }
}

/// What the keeper gives out, as an input, so that failures can be replayed.
#[derive(Debug, Default)]
struct Given {
    ends: Option<Ends>,
    helping: VecDeque<Stored>,
}

#[derive(Debug)]
struct Ends {
    helpings: mpsc::Receiver<Vec<Stored>>,
    resolve: mpsc::UnboundedSender<i64>,
}

#[async_trait]
impl Input for Given {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        let Some(ends) = &mut self.ends else { return Err(ReadError::End) };
        loop {
            let Some(Stored { id, bytes }) = self.helping.pop_front() else {
                match ends.helpings.recv().await {
                    Some(helping) => self.helping.extend(helping),
                    None => return Err(ReadError::End),
                }
                continue;
            };
            match record::decode(bytes) {
                // Nothing in it: as good as delivered.
                Some(batch) if batch.is_empty() => drop(ends.resolve.send(id)),
                Some(batch) => {
                    let resolve = ends.resolve.clone();
                    let ack = Ack::new(move |outcome| {
                        // Otherwise its row stays, for the next start.
                        if outcome.is_ok() {
                            let _ = resolve.send(id);
                        }
                    });
                    return Ok((batch, ack));
                }
                None => {
                    tracing::error!(
                        id,
                        "a row of the buffer cannot be read; it stays in the file, and is not given out"
                    );
                }
            }
        }
    }

    async fn close(&mut self) {
        self.ends = None;
        self.helping.clear();
    }
}
