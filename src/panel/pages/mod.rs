//! Pages for people, rendered on the server: one file per part of the panel.
//!
//! Every page works without JavaScript: forms are posted and answered with a
//! redirect, running jobs renew themselves by `meta refresh`. One small script
//! of our own adds live figures on top. Nothing is loaded from elsewhere, and
//! no style or script stands in a page, so that the strict
//! Content-Security-Policy holds.

mod assets;
mod care;
mod claim;
mod disk;
mod disk_words;
mod disks;
mod errors;
mod find;
pub mod format;
mod icons;
mod jobs;
mod keys;
mod layout;
mod links;
mod live;
mod login;
mod members;
mod new_pool;
mod new_source;
mod parts;
mod provider;
mod restore;
mod snapshots;
mod sources;
mod today;
mod visit;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{self, Next};
use axum::routing::{get, post};

use super::AppState;
use visit::Desk;

/// All pages, with the answer to every address that does not exist.
pub fn router() -> Router<AppState> {
    let desk: Arc<Desk> = Arc::default();
    Router::new()
        .route(links::TODAY, get(today::show))
        .route(links::CLAIM, get(claim::show).post(claim::claim))
        .route(links::LOGIN, get(login::show).post(login::login))
        .route(links::LOGOUT, post(login::logout))
        .route("/language/{tag}", get(login::language))
        .route(links::DISKS, get(disks::show))
        .route("/disks/disk/{serial}", get(disk::show))
        .route("/disks/disk/{serial}/identify", post(disk::identify))
        .route("/disks/disk/{serial}/short-test", post(disk::short_test))
        .route("/disks/disk/{serial}/long-test", post(disk::long_test))
        .route(links::ADD_DISKS, get(members::add).post(members::add_now))
        .route(
            links::REPLACE,
            get(members::replace).post(members::replace_now),
        )
        .route(
            links::RETIRE,
            get(members::retire).post(members::retire_now),
        )
        .route(links::KEEP, post(members::keep))
        .route(links::LEAVING, get(members::leaving))
        .route(links::CARE, post(care::save))
        .route(links::SCRUB, post(care::scrub))
        .route(links::RESCAN, post(disks::rescan))
        .route(links::VERIFY, post(disks::verify))
        .route(links::NEW_POOL, get(new_pool::show).post(new_pool::create))
        .route(links::WORDS, get(new_pool::words).post(new_pool::kept))
        .route(links::KEYS, get(keys::show))
        .route(links::KEYS_OPEN, post(keys::open))
        .route(links::KEYS_PASSPHRASE, post(keys::passphrase))
        .route(links::KEYS_TPM, post(keys::tpm))
        .route(links::KEYS_REMOVE, post(keys::remove))
        .route(links::KEYS_WORDS, post(keys::words))
        .route(links::KEYS_CHANGE, post(keys::change_key))
        .route(links::SOURCES, get(sources::list))
        .route("/sources/{name}", get(sources::show))
        .route("/sources/{name}/run", post(sources::run))
        .route(
            "/sources/{name}/remove",
            get(sources::ask_remove).post(sources::remove),
        )
        .route(links::NEW_SOURCE, get(new_source::choose))
        .route(
            links::NEW_LOCAL,
            get(new_source::local_form).post(new_source::add_local),
        )
        .route(
            links::NEW_SFTP,
            get(new_source::sftp_form).post(new_source::probe),
        )
        .route(
            links::NEW_SFTP_KEY,
            get(new_source::sftp_form).post(new_source::add_sftp),
        )
        .route(links::SNAPSHOTS, get(snapshots::list))
        .route(links::FIND, get(find::show))
        .route("/snapshots/{id}", get(snapshots::files))
        .route("/snapshots/{id}/download", get(snapshots::download))
        .route(
            "/snapshots/{id}/restore",
            get(restore::show).post(restore::restore),
        )
        .route(links::PROVIDER, get(provider::show).post(provider::save))
        .route(links::REPLICATE, post(provider::replicate))
        .route(links::INSPECT, post(provider::inspect))
        .route(links::PROBE, post(provider::probe))
        .route(links::JOBS, get(jobs::list))
        .route("/jobs/{id}", get(jobs::show))
        .route("/jobs/{id}/live", get(live::stream))
        .route("/jobs/{id}/cancel", post(jobs::cancel))
        .route("/assets/{hash}/{name}", get(assets::serve))
        .fallback(errors::not_found)
        .layer(middleware::from_fn(move |request, next: Next| {
            errors::dress(desk.clone(), request, next)
        }))
}
