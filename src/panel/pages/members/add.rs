//! Disks that join the pool.

use axum::response::Response;
use maud::{Markup, html};

use super::super::disk::trail;
use super::super::errors::Fault;
use super::super::icons::{self, icon};
use super::super::layout::{self, Head, Section};
use super::super::links;
use super::super::parts::{self, Field, Level};
use super::super::visit::{Fields, Posted, Visit};
use super::{Now, WAIT, about, nothing_offered, with_status};
use crate::panel::texts::{Key, Language};
use crate::service::{DiskView, NewDisk};

/// Which disks join the pool.
pub async fn add(visit: Visit) -> Result<Response, Fault> {
    let now = Now::ask(&visit).await?;
    Ok(add_form(&visit, &now, &Fields::default(), &[], None))
}

fn add_form(
    visit: &Visit,
    now: &Now,
    fields: &Fields,
    mistakes: &[(String, Key)],
    trouble: Option<Markup>,
) -> Response {
    let l = visit.l;
    let title = l.t("add-disks-title");
    let refused = trouble.is_some() || !mistakes.is_empty();
    let any = now.offered().next().is_some();
    let body = html! {
        (trail(l, &title))
        (layout::heading(&title, &l.t("add-disks-lead"), html! {}))
        @if let Some(trouble) = trouble { div role="alert" { (trouble) } }
        @if any {
            form method="post" action=(links::ADD_DISKS) {
                (parts::csrf(visit.csrf()))
                @for view in now.offered() { (one_to_add(l, view, fields, mistakes)) }
                div.actions {
                    button.button type="submit" { (icon(icons::ADD)) (l.t("add-disks-button")) }
                    a.button.plain href=(links::DISKS) { (l.t("back")) }
                }
                p.soft { (l.t("new-pool-patience-add")) }
            }
        } @else { (nothing_offered(l)) }
    };
    let mut head = Head::new(Section::Disks, &title);
    head.refresh = (!any).then_some(WAIT);
    with_status(refused, visit.page(head, body))
}

fn one_to_add(l: Language, view: &DiskView, fields: &Fields, mistakes: &[(String, Key)]) -> Markup {
    let called = &view.called;
    let (role, confirm) = (format!("disk.{called}"), format!("confirm.{called}"));
    let now = fields.get(&role);
    let mistake = mistakes.iter().find(|(disk, _)| disk == called);
    let error = mistake.map(|(_, key)| l.t(*key));
    html! {
        fieldset.card {
            legend.hidden-text { (called) }
            h2 aria-hidden="true" { span.mono { (called) } }
            p { (about(l, view)) }
            div.field {
                label for=(role) { (l.t("col-use")) }
                select #(role) name=(role) {
                    option value="" { (l.t("use-none")) }
                    option value="data" selected[now == "data"] { (l.t("use-data")) }
                    option value="spare" selected[now == "spare"] { (l.t("use-spare")) }
                }
            }
            (Field::text(&confirm, &l.f("confirm-label", [("disk", called.into())]))
                .value(fields.get(&confirm))
                .error(error.as_deref())
                .class("code")
                .optional()
                .render())
        }
    }
}

/// Lets disks join the pool.
pub async fn add_now(Posted { visit, fields }: Posted) -> Result<Response, Fault> {
    let l = visit.l;
    let mut new = Vec::new();
    let mut mistakes = Vec::new();
    for (disk, role) in fields.with_prefix("disk.").filter(|(_, r)| !r.is_empty()) {
        if fields.get(&format!("confirm.{disk}")) != disk {
            mistakes.push((disk.to_owned(), Key("confirm-differs")));
        }
        new.push(NewDisk {
            disk: disk.to_owned(),
            confirm: disk.to_owned(),
            spare: role == "spare",
        });
    }
    if !mistakes.is_empty() {
        let now = Now::ask(&visit).await?;
        return Ok(add_form(&visit, &now, &fields, &mistakes, None));
    }
    if new.is_empty() {
        return Ok(visit.done(links::ADD_DISKS, Level::Warn, l.t("choose-none-add"), ""));
    }
    match visit.ask(move |s| s.add_disks(&new)).await {
        Ok(_) => Ok(visit.done(
            links::DISKS,
            Level::Good,
            l.t("add-disks-done"),
            l.t("add-disks-done-what"),
        )),
        Err(fault) => {
            let trouble = fault.refusal(l, Key("fail-add-disks"));
            let now = Now::ask(&visit).await?;
            Ok(add_form(&visit, &now, &fields, &[], Some(trouble)))
        }
    }
}
