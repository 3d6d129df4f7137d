//! What a collection keeps, and what may run beside it.

use colca::engine::storage::Class;
use colca::engine::{CollectOptions, Kind, Progress};

use super::many;
use super::support::memory::MemTree;
use super::support::{Box_, noise, text};

#[test]
fn collections_keep_exactly_what_is_needed() {
    let b = Box_::new();
    let mut root = many(100, 1);
    let mut snapshots = Vec::new();
    for day in 0..6u64 {
        root.at("big").rewrite(noise(1_500_000, 50 + day));
        root.at(&format!("d0/f{}", day * 3))
            .rewrite(text(5000, 900 + day));
        snapshots.push((b.backup(&MemTree::new(&root)).snapshot, root.clone()));
    }
    for (old, _) in snapshots.drain(..4) {
        b.repository.forget(&old).unwrap();
        assert_eq!(
            b.repository.find(&old.id).unwrap_err().kind(),
            Kind::Missing
        );
    }
    let before = b.fake.stored();
    let report = b
        .repository
        .collect(&CollectOptions::default(), &Progress::default())
        .unwrap();
    assert_eq!(
        i64::try_from(before - b.fake.stored()).unwrap(),
        report.bytes_freed
    );
    for (snapshot, root) in &snapshots {
        assert_eq!(b.restore(snapshot).facts(), root.facts());
    }
    // No more than a fresh repository of these two would hold, and a tenth.
    let fresh = Box_::new();
    for (_, root) in &snapshots {
        fresh.backup(&MemTree::new(root));
    }
    assert!(
        b.fake.stored() * 10 < fresh.fake.stored() * 12,
        "{} {}",
        b.fake.stored(),
        fresh.fake.stored()
    );
    let again = b
        .repository
        .collect(&CollectOptions::default(), &Progress::default())
        .unwrap();
    assert_eq!(
        again.segments_deleted, 0,
        "a second one finds nothing: {again:?}"
    );
    b.verify_clean();
    let b = b.reopen_without_state();
    for (snapshot, root) in &snapshots {
        assert_eq!(b.restore(snapshot).facts(), root.facts());
        b.repository.forget(snapshot).unwrap();
    }
    b.repository
        .collect(&CollectOptions::default(), &Progress::default())
        .unwrap();
    assert!(
        b.fake.names(Class::Segments).is_empty(),
        "nothing is needed any more"
    );
    assert_eq!(
        b.repository
            .verify(true, &Progress::default())
            .unwrap()
            .segments,
        0
    );
}

#[test]
fn what_is_being_read_is_not_collected() {
    use std::io::Read;
    let b = Box_::new();
    let root = many(3, 1);
    let snapshot = b.backup(&MemTree::new(&root)).snapshot;
    let node = b.repository.node(&snapshot, &[b"big".to_vec()]).unwrap();
    let mut stream = b.repository.read(&node).unwrap();
    let mut first = [0; 1000];
    stream.read_exact(&mut first).unwrap();
    b.repository.forget(&snapshot).unwrap();
    let report = b
        .repository
        .collect(&CollectOptions::default(), &Progress::default())
        .unwrap();
    assert!(report.segments_deleted > 0);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(first.len() + rest.len(), 1_500_000);
    drop(stream);
    b.repository
        .collect(&CollectOptions::default(), &Progress::default())
        .unwrap();
    assert!(b.fake.names(Class::Segments).is_empty());
}

#[test]
fn backups_at_once_share_their_chunks() {
    let b = Box_::new();
    let trees: Vec<_> = (0..4).map(|i| many(40, i * 7)).collect();
    let snapshots: Vec<_> = std::thread::scope(|s| {
        let running: Vec<_> = trees
            .iter()
            .enumerate()
            .map(|(i, t)| {
                let b = &b;
                s.spawn(move || {
                    b.backup_as(&MemTree::new(t), &format!("t{i}"), false)
                        .snapshot
                })
            })
            .collect();
        running.into_iter().map(|r| r.join().unwrap()).collect()
    });
    for (snapshot, tree) in snapshots.iter().zip(&trees) {
        assert_eq!(b.restore(snapshot).facts(), tree.facts());
    }
    b.verify_clean();
    b.repository
        .collect(&CollectOptions::default(), &Progress::default())
        .unwrap();
    for (snapshot, tree) in snapshots.iter().zip(&trees) {
        assert_eq!(b.restore(snapshot).facts(), tree.facts());
    }
}

#[test]
fn a_collection_beside_another_or_a_verification_is_busy() {
    let b = Box_::new();
    let forgotten = b.backup(&MemTree::new(&many(3, 1))).snapshot;
    b.backup(&MemTree::new(&many(3, 100)));
    b.repository.forget(&forgotten).unwrap();
    for verify in [false, true] {
        let repository = b.repository.clone();
        b.fake.meddle_in(0, move || {
            let e = repository
                .collect(&CollectOptions::default(), &Progress::default())
                .unwrap_err();
            assert_eq!(e.kind(), Kind::Busy);
            let running = if verify {
                "verification"
            } else {
                "a collection"
            };
            assert!(e.to_string().contains(running), "{e}");
        });
        if verify {
            b.verify_clean();
        } else {
            b.repository
                .collect(&CollectOptions::default(), &Progress::default())
                .unwrap();
        }
        assert!(b.fake.meddled());
    }
}
