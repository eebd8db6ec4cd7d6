//! One order: from the account to a certificate with its key (RFC 8555 section 7).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, ExternalAccountKey, Identifier, NewAccount, NewOrder,
    Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use state::Unavailable;

use super::{Acme, Challenge, challenge, kept};
use crate::gate::Gate;

/// How long the directory may take to look at the proof, and then to sign.
const PATIENCE: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).timeout(Duration::from_secs(120));
/// The directory does not know the account (any more).
const UNKNOWN_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("the directory says: {0}")]
    Directory(#[from] Error),
    #[error("{0}")]
    State(#[from] Unavailable),
    #[error("no key could be made: {0}")]
    Key(#[from] rcgen::Error),
    #[error("{0}")]
    Other(String),
}

impl Challenge {
    fn kind(self) -> ChallengeType {
        match self {
            Self::TlsAlpn => ChallengeType::TlsAlpn01,
            Self::Http => ChallengeType::Http01,
        }
    }
}

/// A certificate for `domain`, with its chain and its key, as PEM.
pub(super) async fn obtain(gate: &Gate, acme: &Acme, domain: &str) -> Result<String, Failed> {
    let account = account(gate, acme).await?;
    let identifiers = [Identifier::Dns(domain.to_owned())];
    let mut order = match account.new_order(&NewOrder::new(&identifiers)).await {
        Err(Error::Api(problem)) if problem.r#type.as_deref() == Some(UNKNOWN_ACCOUNT) => {
            // The next try makes a new one.
            kept::forget_account(gate, &acme.settings.directory).await?;
            return Err(Error::Api(problem).into());
        }
        order => order?,
    };
    prove(gate, acme, domain, &mut order).await?;
    if order.poll_ready(&PATIENCE).await? != OrderStatus::Ready {
        return Err(refused(&mut order).await);
    }
    let mut params = CertificateParams::new(vec![domain.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate()?;
    order.finalize_csr(params.serialize_request(&key)?.der()).await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    Ok(format!("{}\n{}", chain.trim_end(), kept::pem_of(key.serialize_der())))
}

/// The account that is kept, or a new one.
async fn account(gate: &Gate, acme: &Acme) -> Result<Account, Failed> {
    let directory = &acme.settings.directory;
    let builder = Account::builder_with_http(Box::new(acme.wire.clone()));
    if let Some((id, key)) = kept::account(gate, directory).await? {
        return Ok(builder.from_parts(id, PrivatePkcs8KeyDer::from(key), directory.clone()).await?);
    }
    let contact = acme.settings.email.as_deref().map(|email| format!("mailto:{email}"));
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    let wanted = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let external = match &acme.settings.external {
        None => None,
        Some((id, key)) => Some(ExternalAccountKey::new(id.to_string(), &decoded(key.expose())?)),
    };
    let (account, credentials) = builder.create(&wanted, directory.clone(), external.as_ref()).await?;
    let key = credentials.private_key().secret_pkcs8_der();
    kept::put_account(gate, directory, account.id(), key).await?;
    tracing::info!(%directory, account = account.id(), "made an acme account");
    Ok(account)
}

/// Keys of external accounts are told as base64url, with or without padding.
fn decoded(key: &str) -> Result<Vec<u8>, Failed> {
    URL_SAFE_NO_PAD
        .decode(key)
        .or_else(|_| URL_SAFE.decode(key))
        .map_err(|_| Failed::Other("`acme.external_account.key` is no base64url".into()))
}

async fn prove(gate: &Gate, acme: &Acme, domain: &str, order: &mut Order) -> Result<(), Failed> {
    let kind = acme.settings.challenge;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            other => return Err(Failed::Other(format!("the directory's authorization is {other:?}"))),
        }
        let Some(mut asked) = authorization.challenge(kind.kind()) else {
            return Err(Failed::Other(format!(
                "the directory does not offer the challenge `{}`; choose another `acme.challenge`",
                kind.as_str()
            )));
        };
        let answer = asked.key_authorization();
        challenge::put(&gate.state, kind, (domain, &asked.token), answer.as_str()).await?;
        asked.set_ready().await?;
    }
    Ok(())
}

/// Why the directory does not take the proof.
async fn refused(order: &mut Order) -> Failed {
    let mut why = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { break };
        why.extend(
            state.challenges.iter().filter_map(|challenge| challenge.error.as_ref()).map(ToString::to_string),
        );
    }
    let why = if why.is_empty() { "it does not say why".to_owned() } else { why.join("; ") };
    Failed::Other(format!("the directory could not confirm that the name is ours: {why}"))
}
