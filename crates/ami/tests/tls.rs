//! A manager link over TLS, against a peer with a certificate of our own authority.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's failure is a panic"
)]

mod support;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use callhop_ami::client::TlsError;
use callhop_ami::{Action, CommandLink, ConnectError, EventLink, Options, Subscription, Tls};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use support::{GREETING, Step, chain, expect, follow, hasty, logged_in, login, patient, raw, send};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// An authority, in a file of its own, and a switch with its certificate.
struct Site {
    file: PathBuf,
    server: Arc<ServerConfig>,
}

impl Site {
    fn new(name: &str) -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::new(authority, authority_key);

        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()])
            .unwrap()
            .signed_by(&key, &issuer)
            .unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let unique = format!("callhop-ami-{}-{name}.pem", std::process::id());
        let file = std::env::temp_dir().join(unique);
        std::fs::write(&file, pem).unwrap();
        Self {
            file,
            server: Arc::new(server),
        }
    }

    fn options(&self, name: &str) -> Options {
        let mut options = patient();
        options.tls = Some(Tls::new(name, Some(&self.file)).unwrap());
        options
    }

    async fn peer(&self, steps: Vec<Step>) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::clone(&self.server));
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            // Fails where the client doesn't trust us.
            if let Ok(stream) = acceptor.accept(stream).await {
                follow(stream, steps).await;
            }
        });
        addr
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

#[tokio::test]
async fn both_links() {
    let site = Site::new("switch.test");
    let mut steps = logged_in();
    steps.extend([
        expect(&["Action: Ping", "ActionID: t-2"]),
        send(&["Response: Success", "ActionID: t-2", "Ping: Pong"]),
        Step::Stay,
    ]);
    let addr = site.peer(steps).await;
    let options = site.options("switch.test");
    let link = CommandLink::connect(addr, &login(), &options)
        .await
        .unwrap();
    link.run(&Action::Ping).await.unwrap();

    let mut steps = logged_in();
    steps.extend([
        expect(&[
            "Action: Filter",
            "ActionID: t-2",
            "Operation: Add",
            "Filter: ![[:cntrl:]][[:space:]]*[Ee][Vv][Ee][Nn][Tt][[:space:]]*:",
        ]),
        send(&["Response: Success", "ActionID: t-2", "Message: Success"]),
        expect(&["Action: Events", "ActionID: t-3", "EventMask: off"]),
        send(&["Response: Success", "ActionID: t-3", "Events: Off"]),
        send(&["Event: X", &format!("A: {}", "x".repeat(60_000))]),
    ]);
    let addr = site.peer(steps).await;
    let nothing = Subscription::default();
    let mut link = EventLink::connect(addr, &login(), &nothing, &options)
        .await
        .unwrap();
    assert_eq!(link.next().await.unwrap().get("A").unwrap().len(), 60_000);
    assert_eq!(
        chain(&link.next().await.unwrap_err()),
        "the switch closed the connection"
    );
}

#[tokio::test]
async fn who_is_not_trusted() {
    async fn check(options: &Options, addr: SocketAddr, want: &str) {
        let error = CommandLink::connect(addr, &login(), options)
            .await
            .unwrap_err();
        let text = chain(&error);
        assert!(text.contains(want), "{text}");
        assert!(
            matches!(error, ConnectError::Tls(_) | ConnectError::Timeout(_)),
            "{error}"
        );
    }
    let site = Site::new("first.test");
    let other = Site::new("second.test");
    let hello = || vec![raw(GREETING), Step::Stay];
    check(
        &site.options("wrong.test"),
        site.peer(hello()).await,
        "not valid for name",
    )
    .await;
    check(
        &other.options("first.test"),
        site.peer(hello()).await,
        "invalid peer certificate",
    )
    .await;
    // No TLS at the other end.
    let (addr, _task) = support::peer(hello()).await;
    check(&site.options("first.test"), addr, "no TLS connection").await;
    let (addr, _task) = support::peer(vec![Step::Stay]).await;
    let mut options = site.options("first.test");
    options.connect_timeout = hasty().reply_timeout;
    check(&options, addr, "no connection within 200ms").await;
}

#[test]
fn settings_that_are_refused() {
    fn check(name: &str, text: Option<&str>, want: &str) -> TlsError {
        let file = std::env::temp_dir().join(format!("callhop-ami-{}-bad.pem", std::process::id()));
        match text {
            Some(text) => std::fs::write(&file, text).unwrap(),
            None => assert!(!file.exists()),
        }
        let error = Tls::new(name, Some(&file)).unwrap_err();
        let _ = std::fs::remove_file(&file);
        let text = chain(&error);
        assert!(text.contains(want), "{text}");
        error
    }
    check("a b", None, "no name of a server: \"a b\"");
    check("a.test", None, "can't read certificates from");
    check("a.test", Some(""), "no usable certificate in");
    check("a.test", Some("hello"), "no usable certificate in");
    check(
        "a.test",
        Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        "no usable certificate in",
    );
    check(
        "a.test",
        Some("-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n"),
        "can't read certificates from",
    );
}
