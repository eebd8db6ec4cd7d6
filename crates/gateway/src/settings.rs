//! What the data plane and the admin API need to know from the configuration, already parsed.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use apidef::keys::Algorithm;
use apidef::{Api, PathMatching, StatedKinds};
use http::{HeaderName, StatusCode};
use state::Secret;

use crate::cache::CacheSettings;
use crate::events::EventSettings;
use crate::hosted::Service;
use crate::pass_through::PortSettings;
use crate::plugins::PluginSettings;
use crate::respond::{ErrorPages, Overrides};

/// Settings of one gate. Names follow the configuration file (contract 1.3) where it has one for the same thing.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Admin secret; `None` leaves the admin API closed.
    pub secret: Option<Secret>,
    /// Host that APIs without a domain of their own answer on, in lower case; `None` = any.
    pub hostname: Option<Box<str>>,
    /// Host that the admin API answers on; `None` = any.
    pub control_hostname: Option<Box<str>>,
    /// What `/config` and `/env` show; where it is empty, neither is there.
    pub inspected: Arc<[Inspected]>,
    /// Whether the admin API has a listener of its own and is not served with the APIs.
    pub control_apart: bool,
    /// Path of the liveness endpoint, without slash.
    pub health_name: Box<str>,
    /// Path of the readiness endpoint, without slash.
    pub ready_name: Box<str>,
    /// Seconds that `/tyk/health` looks back on; `None`: nothing is counted for it.
    pub health_window: Option<u32>,
    /// Send `X-Generator` with the gate's own errors.
    pub generator_header: bool,
    /// Header that names the version served to who names none, where an API serves several itself.
    pub version_header: Option<HeaderName>,
    /// Add `Connection: close` to every response.
    pub close_connections: bool,
    /// Bound for idle connections and for reading a request's head.
    pub read_timeout: Duration,
    /// Bound for a client that takes nothing of its answer. Subscribers of streams have a bound of their own.
    pub write_timeout: Duration,
    /// Largest request body in bytes; 0 = any.
    pub max_request_body: u64,
    /// Largest response body that a stage may look at whole, in bytes; 0 = 32 MiB.
    pub max_response_body: u64,
    /// `/app` does not match `/apple`.
    pub strict_routes: bool,
    /// Serve paths with `//` and dot segments as they are instead of redirecting.
    pub skip_url_cleaning: bool,
    /// Honour the `domain` of APIs.
    pub custom_domains: bool,
    /// Which `X-Forwarded-For` entry is the client: 0 = first, n = n-th from the right.
    pub forwarded_depth: usize,
    /// How endpoint paths of access rights are matched.
    pub path_matching: PathMatching,
    /// Keys.
    pub keys: KeySettings,
    /// Sessions of organisations are kept for those alone that an API here belongs to (`suppress_default_org_store`).
    pub orgs_of_apis_only: bool,
    /// Certificates.
    pub certificates: CertificateSettings,
    /// Published keys of tokens.
    pub key_sets: KeySetSettings,
    /// Ports that APIs may have of their own.
    pub ports: PortSettings,
    /// Probes of upstreams.
    pub uptime: UptimeSettings,
    /// How long discovered targets are believed where a definition says nothing (`service_discovery.default_cache_timeout`).
    pub discovered_for: Duration,
    /// Tokens that APIs give themselves.
    pub oauth: OAuthSettings,
    /// What `X-RateLimit-*` tell.
    pub limit_headers: LimitHeaders,
    /// What errors say.
    pub error_pages: Arc<ErrorPages>,
    /// What is answered instead of errors.
    pub error_overrides: Arc<Overrides>,
    /// Folder of the templates that overrides of errors name.
    pub template_path: PathBuf,
    /// Other words for refusals, by their names.
    pub messages: HashMap<String, Words>,
    /// How limits count.
    pub limits: LimitSettings,
    /// How many answers are kept.
    pub cache: CacheSettings,
    /// The code of users.
    pub plugins: PluginSettings,
    /// Who is told of what happens.
    pub events: EventSettings,
    /// Whether streams are served.
    pub streaming: bool,
    /// Stream components that are allowed although they reach outside (`streaming.allow_unsafe`).
    pub allow_unsafe: Vec<String>,
    /// Write an access log line for every exchange.
    pub access_log: bool,
    /// Keep records.
    pub analytics: bool,
    /// Keep requests and answers whole in records (`analytics_config.enable_detailed_recording`).
    pub record_whole: bool,
    /// What is kept of either, in bytes.
    pub recorded_at_most: usize,
    /// How long a shutdown waits for exchanges to end.
    pub drain: Duration,
    /// How long a shutdown is announced by `/ready` before connections are closed.
    pub drain_delay: Duration,
    /// Which values of OpenAPI documents have to fit their schemas, where the admin API takes one.
    pub checked_values: StatedKinds,
    /// Where definitions come from, for messages.
    pub app_path: PathBuf,
    /// The process runs streams and nothing else; `None`: it is a gate.
    pub service: Option<Arc<Service>>,
}

