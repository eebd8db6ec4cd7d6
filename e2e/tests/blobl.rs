//! `sluicegate blobl` as somebody at a terminal meets it: lines through pipes, files, exit codes, and the playground on
//! a terminal of its own.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use e2e::{Gate, binary, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A finished run.
struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

fn blobl(folder: &Path, arguments: &[&str], input: &str) -> Done {
    let mut child = Command::new(binary())
        .arg("blobl")
        .args(arguments)
        .current_dir(folder)
        .env("SLUICEGATE_TEST_WORD", "tea")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be started");
    // A run that ends before it reads closes the pipe.
    let _ = child.stdin.take().expect("the input is a pipe").write_all(input.as_bytes());
    let done = child.wait_with_output().expect("the run ends");
    let text = |bytes| String::from_utf8(bytes).expect("the output is UTF-8");
    Done { code: done.status.code(), out: text(done.stdout), err: text(done.stderr) }
}

#[test]
fn lines_go_through_the_mapping() {
    let folder = Gate::setup()
        .file("lib/shout.blobl", "map shout {\n  root = this.uppercase()\n}\n")
        .file("main.blobl", "import \"lib/shout.blobl\"\nroot.name = this.name.apply(\"shout\")\n")
        .file("broken.blobl", "import \"lib/broken.blobl\"\nroot = this\n")
        .file("lib/broken.blobl", "map a {\n  root = this.upercase()\n}\n")
        .prepare();
    let two = "{\"name\":\"ada\"}\n{\"name\":null}\n{\"name\":\"eve\"}\n";
    for (arguments, input, code, out, err) in [
        (vec!["root.n = this.name"], "{\"name\":\"ada\"}\n", 0, "{\"n\":\"ada\"}\n", ""),
        (
            vec!["this.price"],
            "{\"price\":1.50}\n{\"price\":18446744073709551615}",
            0,
            "1.50\n18446744073709551615\n",
            "",
        ),
        (vec!["--raw", "--threads", "4", "this.split(\"-\")"], "a-b\nc", 0, "[\"a\",\"b\"]\n[\"c\"]\n", ""),
        (vec!["--pretty", "root = this"], "{\"b\":1,\"a\":[]}", 0, "{\n  \"a\": [],\n  \"b\": 1\n}\n", ""),
        (vec!["root = env(\"SLUICEGATE_TEST_WORD\")"], "{}", 0, "tea\n", ""),
        (
            vec!["--file", "main.blobl"],
            two,
            1,
            "{\"name\":\"ADA\"}\n{\"name\":\"EVE\"}\n",
            "line 2 of the input: failed assignment (line 2): failed assignment (line 2): expected string value, got null",
        ),
        (vec!["--file", "broken.blobl"], "", 1, "", "lib/broken.blobl:2:15\n"),
        (vec!["--file", "broken.blobl"], "", 1, "", "did you mean `uppercase`?"),
        (vec!["root = this."], "", 1, "", "error: line 1 char 13: expected a field or a method after `.`"),
        (vec!["--file", "missing.blobl"], "", 2, "", "cannot read missing.blobl"),
        (
            vec!["--max-token-length", "5", "this"],
            "1234567",
            2,
            "",
            "line 1 of the input is longer than 5 bytes",
        ),
        (
            vec!["this"],
            "oops\n1\n",
            1,
            "1\n",
            "line 1 of the input: failed assignment (line 1): unable to reference",
        ),
        (vec![], "", 2, "", "Usage"),
    ] {
        let done = blobl(folder.dir(), &arguments, input);
        assert_eq!((done.code, &*done.out), (Some(code), out), "{arguments:?}: {}", done.err);
        assert!(
            done.err.contains(err) && done.err.is_empty() == err.is_empty(),
            "{arguments:?}: {}",
            done.err
        );
    }
}

/// The playground on a pseudo-terminal, which `script` of util-linux gives it.
struct Terminal {
    _child: tokio::process::Child,
    keyboard: tokio::process::ChildStdin,
    screen: tokio::process::ChildStdout,
    seen: String,
}

impl Terminal {
    fn start(folder: &Path, arguments: &str) -> Terminal {
        let line = format!("{} blobl play {arguments}", binary().display());
        let mut child = tokio::process::Command::new("script")
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .current_dir(folder)
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("`script` can be started");
        let keyboard = child.stdin.take().expect("the keyboard is a pipe");
        let screen = child.stdout.take().expect("the screen is a pipe");
        Terminal { _child: child, keyboard, screen, seen: String::new() }
    }

    async fn keys(&mut self, keys: &str) {
        self.seen.clear();
        self.keyboard.write_all(keys.as_bytes()).await.expect("the keyboard works");
        self.keyboard.flush().await.expect("the keyboard works");
    }

    /// Waits for `text`, and behind it for the sign that the next line is listened to: what is typed before is lost.
    async fn shows(&mut self, text: &str) {
        const LISTENS: &str = "\u{1b}[?2004h";
        let mut bytes = [0; 4096];
        let read = async {
            while !self.seen.split_once(text).is_some_and(|(_, rest)| rest.contains(LISTENS)) {
                let count = self.screen.read(&mut bytes).await.expect("the screen can be read");
                assert!(count > 0, "the playground ended before it showed {text:?}: {}", self.seen);
                self.seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        };
        soon(text, read).await;
    }
}

#[tokio::test]
async fn the_playground_answers_at_once() {
    let folder = Gate::setup().file("in.json", "{\"name\":\"ada\",\"n\":[1,2]}").prepare();
    let mut terminal = Terminal::start(folder.dir(), "--input-file in.json");
    terminal.shows("`:help` tells more").await;
    terminal.keys("this.name.capit\t).reverse()\r").await;
    terminal.shows("adA\r\n").await;
    terminal.keys("root.sum = this.n.sum()\r").await;
    terminal.shows("\"sum\": 3\r\n").await;
    // A line with open brackets goes on in the next one.
    terminal.keys("root = {\r\"twice\": this.n.map_each(n -> n * 2)}\r").await;
    terminal.shows("\"twice\": [\r\n").await;
    terminal.keys("root = this.upercase()\r").await;
    terminal.shows("did you mean `uppercase`?").await;
    terminal.keys(":input {\"name\":\"eve\"}\r").await;
    terminal.shows("\r\n").await;
    terminal.keys("this.name\r").await;
    terminal.shows("eve\r\n").await;
    terminal.keys("\u{1b}[A\u{1b}[D\u{1b}[D\u{1b}[D\u{1b}[D\u{1b}[D!\r").await; // the last line again, edited
    terminal.shows("error").await;
    terminal.keys(":quit\r").await;
    let mut rest = Vec::new();
    soon("the end of the playground", terminal.screen.read_to_end(&mut rest))
        .await
        .expect("the screen can be read");
}
