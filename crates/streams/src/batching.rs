//! Batching policies (streams contract 5.4).
use crate::build::{BuildContext, Stage};
use crate::node::Node;
use bloblang::Mapping;
use document::Fault;
use std::time::Duration;

/// When gathered messages are flushed as one batch.
#[derive(Debug)]
pub struct Policy {
    pub(crate) count: usize,
    pub(crate) bytes: usize,
    pub(crate) period: Option<Duration>,
    pub(crate) jitter: f64,
    pub(crate) check: Option<Mapping>,
    pub(crate) stages: Vec<Stage>,
}

impl Policy {
    /// Reads a policy; `None` when nothing would ever be gathered.
    pub(crate) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Option<Policy>, Fault> {
        let policy = Policy {
            count: node.count("count")?,
            bytes: usize::try_from(node.size("byte_size")?.unwrap_or(0)).unwrap_or(usize::MAX),
            period: node.duration("period")?,
            jitter: node.float("jitter")?,
            check: node.mapping("check", context)?,
            stages: context.stages(&node.get("processors"))?,
        };
        let gathers =
            policy.count > 1 || policy.bytes > 0 || policy.period.is_some() || policy.check.is_some();
        Ok((gathers && policy.count != 1).then_some(policy))
    }
}