impl Settings {
    /// Most of a request's body that a guard may keep.
    pub(crate) fn most_kept_of_requests(&self) -> usize {
        most_kept(self.max_request_body)
    }

    /// The same of a response's.
    pub(crate) fn most_kept_of_answers(&self) -> usize {
        most_kept(self.max_response_body)
    }

    /// The host that an API answers on; `None` = any.
    pub(crate) fn host_of<'a>(&'a self, api: &'a Api) -> Option<&'a str> {
        api.domain.as_deref().filter(|_| self.custom_domains).or(self.hostname.as_deref())
    }

    /// Whether streams come and go beside each other in a process that runs nothing else.
    pub(crate) fn hosts_many(&self) -> bool {
        self.service.as_ref().is_some_and(|service| service.hosts_many())
    }
}

/// A setting as it counts, for `GET /config` and `GET /env`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// Its dotted path.
    pub field: &'static str,
    /// The environment variable that sets it.
    pub variable: String,
    /// What it does.
    pub description: &'static str,
    /// Its value; what is secret is covered.
    pub value: serde_json::Value,
    /// Whether something is.
    pub obfuscated: bool,
}

/// Bytes of a body that are looked at whole where no limit is set: no message may take all memory.
const MOST_KEPT: usize = 32 << 20;

fn most_kept(limit: u64) -> usize {
    if limit == 0 { MOST_KEPT } else { usize::try_from(limit).unwrap_or(MOST_KEPT) }
}

/// Other words for a refusal (contract 4.2, `override_messages`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// Instead of its status.
    pub status: Option<StatusCode>,
    /// Instead of its message.
    pub message: Option<Box<str>>,
}

/// The names that refusals may have other words for.
pub const NAMED_REFUSALS: [&str; 11] = [
    "auth.auth_field_missing",
    "auth.key_not_found",
    "auth.key_is_invalid",
    "auth.cert_not_found",
    "auth.cert_expired",
    "auth.cert_required",
    "auth.cert_mismatch",
    "oauth.auth_field_missing",
    "oauth.auth_field_malformed",
    "oauth.key_not_found",
    "oauth.client_deleted",
];

/// How keys are made, stored and looked up (contract 5.1).
#[derive(Debug, Clone)]
pub struct KeySettings {
    /// Store hashes instead of keys.
    pub hashed: bool,
    /// Algorithm of new keys; `None` = the legacy format with murmur32.
    pub algorithm: Option<Algorithm>,
    /// How passwords of new users are stored.
    pub passwords: PasswordHash,
    /// What [`Algorithm::HmacSha256`] is keyed with. With another one, keys that it hashed are unknown.
    pub hash_secret: Secret,
    /// Older algorithms that are tried on look-up.
    pub fallbacks: Vec<Algorithm>,
    /// Shorter tokens are refused unseen.
    pub min_length: usize,
    /// Keys are found by what they are, and not by the id or the user's name that they were made for
    /// (`disable_key_actions_by_username`).
    pub whole_only: bool,
    /// Keys without access rights may be created.
    pub allow_master: bool,
    /// Hashes may be listed.
    pub list_hashed: bool,
    /// How long a session read from a shared store is believed; zero = not at all.
    pub cache_for: Duration,
    /// No key is dropped before it expires, whatever its lifetime or its API's.
    pub lifetime_respects_expiry: bool,
    /// Lifetime that overrides every key's own; `Some(None)` keeps every key without end.
    pub forced_lifetime: Option<Option<Duration>>,
}

