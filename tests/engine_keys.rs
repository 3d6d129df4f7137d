//! Key slots, the key change, and who can open what afterwards; every crash
//! point of a change; slots of newer programs.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;

use colca::engine::storage::{Class, Name};
use colca::engine::{
    Kind, MasterKey, NewSlot, OutsideKey, Passphrase, Progress, RecoveryKey, Repository, SlotKind,
    Unlock,
};
use support::fake::Fault;
use support::memory::{MemTree, Node};
use support::{Box_, MASTER, RECOVERY, header_body, noise, put_header, tree};

const NEW: MasterKey = MasterKey([21; 32]);
const NEW_WORDS: RecoveryKey = RecoveryKey([22; 32]);

fn phrase(text: &str) -> Passphrase {
    Passphrase::new(text).unwrap()
}

/// Opens the fake's repository with a key, in a fresh state folder.
fn open(b: &Box_, key: &MasterKey) -> Result<Repository, (Kind, String)> {
    let state = tempfile::tempdir().unwrap();
    Repository::open(b.fake.clone(), state.path(), key).map_err(|e| (e.kind(), e.to_string()))
}

fn unlock(b: &Box_, with: Unlock<'_>) -> Result<[u8; 32], Kind> {
    Repository::unlock(&*b.fake, with)
        .map(|key| key.0)
        .map_err(|e| e.kind())
}

#[test]
fn every_kind_of_slot_opens_with_what_it_was_made_for_and_nothing_else() {
    let b = Box_::new();
    let (one, other) = (
        phrase("cuatro palabras y otra"),
        phrase("cuatro palabras y mas"),
    );
    let (tpm, both) = (OutsideKey([31; 32]), OutsideKey([32; 32]));
    let add = |label, unlock, sealed: &[u8]| {
        let slot = NewSlot {
            label,
            unlock,
            sealed,
        };
        b.repository.add_key_slot(&slot)
    };
    assert_eq!(add("oficial", Unlock::Passphrase(&one), b"").unwrap(), 2);
    assert_eq!(add("tpm2", Unlock::Outside(&tpm), b"blob").unwrap(), 3);
    assert_eq!(add("both", Unlock::Both(&one, &both), b"glob").unwrap(), 4);

    let slots = Repository::key_slots(&*b.fake).unwrap().slots;
    let seen: Vec<_> = slots
        .iter()
        .map(|s| (s.number, s.kind, s.label.clone(), &s.sealed[..]))
        .collect();
    assert_eq!(
        seen,
        [
            (1, SlotKind::Recovery, RECOVERY.page_check(), &b""[..]),
            (2, SlotKind::Passphrase, "oficial".into(), b""),
            (3, SlotKind::Outside, "tpm2".into(), b"blob"),
            (4, SlotKind::Both, "both".into(), b"glob"),
        ]
    );
    for good in [
        Unlock::Recovery(&RECOVERY),
        Unlock::Passphrase(&one),
        Unlock::Outside(&tpm),
        Unlock::Both(&one, &both),
    ] {
        assert_eq!(unlock(&b, good), Ok(MASTER.0));
    }
    for bad in [
        Unlock::Recovery(&NEW_WORDS),
        Unlock::Passphrase(&other),
        Unlock::Outside(&both),
        Unlock::Both(&one, &tpm),
        Unlock::Both(&other, &both),
    ] {
        assert_eq!(unlock(&b, bad), Err(Kind::Refused));
    }
    // Letter and accent typed apart are the same passphrase.
    let accent = phrase("contrase\u{f1}a de caf\u{e9}");
    add("", Unlock::Passphrase(&accent), b"").unwrap();
    let apart = phrase("contrasen\u{303}a de cafe\u{301}\n");
    assert_eq!(unlock(&b, Unlock::Passphrase(&apart)), Ok(MASTER.0));

    b.repository.remove_key_slot(2).unwrap();
    assert_eq!(unlock(&b, Unlock::Passphrase(&one)), Err(Kind::Refused));
    assert_eq!(unlock(&b, Unlock::Both(&one, &both)), Ok(MASTER.0));
    for (slot, kind) in [(2, Kind::Missing), (1, Kind::Refused)] {
        assert_eq!(b.repository.remove_key_slot(slot).unwrap_err().kind(), kind);
    }
    for (label, unlock, sealed) in [
        ("", Unlock::Passphrase(&phrase("corta")), &b""[..]),
        ("", Unlock::Passphrase(&one), b"blob"),
        ("", Unlock::Outside(&tpm), b""),
        ("", Unlock::Recovery(&NEW_WORDS), b""),
        ("two\nlines", Unlock::Passphrase(&one), b""),
        (&"x".repeat(65), Unlock::Passphrase(&one), b""),
    ] {
        assert_eq!(
            add(label, unlock, sealed).unwrap_err().kind(),
            Kind::Refused
        );
    }
    // Nothing of all this touched the data or the key.
    b.reopen().verify_clean();
}

