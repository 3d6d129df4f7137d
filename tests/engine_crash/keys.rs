//! Every crash point of what replaces the header.

use colca::engine::{
    Error, KeySlot, MasterKey, NewSlot, OutsideKey, RecoveryKey, Repository, SlotKind, Unlock,
};

use super::support::crash::{Case, all_well_and_goes_on, crash_points, first, second};
use super::support::cut::Cut;
use super::support::fake::Fault;
use super::support::memory::MemTree;
use super::support::{Box_, MASTER, RECOVERY, master};

const WORDS: RecoveryKey = RecoveryKey([22; 32]);
const OUTSIDE: OutsideKey = OutsideKey([31; 32]);
const REMOVED: OutsideKey = OutsideKey([32; 32]);

fn opens(b: &Box_, unlock: Unlock<'_>) -> Option<MasterKey> {
    Repository::unlock(&*b.fake, unlock).ok()
}

fn slots(b: &Box_) -> Vec<KeySlot> {
    Repository::key_slots(&*b.fake).unwrap().slots
}

fn slot(outside: &OutsideKey) -> NewSlot<'_> {
    NewSlot {
        label: "outside",
        unlock: Unlock::Outside(outside),
        sealed: b"blob",
    }
}

/// Crash points of one change of the header: afterwards it has happened or has
/// not, the words open the repository either way, the data is whole, and the
/// next change goes through.
fn header_crash_points<T>(
    what: &str,
    change: impl Fn(&Repository) -> Result<T, Error>,
    happened: impl Fn(&Box_) -> bool,
) {
    let (one, two) = (first(), second());
    let start = Box_::new();
    start.repository.add_key_slot(&slot(&REMOVED)).unwrap();
    let before = start.backup(&MemTree::new(&one)).snapshot;
    let (mut done, mut undone) = (0, 0);
    let points = crash_points(
        what,
        &start,
        |b| change(&b.repository),
        |b, ran, case| {
            let changed = happened(&b);
            assert!(changed || ran.is_none(), "what was reported has happened");
            if case.fault == Fault::Late {
                assert!(changed, "it had happened");
            }
            done += u64::from(changed);
            undone += u64::from(!changed);
            let words = match opens(&b, Unlock::Recovery(&WORDS)) {
                Some(_) => WORDS,
                None => RECOVERY,
            };
            let key = opens(&b, Unlock::Recovery(&words)).expect("one of the two opens it");
            assert_eq!(slots(&b)[0].kind, SlotKind::Recovery);
            assert_eq!(slots(&b)[0].label, words.page_check());
            all_well_and_goes_on(&b, &[(before.clone(), &one)], &two);
            // The next change of each kind goes through, and it still opens.
            let number = b.repository.add_key_slot(&slot(&OUTSIDE)).unwrap();
            b.repository.remove_key_slot(number).unwrap();
            b.repository
                .change_key(&master(9), &RecoveryKey([52; 32]))
                .unwrap();
            assert_ne!(key.0, master(9).0);
            let b = b.reopen_without_state();
            all_well_and_goes_on(&b, &[(before.clone(), &one)], &two);
        },
    );
    // Put and sync.
    assert_eq!(points, 9 * 2);
    assert!(done >= 9 && undone >= 5, "{done} {undone}");
}

#[test]
fn every_crash_point_of_adding_a_slot() {
    header_crash_points(
        "add a key slot",
        |r| r.add_key_slot(&slot(&OUTSIDE)),
        |b| opens(b, Unlock::Outside(&OUTSIDE)).is_some(),
    );
}

#[test]
fn every_crash_point_of_removing_a_slot() {
    header_crash_points(
        "remove a key slot",
        |r| r.remove_key_slot(2),
        |b| opens(b, Unlock::Outside(&REMOVED)).is_none(),
    );
}

#[test]
fn every_crash_point_of_renewing_the_words() {
    header_crash_points(
        "renew the words",
        |r| r.renew_recovery(&WORDS),
        |b| opens(b, Unlock::Recovery(&RECOVERY)).is_none(),
    );
}

#[test]
fn every_crash_point_of_a_key_change() {
    header_crash_points(
        "key change",
        |r| r.change_key(&master(1), &WORDS),
        |b| opens(b, Unlock::Recovery(&WORDS)).is_some_and(|k| k.0 == master(1).0),
    );
}

/// The process goes on after a change that failed: what it stores must open
/// with whichever key the header then has.
#[test]
fn a_backup_after_a_key_change_that_failed() {
    let (one, two) = (first(), second());
    let start = Box_::new();
    start.backup(&MemTree::new(&one));
    let mut points = 0;
    for fault in [Fault::Fail, Fault::Late] {
        for cut in [Cut::Nothing, Cut::Everything, Cut::Later, Cut::Torn] {
            for n in 0..2 {
                let b = start.twin();
                b.fake.fault_in(n, fault);
                b.repository.change_key(&master(1), &WORDS).unwrap_err();
                let during = b.backup(&MemTree::new(&two)).snapshot;
                // And then the power goes.
                b.fake.fault_in(0, Fault::PowerCut);
                b.repository.forget(&during).unwrap_err();
                let state = tempfile::tempdir().unwrap();
                let case = Case {
                    fault: Fault::PowerCut,
                    cut,
                    state: super::support::crash::State::Lost,
                };
                let b = b.crashed(case, state.path(), n);
                let (key, words) = match n + u64::from(fault == Fault::Late) {
                    0 => (MASTER, RECOVERY),
                    _ => (master(1), WORDS),
                };
                // The backup's sync made the header durable as it was then.
                assert_eq!(opens(&b, Unlock::Recovery(&words)).unwrap().0, key.0);
                if b.repository.snapshots().unwrap().contains(&during) {
                    assert_eq!(b.restore(&during).facts(), two.facts());
                }
                b.verify_clean();
                points += 1;
            }
        }
    }
    println!("crash points enumerated: a backup after a failed key change {points}");
}
