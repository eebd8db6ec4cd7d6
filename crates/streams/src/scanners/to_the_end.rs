//! The whole source as one message.

use bytes::{Bytes, BytesMut};

use document::Fault;

use super::{Cut, Cutting};
use crate::build::BuildContext;
use crate::message::Message;
use crate::node::Node;
use crate::registry::{Kind, ScannerSpec};
use crate::scanner::{Scan, Scanner};

/// A source that is larger, 256 MiB, ends with a fault.
const LARGEST: usize = 256 * 1024 * 1024;

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "to_the_end",
    summary: "The whole source as one message. One of more than 256 MiB ends with a fault.",
    config: Kind::Object(&[]),
    build,
};

fn build(_: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Scanner>, Fault> {
    Ok(Box::new(ToTheEnd))
}

struct ToTheEnd;

impl Scanner for ToTheEnd {
    fn scan(&self, _: &str) -> Box<dyn Scan> {
        Box::new(Cutting::new(Whole::default()))
    }
}

/// One source.
#[derive(Default)]
struct Whole {
    pending: BytesMut,
}

impl Cut for Whole {
    fn feed(&mut self, chunk: Bytes, _: &mut Vec<Message>) -> Result<(), String> {
        if self.pending.len() + chunk.len() > LARGEST {
            return Err(format!("the source is larger than {LARGEST} bytes, and must be one message"));
        }
        self.pending.extend_from_slice(&chunk);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), String> {
        out.push(Message::new(self.pending.split().freeze()));
        Ok(())
    }
}
