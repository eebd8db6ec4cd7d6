//! What is said when the catalog does not take a change. Files can only fail; a database can be away, or hold the change
//! of another node.

use http::header::{HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use state::CatalogError;

use super::reply::error;
use crate::body::Body;

/// Seconds after which a change may be tried again.
const RETRY: &str = "1";

/// The answer to a change that was not made; `otherwise` says what the original says when a file cannot be written.
pub(super) fn not_taken(
    failure: &CatalogError,
    otherwise: impl FnOnce(&CatalogError) -> Response<Body>,
) -> Response<Body> {
    match failure {
        CatalogError::Away { .. } => {
            let mut response = error(StatusCode::SERVICE_UNAVAILABLE, &failure.to_string());
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY));
            response
        }
        CatalogError::Changed(_) => error(StatusCode::CONFLICT, &failure.to_string()),
        other => otherwise(other),
    }
}
