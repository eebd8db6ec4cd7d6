//! Requests to a graph: read, checked, and held against the rights of who sends them (contract 4.4 rows 26 and 28).

use std::sync::Arc;

use apidef::SubscriptionProtocol;
use graphql::socket::Protocol;
use graphql::{BadRequest, Checked, Kind, Problem, Request};
use http::header::{self, HeaderValue};
use http::{Method, Response, StatusCode};

use super::Graph;
use super::engine::Asked;
use super::socket::Watch;
use crate::backend::stream::Subscription;
use crate::backend::upstream::tunnel;
use crate::body::Body;
use crate::exchange::Exchange;
use crate::query;
use crate::record::OfGraph;
use crate::respond::{JSON, Refusal};

/// Bytes of a query that is new from which on it is checked beside the threads that serve.
const LARGE: usize = 4096;

impl Graph {
    /// Lets a request on; answers it where it asks for nothing but the schema.
    pub(crate) async fn pass(&self, exchange: &mut Exchange) -> Result<Option<Response<Body>>, Refusal> {
        self.note(exchange);
        if exchange.method() == Method::GET && tunnel::wanted(exchange) {
            // A server that declines the upgrade answers the request itself.
            if asks_besides(exchange, None) {
                return Err(bad("a WebSocket asks in its messages only"));
            }
            self.upgrade(exchange)?;
            self.forwarding.apply(exchange);
            return Ok(None);
        }
        let request = request(exchange).await?;
        let checked = self.check(&request).await.map_err(|problem| refuse_noted(exchange, &problem))?;
        if let Some(graph) = &mut exchange.graph {
            graph.asks(&checked, &request.variables);
        }
        if checked.kind() == Kind::Mutation && exchange.method() == Method::GET {
            return Err(not_allowed("mutations are sent by POST"));
        }
        self.admit(exchange, &checked).map_err(|problem| refuse_noted(exchange, &problem))?;
        if checked.is_introspection() {
            // The schema may be long, and printing it must not take the time of others.
            let checker = Arc::clone(&self.checker);
            let told = tokio::task::spawn_blocking(move || {
                checker.introspect(&checked, &request.variables).map(|answer| answer.to_string())
            });
            let told = told
                .await
                .unwrap_or_else(|_| Err(Problem::Errors(graphql::answer_of("the schema cannot be told"))));
            let mut response = Response::new(Body::full(told.map_err(|problem| refuse(&problem))?));
            response.headers_mut().insert(header::CONTENT_TYPE, JSON);
            return Ok(Some(response));
        }
        if checked.kind() == Kind::Subscription {
            exchange.subscription = Some(Box::new(Subscription::of(exchange)));
        }
        if self.engine {
            exchange.asked = Some(Box::new(Asked { checked, variables: request.variables }));
            return Ok(None);
        }
        self.forwarding.apply(exchange);
        Ok(None)
    }

    /// Takes note of what is asked, where there will be a record of it.
    fn note(&self, exchange: &mut Exchange) {
        let recorded = exchange.gate.recorder.is_some() && !exchange.api.model.recording.off;
        if recorded && !exchange.unrecorded {
            exchange.graph = Some(Box::new(OfGraph::new(&self.told)));
        }
    }

    /// A large document takes its time, which must not be that of others.
    async fn check(&self, request: &Request) -> Result<Checked, Problem> {
        if request.query.len() < LARGE || self.checker.knows(&request.query) {
            return self.checker.check(request);
        }
        let (checker, request) = (Arc::clone(&self.checker), request.clone());
        let checking = tokio::task::spawn_blocking(move || checker.check(&request));
        checking
            .await
            .unwrap_or_else(|_| Err(Problem::Errors(graphql::answer_of("the query cannot be checked"))))
    }

    fn admit(&self, exchange: &Exchange, checked: &Checked) -> Result<(), Problem> {
        if self.no_introspection && checked.introspects() {
            return Err(Problem::Introspection);
        }
        let rights = exchange.grant.as_ref().and_then(|grant| grant.terms.graph.as_deref());
        rights.map_or(Ok(()), |rights| rights.admit(checked))
    }

