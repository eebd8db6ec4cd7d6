//! What a doc shows is run: every command, definition and configuration in README.md, docs/ and examples/.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Blocking, Stdio};

use e2e::{Reply, binary, curl, free_port, soon, until};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdout, Command};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// What the pages write for a gate that `make run` started.
const SHOWN: &str = "localhost:8080";

fn root() -> PathBuf {
    Path::new(ROOT).canonicalize().expect("the clone is there")
}

/// Every page for readers, by its path below the clone.
fn pages() -> Vec<(String, String)> {
    let mut paths: Vec<PathBuf> = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "examples/quickstart/README.md",
        "examples/streams/README.md",
    ]
    .map(PathBuf::from)
    .into();
    let docs = root().join("docs").read_dir().expect("docs/ is there");
    let docs = docs.map(|entry| Path::new("docs").join(entry.unwrap().file_name()));
    paths.extend(docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    paths.sort();
    let read = |path: &PathBuf| fs::read_to_string(root().join(path)).expect("a page is text");
    paths.iter().map(|path| (path.display().to_string(), read(path))).collect()
}

/// What stands between fences.
struct Block {
    page: String,
    line: usize,
    language: String,
    text: String,
}

fn blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for (page, text) in pages() {
        let mut open = false;
        for (number, line) in text.lines().enumerate() {
            match line.strip_prefix("```") {
                Some(language) if !open => {
                    let (page, language) = (page.clone(), language.to_owned());
                    blocks.push(Block { page, line: number + 1, language, text: String::new() });
                    open = true;
                }
                Some(_) => open = false,
                None if open => {
                    let block = blocks.last_mut().expect("one is open");
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                None => {}
            }
        }
        assert!(!open, "{page}: a fence is not closed");
    }
    blocks
}

fn block(page: &str, language: &str, number: usize) -> String {
    let mut found = blocks().into_iter().filter(|block| block.page == page && block.language == language);
    found.nth(number).unwrap_or_else(|| panic!("{page} has no {language} block {number}")).text
}

/// The commands of a text, without comments; lines that are continued are one command.
fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut parts = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_suffix('\\') {
            Some(part) => parts.push_str(part),
            None => commands.push(std::mem::take(&mut parts) + line),
        }
    }
    commands
}

/// The gate as `make run` starts it, on a port and with files of its own.
struct Quickstart {
    child: Child,
    port: u16,
    dir: PathBuf,
}

impl Quickstart {
    async fn start() -> Self {
        let port = free_port();
        let dir = std::env::temp_dir().join(format!("sluicegate-quickstart-{port}"));
        fs::create_dir_all(&dir).unwrap();
        let log = File::create(dir.join("log")).unwrap();
        let child = Blocking::new(root().join("scripts/quickstart"))
            .arg(binary().canonicalize().expect("the binary is there"))
            .arg(port.to_string())
            .env("XDG_CACHE_HOME", &dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("scripts/quickstart can be run");
        let gate = Self { child, port, dir };
        let ready = format!("http://{}/ready", gate.host());
        until("the quickstart is ready", async || curl(&[&ready]).await.status == 200).await;
        gate
    }

    fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap()
    }

    /// The definitions that it runs with; for a port other than 8080 they are a copy.
    fn definition(&self, name: &str) -> PathBuf {
        self.dir.join(format!("sluicegate/quickstart-{}/apis/{name}.json", self.port))
    }

    /// Runs a shell command of a page at the top of the clone, and gives what it prints.
    async fn shell(&self, command: &str, key: &str) -> String {
        let command = command.replace(SHOWN, &self.host());
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", &command])
            .env("KEY", key)
            .current_dir(root())
            .kill_on_drop(true);
        let output = soon(&command, bash.output()).await.expect("bash is installed");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{command}\n{out}{err}");
        out.into_owned()
    }

    /// Starts a `curl` of a page that does not end by itself, and waits until it is answered.
    async fn endless(&self, command: &str, key: &str) -> Endless {
        let command = command.trim_end_matches(" &").replace(SHOWN, &self.host());
        let shown = command.strip_prefix("curl ").unwrap_or_else(|| panic!("no curl: {command}"));
        let mut child = Command::new("bash")
            .args(["-c", &format!("exec curl -sS -v {shown}")])
            .env("KEY", key)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("bash is installed");
        // curl tells of the head on its standard error when it comes; on its output it would wait for the body.
        let mut told = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        loop {
            let line = soon("the answer's head", told.next_line()).await.unwrap().expect("an answer");
            if let Some(status) = line.strip_prefix("< HTTP/1.1 ") {
                assert!(status.starts_with("200"), "{command}: {status}");
                break;
            }
        }
        tokio::spawn(async move { while let Ok(Some(_)) = told.next_line().await {} });
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Endless { _child: child, lines }
    }
}

