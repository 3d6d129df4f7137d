//! Disks that join the pool, leave it, or take another's place, step by step:
//! what is at risk now and until when, which disk, how far it is, and when the
//! old one may be pulled. Where it stands is read from the pool each time, so
//! the page may be left and come back to, also after a restart.

mod add;

use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::disk::{identify_button, trail};
use super::errors::Fault;
use super::icons::{self, icon};
use super::layout::{self, Head, Section};
use super::parts::{self, Field, Level};
use super::visit::{Fields, Posted, Visit};
use super::{disk_words, format, links, live};
use crate::jobs::JobState;
use crate::panel::texts::{Key, Language};
use crate::pool::{MemberState, MemberStatus};
use crate::service::{DiskView, JobKind, JobView, NewDisk, PoolCare, PoolView};

pub use add::{add, add_now};

/// Seconds after which a page that waits for something looks again.
const WAIT: u32 = 3;

/// What every page here is made from.
struct Now {
    pool: PoolView,
    disks: Vec<DiskView>,
    care: PoolCare,
    /// The settle that runs or waits, else the newest.
    settle: Option<JobView>,
}

impl Now {
    async fn ask(visit: &Visit) -> Result<Self, Fault> {
        let asked = visit
            .ask(|s| {
                let settle = s.jobs().into_iter().find(|j| j.kind == JobKind::Settle);
                Ok((s.pool(), s.disk_views()?, s.pool_care()?, settle))
            })
            .await?;
        let (pool, disks, care, settle) = asked;
        let pool = pool.ok_or_else(|| Fault::missing("there is no pool yet"))?;
        Ok(Self {
            pool,
            disks,
            care,
            settle,
        })
    }

    fn member(&self, label: &str) -> Option<&MemberStatus> {
        let mut members = self.pool.status.members.iter();
        members.find(|m| m.label == label)
    }

    fn disk(&self, called: &str) -> Option<&DiskView> {
        self.disks.iter().find(|d| d.called == called)
    }

    fn offered(&self) -> impl Iterator<Item = &DiskView> {
        self.disks.iter().filter(|d| d.offered())
    }

    /// How many more disks may fail.
    fn margin(&self) -> u64 {
        let members = self.pool.status.members.iter();
        let away = members.filter(|m| m.state == MemberState::Missing).count();
        let parity = usize::from(self.pool.status.redundancy.parity);
        u64::try_from(parity.saturating_sub(away)).unwrap_or(0)
    }

    /// About how many seconds it takes to fill the place of a member.
    fn seconds(&self, old: &str) -> Option<u64> {
        let used = |m: &MemberStatus| m.total.saturating_sub(m.free);
        let there = |m: &&MemberStatus| m.state != MemberState::Missing;
        let bytes = match self.member(old).filter(there) {
            Some(member) => used(member),
            // As full as the fullest other.
            None => {
                let members = self.pool.status.members.iter();
                members.filter(there).map(used).max()?
            }
        };
        (self.care.settle_rate > 0).then(|| bytes / self.care.settle_rate)
    }
}

/// What is at risk now, and until when.
fn risk(l: Language, now: &Now, old: &str) -> Markup {
    let margin = now.margin();
    let level = if margin > 0 { Level::Info } else { Level::Warn };
    let title = l.f("risk-now", [("n", margin.into())]);
    let away = now
        .member(old)
        .is_none_or(|m| m.state == MemberState::Missing);
    parts::notice(
        level,
        &title,
        html! {
            p {
                @if away { (l.t("risk-until-rebuilt")) } @else { (l.t("risk-until-moved")) }
                @if let Some(seconds) = now.seconds(old).filter(|s| *s > 0) {
                    " " (l.f("risk-time", [("time", format::duration(seconds).into())]))
                }
            }
        },
    )
}

/// A form that could not be carried out answers with this.
fn with_status(refused: bool, page: Response) -> Response {
    match refused {
        true => (StatusCode::UNPROCESSABLE_ENTITY, page).into_response(),
        false => page,
    }
}

