//! The chain of one API: its guards in the order in which they run (contract 4.4), compiled once from its definition.

mod names;
pub(crate) mod stages;

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use apidef::{Api, Auth, Event};
use http::header::{HeaderMap, HeaderValue};
use http::{Response, request};
use plugins::Hook;

use crate::auth::jwks::{KeySets, Published};
use crate::auth::{
    AccessRights, Addresses, Authenticate, ClientCertificates, Describe, Expiry, GranularAccess, KnownAt,
    ScopeCheck, StripAuth, TokenExchange,
};
use crate::backend::graph::{Graph, Persisted, Playground};
use crate::backend::mock::Mocks;
use crate::backend::upstream::TokenNotes;
use crate::body::Body;
use crate::cache::Rules;
use crate::calls::{CallRights, Reader, without_calls};
use crate::events;
use crate::exchange::{Exchange, Skips};
use crate::gate::Gate;
use crate::limits::at_once::{self, Kind};
use crate::limits::{CallLimits, Context, Limits, Organisation, Sizes};
use crate::plugins::{AtPaths, Before, Plugins, Virtuals};
use crate::respond::{Blame, Overrides, Refusal, of_answer};
use crate::route::{Collector, Lists, Term, Tracking};
use crate::settings::Settings;
use crate::traces;
use crate::transform::{
    CrossOrigin, Made, Methods, Programs, RequestHeaders, Rewrites, Transforms, Variables,
};
use crate::validation::{Bodies, Checks, Requests};

use self::stages::Stages;
pub(crate) use self::stages::{has_an_end, is_event_stream, replace, too_large, whole};

/// One step of a chain: may pass, change, answer or refuse an exchange.
#[derive(Debug)]
enum Guard {
    Term(Term),
    Lists(Lists),
    CrossOrigin(Arc<CrossOrigin>),
    /// The code of users.
    Plugins(Before),
    OfPaths(AtPaths),
    Addresses(Addresses),
    ClientCertificates(ClientCertificates),
    Describe(Describe),
    Authenticate(Authenticate),
    StripAuth(StripAuth),
    Expiry(Expiry),
    AccessRights(AccessRights),
    GranularAccess(GranularAccess),
    Organisation(Organisation),
    Sizes(Sizes),
    Tracking(Tracking),
    AtOnce,
    /// What an API of MCP is called for.
    Calls(Box<Reader>),
    CallRights(CallRights),
    CallLimits(CallLimits),
    Limits(Limits),
    Scopes(ScopeCheck),
    /// Takes note of the token that is to be exchanged.
    Subject(Arc<TokenExchange>),
    Exchange(Arc<TokenExchange>),
    Variables(Variables),
    Playground(Playground),
    Persisted(Persisted),
    Graph(Box<Graph>),
    /// What came with the token for the upstream.
    TokenNotes(TokenNotes),
    Made(Made),
    Programs(Programs),
    RequestHeaders(RequestHeaders),
    Rewrites(Rewrites),
    Methods(Methods),
    Bodies(Bodies),
    Requests(Requests),
    Mocks(Mocks),
    /// Answers that are kept.
    Cache(Arc<Rules>),
    Virtuals(Virtuals),
}

/// The answer of a guard.
#[derive(Debug)]
pub(crate) enum Early {
    /// It is sent as it is.
    Final(Response<Body>),
    /// It stands for the backend's, and goes through what changes answers.
    AsBackend(Response<Body>),
}

/// What guards are made of that was compiled before.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) transforms: Transforms,
    pub(crate) checks: Checks,
    pub(crate) plugins: Option<Arc<Plugins>>,
    pub(crate) errors: Overrides,
}

impl Guard {
    /// Whether it says who is calling, and whether that is one who may.
    fn identifies(&self) -> bool {
        matches!(
            self,
            Self::Term(_)
                | Self::CrossOrigin(_)
                | Self::Addresses(_)
                | Self::ClientCertificates(_)
                | Self::Organisation(_)
                | Self::Authenticate(_)
                | Self::Expiry(_)
                | Self::AccessRights(_)
        )
    }

