//! TLS for `[http.public]`.
//!
//! Owns the certificate and its key in memory. The files are read again every [`LOOK_AGAIN`]: whoever renews a certificate has
//! nothing else to do. Refuses to go on without a usable pair at the start; later a pair that is not usable (half written, say)
//! is logged, and the one before is used on.

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;
use tracing::{info, warn};

use crate::config::TlsFiles;

/// How often the files are read again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// What was read.
#[derive(PartialEq, Eq)]
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// A certificate and its key, as they are now.
pub(super) struct Tls {
    files: TlsFiles,
    used: RwLock<(Pair, Arc<ServerConfig>)>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// One of them cannot be read, holds nothing of use, or the key is not that of the certificate.
    pub(super) fn read(files: &TlsFiles) -> anyhow::Result<Self> {
        let pair = pair(files)?;
        let config = config(&pair, files)?;
        Ok(Self {
            files: files.clone(),
            used: RwLock::new((pair, config)),
        })
    }

    /// Reads the files again and again, until the program ends.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut failed = false;
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            match self.look() {
                Ok(true) => info!("the certificate has changed, the new one is used"),
                Ok(false) => {}
                Err(error) if failed => drop(error),
                Err(error) => {
                    let error = format!("{error:#}");
                    warn!(
                        error,
                        "the changed certificate is not usable, the one before is used on"
                    );
                    failed = true;
                    continue;
                }
            }
            failed = false;
        }
    }

    /// Reads the files again. True if they have changed.
    fn look(&self) -> anyhow::Result<bool> {
        let pair = pair(&self.files)?;
        if self.used.read().unwrap_or_else(PoisonError::into_inner).0 == pair {
            return Ok(false);
        }
        let config = config(&pair, &self.files)?;
        *self.used.write().unwrap_or_else(PoisonError::into_inner) = (pair, config);
        Ok(true)
    }

    /// Speaks TLS with whoever has connected.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = self
            .used
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .clone();
        let handshake = TlsAcceptor::from(config).accept(stream);
        tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await?
    }
}

fn pair(files: &TlsFiles) -> anyhow::Result<Pair> {
    let read = |key, path: &Path| {
        let text = || format!("{key}: {} cannot be read", path.display());
        std::fs::read(path).with_context(text)
    };
    Ok(Pair {
        certificate: read("http.public.tls_certificate", &files.certificate)?,
        key: read("http.public.tls_key", &files.key)?,
    })
}

fn config(pair: &Pair, files: &TlsFiles) -> anyhow::Result<Arc<ServerConfig>> {
    let (certificate, key) = (files.certificate.display(), files.key.display());
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pair.certificate)
        .collect::<Result<_, _>>()
        .with_context(|| format!("http.public.tls_certificate: {certificate} is not a PEM file"))?;
    anyhow::ensure!(
        !chain.is_empty(),
        "http.public.tls_certificate: there is no certificate in {certificate}"
    );
    let private = PrivateKeyDer::from_pem_slice(&pair.key)
        .with_context(|| format!("http.public.tls_key: there is no private key in {key}"))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("no TLS")?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .with_context(|| format!("http.public: {key} is not the key of {certificate}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(files: &TlsFiles) {
        let made = rcgen::generate_simple_self_signed(vec![String::from("callhop.test")]).unwrap();
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    }

    #[test]
    fn a_renewed_certificate_is_taken_and_half_a_pair_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            certificate: folder.path().join("tls.pem"),
            key: folder.path().join("tls.key"),
        };
        let says = |result: anyhow::Result<Tls>| format!("{:#}", result.unwrap_err());
        let none = says(Tls::read(&files));
        assert!(none.contains("http.public.tls_certificate: "), "{none}");
        assert!(none.contains("tls.pem cannot be read"), "{none}");
        write(&files);
        let tls = Tls::read(&files).unwrap();
        assert!(!tls.look().unwrap());
        let used = |tls: &Tls| tls.used.read().unwrap().1.clone();
        let first = used(&tls);

        let key = std::fs::read(&files.key).unwrap();
        write(&files);
        let new = std::fs::read(&files.key).unwrap();
        std::fs::write(&files.key, &key).unwrap();
        let half = format!("{:#}", tls.look().unwrap_err());
        assert!(half.contains("is not the key of"), "{half}");
        assert!(Arc::ptr_eq(&first, &used(&tls)));
        std::fs::write(&files.key, new).unwrap();
        assert!(tls.look().unwrap());
        assert!(!Arc::ptr_eq(&first, &used(&tls)));
        std::fs::write(&files.certificate, "").unwrap();
        let empty = format!("{:#}", tls.look().unwrap_err());
        assert!(empty.contains("there is no certificate in"), "{empty}");
    }
}
