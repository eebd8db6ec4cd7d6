//! What connections to upstreams are told of the configuration.

use std::time::Duration;

use apidef::UpstreamTls;
use gateway::{KeepAlive, KeepNames, SeveralAddresses, UpstreamSettings};

use crate::config::{AddressStrategy, Config, DnsCache, Egress};

pub(super) fn of(config: &Config) -> Result<UpstreamSettings, String> {
    let keep = KeepAlive {
        most_idle: match config.max_idle_connections_per_host {
            0 => KeepAlive::default().most_idle,
            most => most,
        },
        oldest: match config.max_conn_time {
            _ if config.proxy_close_connections => Some(Duration::ZERO),
            Duration::ZERO => None,
            oldest => Some(oldest),
        },
        room: None,
    };
    let keep = match config.max_idle_connections {
        0 => keep,
        most => keep.with_room(most),
    };
    let (timeout, http2) = (config.proxy_default_timeout, config.proxy_enable_http2);
    let websockets = config.http_server_options.enable_websockets;
    let mut warnings = Vec::new();
    let tls = UpstreamTls::of_gate(&upstream_tls(config), &mut warnings)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let Egress { allow, deny, deny_private } = &config.egress;
    let egress = streams::Egress::read("egress", allow, deny, *deny_private)?;
    let settings =
        UpstreamSettings::new(timeout, keep, websockets, http2, tls).map_err(|error| error.to_string())?;
    let settings = settings.under(egress);
    Ok(match keep_names(&config.dns_cache) {
        Some(keep) => settings.keeping_names(keep),
        None => settings,
    })
}

fn keep_names(cache: &DnsCache) -> Option<KeepNames> {
    let several = match cache.multiple_ips_handle_strategy {
        AddressStrategy::NoCache => SeveralAddresses::Anew,
        AddressStrategy::PickFirst => SeveralAddresses::First,
        AddressStrategy::Random => SeveralAddresses::Random,
    };
    let ttl = match cache.ttl {
        // As where nothing is said.
        0 => Some(3600),
        seconds => u64::try_from(seconds).ok(),
    };
    cache.enabled.then_some(KeepNames { ttl: ttl.map(Duration::from_secs), several })
}

/// TLS to upstreams as a definition would have it, whose rules are the same.
fn upstream_tls(config: &Config) -> serde_json::Value {
    serde_json::json!({
        "upstream_certificates": config.security.certificates.upstream,
        "pinned_public_keys": config.security.pinned_public_keys,
        "proxy": {"transport": {
            "ssl_insecure_skip_verify": config.proxy_ssl_insecure_skip_verify,
            "ssl_min_version": config.proxy_ssl_min_version,
            "ssl_max_version": config.proxy_ssl_max_version,
            "ssl_ciphers": config.proxy_ssl_ciphers,
            "ssl_force_common_name_check": config.ssl_force_common_name_check,
        }},
    })
}
