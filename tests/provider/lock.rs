//! Object lock, proven against Ceph: what is stored under it nobody deletes,
//! what is still needed stays locked, and what an attacker does can be read past.

use std::collections::BTreeMap;

use colca::engine::storage::{Class, Name, Storage};
use colca::engine::{Kind, Progress};
use colca::provider::{
    Access, Given, LockMode, Manifest, Memory, Removal, ReplicateReport, Replication, S3, S3Config,
    open_replica, probe, probe_records, record_probe,
};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use super::conformance::{noise, segment};
use super::harness::peers::Ceph;
use super::replication::{fill, new_pool};

fn days(n: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * n)
}

/// Replicates with everything locked for so many days.
fn run(pool: &dyn Storage, s3: &S3, memory: &mut Memory, term: i64) -> ReplicateReport {
    let until = move |now: Timestamp| now + days(term);
    let replication = Replication {
        s3: Some(s3),
        retain_until: Some(&until),
        ..Replication::default()
    };
    replication
        .run(pool, s3, memory, &Progress::default())
        .unwrap()
}

fn assert_locked(s3: &S3, names: &BTreeMap<Name, Vec<u8>>, mode: LockMode, until: Timestamp) {
    for name in names.keys().chain([&Name::Manifest]) {
        let (is, at) = s3.retention(name, None).unwrap().unwrap();
        assert_eq!(is, mode, "{name}");
        assert!(at >= until, "{name}: {at}, {until}");
    }
}