    /// What exempts an exchange from it: paths that are open to everybody (contract 4.3, "Ignored"), and having passed it
    /// before (contract 4.6, "Looping").
    fn exempt(&self) -> Skips {
        match self {
            Self::ClientCertificates(_)
            | Self::Authenticate(_)
            | Self::StripAuth(_)
            | Self::Subject(_)
            | Self::Exchange(_) => Skips::OPEN.and(Skips::KNOWN),
            Self::Expiry(_)
            | Self::AccessRights(_)
            | Self::GranularAccess(_)
            | Self::CallRights(_)
            | Self::Scopes(_) => Skips::OPEN,
            Self::AtOnce => Skips::KNOWN,
            Self::Organisation(_) => Skips::COUNTED.and(Skips::ORGANISED),
            Self::Limits(_) | Self::CallLimits(_) => Skips::COUNTED,
            Self::Term(_)
            | Self::Lists(_)
            | Self::Calls(_)
            | Self::CrossOrigin(_)
            | Self::Plugins(_)
            | Self::OfPaths(_)
            | Self::Addresses(_)
            | Self::Sizes(_)
            | Self::Tracking(_)
            | Self::Describe(_)
            | Self::Variables(_)
            | Self::Playground(_)
            | Self::Persisted(_)
            | Self::Graph(_)
            | Self::TokenNotes(_)
            | Self::Made(_)
            | Self::Programs(_)
            | Self::RequestHeaders(_)
            | Self::Rewrites(_)
            | Self::Methods(_)
            | Self::Bodies(_)
            | Self::Requests(_)
            | Self::Mocks(_)
            | Self::Virtuals(_)
            | Self::Cache(_) => Skips::NONE,
        }
    }
}

impl Guard {
    /// What happens where it refuses an exchange (contract 8.12); nothing where nobody but the client is to know.
    fn event(&self, refusal: &Refusal) -> Option<Event> {
        match self {
            Self::Exchange(_) => Some(Event::OAuth2ExchangeFailed),
            // That a store is away is no doing of the caller's.
            _ if refusal.blame != Blame::Client => None,
            Self::Term(_) | Self::Lists(_) | Self::Calls(_) => Some(Event::VersionFailure),
            Self::Addresses(_)
            | Self::ClientCertificates(_)
            | Self::Authenticate(_)
            | Self::AccessRights(_)
            | Self::GranularAccess(_)
            | Self::CallRights(_) => Some(Event::AuthFailure),
            Self::Expiry(_) => Some(Event::KeyExpired),
            Self::Organisation(_) if refusal.flag == "QEX" => Some(Event::OrgQuotaExceeded),
            Self::Organisation(_) if refusal.flag == "RLT" => Some(Event::OrgRateLimitExceeded),
            Self::Limits(_) if refusal.flag == "QEX" => Some(Event::QuotaExceeded),
            Self::Limits(_) | Self::CallLimits(_) => Some(Event::RatelimitExceeded),
            Self::Scopes(_) => Some(Event::OAuth2ScopeCheckFailed),
            _ => None,
        }
    }
}

/// The guards of one API. The first answer or refusal wins.
#[derive(Debug)]
pub struct Chain {
    guards: Box<[Guard]>,
    /// Of the guards, the one that has to do with answers, too.
    cross_origin: Option<Arc<CrossOrigin>>,
    /// What changes answers on their way back.
    stages: Stages,
    ends: Option<HeaderValue>,
    keyed: bool,
    /// What is answered instead of errors; `None` where neither the API nor the gate says so.
    errors: Option<Box<Overrides>>,
}

