//! The files of a tar archive.

use bytes::Bytes;
use document::Fault;

use crate::tar::Reader;
use streams::scanners::{Cut, Cutting, LARGEST};
use streams::{BuildContext, Kind, Message, Node, Scan, Scanner, ScannerSpec};

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "tar",
    summary: "The files of a tar archive, each a message of at most 64 MiB whose metadata `tar_name` is its path.",
    config: Kind::Object(&[]),
    build,
};

fn build(_: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Scanner>, Fault> {
    Ok(Box::new(TarScanner))
}

struct TarScanner;

impl Scanner for TarScanner {
    fn scan(&self, _: &str) -> Box<dyn Scan> {
        Box::new(Cutting::new(Tar::new()))
    }
}

/// One source.
pub(crate) struct Tar {
    reader: Reader,
}

impl Tar {
    pub(crate) fn new() -> Tar {
        Tar { reader: Reader::new(LARGEST) }
    }
}

impl Cut for Tar {
    fn feed(&mut self, chunk: Bytes, out: &mut Vec<Message>) -> Result<(), String> {
        self.reader.feed(&chunk);
        while let Some(member) = self.reader.next()? {
            let mut message = Message::new(member.data);
            message.set_meta("tar_name", member.name);
            out.push(message);
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<Message>) -> Result<(), String> {
        self.reader.finish()
    }
}
