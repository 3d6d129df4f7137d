//! The servers of the tests are what the tests take them for.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::harness::peers::{SmtpSink, Sshd};

#[test]
fn the_peers_answer() {
    let dir = TempDir::new().unwrap();
    let sshd = Sshd::start(dir.path()).unwrap();
    let out = Command::new("ssh")
        .args(["-p", &sshd.port.to_string(), "-i"])
        .arg(&sshd.private_key_file)
        .args([
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ])
        .args(["-o", "BatchMode=yes", "-F", "none"])
        .arg(format!("{}@127.0.0.1", sshd.user))
        .arg("echo it works")
        .output()
        .unwrap();
    assert_eq!(
        out.stdout,
        b"it works\n",
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    assert!(sshd.host_key.starts_with("ssh-ed25519 "));

    // The password works too, without a user being added to the machine.
    let (user, password) = sshd.password_user.clone().expect("these tests need root");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    struct Trusting;
    impl russh::client::Handler for Trusting {
        type Error = russh::Error;
        async fn check_server_key(
            &mut self,
            _: &russh::keys::PublicKeyOrCertificate,
        ) -> Result<bool, russh::Error> {
            Ok(true)
        }
    }
    runtime.block_on(async {
        let mut session =
            russh::client::connect(Default::default(), ("127.0.0.1", sshd.port), Trusting)
                .await
                .unwrap();
        let wrong = session.authenticate_password(&user, "guess").await.unwrap();
        assert!(!wrong.success());
        let right = session
            .authenticate_password(&user, &password)
            .await
            .unwrap();
        assert!(right.success());
    });
    assert!(!fs::read_to_string("/etc/passwd").unwrap().contains(&user));

    let mails = TempDir::new().unwrap();
    let sink = SmtpSink::start(mails.path()).unwrap();
    let mut stream = std::net::TcpStream::connect(sink.address).unwrap();
    use std::io::{Read, Write};
    stream
        .write_all(
            b"EHLO box\r\nMAIL FROM:<box@mincetur.gob.pe>\r\nRCPT TO:<jefe@mincetur.gob.pe>\r\nDATA\r\nSubject: hola\r\n\r\n..punto\r\n.\r\nQUIT\r\n",
        )
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.contains("354") && answer.ends_with("221 bye\r\n"),
        "{answer}"
    );
    let mail = &sink.mails().unwrap()[0];
    assert!(
        mail.contains("X-Envelope-To: <jefe@mincetur.gob.pe>"),
        "{mail}"
    );
    assert!(mail.ends_with("Subject: hola\r\n\r\n.punto\r\n"), "{mail}");
}