impl Chain {
    /// Compiles the guards that the definition asks for, and no others.
    pub(crate) fn compile(
        api: &Api,
        limits: &Context,
        sets: &KeySets,
        settings: &Settings,
        patterns: &Collector,
        prepared: Prepared,
    ) -> Result<Self, String> {
        let Prepared { transforms, checks, plugins, errors } = prepared;
        let plugins = plugins.as_ref();
        let mut guards = Vec::new();
        let mut ends = None;
        let [sizes, sizes_of_calls] = match api.mcp {
            true => Sizes::of_calls(&api.paths.sizes, patterns),
            false => [Sizes::new(&api.paths.sizes, patterns), None],
        };
        // Calls are read before anything else is asked, and bodies are measured before they are read (rows 1 and 2).
        let (early, late) = if api.mcp { (sizes, sizes_of_calls) } else { (None, sizes) };
        guards.extend(early.map(Guard::Sizes));
        guards.extend(Reader::of(api).map(|reader| Guard::Calls(Box::new(reader))));
        if let Some(term) = Term::of(api) {
            ends = term.header();
            guards.push(Guard::Term(term));
        }
        let page = api.graphql.as_ref().and_then(|graph| graph.playground.as_deref());
        guards.extend(page.map(|path| Guard::Playground(Playground::new(path))));
        let cross_origin = api.cors.as_deref().map(CrossOrigin::new).transpose()?.map(Arc::new);
        let lists = match api.mcp {
            true => Cow::Owned(without_calls(&api.paths.lists)),
            false => Cow::Borrowed(&api.paths.lists),
        };
        guards.extend(Lists::new(&lists, patterns, cross_origin.clone())?.map(Guard::Lists));
        guards.extend(cross_origin.clone().map(Guard::CrossOrigin));
        guards.extend(Before::new(plugins, Hook::Pre).map(Guard::Plugins));
        guards.extend(Addresses::new(&api.addresses).map(Guard::Addresses));
        if let Some(own) = &api.client_certificates {
            guards.push(Guard::ClientCertificates(ClientCertificates::of_api(own, settings)));
        }
        if settings.limits.ask_organisations() {
            guards.push(Guard::Organisation(Organisation));
        }
        guards.extend(late.map(Guard::Sizes));
        guards.extend(transforms.variables.map(Guard::Variables));
        guards.extend(Tracking::new(&api.paths.tracking, patterns).map(Guard::Tracking));
        guards.extend(Describe::of(api).map(Guard::Describe));
        let ignore_case = limits.matching.ignore_case;
        let (mut exchanging, mut scopes) = (None, None);
        let keyed = matches!(api.auth, Auth::Guarded(_));
        if let Auth::Guarded(guarded) = &api.auth {
            guards.push(Guard::Authenticate(Authenticate::new(guarded, api, sets)?));
            scopes = guarded
                .scopes
                .as_deref()
                .map(|model| ScopeCheck::new(model, ignore_case, patterns))
                .transpose()?;
            if let Some(model) = &guarded.exchange {
                let exchange = Arc::new(TokenExchange::new(model, api, ignore_case, patterns)?);
                guards.push(Guard::Subject(Arc::clone(&exchange)));
                exchanging = Some(exchange);
            }
            guards.extend(Before::new(plugins, Hook::PostKeyAuth).map(Guard::Plugins));
            // A token that is exchanged is never seen behind the gate.
            if api.strip_auth_data || guarded.exchange.is_some() {
                guards.push(Guard::StripAuth(StripAuth::new(guarded)));
            }
            guards.push(Guard::Expiry(Expiry));
            guards.push(Guard::AccessRights(AccessRights));
            guards.push(Guard::GranularAccess(GranularAccess));
        }
        // Keys may limit what is under way, so theirs is looked at in any case.
        if keyed || api.limits.at_once != apidef::AtOnce::default() {
            guards.push(Guard::AtOnce);
        }
        let of_calls = CallLimits::compile(api, keyed, limits, patterns);
        // All at once, in one round trip to the store, but where something stands between those of keys and those of the API.
        let limits = Limits::compile(api, keyed, limits, patterns);
        let (limits, later) = match scopes.is_some() || exchanging.is_some() {
            true => limits.map_or((None, None), Limits::apart),
            false => (limits, None),
        };
        guards.extend(limits.map(Guard::Limits));
        guards.extend((api.mcp && keyed).then_some(Guard::CallRights(CallRights)));
        guards.extend(of_calls.map(Guard::CallLimits));
        guards.extend(scopes.map(Guard::Scopes));
        guards.extend(exchanging.map(Guard::Exchange));
        guards.extend(later.map(Guard::Limits));
        // The operation of a path is a request to the graph like any other; where there is none, it is the upstream's.
        let (first, later) = match &transforms.graph {
            Some(_) => (transforms.persisted, None),
            None => (None, transforms.persisted),
        };
        guards.extend(first.map(Guard::Persisted));
        guards.extend(transforms.graph.map(|graph| Guard::Graph(Box::new(graph))));
        guards.extend(TokenNotes::new(&api.backend).map(Guard::TokenNotes));
        guards.extend(checks.bodies.map(Guard::Bodies));
        guards.extend(checks.requests.map(Guard::Requests));
        guards.extend(later.map(Guard::Persisted));
        let bodies = transforms.bodies;
        guards.extend(bodies.requests.map(Guard::Made));
        guards.extend(bodies.request_programs.map(Guard::Programs));
        guards.extend(transforms.headers.map(Guard::RequestHeaders));
        guards.extend(transforms.rewrites.map(Guard::Rewrites));
        guards.extend(transforms.methods.map(Guard::Methods));
        guards.extend(Mocks::new(&api.paths.mocks, patterns)?.map(Guard::Mocks));
        // Streams have no answer that another could have, and calls are not told apart by their addresses.
        if let apidef::Backend::Upstream(upstream) = &api.backend
            && !api.mcp
        {
            let rules = Rules::new(&api.id, api.cache.as_deref(), upstream.preserve_host, patterns)?;
            guards.extend(rules.map(Guard::Cache));
        }
        guards.extend(Virtuals::new(plugins, &api.paths.virtuals, patterns).map(Guard::Virtuals));
        guards.extend(AtPaths::new(plugins, &api.paths.hooks, patterns).map(Guard::OfPaths));
        guards.extend(Before::new(plugins, Hook::Post).map(Guard::Plugins));
        let stages =
            Stages::new(checks.answers, bodies.answers, transforms.answers, bodies.answer_programs, plugins);
        let any = !errors.is_empty() || !settings.error_overrides.is_empty();
        let errors = any.then(|| Box::new(errors));
        Ok(Self { guards: guards.into(), cross_origin, stages, ends, keyed, errors })
    }

