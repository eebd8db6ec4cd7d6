//! What changes on the way of requests to the backend, and of answers back.

mod cors;

pub(crate) use cors::CrossOrigin;
