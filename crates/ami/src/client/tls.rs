//! TLS around a manager link.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// How the switch's certificate is checked: it must be for this name, and by an authority of the system or of a file. There is no
/// way to switch the check off.
///
/// A certificate that names its host only as `CN` is refused, and so is one that is its own authority: what ast_tls_cert of Asterisk
/// makes needs a `subjectAltName`.
#[derive(Clone)]
pub struct Tls {
    name: ServerName<'static>,
    connector: TlsConnector,
}

/// Why there are no TLS settings.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Neither a DNS name nor an address.
    #[error("no name of a server: {name:?}")]
    Name {
        /// What was given.
        name: String,
        /// What is wrong with it.
        #[source]
        source: InvalidDnsNameError,
    },
    /// The file of authorities can't be read.
    #[error("can't read certificates from {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// A certificate in it is of no use, or the file has none.
    #[error("no usable certificate in {path}")]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, if it holds one.
        #[source]
        source: Option<rustls::Error>,
    },
    /// The system has no authorities, and no file was given.
    #[error("the system has no certificates of authorities")]
    NoAuthorities,
    /// The cryptography doesn't offer a version of TLS.
    #[error("no TLS")]
    Version(#[source] rustls::Error),
}

impl Tls {
    /// Reads the system's authorities and, if given, those of a PEM file. Blocks while it reads.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn new(server_name: &str, authorities: Option<&Path>) -> Result<Self, TlsError> {
        let name =
            ServerName::try_from(server_name.to_owned()).map_err(|source| TlsError::Name {
                name: server_name.to_owned(),
                source,
            })?;
        let mut roots = RootCertStore::empty();
        // What of the system can't be read is missed when it is needed.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = authorities {
            add_file(&mut roots, path)?;
        }
        if roots.is_empty() {
            return Err(TlsError::NoAuthorities);
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Version)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            name,
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    pub(super) async fn wrap(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsError> {
    let file = |source| TlsError::File {
        path: path.to_owned(),
        source,
    };
    let before = roots.len();
    for found in CertificateDer::pem_file_iter(path).map_err(file)? {
        let certificate = found.map_err(file)?;
        roots
            .add(certificate)
            .map_err(|source| TlsError::Certificate {
                path: path.to_owned(),
                source: Some(source),
            })?;
    }
    if roots.len() == before {
        return Err(TlsError::Certificate {
            path: path.to_owned(),
            source: None,
        });
    }
    Ok(())
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