/// How limits count (contract 6.5).
#[derive(Debug, Clone)]
pub struct LimitSettings {
    /// Where and how rates count.
    pub limiter: Limiter,
    /// [`Limiter::PerNode`]: limits that are too small to be shared out count as [`Limiter::Sentinel`] does.
    pub sentinel_for_few: bool,
    /// [`Limiter::PerNode`]: limits with fewer requests a second for each node are too small to be shared out.
    pub threshold: f64,
    /// How often this node tells the others of its load.
    pub announce_every: Duration,
    /// The other nodes are told of this one (`management_node` is not).
    pub takes_part: bool,
    /// Allowances move in steps, where keys or policies say how.
    pub smoothing: bool,
    /// Rolling windows count refused requests, too.
    pub counts_refused: bool,
    /// Organisations have limits.
    pub organisations: bool,
    /// They say how long their records are kept.
    pub organisation_age: bool,
    /// They say whether requests and answers are recorded whole.
    pub organisation_detail: bool,
    /// Send `RateLimit` and `RateLimit-Policy`, and `Retry-After` with refusals.
    pub standard_headers: bool,
}

impl LimitSettings {
    /// Whether what the sessions of organisations say counts at all.
    pub(crate) fn ask_organisations(&self) -> bool {
        self.organisations || self.organisation_age || self.organisation_detail
    }
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            limiter: Limiter::PerNode,
            sentinel_for_few: false,
            threshold: 5.0,
            announce_every: Duration::from_secs(2),
            takes_part: true,
            smoothing: false,
            counts_refused: false,
            organisations: false,
            organisation_age: false,
            organisation_detail: false,
            standard_headers: false,
        }
    }
}

/// Where and how rates count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limiter {
    /// On each node, shared out among those alive.
    PerNode,
    /// In the state store, over the last window at any moment.
    Rolling,
    /// In the state store, from the first request on.
    FixedWindow,
    /// In the state store, while the request passes.
    Sentinel,
}

/// How certificates are stored and which of them are trusted everywhere (contract 12).
#[derive(Debug, Clone, Default)]
pub struct CertificateSettings {
    /// Encrypts private keys in the store.
    pub passphrase: Secret,
    /// Client certificates that every API with client certificates admits (`security.certificates.apis`).
    pub of_all_apis: Vec<Box<str>>,
    /// Client certificates that the admin API admits (`security.certificates.control_api`).
    pub of_control: Vec<Box<str>>,
    /// A key that is bound to a certificate is good without it (`security.allow_unsafe_dynamic_mtls_token`).
    pub token_alone_is_enough: bool,
    /// The admin API needs one of them (`security.control_api_use_mutual_tls`).
    pub control_needs_one: bool,
}

/// How published keys of tokens are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySetSettings {
    /// How long they are believed where a definition says nothing (`jwks.cache.timeout`).
    pub keep: Duration,
    /// Accept any certificate of their hosts (`jwt_ssl_insecure_skip_verify`).
    pub insecure: bool,
}

impl Default for KeySetSettings {
    fn default() -> Self {
        Self { keep: Duration::from_secs(240), insecure: false }
    }
}

/// How upstreams are probed (`uptime_tests`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UptimeSettings {
    /// Whether they are at all.
    pub enabled: bool,
    /// Of the nodes of a group one probes (`poller_group`).
    pub group: Box<str>,
    /// So many failures one after the other, and a host is down; at least 1.
    pub failures: u32,
    /// How often each probe runs.
    pub every: Duration,
    /// How many probes run at once; at least 1.
    pub at_once: usize,
    /// What they find is written to Redis (`enable_uptime_analytics`).
    pub recorded: bool,
    /// How long it waits there (`analytics_config.storage_expiration_time`).
    pub record_life: Duration,
}