    /// Until when the API is served, as answers tell it; `None` where that is for ever.
    pub(crate) fn ends(&self) -> Option<&HeaderValue> {
        self.ends.as_ref()
    }

    /// Where keys of tokens are published that it uses.
    pub(crate) fn published(&self) -> impl Iterator<Item = &Published> {
        self.authenticate().flat_map(Authenticate::published)
    }

    /// Asks the memory for whoever is calling, where there are so many that he is far away there.
    pub(crate) fn foresee(&self, gate: &Gate, head: &request::Parts) -> Option<KnownAt> {
        if !self.keyed || !gate.callers.are_many() {
            return None;
        }
        self.authenticate().next()?.foresee(gate, head)
    }

    fn authenticate(&self) -> impl Iterator<Item = &Authenticate> {
        self.guards.iter().filter_map(|guard| match guard {
            Guard::Authenticate(guard) => Some(guard),
            _ => None,
        })
    }

    /// The answer to a browser that asks whether a page may send a request to what the gate itself answers for the API.
    pub(crate) fn preflight(&self, exchange: &Exchange) -> Option<Response<Body>> {
        self.cross_origin.as_ref()?.answer(exchange)
    }

    /// Whether somebody has to say who is calling.
    pub(crate) fn is_keyed(&self) -> bool {
        self.keyed
    }

    /// Runs those guards only that say who is calling, and whether that is one who may.
    pub(crate) async fn identify(&self, exchange: &mut Exchange) -> Result<ControlFlow<Early>, Refusal> {
        self.run(exchange, Guard::identifies).await
    }

    /// Runs the guards; breaks off with the answer of one that has it.
    pub(crate) async fn admit(&self, exchange: &mut Exchange) -> Result<ControlFlow<Early>, Refusal> {
        self.run(exchange, |_| true).await
    }

    async fn run(
        &self,
        exchange: &mut Exchange,
        wanted: impl Fn(&Guard) -> bool,
    ) -> Result<ControlFlow<Early>, Refusal> {
        let mut at = None;
        let outcome = self.walk(exchange, wanted, &mut at).await;
        traces::past_guards(exchange, outcome.as_ref().err());
        if let Err(refusal) = &outcome
            && let Some(event) = at.and_then(|guard: &Guard| guard.event(refusal))
        {
            events::refused(exchange, event, refusal);
        }
        outcome
    }

