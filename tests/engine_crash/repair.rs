//! Every crash point of repairing: redundancy made anew by a verification, and
//! content that was lost stored again by a backup, its damaged segment emptied
//! by a collection.

use colca::engine::storage::{Class, Name};
use colca::engine::{BackupOptions, CollectOptions, Error, Progress, Snapshot};

use super::options;
use super::support::Box_;
use super::support::crash::{all_well, all_well_and_goes_on, crash_points, first, second};
use super::support::memory::MemTree;

#[test]
fn every_crash_point_of_mending_redundancy() {
    let (one, two) = (first(), second());
    let start = Box_::new();
    let before = start.backup(&MemTree::new(&one)).snapshot;
    start.fake.wear(7);
    let worn = start.fake.degraded() as u64;
    assert!(worn >= 6, "{worn}");
    let points = crash_points(
        "mend",
        &start,
        |b| b.repository.verify(true, &Progress::default()),
        |b, report, case| {
            if let Some(report) = report {
                assert_eq!(report.errors, Vec::<String>::new());
                assert_eq!(report.repaired_parts, worn, "{case:?}");
            }
            all_well_and_goes_on(&b, &[(before.clone(), &one)], &two);
        },
    );
    // Segments, record and header.
    assert!(points >= 9 * worn, "{points}");
}

/// Flips a byte in a block of every data segment.
fn damage(b: &Box_) -> Vec<Name> {
    let mut names = b.fake.names(Class::Segments);
    names.retain(|n| b.fake.bytes(n)[10] == 1);
    for name in &names {
        let mut bytes = b.fake.bytes(name);
        bytes[80 + 16 + 1000] ^= 0x40;
        b.fake.tamper(name, Some(bytes));
    }
    names
}

#[test]
fn every_crash_point_of_healing_from_the_source() {
    let (one, two) = (first(), second());
    let start = Box_::new();
    let before = start.backup(&MemTree::new(&one)).snapshot;
    assert!(damage(&start).len() >= 2);
    let healed = std::sync::Mutex::new(None);
    let heal = |b: &Box_| -> Result<(), Error> {
        *healed.lock().unwrap() = None;
        let progress = Progress::default();
        let found = b.repository.verify(true, &progress)?;
        assert!(!found.errors.is_empty());
        let again = BackupOptions {
            full: true,
            ..options("again")
        };
        let report = b
            .repository
            .backup(&MemTree::new(&one), &again, &progress)?;
        *healed.lock().unwrap() = Some(report.snapshot);
        b.repository
            .collect(&CollectOptions::default(), &progress)?;
        Ok(())
    };
    let mut orders = 0u64;
    crash_points("heal from the source", &start, heal, |b, ran, _| {
        orders += 1;
        let healed: Option<Snapshot> = healed.lock().unwrap().take();
        assert!(ran.is_none() || healed.is_some());
        // Once it was healed the source is not needed any more, in whatever
        // order things are done afterwards, and whatever the index remembers.
        if orders.is_multiple_of(2) {
            b.collect();
        }
        b.repository.verify(true, &Progress::default()).unwrap();
        if healed.is_none() {
            b.backup_as(&MemTree::new(&one), "again", true);
        }
        assert_eq!(b.restore(&before).facts(), one.facts());
        if let Some(healed) = &healed {
            assert_eq!(b.restore(healed).facts(), one.facts());
        }
        // The damaged segments go, and nothing is left to say.
        b.collect();
        let snapshots = b.repository.snapshots().unwrap();
        let committed: Vec<_> = snapshots.into_iter().map(|s| (s, &one)).collect();
        all_well(&b, &committed, &one);
        all_well_and_goes_on(&b.reopen_without_state(), &committed, &two);
    });
}

/// A record that rots in the storage while the state folder has a good copy of
/// it: a verification says so, and puts it back.
#[test]
fn a_rotten_record_is_noticed_although_it_is_cached() {
    for lost in [false, true] {
        let b = Box_::new();
        let one = first();
        let kept = b.backup(&MemTree::new(&one)).snapshot;
        let b = b.reopen();
        let name = b.fake.names(Class::Snapshots)[0];
        let mut bytes = b.fake.bytes(&name);
        bytes[100] ^= 1;
        b.fake.tamper(&name, (!lost).then_some(bytes));
        let report = b.repository.verify(true, &Progress::default()).unwrap();
        assert!(
            report.errors.iter().any(|e| e.contains(&kept.id)),
            "{:?}",
            report.errors
        );
    }
}

/// Bytes that rot beside a good copy: a collection never deletes the last good
/// one, even if nothing has noticed the damage yet.
#[test]
fn a_collection_reads_the_other_copy_before_it_deletes_one() {
    let one = first();
    for seed in 0..4 {
        let b = Box_::new();
        let old = b.backup(&MemTree::new(&one)).snapshot;
        // Lost from the index's view, and stored again: every chunk twice.
        damage(&b);
        b.repository.verify(true, &Progress::default()).unwrap();
        let kept = b.backup_as(&MemTree::new(&one), "again", true).snapshot;
        b.repository.forget(&old).unwrap();
        // The index is built anew and may choose either copy.
        let b = b.reopen_without_state();
        b.collect();
        b.repository.verify(true, &Progress::default()).unwrap();
        assert_eq!(b.restore(&kept).facts(), one.facts(), "{seed}");
        b.collect();
        b.verify_clean();
    }
}
