//! The external provider: how to enter, how replication stands, replicate now.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::errors::Fault;
use super::icons::{self, icon};
use super::layout::{self, Head, Section};
use super::parts::{self, Field, Level};
use super::visit::{Fields, Mistakes, Posted, Visit};
use super::{jobs, links};
use crate::panel::texts::Key;
use crate::service::{NewProvider, ProviderView};

/// State and form.
pub async fn show(visit: Visit) -> Result<Response, Fault> {
    let view = visit.ask(|s| s.provider()).await?;
    let fields = if view.configured {
        let pairs = [
            ("endpoint", &view.endpoint),
            ("region", &view.region),
            ("bucket", &view.bucket),
            ("prefix", &view.prefix),
            ("access_key", &view.access_key),
        ];
        let mut all: Vec<(String, String)> = pairs
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).clone()))
            .collect();
        if let Some(pem) = &view.ca_pem {
            all.push(("ca_pem".to_owned(), pem.clone()));
        }
        Fields(all)
    } else {
        Fields::default()
    };
    Ok(page(&visit, &view, &fields, &Mistakes::default(), None))
}

fn page(
    visit: &Visit,
    view: &ProviderView,
    fields: &Fields,
    mistakes: &Mistakes,
    trouble: Option<Markup>,
) -> Response {
    let l = visit.l;
    let failed = trouble.is_some() || !mistakes.none();
    let title = l.t("nav-provider");
    let body = html! {
        (layout::heading(&title, &l.t("provider-lead"), html! {}))
        @if let Some(trouble) = trouble { div role="alert" { (trouble) } }
        @if view.configured { (state(visit, view)) }
        (form(visit, view, fields, mistakes))
    };
    let mut head = Head::new(Section::Provider, &title);
    head.refresh = view.job.is_some().then_some(5);
    let page = visit.page(head, body);
    if failed {
        (StatusCode::UNPROCESSABLE_ENTITY, page).into_response()
    } else {
        page
    }
}

fn state(visit: &Visit, view: &ProviderView) -> Markup {
    let l = visit.l;
    html! {
        section.card aria-labelledby="state" {
            h2 #state { (l.t("provider-state")) }
            dl.facts {
                dt { (l.t("provider-last-success")) }
                dd {
                    @if let Some(at) = view.last_success { (parts::when_ago(l, at)) }
                    @else { (parts::badge(Level::Warn, &l.t("never"))) }
                }
                @if let Some(job) = &view.last {
                    dt { (l.t("provider-last")) }
                    dd {
                        (jobs::state(l, job.state)) " "
                        a href=(links::job(job.id)) { (l.t("see-job")) }
                    }
                }
            }
            @if let Some(job) = view.job {
                p { a.button.plain href=(links::job(job)) { (icon(icons::RUN)) (l.t("see-progress")) } }
            } @else {
                (parts::post_button(visit.csrf(), links::REPLICATE, "", icons::START, &l.t("replicate-now")))
            }
        }
    }
}

fn form(visit: &Visit, view: &ProviderView, fields: &Fields, mistakes: &Mistakes) -> Markup {
    let l = visit.l;
    let secret_hint = if view.configured {
        l.t("provider-secret-stored")
    } else {
        l.t("provider-secret-hint")
    };
    let secret_label = l.t("provider-secret");
    let secret = Field::password("secret_key", &secret_label, "off")
        .hint(&secret_hint)
        .error(mistakes.of("secret_key"));
    let secret = if view.configured {
        secret.optional()
    } else {
        secret
    };
    let text = |name: &'static str, label: &str, hint: Option<&str>, optional: bool| {
        let mut field = Field::text(name, label)
            .value(fields.get(name))
            .error(mistakes.of(name));
        field.hint = hint;
        field.optional = optional;
        field.render()
    };
    html! {
        form.card method="post" action=(links::PROVIDER) {
            h2 { (l.t("provider-access")) }
            (parts::csrf(visit.csrf()))
            (text("endpoint", &l.t("provider-endpoint"), Some(&l.t("provider-endpoint-hint")), false))
            (text("region", &l.t("provider-region"), Some(&l.t("provider-region-hint")), false))
            (text("bucket", &l.t("provider-bucket"), Some(&l.t("provider-bucket-hint")), false))
            (text("prefix", &l.t("provider-prefix"), Some(&l.t("provider-prefix-hint")), true))
            (text("access_key", &l.t("provider-access-key"), None, false))
            (secret.render())
            (Field::text("ca_pem", &l.t("provider-ca"))
                .hint(&l.t("provider-ca-hint"))
                .value(fields.get("ca_pem"))
                .optional()
                .area())
            button.button type="submit" { (icon(icons::PROVIDER)) (l.t("provider-save")) }
        }
    }
}

/// Checks access and remembers the provider.
pub async fn save(Posted { visit, fields }: Posted) -> Result<Response, Fault> {
    let l = visit.l;
    let view = visit.ask(|s| s.provider()).await?;
    let mut mistakes = Mistakes::default();
    let endpoint = fields.get("endpoint");
    if !endpoint.starts_with("https://") && !endpoint.starts_with("http://") {
        mistakes.add("endpoint", l.t("provider-endpoint-wrong"));
    }
    for name in ["region", "bucket", "access_key"] {
        if fields.get(name).is_empty() {
            mistakes.add(name, l.t("field-empty"));
        }
    }
    if !view.configured && fields.get("secret_key").is_empty() {
        mistakes.add("secret_key", l.t("field-empty"));
    }
    if !mistakes.none() {
        return Ok(page(&visit, &view, &fields, &mistakes, None));
    }
    let new = NewProvider {
        endpoint: endpoint.to_owned(),
        region: fields.get("region").to_owned(),
        bucket: fields.get("bucket").to_owned(),
        prefix: fields.get("prefix").to_owned(),
        access_key: fields.get("access_key").to_owned(),
        secret_key: fields.filled("secret_key"),
        ca_pem: fields
            .filled("ca_pem")
            .map(|p| p.replace("\r\n", "\n") + "\n"),
    };
    match visit.ask(move |s| s.set_provider(&new)).await {
        Ok(_) => Ok(visit.done(
            links::PROVIDER,
            Level::Good,
            l.t("provider-saved"),
            l.t("provider-saved-next"),
        )),
        Err(fault) => {
            let trouble = fault.refusal(l, Key("fail-provider"));
            Ok(page(&visit, &view, &fields, &mistakes, Some(trouble)))
        }
    }
}

/// Replicates now and goes to the job.
pub async fn replicate(Posted { visit, .. }: Posted) -> Response {
    let l = visit.l;
    match visit.ask(|s| s.run_replicate()).await {
        Ok(job) => Redirect::to(&links::job(job)).into_response(),
        Err(fault) => {
            let (title, body) = fault.words(l);
            visit.done(links::PROVIDER, Level::Bad, title, body)
        }
    }
}