#[test]
fn locks_hold_are_extended_and_are_read_past_what_an_attacker_does() {
    let dir = TempDir::new().unwrap();
    let ceph = Ceph::start(dir.path()).unwrap();
    let config = S3Config {
        lock: Some(LockMode::Compliance),
        ..ceph.config("locked", "box")
    };
    let s3 = S3::open(&config).unwrap();
    let pool_dir = TempDir::new().unwrap();
    let pool = new_pool(pool_dir.path());
    let mut want = fill(&pool, 8, 200_000);
    // One that goes in parts.
    let big = noise(900, (64 << 20) + 7);
    pool.put(&segment(&big), &big).unwrap();
    want.insert(segment(&big), big);
    let state = TempDir::new().unwrap();
    let mut memory = Memory::open(state.path()).unwrap();

    // Locked when it is stored, the manifest too.
    let began = Timestamp::now();
    let report = run(&pool, &s3, &mut memory, 8);
    assert_eq!((report.copied, report.not_extended), (13, 0), "{report:?}");
    assert!(report.listed);
    assert!(report.locked_until.unwrap() >= began + days(8) - SignedDuration::from_mins(1));
    let soon = began + days(8) - SignedDuration::from_mins(1);
    assert_locked(&s3, &want, LockMode::Compliance, soon);
    // A day's run extends nothing while all is locked long enough, and lists nothing.
    let mut memory = Memory::open(state.path()).unwrap();
    let report = run(&pool, &s3, &mut memory, 8);
    assert_eq!(
        (report.extended, report.copied, report.listed),
        (0, 0, false)
    );
    // A longer need is met.
    let report = run(&pool, &s3, &mut memory, 20);
    assert_eq!(
        (report.extended, report.not_extended),
        (14, 0),
        "{report:?}"
    );
    assert_locked(&s3, &want, LockMode::Compliance, began + days(19));
    // A shorter one shortens nothing.
    let report = run(&pool, &s3, &mut memory, 2);
    assert_eq!(report.extended, 0);
    assert_locked(&s3, &want, LockMode::Compliance, began + days(19));
    // A lost memory costs a listing and the same locks set again.
    let other = TempDir::new().unwrap();
    let report = run(&pool, &s3, &mut Memory::open(other.path()).unwrap(), 2);
    assert_eq!(
        (report.listed, report.not_extended, report.copied),
        (true, 0, 0)
    );
    assert_locked(&s3, &want, LockMode::Compliance, began + days(19));

    // Nobody deletes what is locked, and it is said until when.
    let first = *want.keys().find(|n| matches!(n, Name::Segment(_))).unwrap();
    assert!(matches!(s3.remove(&first).unwrap(), Removal::Locked(at) if at > began + days(19)));
    let e = s3.delete(&first).unwrap_err();
    assert_eq!(e.kind(), Kind::Refused, "{e}");
    assert!(e.to_string().contains("locked until"), "{e}");
    assert!(s3.get(&first).unwrap() == want[&first]);

    // What is forgotten stays until its lock ends: no error, but counted. That
    // the memory is lost changes nothing, the server refuses.
    for name in [first, Name::Snapshot([1; 16])] {
        pool.delete(&name).unwrap();
    }
    for mut memory in [memory, Memory::none()] {
        for _ in 0..2 {
            let report = run(&pool, &s3, &mut memory, 2);
            assert_eq!((report.postponed, report.removed), (2, 0), "{report:?}");
        }
    }
    let manifest = Manifest::decode(&s3.get(&Name::Manifest).unwrap()).unwrap();
    assert!(!manifest.objects.contains_key(&first));
    assert!(s3.get(&first).unwrap() == want[&first]);

    // An attacker has the key: hides one object, overwrites another.
    let plain = S3::open(&S3Config {
        lock: None,
        ..config.clone()
    })
    .unwrap();
    let mut segments = want.keys().filter(|n| matches!(n, Name::Segment(_)));
    let (hidden, spoilt) = (*segments.next().unwrap(), *segments.next().unwrap());
    let url = format!("http://127.0.0.1:{}/locked/box/{hidden}", ceph.port);
    hide(&config, &url, &hidden);
    plain.put(&spoilt, b"ransom").unwrap();
    let given = Given {
        endpoint: Some(config.endpoint.clone()),
        region: Some(config.region.clone()),
        access_key: Some(config.access_key.clone()),
        secret_key: Some(config.secret_key.clone()),
        ..Given::default()
    };
    assert!(
        !plain
            .list(Class::Segments)
            .unwrap()
            .iter()
            .any(|(n, _)| *n == hidden)
    );
    let rescue = open_replica("s3://locked/box", &given).unwrap();
    assert!(
        rescue
            .list(Class::Segments)
            .unwrap()
            .iter()
            .any(|(n, _)| *n == hidden)
    );
    for name in [hidden, spoilt] {
        assert!(rescue.get(&name).unwrap() == want[&name], "{name}");
    }
    assert!(rescue.get_range(&hidden, 100, 50).unwrap() == want[&hidden][100..150]);
    let Err(e) = open_replica("s3://locked/elsewhere", &given) else {
        panic!("there is no replica");
    };
    assert_eq!(e.kind(), Kind::Missing, "{e}");

    // The probe: refused, recorded, and again.
    let evidence = probe(&s3).unwrap();
    assert!(evidence.held, "{evidence:?}");
    assert_eq!(evidence.can_bypass, None);
    let what: Vec<_> = evidence
        .tried
        .iter()
        .map(|t| (t.what.as_str(), t.status))
        .collect();
    assert_eq!(what, [("delete", 403), ("shorten", 403), ("look", 200)]);
    record_probe(state.path(), &evidence).unwrap();
    record_probe(state.path(), &evidence).unwrap();
    assert_eq!(
        probe_records(state.path()).unwrap(),
        [evidence.clone(), evidence]
    );

    // Governance: who has the permission lifts it, and the probe says so.
    let governed = S3::open(&S3Config {
        lock: Some(LockMode::Governance),
        ..ceph.config("governed", "")
    })
    .unwrap();
    let evidence = probe(&governed).unwrap();
    assert!(evidence.held, "{evidence:?}");
    assert_eq!(evidence.can_bypass, Some(true), "{evidence:?}");

    // A bucket that cannot lock is refused; a lock without mode, too.
    S3::open(&ceph.config("plain", "")).unwrap();
    let Err(e) = S3::open(&S3Config {
        lock: Some(LockMode::Compliance),
        ..ceph.config("plain", "")
    }) else {
        panic!("it cannot lock");
    };
    assert_eq!(e.kind(), Kind::Refused, "{e}");
    assert!(e.to_string().contains("new bucket"), "{e}");
    assert_eq!(probe(&plain).unwrap_err().kind(), Kind::Refused);

    // Short locks that end: replaced versions and postponed objects go then.
    let brief = S3::open_with(
        &S3Config {
            lock: Some(LockMode::Governance),
            ..ceph.config("brief", "")
        },
        Access::default(),
    )
    .unwrap();
    let small_dir = TempDir::new().unwrap();
    let small = new_pool(small_dir.path());
    let mut left = fill(&small, 3, 1000);
    let mut memory = Memory::none();
    let seconds = |now: Timestamp| now + SignedDuration::from_secs(8);
    let briefly = |memory: &mut Memory| {
        let replication = Replication {
            s3: Some(&brief),
            retain_until: Some(&seconds),
            ..Replication::default()
        };
        replication
            .run(&small, &brief, memory, &Progress::default())
            .unwrap()
    };
    briefly(&mut memory);
    let gone = *left.keys().find(|n| matches!(n, Name::Segment(_))).unwrap();
    small.delete(&gone).unwrap();
    left.remove(&gone);
    assert_eq!(briefly(&mut memory).postponed, 1);
    std::thread::sleep(std::time::Duration::from_secs(12));
    let report = briefly(&mut memory);
    assert_eq!((report.removed, report.postponed), (1, 0), "{report:?}");
    assert_eq!(brief.get(&gone).unwrap_err().kind(), Kind::Missing);
    for (name, bytes) in &left {
        assert!(&brief.get(name).unwrap() == bytes);
    }
}

