//! What watches a stream beside the counters of its components.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::customs::Customs;
use crate::flight::Flight;
use crate::stall::Stall;
use crate::tracer::Tracer;

/// Shared by everything that is built for one stream.
#[derive(Clone, Default)]
pub(crate) struct Watch {
    /// The numbers that `metric` processors make.
    pub(crate) customs: Arc<Customs>,
    /// Takes the spans; none: none are made.
    pub(crate) tracer: Option<Arc<dyn Tracer>>,
    /// Whether something asks for the ids of flows.
    pub(crate) flow_ids: bool,
    /// Who waits for acks before anything more can come.
    pub(crate) stall: Arc<Stall>,
    /// The batches that are under way.
    pub(crate) flight: Arc<Flight>,
    /// Whether the stream is being stopped.
    pub(crate) stops: Arc<AtomicBool>,
}
