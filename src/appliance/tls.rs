//! The panel's certificate, made on the box and trusted by its fingerprint,
//! which the console shows.

use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{files, identity};
use crate::engine::{Error, Kind, Result};

/// Years a certificate is valid.
const YEARS: i32 = 10;
/// A box whose clock was never set must not make a certificate that has
/// ended when the clock is right: no certificate counts from before this year.
const EARLIEST: i32 = 2026;

/// Certificate and private key.
pub struct Certificate {
    chain: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    fingerprint: String,
}

impl Certificate {
    /// Reads `tls.pem` and `tls.key` in the folder, or makes both.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let (pem, key) = (folder.join("tls.pem"), folder.join("tls.key"));
        // The certificate is written last: without it the key was never used.
        if files::read(&pem)?.is_none() {
            let (certificate, pair) = generate()?;
            files::write(&key, pair.serialize_pem().as_bytes())?;
            files::write(&pem, certificate.pem().as_bytes())?;
        }
        let bad = |path: &Path| {
            Error::new(
                Kind::Corrupt,
                format!(
                    "{} cannot be read as PEM; delete tls.pem and tls.key to have new ones made",
                    path.display()
                ),
            )
        };
        let read = |path: &Path| files::read(path)?.ok_or_else(|| bad(path));
        let chain = CertificateDer::from_pem_slice(&read(&pem)?).map_err(|_| bad(&pem))?;
        let private = PrivateKeyDer::from_pem_slice(&read(&key)?).map_err(|_| bad(&key))?;
        Ok(Self {
            fingerprint: fingerprint(&chain),
            chain,
            key: private,
        })
    }

    /// SHA-256 of the certificate as `AB:CD:…`, as browsers show it.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// A server's TLS 1.2 and 1.3 configuration with this certificate.
    pub fn server_config(&self) -> Result<rustls::ServerConfig> {
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(vec![self.chain.clone()], self.key.clone_key())
            });
        let mut config = config.map_err(|e| {
            let message = format!("the panel's certificate cannot be used: {e}");
            Error::with_source(Kind::Corrupt, message, e)
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let hash = digest(&SHA256, certificate);
    let pairs: Vec<String> = hash.as_ref().iter().map(|b| format!("{b:02X}")).collect();
    pairs.join(":")
}

fn generate() -> Result<(rcgen::Certificate, KeyPair)> {
    let hostname = identity::hostname();
    let mut names = vec![
        hostname.clone(),
        format!("{hostname}.local"),
        "localhost".into(),
    ];
    // An odd host name must not keep the box from having a certificate.
    names.retain(|name| CertificateParams::new(vec![name.clone()]).is_ok());
    names.dedup();
    let addresses = identity::addresses().unwrap_or_default();
    names.extend(addresses.iter().map(ToString::to_string));
    names.extend(["127.0.0.1".into(), "::1".into()]);

    let make = || {
        let mut params = CertificateParams::new(names)?;
        let mut name = DistinguishedName::new();
        name.push(DnType::OrganizationName, "Colca");
        name.push(DnType::CommonName, hostname);
        params.distinguished_name = name;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let year = i32::from(
            jiff::Timestamp::now()
                .to_zoned(jiff::tz::TimeZone::UTC)
                .year(),
        );
        params.not_before = rcgen::date_time_ymd(EARLIEST, 1, 1);
        params.not_after = rcgen::date_time_ymd(year.max(EARLIEST) + YEARS, 12, 31);
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        Ok((params.self_signed(&pair)?, pair))
    };
    make().map_err(|e: rcgen::Error| {
        let message = format!("the panel's certificate could not be made: {e}");
        Error::with_source(Kind::Io, message, e)
    })
}
