//! A server behind TLS, with a certificate that only those trust who are told to. Its authority's key was
//! thrown away: nothing else can be signed with it.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use wxkf_gateway::lifecycle::Tasks;

/// Who signed the certificate; `SSL_CERT_FILE` of those that are to trust it.
pub(crate) const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/tls/ca.pem");
const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/tls/server.pem");
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/tls/server.key");

/// Puts TLS before the server at this URL; returns the `https://` one.
pub(crate) async fn behind_tls(url: &str) -> String {
    let target: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
    wxkf_gateway::egress::install_tls_provider();
    let chain = CertificateDer::pem_file_iter(CERTIFICATE).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(KEY).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(Tasks::new().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            drop(Tasks::new().spawn(async move {
                let (Ok(mut stream), Ok(mut server)) =
                    (acceptor.accept(stream).await, TcpStream::connect(target).await)
                else {
                    return;
                };
                drop(copy_bidirectional(&mut stream, &mut server).await);
            }));
        }
    }));
    format!("https://localhost:{port}")
}

/// A client that trusts that certificate alone, and reaches everything through this proxy.
pub(crate) fn client_through(proxy: &str) -> reqwest::Client {
    wxkf_gateway::egress::install_tls_provider();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(AUTHORITY).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    #[expect(clippy::disallowed_methods, reason = "the tests' own client")]
    let builder = reqwest::Client::builder();
    builder.tls_backend_preconfigured(config).proxy(reqwest::Proxy::all(proxy).unwrap()).build().unwrap()
}
