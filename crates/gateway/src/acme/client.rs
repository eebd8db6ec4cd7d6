//! How the directory is asked: with the gate's own client for small answers.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use apidef::{Scheme, Target};
use bytes::Bytes;
use http::{Method, Response};
use http_body_util::{BodyExt, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient, Problem};
use rustls::RootCertStore;

use crate::backend::upstream::UpstreamSettings;
use crate::fetch::{self, Ask, Fetched};
use crate::listen::tls::{TlsError, read_certificates};

/// How long one request may take.
const TIME: Duration = Duration::from_secs(30);
/// The largest answer: a chain of certificates takes some kilobytes.
const LARGEST: usize = 1 << 20;

/// Sends requests to a directory.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    settings: Arc<UpstreamSettings>,
    /// The directory is asked over TLS, and so is all that it names.
    secure: bool,
}

impl Wire {
    /// `roots`: PEM file of the authorities that the directory's own certificate is checked with; without one, the usual
    /// ones. Blocking: reads files.
    pub(super) fn new(
        upstream: &UpstreamSettings,
        roots: Option<&Path>,
        secure: bool,
    ) -> Result<Self, TlsError> {
        let settings = match roots {
            None => upstream.clone(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                let (taken, _) = roots.add_parsable_certificates(read_certificates(path)?);
                if taken == 0 {
                    return Err(TlsError::new(format!("{}: no certificate of an authority", path.display())));
                }
                upstream.trusting(&Arc::new(roots))?
            }
        };
        Ok(Self { settings: Arc::new(settings), secure })
    }

    async fn send(self, request: http::Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let (head, body) = request.into_parts();
        let target = Target::parse(&head.uri.to_string()).map_err(|error| other(&error))?;
        if self.secure && target.scheme != Scheme::Https {
            return Err(other(&"the directory names an address without tls"));
        }
        let Ok(body) = body.collect().await;
        let is_post = head.method == Method::POST;
        let ask = Ask::of(head.method, target, head.headers, body.to_bytes()).within(TIME, LARGEST);
        let fetched =
            fetch::send(&self.settings, false, ask).await.map_err(|error| Error::Other(Box::new(error)))?;
        refused(&fetched, is_post)?;
        let mut response = Response::new(Full::new(fetched.body));
        *response.status_mut() = fetched.status;
        *response.headers_mut() = fetched.headers;
        Ok(BytesResponse::from(response))
    }
}

/// An answer that is not as it should be, where the client does not see that by itself.
fn refused(fetched: &Fetched, is_post: bool) -> Result<(), Error> {
    if !fetched.status.is_client_error() && !fetched.status.is_server_error() {
        return Ok(());
    }
    match serde_json::from_slice::<Problem>(&fetched.body) {
        Ok(_) if is_post => Ok(()),
        Ok(problem) if problem.detail.is_some() || problem.r#type.is_some() => Err(Error::Api(problem)),
        _ => Err(other(&format!("it answers {}", fetched.status))),
    }
}

fn other(error: &dyn std::fmt::Display) -> Error {
    Error::Other(error.to_string().into())
}

impl HttpClient for Wire {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().send(request))
    }
}
