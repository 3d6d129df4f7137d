//! Ceph: an object store whose gateway speaks S3.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use colca::provider::S3Config;

use super::{Daemon, free_port, random_text, run};

/// A single-node Ceph, its data in memory, with an S3 gateway that speaks
/// HTTP and HTTPS.
pub struct Ceph {
    dir: PathBuf,
    /// Port of the gateway without TLS.
    pub port: u16,
    /// Port of the gateway with TLS.
    pub tls_port: u16,
    /// The authority that signed the gateway's certificate.
    pub ca_pem: String,
    /// Access key id.
    pub access_key: String,
    /// Secret key.
    pub secret_key: String,
    gateway: Option<Daemon>,
    _daemons: Vec<Daemon>,
}

impl Ceph {
    /// Starts it with its state in `dir`; takes some 10 seconds.
    pub fn start(dir: &Path) -> Result<Self> {
        let dir = fs::canonicalize(dir)?;
        for part in ["mon", "mgr", "osd0", "rgw", "run"] {
            fs::create_dir_all(dir.join(part))?;
        }
        let (port, tls_port, mon_port) = (free_port()?, free_port()?, free_port()?);
        let ca_pem = Self::certificate(&dir)?;
        let uuid =
            || fs::read_to_string("/proc/sys/kernel/random/uuid").map(|u| u.trim().to_owned());
        let fsid = uuid()?;
        let d = dir.display();
        fs::write(
            dir.join("ceph.conf"),
            format!(
                "[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{mon_port}
mon initial members = a
public network = 127.0.0.0/8
auth allow insecure global id reclaim = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon data avail warn = 1
mon data avail crit = 1
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 4294967296
run dir = {d}/run
log file = {d}/$name.log
admin socket = {d}/run/$name.asok
keyring = {d}/keyring
mon data = {d}/mon
mgr data = {d}/mgr
osd data = {d}/osd0
mgr initial modules =
[client.admin]
rgw data = {d}/rgw
rgw thread pool size = 64
rgw dns name = localhost
rgw frontends = beast endpoint=127.0.0.1:{port} ssl_endpoint=127.0.0.1:{tls_port} ssl_certificate={d}/rgw.crt ssl_private_key={d}/rgw.key
"
            ),
        )?;
        let conf = dir.join("ceph.conf");
        let ceph = |program: &str| {
            let mut command = Command::new(program);
            command.arg("-c").arg(&conf);
            command
        };
        let keyring = dir.join("keyring");
        for (name, caps) in [
            ("mon.", &["mon", "allow *"][..]),
            (
                "client.admin",
                &[
                    "mon", "allow *", "osd", "allow *", "mgr", "allow *", "mds", "allow *",
                ],
            ),
            ("mgr.x", &["mon", "allow profile mgr", "osd", "allow *"]),
            (
                "osd.0",
                &[
                    "mon",
                    "allow profile osd",
                    "mgr",
                    "allow profile osd",
                    "osd",
                    "allow *",
                ],
            ),
        ] {
            let mut command = Command::new("ceph-authtool");
            if !keyring.exists() {
                command.arg("--create-keyring");
            }
            command.arg(&keyring).args(["--gen-key", "-n", name]);
            for pair in caps.chunks(2) {
                command.arg("--cap").args(pair);
            }
            run(&mut command)?;
        }
        let monmap = dir.join("monmap");
        run(Command::new("monmaptool")
            .args(["--create", "--fsid", &fsid, "--addv", "a"])
            .arg(format!("[v2:127.0.0.1:{mon_port}]"))
            .arg(&monmap))?;
        run(ceph("ceph-mon")
            .args(["--mkfs", "-i", "a", "--monmap"])
            .arg(&monmap)
            .arg("--keyring")
            .arg(&keyring))?;
        let mut daemons = vec![Daemon::start(
            "mon-out",
            &dir,
            ceph("ceph-mon").args(["-f", "-i", "a"]),
        )?];
        daemons[0].wait_for(mon_port, Duration::from_secs(30))?;
        daemons.push(Daemon::start(
            "mgr-out",
            &dir,
            ceph("ceph-mgr").args(["-f", "-i", "x"]),
        )?);
        let osd = uuid()?;
        run(ceph("ceph").args(["--connect-timeout", "60", "osd", "new", &osd]))?;
        run(ceph("ceph-osd").args(["-i", "0", "--mkfs", "--osd-uuid", &osd]))?;
        daemons.push(Daemon::start(
            "osd-out",
            &dir,
            ceph("ceph-osd").args(["-f", "-i", "0"]),
        )?);
        let mut peer = Self {
            dir,
            port,
            tls_port,
            ca_pem,
            access_key: "COLCALAB".into(),
            secret_key: random_text()?,
            gateway: None,
            _daemons: daemons,
        };
        peer.start_gateway()?;
        peer.admin(&[
            "user",
            "create",
            "--uid=colca",
            "--display-name=colca",
            &format!("--access-key={}", peer.access_key),
            &format!("--secret={}", peer.secret_key),
        ])?;
        Ok(peer)
    }

    /// Writes the gateway's certificate and key; the authority's certificate.
    fn certificate(dir: &Path) -> Result<String> {
        let mut authority = rcgen::CertificateParams::new(Vec::new())?;
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Colca lab");
        let authority_key = rcgen::KeyPair::generate()?;
        let authority_cert = authority.self_signed(&authority_key)?;
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let names = ["localhost", "127.0.0.1", "10.0.2.2"].map(String::from);
        let key = rcgen::KeyPair::generate()?;
        let cert = rcgen::CertificateParams::new(names)?.signed_by(&key, &issuer)?;
        fs::write(dir.join("rgw.crt"), cert.pem())?;
        fs::write(dir.join("rgw.key"), key.serialize_pem())?;
        Ok(authority_cert.pem())
    }

    /// Runs `radosgw-admin` with these arguments.
    pub fn admin(&self, args: &[&str]) -> Result<String> {
        run(Command::new("radosgw-admin")
            .arg("-c")
            .arg(self.dir.join("ceph.conf"))
            .args(args))
    }

    /// Starts the gateway, again after [`Ceph::stop_gateway`], on the same ports.
    pub fn start_gateway(&mut self) -> Result<()> {
        let mut gateway = Daemon::start(
            "rgw-out",
            &self.dir,
            Command::new("radosgw")
                .arg("-c")
                .arg(self.dir.join("ceph.conf"))
                .args(["-f", "-n", "client.admin"]),
        )?;
        gateway.wait_for(self.port, Duration::from_secs(120))?;
        self.gateway = Some(gateway);
        Ok(())
    }

    /// Ends the gateway at once, as when the provider vanishes.
    pub fn stop_gateway(&mut self) {
        self.gateway = None;
    }

    /// How to reach a bucket of it without TLS.
    pub fn config(&self, bucket: &str, prefix: &str) -> S3Config {
        S3Config {
            endpoint: format!("http://127.0.0.1:{}", self.port),
            region: "default".into(),
            bucket: bucket.into(),
            prefix: prefix.into(),
            access_key: self.access_key.clone(),
            secret_key: self.secret_key.clone(),
            ca_pem: None,
            ..S3Config::default()
        }
    }
}
