//! What the gate is told of traces.

use gateway::traces::{CollectorTls, Propagation, Sampling, TraceSettings, Tracer};

use crate::config::{Config, TlsVersion, TraceExport};

/// Blocking: reads files.
///
/// # Errors
/// Which setting has to be changed.
pub(super) fn of(config: &Config) -> Result<Option<Tracer>, String> {
    let Some((place, export)) = config.opentelemetry.counting() else { return Ok(None) };
    let at = |error: String| format!("`{place}`: {error}");
    let mut settings = settings(export).map_err(at)?;
    let nodes = &config.db_app_conf_options;
    settings.tags = nodes.node_is_segmented.then(|| nodes.tags.clone());
    Tracer::new(settings).map(Some).map_err(at)
}

fn settings(export: &TraceExport) -> Result<TraceSettings, String> {
    let batches = &export.span_batch_config;
    let sampling = &export.sampling;
    Ok(TraceSettings {
        grpc: export.exporter == "grpc",
        endpoint: export.endpoint.clone(),
        headers: TraceSettings::headers(
            export.headers.iter().map(|(name, value)| (name.as_str(), value.expose())),
        )?,
        connect_within: export.connection_timeout,
        name: export.resource_name.clone(),
        tls: tls(export)?,
        tags: None,
        most_waiting: batches.max_queue_size,
        most_at_once: batches.max_export_batch_size.min(batches.max_queue_size),
        gather: match export.span_processor_type.as_str() {
            "simple" => std::time::Duration::ZERO,
            _ => batches.batch_timeout,
        },
        propagation: Propagation::read(&export.context_propagation, &export.custom_trace_header)?,
        sampling: Sampling::read(&sampling.kind, sampling.rate, sampling.parent_based)?,
    })
}

fn tls(export: &TraceExport) -> Result<Option<CollectorTls>, String> {
    let tls = &export.tls;
    if !tls.enable {
        return Ok(None);
    }
    if tls.max_version < TlsVersion::Tls12 {
        return Err("`tls.max_version`: only TLS 1.2 and 1.3 are spoken".to_owned());
    }
    if tls.min_version > tls.max_version {
        return Err("`tls.min_version` is above `tls.max_version`".to_owned());
    }
    Ok(Some(CollectorTls {
        insecure: tls.insecure_skip_verify,
        ca_file: tls.ca_file.as_str().into(),
        cert_file: tls.cert_file.as_str().into(),
        key_file: tls.key_file.as_str().into(),
        min_version: number(tls.min_version),
        max_version: number(tls.max_version),
    }))
}

/// As the protocol counts.
fn number(version: TlsVersion) -> u16 {
    match version {
        TlsVersion::Tls10 => 769,
        TlsVersion::Tls11 => 770,
        TlsVersion::Tls12 => 771,
        TlsVersion::Tls13 => 772,
    }
}
