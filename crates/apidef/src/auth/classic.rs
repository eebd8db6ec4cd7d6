//! Which schemes a classic definition asks for (contract 2.2).

use super::{Auth, BASE_IDENTITIES, Basic, Custom, Guarded, Jwt, SchemeKind, SecurityScheme, Token};
use super::{ExternalOAuth, HttpSignature, OAuth, OpenId};
use crate::section::Section;
use document::Fault;
use serde_json::{Value, json};

/// Who may call. All schemes that are switched on have to be satisfied.
pub(crate) fn read(root: &Section<'_>, faults: &mut Vec<Fault>) -> Auth {
    let standard = root.flag("use_standard_auth", faults);
    if root.flag("use_keyless", faults) {
        if standard {
            faults.push(Fault::warning(
                root.at("use_standard_auth"),
                "`use_keyless` is on as well, so the API is open",
            ));
        }
        return Auth::Keyless;
    }
    let configs = root.section("auth_configs", faults);
    let mut schemes = Vec::new();
    if root.flag("use_basic_auth", faults) {
        schemes.push(SecurityScheme::Basic(Basic::classic(root, &configs, faults)));
    }
    if root.flag("enable_signature_checking", faults) {
        schemes.push(SecurityScheme::Signature(HttpSignature::classic(root, &configs, faults)));
    }
    if root.flag("enable_jwt", faults) {
        schemes.push(SecurityScheme::Jwt(Box::new(Jwt::classic(root, &configs, faults))));
    }
    if root.section("external_oauth", faults).flag("enabled", faults) {
        let oauth = ExternalOAuth::classic(root, &configs, faults);
        schemes.push(SecurityScheme::ExternalOAuth(Box::new(oauth)));
    }
    if root.flag("use_oauth2", faults) {
        schemes.push(SecurityScheme::OAuth(Box::new(OAuth::classic(root, &configs, faults))));
    }
    if root.flag("use_openid", faults) {
        schemes.push(SecurityScheme::OpenId(Box::new(OpenId::classic(root, &configs, faults))));
    }
    if let Some(custom) = Custom::classic(root, faults) {
        schemes.push(SecurityScheme::Custom(custom));
    }
    // The token is what guards when nothing else is switched on.
    if standard || schemes.is_empty() {
        schemes.push(SecurityScheme::Token(Token::classic(root, &configs, faults)));
    }
    Auth::Guarded(Guarded::all_of(schemes, base_identity(root, "base_identity_provided_by", faults)))
}

pub(super) fn base_identity(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Option<SchemeKind> {
    let name = holder.text(key, faults);
    if name.is_empty() {
        return None;
    }
    let found = BASE_IDENTITIES.iter().find(|(known, _)| *known == name);
    if found.is_none() {
        let known: Vec<_> = BASE_IDENTITIES.iter().map(|(known, _)| format!("`{known}`")).collect();
        faults.push(
            Fault::error(holder.at(key), format!("`{name}` identifies nobody"))
                .hint(format!("use one of {}", known.join(", "))),
        );
    }
    found.map(|(_, kind)| *kind)
}

/// What classic clients read of who may call.
pub(crate) fn write(auth: &Auth, definition: &mut Value) {
    definition["use_keyless"] = (*auth == Auth::Keyless).into();
    definition["use_standard_auth"] = false.into();
    definition["auth_configs"] = json!({});
    let Auth::Guarded(guarded) = auth else { return };
    let base = BASE_IDENTITIES.iter().find(|(_, kind)| Some(*kind) == guarded.base_identity);
    if let Some((name, _)) = base {
        definition["base_identity_provided_by"] = (*name).into();
    }
    for scheme in guarded.schemes() {
        match scheme {
            SecurityScheme::Basic(basic) => basic.write_classic(definition),
            SecurityScheme::Custom(custom) => custom.write_classic(definition),
            SecurityScheme::ExternalOAuth(oauth) => oauth.write_classic(definition),
            SecurityScheme::Signature(signature) => signature.write_classic(definition),
            SecurityScheme::Jwt(jwt) => jwt.write_classic(definition),
            SecurityScheme::OAuth(oauth) => oauth.write_classic(definition),
            SecurityScheme::OpenId(open_id) => open_id.write_classic(definition),
            SecurityScheme::Token(token) => token.write_classic(definition),
        }
    }
}
