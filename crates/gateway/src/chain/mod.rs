//! The chain of one API: its guards in the order in which they run (contract 4.4), compiled once from its definition.

use apidef::{Api, Auth};

use crate::auth::{AccessRights, Authenticate, ClientCertificates, Expiry, GranularAccess, StripAuth};
use crate::exchange::Exchange;
use crate::limits::{ApiRate, KeyLimits, Windows};
use crate::respond::Refusal;
use crate::settings::Settings;

/// One step of a chain: may pass, change or refuse an exchange.
#[derive(Debug)]
enum Guard {
    ClientCertificates(ClientCertificates),
    Authenticate(Authenticate),
    StripAuth(StripAuth),
    Expiry(Expiry),
    AccessRights(AccessRights),
    GranularAccess(GranularAccess),
    KeyLimits(KeyLimits),
    ApiRate(ApiRate),
}

/// The guards of one API. The first refusal wins.
#[derive(Debug)]
pub struct Chain {
    guards: Box<[Guard]>,
}

impl Chain {
    /// Compiles the guards that the definition asks for, and no others.
    pub fn compile(api: &Api, windows: &Windows, settings: &Settings) -> Result<Self, String> {
        let mut guards = Vec::new();
        if let Some(own) = &api.client_certificates {
            let allowed = own.iter().chain(&settings.certificates.of_all_apis).cloned();
            guards.push(Guard::ClientCertificates(ClientCertificates::new(allowed)));
        }
        if let Auth::Guarded(guarded) = &api.auth {
            guards.push(Guard::Authenticate(Authenticate::new(guarded, api)?));
            if api.strip_auth_data {
                guards.push(Guard::StripAuth(StripAuth::new(guarded)));
            }
            guards.push(Guard::Expiry(Expiry));
            guards.push(Guard::AccessRights(AccessRights));
            guards.push(Guard::GranularAccess(GranularAccess));
            let limits =
                KeyLimits { rate: !api.limits.rate_limit_disabled, quota: !api.limits.quota_disabled };
            if limits.rate || limits.quota {
                guards.push(Guard::KeyLimits(limits));
            }
        }
        if let Some(rate) = api.limits.global {
            let window = windows.get(&format!("apilimiter-{}{}", api.org_id, api.id));
            guards.push(Guard::ApiRate(ApiRate::new(rate, window)));
        }
        Ok(Self { guards: guards.into() })
    }

    /// Runs the guards.
    pub(crate) async fn admit(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        for guard in &self.guards {
            match guard {
                Guard::ClientCertificates(guard) => guard.pass(exchange).await?,
                Guard::Authenticate(guard) => guard.pass(exchange).await?,
                Guard::StripAuth(guard) => guard.pass(exchange)?,
                Guard::Expiry(guard) => guard.pass(exchange)?,
                Guard::AccessRights(guard) => guard.pass(exchange)?,
                Guard::GranularAccess(guard) => guard.pass(exchange)?,
                Guard::KeyLimits(guard) => guard.pass(exchange).await?,
                Guard::ApiRate(guard) => guard.pass(exchange)?,
            }
        }
        Ok(())
    }
}
