//! `colca key`: who can open the pool, and changing that.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{Context, Outcome, page, secret, state, text};
use crate::appliance::tpm;
use crate::engine::{Kind, NewSlot, RecoveryKey, Repository, SlotKind, Unlock};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show what opens the pool: recovery words, passphrases, sealed secrets
    Show,
    /// Let a passphrase open the pool, too
    AddPassphrase {
        /// What people call it; anyone who has a disk can read it
        #[arg(long, value_name = "TEXT", default_value = "")]
        label: String,
        /// File that holds the passphrase; without it, it is read from standard input
        #[arg(long, value_name = "FILE")]
        passphrase: Option<PathBuf>,
    },
    /// Let this machine's TPM open the pool, and take the key out of the state folder
    AddTpm {
        /// What people call it; anyone who has a disk can read it
        #[arg(long, value_name = "TEXT", default_value = "")]
        label: String,
        /// The TPM opens the pool only together with a passphrase, read from FILE or standard input
        #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
        with_passphrase: Option<Option<PathBuf>>,
    },
    /// Remove a passphrase or sealed secret by its number
    Remove {
        /// Its number in `colca key show`
        #[arg(value_name = "NUMBER")]
        number: u32,
    },
    /// Make new recovery words; the old ones open the pool no more
    RenewWords {
        /// Also write the page to print to this new file
        #[arg(long, value_name = "FILE")]
        page: Option<PathBuf>,
    },
    /// Change the key: what is stored from now on is sealed under a new one
    Change {
        /// Also write the page to print to this new file
        #[arg(long, value_name = "FILE")]
        page: Option<PathBuf>,
    },
    /// Check the recovery words and write the page to print
    Page {
        /// File that holds the recovery words; without it they are read from standard input
        #[arg(long, value_name = "FILE")]
        recovery_key: Option<PathBuf>,
        /// The new file for the page (HTML); without it the words are only checked
        #[arg(value_name = "PAGE")]
        page: Option<PathBuf>,
    },
}

pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Show => show(context),
        Command::AddPassphrase { label, passphrase } => {
            add_passphrase(context, &label, passphrase.as_deref())
        }
        Command::AddTpm {
            label,
            with_passphrase,
        } => add_tpm(context, &label, with_passphrase.as_ref()),
        Command::Remove { number } => remove(context, number),
        Command::RenewWords { page } => renew_words(context, page.as_deref()),
        Command::Change { page } => change(context, page.as_deref()),
        Command::Page { recovery_key, page } => {
            check(context, recovery_key.as_deref(), page.as_deref())
        }
    }
}

fn show(context: &Context) -> anyhow::Result<Outcome> {
    let keys = Repository::key_slots(&state::open_pool(context)?)?;
    if context.json {
        text::json(&keys)?;
        return Ok(Outcome::Done);
    }
    println!("Repository {}, key epoch {}.", keys.repository, keys.epoch);
    println!();
    let rows: Vec<Vec<String>> = keys
        .slots
        .iter()
        .map(|slot| {
            let (opens, label) = match slot.kind {
                SlotKind::Recovery => ("recovery words", format!("page check {}", slot.label)),
                SlotKind::Passphrase => ("passphrase", slot.label.clone()),
                SlotKind::Outside => ("sealed outside", slot.label.clone()),
                SlotKind::Both => ("passphrase and sealed outside", slot.label.clone()),
                SlotKind::Unknown => ("something newer", slot.label.clone()),
            };
            vec![
                slot.number.to_string(),
                opens.to_owned(),
                text::name(label.as_bytes()),
            ]
        })
        .collect();
    text::table(&["NUMBER", "OPENED BY", "LABEL"], &rows, &[0])?;
    Ok(Outcome::Done)
}

