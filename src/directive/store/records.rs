//! The kinds of records, and reading them.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Error, parse};
use crate::directive::hold::LegalHold;
use crate::directive::incident::{Incident, Sheet, Storm};
use crate::directive::register::{Register, RegisterVersion, Scope};
use crate::directive::request::Request;
use crate::directive::restore_test::RestoreTest;
use crate::directive::roles::TwoPersons;
use crate::directive::schedule::Holidays;
use crate::directive::test_plan::{TestPlan, TestPlanVersion};
use crate::directive::verification::Verification;

/// Something that is kept.
pub trait Record: Serialize + DeserializeOwned {
    /// Its kind's name in the database; never changes.
    const KIND: &'static str;
    /// Its name among its kind; keys sort as the records should.
    fn key(&self) -> String;
}

impl Record for RegisterVersion {
    const KIND: &'static str = "register";
    fn key(&self) -> String {
        format!("{:08}", self.number())
    }
}

impl Record for TestPlanVersion {
    const KIND: &'static str = "test-plan";
    fn key(&self) -> String {
        format!("{:04}/{:08}", self.content().year, self.number())
    }
}

impl Record for RestoreTest {
    const KIND: &'static str = "restore-test";
    fn key(&self) -> String {
        let line = self.line();
        format!("{:04}/{:08}", line.planned_on.year(), line.seq)
    }
}

impl Record for Verification {
    const KIND: &'static str = "verification";
    fn key(&self) -> String {
        let scope = match self.scope() {
            Scope::Internal => "internal",
            Scope::External => "external",
        };
        format!("{}/{scope}", self.date())
    }
}

impl Record for Incident {
    const KIND: &'static str = "incident";
    fn key(&self) -> String {
        self.id.clone()
    }
}

impl Record for Request {
    const KIND: &'static str = "request";
    fn key(&self) -> String {
        self.id().to_owned()
    }
}

impl Record for TwoPersons {
    const KIND: &'static str = "two-persons";
    fn key(&self) -> String {
        self.id.clone()
    }
}

impl Record for LegalHold {
    const KIND: &'static str = "legal-hold";
    fn key(&self) -> String {
        self.order().id.clone()
    }
}

/// There is one of each.
macro_rules! single {
    ($($kind:ty: $name:literal),*) => {$(
        impl Record for $kind {
            const KIND: &'static str = $name;
            fn key(&self) -> String {
                String::new()
            }
        }
    )*};
}
single!(Sheet: "service-levels", Holidays: "holidays", Storm: "alerts");

/// Reading records, from the store or within a change.
pub trait Records {
    /// A record's bytes.
    fn bytes(&self, kind: &str, key: &str) -> Result<Option<Vec<u8>>, Error>;

    /// The keys and bytes of all records of a kind, in the order of their keys.
    fn all_bytes(&self, kind: &str) -> Result<Vec<(String, Vec<u8>)>, Error>;

    /// A record by its key.
    fn get<R: Record>(&self, key: &str) -> Result<Option<R>, Error> {
        let bytes = self.bytes(R::KIND, key)?;
        bytes.map(|bytes| parse(R::KIND, key, &bytes)).transpose()
    }

    /// All records of a kind, in the order of their keys.
    fn all<R: Record>(&self) -> Result<Vec<R>, Error> {
        let all = self.all_bytes(R::KIND)?;
        all.iter()
            .map(|(key, bytes)| parse(R::KIND, key, bytes))
            .collect()
    }

    /// The register, with all its versions.
    fn register(&self) -> Result<Register, Error> {
        Ok(Register::try_from(self.all::<RegisterVersion>()?)?)
    }

    /// A year's test plan, with all its versions.
    fn plan(&self, year: i16) -> Result<TestPlan, Error> {
        let mut versions = self.all::<TestPlanVersion>()?;
        versions.retain(|version| version.content().year == year);
        Ok(TestPlan::try_from(versions)?)
    }
}
