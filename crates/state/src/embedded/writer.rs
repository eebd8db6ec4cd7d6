//! The thread that owns the file. Everything that asks at the same time shares one commit, so that the cost of making
//! it durable (some hundred microseconds to milliseconds) is paid once for many.

use std::{path::Path, sync::Arc, thread::JoinHandle, time::Duration};

use redb::{Database, ReadableTable};
use tokio::sync::{mpsc, oneshot};

use super::{
    Ended, Held, Memory, OpenError,
    file::{self, COLLECTIONS, RECORDS, SESSIONS},
    quota_log::QuotaLog,
    quotas::{Quotas, Saved},
    records::Record,
};
use crate::{Health, Unavailable, values::unix_millis};

/// Jobs that wait for the disk; whoever comes when it is full waits in `send`.
const QUEUE: usize = 4096;
/// Jobs that share one commit.
const BATCH: usize = 1024;
/// How often quota counters are written: what `kill -9` may lose.
const COUNTERS_EVERY: Duration = Duration::from_secs(1);
/// Seconds between two sweeps of what has ended.
const SWEEP_EVERY: u32 = 60;

const STOPPED: &str = "the thread that writes the state file has stopped; restart this process";

type Answer = oneshot::Sender<Result<bool, Unavailable>>;

#[derive(Debug)]
enum Job {
    Put { name: Arc<str>, held: Held, row: Vec<u8>, only_existing: bool, answer: Answer },
    Delete { name: Box<str>, answer: Answer },
    Edit { edit: Edit, answer: Answer },
    Flush { answer: Answer },
}

/// A change of records or collections.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    Put { key: Box<str>, record: Record },
    Delete { key: Box<str> },
    AddMember { key: Box<str>, member: Box<str>, score: f64 },
    RemoveMember { key: Box<str>, member: Box<str> },
}

/// The way to the thread. Dropping it ends the thread after a last write, and waits for that: the file is free then.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Opens the file, fills the memory, starts the thread. Blocking.
    pub(super) fn start(dir: &Path, memory: Arc<Memory>) -> Result<Writer, OpenError> {
        let (database, path) = file::open(dir)?;
        let log = file::load(&database, &path, &memory)?;
        let failed = |source| OpenError::Io { path: path.clone(), source };
        // A runtime of its own: the thread waits for jobs and for time, and may block as long as the disk needs.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("state-writer".to_owned())
            .spawn(move || runtime.block_on(run(Disk { database, log }, memory, queue)))
            .map_err(failed)?;
        Ok(Writer { jobs: Some(jobs), thread: Some(thread) })
    }

    pub(super) async fn put(&self, name: &str, held: Held, only_existing: bool) -> Result<bool, Unavailable> {
        let row = file::encode(&held);
        self.ask(|answer| Job::Put { name: name.into(), held, row, only_existing, answer }).await
    }

    pub(super) async fn delete(&self, name: &str) -> Result<bool, Unavailable> {
        self.ask(|answer| Job::Delete { name: name.into(), answer }).await
    }

    pub(super) async fn edit(&self, edit: Edit) -> Result<bool, Unavailable> {
        self.ask(|answer| Job::Edit { edit, answer }).await
    }

    pub(super) async fn flush(&self) -> Result<(), Unavailable> {
        self.ask(|answer| Job::Flush { answer }).await.map(|_| ())
    }

    async fn ask(&self, job: impl FnOnce(Answer) -> Job) -> Result<bool, Unavailable> {
        let stopped = || Unavailable(STOPPED.to_owned());
        let (answer, answered) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(stopped)?;
        jobs.send(job(answer)).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by the panic hook; there is nothing left to do about it here.
            thread.join().ok();
        }
    }
}

/// Tells that nothing is written any more, however the thread ended.
struct Ending(Arc<Memory>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.health.send_replace(Health::down(STOPPED));
    }
}

/// The file, as its thread has it.
struct Disk {
    database: Database,
    log: QuotaLog,
}

async fn run(mut disk: Disk, memory: Arc<Memory>, mut queue: mpsc::Receiver<Job>) {
    let _ending = Ending(Arc::clone(&memory));
    let mut tick = tokio::time::interval(COUNTERS_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut ticks: u32 = 0;
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            count = queue.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    break;
                }
                perform(&mut disk, &memory, &mut batch);
            }
            _ = tick.tick() => {
                ticks = ticks.wrapping_add(1);
                let ended = if ticks.is_multiple_of(SWEEP_EVERY) { memory.sweep() } else { Ended::default() };
                report(&memory, save(&mut disk, &memory, &ended));
            }
        }
    }
    report(&memory, save(&mut disk, &memory, &Ended::default()));
}