fn add_passphrase(context: &Context, label: &str, file: Option<&Path>) -> anyhow::Result<Outcome> {
    let repository = state::open(context)?;
    let passphrase = secret::new_passphrase(file)?;
    let number = repository.add_key_slot(&NewSlot {
        label,
        unlock: Unlock::Passphrase(&passphrase),
        sealed: &[],
    })?;
    if context.json {
        text::json(&serde_json::json!({ "number": number }))?;
    } else {
        println!("The passphrase opens the pool as number {number}.");
    }
    Ok(Outcome::Done)
}

fn add_tpm(
    context: &Context,
    label: &str,
    file: Option<&Option<PathBuf>>,
) -> anyhow::Result<Outcome> {
    let repository = state::open(context)?;
    let passphrase = file
        .map(|file| secret::new_passphrase(file.as_deref()))
        .transpose()?;
    let sealer = tpm::direct();
    let number =
        state::keyring(context, &*sealer)?.add_tpm(&repository, label, passphrase.as_ref())?;
    if context.json {
        text::json(&serde_json::json!({ "number": number }))?;
    } else {
        let who = match passphrase {
            Some(_) => "This machine's TPM and the passphrase open",
            None => "This machine's TPM opens",
        };
        println!("{who} the pool as number {number}. The key lies in the state folder no more.");
    }
    Ok(Outcome::Done)
}

fn remove(context: &Context, number: u32) -> anyhow::Result<Outcome> {
    let repository = state::open(context)?;
    let sealer = tpm::direct();
    let plain = state::keyring(context, &*sealer)?.remove(&repository, number)?;
    if !context.json {
        println!("Number {number} opens the pool no more.");
        if plain {
            println!("The key lies in the state folder again, without protection by the TPM.");
        }
    }
    Ok(Outcome::Done)
}

fn renew_words(context: &Context, file: Option<&Path>) -> anyhow::Result<Outcome> {
    page::require_free(file)?;
    let repository = state::open(context)?;
    let recovery = RecoveryKey::generate()?;
    repository
        .renew_recovery(&recovery)
        .map_err(|e| e.context(AFTER))?;
    new_words(context, &repository, &recovery, file, "New recovery words.")
}

/// What to do when nobody can tell whether the header was replaced.
const AFTER: &str = "the change may or may not have happened; run \"colca key show\" and compare the page check, and make new words with \"colca key renew-words\" if it is not that of a page you have";

fn change(context: &Context, file: Option<&Path>) -> anyhow::Result<Outcome> {
    page::require_free(file)?;
    let (repository, passphrase) = state::open_and_passphrase(context)?;
    let sealer = tpm::direct();
    let recovery = RecoveryKey::generate()?;
    state::keyring(context, &*sealer)?
        .change(&repository, &recovery, passphrase.as_ref())
        .map_err(|e| match e.kind() {
            Kind::Busy | Kind::Refused => e,
            _ => e.context(AFTER),
        })?;
    new_words(context, &repository, &recovery, file, "The key is changed.")
}

/// Shows words that were just made, the only time.
fn new_words(
    context: &Context,
    repository: &Repository,
    recovery: &RecoveryKey,
    file: Option<&Path>,
    what: &str,
) -> anyhow::Result<Outcome> {
    if context.json {
        text::json(&serde_json::json!({
            "recovery_words": *recovery.words(), "page_check": recovery.page_check()
        }))?;
    } else {
        println!(
            "{what} Only these words open the pool from now on. Write them on paper and keep it"
        );
        println!("away from the box. They are shown only now.");
        println!();
        page::print(recovery);
    }
    page::save(repository.storage().as_ref(), recovery, file)?;
    Ok(Outcome::Done)
}

fn check(context: &Context, words: Option<&Path>, file: Option<&Path>) -> anyhow::Result<Outcome> {
    let pool = state::open_pool(context)?;
    let recovery = secret::words(words)?;
    Repository::recover_key(&pool, &recovery)?;
    if context.json {
        text::json(&serde_json::json!({ "page_check": recovery.page_check() }))?;
    } else {
        println!(
            "These words open the pool. Page check: {}",
            recovery.page_check()
        );
    }
    page::save(&pool, &recovery, file)?;
    Ok(Outcome::Done)
}
