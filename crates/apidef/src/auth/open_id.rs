//! OpenID Connect (contract 2.2, 3.3, 5.7): tokens of issuers that say themselves where their keys are, with a policy for each
//! of their clients.

use super::jwt::{ScopePolicies, address};
use super::{SOURCE, Sources};
use crate::Target;
use crate::fields::{Field, acts, each, section};
use crate::section::Section;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use document::{Fault, pointer_join};
use serde_json::{Map, Value, json};

/// Identity tokens of known issuers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OpenId {
    /// Where they are looked for.
    pub sources: Sources,
    /// Who may have issued them.
    pub providers: Box<[OpenIdProvider]>,
    /// A user has a session with each client, not one with all.
    pub per_client: bool,
    /// Policies that scopes stand for, beside that of the client.
    pub scopes: ScopePolicies,
}

/// Who issues tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenIdProvider {
    /// As its tokens name it.
    pub issuer: Box<str>,
    /// The same as an address.
    pub address: Target,
    /// Its clients, each with a policy.
    pub clients: Box<[(Box<str>, Box<str>)]>,
}

/// `server.authentication.oidc`.
pub(crate) const OAS: &[Field] = &[
    acts("enabled"),
    section("header", SOURCE),
    section("query", SOURCE),
    section("cookie", SOURCE),
    acts("segregateByClientId"),
    each(
        "providers",
        &[acts("issuer"), each("clientToPolicyMapping", &[acts("clientId"), acts("policyId")])],
    ),
    section(
        "scopes",
        &[
            acts("claimName"),
            acts("claims"),
            each("scopeToPolicyMapping", &[acts("scope"), acts("policyId")]),
        ],
    ),
];

/// `openid_options`.
pub(crate) const CLASSIC: &[Field] =
    &[each("providers", &[acts("issuer"), acts("client_ids")]), acts("segregate_by_client")];

impl OpenId {
    pub(super) fn classic(root: &Section<'_>, configs: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let options = root.section("openid_options", faults);
        let scopes = root.section("scopes", faults).section("oidc", faults);
        let providers = providers(&options, faults, |provider, faults| {
            let clients = provider.section("client_ids", faults);
            super::jwt::named(&clients, faults)
                .into_iter()
                .filter_map(|(encoded, policy)| {
                    let client =
                        BASE64.decode(&*encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                    if client.is_none() {
                        faults.push(Fault::error(
                            clients.at(&encoded),
                            "a client's id must be written in base64",
                        ));
                    }
                    Some((client?.into(), policy))
                })
                .collect()
        });
        Self {
            sources: Sources::classic(&configs.section("oidc", faults), "oidc", faults),
            providers,
            per_client: options.flag("segregate_by_client", faults),
            scopes: ScopePolicies::classic(&scopes, (&options, "", ""), faults),
        }
    }

    pub(super) fn oas(oidc: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let providers = providers(oidc, faults, |provider, faults| {
            let entries = provider.get("clientToPolicyMapping").and_then(Value::as_array);
            let read = entries.into_iter().flatten().enumerate().filter_map(|(index, entry)| {
                let pointer = pointer_join(&provider.at("clientToPolicyMapping"), &index.to_string());
                let entry = Section { object: entry.as_object(), pointer };
                let (client, policy) = (entry.text("clientId", faults), entry.text("policyId", faults));
                (!client.is_empty() && !policy.is_empty()).then(|| (client.into(), policy.into()))
            });
            read.collect()
        });
        Self {
            sources: Sources::oas_http(oidc, faults),
            providers,
            per_client: oidc.flag("segregateByClientId", faults),
            scopes: ScopePolicies::oas(&oidc.section("scopes", faults), faults),
        }
    }

    pub(super) fn write_classic(&self, definition: &mut Value) {
        definition["use_openid"] = true.into();
        definition["auth_configs"]["oidc"] = self.sources.write_classic();
        let providers = self.providers.iter().map(|provider| {
            let clients = provider.clients.iter();
            let clients: Map<String, Value> =
                clients.map(|(client, policy)| (BASE64.encode(&**client), (&**policy).into())).collect();
            json!({"issuer": provider.issuer, "client_ids": clients})
        });
        definition["openid_options"] =
            json!({"providers": providers.collect::<Value>(), "segregate_by_client": self.per_client});
        definition["scopes"]["oidc"] = self.scopes.write_classic();
    }
}

type Clients = Box<[(Box<str>, Box<str>)]>;

fn providers(
    holder: &Section<'_>,
    faults: &mut Vec<Fault>,
    clients: impl Fn(&Section<'_>, &mut Vec<Fault>) -> Clients,
) -> Box<[OpenIdProvider]> {
    let mut read: Vec<OpenIdProvider> = Vec::new();
    let entries = holder.get("providers").and_then(Value::as_array);
    for (index, entry) in entries.into_iter().flatten().enumerate() {
        let pointer = pointer_join(&holder.at("providers"), &index.to_string());
        let provider = Section { object: entry.as_object(), pointer };
        let issuer = provider.text("issuer", faults);
        let clients = clients(&provider, faults);
        if issuer.is_empty() {
            faults.push(Fault::error(provider.at("issuer"), "a provider needs its `issuer`"));
        } else if read.iter().any(|known| *known.issuer == *issuer) {
            faults.push(Fault::error(provider.at("issuer"), format!("the issuer `{issuer}` is there twice")));
        } else if let Some(address) = address(issuer, provider.at("issuer"), faults) {
            read.push(OpenIdProvider { issuer: issuer.into(), address, clients });
        }
    }
    if read.is_empty() {
        faults.push(Fault::warning(holder.at("providers"), "there is no provider, so no token is taken"));
    }
    read.into()
}
