//! Lines in, lines out: chunk after chunk, each shared among the threads, results in the order of the lines.

use std::io::{self, BufRead, Read, Write};
use std::thread;

use bloblang::Mapping;
use bytes::Bytes;

use super::view::{Document, map};
use crate::cli::Blobl;

/// A chunk is mapped when it has this many lines or bytes for each thread, so that memory stays bounded. With one thread
/// every line is mapped as it comes, for those who watch.
const LINES: usize = 256;
const BYTES: usize = 1 << 20;

/// Maps every line; gives the number of those on which the mapping failed, each told on `faults`.
///
/// # Errors
/// When the input cannot be read, has a line that is too long, or the output cannot be written.
pub(super) fn run(
    asked: &Blobl,
    mapping: &Mapping,
    mut input: impl BufRead,
    mut output: impl Write,
    faults: &mut impl Write,
) -> io::Result<usize> {
    let threads = usize::from(asked.threads);
    let (most_lines, most_bytes) = if threads == 1 { (1, 0) } else { (threads * LINES, threads * BYTES) };
    let (mut number, mut failed, mut ended) = (0, 0, false);
    while !ended {
        let mut chunk = Vec::new();
        let mut size = 0;
        while chunk.len() < most_lines && size <= most_bytes {
            match line(&mut input, asked.max_token_length, number + chunk.len() + 1)? {
                Some(line) => {
                    size += line.len();
                    chunk.push(line);
                }
                None => {
                    ended = true;
                    break;
                }
            }
        }
        for result in mapped(asked, mapping, &chunk, threads) {
            number += 1;
            match result {
                Ok(Some(line)) => {
                    output.write_all(&line)?;
                    output.write_all(b"\n")?;
                }
                Ok(None) => {}
                Err(why) => {
                    failed += 1;
                    output.flush()?;
                    writeln!(faults, "line {number} of the input: {why}")?;
                }
            }
        }
        // What was read is written before more is waited for.
        if ended || input.fill_buf()?.is_empty() || threads == 1 && !chunk.is_empty() && is_interactive() {
            output.flush()?;
        }
    }
    output.flush()?;
    Ok(failed)
}

/// Whether somebody types the lines and waits for each result.
fn is_interactive() -> bool {
    use std::io::IsTerminal;
    io::stdin().is_terminal()
}

type Mapped = Result<Option<Bytes>, String>;

fn mapped(asked: &Blobl, mapping: &Mapping, chunk: &[Bytes], threads: usize) -> Vec<Mapped> {
    let one = |line: &Bytes| -> Mapped {
        map(mapping, &Document::new(line.clone(), asked.raw), asked.pretty).map_err(|error| error.to_string())
    };
    let share = chunk.len().div_ceil(threads).max(1);
    if threads == 1 || chunk.len() == 1 {
        return chunk.iter().map(one).collect();
    }
    thread::scope(|scope| {
        let parts: Vec<_> = chunk
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(one).collect::<Vec<Mapped>>()))
            .collect();
        let lost = || vec![Err("the thread that mapped this line has ended".to_owned())];
        parts.into_iter().flat_map(|part| part.join().unwrap_or_else(|_| lost())).collect()
    })
}

/// The next line without its end; none at the end of the input.
fn line(input: &mut impl BufRead, longest: u32, number: usize) -> io::Result<Option<Bytes>> {
    let mut line = Vec::new();
    // One more byte for the line's end, and one that tells that there is more.
    let read = input.by_ref().take(u64::from(longest) + 2).read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    if line.len() > longest as usize {
        let message = format!(
            "line {number} of the input is longer than {longest} bytes; raise the limit with --max-token-length"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(Some(line.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bloblang::Environment;

    fn run_with(asked: &Blobl, mapping: &str, input: &str) -> (String, String, Result<usize, String>) {
        let mapping = Mapping::parse(&Environment::pure(), mapping).unwrap();
        let (mut out, mut faults) = (Vec::new(), Vec::new());
        let result = run(asked, &mapping, input.as_bytes(), &mut out, &mut faults);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(out), text(faults), result.map_err(|error| error.to_string()))
    }

    fn asked() -> Blobl {
        Blobl {
            command: None,
            mapping: None,
            file: None,
            raw: false,
            pretty: false,
            threads: 1,
            max_token_length: 100,
        }
    }

    #[test]
    fn lines_are_documents() {
        let pretty = || Blobl { pretty: true, ..asked() };
        let raw = || Blobl { raw: true, ..asked() };
        for (asked, mapping, input, expected) in [
            (asked(), "root.b = this.a", "{\"a\":1}\n{\"a\":2}\r\n", "{\"b\":1}\n{\"b\":2}\n"),
            (asked(), "root = if this == 2 { deleted() }", "1\n2\n3", "1\n3\n"),
            (asked(), "meta a = 1", "not json\n", "not json\n"),
            (pretty(), "root.b = [this]", "1\n", "{\n  \"b\": [\n    1\n  ]\n}\n"),
            (pretty(), "meta a = 1", "[2]\n", "[\n  2\n]\n"),
            (raw(), "this.split(\",\")", "a,b\n\n", "[\"a\",\"b\"]\n[\"\"]\n"),
            (raw(), "content().length()", "äb\n", "3\n"),
        ] {
            assert_eq!(
                run_with(&asked, mapping, input),
                (expected.to_owned(), String::new(), Ok(0)),
                "{mapping}"
            );
        }
    }

    #[test]
    fn a_line_that_fails_is_told_and_the_others_go_on() {
        let (out, faults, failed) =
            run_with(&asked(), "root = this.a.uppercase()", "{\"a\":\"x\"}\n{}\n{\"a\":\"y\"}\n");
        assert_eq!((&*out, failed), ("X\nY\n", Ok(1)));
        let expected = "line 2 of the input: failed assignment (line 1): expected string value, got null from field `this.a`\n";
        assert_eq!(faults, expected);
    }

    #[test]
    fn threads_keep_the_order() {
        let input: String = (0..5_000).map(|number| format!("{number}\n")).collect();
        let (out, _, failed) = run_with(&Blobl { threads: 4, ..asked() }, "root = this", &input);
        assert_eq!((out, failed), (input, Ok(0)));
    }

    #[test]
    fn a_line_has_its_limit() {
        let long = format!("{}\n{}\n", "1".repeat(100), "1".repeat(101));
        let (out, _, failed) = run_with(&asked(), "root = 1", &long);
        assert_eq!(out, "1\n");
        assert!(failed.unwrap_err().starts_with("line 2 of the input is longer than 100 bytes"));
    }
}
