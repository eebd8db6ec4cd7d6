//! Another scanner by the name of the source.

use std::sync::Arc;

use bytes::Bytes;
use document::Fault;
use regex::Regex;
use streams::scanners::{Cut, Cutting};
use streams::{BuildContext, Field, Kind, Message, Node, Scan, Scanner, ScannerSpec};

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "switch",
    summary: "The first scanner of the list whose pattern matches the name of the source. A source that none matches ends with a fault.",
    config: Kind::List(&Kind::Object(&[
        Field::optional(
            "re_match_name",
            Kind::Text,
            "A pattern that the name must match; without it, every name does.",
        ),
        Field::required("scanner", Kind::Scanner, "The scanner."),
    ])),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Scanner>, Fault> {
    let mut cases = Vec::new();
    for case in node.members() {
        let pattern = match case.optional_text("re_match_name")?.filter(|text| !text.is_empty()) {
            Some(text) => Some(
                super::pattern::compile(&text).map_err(|fault| case.field_fault("re_match_name", fault))?,
            ),
            None => None,
        };
        cases.push((pattern, context.scanner(&case.get("scanner"), "lines")?));
    }
    if cases.is_empty() {
        return Err(node.fault("`switch` needs at least one case"));
    }
    Ok(Box::new(Switch { cases }))
}

struct Switch {
    cases: Vec<(Option<Regex>, Arc<dyn Scanner>)>,
}

impl Scanner for Switch {
    fn scan(&self, name: &str) -> Box<dyn Scan> {
        let mut cases = self.cases.iter();
        match cases.find(|(pattern, _)| pattern.as_ref().is_none_or(|pattern| pattern.is_match(name))) {
            Some((_, scanner)) => scanner.scan(name),
            None => Box::new(Cutting::new(Unmatched)),
        }
    }
}

struct Unmatched;

impl Cut for Unmatched {
    fn feed(&mut self, _: Bytes, _: &mut Vec<Message>) -> Result<(), String> {
        Err("no case of `switch` matches the name of this source".to_owned())
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), String> {
        self.feed(Bytes::new(), out)
    }
}
