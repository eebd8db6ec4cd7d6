//! What the admin API asks of the certificates that a key names.

use apidef::Session;

use crate::gate::Gate;

/// Why a key may not be stored with the certificate that it names (contract 7.3), told in the contract's words.
/// `before` is the session that it replaces.
pub(super) async fn fault(
    gate: &Gate,
    session: &Session,
    before: Option<&Session>,
) -> Result<Option<&'static str>, ::state::Unavailable> {
    let bound = before.map(|before| before.certificate.as_str()).unwrap_or_default();
    if session.certificate == bound {
        return Ok(None);
    }
    if session.certificate.is_empty() {
        return Ok(Some("Key cannot be used without a certificate"));
    }
    let known = gate.certificates.stored(&session.certificate).await?;
    Ok(known.is_none().then_some("Key must be used with an existent certificate"))
}
