//! What connections that fail are called (contract 4.2, "Classification flags"): by their cause, as deep as it lies.

use std::error::Error as StdError;
use std::io;

use rustls::{AlertDescription, CertificateError, Error as TlsFailure, OtherError};

use super::connect::DialError;
use super::through::ThroughError;
use super::unfit::Unfit;
use crate::body::cause;

/// `ENETRESET`, which has no [`io::ErrorKind`].
const NETWORK_RESET: i32 = if cfg!(target_os = "linux") { 102 } else { 52 };

/// Of a connection that did not come about.
pub(super) fn of_dial(error: &DialError) -> &'static str {
    match error {
        DialError::LookUp { .. } => "DNS",
        DialError::TimedOut { .. } => "UCT",
        DialError::Security { .. } => "TLN",
        DialError::Tls { source, .. } => of_tls(source),
        DialError::Connect { source, .. } => of_io(source).unwrap_or("UCF"),
        DialError::Through { source: ThroughError::Broken(source), .. } => of_io(source).unwrap_or("UCF"),
        DialError::Through { .. } | DialError::Denied(_) => "UCF",
        DialError::Handshake(error) => deepest(error).unwrap_or("UCF"),
    }
}

/// Of a connection that broke after it had come about.
pub(super) fn of_break(error: &(dyn StdError + 'static)) -> &'static str {
    deepest(error).unwrap_or("URR")
}

fn deepest(error: &(dyn StdError + 'static)) -> Option<&'static str> {
    if let Some(failure) = cause::<TlsFailure>(error) {
        return Some(of_failure(failure));
    }
    let mut next = cause::<io::Error>(error);
    while let Some(error) = next {
        if let Some(flag) = of_io(error) {
            return Some(flag);
        }
        next = error.get_ref().and_then(|wrapped| cause(wrapped));
    }
    None
}

fn of_tls(error: &io::Error) -> &'static str {
    match cause::<TlsFailure>(error) {
        Some(failure) => of_failure(failure),
        // Who hangs up in the middle of a handshake has no part in it.
        None => "TLH",
    }
}

fn of_io(error: &io::Error) -> Option<&'static str> {
    if error.raw_os_error() == Some(NETWORK_RESET) {
        return Some("NRS");
    }
    Some(match error.kind() {
        io::ErrorKind::ConnectionRefused => "UCF",
        io::ErrorKind::TimedOut => "UCT",
        io::ErrorKind::ConnectionReset => "URR",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "NRH",
        io::ErrorKind::BrokenPipe => "EPI",
        io::ErrorKind::ConnectionAborted => "CAB",
        _ => return None,
    })
}

fn of_failure(failure: &TlsFailure) -> &'static str {
    use AlertDescription as Alert;
    use CertificateError as Bad;
    match failure {
        // One that is not valid yet is expired to the original, too.
        TlsFailure::InvalidCertificate(
            Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet | Bad::NotValidYetContext { .. },
        ) => "TLE",
        TlsFailure::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => "TLM",
        TlsFailure::InvalidCertificate(Bad::Other(OtherError(other))) => {
            other.downcast_ref::<Unfit>().map_or("TLI", |unfit| unfit.flag)
        }
        TlsFailure::InvalidCertificate(_) => "TLI",
        TlsFailure::NoCertificatesPresented => "TLC",
        TlsFailure::AlertReceived(Alert::ProtocolVersion)
        | TlsFailure::InvalidMessage(_)
        | TlsFailure::PeerIncompatible(_)
        | TlsFailure::PeerMisbehaved(_) => "TLP",
        TlsFailure::AlertReceived(
            Alert::HandshakeFailure
            | Alert::InternalError
            | Alert::BadCertificate
            | Alert::CertificateRequired,
        ) => "TLH",
        TlsFailure::AlertReceived(_) => "TLA",
        _ => "TLH",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn connect(source: io::Error) -> DialError {
        DialError::Connect { host: "h".into(), port: 1, source }
    }

    #[test]
    fn c4_2_row_6_failed_connections_have_the_flag_of_their_cause() {
        for (kind, flag) in [
            (io::ErrorKind::ConnectionRefused, "UCF"),
            (io::ErrorKind::TimedOut, "UCT"),
            (io::ErrorKind::ConnectionReset, "URR"),
            (io::ErrorKind::NetworkUnreachable, "NRH"),
            (io::ErrorKind::HostUnreachable, "NRH"),
            (io::ErrorKind::BrokenPipe, "EPI"),
            (io::ErrorKind::ConnectionAborted, "CAB"),
        ] {
            assert_eq!(of_dial(&connect(kind.into())), flag);
            assert_eq!(of_break(&io::Error::from(kind)), flag);
            // However it is wrapped.
            let wrapped = io::Error::other(io::Error::from(kind));
            assert_eq!(of_break(&*Box::<dyn StdError + Send + Sync>::from(wrapped)), flag);
        }
        assert_eq!(of_dial(&connect(io::Error::from_raw_os_error(NETWORK_RESET))), "NRS");
        assert_eq!(of_dial(&connect(io::ErrorKind::PermissionDenied.into())), "UCF");
        assert_eq!(of_break(&io::Error::from(io::ErrorKind::UnexpectedEof)), "URR");
        let late = DialError::TimedOut { host: "h".into(), port: 1, seconds: 1 };
        assert_eq!((of_dial(&late), of_dial(&DialError::nowhere())), ("UCT", "DNS"));
    }

    #[test]
    fn c4_2_row_6_failed_handshakes_have_the_flag_of_their_cause() {
        let unfit = |flag| {
            let unfit = Unfit { flag, text: "it does not fit".into() };
            TlsFailure::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(unfit))))
        };
        for (failure, flag) in [
            (TlsFailure::InvalidCertificate(CertificateError::Expired), "TLE"),
            (TlsFailure::InvalidCertificate(CertificateError::NotValidYet), "TLE"),
            (TlsFailure::InvalidCertificate(CertificateError::UnknownIssuer), "TLI"),
            (TlsFailure::InvalidCertificate(CertificateError::NotValidForName), "TLM"),
            (unfit("TLM"), "TLM"),
            (unfit("TLC"), "TLC"),
            (TlsFailure::NoCertificatesPresented, "TLC"),
            (TlsFailure::InvalidMessage(rustls::InvalidMessage::InvalidContentType), "TLP"),
            (TlsFailure::AlertReceived(AlertDescription::ProtocolVersion), "TLP"),
            (TlsFailure::AlertReceived(AlertDescription::HandshakeFailure), "TLH"),
            (TlsFailure::AlertReceived(AlertDescription::CertificateRequired), "TLH"),
            (TlsFailure::AlertReceived(AlertDescription::UnrecognisedName), "TLA"),
            (TlsFailure::DecryptError, "TLH"),
        ] {
            let text = failure.to_string();
            let source = io::Error::new(io::ErrorKind::InvalidData, failure);
            assert_eq!(of_break(&source), flag, "{text}");
            assert_eq!(of_dial(&DialError::Tls { host: "h".into(), source }), flag, "{text}");
        }
        let source = io::ErrorKind::UnexpectedEof.into();
        assert_eq!(of_dial(&DialError::Tls { host: "h".into(), source }), "TLH");
    }
}