/// Commits a batch, then lets memory follow, then answers. In this order a session that was acknowledged is on disk, and
/// what memory shows was acknowledged or is about to be.
fn perform(disk: &mut Disk, memory: &Memory, batch: &mut Vec<Job>) {
    let outcome = commit(&disk.database, batch);
    report(memory, outcome.as_ref().map(|_| ()).map_err(redb_text));
    let mut flushed = None;
    match outcome {
        Ok(outcomes) => {
            for (job, done) in batch.drain(..).zip(outcomes) {
                let answer = match job {
                    Job::Put { name, held, answer, .. } => {
                        if done {
                            memory.set_session(name, Some(held));
                        }
                        answer
                    }
                    Job::Delete { name, answer } => {
                        memory.set_session(name.into(), None);
                        answer
                    }
                    Job::Edit { edit, answer } => {
                        memory.records.apply(edit);
                        answer
                    }
                    Job::Flush { answer } => {
                        let result = flushed.get_or_insert_with(|| save(disk, memory, &Ended::default()));
                        answer.send(result.clone().map(|()| true).map_err(Unavailable)).ok();
                        continue;
                    }
                };
                // Whoever asked may have given up; what was committed stays.
                answer.send(Ok(done)).ok();
            }
        }
        Err(error) => {
            let error = Unavailable(redb_text(&error));
            for job in batch.drain(..) {
                let (Job::Put { answer, .. }
                | Job::Delete { answer, .. }
                | Job::Edit { answer, .. }
                | Job::Flush { answer }) = job;
                answer.send(Err(error.clone())).ok();
            }
        }
    }
}

/// One transaction for all jobs; tells for each whether it found what it asked for.
fn commit(database: &Database, batch: &[Job]) -> Result<Vec<bool>, redb::Error> {
    if batch.iter().all(|job| matches!(job, Job::Flush { .. })) {
        return Ok(vec![true; batch.len()]);
    }
    let now = unix_millis();
    let alive = |row: &[u8]| file::expiry(row).is_some_and(|expires_at| now < expires_at);
    let write = database.begin_write()?;
    let mut outcomes = Vec::with_capacity(batch.len());
    {
        let mut sessions = write.open_table(SESSIONS)?;
        let mut records = write.open_table(RECORDS)?;
        let mut collections = write.open_table(COLLECTIONS)?;
        for job in batch {
            outcomes.push(match job {
                Job::Put { name, row, only_existing, .. } => {
                    let wanted =
                        !only_existing || sessions.get(&**name)?.is_some_and(|old| alive(old.value()));
                    if wanted {
                        sessions.insert(&**name, row.as_slice())?;
                    }
                    wanted
                }
                Job::Delete { name, .. } => sessions.remove(&**name)?.is_some_and(|old| alive(old.value())),
                Job::Edit { edit, .. } => match edit {
                    Edit::Put { key, record } => {
                        records.insert(&**key, file::record_row(record).as_slice())?;
                        true
                    }
                    Edit::Delete { key } => records.remove(&**key)?.is_some_and(|old| alive(old.value())),
                    Edit::AddMember { key, member, score } => {
                        collections.insert((&**key, &**member), score)?;
                        true
                    }
                    Edit::RemoveMember { key, member } => collections.remove((&**key, &**member))?.is_some(),
                },
                Job::Flush { .. } => true,
            });
        }
    }
    write.commit()?;
    Ok(outcomes)
}

/// Writes changed counters and removes what has ended.
fn save(disk: &mut Disk, memory: &Memory, ended: &Ended) -> Result<(), String> {
    let quotas = &memory.counters.quotas;
    let changed = quotas.take_changed();
    if changed.is_empty() && ended.sessions.is_empty() && ended.records.is_empty() {
        return Ok(());
    }
    match save_rows(disk, &changed, quotas, ended) {
        Ok(log) => {
            disk.log = log;
            memory.forget(ended);
            Ok(())
        }
        Err(error) => {
            disk.log.lost();
            quotas.put_back(changed.into_iter().map(|(window, _)| window));
            Err(redb_text(&error))
        }
    }
}

/// The log as it is then.
fn save_rows(
    disk: &Disk,
    changed: &[Saved],
    quotas: &Quotas,
    ended: &Ended,
) -> Result<QuotaLog, redb::Error> {
    let write = disk.database.begin_write()?;
    let mut log = disk.log;
    {
        log.save(&write, changed, quotas)?;
        let mut sessions = write.open_table(SESSIONS)?;
        for name in &ended.sessions {
            sessions.remove(&**name)?;
        }
        let mut records = write.open_table(RECORDS)?;
        for key in &ended.records {
            records.remove(&**key)?;
        }
    }
    write.commit()?;
    Ok(log)
}

fn redb_text(error: &redb::Error) -> String {
    format!("the state file cannot be written: {error}; is the disk full? restart once that is repaired")
}

/// Keeps [`Health`] true to the last write; tells watchers only of changes.
fn report(memory: &Memory, result: Result<(), String>) {
    memory.health.send_if_modified(|health| {
        if health.error == result.as_ref().err().cloned() {
            return false;
        }
        if let Err(error) = &result {
            tracing::error!(%error, "state");
        }
        *health = result.map_or_else(Health::down, |()| Health::up());
        true
    });
}
