//! The steps of a history.

use proptest::prelude::*;

#[derive(Clone, Debug)]
pub enum Step {
    Write { file: u8, len: u32, seed: u8 },
    Insert { file: u8, at: u32, len: u16 },
    Copy { from: u8, to: u8 },
    Sparse { file: u8, hole: u32 },
    Link { name: u8, target: u8 },
    Remove { file: u8 },
    Backup { full: bool },
    TwoBackups { apart: bool },
    BackupBesideCollect { full: bool },
    BackupBesideVerify,
    FailingBackup { at: u8, cut: bool },
    Forget { which: u8 },
    Collect,
    FailingCollect { at: u8, cut: bool },
    KeyChange,
    FailingKeyChange { at: u8, cut: bool },
    Compare { old: u8, new: u8 },
    Find { file: u8 },
    Reopen { state: bool },
}

pub fn step() -> impl Strategy<Value = Step> {
    let file = 0..12u8;
    let length = prop_oneof![0..2000u32, 0..200_000u32, 0..1_500_000u32];
    prop_oneof![
        6 => (file.clone(), length, 0..6u8)
            .prop_map(|(file, len, seed)| Step::Write { file, len, seed }),
        2 => (file.clone(), any::<u32>(), 1..2000u16)
            .prop_map(|(file, at, len)| Step::Insert { file, at, len }),
        2 => (file.clone(), file.clone()).prop_map(|(from, to)| Step::Copy { from, to }),
        1 => (file.clone(), 1..3_000_000u32).prop_map(|(file, hole)| Step::Sparse { file, hole }),
        1 => (file.clone(), any::<u8>()).prop_map(|(name, target)| Step::Link { name, target }),
        1 => file.clone().prop_map(|file| Step::Remove { file }),
        5 => any::<bool>().prop_map(|full| Step::Backup { full }),
        2 => any::<bool>().prop_map(|apart| Step::TwoBackups { apart }),
        3 => any::<bool>().prop_map(|full| Step::BackupBesideCollect { full }),
        1 => Just(Step::BackupBesideVerify),
        3 => (0..12u8, any::<bool>()).prop_map(|(at, cut)| Step::FailingBackup { at, cut }),
        3 => any::<u8>().prop_map(|which| Step::Forget { which }),
        2 => Just(Step::Collect),
        2 => (0..10u8, any::<bool>()).prop_map(|(at, cut)| Step::FailingCollect { at, cut }),
        1 => Just(Step::KeyChange),
        1 => (0..2u8, any::<bool>()).prop_map(|(at, cut)| Step::FailingKeyChange { at, cut }),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(old, new)| Step::Compare { old, new }),
        1 => file.prop_map(|file| Step::Find { file }),
        2 => any::<bool>().prop_map(|state| Step::Reopen { state }),
    ]
}
