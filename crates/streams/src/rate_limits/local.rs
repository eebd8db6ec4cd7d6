//! Counts in memory, in fixed windows (streams contract 3.11).

use std::time::Duration;

use async_trait::async_trait;
use document::Fault;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::build::BuildContext;
use crate::node::Node;
use crate::rate_limit::{Access, RateLimit, RateLimitError};
use crate::registry::{Default, Field, Kind, RateLimitSpec};

pub(super) static SPEC: RateLimitSpec = RateLimitSpec {
    name: "local",
    summary: "Lets so many accesses through per interval, counted in memory over all components that name it.",
    config: Kind::Object(&[
        Field::new("count", Kind::Int, Default::Int(1000), "Accesses per interval; 0: not limited."),
        Field::new(
            "byte_size",
            Kind::Size,
            Default::Int(0),
            "Payload bytes per interval; 0: not limited. A message larger than that passes alone.",
        ),
        Field::new(
            "interval",
            Kind::Duration,
            Default::Text("1s"),
            "Begins anew with the first access after its end.",
        ),
    ]),
    build,
};

fn build(node: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn RateLimit>, Fault> {
    let count = node.count("count")?;
    let bytes = usize::try_from(node.size("byte_size")?.unwrap_or(0)).unwrap_or(usize::MAX);
    if count == 0 && bytes == 0 {
        return Err(node.field_fault("count", "either `count` or `byte_size` must be above 0"));
    }
    let Some(interval) = node.duration("interval")?.filter(|interval| !interval.is_zero()) else {
        return Err(node.field_fault("interval", "`interval` must be above 0"));
    };
    Ok(Box::new(Local { count, bytes, interval, window: Mutex::default() }))
}

struct Local {
    count: usize,
    bytes: usize,
    interval: Duration,
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    start: Option<Instant>,
    count: usize,
    bytes: usize,
}

#[async_trait]
impl RateLimit for Local {
    async fn access(&self, bytes: usize) -> Result<Access, RateLimitError> {
        let now = Instant::now();
        let mut window = self.window.lock();
        let passed = window.start.map(|start| now.duration_since(start));
        let Some(passed) = passed.filter(|passed| *passed < self.interval) else {
            *window = Window { start: Some(now), count: 1, bytes };
            return Ok(Access::Go);
        };
        let full = (self.count > 0 && window.count >= self.count)
            || (self.bytes > 0 && window.bytes.saturating_add(bytes) > self.bytes);
        if full {
            return Ok(Access::Wait(self.interval - passed));
        }
        window.count += 1;
        window.bytes += bytes;
        Ok(Access::Go)
    }
}