#[test]
fn renewed_words_replace_the_old_ones_and_the_key_stays() {
    let b = Box_::new();
    b.repository.renew_recovery(&NEW_WORDS).unwrap();
    assert_eq!(unlock(&b, Unlock::Recovery(&NEW_WORDS)), Ok(MASTER.0));
    assert_eq!(unlock(&b, Unlock::Recovery(&RECOVERY)), Err(Kind::Refused));
    let slots = Repository::key_slots(&*b.fake).unwrap().slots;
    assert_eq!(slots.len(), 1);
    assert_eq!(slots[0].label, NEW_WORDS.page_check());
    b.reopen().verify_clean();
}

#[test]
fn after_a_key_change_one_key_opens_all_and_the_old_one_nothing_new() {
    let b = Box_::new();
    let mut root = tree();
    let before = b.backup(&MemTree::new(&root)).snapshot;
    let one = phrase("cuatro palabras y otra");
    let slot = NewSlot {
        label: "",
        unlock: Unlock::Passphrase(&one),
        sealed: b"",
    };
    b.repository.add_key_slot(&slot).unwrap();
    let old_header = b.fake.bytes(&Name::Header);
    let old_segments = b.fake.names(Class::Segments);

    b.repository.change_key(&NEW, &NEW_WORDS).unwrap();
    // Unchanged content is found by its id across the change.
    assert_eq!(
        b.backup_as(&MemTree::new(&root), "again", true)
            .snapshot
            .new_bytes,
        0
    );
    let old_root = root.clone();
    root.put("new", Node::file(noise(800_000, 5)));
    let after = b.backup(&MemTree::new(&root)).snapshot;
    assert_eq!(after.new_bytes, 800_000);
    for name in b.fake.names(Class::Segments) {
        let epoch = if old_segments.contains(&name) { 1 } else { 2 };
        assert_eq!(b.fake.bytes(&name)[32..36], u32::to_le_bytes(epoch));
    }

    for gone in [Unlock::Recovery(&RECOVERY), Unlock::Passphrase(&one)] {
        assert_eq!(unlock(&b, gone), Err(Kind::Refused));
    }
    assert_eq!(unlock(&b, Unlock::Recovery(&NEW_WORDS)), Ok(NEW.0));
    let (kind, why) = open(&b, &MASTER).err().unwrap();
    assert!(kind == Kind::Refused && why.contains("key change"), "{why}");
    assert_eq!(
        Repository::fitting_key(&*b.fake, &[MASTER, NEW]).unwrap().0,
        NEW.0
    );

    // Whoever kept the old key and the old header reads what was, not what came.
    let new_header = b.fake.bytes(&Name::Header);
    b.fake.tamper(&Name::Header, Some(old_header));
    let thief = open(&b, &MASTER).unwrap();
    assert_eq!(thief.snapshots().unwrap(), std::slice::from_ref(&before));
    let report = thief.verify(false, &Progress::default()).unwrap();
    assert!(
        report.errors.iter().any(|e| e.contains("key change")),
        "{:?}",
        report.errors
    );
    drop(thief);
    b.fake.tamper(&Name::Header, Some(new_header));

    let Box_ {
        fake,
        state,
        repository,
    } = b;
    drop((repository, state));
    let state = tempfile::tempdir().unwrap();
    let repository = Arc::new(Repository::open(fake.clone(), state.path(), &NEW).unwrap());
    let b = Box_ {
        fake,
        state,
        repository,
    };
    assert_eq!(b.restore(&before).facts(), old_root.facts());
    assert_eq!(b.restore(&after).facts(), root.facts());
    b.verify_clean();
    // Collecting moves what stays to the newest epoch.
    b.repository
        .change_key(&MasterKey([41; 32]), &RECOVERY)
        .unwrap();
    let used = b.repository.change_key(&NEW, &RECOVERY).unwrap_err();
    assert_eq!(used.kind(), Kind::Refused);
    b.repository.forget(&before).unwrap();
    b.repository
        .collect(
            &colca::engine::CollectOptions::default(),
            &Progress::default(),
        )
        .unwrap();
    assert_eq!(b.restore(&after).facts(), root.facts());
    b.verify_clean();
}

/// What fails, and whether the state folder outlives it.
const CASES: [(Fault, bool); 4] = [
    (Fault::Fail, true),
    (Fault::Fail, false),
    (Fault::PowerCut, true),
    (Fault::PowerCut, false),
];

