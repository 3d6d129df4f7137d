//! Status, claim, login, logout; who calls.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse};
use serde::{Deserialize, Serialize};

use super::Body;
use super::problem::Problem;
use crate::engine::Result as Outcome;
use crate::panel::AppState;
use crate::panel::session::{Denied, Peer, Session, Transport};
use crate::service::{Service, Status};

/// The header with the CSRF token of a caller that uses the session cookie.
const CSRF: &str = "x-csrf-token";

/// A caller who may do anything the API offers.
pub(super) struct Caller(pub Session);

impl FromRequestParts<AppState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Problem> {
        let (session, cookie) = Session::of_program(parts, app).ok_or(Denied::NotLoggedIn)?;
        if cookie && !parts.method.is_safe() {
            let token = parts.headers.get(CSRF).and_then(|t| t.to_str().ok());
            if !session.csrf_matches(token.unwrap_or_default()) {
                return Err(Denied::Csrf.into());
            }
        }
        Ok(Self(session))
    }
}

/// Runs a use case and gives its result as JSON.
pub(super) async fn answer<T: Serialize + Send + 'static>(
    app: &AppState,
    work: impl FnOnce(&Arc<Service>) -> Outcome<T> + Send + 'static,
) -> Result<Json<T>, Problem> {
    Ok(Json(app.run(work).await?))
}

#[derive(Serialize)]
pub(super) struct Token {
    token: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    code: String,
    user: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    user: String,
    password: String,
}

pub(super) async fn status(State(app): State<AppState>) -> Result<Json<Status>, Problem> {
    answer(&app, |service| Ok(service.status())).await
}

pub(super) async fn claim(
    State(app): State<AppState>,
    peer: Peer,
    Body(claim): Body<Claim>,
) -> Result<Json<Token>, Problem> {
    let Claim {
        code,
        user,
        password,
    } = claim;
    let new = app
        .claim(peer, code, user, password, Transport::Program)
        .await?;
    Ok(Json(Token { token: new.token }))
}

pub(super) async fn login(
    State(app): State<AppState>,
    peer: Peer,
    Body(login): Body<Login>,
) -> Result<Json<Token>, Problem> {
    let new = app
        .login(peer, login.user, login.password, Transport::Program)
        .await?;
    Ok(Json(Token { token: new.token }))
}

pub(super) async fn logout(State(app): State<AppState>, caller: Caller) -> impl IntoResponse {
    let cookie = app.logout(&caller.0);
    (
        StatusCode::NO_CONTENT,
        AppendHeaders([(header::SET_COOKIE, cookie)]),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use axum::body::Body as HttpBody;
    use axum::extract::FromRequest;
    use axum::http::{Method, Request};
    use tokio::sync::watch;

    use super::*;
    use crate::devices;
    use crate::panel::session::{CsrfForm, MaybeSession, NewSession};
    use crate::service::Options;

    const PASSWORD: &str = "una clave larga";

    /// A claimed box and a browser that is logged in.
    async fn browser() -> (tempfile::TempDir, AppState, NewSession) {
        let folder = tempfile::tempdir().unwrap();
        let service = Service::open(Options {
            state: folder.path().join("state"),
            devices: devices::folders(folder.path()),
            sealer: crate::appliance::tpm::direct(),
        })
        .unwrap();
        let code = service.claim_code().unwrap().unwrap();
        let (_, stopping) = watch::channel(false);
        let app = AppState::new(service, stopping);
        let peer = Peer([127, 0, 0, 1].into());
        let (user, password) = ("ana".to_owned(), PASSWORD.to_owned());
        let claimed = app.claim(peer, code, user, password, Transport::Browser);
        let session = claimed.await.unwrap();
        (folder, app, session)
    }

    fn request(method: Method, headers: &[(&str, &str)], body: &str) -> Request<HttpBody> {
        let mut request = Request::builder().method(method).uri("/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(HttpBody::from(body.to_owned())).unwrap()
    }

    fn pair(session: &NewSession) -> String {
        let cookie = session.cookie.to_str().unwrap();
        for part in ["__Host-", "Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        cookie.split(';').next().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_browser_needs_its_csrf_token_to_change_something_by_the_api() {
        let (_folder, app, new) = browser().await;
        let cookie = pair(&new);
        let call = async |method: Method, csrf: &str| {
            let headers = [("cookie", cookie.as_str()), (CSRF, csrf)];
            let (mut parts, _) = request(method, &headers, "").into_parts();
            Caller::from_request_parts(&mut parts, &app)
                .await
                .map_err(|p| p.status.as_u16())
        };
        let session = call(Method::GET, "").await.unwrap().0;
        assert_eq!(session.user, "ana");
        assert_eq!(call(Method::POST, "").await.err(), Some(403));
        assert_eq!(call(Method::DELETE, &new.token).await.err(), Some(403));
        call(Method::POST, &session.csrf).await.unwrap();
        app.logout(&session);
        assert_eq!(call(Method::GET, "").await.err(), Some(401));
        assert!(
            app.login(
                Peer([127, 0, 0, 1].into()),
                "ana".into(),
                PASSWORD.into(),
                Transport::Browser
            )
            .await
            .is_ok()
        );
    }

    #[tokio::test]
    async fn forms_need_a_session_and_its_csrf_token() {
        let (_folder, app, new) = browser().await;
        let cookie = pair(&new);
        let post = async |cookie: &str, body: &str| {
            let headers = [
                ("cookie", cookie),
                ("content-type", "application/x-www-form-urlencoded"),
            ];
            let request = request(Method::POST, &headers, body);
            CsrfForm::<BTreeMap<String, String>>::from_request(request, &app).await
        };
        let (mut parts, _) =
            request(Method::GET, &[("cookie", &format!("a=b; {cookie}"))], "").into_parts();
        let Ok(MaybeSession(session)) = MaybeSession::from_request_parts(&mut parts, &app).await;
        let csrf = session.unwrap().csrf;
        let sent = post(&cookie, &format!("name=x+y&csrf={csrf}"))
            .await
            .unwrap();
        assert_eq!(sent.form["name"], "x y");
        assert_eq!(sent.session.user, "ana");
        for (cookie, body, denied) in [
            (cookie.as_str(), "name=x", Denied::Csrf),
            (&cookie, "name=x&csrf=", Denied::Csrf),
            ("__Host-colca=00", "name=x", Denied::NotLoggedIn),
            ("", &format!("csrf={csrf}"), Denied::NotLoggedIn),
        ] {
            assert_eq!(
                post(cookie, body).await.unwrap_err(),
                denied,
                "{cookie:?} {body}"
            );
        }
    }
}
