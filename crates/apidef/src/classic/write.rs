//! Model -> classic definition: what the gateway acts on, under the names that classic clients read (contract 3.2).

use crate::addresses;
use crate::auth::write_classic as write_auth;
use crate::cors;
use crate::events;
use crate::graphql;
use crate::limits::{OWN, write_at_once};
use crate::plugins;
use crate::upstream::write_targets;
use crate::versioning;
use crate::{Api, Backend, Caching, Rate, Smoothing};
use serde_json::{Value, json};

/// Puts the numbers of a rate into what has one.
fn write_rate(rate: &Rate, into: &mut Value) {
    into["rate"] = rate.requests.into();
    into["per"] = rate.per.as_secs_f64().into();
    if rate.smoothing != Smoothing::default() {
        into["smoothing"] = serde_json::to_value(&rate.smoothing).unwrap_or_default();
    }
}

/// The classic projection of an API that was defined in OpenAPI.
pub(crate) fn write(api: &Api) -> Value {
    let mut proxy = json!({
        "listen_path": api.listen_path,
        "target_url": "",
        "strip_listen_path": api.strip_listen_path,
    });
    let mut version = json!({"name": "", "expires": "", "use_extended_paths": true, "extended_paths": {}});
    if let Backend::Upstream(upstream) = &api.backend {
        proxy["target_url"] = match &upstream.inner {
            Some(url) => url.to_string().into(),
            None => upstream.target.written().into(),
        };
        proxy["preserve_host_header"] = upstream.preserve_host.into();
        proxy["disable_strip_slash"] = upstream.keep_trailing_slash.into();
        if let Some(timeout) = upstream.timeout {
            version["global_enforce_timeout"] = format!("{}ms", timeout.as_millis()).into();
        }
    }
    if let Backend::Upstream(upstream) = &api.backend {
        upstream.endpoints.write_classic(&mut version);
        proxy["enable_load_balancing"] = (!upstream.targets.is_empty()).into();
        proxy["target_list"] = write_targets(&upstream.targets);
        proxy["check_host_against_uptime_tests"] = upstream.skip_down.into();
        if let Some(discovery) = &upstream.discovery {
            proxy["service_discovery"] = discovery.write_classic();
        }
    }
    api.paths.write_classic(&mut version);
    if !api.limits.endpoints.is_empty() {
        let entry = |endpoint: &crate::EndpointRate| {
            let mut entry = json!({"path": endpoint.path, "method": endpoint.method, "disabled": false});
            write_rate(&endpoint.rate, &mut entry);
            entry
        };
        version["extended_paths"]["rate_limit"] = api.limits.endpoints.iter().map(entry).collect();
        version["ignore_endpoint_case"] = (version["ignore_endpoint_case"] == true
            || api.limits.endpoints.iter().any(|endpoint| endpoint.ignore_case))
        .into();
    }
    api.transforms.write_classic(&mut version);
    let mut caching = Value::Null;
    Caching::write_classic(api.cache.as_deref(), &mut caching, &mut version);
    let mut limit = json!({"disabled": api.limits.global.is_none(), "rate": 0.0, "per": 0.0});
    if let Some(rate) = &api.limits.global {
        write_rate(rate, &mut limit);
    }
    let mut definition = json!({
        "api_id": api.id,
        "org_id": api.org_id,
        "name": api.name,
        "active": api.active,
        "internal": api.internal,
        "is_oas": true,
        "certificates": api.certificates,
        "use_mutual_tls_auth": api.client_certificates.is_some(),
        "client_certificates": api.client_certificates.as_deref().unwrap_or_default(),
        "strip_auth_data": api.strip_auth_data,
        "proxy": proxy,
        "domain": api.domain.as_deref().unwrap_or_default(),
        "domain_disabled": api.domain.is_none(),
        "tags": api.tags,
        "tags_disabled": api.tags.is_empty(),
        "disable_rate_limit": api.limits.rate_limit_disabled,
        "disable_quota": api.limits.quota_disabled,
        "global_rate_limit": limit,
        "session_lifetime": api.session_lifetime.map_or(0, |lifetime| lifetime.as_secs()),
        "session_lifetime_respects_key_expiration": api.lifetime_respects_expiry,
        "dont_set_quota_on_create": api.dont_set_quota_on_create,
        "enable_context_vars": api.transforms.context,
        "enable_batch_request_support": api.batches,
        "version_data": {"not_versioned": true, "default_version": "", "versions": {"": version}},
    });
    definition["cache_options"] = caching;
    definition["error_overrides"] = api.errors.write_classic();
    if let Some(versioning) = &api.versioning {
        definition["definition"] = versioning::write_classic(versioning);
    }
    if let Some(expires) = api.expires.and_then(versioning::write_date) {
        definition["expiration"] = expires.into();
    }
    if let Some(at_once) = write_at_once(&api.limits.at_once) {
        definition[OWN]["concurrency"] = at_once;
    }
    if let Some(compression) = &api.compression {
        definition[OWN]["compression"] = compression.write();
    }
    api.recording.write_classic(&mut definition);
    if let Some(model) = &api.graphql {
        graphql::write(model, &mut definition);
    }
    addresses::write_classic(&api.addresses, &mut definition);
    cors::write_classic(api.cors.as_deref(), &mut definition);
    plugins::write_classic(api.plugins.as_deref(), &mut definition);
    events::write_classic(&api.events, &mut definition);
    write_auth(&api.auth, &mut definition);
    if let Backend::Upstream(upstream) = &api.backend {
        upstream.manner.write_classic(&mut definition);
        if !upstream.uptime.is_empty() {
            definition["uptime_tests"] = upstream.uptime.write_classic();
        }
        if let Some(care) = upstream.care.write() {
            definition[OWN]["upstream"] = care;
        }
    }
    if api.mcp {
        definition["json_rpc_version"] = "2.0".into();
        definition["application_protocol"] = "mcp".into();
    }
    if let Some(own_port) = &api.own_port {
        own_port.write_classic(&mut definition);
    }
    if let Some(pass_through) = &api.pass_through {
        pass_through.write_classic(&mut definition);
    }
    definition
}
