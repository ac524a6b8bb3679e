//! One message to one receiver: signed as Standard Webhooks says, by HTTP.
//!
//! ```text
//! webhook-id         message
//! webhook-timestamp  seconds since 1970, of this attempt
//! webhook-signature  "v1," base64( HMAC-SHA256( key, id "." timestamp "." body ) )
//! ```
//!
//! Refuses to follow a redirect, to use a proxy, and to read more of an answer than its status: 2xx is an arrival.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::body::Body;
use axum::http::{Request, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use callhop_calls::id::UnixTime;
use callhop_store::Delivery;
use hmac::{Hmac, Mac as _};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::config::Webhook;

/// How long one attempt may take, from looking up the name to the status.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// What all receivers share.
#[derive(Clone)]
pub(super) struct Client(TlsConnector);

impl Client {
    /// Reads the authorities of the system, if they are needed for any of the webhooks. Blocks while it reads.
    ///
    /// # Errors
    /// There is no TLS.
    pub(super) fn new(webhooks: &[Webhook]) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        let is_tls = |webhook: &Webhook| webhook.url.scheme_str() == Some("https");
        if webhooks.iter().any(is_tls) {
            // What of the system can't be read is missed when it is needed.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Self::trusting(roots)
    }

    fn trusting(roots: RootCertStore) -> anyhow::Result<Self> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .context("no TLS")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}

/// Where messages go.
pub(super) struct Receiver {
    url: Uri,
    key: Vec<u8>,
    client: Client,
}

impl Receiver {
    pub(super) fn new(webhook: &Webhook, client: Client) -> Self {
        Self {
            url: webhook.url.clone(),
            key: webhook.key(),
            client,
        }
    }

    /// Sends a message; why it did not arrive, for people.
    pub(super) async fn send(&self, delivery: &Delivery, now: UnixTime) -> Result<(), String> {
        match tokio::time::timeout(TIMEOUT, self.exchange(delivery, now)).await {
            Ok(Ok(status)) if (200..300).contains(&status) => Ok(()),
            Ok(Ok(status)) => Err(format!("it answers {status}")),
            Ok(Err(error)) => Err(format!("{error:#}")),
            Err(_) => Err(format!("no answer within {TIMEOUT:?}")),
        }
    }

    async fn exchange(&self, delivery: &Delivery, now: UnixTime) -> anyhow::Result<u16> {
        let request = self.request(delivery, now)?;
        let host = self.url.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_tls = self.url.scheme_str() == Some("https");
        let port = self.url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let stream = TcpStream::connect((host, port))
            .await
            .context("no connection")?;
        if !is_tls {
            return ask(stream, request).await;
        }
        let name = ServerName::try_from(host.to_owned()).context("no name of a server")?;
        let stream = self
            .client
            .0
            .connect(name, stream)
            .await
            .context("no TLS")?;
        ask(stream, request).await
    }

    fn request(&self, delivery: &Delivery, now: UnixTime) -> anyhow::Result<Request<Body>> {
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        let host = self
            .url
            .authority()
            .map_or("", |authority| authority.as_str());
        // A name and a password before the host are not for everybody.
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let signature = signature(&self.key, &delivery.message, now, &delivery.body);
        Request::post(path)
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, "application/json")
            .header(
                header::USER_AGENT,
                concat!("Callhop/", env!("CARGO_PKG_VERSION")),
            )
            .header(header::CONNECTION, "close")
            .header("webhook-id", &delivery.message)
            .header("webhook-timestamp", now.0)
            .header("webhook-signature", signature)
            .body(Body::from(delivery.body.clone()))
            .context("no request")
    }
}

fn signature(key: &[u8], message: &str, now: UnixTime, body: &str) -> String {
    // Any length will do (RFC 2104, section 3).
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return String::new();
    };
    mac.update(format!("{message}.{}.{body}", now.0).as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Body>,
) -> anyhow::Result<u16> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .context("no HTTP")?;
    let answer = sender.send_request(request);
    tokio::pin!(answer, connection);
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        // It carries the answer, and may have ended with it.
        ended = &mut connection => {
            ended.context("the connection broke")?;
            answer.await
        }
    };
    Ok(answer.context("no answer")?.status().as_u16())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

    use super::*;

    /// A receiver by TLS that answers one message, and its certificate; what it read, or why it could not.
    async fn receiver(
        name: &str,
    ) -> (
        SocketAddr,
        CertificateDer<'static>,
        JoinHandle<Result<String, std::io::Error>>,
    ) {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let certificate = CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap();
        let key = made.signing_key.serialize_pem();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = tokio::spawn(async move {
            let (stream, _) = listener.accept().await?;
            let mut stream = acceptor.accept(stream).await?;
            let mut read = String::new();
            while !read.ends_with("{}") {
                let mut some = [0; 1024];
                let count = stream.read(&mut some).await?;
                assert_ne!(count, 0, "{read}");
                read += std::str::from_utf8(&some[..count]).unwrap();
            }
            let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
            stream.write_all(answer).await?;
            Ok(read)
        });
        (address, certificate, received)
    }

    fn to(address: SocketAddr, trusted: Option<CertificateDer<'static>>) -> Receiver {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted);
        Receiver {
            url: format!("https://{address}/callhop").parse().unwrap(),
            key: vec![7; 32],
            client: Client::trusting(roots).unwrap(),
        }
    }

    fn delivery() -> Delivery {
        Delivery {
            id: 1,
            extension: "1000@lab.test".parse().unwrap(),
            message: "msg_1".into(),
            created: UnixTime(4),
            body: "{}".into(),
            attempts: 0,
        }
    }

    #[tokio::test]
    async fn a_receiver_with_a_trusted_certificate_is_told() {
        let (address, certificate, received) = receiver("127.0.0.1").await;
        let sent = to(address, Some(certificate))
            .send(&delivery(), UnixTime(5))
            .await;
        assert_eq!(sent, Ok(()));
        let read = received.await.unwrap().unwrap();
        assert!(read.starts_with("POST /callhop HTTP/1.1\r\n"), "{read}");
        let signed = signature(&[7; 32], "msg_1", UnixTime(5), "{}");
        let line = format!("webhook-signature: {signed}\r\n");
        assert!(read.contains(&line), "{read}");
    }

    #[tokio::test]
    async fn nothing_is_said_to_a_receiver_whose_certificate_is_not_trusted() {
        for (name, is_trusted, why) in [
            ("127.0.0.1", false, "UnknownIssuer"),
            ("crm.example.com", true, "not valid for name"),
        ] {
            let (address, certificate, received) = receiver(name).await;
            let trusted = is_trusted.then_some(certificate);
            let sent = to(address, trusted).send(&delivery(), UnixTime(5)).await;
            let error = sent.unwrap_err();
            assert!(
                error.starts_with("no TLS: ") && error.contains(why),
                "{error}"
            );
            received.await.unwrap().unwrap_err();
        }
    }

    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        // The example of the specification's own libraries.
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let found = signature(
            &key,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            UnixTime(1_614_265_330),
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(found, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
