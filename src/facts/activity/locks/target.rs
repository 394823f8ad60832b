//! What a lock is on, in the words of pg_locks, and its name.

use super::relation_names::RelationName;

/// A lock's tag as the server has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tag {
    pub kind: u8,
    pub fields: [u32; 3],
    pub field4: u16,
    pub method: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Relation,
    Extend,
    FrozenIds,
    Page,
    Tuple,
    Transaction,
    VirtualTransaction,
    SpeculativeToken,
    Object,
    UserLock,
    Advisory,
    ApplyTransaction,
    /// No lock: a transaction that is SERIALIZABLE READ ONLY DEFERRABLE waits for a snapshot.
    SafeSnapshot,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub kind: Kind,
    /// 0: of the whole cluster, or of no database.
    pub database: u32,
    pub relation: Option<u32>,
    /// `relation public.orders`, `row (12,3) of public.orders`, `transaction 4711` …
    pub name: String,
}

impl Tag {
    pub fn kind(&self) -> Kind {
        match self.kind {
            0 => Kind::Relation,
            1 => Kind::Extend,
            2 => Kind::FrozenIds,
            3 => Kind::Page,
            4 => Kind::Tuple,
            5 => Kind::Transaction,
            6 => Kind::VirtualTransaction,
            7 => Kind::SpeculativeToken,
            8 => Kind::Object,
            9 => Kind::UserLock,
            10 => Kind::Advisory,
            _ => Kind::ApplyTransaction,
        }
    }

    /// Database and relation.
    pub fn relation(&self) -> Option<(u32, u32)> {
        matches!(self.kind(), Kind::Relation | Kind::Extend | Kind::Page | Kind::Tuple)
            .then_some((self.fields[0], self.fields[1]))
    }

    pub fn transaction(&self) -> Option<u32> {
        (self.kind() == Kind::Transaction).then_some(self.fields[0])
    }

    pub fn target(&self, mut relation_name: impl FnMut(u32, u32) -> RelationName) -> Target {
        let [one, two, three] = self.fields;
        let (four, kind) = (self.field4, self.kind());
        let relation = self.relation().map(|(database, oid)| relation_name(database, oid).to_string());
        let of = relation.unwrap_or_default();
        let name = match kind {
            Kind::Relation => format!("relation {of}"),
            Kind::Extend => format!("the extension of {of}"),
            Kind::FrozenIds => "the frozen transaction ids of the database".to_string(),
            Kind::Page => format!("page {three} of {of}"),
            Kind::Tuple => format!("row ({three},{four}) of {of}"),
            Kind::Transaction => format!("transaction {one}"),
            Kind::VirtualTransaction => format!("virtual transaction {one}/{two}"),
            Kind::SpeculativeToken => format!("the insertion {two} of transaction {one}"),
            Kind::Object => format!("object {three} of {}", relation_name(0, two)),
            Kind::UserLock => format!("user lock ({two},{three})"),
            // Which of its two forms the application used is in the fourth field.
            Kind::Advisory if four == 1 => {
                format!("advisory lock {}", (u64::from(two) << 32 | u64::from(three)) as i64)
            }
            Kind::Advisory => format!("advisory lock ({}, {})", two as i32, three as i32),
            Kind::ApplyTransaction => format!("remote transaction {three} of subscription {two}"),
            Kind::SafeSnapshot => "a safe snapshot".to_string(),
        };
        let database = match kind {
            Kind::Transaction | Kind::VirtualTransaction | Kind::SpeculativeToken => 0,
            _ => one,
        };
        Target { kind, database, relation: self.relation().map(|(_, oid)| oid), name }
    }
}

impl Kind {
    /// As column locktype of pg_locks has it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Relation => "relation",
            Kind::Extend => "extend",
            Kind::FrozenIds => "frozenid",
            Kind::Page => "page",
            Kind::Tuple => "tuple",
            Kind::Transaction => "transactionid",
            Kind::VirtualTransaction => "virtualxid",
            Kind::SpeculativeToken => "spectoken",
            Kind::Object => "object",
            Kind::UserLock => "userlock",
            Kind::Advisory => "advisory",
            Kind::ApplyTransaction => "applytransaction",
            Kind::SafeSnapshot => "safe snapshot",
        }
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn name(kind: u8, fields: [u32; 3], field4: u16) -> String {
        let tag = Tag { kind, fields, field4, method: 1 };
        tag.target(|_, oid| RelationName::Unknown { oid, why: String::new() }).name
    }

    #[test]
    fn advisory_keys_of_both_forms() {
        assert_eq!(name(10, [5, 0, 42], 1), "advisory lock 42");
        assert_eq!(name(10, [5, u32::MAX, u32::MAX], 1), "advisory lock -1");
        assert_eq!(name(10, [5, 7, u32::MAX], 2), "advisory lock (7, -1)");
    }

    #[test]
    fn rows_and_transactions() {
        assert_eq!(name(4, [5, 16384, 12], 3), "row (12,3) of 16384");
        assert_eq!(name(5, [4711, 0, 0], 0), "transaction 4711");
        assert_eq!(name(6, [3, 77, 0], 0), "virtual transaction 3/77");
    }
}
