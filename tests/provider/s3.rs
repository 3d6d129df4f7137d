//! Ceph's S3 gateway keeps the contract.

use std::time::{Duration, Instant};

use colca::engine::Kind;
use colca::engine::storage::{Class, Name, Storage};
use colca::provider::{S3, S3Config};
use tempfile::TempDir;

use super::conformance::{conforms, noise, segment};
use super::harness::peers::{Ceph, free_port};

fn no_access(config: &S3Config) -> colca::engine::Error {
    match S3::open(config) {
        Ok(_) => panic!("{config:?} should not open"),
        Err(e) => e,
    }
}

#[test]
fn s3_keeps_the_contract_and_says_what_is_wrong() {
    let dir = TempDir::new().unwrap();
    let mut ceph = Ceph::start(dir.path()).unwrap();
    let config = ceph.config("replica", "box/one");
    let s3 = S3::open(&config).unwrap();
    conforms(&s3);

    // More objects than a page of a listing holds, and neighbours that are not ours.
    let many: Vec<Name> = (0..1100u32)
        .map(|i| {
            Name::Snapshot(
                *blake3::hash(&i.to_le_bytes())
                    .as_bytes()
                    .first_chunk()
                    .unwrap(),
            )
        })
        .collect();
    std::thread::scope(|scope| {
        for part in many.chunks(138) {
            let s3 = &s3;
            scope.spawn(move || part.iter().for_each(|n| s3.put(n, b"record").unwrap()));
        }
    });
    let neighbour = S3::open(&ceph.config("replica", "/box/two/")).unwrap();
    neighbour.put(&many[0], b"other").unwrap();
    let mut listed: Vec<Name> = s3
        .list(Class::Snapshots)
        .unwrap()
        .into_iter()
        .map(|(n, _)| n)
        .collect();
    listed.sort();
    let mut sorted = many.clone();
    sorted.sort();
    assert_eq!(listed, sorted);
    assert_eq!(
        neighbour.list(Class::Snapshots).unwrap(),
        vec![(many[0], 5)]
    );
    assert_eq!(neighbour.get(&many[0]).unwrap(), b"other");

    // An object in parts.
    let bytes = noise(3, (64 << 20) + 12_345);
    let name = segment(&bytes);
    s3.put(&name, &bytes).unwrap();
    assert!(s3.get(&name).unwrap() == bytes);
    s3.delete(&name).unwrap();
    drop(bytes);

    // Bytes that are not what the name says are noticed.
    let wrong = segment(b"what was meant");
    s3.put(&wrong, b"what is there").unwrap();
    assert_eq!(s3.get(&wrong).unwrap_err().kind(), Kind::Corrupt);

    // TLS with a private authority: trusted when given, refused when not.
    let mut tls = config.clone();
    tls.endpoint = format!("https://127.0.0.1:{}", ceph.tls_port);
    let e = no_access(&tls);
    assert_eq!(e.kind(), Kind::Refused, "{e}");
    assert!(e.to_string().contains("certificate"), "{e}");
    tls.ca_pem = Some(ceph.ca_pem.clone());
    let sealed = S3::open(&tls).unwrap();
    assert_eq!(sealed.get(&many[0]).unwrap(), b"record");
    tls.ca_pem = Some("not a certificate".into());
    assert_eq!(no_access(&tls).kind(), Kind::Refused);

    // Wrong keys, wrong addresses.
    let mut wrong = config.clone();
    wrong.secret_key = "guess".into();
    let e = no_access(&wrong);
    assert_eq!(e.kind(), Kind::Refused, "{e}");
    assert!(e.to_string().contains("secret key"), "{e}");
    let mut wrong = config.clone();
    wrong.access_key = "NOBODY".into();
    let e = no_access(&wrong);
    assert_eq!(e.kind(), Kind::Refused, "{e}");
    assert!(e.to_string().contains("access key"), "{e}");
    for endpoint in ["", "provider", "ftp://127.0.0.1", "http://"] {
        let mut wrong = config.clone();
        wrong.endpoint = endpoint.into();
        assert_eq!(no_access(&wrong).kind(), Kind::Refused, "{endpoint}");
    }
    let mut nobody = config.clone();
    nobody.endpoint = format!("http://127.0.0.1:{}", free_port().unwrap());
    let e = no_access(&nobody);
    assert_eq!(e.kind(), Kind::Transient, "{e}");

    // The bucket is removed under our feet.
    let bucket = S3::open(&ceph.config("brief", "")).unwrap();
    conforms_empty(&bucket);
    let removed = ceph.admin(&["bucket", "rm", "--bucket=brief", "--purge-objects"]);
    removed.unwrap();
    let e = bucket.put(&Name::Header, b"x").unwrap_err();
    assert_eq!(e.kind(), Kind::Missing, "{e}");
    assert!(e.to_string().contains("bucket"), "{e}");
    assert!(e.to_string().contains("brief"), "{e}");

    // A quota is a full disk.
    ceph.admin(&[
        "quota",
        "set",
        "--quota-scope=user",
        "--uid=colca",
        "--max-objects=1",
    ])
    .unwrap();
    ceph.admin(&["quota", "enable", "--quota-scope=user", "--uid=colca"])
        .unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    let e = loop {
        // The gateway learns of it by and by.
        match s3.put(&Name::Header, b"x") {
            Err(e) => break e,
            Ok(()) => assert!(Instant::now() < end, "no quota in force"),
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    assert_eq!(e.kind(), Kind::Full, "{e}");

    // The server goes away.
    ceph.stop_gateway();
    for e in [
        s3.get(&many[0]).unwrap_err(),
        s3.list(Class::Segments).unwrap_err(),
    ] {
        assert_eq!(e.kind(), Kind::Transient, "{e}");
        assert!(e.to_string().contains("check the address"), "{e}");
    }
}

fn conforms_empty(storage: &dyn Storage) {
    assert_eq!(storage.list(Class::Segments).unwrap(), vec![]);
}