    /// Chooses what is spoken over a WebSocket. Frames are read on the way, so that nothing may be agreed on that changes
    /// them.
    fn upgrade(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        if !exchange.gate.upstream.websockets {
            return Err(Refusal::client(
                StatusCode::UNPROCESSABLE_ENTITY,
                "UPG",
                "websockets are not allowed",
            ));
        }
        let client = offered(exchange).ok_or_else(|| {
            const TEXT: &str = "invalid websocket protocol for upgrading to a graphql websocket connection";
            Refusal::client(StatusCode::BAD_REQUEST, "UPG", TEXT)
        })?;
        let (upstream, by_events) = match self.subscriptions {
            None => (client, None),
            Some(SubscriptionProtocol::Old) => (Protocol::Old, None),
            Some(SubscriptionProtocol::Transport) => (Protocol::Transport, None),
            Some(SubscriptionProtocol::Events { post }) => (client, Some(post)),
        };
        let headers = &mut exchange.head.headers;
        headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(upstream.name()));
        exchange.watch = Some(Box::new(Watch {
            checker: Arc::clone(&self.checker),
            no_introspection: self.no_introspection,
            grant: exchange.grant.clone(),
            subscription: Subscription::of(exchange),
            client,
            upstream,
            by_events: by_events.filter(|_| !self.engine),
        }));
        Ok(())
    }
}

/// The first protocol that the client offers and that is known here.
fn offered(exchange: &Exchange) -> Option<Protocol> {
    let offers = exchange.head.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let mut names = offers.iter().filter_map(|offer| offer.to_str().ok()).flat_map(|offer| offer.split(','));
    names.find_map(|name| Protocol::named(name.trim()))
}

/// Whether the query string that goes on holds what a server might take for the request, other than the name of the
/// operation that is `asked` for.
fn asks_besides(exchange: &Exchange, asked: Option<&str>) -> bool {
    // An operation that a path stands for leaves the query string behind.
    if exchange.ahead.to.is_some() {
        return false;
    }
    let known = |name: &str| graphql::MEMBERS.iter().any(|known| name.eq_ignore_ascii_case(known));
    let same = |name: &str, value: &str| name == "operationName" && asked == Some(value);
    query::pairs(exchange.head.uri.query().unwrap_or_default())
        .any(|(name, value)| known(&name) && !same(&name, &value))
}

fn bad(text: &'static str) -> Refusal {
    Refusal::client(StatusCode::BAD_REQUEST, "BIV", text)
}

async fn request(exchange: &mut Exchange) -> Result<Request, Refusal> {
    let read = match *exchange.method() {
        Method::POST => {
            let kind = exchange.head.headers.get(header::CONTENT_TYPE);
            let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
            let body = exchange.whole_body().await?;
            let read = Request::of_body(&kind, &body);
            // Some servers would rather read the query string.
            let asked = read.as_ref().ok().and_then(|request| request.operation.as_deref());
            if asks_besides(exchange, asked) {
                return Err(bad("a request by POST asks in its body only"));
            }
            // The upstream is to read the body as it was read here, and not as a form or in another charset.
            let media = kind.split(';').next().unwrap_or_default().trim();
            let document = media.eq_ignore_ascii_case("application/graphql");
            let told = if document { HeaderValue::from_static("application/graphql") } else { JSON };
            exchange.head.headers.insert(header::CONTENT_TYPE, told);
            read
        }
        Method::GET => {
            if !exchange.body.is_none() {
                return Err(bad("a request by GET has no body"));
            }
            let query = exchange.head.uri.query().unwrap_or_default();
            let pairs: Vec<_> = query::pairs(query).collect();
            Request::of_pairs(pairs.iter().map(|(name, value)| (&**name, &**value)))
        }
        Method::OPTIONS => return Err(not_allowed("options passthrough not allowed")),
        _ => return Err(not_allowed("requests of GraphQL are sent by POST or GET")),
    };
    read.map_err(|bad: BadRequest| Refusal::client(StatusCode::BAD_REQUEST, "BIV", bad.to_string()))
}

fn not_allowed(text: &'static str) -> Refusal {
    Refusal::client(StatusCode::METHOD_NOT_ALLOWED, "BIV", text)
}

fn refuse_noted(exchange: &mut Exchange, problem: &Problem) -> Refusal {
    if let Some(graph) = &mut exchange.graph {
        graph.answered(&super::events::told(problem));
    }
    refuse(problem)
}

/// What a client is told (contract 10).
pub(super) fn refuse(problem: &Problem) -> Refusal {
    match problem {
        Problem::Errors(errors) => Refusal::client(StatusCode::BAD_REQUEST, "BIV", "").json(errors),
        Problem::Depth => Refusal::client(StatusCode::FORBIDDEN, "EAD", "depth limit exceeded"),
        Problem::Introspection => Refusal::client(StatusCode::FORBIDDEN, "EAD", "introspection is disabled"),
    }
}
