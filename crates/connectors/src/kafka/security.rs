//! How to reach the brokers and how to show them who we are: what both field sets say, as settings of the client library.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use document::Fault;
use rdkafka::client::OAuthToken;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use streams::{BuildContext, Node};

use crate::auth::oauth2::OAuth2;
use crate::fields::{Pem, comma_list, filled, tls};
use crate::http_client::exchange::Exchange;

/// A static token is given to the broker as valid for so long, then given again.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);
/// How long a token server may take: the client does nothing else meanwhile.
const TOKEN_SERVER: Duration = Duration::from_secs(10);
/// Whose token it is, where nobody says.
const PRINCIPAL: &str = "sluicegate";
/// Why one mechanism of the original is not offered.
const NO_AWS: &str = "AWS_MSK_IAM is not offered: requests are not signed with AWS credentials here; use SCRAM-SHA-512, which \
                      MSK offers, too";

/// Settings and credentials for the component at `node`, whose brokers stand in the field `brokers`.
pub(super) fn config(
    node: &Node<'_>,
    brokers: &str,
    context: &BuildContext<'_>,
) -> Result<(ClientConfig, Credentials), Fault> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", comma_list(node, brokers)?.join(","));
    config.set("client.id", node.text("client_id")?);
    // The brokers may be away for long; when they are back, that should be seen soon.
    config.set("reconnect.backoff.ms", "100").set("reconnect.backoff.max.ms", "1000");
    config.set_log_level(RDKafkaLogLevel::Warning);

    let tls = tls(node)?;
    let credentials = match node.value().get("sasl") {
        Some(serde_json::Value::Array(_)) => several(node, &mut config, context)?,
        _ => one(&node.get("sasl"), "user", "access_token", &mut config, context)?,
    };
    let authenticated = credentials.is_some();
    config.set(
        "security.protocol",
        match (tls.is_some(), authenticated) {
            (false, false) => "plaintext",
            (true, false) => "ssl",
            (false, true) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        },
    );
    if let Some(tls) = tls {
        if tls.skip_verify {
            config.set("enable.ssl.certificate.verification", "false");
            config.set("ssl.endpoint.identification.algorithm", "none");
        }
        set_pem(&mut config, "ssl.ca", tls.roots);
        if let Some(client) = tls.client {
            set_pem(&mut config, "ssl.certificate", Some(client.certificate));
            set_pem(&mut config, "ssl.key", Some(client.key));
            if let Some(password) = client.password {
                config.set("ssl.key.password", password);
            }
        }
    }
    Ok((config, credentials.unwrap_or_default()))
}

/// `sasl` as a list, as the second field set has it.
fn several(
    node: &Node<'_>,
    config: &mut ClientConfig,
    context: &BuildContext<'_>,
) -> Result<Option<Credentials>, Fault> {
    let list = node.items("sasl");
    match &list[..] {
        [] => Ok(None),
        [mechanism] => one(mechanism, "username", "token", config, context),
        [_, second, ..] => {
            Err(second.fault("the client offers one mechanism; write the one that the brokers have"))
        }
    }
}

/// One mechanism with its credentials; `None` for none.
fn one(
    sasl: &Node<'_>,
    user: &str,
    token: &str,
    config: &mut ClientConfig,
    context: &BuildContext<'_>,
) -> Result<Option<Credentials>, Fault> {
    let mechanism = sasl.text("mechanism")?;
    match mechanism.as_ref() {
        "" | "none" => return Ok(None),
        "AWS_MSK_IAM" => return Err(sasl.field_fault("mechanism", NO_AWS)),
        _ => {}
    }
    config.set("sasl.mechanism", mechanism.as_ref());
    if mechanism == "OAUTHBEARER" {
        return tokens(sasl, user, token, context).map(Some);
    }
    let missing = || sasl.field_fault(user, format!("{mechanism} needs a `{user}`"));
    config.set("sasl.username", filled(sasl, user)?.ok_or_else(missing)?);
    config.set("sasl.password", sasl.text("password")?);
    Ok(Some(Credentials::None))
}

/// Where the tokens of OAUTHBEARER come from.
fn tokens(
    sasl: &Node<'_>,
    user: &str,
    token: &str,
    context: &BuildContext<'_>,
) -> Result<Credentials, Fault> {
    let principal = filled(sasl, user)?.unwrap_or_else(|| PRINCIPAL.to_owned());
    if let Some(oauth2) = OAuth2::read(&sasl.get("oauth2"))? {
        if filled(sasl, token)?.is_some() {
            let told = format!("`{token}` is a token already; write it, or fetch one with `oauth2`");
            return Err(sasl.field_fault(token, told));
        }
        let exchange = Exchange::plain(context, false);
        return Ok(Credentials::Fetched(Arc::new(Fetched { oauth2, exchange, principal })));
    }
    let missing = || sasl.field_fault(token, format!("OAUTHBEARER needs a `{token}`, or `oauth2`"));
    let token = filled(sasl, token)?.ok_or_else(missing)?;
    Ok(Credentials::Token { token, principal })
}

fn set_pem(config: &mut ClientConfig, name: &str, pem: Option<Pem>) {
    match pem {
        Some(Pem::Text(text)) => config.set(format!("{name}.pem"), text),
        Some(Pem::File(path)) => config.set(format!("{name}.location"), path),
        None => config,
    };
}

/// What is shown to the brokers beside the library's own settings. Never printed.
#[derive(Default, Clone)]
pub(super) enum Credentials {
    /// Nothing more.
    #[default]
    None,
    /// Always the same token.
    Token {
        /// The token.
        token: String,
        /// Whose it is.
        principal: String,
    },
    /// Those that a server gives.
    Fetched(Arc<Fetched>),
}

/// Where tokens are fetched.
pub(super) struct Fetched {
    oauth2: OAuth2,
    exchange: Exchange,
    principal: String,
}

impl Fetched {
    /// Blocking.
    fn token(&self, runtime: &tokio::runtime::Handle) -> Result<(String, Option<Duration>), String> {
        let fetch = async {
            let fresh = tokio::time::timeout(TOKEN_SERVER, self.oauth2.fresh(&self.exchange)).await;
            fresh.unwrap_or_else(|_| Err(format!("no token within {TOKEN_SERVER:?}")))
        };
        // The client may ask on any of its threads, also on one that drives the runtime.
        std::thread::scope(|scope| scope.spawn(|| runtime.block_on(fetch)).join())
            .unwrap_or_else(|_| Err("fetching a token broke down".to_owned()))
    }
}

impl Credentials {
    /// The token to show. Runs on a thread of the client, and may block.
    pub(super) fn token(
        &self,
        runtime: &tokio::runtime::Handle,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let lasting = |lifetime: Duration| -> Result<i64, Box<dyn std::error::Error>> {
            let expires = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)? + lifetime;
            Ok(i64::try_from(expires.as_millis())?)
        };
        match self {
            Credentials::None => Err("no access token is configured".into()),
            Credentials::Token { token, principal } => Ok(OAuthToken {
                token: token.clone(),
                principal_name: principal.clone(),
                lifetime_ms: lasting(TOKEN_LIFETIME)?,
            }),
            Credentials::Fetched(fetched) => {
                let (token, lasts) = fetched.token(runtime)?;
                Ok(OAuthToken {
                    token,
                    principal_name: fetched.principal.clone(),
                    lifetime_ms: lasting(lasts.unwrap_or(TOKEN_LIFETIME))?,
                })
            }
        }
    }
}