    /// As [`Chain::run`]; `at` is the guard that was asked last.
    async fn walk<'a>(
        &'a self,
        exchange: &mut Exchange,
        wanted: impl Fn(&Guard) -> bool,
        at: &mut Option<&'a Guard>,
    ) -> Result<ControlFlow<Early>, Refusal> {
        for guard in self.guards.iter().filter(|guard| wanted(guard)) {
            *at = Some(guard);
            if exchange.skips != Skips::NONE && exchange.skips.any(guard.exempt()) {
                continue;
            }
            traces::at_guard(exchange, || guard.name());
            match guard {
                Guard::Term(guard) => guard.pass()?,
                Guard::Lists(guard) => {
                    if let Some(answer) = guard.pass(exchange)? {
                        return Ok(ControlFlow::Break(Early::Final(answer)));
                    }
                }
                Guard::CrossOrigin(guard) if guard.passes_by(exchange) => break,
                Guard::CrossOrigin(guard) => {
                    if let Some(answer) = guard.answer(exchange) {
                        return Ok(ControlFlow::Break(Early::Final(answer)));
                    }
                }
                Guard::Plugins(guard) => {
                    if let ControlFlow::Break(answer) = Box::pin(guard.pass(exchange)).await? {
                        return Ok(ControlFlow::Break(Early::Final(answer)));
                    }
                }
                Guard::OfPaths(guard) => {
                    if let ControlFlow::Break(answer) = Box::pin(guard.pass(exchange)).await? {
                        return Ok(ControlFlow::Break(Early::Final(answer)));
                    }
                }
                Guard::Addresses(guard) => guard.pass(exchange)?,
                Guard::ClientCertificates(guard) => guard.pass(exchange).await?,
                Guard::Describe(guard) => {
                    if let Some(answer) = guard.answer(exchange) {
                        return Ok(ControlFlow::Break(Early::Final(answer)));
                    }
                }
                Guard::Authenticate(guard) => guard.pass(exchange).await?,
                Guard::StripAuth(guard) => guard.pass(exchange)?,
                Guard::Expiry(guard) => guard.pass(exchange)?,
                Guard::AccessRights(guard) => guard.pass(exchange)?,
                Guard::GranularAccess(guard) => guard.pass(exchange)?,
                Guard::Organisation(guard) => guard.pass(exchange).await?,
                Guard::Sizes(guard) => guard.pass(exchange)?,
                Guard::Tracking(guard) => guard.note(exchange),
                Guard::AtOnce => {
                    let held = at_once::enter(exchange, Kind::Requests)?;
                    exchange.held.extend(held);
                }
                Guard::Calls(guard) => Box::pin(guard.pass(exchange)).await?,
                Guard::CallRights(guard) => guard.pass(exchange)?,
                Guard::CallLimits(guard) => Box::pin(guard.pass(exchange)).await?,
                Guard::Limits(guard) => guard.pass(exchange).await?,
                Guard::Scopes(guard) => guard.pass(exchange)?,
                Guard::Subject(guard) => guard.note(exchange)?,
                Guard::Exchange(guard) => Box::pin(guard.pass(exchange)).await?,
                Guard::Variables(guard) => guard.pass(exchange).await?,
                Guard::TokenNotes(guard) => Box::pin(guard.pass(exchange)).await?,
                Guard::Playground(guard) => {
                    if let Some(answer) = guard.answer(exchange) {
                        return Ok(ControlFlow::Break(Early::Final(answer)));
                    }
                }
                Guard::Persisted(guard) => guard.pass(exchange),
                Guard::Graph(guard) => {
                    if let Some(answer) = Box::pin(guard.pass(exchange)).await? {
                        return Ok(ControlFlow::Break(Early::AsBackend(answer)));
                    }
                }
                Guard::Made(guard) => Box::pin(guard.request(exchange)).await?,
                Guard::Programs(guard) => Box::pin(guard.request(exchange)).await?,
                Guard::RequestHeaders(guard) => guard.pass(exchange),
                Guard::Rewrites(guard) => guard.pass(exchange).await?,
                Guard::Methods(guard) => guard.pass(exchange)?,
                Guard::Bodies(guard) => Box::pin(guard.pass(exchange)).await?,
                Guard::Requests(guard) => Box::pin(guard.pass(exchange)).await?,
                Guard::Virtuals(guard) => {
                    if let Some(answer) = Box::pin(guard.answer(exchange)).await? {
                        return Ok(ControlFlow::Break(Early::AsBackend(answer)));
                    }
                }
                Guard::Cache(guard) => {
                    if let Some(answer) = Box::pin(guard.answer(exchange)).await? {
                        return Ok(ControlFlow::Break(Early::Final(answer)));
                    }
                }
                Guard::Mocks(guard) => {
                    if let Some(answer) = guard.answer(exchange)? {
                        return Ok(ControlFlow::Break(Early::AsBackend(answer)));
                    }
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Takes an answer of the backend through what changes answers (contract 4.5).
    pub(crate) async fn answered(
        &self,
        exchange: &mut Exchange,
        response: Response<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let mut response = response;
        // What ends where its connection does may be cut short: once a stage has read it, nobody can tell.
        if !exchange.keeping.is_empty() && !response.body().tells_its_end() {
            crate::cache::refuse(exchange);
        }
        if !self.stages.is_empty() {
            self.stages.pass(exchange, &mut response).await?;
        }
        if let Some(errors) = &self.errors
            && (response.status().is_client_error() || response.status().is_server_error())
        {
            Box::pin(of_answer(errors, exchange, &mut response)).await;
        }
        Ok(response)
    }

    /// What is answered instead of refusals, as far as the API says so.
    pub(crate) fn errors(&self) -> Option<&Overrides> {
        self.errors.as_deref()
    }

    /// Whether fields of the request are looked at once more when there is an answer.
    pub(crate) fn looks_back(&self) -> bool {
        self.cross_origin.is_some() || !self.stages.is_empty()
    }

    /// Adds what guards have to say of every answer, refusals as well.
    pub(crate) fn finish(&self, exchange: &Exchange, headers: &mut HeaderMap) {
        if let Some(guard) = &self.cross_origin {
            guard.finish(exchange, headers);
        }
    }
}
