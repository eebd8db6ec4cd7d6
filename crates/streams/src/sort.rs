//! The sorts of components that a configuration can name.

/// What a component is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    /// Where batches come from.
    Input,
    /// What changes them.
    Processor,
    /// Where they go.
    Output,
    /// What remembers values by key.
    Cache,
    /// What says how often something may happen.
    RateLimit,
    /// What keeps batches between input and pipeline.
    Buffer,
    /// What cuts bytes into messages.
    Scanner,
    /// Where counters go.
    Metrics,
    /// Where spans go.
    Tracer,
}

impl Sort {
    /// All of them.
    pub const ALL: [Sort; 9] = [
        Sort::Input,
        Sort::Processor,
        Sort::Output,
        Sort::Cache,
        Sort::RateLimit,
        Sort::Buffer,
        Sort::Scanner,
        Sort::Metrics,
        Sort::Tracer,
    ];

    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Sort::Input => "input",
            Sort::Processor => "processor",
            Sort::Output => "output",
            Sort::Cache => "cache",
            Sort::RateLimit => "rate limit",
            Sort::Buffer => "buffer",
            Sort::Scanner => "scanner",
            Sort::Metrics => "metrics exporter",
            Sort::Tracer => "tracer",
        }
    }

    /// Whether components of this sort are told apart by labels: those that can be shared.
    pub fn has_labels(self) -> bool {
        self.resources().is_some()
    }

    /// The field of a stream that lists its resources of this sort, where there can be any.
    pub fn resources(self) -> Option<&'static str> {
        match self {
            Sort::Input => Some("input_resources"),
            Sort::Processor => Some("processor_resources"),
            Sort::Output => Some("output_resources"),
            Sort::Cache => Some("cache_resources"),
            Sort::RateLimit => Some("rate_limit_resources"),
            _ => None,
        }
    }
}