impl Drop for Quickstart {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        } else {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

struct Endless {
    _child: tokio::process::Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Endless {
    async fn line(&mut self) -> Option<String> {
        soon("a line of curl", self.lines.next_line()).await.unwrap()
    }

    async fn data(&mut self) -> Value {
        loop {
            let line = self.line().await.expect("the stream goes on");
            if let Some(data) = line.strip_prefix("data: ") {
                return serde_json::from_str(data).expect("an event holds JSON");
            }
        }
    }

    /// What is left until its end.
    async fn rest(&mut self) -> String {
        let mut rest = String::new();
        while let Some(line) = self.line().await {
            rest.push_str(&line);
            rest.push('\n');
        }
        rest
    }
}

/// Does what a newcomer is told to do, step by step. Gives the key and the open stream of prices.
async fn follow(gate: &Quickstart, steps: &[String]) -> (String, Endless) {
    let mut key = String::new();
    let (mut prices, mut feed) = (None, None);
    let mut seen = Vec::new();
    for step in steps {
        let path = ["KEY=", "/status/", "/guarded/", "/shop/prices", "/shop/feed", "/shop/orders"]
            .into_iter()
            .find(|path| step.contains(path))
            .unwrap_or_else(|| panic!("nobody says what this should do: {step}"));
        seen.push(path);
        match path {
            "KEY=" => {
                key = gate.shell(&format!("{step}; printf %s \"$KEY\""), "").await;
                assert!(key.len() > 20 && !key.contains('"'), "{key:?}");
            }
            "/status/" => {
                let body: Value = serde_json::from_str(&gate.shell(step, "").await).expect("JSON");
                assert_eq!(body["status"], "pass");
            }
            "/guarded/" => {
                let status = if step.contains("$KEY") { "HTTP/1.1 200" } else { "HTTP/1.1 401" };
                let answer = gate.shell(step, &key).await;
                assert!(answer.starts_with(status), "{step}: {answer}");
            }
            "/shop/prices" => {
                let mut stream = gate.endless(step, &key).await;
                assert_eq!(stream.data().await["price"], 4.2);
                prices = Some(stream);
            }
            "/shop/feed" => feed = Some(gate.endless(step, &key).await),
            _ => {
                gate.shell(step, &key).await;
                let event = feed.as_mut().expect("the feed is open").data().await;
                assert_eq!((&event["item"], &event["amount"]), (&"TEA".into(), &2.into()), "{event}");
            }
        }
    }
    let all = ["/status/", "/guarded/", "KEY=", "/guarded/", "/shop/prices", "/shop/feed", "/shop/orders"];
    assert_eq!(seen, all, "steps were left out");
    (key, prices.expect("the prices were asked for"))
}

#[tokio::test]
async fn the_quickstart_does_what_it_prints() {
    let gate = Quickstart::start().await;
    let log = gate.log();
    let printed: String = log
        .lines()
        .filter(|line| line.starts_with("    ")) // what is to be typed, and the comments to it
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(printed.contains(&gate.host()), "the port is not the one asked for:\n{log}");
    follow(&gate, &commands(&printed)).await;
}

#[tokio::test]
async fn readme_can_be_followed() {
    let gate = Quickstart::start().await;
    let steps = commands(&block("README.md", "sh", 1));
    let (key, mut prices) = follow(&gate, &steps).await;

    // The last step: a change while all of this runs.
    let path = gate.definition("shop");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("4.2", "5.5")).unwrap();
    let rest = prices.rest().await;
    assert!(rest.contains(": closing: the API was changed") && rest.contains("retry: "), "{rest}");
    let again = steps.iter().find(|step| step.contains("/shop/prices")).unwrap();
    assert_eq!(gate.endless(again, &key).await.data().await["price"], 5.5);
}

#[tokio::test]
async fn the_admin_api_does_what_its_page_shows() {
    let gate = Quickstart::start().await;
    let steps = commands(&block("docs/admin-api.md", "sh", 0)).join("\n");
    let said = gate.shell(&steps.replace("curl ", "curl -sS --fail-with-body "), "").await;
    let said = said.replace(": ", ":");
    for part in [r#""api_id":"shop""#, r#""action":"added""#, r#""status":"pass""#, r#""action":"deleted""#] {
        assert!(said.contains(part), "{part} was not said: {said}");
    }
    assert!(!gate.definition("again").exists());
}

/// Byte by byte as the page shows it: the places in the reply are those in the request.
#[tokio::test]
async fn a_refusal_is_told_as_the_page_shows() {
    let gate = Quickstart::start().await;
    let (refused, reply) = (block("docs/admin-api.md", "json", 0), block("docs/admin-api.md", "json", 1));
    let url = format!("http://{}/tyk/apis/oas", gate.host());
    let secret = "x-tyk-authorization: quickstart";
    let answer: Reply = curl(&["-H", secret, "--data-binary", &refused, &url]).await;
    let shown: Value = serde_json::from_str(&reply).expect("the reply is JSON");
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json(), shown, "the page shows another reply; got {:#}", answer.json());
}

