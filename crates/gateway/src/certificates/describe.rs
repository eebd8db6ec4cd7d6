//! Certificates as the admin API tells of them (contract 7.3).

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};
use x509_parser::time::ASN1Time;

use super::Certificate;
use crate::clock::rfc3339;

/// One of a detailed list.
pub(crate) fn summary(certificate: &Certificate) -> Value {
    with_leaf(certificate, |leaf| {
        json!({
            "id": certificate.id,
            "issuer_cn": common_name(leaf.issuer()),
            "subject_cn": common_name(leaf.subject()),
            "dns_names": dns_names(leaf),
            "has_private": certificate.key.is_some(),
            "not_before": time(leaf.validity().not_before),
            "not_after": time(leaf.validity().not_after),
            "is_ca": leaf.is_ca(),
        })
    })
    .unwrap_or_else(|| bare(certificate))
}

/// One that was asked for by id.
pub(crate) fn details(certificate: &Certificate) -> Value {
    with_leaf(certificate, |leaf| {
        json!({
            "id": certificate.id,
            "fingerprint": certificate.fingerprint,
            "has_private": certificate.key.is_some(),
            "issuer": name(leaf.issuer()),
            "subject": name(leaf.subject()),
            "not_before": time(leaf.validity().not_before),
            "not_after": time(leaf.validity().not_after),
            "dns_names": dns_names(leaf),
            "is_ca": leaf.is_ca(),
        })
    })
    .unwrap_or_else(|| bare(certificate))
}

/// A public key has an id and nothing to tell.
fn bare(certificate: &Certificate) -> Value {
    json!({"id": certificate.id, "fingerprint": certificate.fingerprint, "has_private": false})
}

fn with_leaf(certificate: &Certificate, tell: impl FnOnce(&X509Certificate<'_>) -> Value) -> Option<Value> {
    let (_, leaf) = X509Certificate::from_der(certificate.chain.first()?).ok()?;
    Some(tell(&leaf))
}

fn common_name(name: &X509Name<'_>) -> String {
    name.iter_common_name().filter_map(|part| part.as_str().ok()).next().unwrap_or_default().to_owned()
}

fn dns_names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let names = leaf.subject_alternative_name().ok().flatten().map(|found| &found.value.general_names);
    let names = names.into_iter().flatten();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect()
}

/// A name in the members that Go's `pkix.Name` has, which clients of the original read.
fn name(name: &X509Name<'_>) -> Value {
    let all: Vec<(String, String)> = name
        .iter_attributes()
        .map(|part| (part.attr_type().to_id_string(), part.as_str().unwrap_or_default().to_owned()))
        .collect();
    let values = |id: &str| -> Value {
        let found: Vec<&str> =
            all.iter().filter(|(kind, _)| kind == id).map(|(_, value)| value.as_str()).collect();
        if found.is_empty() { Value::Null } else { found.into() }
    };
    let last = |id: &str| all.iter().rev().find(|(kind, _)| kind == id).map_or("", |(_, value)| value);
    let names: Vec<Value> = all
        .iter()
        .map(|(kind, value)| {
            let numbers: Vec<u64> = kind.split('.').filter_map(|part| part.parse().ok()).collect();
            json!({"Type": numbers, "Value": value})
        })
        .collect();
    json!({
        "Country": values("2.5.4.6"),
        "Organization": values("2.5.4.10"),
        "OrganizationalUnit": values("2.5.4.11"),
        "Locality": values("2.5.4.7"),
        "Province": values("2.5.4.8"),
        "StreetAddress": values("2.5.4.9"),
        "PostalCode": values("2.5.4.17"),
        "SerialNumber": last("2.5.4.5"),
        "CommonName": last("2.5.4.3"),
        "Names": names,
        "ExtraNames": null,
    })
}

/// RFC 3339, in UTC.
fn time(time: ASN1Time) -> String {
    let since = Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0));
    rfc3339(SystemTime::UNIX_EPOCH + since)
}
