//! What opens the pool.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Body;
use super::auth::{Caller, answer};
use super::problem::Problem;
use crate::engine::{Kind, Passphrase};
use crate::panel::AppState;
use crate::service::{KeysView, NewWords, PoolView, opener};

/// A secret in a body; wiped when dropped.
#[derive(Deserialize)]
#[serde(from = "String")]
struct Secret(Zeroizing<String>);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl Secret {
    fn passphrase(self) -> crate::engine::Result<Passphrase> {
        Passphrase::new(&self.0)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassphrase {
    #[serde(default)]
    label: String,
    passphrase: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTpm {
    #[serde(default)]
    label: String,
    passphrase: Option<Secret>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    passphrase: Option<Secret>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Opening {
    recovery_words: Option<Secret>,
    passphrase: Option<Secret>,
}

#[derive(Serialize)]
pub(super) struct Added {
    number: u32,
}

pub(super) async fn show(
    State(app): State<AppState>,
    _: Caller,
) -> Result<Json<KeysView>, Problem> {
    answer(&app, |service| service.keys()).await
}

pub(super) async fn add_passphrase(
    State(app): State<AppState>,
    _: Caller,
    Body(new): Body<NewPassphrase>,
) -> Result<(StatusCode, Json<Added>), Problem> {
    let added = answer(&app, move |service| {
        let passphrase = new.passphrase.passphrase()?;
        let number = service.add_passphrase(&new.label, &passphrase)?;
        Ok(Added { number })
    });
    Ok((StatusCode::CREATED, added.await?))
}

pub(super) async fn add_tpm(
    State(app): State<AppState>,
    _: Caller,
    Body(new): Body<NewTpm>,
) -> Result<(StatusCode, Json<Added>), Problem> {
    let added = answer(&app, move |service| {
        let passphrase = new.passphrase.map(Secret::passphrase).transpose()?;
        let number = service.add_tpm(&new.label, passphrase.as_ref())?;
        Ok(Added { number })
    });
    Ok((StatusCode::CREATED, added.await?))
}

pub(super) async fn remove(
    State(app): State<AppState>,
    _: Caller,
    Path(number): Path<String>,
) -> Result<StatusCode, Problem> {
    let Ok(number) = number.parse() else {
        let text = format!("there is no key slot {number}");
        return Err(Problem::new(Kind::Missing, text));
    };
    app.run(move |service| service.remove_key(number)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn renew_words(
    State(app): State<AppState>,
    _: Caller,
) -> Result<Json<NewWords>, Problem> {
    answer(&app, |service| service.renew_words()).await
}

pub(super) async fn change(
    State(app): State<AppState>,
    _: Caller,
    Body(change): Body<Change>,
) -> Result<Json<NewWords>, Problem> {
    answer(&app, move |service| {
        let passphrase = change.passphrase.map(Secret::passphrase).transpose()?;
        service.change_key(passphrase.as_ref())
    })
    .await
}

pub(super) async fn open_pool(
    State(app): State<AppState>,
    _: Caller,
    Body(opening): Body<Opening>,
) -> Result<Json<PoolView>, Problem> {
    answer(&app, move |service| {
        let text = |secret: &Option<Secret>| secret.as_ref().map(|s| s.0.clone());
        let (words, passphrase) = (text(&opening.recovery_words), text(&opening.passphrase));
        let opener = opener(
            words.as_ref().map(|s| s.as_str()),
            passphrase.as_ref().map(|s| s.as_str()),
        )?;
        service.open_pool_with(&opener)
    })
    .await
}
