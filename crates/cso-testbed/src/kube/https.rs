//! TLS to the API server, and as much of a client as it takes to see that it is ready.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::http::{self, Head, Message};

/// Trusts the certificates of a file and no others. A file without one is refused: whoever wrote it has not finished.
pub(super) fn trusting(certificates: &Path) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(certificates).map_err(io::Error::other)? {
        roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    if roots.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("no certificate in {}", certificates.display()),
        ));
    }
    // Named, because a process default is for the product to choose.
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Reads a page.
pub(super) fn get(config: Arc<ClientConfig>, address: SocketAddr, token: &str, path: &str) -> io::Result<Message> {
    let name = ServerName::IpAddress(address.ip().into());
    let session = ClientConnection::new(config, name).map_err(io::Error::other)?;
    let mut head = Head::get(path);
    head.headers.push(("authorization".to_owned(), format!("Bearer {token}")));
    let stream = StreamOwned::new(session, http::connect(address)?);
    http::send_over(stream, &Message { head, body: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_still_empty_is_not_trusted() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(trusting(file.path()).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