#[test]
fn every_crash_point_of_a_key_change() {
    let root = tree();
    let mut points = 0;
    for (fault, keep_state) in CASES {
        for seed in 0..2 {
            for n in 0.. {
                let b = Box_::new();
                let before = b.backup(&MemTree::new(&root)).snapshot;
                b.fake.fault_in(n, fault);
                let changed = b.repository.change_key(&NEW, &NEW_WORDS);
                let struck = b.fake.struck();
                assert_eq!(struck, changed.is_err());
                // A backup that goes on in the same process must stay readable too.
                let during = (fault == Fault::Fail)
                    .then(|| b.backup_as(&MemTree::new(&root), "during", true).snapshot);
                if fault == Fault::PowerCut {
                    b.fake.restart(seed);
                }
                let Box_ {
                    fake,
                    state,
                    repository,
                } = b;
                drop(repository);
                // Both keys lie outside, whatever happened: exactly one fits.
                let key = Repository::fitting_key(&*fake, &[NEW, MASTER]).unwrap();
                if !struck {
                    assert_eq!(key.0, NEW.0);
                }
                let (good, bad) = match key.0 == NEW.0 {
                    true => (&NEW_WORDS, &RECOVERY),
                    false => (&RECOVERY, &NEW_WORDS),
                };
                assert_eq!(Repository::recover_key(&*fake, good).unwrap().0, key.0);
                assert!(Repository::recover_key(&*fake, bad).is_err());
                let state = if keep_state {
                    state
                } else {
                    tempfile::tempdir().unwrap()
                };
                let repository = Repository::open(fake.clone(), state.path(), &key).unwrap();
                let b = Box_ {
                    fake,
                    state,
                    repository: Arc::new(repository),
                };
                for snapshot in [Some(&before), during.as_ref()].into_iter().flatten() {
                    assert_eq!(b.restore(snapshot).facts(), root.facts());
                }
                b.verify_clean();
                // The next attempt goes through.
                let third = MasterKey([51; 32]);
                b.repository
                    .change_key(&third, &RecoveryKey([52; 32]))
                    .unwrap();
                assert_eq!(
                    Repository::fitting_key(&*b.fake, &[key, third.clone()])
                        .unwrap()
                        .0,
                    third.0
                );
                assert_eq!(b.restore(&before).facts(), root.facts());
                if !struck {
                    break;
                }
                points += 1;
            }
        }
    }
    println!("{points} crash points of a key change");
    assert!(points >= 2 * 4 * 2, "{points}");
}

#[test]
fn every_crash_point_of_adding_and_removing_a_slot() {
    let mut points = 0;
    let one = OutsideKey([31; 32]);
    for fault in [Fault::Fail, Fault::PowerCut] {
        for n in 0.. {
            let b = Box_::new();
            let slot = NewSlot {
                label: "",
                unlock: Unlock::Outside(&one),
                sealed: b"x",
            };
            b.fake.fault_in(n, fault);
            let done = b
                .repository
                .add_key_slot(&slot)
                .and_then(|number| b.repository.remove_key_slot(number));
            let struck = b.fake.struck();
            assert_eq!(struck, done.is_err());
            if fault == Fault::PowerCut {
                b.fake.restart(n);
            }
            // The words and the key open it whatever happened.
            assert_eq!(unlock(&b, Unlock::Recovery(&RECOVERY)), Ok(MASTER.0));
            b.reopen().verify_clean();
            if !struck {
                break;
            }
            points += 1;
        }
    }
    println!("{points} crash points of adding and removing a slot");
    assert_eq!(points, 8);
}

#[test]
fn a_header_changed_without_the_key_is_called_corrupt() {
    let b = Box_::new();
    let whole = b.fake.bytes(&Name::Header);
    // Another zstd level, the checksum made right: only the seal tells.
    let mut changed = whole.clone();
    changed[68] = 9;
    let end = changed.len() - 32;
    let sum = blake3::hash(&changed[..end]);
    changed[end..].copy_from_slice(sum.as_bytes());
    b.fake.tamper(&Name::Header, Some(changed));
    assert_eq!(open(&b, &MASTER).err().unwrap().0, Kind::Corrupt);
    assert_eq!(unlock(&b, Unlock::Recovery(&RECOVERY)), Err(Kind::Corrupt));
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 1;
        b.fake.tamper(&Name::Header, Some(bad));
        let (kind, _) = open(&b, &MASTER).err().unwrap();
        // A newer version is told before the checksum is looked at; version 0 is damage.
        let newer = at == 9;
        assert_eq!(
            kind,
            if newer { Kind::Refused } else { Kind::Corrupt },
            "byte {at}"
        );
    }
}

#[test]
fn slots_of_a_newer_program_are_kept_as_they_are() {
    let b = Box_::new();
    let mut body = header_body(&b.fake);
    let mut foreign = vec![9, 2, 5, 0];
    foreign.extend_from_slice(&17u32.to_le_bytes());
    foreign.extend_from_slice(b"xyabcde");
    body[104] = 2;
    body.extend_from_slice(&foreign);
    put_header(&b.fake, body);
    let b = b.reopen();
    let one = OutsideKey([31; 32]);
    let slot = NewSlot {
        label: "",
        unlock: Unlock::Outside(&one),
        sealed: b"x",
    };
    assert_eq!(b.repository.add_key_slot(&slot).unwrap(), 18);
    let seen = Repository::key_slots(&*b.fake).unwrap().slots;
    assert_eq!((seen[1].number, seen[1].kind), (17, SlotKind::Unknown));
    let bytes = b.fake.bytes(&Name::Header);
    assert!(bytes.windows(foreign.len()).any(|w| w == foreign));
    b.repository.remove_key_slot(17).unwrap();
    b.reopen().verify_clean();
}
