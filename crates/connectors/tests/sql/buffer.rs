//! The buffer `sqlite`: what it took is not lost, what was delivered is gone.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value as Json, json};
use streams::{Message, NackReason, Settings};

use crate::ends::{PATIENCE, Stream, build, messages, meta, text, texts, unique, until, within};

/// A folder of this test alone.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let path = std::env::temp_dir().join(unique("sluicegate-buffer"));
        std::fs::create_dir(&path).expect("a folder");
        Folder(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("buffer.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn settings() -> Settings {
    let mut settings = crate::ends::settings();
    settings.allow_unsafe.push("sqlite".to_owned());
    settings
}

fn buffered(path: &Path, mut buffer: Json) -> Json {
    buffer["path"] = json!(path);
    json!({"buffer": {"sqlite": buffer}})
}

fn start(path: &Path) -> Stream {
    Stream::start(buffered(path, json!({})), &settings())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_comes_again_after_a_restart_and_what_was_delivered_does_not() {
    let folder = Folder::new();
    let mut stream = start(&folder.file());
    for name in ["a", "b", "c"] {
        let mut batch = messages([name, "and"]);
        batch[0].set_meta("key", name);
        batch[1].set_error("flagged");
        stream.write(batch).await.expect("taken, though nothing is delivered");
    }
    assert_eq!(texts(&stream.batch().await), ["a", "and"]);
    let (batch, held) = stream.next().await;
    assert_eq!(texts(&batch), ["b", "and"]);
    // Cut, with one batch under way and one that nobody has seen.
    drop((held, stream));

    let mut stream = start(&folder.file());
    for name in ["b", "c"] {
        let batch = stream.batch().await;
        assert_eq!((texts(&batch), meta(&batch[0], "key")), (vec![name.into(), "and".into()], name.into()));
        assert_eq!(batch[1].error(), Some("flagged"));
    }
    stream.write(messages(["d"])).await.expect("taken");
    assert_eq!(stream.texts(1).await, ["d"]);
    stream.stop().await;
    let mut stream = start(&folder.file());
    assert!(stream.rest(Duration::from_millis(300)).await.is_empty(), "all was delivered");
    stream.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_failed_comes_again() {
    let folder = Folder::new();
    let mut stream = start(&folder.file());
    stream.write(messages(["a", "b", "c"])).await.expect("taken");
    let (batch, ack) = stream.next().await;
    ack.done(Err(NackReason::failed("no").only([&batch[1]])));
    assert_eq!(texts(&stream.batch().await), ["b"]);
    stream.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processors_shape_what_is_stored() {
    let folder = Folder::new();
    let processors = json!({
        "pre_processors": [{"mapping": "root = content().uppercase()"}, {"split": {"size": 1}}],
        "post_processors": [{"mapping": "root = if content() != \"B\" { content() + \"!\" } else { deleted() }"}],
    });
    let mut stream = Stream::start(buffered(&folder.file(), processors), &settings());
    stream.write(messages(["a", "b", "c"])).await.expect("taken");
    assert_eq!(texts(&stream.batch().await), ["A!"]);
    assert_eq!(texts(&stream.batch().await), ["C!"]);
    stream.stop().await;
    let mut stream = start(&folder.file());
    assert!(stream.rest(Duration::from_millis(300)).await.is_empty(), "what is filtered is delivered");
    stream.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_buffer_makes_the_input_wait_and_refuses_what_never_fits() {
    let folder = Folder::new();
    let limit = json!({"limit": 3000});
    let mut stream = Stream::start(buffered(&folder.file(), limit), &settings());
    let large = |fill: &str| vec![Message::new(fill.repeat(1000))];
    for fill in ["a", "b", "c"] {
        stream.write(large(fill)).await.expect("taken");
    }
    let mut fourth = stream.send(large("d"));
    let quiet = tokio::time::timeout(Duration::from_millis(200), &mut fourth).await;
    assert!(quiet.is_err(), "there is no room");
    assert_eq!(stream.batch().await[0].bytes().first(), Some(&b'a'));
    within(fourth).await.expect("an outcome").expect("room was made");
    let fault = stream.write(vec![Message::new("x".repeat(4000))]).await.expect_err("it never fits");
    assert!(fault.text().contains("larger"), "{fault}");
    for fill in [b'b', b'c', b'd'] {
        assert_eq!(stream.batch().await[0].bytes().first(), Some(&fill));
    }
    stream.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_belongs_to_one_stream_at_a_time() {
    let folder = Folder::new();
    let first = start(&folder.file());
    first.write(messages(["a"])).await.expect("taken");
    let mut second = start(&folder.file());
    until(|| second.last_error().contains("another stream")).await;
    // As when a definition changes: the new stream begins when the old one has left.
    drop(first);
    assert_eq!(second.texts(1).await, ["a"]);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_used_is_named() {
    let folder = Folder::new();
    std::fs::write(folder.file(), "this is text, and no database of any kind").expect("written");
    let other = folder.0.join("other.db");
    let status = Command::new("sqlite3").args([other.as_os_str(), "CREATE TABLE t (a)".as_ref()]).status();
    let foreign = status.is_ok_and(|status| status.success()).then_some((other, "something else"));
    let missing = folder.0.join("missing/buffer.db");
    let cases = [(folder.file(), "not a database"), (missing, "folder must exist")];
    for (path, expected) in cases.into_iter().chain(foreign) {
        let stream = start(&path);
        let waiting = stream.send(messages(["a"]));
        until(|| stream.last_error().contains(expected)).await;
        assert!(stream.last_error().contains(&*path.to_string_lossy()), "{}", stream.last_error());
        drop(stream);
        within(waiting).await.expect("an outcome").expect_err("never taken");
    }
}

#[test]
fn what_cannot_work_is_refused_when_it_is_read() {
    let config = |buffer: Json| json!({"input": {"inproc": "a"}, "output": {"drop": {}}, "buffer": {"sqlite": buffer}});
    for (buffer, expected) in [
        (json!({"path": ""}), "must name a file"),
        (json!({"path": "a", "limit": 0}), "above 0"),
        (json!({}), "path"),
    ] {
        let faults = build(&config(buffer.clone()), &settings()).expect_err("it cannot work");
        assert!(faults.contains(expected), "{buffer}: {faults}");
    }
    let faults = build(&config(json!({"path": "a"})), &crate::ends::settings()).expect_err("not allowed");
    assert!(faults.contains("not allowed"), "{faults}");
}

/// The environment variable that makes [`a_taker`] be one.
const TAKER: &str = "SLUICEGATE_TEST_TAKER";

/// The process that is killed: this very test, run by another. It prints the number of each batch that was taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_taker() {
    let Some(path) = std::env::var_os(TAKER) else { return };
    let mut stream = start(Path::new(&path));
    let deliver = std::env::var_os("SLUICEGATE_TEST_DELIVER").is_some();
    let began = std::time::Instant::now();
    for number in 0.. {
        stream.write(vec![Message::new(number.to_string())]).await.expect("taken");
        println!("taken {number}");
        if deliver && number % 2 == 0 {
            let delivered = stream.batch().await;
            println!("given {}", text(&delivered[0]));
        }
        if began.elapsed() > 2 * PATIENCE {
            return;
        }
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_loses_nothing_that_it_took() {
    use std::io::{BufRead as _, BufReader};
    for deliver in [false, true] {
        let folder = Folder::new();
        let mut command = Command::new(std::env::current_exe().expect("a path"));
        command.args(["--exact", "buffer::a_taker", "--nocapture"]).env(TAKER, folder.file());
        if deliver {
            command.env("SLUICEGATE_TEST_DELIVER", "1");
        }
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut running = Killed(child.expect("a process"));
        let lines = BufReader::new(running.0.stdout.take().expect("piped")).lines();
        let lines = tokio::task::spawn_blocking(move || {
            let mut said: Vec<String> = Vec::new();
            for line in lines.map_while(Result::ok) {
                said.push(line);
                if said.len() == 200 {
                    // SIGKILL, with batches on their way.
                    let _ = running.0.kill();
                }
            }
            said
        })
        .await
        .expect("it is killed");
        let of = |what: &str| -> Vec<u64> {
            let numbers = lines.iter().filter_map(|line| line.strip_prefix(what)?.trim().parse().ok());
            numbers.collect()
        };
        let (taken, given) = (of("taken "), of("given "));
        assert!(taken.len() > 50 && given.is_empty() != deliver, "{lines:?}");
        let mut stream = start(&folder.file());
        let mut seen: Vec<u64> = Vec::new();
        let last = *taken.last().expect("taken");
        while seen.last().is_none_or(|seen| *seen < last) {
            seen.extend(stream.texts(1).await.iter().map(|text| text.parse::<u64>().expect("a number")));
        }
        let missing: Vec<_> = taken.iter().filter(|id| !seen.contains(id) && !given.contains(id)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        // The very last deliveries may not have been noted; what was before is gone.
        let again = given.iter().rev().skip(2).filter(|id| seen.contains(id)).count();
        assert_eq!(again, 0, "delivered and not removed");
        stream.stop().await;
    }
}
