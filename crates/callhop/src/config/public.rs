//! `[http.public]`: where other machines ask.
//!
//! Owns its checks. Refuses an address without TLS, unless the admin says that a proxy does it: a token that goes over the wire
//! in the clear is no token.

use std::net::SocketAddr;

use callhop_calls::id::Domain;

use super::{
    Public, TlsFiles,
    document::{Document, Found, Section},
};

pub(super) fn settings<'a>(d: &mut Document<'a>, above: &mut Section<'a>) -> Option<Public> {
    let prefix = Some(String::from("CALLHOP_HTTP__PUBLIC__"));
    let mut section = d.table(above, "public", prefix);
    let listen = d.text(&mut section, "listen");
    let names = d.texts(&mut section, "names").map(|found| found.value);
    let tls = d.flag(&mut section, "tls");
    let certificate = d.text(&mut section, "tls_certificate");
    let key = d.text(&mut section, "tls_key");
    let at = section.at.clone();
    let any = names.is_some() || tls.is_some() || certificate.is_some() || key.is_some();
    let full = |key| section.full(key);
    let Some(found) = listen else {
        if any {
            let message = "which address and port? such as 0.0.0.0:8443; without it nobody listens";
            d.report(at, full("listen"), message.to_owned());
        }
        d.finish(section);
        return None;
    };
    let listen = found.value.parse::<SocketAddr>();
    if listen.is_err() {
        let message = format!(
            "{:?} is not an address and a port, such as 0.0.0.0:8443",
            found.value
        );
        d.report(found.at.clone(), full("listen"), message);
    }
    let names: Vec<String> = names
        .into_iter()
        .flatten()
        .filter_map(|found| name(d, &full("names"), found))
        .collect();
    let tls = match (tls, certificate, key) {
        (None | Some(true), Some(certificate), Some(key)) => Some(TlsFiles {
            certificate: d.path(&certificate.value),
            key: d.path(&key.value),
        }),
        (Some(false), None, None) => None,
        (Some(false), ..) => {
            let message =
                "false, though there is a certificate or a key: only one of the two can count";
            d.report(at, full("tls"), message.to_owned());
            None
        }
        (None | Some(true), certificate, _) => {
            let missing = match certificate {
                Some(_) => "tls_key",
                None => "tls_certificate",
            };
            let message = "a PEM file is needed, because tokens go over this address; tls = false only if \
                           a proxy in front of Callhop does TLS";
            d.report(at, full(missing), message.to_owned());
            None
        }
    };
    d.finish(section);
    Some(Public {
        listen: listen.ok()?,
        names,
        tls,
    })
}

/// A name of this machine as a `Host` header has it, without a port.
fn name(d: &mut Document<'_>, key: &str, found: Found<String>) -> Option<String> {
    match found.value.parse::<Domain>() {
        Ok(name) => Some(name.to_string()),
        Err(_) => {
            let message = format!(
                "{:?} is not the name of a machine, such as callhop.example.com",
                found.value
            );
            d.report(found.at, key, message);
            None
        }
    }
}