/// Deletes without saying which version, as an attacker would.
fn hide(config: &S3Config, url: &str, name: &Name) {
    use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
    let bucket = Bucket::new(
        config.endpoint.parse().unwrap(),
        UrlStyle::Path,
        config.bucket.clone(),
        config.region.clone(),
    )
    .unwrap();
    let credentials = Credentials::new(&config.access_key, &config.secret_key);
    let key = format!("{}/{name}", config.prefix);
    let action = bucket.delete_object(Some(&credentials), &key);
    let signed = action.sign(std::time::Duration::from_secs(60)).to_string();
    assert!(signed.starts_with(url), "{signed}");
    let answer = ureq::delete(&signed).call().unwrap();
    assert_eq!(answer.status(), 204);
}

#[test]
fn uploads_that_were_not_ended_are_cleared_and_a_day_has_only_so_many_bytes() {
    let dir = TempDir::new().unwrap();
    let ceph = Ceph::start(dir.path()).unwrap();
    let config = ceph.config("replica", "box");
    let s3 = S3::open(&config).unwrap();
    let pool_dir = TempDir::new().unwrap();
    let pool = new_pool(pool_dir.path());
    let want = fill(&pool, 6, 1 << 20);
    // Left by a program that was killed in the middle of an upload.
    use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
    let bucket = Bucket::new(
        config.endpoint.parse().unwrap(),
        UrlStyle::Path,
        config.bucket.clone(),
        config.region.clone(),
    )
    .unwrap();
    let credentials = Credentials::new(&config.access_key, &config.secret_key);
    let key = format!(
        "box/{}",
        want.keys().find(|n| matches!(n, Name::Segment(_))).unwrap()
    );
    for key in [key.as_str(), "box/somebody-elses"] {
        let action = bucket.create_multipart_upload(Some(&credentials), key);
        let signed = action.sign(std::time::Duration::from_secs(60)).to_string();
        assert_eq!(ureq::post(&signed).send_empty().unwrap().status(), 200);
    }
    let state = TempDir::new().unwrap();
    let run = |bytes_a_day| {
        let mut memory = Memory::open(state.path()).unwrap();
        let replication = Replication {
            s3: Some(&s3),
            bytes_a_day,
            ..Replication::default()
        };
        replication
            .run(&pool, &s3, &mut memory, &Progress::default())
            .unwrap()
    };
    // Two segments fit into the day, and no snapshot comes without the others.
    let report = run(5 << 19);
    assert_eq!((report.cleared, report.listed), (1, true));
    assert_eq!((report.copied, report.left), (3, 7), "{report:?}");
    assert!(report.bytes <= 5 << 19);
    assert_eq!(s3.get(&Name::Manifest).unwrap_err().kind(), Kind::Missing);
    assert_eq!(s3.list(Class::Snapshots).unwrap(), vec![]);
    // The day is used up.
    let report = run(5 << 19);
    assert_eq!(
        (report.copied, report.left, report.cleared),
        (0, 7, 0),
        "{report:?}"
    );
    // Another day: what is there is not sent again.
    let report = run(0);
    assert_eq!(
        (report.copied, report.left, report.present),
        (7, 0, 3),
        "{report:?}"
    );
    super::replication::assert_replica(&s3, &want);
    // From then on nothing is listed.
    let report = run(0);
    assert_eq!(
        (report.listed, report.copied, report.present),
        (false, 0, 10)
    );
}
