//! The external provider: how to enter, how replication stands, replicate now.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::errors::Fault;
use super::icons::{self, icon};
use super::layout::{self, Head, Section};
use super::parts::{self, Field, Level};
use super::visit::{Fields, Mistakes, Posted, Visit};
use super::{format, jobs, links};
use crate::panel::texts::{Key, Language};
use crate::provider::LockMode;
use crate::service::{NewProvider, ProviderOptions, ProviderView};

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
        let options = &view.options;
        let lock = options
            .lock
            .and_then(|mode| serde_json::to_value(mode).ok());
        if let Some(lock) = lock.as_ref().and_then(serde_json::Value::as_str) {
            all.push(("lock".to_owned(), lock.to_owned()));
        }
        if options.lock_days > 0 {
            all.push(("lock_days".to_owned(), options.lock_days.to_string()));
        }
        all.push(("bandwidth".to_owned(), options.limits.bandwidth.to_string()));
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
            (outside(l, view))
            @if let Some(job) = view.job {
                p { a.button.plain href=(links::job(job)) { (icon(icons::RUN)) (l.t("see-progress")) } }
            } @else {
                div.actions {
                    (parts::post_button(visit.csrf(), links::REPLICATE, "", icons::START, &l.t("replicate-now")))
                    (parts::post_button(visit.csrf(), links::INSPECT, "plain", icons::RUN, &l.t("provider-inspect")))
                    @if view.options.lock.is_some() {
                        (parts::post_button(visit.csrf(), links::PROBE, "plain", icons::RUN, &l.t("provider-probe")))
                    }
                }
            }
        }
    }
}

/// What is out there, and how it is protected.
fn outside(l: Language, view: &ProviderView) -> Markup {
    let lock = match view.options.lock {
        None => l.t("provider-lock-none").into_owned(),
        Some(mode) => {
            let days = [("days", u64::from(view.options.lock_days).into())];
            match mode {
                LockMode::Governance => l.f("provider-lock-governance", days),
                LockMode::Compliance => l.f("provider-lock-compliance", days),
            }
            .into_owned()
        }
    };
    let bandwidth = view.options.limits.bandwidth.to_string();
    html! {
        dl.facts {
            @if let Some(found) = &view.inspection {
                @if let Some(at) = found.time {
                    dt { (l.t("provider-inspected")) }
                    dd { (parts::when_ago(l, at)) }
                }
                dt { (l.t("provider-stored")) }
                dd { (format::size(l, found.stored_bytes)) }
                dt { (l.t("provider-lag")) }
                dd {
                    @if found.lag_objects == 0 { (l.t("provider-lag-none")) }
                    @else { (format::size(l, found.lag_bytes)) }
                }
                @if found.bad > 0 {
                    dt { (l.t("provider-bad")) }
                    dd { (parts::badge(Level::Bad, &format::count(l, found.bad))) }
                }
            }
            dt { (l.t("provider-lock")) }
            dd { (lock) }
            @if let Some(probe) = &view.probe {
                dt { (l.t("provider-probed")) }
                dd {
                    (parts::when_ago(l, probe.time)) " "
                    @if !probe.held { (parts::badge(Level::Bad, &l.t("provider-probe-open"))) }
                    @else if probe.can_bypass == Some(true) { (parts::badge(Level::Warn, &l.t("provider-probe-bypass"))) }
                    @else { (parts::badge(Level::Good, &l.t("provider-probe-held"))) }
                }
            }
            @if !bandwidth.is_empty() {
                dt { (l.t("provider-bandwidth")) }
                dd { (bandwidth) }
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
            fieldset {
                legend { (l.t("provider-lock")) }
                p.soft { (l.t("provider-lock-hint")) }
                @for (value, key) in LOCKS {
                    (parts::choice("lock", value, lock_of(fields) == value, &l.t(key), ""))
                }
            }
            (text("lock_days", &l.t("provider-lock-days"), Some(&l.t("provider-lock-days-hint")), true))
            (text("bandwidth", &l.t("provider-bandwidth"), Some(&l.t("provider-bandwidth-hint")), true))
            button.button type="submit" { (icon(icons::PROVIDER)) (l.t("provider-save")) }
        }
    }
}

/// The ways to lock, and their texts.
const LOCKS: [(&str, Key); 3] = [
    ("none", Key("provider-lock-none")),
    ("governance", Key("provider-lock-governance-name")),
    ("compliance", Key("provider-lock-compliance-name")),
];

fn lock_of(fields: &Fields) -> &str {
    match fields.get("lock") {
        "" => "none",
        other => other,
    }
}

/// The options a person may choose here; the others stay as they are.
fn chosen(
    l: Language,
    fields: &Fields,
    view: &ProviderView,
    mistakes: &mut Mistakes,
) -> ProviderOptions {
    let mut options = view.options.clone();
    options.lock = lock_of(fields).parse().ok();
    options.lock_days = match fields.get("lock_days") {
        "" => 0,
        days => days.parse().unwrap_or_default(),
    };
    if options.lock.is_some() && !(1..=36_500).contains(&options.lock_days) {
        mistakes.add("lock_days", l.t("provider-lock-days-wrong"));
    }
    match fields.get("bandwidth").parse() {
        Ok(schedule) => options.limits.bandwidth = schedule,
        Err(_) => mistakes.add("bandwidth", l.t("provider-bandwidth-wrong")),
    }
    options
}

/// Inspects the replica now and goes to the job.
pub async fn inspect(Posted { visit, .. }: Posted) -> Response {
    let l = visit.l;
    match visit.ask(|s| s.run_inspect(None)).await {
        Ok(job) => Redirect::to(&links::job(job)).into_response(),
        Err(fault) => {
            let (title, body) = fault.words(l);
            visit.done(links::PROVIDER, Level::Bad, title, body)
        }
    }
}

/// Probes the lock and says what came of it.
pub async fn probe(Posted { visit, .. }: Posted) -> Response {
    let l = visit.l;
    let (level, title, body) = match visit.ask(|s| s.probe_provider()).await {
        Ok(found) if found.held => (
            Level::Good,
            l.t("provider-probe-good").into_owned(),
            l.t("provider-probe-good-body").into_owned(),
        ),
        Ok(_) => (
            Level::Bad,
            l.t("provider-probe-bad").into_owned(),
            l.t("provider-probe-bad-body").into_owned(),
        ),
        Err(fault) => {
            let (title, body) = fault.words(l);
            return visit.done(links::PROVIDER, Level::Bad, title, body);
        }
    };
    visit.done(links::PROVIDER, level, title, body)
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
    let options = chosen(l, &fields, &view, &mut mistakes);
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
        options: Some(options),
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