impl Default for UptimeSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            group: Box::default(),
            failures: 3,
            every: Duration::from_secs(10),
            at_once: 32,
            recorded: false,
            record_life: Duration::from_secs(60),
        }
    }
}

/// Tokens of the OAuth 2.0 servers (contract 1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthSettings {
    /// Life of access tokens (`oauth_token_expire`).
    pub access: Duration,
    /// Life of refresh tokens (`oauth_refresh_token_expire`).
    pub refresh: Duration,
    /// How long tokens that have ended stay listed; `None`: until somebody asks for it
    /// (`oauth_token_expired_retain_period`).
    pub retain: Option<Duration>,
    /// What stands between the redirect addresses of a client; empty: it has one (`oauth_redirect_uri_separator`).
    pub separator: Box<str>,
    /// Status of a refused request for a token (`oauth_error_status_code`).
    pub error_status: u16,
    /// How often clients may guess in a minute.
    pub guesses: GuessSettings,
}

/// How often a wrong secret, password, code or token may be brought in a minute, on each node; 0: any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuessSettings {
    /// From one address (`limits.oauth_guesses_by_address`).
    pub by_address: u32,
    /// For one client, from wherever (`limits.oauth_guesses_by_client`).
    pub by_client: u32,
}

impl OAuthSettings {
    pub(crate) fn refused(&self) -> StatusCode {
        StatusCode::from_u16(self.error_status).unwrap_or(StatusCode::FORBIDDEN)
    }
}

impl Default for OAuthSettings {
    fn default() -> Self {
        Self {
            access: Duration::from_secs(3600),
            refresh: Duration::from_secs(1_209_600),
            retain: None,
            separator: Box::default(),
            error_status: 403,
            guesses: GuessSettings { by_address: 120, by_client: 120 },
        }
    }
}

/// How the password of a basic-auth user is stored (`basic_auth_hash_key_function`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordHash {
    /// bcrypt.
    Bcrypt,
    /// Fast, without salt: for those who have to.
    Keys(Algorithm),
}

/// What the `X-RateLimit-*` headers carry (contract 6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitHeaders {
    /// The quota.
    Quotas,
    /// The rate.
    RateLimits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            secret: None,
            hostname: None,
            control_hostname: None,
            inspected: Arc::default(),
            health_window: None,
            control_apart: false,
            health_name: "hello".into(),
            ready_name: "ready".into(),
            generator_header: true,
            version_header: None,
            close_connections: false,
            read_timeout: Duration::from_secs(120),
            write_timeout: Duration::from_secs(120),
            max_request_body: 0,
            max_response_body: 0,
            strict_routes: false,
            skip_url_cleaning: false,
            custom_domains: true,
            forwarded_depth: 0,
            path_matching: PathMatching::default(),
            keys: KeySettings {
                hashed: true,
                algorithm: None,
                passwords: PasswordHash::Bcrypt,
                hash_secret: Secret::default(),
                fallbacks: Vec::new(),
                min_length: 3,
                whole_only: false,
                allow_master: false,
                list_hashed: false,
                cache_for: Duration::from_secs(10),
                lifetime_respects_expiry: false,
                forced_lifetime: None,
            },
            orgs_of_apis_only: false,
            certificates: CertificateSettings::default(),
            key_sets: KeySetSettings::default(),
            ports: PortSettings::default(),
            uptime: UptimeSettings::default(),
            discovered_for: Duration::from_secs(120),
            oauth: OAuthSettings::default(),
            limit_headers: LimitHeaders::Quotas,
            error_pages: Arc::default(),
            error_overrides: Arc::default(),
            template_path: PathBuf::from("templates"),
            messages: HashMap::new(),
            limits: LimitSettings::default(),
            cache: CacheSettings::default(),
            plugins: PluginSettings::default(),
            events: EventSettings::default(),
            streaming: true,
            allow_unsafe: Vec::new(),
            access_log: false,
            analytics: true,
            record_whole: false,
            recorded_at_most: 16 << 10,
            drain: Duration::from_secs(30),
            drain_delay: Duration::ZERO,
            checked_values: StatedKinds::default(),
            app_path: PathBuf::new(),
            service: None,
        }
    }
}