/// Which disk takes the place of another.
pub async fn replace(
    visit: Visit,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Fault> {
    let now = Now::ask(&visit).await?;
    replace_form(&visit, &now, &Fields(query), None, None)
}

fn replace_form(
    visit: &Visit,
    now: &Now,
    fields: &Fields,
    mistake: Option<Key>,
    trouble: Option<Markup>,
) -> Result<Response, Fault> {
    let l = visit.l;
    let old = fields.get("old");
    if now.member(old).is_none() {
        return Err(Fault::missing(format!(
            "disk {old} is no member of the pool"
        )));
    }
    let title = l.f("replace-title", [("disk", old.into())]);
    let refused = mistake.is_some() || trouble.is_some();
    let any = now.offered().next().is_some();
    let body = html! {
        (trail(l, old))
        (layout::heading(&title, &l.t("replace-lead"), html! {
            @if let Some(view) = now.disk(old).filter(|v| v.there) { (identify_button(visit, view, "plain")) }
        }))
        @if let Some(trouble) = trouble { div role="alert" { (trouble) } }
        (risk(l, now, old))
        @if any {
            form.card method="post" action=(links::REPLACE) {
                (parts::csrf(visit.csrf()))
                input type="hidden" name="old" value=(old);
                fieldset {
                    legend { (l.t("replace-by")) }
                    @for view in now.offered() {
                        (parts::choice("disk", &view.called, fields.get("disk") == view.called,
                            &view.called, &about(l, view)))
                    }
                }
                (confirm_field(l, fields, "confirm", mistake))
                div.actions {
                    button.button type="submit" { (icon(icons::RUN)) (l.t("replace-button")) }
                    a.button.plain href=(links::disk(old)) { (l.t("back")) }
                }
            }
        } @else { (nothing_offered(l)) }
    };
    let mut head = Head::new(Section::Disks, &title);
    // A new disk appears by itself.
    head.refresh = (!any).then_some(WAIT);
    Ok(with_status(refused, visit.page(head, body)))
}

/// A disk that is offered, in a line.
fn about(l: Language, view: &DiskView) -> String {
    let disk = &view.disk;
    let mut parts = Vec::new();
    if let Some(slot) = &disk.slot {
        parts.push(l.f("in-slot", [("slot", slot.into())]).into_owned());
    }
    parts.extend((!disk.model.is_empty()).then(|| disk.model.clone()));
    parts.push(format::size(l, disk.size));
    parts.push(disk_words::place(l, view.place));
    parts.join(" · ")
}

fn confirm_field(l: Language, fields: &Fields, name: &str, mistake: Option<Key>) -> Markup {
    let error = mistake.map(|key| l.t(key));
    Field::text(name, &l.t("new-disk-confirm"))
        .hint(&l.t("new-disk-confirm-hint"))
        .value(fields.get(name))
        .error(error.as_deref())
        .class("code")
        .render()
}

fn nothing_offered(l: Language) -> Markup {
    html! { div.card data-reload=(WAIT) { (parts::empty(&l.t("new-disk-none"), html! {})) } }
}

/// Replaces a disk.
pub async fn replace_now(Posted { visit, fields }: Posted) -> Result<Response, Fault> {
    let (old, disk) = (fields.get("old").to_owned(), fields.get("disk").to_owned());
    let mistake = match fields.get("confirm") {
        _ if disk.is_empty() => Some(Key("new-disk-choose")),
        typed if typed != disk => Some(Key("confirm-differs")),
        _ => None,
    };
    if mistake.is_some() {
        let now = Now::ask(&visit).await?;
        return replace_form(&visit, &now, &fields, mistake, None);
    }
    let new = NewDisk {
        confirm: disk.clone(),
        disk: disk.clone(),
        spare: false,
    };
    let asked = old.clone();
    match visit.ask(move |s| s.replace_disk(&asked, &new)).await {
        Ok(_) => Ok(Redirect::to(&links::leaving(&old, Some(&disk))).into_response()),
        Err(fault) => {
            let trouble = fault.refusal(visit.l, Key("fail-replace"));
            let now = Now::ask(&visit).await?;
            replace_form(&visit, &now, &fields, None, Some(trouble))
        }
    }
}

/// Asks before a disk leaves.
pub async fn retire(
    visit: Visit,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Fault> {
    let l = visit.l;
    let now = Now::ask(&visit).await?;
    let fields = Fields(query);
    let old = fields.get("old");
    let Some(member) = now.member(old) else {
        return Err(Fault::missing(format!(
            "disk {old} is no member of the pool"
        )));
    };
    // What holds nothing, or is not there, has nothing to be moved.
    let at_once = member.state == MemberState::Spare || member.state == MemberState::Missing;
    let title = match at_once {
        true => l.f("leave-title", [("disk", old.into())]),
        false => l.f("retire-title", [("disk", old.into())]),
    };
    let lead = match member.state {
        MemberState::Spare => l.t("remove-spare-lead"),
        MemberState::Missing => l.t("remove-missing-lead"),
        MemberState::Online | MemberState::Retiring => l.t("retire-lead"),
    };
    let body = html! {
        (trail(l, old))
        (layout::heading(&title, &lead, html! {}))
        @if !at_once { (risk(l, &now, old)) }
        form.card method="post" action=(links::RETIRE) {
            (parts::csrf(visit.csrf()))
            input type="hidden" name="old" value=(old);
            div.actions {
                button.button.danger type="submit" {
                    (icon(icons::REMOVE))
                    @if at_once { (l.t("remove-button")) } @else { (l.t("retire-button")) }
                }
                a.button.plain href=(links::disk(old)) { (l.t("back")) }
            }
        }
    };
    Ok(visit.page(Head::new(Section::Disks, &title), body))
}

/// Lets a disk leave.
pub async fn retire_now(Posted { visit, fields }: Posted) -> Result<Response, Fault> {
    let l = visit.l;
    let old = fields.get("old").to_owned();
    let now = Now::ask(&visit).await?;
    let state = now.member(&old).map(|m| m.state);
    let asked = old.clone();
    let at_once = matches!(state, Some(MemberState::Spare | MemberState::Missing));
    let done = match at_once {
        true => visit.ask(move |s| s.remove_disk(&asked)).await,
        false => visit.ask(move |s| s.retire_disk(&asked).map(drop)).await,
    };
    Ok(match done {
        Ok(()) if at_once => visit.done(links::DISKS, Level::Good, l.t("remove-done"), ""),
        Ok(()) => Redirect::to(&links::leaving(&old, None)).into_response(),
        Err(fault) => {
            let (title, body) = fault.words(l);
            visit.done(&links::disk(&old), Level::Bad, title, body)
        }
    })
}

/// A disk that was about to leave stays.
pub async fn keep(Posted { visit, fields }: Posted) -> Response {
    let l = visit.l;
    let old = fields.get("old").to_owned();
    let asked = old.clone();
    match visit.ask(move |s| s.keep_disk(&asked)).await {
        Ok(_) => visit.done(&links::disk(&old), Level::Good, l.t("keep-done"), ""),
        Err(fault) => {
            let (title, body) = fault.words(l);
            visit.done(&links::disk(&old), Level::Bad, title, body)
        }
    }
}

/// How far a disk that leaves is.
pub async fn leaving(
    visit: Visit,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Fault> {
    let l = visit.l;
    let now = Now::ask(&visit).await?;
    let fields = Fields(query);
    let (old, new) = (fields.get("old"), fields.get("new"));
    let gone = now.member(old).is_none();
    let title = match new {
        "" => l.f("leaving-title", [("disk", old.into())]),
        new => l.f(
            "replacing-title",
            [("old", old.into()), ("new", new.into())],
        ),
    };
    let view = now.disk(old);
    let slot = view.and_then(|v| v.disk.slot.clone());
    let running = now.settle.as_ref().filter(|j| !j.state.ended());
    let step = |done: bool, next: bool| match (done, next) {
        (true, _) => "done",
        (false, true) => "next",
        (false, false) => "later",
    };
    let body = html! {
        (trail(l, old))
        (layout::heading(&title, &l.t("leaving-lead"), html! {}))
        @if !gone { (risk(l, &now, old)) }
        section.card aria-labelledby="steps" {
            h2 #steps { (l.t("leaving-steps")) }
            ol.steps {
                li.done {
                    div {
                        h3 { @if new.is_empty() { (l.t("step-marked")) } @else { (l.f("step-ready", [("disk", new.into())])) } }
                    }
                }
                li.(step(gone, true)) {
                    div {
                        h3 { (l.t("step-move")) }
                        @if !gone { (moving(l, running, now.settle.as_ref())) }
                    }
                }
                li.(step(false, gone)) {
                    div {
                        h3 { (l.t("step-pull")) }
                        @if gone {
                            @match &slot {
                                Some(slot) => p { strong { (l.f("pull-slot", [("disk", old.into()), ("slot", slot.into())])) } },
                                None => p { strong { (l.f("pull-now", [("disk", old.into())])) } },
                            }
                            @if let Some(view) = view.filter(|v| v.there) { (identify_button(&visit, view, "plain")) }
                        } @else { p.soft { (l.t("do-retiring")) } }
                    }
                }
            }
        }
        p { a href=(links::DISKS) { (l.t("see-disks")) } }
    };
    let mut head = Head::new(Section::Disks, &title);
    head.refresh = (!gone).then_some(WAIT);
    Ok(visit.page(head, body))
}

fn moving(l: Language, running: Option<&JobView>, newest: Option<&JobView>) -> Markup {
    html! {
        @if let Some(job) = running {
            div data-live=(links::live(job.id, true)) { (live::short(l, job, None)) }
            p { a href=(links::job(job.id)) { (l.t("see-job")) } }
        } @else if let Some(job) = newest.filter(|j| j.state != JobState::Done) {
            (parts::notice(Level::Warn, &l.t("find-pool-waits"), html! {
                p data-reload=(WAIT) { (l.t("find-pool-waits-do")) }
                p { a href=(links::job(job.id)) { (l.t("see-job")) } }
            }))
        } @else { p.soft data-reload=(WAIT) { (l.t("step-move-soon")) } }
    }
}

/// What a person can do with a disk, on its page.
pub(super) fn actions(visit: &Visit, view: &DiskView) -> Markup {
    use crate::service::Place;
    let l = visit.l;
    let link = |to: String, class: &str, mark, text: std::borrow::Cow<'_, str>| {
        html! { a.button.(class) href=(to) { (icon(mark)) (text) } }
    };
    html! {
        @match view.place {
            Place::Member => {
                (link(links::replace(&view.called), "", icons::RUN, l.t("action-replace")))
                @if view.there { (link(links::retire(&view.called), "plain", icons::LEAVE, l.t("action-retire"))) }
                @else { (link(links::retire(&view.called), "danger", icons::REMOVE, l.t("action-remove"))) }
            }
            Place::Spare => { (link(links::retire(&view.called), "plain", icons::REMOVE, l.t("action-remove"))) }
            Place::Retiring => {
                (link(links::leaving(&view.called, None), "plain", icons::INFO, l.t("action-progress")))
                form method="post" action=(links::KEEP) {
                    (parts::csrf(visit.csrf()))
                    input type="hidden" name="old" value=(view.called);
                    button.button.plain type="submit" { (icon(icons::GOOD)) (l.t("action-keep")) }
                }
            }
            _ if view.offered() => { (link(links::ADD_DISKS.to_owned(), "", icons::ADD, l.t("action-add"))) }
            _ => {}
        }
    }
}