#[test]
fn every_definition_and_configuration_is_what_the_page_says() {
    let dir = std::env::temp_dir().join(format!("sluicegate-blocks-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let mut count = 0;
    for block in blocks() {
        let name = match block.language.as_str() {
            // Shown as refused, and compared with the real reply above.
            "json" if block.page == "docs/admin-api.md" => continue,
            "json" => "block.json",
            "yaml" => "block.yaml",
            // Commands are run above; mappings by the tests of the room that they belong to.
            "" | "sh" | "text" | "coffee" => continue,
            other => panic!("{}:{}: nobody tests `{other}`", block.page, block.line),
        };
        fs::write(dir.join(name), &block.text).unwrap();
        let lint =
            Blocking::new(binary()).args(["lint", "--format", "json", name]).current_dir(&dir).output();
        let told: Value = serde_json::from_slice(&lint.unwrap().stdout).expect("one JSON object");
        let faults = &told["files"][0]["faults"];
        assert_eq!(faults, &Value::Array(Vec::new()), "{}:{}\n{}", block.page, block.line, block.text);
        count += 1;
    }
    assert!(count >= 4, "the pages lost their examples");
    let _ = fs::remove_dir_all(&dir);
}

#[test]
fn the_examples_have_no_fault() {
    let lint = Blocking::new(binary()).args(["lint", "examples"]).current_dir(root()).output().unwrap();
    let said = String::from_utf8_lossy(&lint.stdout);
    assert!(lint.status.success() && said.contains(" 0 errors, 0 warnings"), "{said}");
}

#[test]
fn pages_name_what_is_there() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut wrong = Vec::new();
    for (page, text) in pages() {
        if page.starts_with("docs/") && !readme.contains(&format!("]({page})")) {
            wrong.push(format!("README.md leads nobody to {page}"));
        }
        let folder = root().join(&page).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if !link.is_empty() && !link.contains("://") && !folder.join(link).exists() {
                wrong.push(format!("{page} links to {link}"));
            }
        }
        // In `code` and in fences: names of files, and commands of the Makefile.
        let code = text.split('`').skip(1).step_by(2).filter(|code| !code.contains('\n')).map(str::to_owned);
        let fenced = blocks().into_iter().filter(|block| block.page == page);
        for code in code.chain(fenced.flat_map(|block| commands(&block.text))) {
            let mut words = code.split(' ');
            if words.next() == Some("make")
                && let Some(target) = words.next()
                && target.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
                && !makefile.lines().any(|line| line.starts_with(&format!("{target}:")))
            {
                wrong.push(format!("{page}: the Makefile has no {target}"));
            }
            let source =
                [".rs", ".md", ".toml"].iter().any(|end| code.ends_with(end)) || code.starts_with("scripts/");
            let name = code.split(' ').next().unwrap_or_default();
            if source && !name.contains(['*', '<', '{']) && !exists(name) {
                wrong.push(format!("{page}: there is no {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether a page may mean this file: from the top of the clone, or from the sources of a room.
fn exists(name: &str) -> bool {
    let rooms =
        root().join("crates").read_dir().expect("crates/ is there").map(|entry| entry.unwrap().path());
    root().join(name).exists()
        || root().join("crates").join(name).exists()
        // As `docs/proofs.md` shortens them.
        || root().join("crates/connectors/tests").join(name).exists()
        || name.strip_prefix("e2e/").is_some_and(|name| root().join("e2e/tests").join(name).exists())
        || rooms.into_iter().any(|room| room.join("src").join(name).exists())
}
